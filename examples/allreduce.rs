//! Actors that average their gradients among themselves, and what they hear when one of them dies.
//!
//! cargo run --release --example allreduce

use ray_core::{
    Error,
    collective::{Group, ReduceOp, allreduce},
    get_all,
    prelude::*,
};

#[actor(num_cpus = 0)]
struct Learner {
    group: Group,
}

#[remote]
impl Learner {
    /// Waits until all learners are there.
    pub fn new(rank: u32, world_size: u32) -> Result<Self, Error> {
        let group = Group::join("learners", rank, world_size)?;
        Ok(Learner { group })
    }

    /// The mean of all learners' gradients; elements travel from learner to learner.
    pub fn mean_gradient(&self, len: u64) -> Result<f32, Error> {
        let mut gradient = vec![self.group.rank() as f32; len as usize];
        allreduce(&self.group, &mut gradient, ReduceOp::Mean)?;
        Ok(gradient[gradient.len() - 1])
    }
}

fn main() -> ray_core::Result<()> {
    let ray = ray_core::init()?;
    let learners: Vec<_> = (0..4).map(|rank| Learner::remote(rank, 4)).collect();
    let means = |learners: &[LearnerHandle]| -> Vec<_> {
        let each = learners.iter();
        each.map(|learner| learner.mean_gradient(1_000_000))
            .collect()
    };
    println!("means: {:?}", get_all(&means(&learners))?);

    // A group lives as long as all its members do, and whoever waits is told.
    learners[3].kill(KillMode::NoRestart)?;
    if let Err(error) = get_all(&means(&learners[..3])) {
        println!("{error}");
    }
    ray.shutdown()
}
