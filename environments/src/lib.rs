//! Gymnasium in Rust: the `Env` trait, spaces, a registry, vector environments, and classic environments.
//!
//! Depends on nothing of the runtime's. `terminated` (the task ended: the value of the next state is 0)
//! and `truncated` (cut from outside: bootstrap from the next state) are never mixed.
//!
//! # Using an environment
//! By name, over [`Value`]s:
//!
//! ```
//! use environments::{Options, make, rng::Rng};
//!
//! let mut env = make("CartPole-v1")?;
//! let (actions, mut rng) = (env.action_space(), Rng::new(0));
//! let (mut observation, _) = env.reset(Some(7), &Options::new())?;
//! loop {
//!     let step = env.step(&actions.sample(&mut rng))?;
//!     observation = step.observation;
//!     if step.terminated || step.truncated {
//!         break;
//!     }
//! }
//! assert!(env.observation_space().contains(&observation));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! By type, over its own observations and actions:
//!
//! ```
//! use environments::{Env, Options, envs::CartPole};
//!
//! let mut env = CartPole::new();
//! env.reset(Some(7), &Options::new())?;
//! let step = env.step(&1)?;
//! assert_eq!((step.reward, step.terminated), (1.0, false));
//! # Ok::<(), environments::EnvError>(())
//! ```
//!
//! Many at once, into buffers that are used again and again (see [`vector`]):
//!
//! ```
//! use environments::{make_vec, vector::{Actions, AutoresetMode, StepBuffers}};
//!
//! let mut envs = make_vec("CartPole-v1", 64, AutoresetMode::SameStep)?;
//! let mut out = StepBuffers::for_env(&*envs);
//! envs.reset(Some(0), &mut out.obs)?;
//! envs.step(Actions::Discrete(&[1; 64]), &mut out)?;
//! assert_eq!(out.rewards, [1.0; 64]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Any of Python's Gymnasium, with the feature `python`, an interpreter and the package:
//!
//! ```no_run
//! use environments::{make_vec, vector::AutoresetMode};
//!
//! let envs = make_vec("gym:ALE/Pong-v5", 8, AutoresetMode::SameStep)?;
//! # Ok::<(), environments::MakeError>(())
//! ```
//!
//! # Writing an environment
//! Types say what the agent sees and does, and their spaces follow; four methods make the environment, and one
//! spec gives it a name, a step limit and its vector form. `check_env` tries it.
//!
//! ```
//! use environments::{
//!     Action, Env, EnvError, EnvSpec, Info, Observation, Options, State, Step, check_env, make,
//!     make_vec, register, rng::Rng, vector::{Actions, AutoresetMode, StepBuffers},
//! };
//!
//! #[derive(Clone, Copy, Debug, Action)] enum Walk { Left, Right }
//! #[derive(Clone, Debug, Observation)] struct Seen { #[space(n = 9)] position: i64 }
//!
//! /// A corridor of nine fields; the door is at its right end.
//! struct Corridor { position: i64, rng: Rng }
//!
//! impl Env for Corridor {
//!     type Observation = Seen;
//!     type Action = Walk;
//!
//!     fn reset(&mut self, seed: Option<u64>, _: &Options) -> Result<(Seen, Info), EnvError> {
//!         if let Some(seed) = seed { self.rng = Rng::new(seed); }
//!         self.position = self.rng.below(4) as i64;
//!         Ok((Seen { position: self.position }, Info::new()))
//!     }
//!
//!     fn step(&mut self, action: &Walk) -> Result<Step<Seen>, EnvError> {
//!         self.position += match action { Walk::Left => -1, Walk::Right => 1 };
//!         self.position = self.position.clamp(0, 8);
//!         let is_out = self.position == 8;
//!         let reward = if is_out { 1.0 } else { -0.01 };
//!         Ok(Step::new(Seen { position: self.position }, reward).terminated(is_out))
//!     }
//!
//!     fn state(&self) -> State { State::new([self.position as f64], &self.rng) }
//!
//!     fn set_state(&mut self, state: &State) -> Result<(), EnvError> {
//!         let [position] = state.numbers()?;
//!         self.position = position as i64;
//!         state.restore_rng(&mut self.rng);
//!         Ok(())
//!     }
//! }
//!
//! register(EnvSpec::new("demo/Corridor-v0", |_| {
//!     Ok(Corridor { position: 0, rng: Rng::from_entropy() })
//! }).max_episode_steps(50))?;
//!
//! let mut env = make("demo/Corridor-v0")?;
//! env.reset(Some(1), &Options::new())?;
//! assert_eq!(env.step(&1.into())?.reward, -0.01);
//! assert_eq!(check_env(|| make("demo/Corridor-v0").expect("it is registered")), []);
//!
//! let mut envs = make_vec("demo/Corridor-v0", 8, AutoresetMode::SameStep)?;
//! let mut out = StepBuffers::for_env(&*envs);
//! envs.reset(Some(1), &mut out.obs)?;
//! envs.step(Actions::Discrete(&[1; 8]), &mut out)?;
//! assert_eq!(out.rewards, [-0.01; 8]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! - All randomness comes from the environment's [`rng::Rng`], which a seed starts anew; without one it goes on.
//! - A step limit belongs in the spec, not in the environment; `terminated` is for the task's own end alone.
//! - What else matters to the next steps goes into [`State::extra`]; arguments of `make` come as [`Kwargs`].
//! - To be drawn, an environment adds `render` and `metadata`: [`render::Canvas`] draws without a window, and
//!   [`wrappers::RecordVideo`] records it. The example `custom_env` does all of that in sixty lines.
//!
//! [`check_env`] plays it and says what is wrong and how it is mended; [`wrappers`] change what it shows, takes or
//! pays.

pub mod board;
pub mod check;
mod data;
mod dynamic;
mod env;
pub mod envs;
pub mod multi;
mod physics;
#[cfg(feature = "python")]
mod python;
pub mod registry;
pub mod render;
pub mod replay;
pub mod rng;
mod space;
mod value;
pub mod vector;
pub mod wrappers;

pub use check::{check_env, check_environments_match};
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
