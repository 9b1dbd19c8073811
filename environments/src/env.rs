//! The trait that an environment implements, and what goes in and out of it.

use std::{collections::BTreeMap, fmt};

use crate::{Action, EnvSpec, Observation, Space, Value, rng::Rng};

/// A problem that an agent acts in, one at a time.
///
/// An implementation gives `reset`, `step`, `state` and `set_state`, and its spaces where the types do not say them;
/// the rest have defaults that say "I do not". The trait works as an object once both types are given: see
/// [`DynEnv`](crate::DynEnv).
///
/// An environment does not count its steps to cut episodes: the limit stands in its [`EnvSpec`], and
/// [`TimeLimit`](crate::wrappers::TimeLimit) or a vector environment applies it.
pub trait Env: Send {
    /// What the agent sees.
    type Observation: Observation;
    /// What the agent does.
    type Action: Action;

    /// Returns the space that observations are in: unless given, the widest that the type says.
    ///
    /// # Panics
    /// When it is not given, and the type says none, as [`Value`] does.
    fn observation_space(&self) -> Space {
        Self::Observation::space().unwrap_or_else(|| unsaid::<Self::Observation>("observation"))
    }

    /// Returns the space that actions are in: unless given, the widest that the type says.
    ///
    /// # Panics
    /// When it is not given, and the type says none, as [`Value`] does.
    fn action_space(&self) -> Space {
        Self::Action::space().unwrap_or_else(|| unsaid::<Self::Action>("action"))
    }

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

    /// Returns everything that the next steps depend on, random numbers included.
    fn state(&self) -> State;

    /// Goes on from a state that [`Env::state`] returned.
    ///
    /// # Errors
    /// A state of another shape.
    fn set_state(&mut self, state: &State) -> Result<(), EnvError>;

    /// Does what [`Env::reset`] does, with the observation written into a row and no info.
    ///
    /// Vector environments call it. Override it where an observation is large: write it in place.
    ///
    /// # Errors
    /// As [`Env::reset`].
    fn reset_into(
        &mut self,
        seed: Option<u64>,
        options: &Options,
        row: &mut [f32],
    ) -> Result<(), EnvError> {
        self.reset(seed, options)
            .map(|(observation, _)| observation.write(row))
    }

    /// Does what [`Env::step`] does, with the observation written into a row and no info.
    ///
    /// Vector environments call it. Override it where an observation is large or an info costs.
    ///
    /// # Errors
    /// As [`Env::step`].
    #[inline]
    fn step_into(&mut self, action: &Self::Action, row: &mut [f32]) -> Result<Outcome, EnvError> {
        let step = self.step(action)?;
        step.observation.write(row);
        Ok(Outcome {
            reward: step.reward,
            terminated: step.terminated,
            truncated: step.truncated,
        })
    }

    /// Writes which choices make sense now, and returns `true`; `false` where the environment does not know.
    fn action_mask(&self, _mask: &mut [bool]) -> bool {
        false
    }

    /// Draws the state.
    ///
    /// # Errors
    /// `NotSupported` for a mode that is not among [`Metadata::render_modes`].
    fn render(&mut self, mode: RenderMode) -> Result<Frame, EnvError> {
        Err(EnvError::not_drawn("this environment", mode))
    }

    /// Returns how it can be drawn.
    fn metadata(&self) -> Metadata {
        Metadata::default()
    }

    /// Returns the mode that `make` was asked for.
    fn render_mode(&self) -> Option<RenderMode> {
        None
    }

    /// Returns what it was made from, when `make` made it.
    fn spec(&self) -> Option<&EnvSpec> {
        None
    }

    /// Returns after how many steps an episode is cut; `None` for never.
    fn max_episode_steps(&self) -> Option<u32> {
        None
    }

    /// Returns the generator, to script its draws; `None` where there is no chance.
    fn rng_mut(&mut self) -> Option<&mut Rng> {
        None
    }
}

