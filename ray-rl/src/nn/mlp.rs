//! A multi-layer perceptron with tanh between its layers.

use environments::rng::Rng;

use super::kernel;

/// The shape of a network; its parameters are a slice that somebody else owns.
///
/// For each layer the slice holds the weights `[inputs, outputs]`, row by row, then the biases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mlp {
    sizes: Vec<usize>,
}

/// What a forward pass leaves for the backward pass; kept between calls, so that they allocate nothing.
#[derive(Clone, Debug, Default)]
pub struct Cache {
    /// The input and the output of each layer, `[batch, size]`.
    layers: Vec<Vec<f32>>,
    gradients: Vec<f32>,
    below: Vec<f32>,
    transposed: Vec<f32>,
}

impl Cache {
    /// Returns the last layer's output, `[batch, outputs]`.
    pub fn output(&self) -> &[f32] {
        self.layers.last().map_or(&[], Vec::as_slice)
    }
}

impl Mlp {
    /// Returns the network with layers of these sizes, input first.
    ///
    /// # Panics
    /// With fewer than two sizes, or a size of 0.
    pub fn new(sizes: &[usize]) -> Mlp {
        assert!(
            sizes.len() >= 2 && sizes.iter().all(|size| *size > 0),
            "a network has an input and an output"
        );
        Mlp {
            sizes: sizes.to_vec(),
        }
    }

    /// Returns how many parameters it has.
    pub fn parameter_count(&self) -> usize {
        self.sizes
            .windows(2)
            .map(|pair| (pair[0] + 1) * pair[1])
            .sum()
    }

    /// Fills the parameters: orthogonal weights (Saxe et al. 2014) of gain √2, of `last_gain` in the last
    /// layer, and zero biases.
    pub fn init(&self, parameters: &mut [f32], last_gain: f32, rng: &mut Rng) {
        let mut rest = parameters;
        let layers = self.sizes.len() - 1;
        for (layer, pair) in self.sizes.windows(2).enumerate() {
            let (inputs, outputs) = (pair[0], pair[1]);
            let (weights, after) = rest.split_at_mut(inputs * outputs);
            let gain = if layer + 1 == layers {
                last_gain
            } else {
                std::f32::consts::SQRT_2
            };
            orthogonal(weights, inputs, outputs, gain, rng);
            let (biases, after) = after.split_at_mut(outputs);
            biases.fill(0.0);
            rest = after;
        }
    }

    /// Computes `[batch, outputs]` from `input`, `[batch, inputs]`; the result stays in the cache.
    pub fn forward<'a>(
        &self,
        parameters: &[f32],
        input: &[f32],
        cache: &'a mut Cache,
    ) -> &'a [f32] {
        let batch = input.len() / self.sizes[0];
        cache.layers.resize_with(self.sizes.len(), Vec::new);
        cache.layers[0].clear();
        cache.layers[0].extend_from_slice(input);
        let mut rest = parameters;
        let layers = self.sizes.len() - 1;
        for (layer, pair) in self.sizes.windows(2).enumerate() {
            let (inputs, outputs) = (pair[0], pair[1]);
            let (weights, after) = rest.split_at(inputs * outputs);
            let (biases, after) = after.split_at(outputs);
            rest = after;
            let (below, above) = cache.layers.split_at_mut(layer + 1);
            let out = &mut above[0];
            out.clear();
            for _ in 0..batch {
                out.extend_from_slice(biases);
            }
            kernel::gemm(batch, inputs, outputs, &below[layer], weights, out);
            if layer + 1 < layers {
                kernel::tanh(out);
            }
        }
        cache.output()
    }

    /// Adds to `gradient` how the loss changes with each parameter, given how it changes with the output of
    /// the last forward pass, `[batch, outputs]`.
    pub fn backward(
        &self,
        parameters: &[f32],
        output_gradient: &[f32],
        cache: &mut Cache,
        gradient: &mut [f32],
    ) {
        let batch = cache.layers[0].len() / self.sizes[0];
        let Cache {
            layers,
            gradients,
            below,
            transposed,
        } = cache;
        gradients.clear();
        gradients.extend_from_slice(output_gradient);
        let mut end = self.parameter_count();
        for layer in (0..self.sizes.len() - 1).rev() {
            let (inputs, outputs) = (self.sizes[layer], self.sizes[layer + 1]);
            let start = end - (inputs + 1) * outputs;
            let (weight_gradient, bias_gradient) =
                gradient[start..end].split_at_mut(inputs * outputs);
            kernel::gemm_transposed(
                inputs,
                batch,
                outputs,
                &layers[layer],
                gradients,
                weight_gradient,
            );
            for row in gradients.chunks_exact(outputs) {
                for (sum, value) in bias_gradient.iter_mut().zip(row) {
                    *sum += value;
                }
            }
            if layer > 0 {
                let weights = &parameters[start..start + inputs * outputs];
                transposed.clear();
                transposed.resize(inputs * outputs, 0.0);
                for (i, row) in weights.chunks_exact(outputs).enumerate() {
                    for (o, weight) in row.iter().enumerate() {
                        transposed[o * inputs + i] = *weight;
                    }
                }
                below.clear();
                below.resize(batch * inputs, 0.0);
                kernel::gemm(batch, outputs, inputs, gradients, transposed, below);
                for (value, activation) in below.iter_mut().zip(&layers[layer]) {
                    *value *= 1.0 - activation * activation;
                }
                std::mem::swap(gradients, below);
            }
            end = start;
        }
    }
}

