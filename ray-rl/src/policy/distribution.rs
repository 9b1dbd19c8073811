//! Distributions over actions: sample, log-probability, entropy, KL, and their gradients.

use environments::rng::Rng;

/// What sort of actions there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActionKind {
    /// A choice, written as one number.
    Discrete,
    /// Numbers.
    Continuous,
}

/// A distribution whose parameters a network computes.
#[derive(Clone, Debug, PartialEq)]
pub struct Distribution(Kind);

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    /// Softmax over `n` logits.
    Categorical { n: usize, start: i64 },
    /// Independent normals: means from the network, log deviations free parameters from 0.
    DiagGaussian { low: Vec<f32>, high: Vec<f32> },
}

impl Distribution {
    /// Returns the choice among `n` from `start`.
    pub fn categorical(n: usize, start: i64) -> Distribution {
        Distribution(Kind::Categorical { n, start })
    }

    /// Returns independent normals; actions are clipped to the bounds for the environment only.
    pub fn gaussian(low: Vec<f32>, high: Vec<f32>) -> Distribution {
        Distribution(Kind::DiagGaussian { low, high })
    }

    /// Returns the sort of actions.
    pub fn kind(&self) -> ActionKind {
        match self.0 {
            Kind::Categorical { .. } => ActionKind::Discrete,
            Kind::DiagGaussian { .. } => ActionKind::Continuous,
        }
    }

    /// Returns how many numbers the network computes.
    pub fn parameter_len(&self) -> usize {
        match &self.0 {
            Kind::Categorical { n, .. } => *n,
            Kind::DiagGaussian { low, .. } => low.len(),
        }
    }

    /// Returns how many numbers an action has.
    pub fn action_len(&self) -> usize {
        match &self.0 {
            Kind::Categorical { .. } => 1,
            Kind::DiagGaussian { low, .. } => low.len(),
        }
    }

    /// Returns how many parameters do not depend on the observation.
    pub fn free_parameters(&self) -> usize {
        match &self.0 {
            Kind::Categorical { .. } => 0,
            Kind::DiagGaussian { low, .. } => low.len(),
        }
    }

    /// Draws an action.
    pub fn sample(&self, outputs: &[f32], free: &[f32], rng: &mut Rng, action: &mut [f32]) {
        match &self.0 {
            Kind::Categorical { .. } => {
                // Inverse of the cumulative distribution; rounding may leave the last.
                let shift = outputs.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let total: f32 = outputs.iter().map(|logit| (logit - shift).exp()).sum();
                let mut left = rng.unit() as f32 * total;
                let mut chosen = outputs.len() - 1;
                for (at, logit) in outputs.iter().enumerate() {
                    left -= (logit - shift).exp();
                    if left < 0.0 {
                        chosen = at;
                        break;
                    }
                }
                action[0] = chosen as f32;
            }
            Kind::DiagGaussian { .. } => {
                for ((value, mean), log_std) in action.iter_mut().zip(outputs).zip(free) {
                    *value = mean + log_std.exp() * rng.normal() as f32;
                }
            }
        }
    }

    /// Takes the likeliest action.
    pub fn mode(&self, outputs: &[f32], action: &mut [f32]) {
        match &self.0 {
            Kind::Categorical { .. } => {
                let best = (1..outputs.len()).fold(0, |best, at| {
                    if outputs[at] > outputs[best] {
                        at
                    } else {
                        best
                    }
                });
                action[0] = best as f32;
            }
            Kind::DiagGaussian { .. } => action.copy_from_slice(outputs),
        }
    }

    /// Returns the log-probability (or log-density) of an action.
    pub fn log_prob(&self, outputs: &[f32], free: &[f32], action: &[f32]) -> f32 {
        match &self.0 {
            Kind::Categorical { .. } => outputs[action[0] as usize] - log_sum_exp(outputs),
            Kind::DiagGaussian { .. } => {
                let parts = outputs
                    .iter()
                    .zip(free)
                    .zip(action)
                    .map(|((mean, log_std), value)| {
                        let z = (value - mean) * (-log_std).exp();
                        -0.5 * z * z - log_std - HALF_LOG_TAU
                    });
                parts.sum()
            }
        }
    }

