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
mod data;
mod dynamic;
mod env;
pub mod envs;
pub mod multi;
mod physics;
pub mod registry;
pub mod render;
pub mod replay;
pub mod rng;
mod space;
mod value;
pub mod vector;
pub mod wrappers;

pub use data::{Action, Observation};
pub use dynamic::{DynEnv, Erased};
pub use env::{Env, EnvError, Frame, Info, Metadata, Options, Outcome, RenderMode, State, Step};
pub use environments_derive::{Action, Observation};
pub use registry::{
    EnvBuilder, EnvId, EnvSpec, Kwargs, MakeError, MakeError as UnknownEnv, Vectorization, Warning,
    make, make_vec, make_with, on_warning, register,
};
pub use space::{
    BoxSpace, Dict, Discrete, GraphSpace, Mask, MultiBinary, MultiDiscrete, OneOf, Seed, Sequence,
    Space, SpaceError, SpaceSampler, TextSpace, Tuple,
};
pub use value::{Array, ArrayData, Dtype, Element, GraphInstance, Value};