/// Fills `[inputs, outputs]` with orthonormal rows or columns times `gain` (Gram and Schmidt, in f64).
fn orthogonal(weights: &mut [f32], inputs: usize, outputs: usize, gain: f32, rng: &mut Rng) {
    let (count, len) = (inputs.min(outputs), inputs.max(outputs));
    let mut vectors: Vec<Vec<f64>> = Vec::with_capacity(count);
    while vectors.len() < count {
        let mut vector = (0..len).map(|_| rng.normal()).collect::<Vec<_>>();
        for other in &vectors {
            let along: f64 = vector.iter().zip(other).map(|(a, b)| a * b).sum();
            for (value, other) in vector.iter_mut().zip(other) {
                *value -= along * other;
            }
        }
        let norm = vector.iter().map(|value| value * value).sum::<f64>().sqrt();
        if norm > 1e-6 {
            vector.iter_mut().for_each(|value| *value /= norm);
            vectors.push(vector);
        }
    }
    for (i, row) in weights.chunks_exact_mut(outputs).enumerate() {
        for (o, weight) in row.iter_mut().enumerate() {
            let value = if inputs <= outputs {
                vectors[i][o]
            } else {
                vectors[o][i]
            };
            *weight = gain * value as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradients_equal_finite_differences() {
        let mlp = Mlp::new(&[3, 8, 5, 2]);
        let mut rng = Rng::new(1);
        let mut parameters = vec![0.0; mlp.parameter_count()];
        mlp.init(&mut parameters, 1.0, &mut rng);
        parameters
            .iter_mut()
            .for_each(|value| *value += 0.1 * rng.normal() as f32);
        let input = (0..4 * 3).map(|_| rng.normal() as f32).collect::<Vec<_>>();
        let weights = (0..4 * 2).map(|_| rng.normal() as f32).collect::<Vec<_>>();
        let mut cache = Cache::default();
        let mut loss = |parameters: &[f32]| -> f64 {
            let output = mlp.forward(parameters, &input, &mut cache);
            output
                .iter()
                .zip(&weights)
                .map(|(a, b)| f64::from(*a) * f64::from(*b))
                .sum()
        };
        let numeric = (0..parameters.len())
            .map(|at| {
                let mut moved = parameters.clone();
                moved[at] += 1e-2;
                let up = loss(&moved);
                moved[at] -= 2e-2;
                (up - loss(&moved)) / 2e-2
            })
            .collect::<Vec<_>>();
        let mut cache = Cache::default();
        mlp.forward(&parameters, &input, &mut cache);
        let mut gradient = vec![0.0; parameters.len()];
        mlp.backward(&parameters, &weights, &mut cache, &mut gradient);
        for (at, (analytic, numeric)) in gradient.iter().zip(&numeric).enumerate() {
            assert!(
                (f64::from(*analytic) - numeric).abs() < 2e-3 * (1.0 + numeric.abs()),
                "{at}: {analytic} {numeric}"
            );
        }
    }

    #[test]
    fn initial_weights_are_orthogonal() {
        for (inputs, outputs) in [(4, 64), (64, 64), (64, 2)] {
            let mut weights = vec![0.0; inputs * outputs];
            orthogonal(&mut weights, inputs, outputs, 2.0, &mut Rng::new(3));
            let vector = |at: usize| -> Vec<f32> {
                if inputs <= outputs {
                    weights[at * outputs..][..outputs].to_vec()
                } else {
                    (0..inputs).map(|i| weights[i * outputs + at]).collect()
                }
            };
            for a in 0..inputs.min(outputs) {
                for b in 0..=a {
                    let dot: f32 = vector(a).iter().zip(vector(b)).map(|(x, y)| x * y).sum();
                    assert!(
                        (dot - if a == b { 4.0 } else { 0.0 }).abs() < 1e-4,
                        "{a} {b} {dot}"
                    );
                }
            }
        }
    }
}