    /// Returns the entropy; nats.
    pub fn entropy(&self, outputs: &[f32], free: &[f32]) -> f32 {
        match &self.0 {
            Kind::Categorical { .. } => {
                let log_sum = log_sum_exp(outputs);
                outputs
                    .iter()
                    .map(|logit| -(logit - log_sum).exp() * (logit - log_sum))
                    .sum()
            }
            Kind::DiagGaussian { .. } => free
                .iter()
                .map(|log_std| log_std + 0.5 + HALF_LOG_TAU)
                .sum(),
        }
    }

    /// Returns the Kullback-Leibler divergence of `other` from this, of the same observation; nats.
    pub fn kl(&self, outputs: &[f32], free: &[f32], other: &[f32], other_free: &[f32]) -> f32 {
        match &self.0 {
            Kind::Categorical { .. } => {
                let (ours, theirs) = (log_sum_exp(outputs), log_sum_exp(other));
                outputs
                    .iter()
                    .zip(other)
                    .map(|(p, q)| (p - ours).exp() * ((p - ours) - (q - theirs)))
                    .sum()
            }
            Kind::DiagGaussian { .. } => (0..outputs.len())
                .map(|at| {
                    let (log_p, log_q) = (free[at], other_free[at]);
                    let distance = outputs[at] - other[at];
                    log_q - log_p
                        + ((2.0 * log_p).exp() + distance * distance) / (2.0 * (2.0 * log_q).exp())
                        - 0.5
                })
                .sum(),
        }
    }

    /// Adds `scale` times the gradient of the log-probability to those of outputs and free parameters.
    pub fn log_prob_gradient(
        &self,
        outputs: &[f32],
        free: &[f32],
        action: &[f32],
        scale: f32,
        output_gradient: &mut [f32],
        free_gradient: &mut [f32],
    ) {
        match &self.0 {
            Kind::Categorical { .. } => {
                let log_sum = log_sum_exp(outputs);
                for (at, (gradient, logit)) in output_gradient.iter_mut().zip(outputs).enumerate() {
                    let chosen = if at == action[0] as usize { 1.0 } else { 0.0 };
                    *gradient += scale * (chosen - (logit - log_sum).exp());
                }
            }
            Kind::DiagGaussian { .. } => {
                for at in 0..outputs.len() {
                    let inverse = (-free[at]).exp();
                    let z = (action[at] - outputs[at]) * inverse;
                    output_gradient[at] += scale * z * inverse;
                    free_gradient[at] += scale * (z * z - 1.0);
                }
            }
        }
    }

    /// Adds `scale` times the gradient of the entropy to those of outputs and free parameters.
    pub fn entropy_gradient(
        &self,
        outputs: &[f32],
        free: &[f32],
        scale: f32,
        output_gradient: &mut [f32],
        free_gradient: &mut [f32],
    ) {
        match &self.0 {
            Kind::Categorical { .. } => {
                let log_sum = log_sum_exp(outputs);
                let entropy = self.entropy(outputs, free);
                for (gradient, logit) in output_gradient.iter_mut().zip(outputs) {
                    let log_p = logit - log_sum;
                    *gradient -= scale * log_p.exp() * (log_p + entropy);
                }
            }
            Kind::DiagGaussian { .. } => free_gradient
                .iter_mut()
                .for_each(|gradient| *gradient += scale),
        }
    }

    /// Writes actions as the environment takes them: choices as indexes.
    pub fn to_choices(&self, actions: &[f32], choices: &mut Vec<i64>) {
        choices.clear();
        if let Kind::Categorical { start, .. } = self.0 {
            choices.extend(actions.iter().map(|action| start + *action as i64));
        }
    }

    /// Writes actions as the environment takes them: numbers within the bounds.
    pub fn to_clipped(&self, actions: &[f32], clipped: &mut Vec<f32>) {
        clipped.clear();
        if let Kind::DiagGaussian { low, high } = &self.0 {
            let bounds = low.iter().zip(high).cycle();
            clipped.extend(
                actions
                    .iter()
                    .zip(bounds)
                    .map(|(value, (low, high))| value.clamp(*low, *high)),
            );
        }
    }
}

