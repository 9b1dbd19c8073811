//! ray-shm.
