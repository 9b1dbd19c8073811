//! ray-rl.