fn unsaid<T>(what: &str) -> Space {
    let name = std::any::type_name::<T>();
    panic!("`{name}` does not say its space: give the environment a method `{what}_space`")
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

impl<O> Step<O> {
    /// Returns a step after which the episode goes on, with no info.
    ///
    /// ```
    /// use environments::Step;
    ///
    /// let step = Step::new([0.5_f32], -1.0).terminated(true);
    /// assert_eq!((step.reward, step.terminated, step.truncated), (-1.0, true, false));
    /// ```
    pub fn new(observation: O, reward: f64) -> Step<O> {
        Step {
            observation,
            reward,
            terminated: false,
            truncated: false,
            info: Info::new(),
        }
    }

    /// Sets whether the task ended.
    pub fn terminated(mut self, value: bool) -> Step<O> {
        self.terminated = value;
        self
    }

    /// Sets whether the episode was cut from outside, other than by the spec's limit.
    pub fn truncated(mut self, value: bool) -> Step<O> {
        self.truncated = value;
        self
    }

    /// Sets what else there is to know.
    pub fn info(mut self, value: Info) -> Step<O> {
        self.info = value;
        self
    }

    /// Returns the step with another observation.
    pub fn map<P>(self, convert: impl FnOnce(O) -> P) -> Step<P> {
        Step {
            observation: convert(self.observation),
            reward: self.reward,
            terminated: self.terminated,
            truncated: self.truncated,
            info: self.info,
        }
    }
}

/// What one action led to, without the observation.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Outcome {
    /// What the agent earned.
    pub reward: f64,
    /// Whether the task ended; nothing follows.
    pub terminated: bool,
    /// Whether the episode was cut from outside; something would follow.
    pub truncated: bool,
}

/// Named values beside an observation; making an empty one allocates nothing.
pub type Info = BTreeMap<String, Value>;

/// Named values for a reset.
pub type Options = BTreeMap<String, Value>;

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

impl State {
    /// Returns the state of so many numbers, which come back from [`State::numbers`], and of the random ones.
    ///
    /// ```
    /// use environments::{State, rng::Rng};
    ///
    /// let mut rng = Rng::new(7);
    /// let state = State::new([1.0, -0.5], &rng);
    /// let next = rng.unit();
    /// state.restore_rng(&mut rng);
    /// assert_eq!((state.numbers()?, rng.unit()), ([1.0, -0.5], next));
    /// # Ok::<(), environments::EnvError>(())
    /// ```
    pub fn new(values: impl Into<Vec<f64>>, rng: &Rng) -> State {
        State {
            values: values.into(),
            rng: rng.save(),
            ..State::default()
        }
    }

    /// Returns the physical state.
    ///
    /// # Errors
    /// Another number of numbers.
    pub fn numbers<const N: usize>(&self) -> Result<[f64; N], EnvError> {
        let found = self.values.len();
        let numbers = self.values.as_slice().try_into();
        numbers.map_err(|_| EnvError::InvalidState(format!("it has {found} values and not {N}")))
    }

    /// Goes on with the random numbers that were saved; a state without any leaves them as they are.
    pub fn restore_rng(&self, rng: &mut Rng) {
        if let Some(saved) = Rng::restore(&self.rng) {
            *rng = saved;
        }
    }
}

/// How a state is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RenderMode {
    /// Text for a terminal.
    Ansi,
    /// An image.
    RgbArray,
    /// On this process's terminal, after each reset and step; see [`HumanRendering`](crate::wrappers::HumanRendering).
    Human,
    /// The texts since the last call; see [`RenderCollection`](crate::wrappers::RenderCollection).
    AnsiList,
    /// The images since the last call; see [`RenderCollection`](crate::wrappers::RenderCollection).
    RgbArrayList,
}

