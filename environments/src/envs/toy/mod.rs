//! Toy text: small problems whose dynamics are a table, and Blackjack.

mod blackjack;
mod cliff_walking;
mod draw;
mod frozen_lake;
mod play;
mod table;
mod taxi;
mod taxi_streets;

pub use blackjack::{Blackjack, Rules};
pub use cliff_walking::CliffWalking;
pub use frozen_lake::{FrozenLake, FrozenLakeConfig, random_map};
pub use table::{Transition, TransitionTable};
pub use taxi::{Taxi, TaxiConfig};

use crate::{EnvSpec, Kwargs, MakeError};

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

/// Returns the dynamics of the environment that a name and its arguments mean; `None` where they are no table.
///
/// # Errors
/// Arguments that the environment does not take.
pub fn transition_table(
    name: &str,
    kwargs: &mut Kwargs,
) -> Result<Option<TransitionTable>, MakeError> {
    let table = match name {
        "CliffWalking" | "CliffWalkingSlippery" => {
            cliff_walking::from_kwargs(kwargs)?.table().clone()
        }
        "FrozenLake" | "FrozenLake8x8" => frozen_lake::from_kwargs(kwargs)?.table().clone(),
        "Taxi" => taxi::from_kwargs(kwargs)?.table().clone(),
        _ => return Ok(None),
    };
    kwargs.finish()?;
    Ok(Some(table))
}

/// Paints a text for a terminal, as Gymnasium's `colorize` does.
fn painted(text: &str, attributes: &str) -> String {
    format!("\x1b[{attributes}m{text}\x1b[0m")
}
