//! Reinforcement learning on `ray-core` actors: environments, networks, PPO, parallel training.
//!
//! The maths and the algorithms ([`nn`], [`policy`], [`rollout`], [`algo`]) run in one process and know no
//! actors; [`actors`] and [`trainer`] compose them. A trainer with one runner gives the numbers of the
//! single-process loop, bit for bit, for the same seed.
//!
//! ```
//! use ray_rl::algo::ppo::Ppo;
//!
//! let mut ppo = Ppo::config("CartPole-v1").envs(4).total_steps(1024).build()?;
//! while ppo.timesteps() < 1024 {
//!     ppo.train()?;
//! }
//! # Ok::<(), ray_rl::RlError>(())
//! ```

pub mod actors;
pub mod algo;
pub mod nn;
pub mod policy;
pub mod report;
pub mod rollout;
pub mod trainer;

pub use environments;

/// What the code of [`register_env!`] names.
#[doc(hidden)]
pub mod __private {
    pub use crate::actors::remote_vector_env::ENVIRONMENTS;
    pub use linkme;
}

/// What can go wrong in training.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RlError {
    /// The environment's id is unknown.
    #[error(transparent)]
    UnknownEnv(#[from] environments::UnknownEnv),
    /// An environment refused a call.
    #[error("the environment failed: {0}")]
    Env(#[from] environments::EnvError),
    /// The runtime failed, or a runner or learner did.
    #[error(transparent)]
    Runtime(#[from] ray_core::Error),
    /// A setting makes no sense.
    #[error("setting `{name}`: {reason}")]
    Config {
        /// Its name.
        name: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// A loss or gradient is not a number; training cannot go on.
    #[error(
        "the {what} is not finite after {steps} steps; lower the learning rate or scale the rewards"
    )]
    NotFinite {
        /// Which number.
        what: &'static str,
        /// Environment steps done.
        steps: u64,
    },
    /// A file could not be written.
    #[error("could not write {path}: {error}")]
    Write {
        /// Where.
        path: String,
        /// What the system said.
        error: std::io::Error,
    },
}
