//! ray-benches.