impl RenderMode {
    /// Returns Gymnasium's name for it.
    pub fn name(self) -> &'static str {
        match self {
            RenderMode::Ansi => "ansi",
            RenderMode::RgbArray => "rgb_array",
            RenderMode::Human => "human",
            RenderMode::AnsiList => "ansi_list",
            RenderMode::RgbArrayList => "rgb_array_list",
        }
    }

    /// Returns the mode of one frame of a list; `None` of a mode that draws no list.
    pub fn of_each(self) -> Option<RenderMode> {
        match self {
            RenderMode::AnsiList => Some(RenderMode::Ansi),
            RenderMode::RgbArrayList => Some(RenderMode::RgbArray),
            RenderMode::Ansi | RenderMode::RgbArray | RenderMode::Human => None,
        }
    }

    /// Returns the mode that draws a list of what this one draws; `None` where there is none.
    pub fn list(self) -> Option<RenderMode> {
        RenderMode::ALL
            .into_iter()
            .find(|mode| mode.of_each() == Some(self))
    }

    /// Returns the mode of a name.
    pub fn from_name(name: &str) -> Option<RenderMode> {
        RenderMode::ALL.into_iter().find(|mode| mode.name() == name)
    }

    /// Every mode.
    const ALL: [RenderMode; 5] = [
        RenderMode::Ansi,
        RenderMode::RgbArray,
        RenderMode::Human,
        RenderMode::AnsiList,
        RenderMode::RgbArrayList,
    ];
}

/// How an environment can be drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metadata {
    /// The modes that [`Env::render`] takes.
    pub render_modes: &'static [RenderMode],
    /// How many frames a second show it at its own speed; 0 where that means nothing.
    pub render_fps: u32,
}

impl Metadata {
    /// Returns what can be drawn, and how fast.
    pub const fn new(render_modes: &'static [RenderMode], render_fps: u32) -> Metadata {
        Metadata {
            render_modes,
            render_fps,
        }
    }

    /// Returns it with another mode, which a wrapper adds.
    pub(crate) fn with_mode(self, mode: RenderMode) -> Metadata {
        use RenderMode::{Ansi, AnsiList, Human, RgbArray, RgbArrayList};
        let has = |mode| self.render_modes.contains(&mode);
        let render_modes: &[RenderMode] = match (mode, has(Ansi), has(RgbArray)) {
            _ if has(mode) => self.render_modes,
            (Human, true, true) => &[Ansi, RgbArray, Human],
            (Human, true, false) => &[Ansi, Human],
            (Human, false, true) => &[RgbArray, Human],
            (AnsiList, true, true) => &[Ansi, RgbArray, AnsiList],
            (AnsiList, true, false) => &[Ansi, AnsiList],
            (RgbArrayList, true, true) => &[Ansi, RgbArray, RgbArrayList],
            (RgbArrayList, false, true) => &[RgbArray, RgbArrayList],
            _ => self.render_modes,
        };
        Metadata {
            render_modes,
            ..self
        }
    }
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
    /// Several, the oldest first.
    List(Vec<Frame>),
    /// Nothing to hand out: it is on the terminal.
    Shown,
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
    /// The environment cannot tell what its next steps depend on, so there is no state to go on from.
    #[error("its state could not be saved: {reason}")]
    StateNotSaved {
        /// Why, and what to do.
        reason: String,
    },
    /// The environment does not do this.
    #[error("{0}")]
    NotSupported(String),
    /// The environment broke its own promise; its author is at fault.
    #[error("the environment is at fault: {0}")]
    Broken(String),
    /// An environment of Python raised; the traceback says where.
    #[error("Python raised {exception}\n{traceback}")]
    Python {
        /// Its type and message.
        exception: String,
        /// What Python prints of it.
        traceback: String,
    },
    /// A step after an episode's end, where nothing resets by itself; call `reset_where` first.
    #[error("the episode of environment {env} has ended: reset it before the next step")]
    EpisodeEnded {
        /// Which of a vector.
        env: usize,
    },
    /// One environment of a vector failed; the others went on.
    #[error("environment {env}: {error}")]
    InVector {
        /// Which.
        env: usize,
        /// What it said.
        error: Box<EnvError>,
    },
    /// The process of an environment failed, or the way to it; whether the call ran is unknown.
    #[error("out of reach: {0}")]
    Unreachable(String),
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

impl EnvError {
    /// Returns that an action is not in the space of actions.
    pub fn invalid_action(action: impl fmt::Display, space: impl fmt::Display) -> EnvError {
        EnvError::InvalidAction {
            action: action.to_string(),
            space: space.to_string(),
        }
    }

    /// Returns that an environment is not drawn in a mode; `name` says which environment.
    pub fn not_drawn(name: &str, mode: RenderMode) -> EnvError {
        EnvError::NotSupported(format!("{name} does not render `{}`", mode.name()))
    }
}
