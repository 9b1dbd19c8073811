//! Environments around environments, each changing one thing.

mod checker;
mod order;
mod record_video;
mod time_limit;

pub use checker::PassiveEnvChecker;
pub use order::OrderEnforcing;
pub use record_video::RecordVideo;
pub use time_limit::TimeLimit;
