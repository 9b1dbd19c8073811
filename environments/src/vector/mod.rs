//! Several environments stepped together, into contiguous buffers that the caller owns.
//!
//! [`make_vec`](crate::make_vec) returns the fastest form of an id: some environments have one whose states lie in
//! lanes, the others take [`SyncVectorEnv`]. [`ThreadVectorEnv`] divides either among threads. All of them
//! count the steps of episodes and their returns, so limits and statistics cost nothing more, and none
//! allocates in a step. Environment `i` is seeded with `seed + i`, whatever the form.
//!
//! Wrappers go around all environments at once; [`EnvBuilder::wrapper`](crate::EnvBuilder::wrapper) puts one of
//! [`wrappers`](crate::wrappers) around each.
//!
//! | changes | wrappers |
//! | --- | --- |
//! | observations | [`FilterObservation`], [`FlattenObservation`], [`GrayscaleObservation`], [`NormalizeObservation`], [`RescaleObservation`], [`ResizeObservation`], [`TransformObservation`] |
//! | actions | [`ClipAction`], [`RescaleAction`], [`TransformAction`] |
//! | rewards | [`ClipReward`], [`NormalizeReward`], [`TransformReward`] |
//! | pictures | [`HumanRendering`], [`RecordVideo`] |
//! | nothing | [`RecordEpisodeStatistics`] |

mod infos;
pub(crate) mod lanes;
mod sync;
mod threads;
mod wrappers;

pub use infos::{info_arrays, info_list};
pub use sync::SyncVectorEnv;
pub use threads::ThreadVectorEnv;
pub use wrappers::{
    ClipAction, ClipReward, Episode, FilterObservation, FlattenObservation, GrayscaleObservation,
    HumanRendering, NormalizeObservation, NormalizeReward, RecordEpisodeStatistics, RecordVideo,
    RescaleAction, RescaleObservation, ResizeObservation, RunningMeanStd, TransformAction,
    TransformObservation, TransformReward,
};

use crate::{EnvError, Frame, Info, Metadata, Options, RenderMode, Space, State, Value};

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

impl<'a> Actions<'a> {
    /// Returns the choices, if they are some.
    pub fn discrete(self) -> Option<&'a [i64]> {
        match self {
            Actions::Discrete(choices) => Some(choices),
            Actions::Continuous(_) => None,
        }
    }

    /// Returns the numbers, if they are some.
    pub fn continuous(self) -> Option<&'a [f32]> {
        match self {
            Actions::Continuous(values) => Some(values),
            Actions::Discrete(_) => None,
        }
    }
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
    /// `[n]`: what else there is to know; empty unless asked for, see [`SyncVectorEnv::with_infos`].
    pub infos: Vec<Info>,
    /// `[n]`: the last info of episodes that ended in this step, under `SameStep`; empty unless asked for.
    pub final_infos: Vec<Info>,
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
            infos: vec![Info::new(); n],
            final_infos: vec![Info::new(); n],
        }
    }

    /// Checks that every buffer fits `n` environments with observations of `d` numbers.
    fn check(&self, n: usize, d: usize) -> Result<(), EnvError> {
        check_len("obs", self.obs.len(), n * d)?;
        check_len("final_obs", self.final_obs.len(), n * d)?;
        check_len("rewards", self.rewards.len(), n)?;
        check_len("terminated", self.terminated.len(), n)?;
        check_len("truncated", self.truncated.len(), n)?;
        check_len("has_final", self.has_final.len(), n)?;
        check_len("episode_return", self.episode_return.len(), n)?;
        check_len("episode_length", self.episode_length.len(), n)?;
        check_len("infos", self.infos.len(), n)?;
        check_len("final_infos", self.final_infos.len(), n)
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

    /// Returns the space of the observations of all.
    fn observation_space(&self) -> Space {
        self.single_observation_space().batch(self.num_envs())
    }

    /// Returns the space of the actions of all.
    fn action_space(&self) -> Space {
        self.single_action_space().batch(self.num_envs())
    }

    /// Returns how many numbers one observation has.
    fn observation_len(&self) -> usize;

    /// Returns what happens when an episode ends.
    fn autoreset_mode(&self) -> AutoresetMode;

    /// Begins an episode everywhere; environment `i` gets `seed + i`.
    ///
    /// # Errors
    /// A buffer that is not `[n, d]`.
    fn reset(&mut self, seed: Option<u64>, obs: &mut [f32]) -> Result<(), EnvError>;

    /// Begins an episode everywhere, with a seed each and the same options for all.
    ///
    /// Where a seed is `None` the random numbers go on. Resets that follow an episode's end by themselves have no
    /// options.
    ///
    /// # Errors
    /// Seeds or a buffer of the wrong size, and as [`Env::reset`](crate::Env::reset) for the options.
    fn reset_with(
        &mut self,
        seeds: &[Option<u64>],
        options: &Options,
        obs: &mut [f32],
    ) -> Result<(), EnvError>;

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

    /// Writes which choices make sense now, a row each, and returns `true`; `false` where nobody knows.
    fn action_masks(&self, _masks: &mut [bool]) -> bool {
        false
    }

    /// Returns which rows of the last step are of episodes that were lost with a process, where that can happen.
    ///
    /// Such a row says `truncated`, and is no transition: leave it out of learning.
    fn lost(&self) -> Option<&[bool]> {
        None
    }

    /// Draws each environment.
    ///
    /// Build with [`EnvBuilder::render_mode`](crate::EnvBuilder::render_mode): the fastest forms draw nothing.
    ///
    /// # Errors
    /// A mode in which they are not drawn.
    fn render(&mut self, mode: RenderMode) -> Result<Vec<Frame>, EnvError> {
        Err(EnvError::NotSupported(format!(
            "this vector environment does not render `{}`: build it with `EnvBuilder::render_mode`",
            mode.name()
        )))
    }

    /// Returns how they can be drawn.
    fn metadata(&self) -> Metadata {
        Metadata::default()
    }

    /// Returns the state of each.
    fn states(&self) -> Vec<State>;

    /// Goes on from the states that [`VectorEnv::states`] returned.
    ///
    /// # Errors
    /// Another number of states, or states of another shape.
    fn set_states(&mut self, states: &[State]) -> Result<(), EnvError>;
}

