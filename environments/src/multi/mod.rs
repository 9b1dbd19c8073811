//! Environments of several agents: all act at once ([`ParallelEnv`]), or one after the other ([`TurnEnv`]).
//!
//! The semantics are PettingZoo's (Terry et al. 2021): an agent that has ended leaves, the others go on; in turns,
//! an agent that has ended steps once more, without an action, to leave. [`ParallelToTurn`] and [`TurnToParallel`]
//! convert; [`check_parallel_env`] and [`check_turn_env`] find broken promises.

mod board_env;
mod check;
mod convert;
mod coop_cartpole;
mod parallel;
mod simple_spread;
mod turn;

use std::{collections::BTreeMap, fmt};

pub use board_env::{BoardEnv, Planes};
pub use check::{check_parallel_env, check_turn_env};
pub use convert::{ParallelToTurn, TurnToParallel};
pub use coop_cartpole::CoopCartPole;
pub use parallel::ParallelEnv;
pub use simple_spread::SimpleSpread;
pub use turn::{TurnEnv, Turns};

/// An agent: its place among the environment's possible agents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgentId(pub usize);

impl fmt::Display for AgentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "agent {}", self.0)
    }
}

/// One thing for each of some agents.
pub type AgentMap<T> = BTreeMap<AgentId, T>;
