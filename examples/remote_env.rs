//! Steps the same environments in this thread, in threads and in worker processes, and compares the speed.
//!
//! Shows that a vector environment is a trait with several forms, and when processes pay.
//! cargo run --release --example remote_env -- [seconds per measurement]

use std::time::{Duration, Instant};

use environments::{
    EnvBuilder, Vectorization,
    vector::{Actions, AutoresetMode, StepBuffers, VectorEnv},
};
use ray_rl::{RlError, actors::RemoteVectorEnv};

const ID: &str = "CartPole-v1";
const MODE: AutoresetMode = AutoresetMode::SameStep;
const WORKERS: usize = 2;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // In a worker process this runs the worker and does not return.
    let ray = ray_core::init()?;
    let seconds = match std::env::args().nth(1) {
        Some(text) => text.parse::<f64>()?.clamp(0.01, 60.0),
        None => 0.5,
    };
    let limit = Duration::from_secs_f64(seconds);
    println!("environment steps per second, {ID}");
    println!(
        "{:>5} {:>14} {:>14} {:>14} {:>14} {:>14}",
        "envs", "one by one", "threads", "processes", "two processes", "pool, half"
    );
    for count in [8, 64] {
        let local = |form| {
            EnvBuilder::new(ID)
                .vectorization(form)
                .build_vec(count, MODE)
        };
        let one_by_one = measure(&mut *local(Vectorization::Sync)?, limit)?;
        let threads = measure(&mut *local(Vectorization::Threads(WORKERS))?, limit)?;
        // So many as pay, unless told.
        let remote = RemoteVectorEnv::builder(ID, count);
        let processes = measure(&mut remote.clone().build()?, limit)?;
        let remote = remote.workers(WORKERS);
        let two = measure(&mut remote.clone().build()?, limit)?;
        let pool = measure_pool(&mut remote.batch_size(count / 2).build()?, limit)?;
        println!(
            "{count:>5} {one_by_one:>14.0} {threads:>14.0} {processes:>14.0} {two:>14.0} {pool:>14.0}"
        );
    }
    ray.shutdown()?;
    Ok(())
}

/// Returns the steps per second when all step together.
fn measure(envs: &mut dyn VectorEnv, limit: Duration) -> Result<f64, RlError> {
    let mut out = StepBuffers::for_env(envs);
    let choices = (0..envs.num_envs() as i64).map(|env| env % 2);
    let choices = choices.collect::<Vec<_>>();
    envs.reset(Some(0), &mut out.obs)?;
    let (started, mut steps) = (Instant::now(), 0);
    while started.elapsed() < limit {
        envs.step(Actions::Discrete(&choices), &mut out)?;
        steps += envs.num_envs();
    }
    Ok(steps as f64 / started.elapsed().as_secs_f64())
}

/// Returns the steps per second when the first half that is ready goes on at once.
fn measure_pool(envs: &mut RemoteVectorEnv, limit: Duration) -> Result<f64, RlError> {
    let n = envs.num_envs();
    let mut ids = (0..n).collect::<Vec<_>>();
    let (mut out, choices) = (envs.batch_buffers(), vec![1; n]);
    envs.reset(Some(0), &mut vec![0.0; n * envs.observation_len()])?;
    envs.send(Actions::Discrete(&choices), &ids)?;
    let (started, mut steps) = (Instant::now(), 0);
    while started.elapsed() < limit {
        envs.recv(&mut out, &mut ids)?;
        steps += ids.len();
        envs.send(Actions::Discrete(&choices[..ids.len()]), &ids)?;
    }
    Ok(steps as f64 / started.elapsed().as_secs_f64())
}
