//! PPO learns CartPole.

fn main() {}
