//! ray-macros.
