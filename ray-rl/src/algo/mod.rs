//! Algorithms, in the order of their papers.

pub mod ppo;
