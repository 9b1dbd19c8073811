//! What is odd but no error, and who hears of it.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

/// Something that works and may not be what was meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Warning {
    /// An id without a version was taken for the latest.
    #[error("`{id}` names no version: using `{latest}`")]
    Unversioned {
        /// What was asked for.
        id: String,
        /// What is used.
        latest: String,
    },
    /// There is a later version.
    #[error("`{id}` is out of date: consider `{latest}`")]
    Outdated {
        /// What was asked for.
        id: String,
        /// The latest.
        latest: String,
    },
    /// A spec was registered in place of another.
    #[error("`{id}` was registered before and now means another environment")]
    Overridden {
        /// The id.
        id: String,
    },
    /// An environment does something that its spaces or the interface do not allow.
    #[error("`{id}`: {problem}")]
    Suspicious {
        /// The environment.
        id: String,
        /// What it does.
        problem: String,
    },
}

type Listener = Arc<dyn Fn(&Warning) + Send + Sync>;

static LISTENER: RwLock<Option<Listener>> = RwLock::new(None);

/// The lines that went to the standard error stream.
static TOLD: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// After so many different lines another one helps nobody.
const TOLD_MAX: usize = 1_000;

/// Has warnings told to `listener`.
///
/// Without a listener they are [`tracing`] events at the level `WARN`, where the program has a subscriber. Where it has
/// neither, a line goes to the standard error stream, once for each warning: nobody would hear of it otherwise.
///
/// ```
/// environments::on_warning(|warning| assert!(warning.to_string().contains("CartPole-v1")));
/// environments::make("CartPole")?;
/// # Ok::<(), environments::MakeError>(())
/// ```
pub fn on_warning(listener: impl Fn(&Warning) + Send + Sync + 'static) {
    *LISTENER.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(listener));
}

/// Tells a warning.
pub(crate) fn warn(warning: Warning) {
    let listener = LISTENER
        .read()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    match listener {
        Some(listener) => listener(&warning),
        None if tracing::dispatcher::has_been_set() => tracing::warn!("{warning}"),
        None => {
            let line = warning.to_string();
            let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
            if told.len() < TOLD_MAX && !told.contains(&line) {
                eprintln!("environments: {line}");
                told.insert(line);
            }
        }
    }
}
