//! Training loops that are made of actors.

mod ppo;

pub use ppo::PpoTrainer;
