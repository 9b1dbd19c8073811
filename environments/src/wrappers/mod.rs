//! Environments around environments, each changing one thing.

mod checker;
mod order;
mod time_limit;

pub use checker::PassiveEnvChecker;
pub use order::OrderEnforcing;
pub use time_limit::TimeLimit;
