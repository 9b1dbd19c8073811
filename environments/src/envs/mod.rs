//! The environments, one file each; each file lists what it registers in `specs`.

pub(crate) mod acrobot;
pub(crate) mod cartpole;
pub mod minatar;
pub mod minigrid;
pub(crate) mod mountain_car;
mod mountain_car_continuous;
pub(crate) mod pendulum;
pub mod toy;

pub use acrobot::{Acrobot, Equations};
pub use cartpole::CartPole;
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
        cartpole::specs(),
        minatar::specs(),
        minigrid::specs(),
        mountain_car::specs(),
        mountain_car_continuous::specs(),
        pendulum::specs(),
        toy::specs(),
    ]
    .concat()
}
