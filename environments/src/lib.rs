//! Gymnasium in Rust: the `Env` trait, spaces, vector environments, and classic environments.
//!
//! Depends on nothing of the runtime's. `terminated` (the task ended: the value of the next state is 0)
//! and `truncated` (cut from outside: bootstrap from the next state) are never mixed.
//!
//! ```
//! use environments::{Env, Options, envs::CartPole};
//!
//! let mut env = CartPole::new();
//! env.reset(Some(7), &Options::default())?;
//! let step = env.step(&1)?;
//! assert_eq!((step.reward, step.terminated), (1.0, false));
//! # Ok::<(), environments::EnvError>(())
//! ```

pub mod board;
mod env;
pub mod envs;
mod registry;
pub mod render;
pub mod rng;
mod space;
pub mod vector;

pub use env::{
    Action, Env, EnvError, Frame, Info, Observation, Options, RenderMode, State, Step, Value,
};
pub use registry::{IDS, UnknownEnv, make_vec};
pub use space::{BoxSpace, Discrete, Space};