fn log_sum_exp(values: &[f32]) -> f32 {
    let shift = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    shift
        + values
            .iter()
            .map(|value| (value - shift).exp())
            .sum::<f32>()
            .ln()
}

/// Half the logarithm of 2π.
const HALF_LOG_TAU: f32 = 0.918_938_5;

#[cfg(test)]
mod tests {
    use super::*;

    fn cases() -> Vec<(Distribution, Vec<f32>, Vec<f32>, Vec<f32>)> {
        vec![
            (
                Distribution::categorical(3, 0),
                vec![0.5, -1.0, 2.0],
                vec![],
                vec![1.0],
            ),
            (
                Distribution::gaussian(vec![-1.0; 2], vec![1.0; 2]),
                vec![0.3, -0.7],
                vec![-0.5, 0.2],
                vec![0.9, -1.4],
            ),
        ]
    }

    #[test]
    fn gradients_equal_finite_differences() {
        for (distribution, outputs, free, action) in cases() {
            let (mut output_gradient, mut free_gradient) =
                (vec![0.0; outputs.len()], vec![0.0; free.len()]);
            distribution.log_prob_gradient(
                &outputs,
                &free,
                &action,
                2.0,
                &mut output_gradient,
                &mut free_gradient,
            );
            distribution.entropy_gradient(
                &outputs,
                &free,
                3.0,
                &mut output_gradient,
                &mut free_gradient,
            );
            let f = |outputs: &[f32], free: &[f32]| {
                2.0 * distribution.log_prob(outputs, free, &action)
                    + 3.0 * distribution.entropy(outputs, free)
            };
            let both = [output_gradient, free_gradient].concat();
            for (at, analytic) in both.iter().enumerate() {
                let moved = |by: f32| {
                    let mut all = [outputs.clone(), free.clone()].concat();
                    all[at] += by;
                    let (outputs, free) = all.split_at(outputs.len());
                    f(outputs, free)
                };
                let numeric = (moved(1e-2) - moved(-1e-2)) / 2e-2;
                assert!(
                    (analytic - numeric).abs() < 2e-3,
                    "{at}: {analytic} {numeric}"
                );
            }
        }
    }

    #[test]
    fn samples_have_the_entropy_and_a_mode() {
        for (distribution, outputs, free, _) in cases() {
            let mut rng = Rng::new(1);
            let mut action = vec![0.0; distribution.action_len()];
            let count = 200_000;
            let surprise: f64 = (0..count)
                .map(|_| {
                    distribution.sample(&outputs, &free, &mut rng, &mut action);
                    -f64::from(distribution.log_prob(&outputs, &free, &action))
                })
                .sum();
            let entropy = f64::from(distribution.entropy(&outputs, &free));
            assert!(
                (surprise / f64::from(count) - entropy).abs() < 0.01,
                "the mean surprise is the entropy"
            );
            distribution.mode(&outputs, &mut action);
            let best = distribution.log_prob(&outputs, &free, &action);
            for _ in 0..100 {
                distribution.sample(&outputs, &free, &mut rng, &mut action);
                assert!(distribution.log_prob(&outputs, &free, &action) <= best);
            }
        }
    }

    #[test]
    fn kl_is_zero_only_for_itself() {
        for (distribution, outputs, free, _) in cases() {
            assert!(distribution.kl(&outputs, &free, &outputs, &free).abs() < 1e-6);
            let other = outputs
                .iter()
                .enumerate()
                .map(|(at, value)| value + at as f32 * 0.4 + 0.1)
                .collect::<Vec<_>>();
            assert!(distribution.kl(&outputs, &free, &other, &free) > 1e-4);
        }
        // Two normals of deviation 1, means 0 and 2: half the squared distance.
        let gaussian = Distribution::gaussian(vec![0.0], vec![0.0]);
        assert!((gaussian.kl(&[0.0], &[0.0], &[2.0], &[0.0]) - 2.0).abs() < 1e-6);
    }
}
