//! The environments, one file each; each file lists what it registers in `specs`.

pub(crate) mod acrobot;
mod bipedal_walker;
pub(crate) mod cartpole;
mod draw;
mod lunar_lander;
pub mod minatar;
pub mod minigrid;
pub(crate) mod mountain_car;
mod mountain_car_continuous;
pub(crate) mod pendulum;
pub mod toy;

pub use acrobot::{Acrobot, Equations};
pub use bipedal_walker::{BipedalWalker, BipedalWalkerHeuristic};
pub use cartpole::CartPole;
pub use lunar_lander::{
    LunarLander, LunarLanderConfig, LunarLanderContinuous, lunar_lander_heuristic,
    lunar_lander_heuristic_continuous,
};
pub use minigrid::MiniGrid;
pub use mountain_car::MountainCar;
pub use mountain_car_continuous::MountainCarContinuous;
pub use pendulum::Pendulum;
pub use toy::{Blackjack, CliffWalking, FrozenLake, Taxi};

use crate::EnvSpec;

/// Returns the specs of all environments of this crate.
pub(crate) fn specs() -> Vec<EnvSpec> {
    [
        acrobot::specs(),
        bipedal_walker::specs(),
        cartpole::specs(),
        lunar_lander::specs(),
        minatar::specs(),
        minigrid::specs(),
        mountain_car::specs(),
        mountain_car_continuous::specs(),
        pendulum::specs(),
        toy::specs(),
    ]
    .concat()
}
