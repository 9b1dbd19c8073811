//! An actor that steps environments with the newest weights.

use ray_core::prelude::*;

use crate::{
    algo::ppo::PpoConfig,
    rollout::{Rollout, Sampler},
};

/// Samples rollouts; one of several that work in parallel.
#[actor(max_restarts = -1, max_task_retries = 3)]
pub struct EnvRunner {
    sampler: Sampler,
    steps: usize,
    weights: Vec<f32>,
}

#[remote]
impl EnvRunner {
    /// Makes the environments of runner `index`.
    pub fn new(config: PpoConfig, index: u32) -> Result<Self, String> {
        let sampler = Sampler::new(
            &config.env,
            config.envs,
            &config.hidden,
            config.seed,
            index as usize,
        )
        .map_err(|error| error.to_string())?;
        let weights = vec![0.0; sampler.model().parameter_count()];
        Ok(EnvRunner {
            sampler,
            steps: config.steps,
            weights,
        })
    }

    /// Samples the configured steps of every environment with these weights, read where they lie.
    pub fn sample(
        &mut self,
        weights: &Archived<Vec<f32>>,
        version: u64,
    ) -> Result<Rollout, String> {
        if weights.len() != self.weights.len() {
            return Err(format!(
                "{} weights came for a model of {}",
                weights.len(),
                self.weights.len()
            ));
        }
        for (own, given) in self.weights.iter_mut().zip(weights.iter()) {
            *own = given.to_native();
        }
        let mut rollout = self
            .sampler
            .sample(&self.weights, self.steps)
            .map_err(|error| error.to_string())?;
        rollout.weights_version = version;
        Ok(rollout)
    }
}
