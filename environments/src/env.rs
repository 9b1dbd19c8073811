//! The trait that an environment implements, and what goes in and out of it.

use std::collections::BTreeMap;

use crate::Space;

/// A problem that an agent acts in, one at a time.
pub trait Env: Send {
    /// What the agent sees.
    type Observation: Observation;
    /// What the agent does.
    type Action: Action;

    /// Returns the space that observations are in.
    fn observation_space(&self) -> Space;

    /// Returns the space that actions are in.
    fn action_space(&self) -> Space;

    /// Begins an episode; `seed` starts the random numbers anew, without one they go on.
    ///
    /// # Errors
    /// Options that the environment does not take, or out of range.
    fn reset(
        &mut self,
        seed: Option<u64>,
        options: &Options,
    ) -> Result<(Self::Observation, Info), EnvError>;

    /// Does one action.
    ///
    /// # Errors
    /// An action outside the space, or a step before the first reset.
    fn step(&mut self, action: &Self::Action) -> Result<Step<Self::Observation>, EnvError>;

    /// Draws the state.
    ///
    /// # Errors
    /// `NotSupported` unless the environment says otherwise.
    fn render(&mut self, mode: RenderMode) -> Result<Frame, EnvError> {
        Err(EnvError::NotSupported(format!(
            "this environment does not render {mode:?}"
        )))
    }

    /// Returns everything that the next steps depend on, random numbers included.
    fn state(&self) -> State;

    /// Goes on from a state that [`Env::state`] returned.
    ///
    /// # Errors
    /// A state of another shape.
    fn set_state(&mut self, state: &State) -> Result<(), EnvError>;

    /// Returns after how many steps an episode is cut; `None` for never.
    fn max_episode_steps(&self) -> Option<u32> {
        None
    }
}

/// Something that an agent sees: it writes itself into a row of a batch.
pub trait Observation: Clone + Send + 'static {
    /// Writes the observation as numbers; `row` has the space's flat length.
    fn write(&self, row: &mut [f32]);
}

/// Something that an agent does: it reads itself from a row of a batch.
pub trait Action: Clone + Send + 'static {
    /// Reads a discrete choice; `None` when the action is not one.
    fn from_index(index: i64) -> Option<Self>;

    /// Reads continuous values; `None` when the action is discrete.
    fn from_values(values: &[f32]) -> Option<Self>;
}

impl<const N: usize> Observation for [f32; N] {
    fn write(&self, row: &mut [f32]) {
        row.copy_from_slice(self);
    }
}

impl Observation for i64 {
    fn write(&self, row: &mut [f32]) {
        row[0] = *self as f32;
    }
}

impl Action for i64 {
    fn from_index(index: i64) -> Option<i64> {
        Some(index)
    }

    fn from_values(_values: &[f32]) -> Option<i64> {
        None
    }
}

impl<const N: usize> Action for [f32; N] {
    fn from_index(_index: i64) -> Option<[f32; N]> {
        None
    }

    fn from_values(values: &[f32]) -> Option<[f32; N]> {
        values.try_into().ok()
    }
}

/// What one action led to.
#[derive(Clone, Debug, PartialEq)]
pub struct Step<O> {
    /// What the agent sees now.
    pub observation: O,
    /// What it earned.
    pub reward: f64,
    /// Whether the task ended; nothing follows.
    pub terminated: bool,
    /// Whether the episode was cut from outside; something would follow.
    pub truncated: bool,
    /// What else there is to know.
    pub info: Info,
}

/// Named values beside an observation; making an empty one allocates nothing.
pub type Info = BTreeMap<String, Value>;

/// Named values for a reset.
pub type Options = BTreeMap<String, Value>;

/// A value of an info, of options, or of a state.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// A truth.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// A text.
    Text(String),
    /// Several values.
    List(Vec<Value>),
}

/// Everything that an environment's next steps depend on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    /// The physical state, in the order that the environment documents.
    pub values: Vec<f64>,
    /// Steps since the reset.
    pub elapsed: u64,
    /// The state of the random numbers.
    pub rng: Vec<u64>,
    /// Other things that matter, by name.
    pub extra: BTreeMap<String, Value>,
}

/// How a state is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RenderMode {
    /// Text for a terminal.
    Ansi,
    /// An image.
    RgbArray,
}

/// A drawn state.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Frame {
    /// Text.
    Ansi(String),
    /// Rows of red, green, blue bytes.
    Rgb {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
        /// `height * width * 3` bytes.
        pixels: Vec<u8>,
    },
}

/// What can be wrong with the use of an environment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnvError {
    /// The action is not in the space; look at `action_space`.
    #[error("action {action} is not in the action space {space}")]
    InvalidAction {
        /// The action.
        action: String,
        /// The space.
        space: String,
    },
    /// `step` was called before `reset`.
    #[error("call `reset` before `step`")]
    ResetNeeded,
    /// An option of `reset` is unknown or out of range.
    #[error("option `{option}` of reset: {reason}")]
    InvalidOption {
        /// Its name.
        option: String,
        /// What is wrong.
        reason: String,
    },
    /// A state of another environment, or of another version.
    #[error("the state cannot be set: {0}")]
    InvalidState(String),
    /// The environment does not do this.
    #[error("{0}")]
    NotSupported(String),
    /// A buffer has another size than the environment needs.
    #[error("buffer `{buffer}` has {found} elements and needs {needed}")]
    WrongBuffer {
        /// Which.
        buffer: &'static str,
        /// How many it has.
        found: usize,
        /// How many it needs.
        needed: usize,
    },
}
