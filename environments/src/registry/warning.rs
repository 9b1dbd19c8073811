//! What is odd but no error, and who hears of it.

use std::sync::{Arc, PoisonError, RwLock};

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

/// Has warnings told to `listener`, in place of a line each on the standard error stream.
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
        None => eprintln!("environments: {warning}"),
    }
}