impl<V: VectorEnv + ?Sized> VectorEnv for Box<V> {
    fn num_envs(&self) -> usize {
        (**self).num_envs()
    }

    fn single_observation_space(&self) -> Space {
        (**self).single_observation_space()
    }

    fn single_action_space(&self) -> Space {
        (**self).single_action_space()
    }

    fn observation_len(&self) -> usize {
        (**self).observation_len()
    }

    fn autoreset_mode(&self) -> AutoresetMode {
        (**self).autoreset_mode()
    }

    fn action_masks(&self, masks: &mut [bool]) -> bool {
        (**self).action_masks(masks)
    }

    fn lost(&self) -> Option<&[bool]> {
        (**self).lost()
    }

    fn render(&mut self, mode: RenderMode) -> Result<Vec<Frame>, EnvError> {
        (**self).render(mode)
    }

    fn metadata(&self) -> Metadata {
        (**self).metadata()
    }

    fn states(&self) -> Vec<State> {
        (**self).states()
    }

    fn set_states(&mut self, states: &[State]) -> Result<(), EnvError> {
        (**self).set_states(states)
    }

    fn reset(&mut self, seed: Option<u64>, obs: &mut [f32]) -> Result<(), EnvError> {
        (**self).reset(seed, obs)
    }

    fn reset_with(
        &mut self,
        seeds: &[Option<u64>],
        options: &Options,
        obs: &mut [f32],
    ) -> Result<(), EnvError> {
        (**self).reset_with(seeds, options, obs)
    }

    fn reset_where(&mut self, mask: &[bool], obs: &mut [f32]) -> Result<(), EnvError> {
        (**self).reset_where(mask, obs)
    }

    fn step(&mut self, actions: Actions<'_>, out: &mut StepBuffers) -> Result<(), EnvError> {
        (**self).step(actions, out)
    }
}

/// Checks the length of a buffer.
fn check_len(buffer: &'static str, found: usize, needed: usize) -> Result<(), EnvError> {
    match found == needed {
        true => Ok(()),
        false => Err(EnvError::WrongBuffer {
            buffer,
            found,
            needed,
        }),
    }
}

/// How far an environment of a vector is, as it is saved beside the environment's own state.
struct Progress {
    has_ended: bool,
    episode_return: f64,
    length: u32,
}

impl Progress {
    fn save(&self, mut state: State) -> State {
        let extra = &mut state.extra;
        extra.insert("vector.has_ended".into(), Value::Bool(self.has_ended));
        extra.insert("vector.return".into(), Value::Float(self.episode_return));
        state.elapsed = u64::from(self.length);
        state
    }

    fn load(state: &State) -> Result<Progress, EnvError> {
        let number = state.extra.get("vector.return").and_then(Value::as_float);
        Ok(Progress {
            has_ended: state.extra.get("vector.has_ended") == Some(&Value::Bool(true)),
            episode_return: number.unwrap_or(0.0),
            length: u32::try_from(state.elapsed)
                .map_err(|error| EnvError::InvalidState(error.to_string()))?,
        })
    }
}
