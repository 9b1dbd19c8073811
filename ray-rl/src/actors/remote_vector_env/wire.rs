//! What a vector environment and its workers say to each other.

use environments::{EnvError, Frame, vector::AutoresetMode};
use ray_core::prelude::*;

use super::packed::Node;

/// What a worker makes.
#[derive(Data, Clone, Debug, PartialEq)]
pub struct WorkerConfig {
    /// The environment's id.
    pub id: String,
    /// Its arguments.
    pub kwargs: Vec<Node>,
    /// The caller's limit, in place of the spec's.
    pub max_episode_steps: Option<Option<u32>>,
    /// Whether infos are collected.
    pub infos: bool,
    /// What happens at an episode's end.
    pub mode: Mode,
    /// The index of the worker's first environment.
    pub first: u64,
    /// How many it has.
    pub count: u64,
    /// How many of them are stepped by one call of their vector form.
    pub unit: u64,
    /// The name of the mode in which they are drawn, if they are.
    pub render_mode: Option<String>,
}

/// What a worker says of its environments.
#[derive(Data, Clone, Debug, PartialEq)]
pub struct About {
    /// The space of one observation, as JSON.
    pub observation_space: String,
    /// The space of one action, as JSON.
    pub action_space: String,
    /// How many frames a second show them at their own speed.
    pub render_fps: u32,
}

/// A frame that can be sent.
#[derive(Data, Clone, Debug, PartialEq, Eq)]
pub enum Drawn {
    /// Text.
    Text(String),
    /// Rows of red, green, blue bytes.
    Picture {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
        /// The bytes.
        pixels: Vec<u8>,
    },
}

impl Drawn {
    /// Returns a frame as it is sent; `None` of one that is neither a text nor a picture.
    pub fn new(frame: Frame) -> Option<Drawn> {
        match frame {
            Frame::Ansi(text) => Some(Drawn::Text(text)),
            Frame::Rgb {
                width,
                height,
                pixels,
            } => Some(Drawn::Picture {
                width,
                height,
                pixels,
            }),
            _ => None,
        }
    }

    /// Returns the frame.
    pub fn into_frame(self) -> Frame {
        match self {
            Drawn::Text(text) => Frame::Ansi(text),
            Drawn::Picture {
                width,
                height,
                pixels,
            } => Frame::Rgb {
                width,
                height,
                pixels,
            },
        }
    }
}

/// An [`AutoresetMode`] that can be sent.
#[derive(Data, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The next step resets.
    NextStep,
    /// The same step resets.
    SameStep,
    /// The caller resets.
    Disabled,
}

impl From<AutoresetMode> for Mode {
    fn from(mode: AutoresetMode) -> Mode {
        match mode {
            AutoresetMode::NextStep => Mode::NextStep,
            AutoresetMode::SameStep => Mode::SameStep,
            AutoresetMode::Disabled => Mode::Disabled,
        }
    }
}

impl From<Mode> for AutoresetMode {
    fn from(mode: Mode) -> AutoresetMode {
        match mode {
            Mode::NextStep => AutoresetMode::NextStep,
            Mode::SameStep => AutoresetMode::SameStep,
            Mode::Disabled => AutoresetMode::Disabled,
        }
    }
}

/// Actions for some of a worker's environments.
#[derive(Data, Clone, Debug, Default, PartialEq)]
pub struct StepRequest {
    /// Which units, by their index in the worker; all when there are none.
    pub units: Vec<u32>,
    /// A row of choices each, where actions are discrete.
    pub choices: Vec<i64>,
    /// A row of numbers each, where they are not.
    pub values: Vec<f32>,
}

