//! Weights, optimizer and the update rule.

use environments::rng::Rng;
use ray_core::Data;

use super::PpoConfig;
use crate::{
    RlError,
    nn::{Adam, clip_grad_norm},
    policy::{ActorCritic, Workspace, stream},
    rollout::{Rollout, gae},
};

/// The debug values of one update (Huang et al. 2022, detail 12).
#[derive(Data, Clone, Debug, Default, PartialEq)]
pub struct Losses {
    /// Clipped surrogate loss.
    pub policy: f32,
    /// Squared error of the values.
    pub value: f32,
    /// Mean entropy; nats.
    pub entropy: f32,
    /// Estimate of the KL from the old policy, mean of `(r - 1) - ln r`.
    pub approx_kl: f32,
    /// Share of samples whose ratio was clipped.
    pub clip_fraction: f32,
    /// Share of the returns' variance that the values explain.
    pub explained_variance: f32,
    /// The learning rate of the update.
    pub learning_rate: f32,
    /// The clip range of the update.
    pub clip_range: f32,
    /// Gradient steps of the update.
    pub n_updates: u32,
}

/// Weights, optimizer and the update rule.
pub struct PpoLearner {
    pub(super) config: PpoConfig,
    model: ActorCritic,
    parameters: Vec<f32>,
    adam: Adam,
    rng: Rng,
    timesteps: u64,
    work: Workspace,
    gradient: Vec<f32>,
}

/// All rollouts of an update as one batch.
struct Batch {
    observations: Vec<f32>,
    actions: Vec<f32>,
    log_probs: Vec<f32>,
    values: Vec<f32>,
    advantages: Vec<f32>,
    returns: Vec<f32>,
    /// Which are no transitions.
    lost: Vec<bool>,
}

impl PpoLearner {
    /// Makes initial weights.
    pub fn new(config: PpoConfig, model: ActorCritic) -> PpoLearner {
        let parameters = model.init(config.seed);
        PpoLearner {
            adam: Adam::new(parameters.len()),
            rng: Rng::stream(config.seed, stream::SHUFFLE, 0),
            gradient: vec![0.0; parameters.len()],
            timesteps: 0,
            work: Workspace::default(),
            parameters,
            model,
            config,
        }
    }

    /// Returns the weights, flat.
    pub fn parameters(&self) -> &[f32] {
        &self.parameters
    }

    /// Returns the networks.
    pub fn model(&self) -> &ActorCritic {
        &self.model
    }

    /// Returns how many environment steps were learned from.
    pub fn timesteps(&self) -> u64 {
        self.timesteps
    }

