//! Replays recorded episodes against the registered environments.
//!
//! A trace file is JSON: the id of an environment, and episodes that begin in an explicit state or with the
//! recorded results of random draws, so that differences of generators do not matter. Each is replayed action
//! by action; the verdict names the first thing that differs. Which keys a file may have:
//!
//! | key of a trace | replayed as |
//! | --- | --- |
//! | `init_state` | reset, set the state, step |
//! | `player`, `dealer`, `cards_drawn` | Blackjack: set the hands, script the cards |
//! | `reset_draws`, `step_draws` | MinAtar, LunarLander: script the draws of the reset and of each step |
//! | `autoreset_mode` | a vector environment whose resets begin in given states |
//!
//! A file's `P`, or `P1`, and `initial_state_distribution` are compared with the transition table.
//!
//! ```
//! let file = r#"{"env": "CliffWalking-v1", "traces": [
//!     {"init_state": 36, "actions": [0, 1], "obs": [24, 25], "rewards": [-1, -1], "terminated": null}]}"#;
//! let verdicts = environments::replay::replay(file)?;
//! assert!(verdicts[0].is_ok());
//! # Ok::<(), environments::replay::ReplayError>(())
//! ```

mod compare;
mod episode;
mod file;
mod scripted;
mod table;
mod vector;

use serde_json::Value as Json;

use crate::{EnvError, MakeError};
use file::TraceFile;

/// What became of one part of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Which part.
    pub part: Part,
    /// The first thing that differs; `None` when nothing does.
    pub first_difference: Option<String>,
}

impl Verdict {
    /// Returns whether nothing differs.
    pub fn is_ok(&self) -> bool {
        self.first_difference.is_none()
    }
}

/// A part of a file that is compared by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The episode of this number, from 0.
    Trace(usize),
    /// The transition table.
    Table,
    /// What the file says of the environment itself; only reported when it differs.
    Spec,
}

/// Why a file could not be replayed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// The text is not JSON.
    #[error("not JSON: {0}")]
    Json(String),
    /// The JSON is not a trace file; the text says where.
    #[error("{0}")]
    Malformed(String),
    /// The environment could not be made.
    #[error(transparent)]
    Make(#[from] MakeError),
    /// The environment refused a recorded start.
    #[error(transparent)]
    Env(#[from] EnvError),
}

/// Replays everything in a trace file's text.
///
/// # Errors
/// A text that is not a trace file, or one of an environment that cannot be made.
pub fn replay(text: &str) -> Result<Vec<Verdict>, ReplayError> {
    let json: Json =
        serde_json::from_str(text).map_err(|error| ReplayError::Json(error.to_string()))?;
    let file = TraceFile::new(&json)?;
    let mut verdicts = Vec::new();
    if let Some(difference) = file.spec_difference()? {
        verdicts.push(Verdict {
            part: Part::Spec,
            first_difference: Some(difference),
        });
    }
    if table::has_table(&json) {
        verdicts.push(Verdict {
            part: Part::Table,
            first_difference: table::difference(&file)?,
        });
    }
    for number in 0..file.traces.len() {
        let trace = file.trace(number)?;
        let difference = if trace.has("autoreset_mode") {
            vector::difference(&trace)
        } else if trace.has("player") {
            scripted::blackjack_difference(&trace)
        } else if trace.has("reset_draws") || trace.has("step_draws") {
            scripted::difference(&trace)
        } else {
            episode::difference(&trace)
        };
        verdicts.push(Verdict {
            part: Part::Trace(number),
            first_difference: difference.map_err(|error| match error {
                ReplayError::Malformed(text) => {
                    ReplayError::Malformed(format!("trace {number}: {text}"))
                }
                other => other,
            })?,
        });
    }
    Ok(verdicts)
}
