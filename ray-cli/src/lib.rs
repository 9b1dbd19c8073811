//! ray-cli.
