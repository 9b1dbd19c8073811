//! Several environments stepped together, into contiguous buffers that the caller owns.

mod sync;

pub use sync::SyncVectorEnv;

use crate::{EnvError, Space, State};

/// What happens to an environment whose episode has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AutoresetMode {
    /// The next step ignores its action and resets: reward 0, flags false. Mask that step in learning.
    NextStep,
    /// The same step resets: the observation is the new episode's, the old one's last is in `final_obs`.
    #[default]
    SameStep,
    /// The caller resets with [`VectorEnv::reset_where`]; stepping an ended one is an error.
    Disabled,
}

/// Actions of all environments, one row each.
#[derive(Clone, Copy, Debug)]
pub enum Actions<'a> {
    /// One choice each; as many as the space has elements for `MultiDiscrete`.
    Discrete(&'a [i64]),
    /// `action_len` numbers each.
    Continuous(&'a [f32]),
}

/// What a step writes; `n` environments with observations of `d` numbers.
#[derive(Clone, Debug)]
pub struct StepBuffers {
    /// `[n, d]`: what the agents see now.
    pub obs: Vec<f32>,
    /// `[n]`: what they earned.
    pub rewards: Vec<f64>,
    /// `[n]`: whose task ended.
    pub terminated: Vec<bool>,
    /// `[n]`: whose episode was cut.
    pub truncated: Vec<bool>,
    /// `[n, d]`: the last observation of episodes that ended in this step, under `SameStep`.
    pub final_obs: Vec<f32>,
    /// `[n]`: which rows of `final_obs` were written.
    pub has_final: Vec<bool>,
    /// `[n]`: the return of the episode that ended in this step.
    pub episode_return: Vec<f64>,
    /// `[n]`: its length; steps.
    pub episode_length: Vec<u32>,
}

impl StepBuffers {
    /// Returns buffers for a vector environment.
    pub fn for_env(env: &(impl VectorEnv + ?Sized)) -> StepBuffers {
        let (n, d) = (env.num_envs(), env.observation_len());
        StepBuffers {
            obs: vec![0.0; n * d],
            rewards: vec![0.0; n],
            terminated: vec![false; n],
            truncated: vec![false; n],
            final_obs: vec![0.0; n * d],
            has_final: vec![false; n],
            episode_return: vec![0.0; n],
            episode_length: vec![0; n],
        }
    }
}

/// Environments stepped together.
pub trait VectorEnv: Send {
    /// Returns how many there are.
    fn num_envs(&self) -> usize;

    /// Returns the space of one observation.
    fn single_observation_space(&self) -> Space;

    /// Returns the space of one action.
    fn single_action_space(&self) -> Space;

    /// Returns how many numbers one observation has.
    fn observation_len(&self) -> usize;

    /// Returns what happens when an episode ends.
    fn autoreset_mode(&self) -> AutoresetMode;

    /// Begins an episode everywhere; environment `i` gets `seed + i`.
    ///
    /// # Errors
    /// A buffer that is not `[n, d]`.
    fn reset(&mut self, seed: Option<u64>, obs: &mut [f32]) -> Result<(), EnvError>;

    /// Begins an episode where `mask` says so, and writes those rows.
    ///
    /// # Errors
    /// Buffers of the wrong size.
    fn reset_where(&mut self, mask: &[bool], obs: &mut [f32]) -> Result<(), EnvError>;

    /// Does one action each.
    ///
    /// # Errors
    /// Buffers of the wrong size, actions outside the space, an ended episode under `Disabled`.
    fn step(&mut self, actions: Actions<'_>, out: &mut StepBuffers) -> Result<(), EnvError>;

    /// Returns the state of each.
    fn states(&self) -> Vec<State>;

    /// Goes on from the states that [`VectorEnv::states`] returned.
    ///
    /// # Errors
    /// Another number of states, or states of another shape.
    fn set_states(&mut self, states: &[State]) -> Result<(), EnvError>;
}
