//! Which failures use up a retry: what tasks say of it is one of a few things, and each is kept once.

use crate::failure::{Failure, RetryOn};

/// Stands in a task for its [`RetryOn`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Retries(u32);

/// Everything that tasks of this process ever said of it; no more than its program has to say.
pub(super) struct RetryTable(Vec<RetryOn>);

impl Default for RetryTable {
    fn default() -> RetryTable {
        // What nearly all say is found first.
        RetryTable(vec![RetryOn::Nothing, RetryOn::Everything])
    }
}

impl RetryTable {
    /// Returns what stands for `retry_on`.
    pub(super) fn keep(&mut self, retry_on: RetryOn) -> Retries {
        let known = self.0.iter().position(|other| *other == retry_on);
        let number = known.unwrap_or_else(|| {
            self.0.push(retry_on);
            self.0.len() - 1
        });
        Retries(u32::try_from(number).expect("a program has fewer lists of types"))
    }

    /// Returns whether a call that ended like this is tried again.
    pub(super) fn cover(&self, retries: Retries, failure: &Failure) -> bool {
        self.0[retries.0 as usize].covers(failure)
    }
}
