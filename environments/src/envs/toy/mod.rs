//! Toy text: small problems whose dynamics are a table, and Blackjack.

mod blackjack;
mod cliff_walking;
mod frozen_lake;
mod play;
mod table;
mod taxi;

pub use blackjack::{Blackjack, Rules};
pub use cliff_walking::CliffWalking;
pub use frozen_lake::{FrozenLake, FrozenLakeConfig, random_map};
pub use table::{Transition, TransitionTable};
pub use taxi::{Taxi, TaxiConfig};

use crate::EnvSpec;

/// Returns the specs of these environments.
pub(super) fn specs() -> Vec<EnvSpec> {
    [
        blackjack::specs(),
        cliff_walking::specs(),
        frozen_lake::specs(),
        taxi::specs(),
    ]
    .concat()
}

/// Paints a text for a terminal, as Gymnasium's `colorize` does.
fn painted(text: &str, attributes: &str) -> String {
    format!("\x1b[{attributes}m{text}\x1b[0m")
}
