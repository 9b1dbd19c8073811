//! ray-net.
