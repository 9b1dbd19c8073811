//! Algorithms, one file each, in the order of their papers.

pub mod ppo;
