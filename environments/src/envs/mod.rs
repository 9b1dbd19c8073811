//! The environments, one file each.

mod cartpole;
pub mod minigrid;
mod pendulum;

pub use cartpole::CartPole;
pub use minigrid::MiniGrid;
pub use pendulum::Pendulum;
