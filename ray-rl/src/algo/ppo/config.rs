//! Settings of a run.

use environments::vector::VectorEnv;
use ray_core::Data;

use super::Ppo;
use crate::{RlError, rollout::Sampler};

/// The settings of a run; the defaults solve CartPole (RL Zoo's).
#[derive(Data, Clone, Debug, PartialEq)]
pub struct PpoConfig {
    /// The environment's id.
    pub env: String,
    /// Runner actors that sample in parallel; 0 samples in this process.
    pub env_runners: usize,
    /// Environments of each runner, or of this process.
    pub envs: usize,
    /// Steps of each environment between updates.
    pub steps: usize,
    /// Samples of a minibatch.
    pub minibatch: usize,
    /// Passes over the batch.
    pub epochs: usize,
    /// The learning rate at the start.
    pub lr: f32,
    /// Whether the learning rate falls to 0 over the run.
    pub anneal_lr: bool,
    /// The clip range of the probability ratio at the start.
    pub clip: f32,
    /// Whether the clip range falls to 0 over the run.
    pub anneal_clip: bool,
    /// The clip range of value updates; 0 for none.
    pub value_clip: f32,
    /// Discount.
    pub gamma: f32,
    /// Smoothing of advantages.
    pub lambda: f32,
    /// Weight of the entropy in the loss.
    pub entropy: f32,
    /// Weight of the value loss.
    pub value_weight: f32,
    /// The most that a gradient's norm may be.
    pub max_grad_norm: f32,
    /// Ends an update when the policy moved this far (KL, nats); 0 for never.
    pub target_kl: f32,
    /// Widths of the hidden layers.
    pub hidden: Vec<usize>,
    /// Environment steps of the whole run, for the annealing.
    pub total_steps: u64,
    /// Everything random follows from it.
    pub seed: u64,
}

macro_rules! setters {
    ($($(#[$doc:meta])* $name:ident: $type:ty),* $(,)?) => {
        $($(#[$doc])* pub fn $name(mut self, value: $type) -> Self { self.$name = value; self })*
    };
}

impl PpoConfig {
    setters! {
        /// Sets how many runner actors sample.
        env_runners: usize,
        /// Sets how many environments each has.
        envs: usize,
        /// Sets the steps between updates.
        steps: usize,
        /// Sets the samples of a minibatch.
        minibatch: usize,
        /// Sets the passes over a batch.
        epochs: usize,
        /// Sets the learning rate.
        lr: f32,
        /// Sets the clip range.
        clip: f32,
        /// Sets the discount.
        gamma: f32,
        /// Sets the smoothing of advantages.
        lambda: f32,
        /// Sets the weight of the entropy.
        entropy: f32,
        /// Sets the KL at which an update ends.
        target_kl: f32,
        /// Sets the steps of the run.
        total_steps: u64,
        /// Sets the seed.
        seed: u64,
        /// Sets the widths of the hidden layers.
        hidden: Vec<usize>,
        /// Sets whether the learning rate falls.
        anneal_lr: bool,
        /// Sets whether the clip range falls.
        anneal_clip: bool,
    }

    /// Sets how many environments each runner has.
    pub fn envs_per_runner(self, value: usize) -> Self {
        self.envs(value)
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// `RlError::Config` with the setting's name.
    pub fn check(&self) -> Result<(), RlError> {
        let wrong = |name, reason: &str| {
            Err(RlError::Config {
                name,
                reason: reason.to_owned(),
            })
        };
        if self.envs == 0 {
            return wrong("envs", "one environment or more is needed");
        }
        if self.steps == 0 || self.epochs == 0 || self.minibatch == 0 || self.total_steps == 0 {
            return wrong(
                "steps",
                "steps, epochs, minibatch and total_steps are 1 or more",
            );
        }
        if !(self.lr > 0.0 && self.lr.is_finite()) {
            return wrong("lr", "a learning rate is a number above 0");
        }
        if !(0.0..=1.0).contains(&self.gamma) || !(0.0..=1.0).contains(&self.lambda) {
            return wrong("gamma", "gamma and lambda are between 0 and 1");
        }
        if self.hidden.contains(&0) {
            return wrong("hidden", "a layer has one unit or more");
        }
        Ok(())
    }

    /// Makes the single-process trainer.
    ///
    /// # Errors
    /// A setting out of range, an unknown environment.
    pub fn build(self) -> Result<Ppo, RlError> {
        Ppo::new(self)
    }

    /// Makes the single-process trainer over environments that exist, for one those of worker processes.
    ///
    /// `env` still says what is evaluated, and `envs` becomes how many there are.
    ///
    /// # Errors
    /// A setting out of range, environments that do not reset in the same step.
    pub fn build_with(mut self, envs: Box<dyn VectorEnv>) -> Result<Ppo, RlError> {
        self.envs = envs.num_envs();
        self.check()?;
        let sampler = Sampler::from_envs(envs, &self.hidden, self.seed, 0)?;
        Ok(Ppo::with_sampler(self, sampler))
    }
}
