//! Adam, and the clipping of gradients.

/// The optimizer of Kingma and Ba (2015).
#[derive(Clone, Debug, PartialEq)]
pub struct Adam {
    first: Vec<f32>,
    second: Vec<f32>,
    steps: u64,
}

impl Adam {
    /// Returns the optimizer of `count` parameters.
    pub fn new(count: usize) -> Adam {
        Adam {
            first: vec![0.0; count],
            second: vec![0.0; count],
            steps: 0,
        }
    }

    /// Moves the parameters against the gradient; decay rates 0.9 and 0.999, epsilon 1e-5 (PPO's).
    pub fn step(&mut self, parameters: &mut [f32], gradient: &[f32], learning_rate: f32) {
        self.steps += 1;
        let steps = self.steps.min(1 << 30) as i32;
        let (first_correction, second_correction) =
            (1.0 - 0.9_f64.powi(steps), 1.0 - 0.999_f64.powi(steps));
        let rate = (f64::from(learning_rate) / first_correction) as f32;
        let root = (1.0 / second_correction.sqrt()) as f32;
        let moments = self.first.iter_mut().zip(&mut self.second);
        for ((parameter, gradient), (first, second)) in
            parameters.iter_mut().zip(gradient).zip(moments)
        {
            *first += 0.1 * (gradient - *first);
            *second += 0.001 * (gradient * gradient - *second);
            *parameter -= rate * *first / (second.sqrt() * root + 1e-5);
        }
    }
}

/// Scales the gradient so that its norm is at most `limit`; returns the norm before.
pub fn clip_grad_norm(gradient: &mut [f32], limit: f32) -> f32 {
    let norm = gradient
        .iter()
        .map(|value| f64::from(*value) * f64::from(*value))
        .sum::<f64>()
        .sqrt() as f32;
    if norm > limit {
        let scale = limit / (norm + 1e-6);
        gradient.iter_mut().for_each(|value| *value *= scale);
    }
    norm
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_step_is_the_learning_rate() {
        // With one gradient both corrected moments equal it: the step is lr * g / (|g| + eps).
        let mut adam = Adam::new(2);
        let mut parameters = [1.0, 1.0];
        adam.step(&mut parameters, &[3.0, -0.5], 0.1);
        assert!(
            (parameters[0] - 0.9).abs() < 1e-5 && (parameters[1] - 1.1).abs() < 1e-5,
            "{parameters:?}"
        );
    }

    #[test]
    fn a_parabola_is_descended() {
        let (mut adam, mut x) = (Adam::new(1), [5.0]);
        for _ in 0..2000 {
            let gradient = [2.0 * x[0]];
            adam.step(&mut x, &gradient, 0.05);
        }
        assert!(x[0].abs() < 1e-2, "{x:?}");
    }

    #[test]
    fn only_long_gradients_are_clipped() {
        let mut gradient = [3.0, 4.0];
        assert_eq!(clip_grad_norm(&mut gradient, 10.0), 5.0);
        assert_eq!(gradient, [3.0, 4.0]);
        clip_grad_norm(&mut gradient, 0.5);
        assert!((gradient[0] - 0.3).abs() < 1e-5 && (gradient[1] - 0.4).abs() < 1e-5);
    }
}