    /// Learns from rollouts; their order is part of the result.
    ///
    /// # Errors
    /// `RlError::NotFinite` when the loss is not a number; the weights are then those before the update.
    pub fn update(&mut self, rollouts: &[&Rollout]) -> Result<Losses, RlError> {
        let batch = self.batch(rollouts);
        let count = batch.returns.len();
        let left = 1.0 - self.timesteps as f32 / self.config.total_steps as f32;
        let left = left.max(0.0);
        let lr = if self.config.anneal_lr {
            self.config.lr * left
        } else {
            self.config.lr
        };
        let clip = if self.config.anneal_clip {
            self.config.clip * left
        } else {
            self.config.clip
        };
        let mut losses = Losses {
            learning_rate: lr,
            clip_range: clip,
            explained_variance: explained_variance(&batch.values, &batch.returns),
            ..Losses::default()
        };
        let before = self.parameters.clone();
        let mut order = (0..count).filter(|at| !batch.lost[*at]).collect::<Vec<_>>();
        'epochs: for _ in 0..self.config.epochs {
            self.rng.shuffle(&mut order);
            for chosen in order.chunks(self.config.minibatch.min(count)) {
                // A rest of one sample has no deviation to normalise by.
                if chosen.len() < 2 {
                    continue;
                }
                let part = self.minibatch(&batch, chosen, clip);
                let stops =
                    self.config.target_kl > 0.0 && part.approx_kl > 1.5 * self.config.target_kl;
                losses.add(&part);
                if stops {
                    break 'epochs;
                }
                let norm = clip_grad_norm(&mut self.gradient, self.config.max_grad_norm);
                if !norm.is_finite() {
                    self.parameters = before;
                    return Err(RlError::NotFinite {
                        what: "gradient",
                        steps: self.timesteps,
                    });
                }
                self.adam.step(&mut self.parameters, &self.gradient, lr);
            }
        }
        losses.finish();
        self.timesteps += count as u64;
        Ok(losses)
    }

    fn batch(&self, rollouts: &[&Rollout]) -> Batch {
        let mut batch = Batch {
            observations: Vec::new(),
            actions: Vec::new(),
            log_probs: Vec::new(),
            values: Vec::new(),
            advantages: Vec::new(),
            returns: Vec::new(),
            lost: Vec::new(),
        };
        for rollout in rollouts {
            let lost = (0..rollout.rewards.len()).map(|at| rollout.lost.get(at) == Some(&1));
            batch.lost.extend(lost);
            let advantages = gae(rollout, self.config.gamma, self.config.lambda);
            batch.observations.extend_from_slice(&rollout.observations);
            batch.actions.extend_from_slice(&rollout.actions);
            batch.log_probs.extend_from_slice(&rollout.log_probs);
            batch.values.extend_from_slice(&rollout.values);
            batch.returns.extend(
                advantages
                    .iter()
                    .zip(&rollout.values)
                    .map(|(advantage, value)| advantage + value),
            );
            batch.advantages.extend(advantages);
        }
        batch
    }

    /// Computes loss and gradient of one minibatch.
    fn minibatch(&mut self, batch: &Batch, chosen: &[usize], clip: f32) -> Losses {
        let (d, action_len) = (
            self.model.observation_len(),
            self.model.distribution().action_len(),
        );
        let mut observations = Vec::with_capacity(chosen.len() * d);
        for at in chosen {
            observations.extend_from_slice(&batch.observations[at * d..][..d]);
        }
        // Advantages are normalised per minibatch.
        let scale = 1.0 / chosen.len() as f32;
        let mean = chosen.iter().map(|at| batch.advantages[*at]).sum::<f32>() * scale;
        let spread = chosen
            .iter()
            .map(|at| (batch.advantages[*at] - mean).powi(2))
            .sum::<f32>();
        let deviation = (spread / (chosen.len() - 1) as f32).sqrt();

        self.model
            .forward(&self.parameters, &observations, &mut self.work);
        let (outputs, values) = self.model.outputs(&self.work);
        let free = self.model.free(&self.parameters);
        let distribution = self.model.distribution();
        let width = distribution.parameter_len();
        let mut output_gradient = vec![0.0; outputs.len()];
        let mut free_gradient = vec![0.0; free.len()];
        let mut value_gradient = vec![0.0; values.len()];
        let mut losses = Losses {
            n_updates: 1,
            ..Losses::default()
        };
        for (row, at) in chosen.iter().enumerate() {
            let output = &outputs[row * width..][..width];
            let gradient = &mut output_gradient[row * width..][..width];
            let action = &batch.actions[at * action_len..][..action_len];
            let advantage = (batch.advantages[*at] - mean) / (deviation + 1e-8);

            // Clipped surrogate: -min(r A, clip(r) A); a clipped sample has no gradient.
            let log_ratio = distribution.log_prob(output, free, action) - batch.log_probs[*at];
            let ratio = log_ratio.exp();
            let clipped = ratio.clamp(1.0 - clip, 1.0 + clip);
            losses.policy -= (ratio * advantage).min(clipped * advantage) * scale;
            if ratio * advantage <= clipped * advantage {
                let weight = -advantage * ratio * scale;
                distribution.log_prob_gradient(
                    output,
                    free,
                    action,
                    weight,
                    gradient,
                    &mut free_gradient,
                );
            }
            losses.entropy += distribution.entropy(output, free) * scale;
            let weight = -self.config.entropy * scale;
            if weight != 0.0 {
                distribution.entropy_gradient(output, free, weight, gradient, &mut free_gradient);
            }
            losses.approx_kl += ((ratio - 1.0) - log_ratio) * scale;
            losses.clip_fraction += if (ratio - 1.0).abs() > clip {
                scale
            } else {
                0.0
            };

            let target = batch.returns[*at];
            let value = values[row];
            let mut error = value - target;
            let mut weight = 2.0;
            if self.config.value_clip > 0.0 {
                let old = batch.values[*at];
                let moved = (value - old).clamp(-self.config.value_clip, self.config.value_clip);
                let clipped_error = old + moved - target;
                if clipped_error * clipped_error > error * error {
                    // The clipped value does not move with the weights.
                    weight = if moved == value - old { 2.0 } else { 0.0 };
                    error = clipped_error;
                }
            }
            losses.value += error * error * scale;
            value_gradient[row] = self.config.value_weight * weight * error * scale;
        }
        self.gradient.fill(0.0);
        self.model.backward(
            &self.parameters,
            &output_gradient,
            &value_gradient,
            &free_gradient,
            &mut self.work,
            &mut self.gradient,
        );
        losses
    }
}

impl Losses {
    fn add(&mut self, part: &Losses) {
        self.policy += part.policy;
        self.value += part.value;
        self.entropy += part.entropy;
        self.approx_kl += part.approx_kl;
        self.clip_fraction += part.clip_fraction;
        self.n_updates += 1;
    }

    fn finish(&mut self) {
        let count = self.n_updates.max(1) as f32;
        for sum in [
            &mut self.policy,
            &mut self.value,
            &mut self.entropy,
            &mut self.approx_kl,
            &mut self.clip_fraction,
        ] {
            *sum /= count;
        }
    }
}

