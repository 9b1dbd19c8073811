//! The environments, one file each; each file lists what it registers in `specs`.

mod cartpole;
pub mod minigrid;
mod pendulum;

pub use cartpole::CartPole;
pub use minigrid::MiniGrid;
pub use pendulum::Pendulum;

use crate::EnvSpec;

/// Returns the specs of all environments of this crate.
pub(crate) fn specs() -> Vec<EnvSpec> {
    [cartpole::specs(), minigrid::specs(), pendulum::specs()].concat()
}