/// What a call did to `n` environments, in the order in which it named them.
#[derive(Data, Clone, Debug, Default, PartialEq)]
pub struct EnvReply {
    /// `[n, d]`: what the agents see now.
    pub obs: Vec<f32>,
    /// `[n]`: what they earned.
    pub rewards: Vec<f64>,
    /// `[n]`: the sum of [`TERMINATED`], [`TRUNCATED`], [`FINAL`], [`FAILED`].
    pub flags: Vec<u8>,
    /// The returns of the episodes that ended, a number for each row that says so.
    pub returns: Vec<f64>,
    /// Their lengths.
    pub lengths: Vec<u32>,
    /// The last observations of rows with [`FINAL`].
    pub final_obs: Vec<f32>,
    /// `[n]`, or empty where infos are not collected.
    pub infos: Vec<Vec<Node>>,
    /// The last infos of rows with [`FINAL`], or empty.
    pub final_infos: Vec<Vec<Node>>,
    /// What went wrong in rows with [`FAILED`].
    pub failures: Vec<Failure>,
}

/// The task ended.
pub const TERMINATED: u8 = 1;
/// The episode was cut.
pub const TRUNCATED: u8 = 2;
/// A final observation is there.
pub const FINAL: u8 = 4;
/// The environment failed.
pub const FAILED: u8 = 8;

/// An [`EnvError`] that can be sent.
#[derive(Data, Clone, Debug, PartialEq)]
pub struct Failure {
    /// Which row of the reply.
    pub row: u32,
    /// The environment of all that is at fault, where the worker knows.
    pub env: Option<u64>,
    kind: Kind,
    first: String,
    second: String,
}

#[derive(Data, Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    InvalidAction,
    ResetNeeded,
    InvalidOption,
    InvalidState,
    NotSupported,
    Broken,
    Python,
    EpisodeEnded,
}

impl Failure {
    /// Packs an error of the environment `env`.
    pub fn new(row: usize, env: Option<usize>, error: &EnvError) -> Failure {
        let (kind, first, second) = match error {
            EnvError::InvalidAction { action, space } => {
                (Kind::InvalidAction, action.clone(), space.clone())
            }
            EnvError::ResetNeeded => (Kind::ResetNeeded, String::new(), String::new()),
            EnvError::InvalidOption { option, reason } => {
                (Kind::InvalidOption, option.clone(), reason.clone())
            }
            EnvError::InvalidState(text) => (Kind::InvalidState, text.clone(), String::new()),
            EnvError::NotSupported(text) => (Kind::NotSupported, text.clone(), String::new()),
            EnvError::Broken(text) => (Kind::Broken, text.clone(), String::new()),
            EnvError::Python {
                exception,
                traceback,
            } => (Kind::Python, exception.clone(), traceback.clone()),
            EnvError::EpisodeEnded { .. } => (Kind::EpisodeEnded, String::new(), String::new()),
            other => (Kind::Broken, other.to_string(), String::new()),
        };
        Failure {
            row: row as u32,
            env: env.map(|env| env as u64),
            kind,
            first,
            second,
        }
    }

    /// Returns the error, with the environment's index where it is known.
    pub fn unpack(self) -> EnvError {
        let env = self.env.map(|env| env as usize);
        let error = match self.kind {
            Kind::InvalidAction => EnvError::InvalidAction {
                action: self.first,
                space: self.second,
            },
            Kind::ResetNeeded => EnvError::ResetNeeded,
            Kind::InvalidOption => EnvError::InvalidOption {
                option: self.first,
                reason: self.second,
            },
            Kind::InvalidState => EnvError::InvalidState(self.first),
            Kind::NotSupported => EnvError::NotSupported(self.first),
            Kind::Broken => EnvError::Broken(self.first),
            Kind::Python => EnvError::Python {
                exception: self.first,
                traceback: self.second,
            },
            Kind::EpisodeEnded => {
                return EnvError::EpisodeEnded {
                    env: env.unwrap_or_default(),
                };
            }
        };
        match env {
            Some(env) => EnvError::InVector {
                env,
                error: Box::new(error),
            },
            None => error,
        }
    }
}
