//! PPO with runner actors that sample in parallel and a learner actor.

use ray_core::{ObjectRef, prelude::*};

use crate::{
    RlError,
    actors::{EnvRunner, EnvRunnerHandle, Learner, LearnerHandle},
    algo::ppo::PpoConfig,
    report::{Progress, TrainReport},
    rollout::Rollout,
};

/// The distributed loop: weights out by one `put`, rollouts back, one update.
///
/// PPO is on-policy, so each update waits for all runners. Rollouts go from runners to the learner without
/// passing through this process: it hands references on.
pub struct PpoTrainer {
    runners: Vec<EnvRunnerHandle>,
    learner: LearnerHandle,
    weights: ObjectRef<Vec<f32>>,
    version: u64,
    timesteps: u64,
    progress: Progress,
}

impl PpoTrainer {
    /// Starts the actors; the runtime must be running.
    ///
    /// # Errors
    /// A setting out of range, or an actor that could not be made.
    pub fn new(config: PpoConfig) -> Result<PpoTrainer, RlError> {
        config.check()?;
        if config.env_runners == 0 {
            return Err(RlError::Config {
                name: "env_runners",
                reason: "a distributed run has one or more".into(),
            });
        }
        let runners = (0..config.env_runners)
            .map(|index| EnvRunner::remote(&config, index as u32))
            .collect::<Vec<_>>();
        let learner = Learner::remote(&config);
        let weights = ray_core::put(&learner.weights().get()?)?;
        for runner in &runners {
            runner.ready().get()?;
        }
        Ok(PpoTrainer {
            runners,
            learner,
            weights,
            version: 0,
            timesteps: 0,
            progress: Progress::new(),
        })
    }

    /// Samples one rollout of each runner and learns from them.
    ///
    /// # Errors
    /// What an environment or the learner refuses; a runner that died too often.
    pub fn train(&mut self) -> Result<TrainReport, RlError> {
        let rollouts: Vec<ObjectRef<Rollout>> = self
            .runners
            .iter()
            .map(|runner| runner.sample(&self.weights, self.version))
            .collect();
        let (losses, weights) = self.learner.update(&rollouts);
        let rollouts = ray_core::get_all(&rollouts)?;
        let losses = losses.get()?;
        // One object for all runners: each reads it where it lies.
        self.weights = weights;
        self.version += 1;
        let rollouts = rollouts.iter().collect::<Vec<_>>();
        self.timesteps += rollouts
            .iter()
            .map(|rollout| rollout.rewards.len() as u64)
            .sum::<u64>();
        Ok(self.progress.report(&rollouts, losses, self.timesteps))
    }

    /// Returns how many environment steps were learned from.
    pub fn timesteps(&self) -> u64 {
        self.timesteps
    }

    /// Returns the newest weights, flat.
    ///
    /// # Errors
    /// When the learner failed.
    pub fn weights(&self) -> Result<Vec<f32>, RlError> {
        Ok(self.weights.get()?)
    }

    /// Returns the runner actors.
    pub fn runners(&self) -> &[EnvRunnerHandle] {
        &self.runners
    }
}
