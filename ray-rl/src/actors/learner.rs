//! An actor that owns the weights and learns from rollouts.

use environments::{make_vec, vector::AutoresetMode};
use ray_core::prelude::*;

use crate::{
    RlError,
    algo::ppo::{Losses, PpoConfig, PpoLearner},
    policy::ActorCritic,
    rollout::Rollout,
};

/// Updates a policy by PPO.
#[actor]
pub struct Learner {
    learner: PpoLearner,
}

#[remote]
impl Learner {
    /// Makes the initial weights.
    pub fn new(config: PpoConfig) -> Result<Self, String> {
        let model = model_of(&config).map_err(|error| error.to_string())?;
        Ok(Learner {
            learner: PpoLearner::new(config, model),
        })
    }

    /// Returns the weights, flat.
    pub fn weights(&self) -> Vec<f32> {
        self.learner.parameters().to_vec()
    }

    /// Learns from rollouts, in this order; returns the losses and the new weights.
    #[method(num_returns = 2)]
    pub fn update(
        &mut self,
        rollouts: Vec<ObjectRef<Rollout>>,
    ) -> Result<(Losses, Vec<f32>), String> {
        let rollouts = ray_core::get_all(&rollouts).map_err(|error| error.to_string())?;
        let rollouts = rollouts.iter().collect::<Vec<_>>();
        let losses = self
            .learner
            .update(&rollouts)
            .map_err(|error| error.to_string())?;
        Ok((losses, self.learner.parameters().to_vec()))
    }
}

/// Returns the networks that fit the environment.
pub(crate) fn model_of(config: &PpoConfig) -> Result<ActorCritic, RlError> {
    let envs = make_vec(&config.env, 1, AutoresetMode::SameStep)?;
    ActorCritic::new(
        &envs.single_observation_space(),
        &envs.single_action_space(),
        &config.hidden,
    )
}
