//! The environments, one file each; each file lists what it registers in `specs`.

mod bipedal_walker;
mod cartpole;
mod draw;
mod lunar_lander;
mod pendulum;

pub use bipedal_walker::{BipedalWalker, BipedalWalkerHeuristic};
pub use cartpole::CartPole;
pub use lunar_lander::{
    LunarLander, LunarLanderConfig, LunarLanderContinuous, lunar_lander_heuristic,
    lunar_lander_heuristic_continuous,
};
pub use pendulum::Pendulum;

use crate::EnvSpec;

/// Returns the specs of all environments of this crate.
pub(crate) fn specs() -> Vec<EnvSpec> {
    [
        cartpole::specs(),
        pendulum::specs(),
        lunar_lander::specs(),
        bipedal_walker::specs(),
    ]
    .concat()
}
