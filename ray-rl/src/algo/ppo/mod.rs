//! Proximal policy optimization (Schulman et al. 2017), with the 13 core details of Huang et al. 2022.

mod config;
mod learner;

use environments::{
    make_vec,
    rng::Rng,
    vector::{AutoresetMode, StepBuffers},
};

use crate::{
    RlError,
    policy::{ActMode, ActorCritic, Workspace, stream},
    report::{Progress, TrainReport},
    rollout::{Sampler, step_envs},
};

pub use crate::report::EPISODES_AVERAGED;
pub use config::PpoConfig;
pub use learner::{Losses, PpoLearner};

/// The training loop in one process.
pub struct Ppo {
    sampler: Sampler,
    learner: PpoLearner,
    progress: Progress,
}

impl Ppo {
    /// Returns the default settings for an environment.
    pub fn config(env: &str) -> PpoConfig {
        PpoConfig {
            env: env.to_owned(),
            env_runners: 0,
            envs: 8,
            steps: 32,
            minibatch: 256,
            epochs: 20,
            lr: 1e-3,
            anneal_lr: true,
            clip: 0.2,
            anneal_clip: true,
            value_clip: 0.0,
            gamma: 0.98,
            lambda: 0.8,
            entropy: 0.0,
            value_weight: 0.5,
            max_grad_norm: 0.5,
            target_kl: 0.0,
            hidden: vec![64, 64],
            total_steps: 100_000,
            seed: 0,
        }
    }

    fn new(config: PpoConfig) -> Result<Ppo, RlError> {
        config.check()?;
        let sampler = Sampler::new(&config.env, config.envs, &config.hidden, config.seed, 0)?;
        Ok(Ppo::with_sampler(config, sampler))
    }

    fn with_sampler(config: PpoConfig, sampler: Sampler) -> Ppo {
        let learner = PpoLearner::new(config, sampler.model().clone());
        Ppo {
            sampler,
            learner,
            progress: Progress::new(),
        }
    }

    /// Samples one rollout and learns from it.
    ///
    /// # Errors
    /// What an environment refuses; a loss that is not a number.
    pub fn train(&mut self) -> Result<TrainReport, RlError> {
        let steps = self.learner.config.steps;
        let rollout = self.sampler.sample(self.learner.parameters(), steps)?;
        let losses = self.learner.update(&[&rollout])?;
        Ok(self
            .progress
            .report(&[&rollout], losses, self.learner.timesteps()))
    }

    /// Returns how many environment steps were learned from.
    pub fn timesteps(&self) -> u64 {
        self.learner.timesteps()
    }

    /// Returns the learner.
    pub fn learner(&self) -> &PpoLearner {
        &self.learner
    }

    /// Returns the mean return of `episodes` deterministic episodes from fresh seeds.
    ///
    /// # Errors
    /// What an environment refuses.
    pub fn evaluate(&self, episodes: usize) -> Result<f64, RlError> {
        evaluate(
            &self.learner.config.env,
            self.learner.model(),
            self.learner.parameters(),
            episodes,
            self.learner.config.seed,
        )
    }
}

/// Plays deterministic episodes; returns their mean return.
///
/// # Errors
/// An unknown environment, or what it refuses.
pub fn evaluate(
    env: &str,
    model: &ActorCritic,
    parameters: &[f32],
    episodes: usize,
    seed: u64,
) -> Result<f64, RlError> {
    let count = episodes.clamp(1, 16);
    let mut envs = make_vec(env, count, AutoresetMode::SameStep)?;
    let mut out = StepBuffers::for_env(&*envs);
    let mut rng = Rng::stream(seed, stream::EVALUATE, 0);
    envs.reset(Some(rng.bits()), &mut out.obs)?;
    let (mut work, mut choices, mut clipped) = (Workspace::default(), Vec::new(), Vec::new());
    let mut actions = vec![0.0; count * model.distribution().action_len()];
    let mut log_probs = vec![0.0; count];
    let mut returns = Vec::new();
    while returns.len() < episodes {
        model.act(
            parameters,
            &out.obs,
            ActMode::Deterministic,
            &mut rng,
            &mut work,
            &mut actions,
            &mut log_probs,
        );
        step_envs(
            &mut *envs,
            model,
            &actions,
            &mut choices,
            &mut clipped,
            &mut out,
        )?;
        let ended = (0..count).filter(|at| out.terminated[*at] || out.truncated[*at]);
        returns.extend(ended.map(|at| out.episode_return[at]));
    }
    returns.truncate(episodes);
    Ok(returns.iter().sum::<f64>() / returns.len().max(1) as f64)
}
