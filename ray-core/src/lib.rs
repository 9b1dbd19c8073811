//! ray-core.