fn explained_variance(values: &[f32], returns: &[f32]) -> f32 {
    let variance = |numbers: &mut dyn Iterator<Item = f32>| {
        let numbers = numbers.map(f64::from).collect::<Vec<_>>();
        let mean = numbers.iter().sum::<f64>() / numbers.len() as f64;
        numbers
            .iter()
            .map(|number| (number - mean).powi(2))
            .sum::<f64>()
            / numbers.len() as f64
    };
    let total = variance(&mut returns.iter().copied());
    let rest = variance(
        &mut returns
            .iter()
            .zip(values)
            .map(|(target, value)| target - value),
    );
    if total == 0.0 {
        f32::NAN
    } else {
        (1.0 - rest / total) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Ppo, *};
    use crate::{report::EPISODES_AVERAGED, rollout::Sampler};

    #[test]
    fn equal_seeds_give_equal_weights_and_others_do_not() {
        let run = |seed| {
            let mut ppo = Ppo::config("CartPole-v1")
                .envs(4)
                .seed(seed)
                .total_steps(2048)
                .build()
                .expect("settings");
            for _ in 0..8 {
                ppo.train().expect("training");
            }
            ppo.learner().parameters().to_vec()
        };
        let first = run(1);
        assert_eq!(first, run(1));
        assert_ne!(first, run(2));
    }

    #[test]
    fn the_first_minibatch_has_ratio_one() {
        let config = Ppo::config("CartPole-v1");
        let mut ppo = config.clone().epochs(1).build().expect("settings");
        let losses = ppo.train().expect("training").losses;
        assert_eq!((losses.clip_fraction, losses.n_updates), (0.0, 1));
        assert!(
            losses.approx_kl.abs() < 1e-6 && losses.policy.abs() < 1e-5,
            "{losses:?}"
        );
        assert!(
            (losses.entropy - 2.0_f32.ln()).abs() < 1e-3,
            "the policy begins nearly uniform"
        );
    }

    #[test]
    fn the_gradient_of_the_loss_equals_finite_differences() {
        for env in ["CartPole-v1", "Pendulum-v1"] {
            let mut config = Ppo::config(env).envs(2).steps(8).hidden(vec![5]).seed(3);
            config.entropy = 0.1;
            config.value_clip = 0.3;
            let mut sampler = Sampler::new(env, 2, &config.hidden, 3, 0).expect("a sampler");
            let mut learner = PpoLearner::new(config, sampler.model().clone());
            let rollout = sampler
                .sample(&learner.parameters.clone(), 8)
                .expect("samples");
            let mut rng = Rng::new(4);
            // Away from the old policy, so that ratios differ from 1.
            learner
                .parameters
                .iter_mut()
                .for_each(|value| *value += 0.05 * rng.normal() as f32);
            let batch = learner.batch(&[&rollout]);
            let all = (0..16).collect::<Vec<_>>();
            learner.minibatch(&batch, &all, 0.2);
            let gradient = learner.gradient.clone();
            let mut loss = |at: usize, by: f32| {
                learner.parameters[at] += by;
                let losses = learner.minibatch(&batch, &all, 0.2);
                learner.parameters[at] -= by;
                f64::from(losses.policy) - 0.1 * f64::from(losses.entropy)
                    + 0.5 * f64::from(losses.value)
            };
            let mut wrong = 0;
            for (at, analytic) in gradient.iter().enumerate() {
                let numeric = (loss(at, 2e-3) - loss(at, -2e-3)) / 4e-3;
                if (f64::from(*analytic) - numeric).abs() > 2e-2 * (1.0 + numeric.abs()) {
                    wrong += 1;
                }
            }
            // A parameter may sit on an edge of a clip.
            assert!(
                wrong * 20 <= gradient.len(),
                "{env}: {wrong} of {} gradients are wrong",
                gradient.len()
            );
        }
    }

    #[test]
    fn settings_out_of_range_are_named() {
        for (config, name) in [
            (Ppo::config("CartPole-v1").envs(0), "envs"),
            (Ppo::config("CartPole-v1").lr(f32::NAN), "lr"),
            (Ppo::config("CartPole-v1").gamma(1.5), "gamma"),
            (Ppo::config("CartPole-v1").hidden(vec![0]), "hidden"),
        ] {
            assert!(
                matches!(config.build(), Err(RlError::Config { name: found, .. }) if found == name),
                "{name}"
            );
        }
        assert!(matches!(
            Ppo::config("CartPol").build(),
            Err(RlError::UnknownEnv(_))
        ));
    }

    #[test]
    fn cartpole_is_learned() {
        let mut ppo = Ppo::config("CartPole-v1").build().expect("settings");
        let mut best = 0.0_f64;
        while ppo.timesteps() < 100_000 && best < 475.0 {
            let report = ppo.train().expect("training");
            if report.averaged_episodes == EPISODES_AVERAGED {
                best = best.max(report.ep_rew_mean);
            }
        }
        assert!(best >= 475.0, "the best mean of 100 episodes was {best}");
        assert!(ppo.evaluate(20).expect("episodes") > 450.0);
    }
}
