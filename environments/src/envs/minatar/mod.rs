//! MinAtar: five Atari games, simplified to boards of 10 by 10. Young and Tian (2019).
//!
//! Equal step by step to the package `minatar` 1.0.15 under the same random draws. An observation is a
//! [`Board`]: one bit a cell and channel.

mod asterix;
mod board;
mod breakout;
mod freeway;
mod game;
mod saved;
mod seaquest;
mod space_invaders;
mod swimmer;

pub use asterix::Asterix;
pub use board::Board;
pub use breakout::Breakout;
pub use freeway::Freeway;
pub use game::{Game, MinAtar, Move};
pub use seaquest::Seaquest;
pub use space_invaders::SpaceInvaders;

use crate::EnvSpec;

/// Returns the specs of the five games.
pub(super) fn specs() -> Vec<EnvSpec> {
    [
        game::specs::<Asterix, 4>("Asterix"),
        game::specs::<Breakout, 4>("Breakout"),
        game::specs::<Freeway, 7>("Freeway"),
        game::specs::<Seaquest, 10>("Seaquest"),
        game::specs::<SpaceInvaders, 6>("SpaceInvaders"),
    ]
    .concat()
}
