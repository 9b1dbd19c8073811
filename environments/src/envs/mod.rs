//! The environments, one file each; each file lists what it registers in `specs`.

pub(crate) mod cartpole;
pub(crate) mod pendulum;

pub use cartpole::CartPole;
pub use pendulum::Pendulum;

use crate::EnvSpec;

/// Returns the specs of all environments of this crate.
pub(crate) fn specs() -> Vec<EnvSpec> {
    [cartpole::specs(), pendulum::specs()].concat()
}
