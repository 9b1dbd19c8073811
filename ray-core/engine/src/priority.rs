//! Who comes first when not all can be served.

/// For what an object, or room for it, is wanted; the first comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// Somebody blocks in `get`, or makes an object.
    Get,
    /// Somebody blocks in `wait`.
    Wait,
    /// A task is to run.
    Arguments,
}
