//! Environment steps a second that PPO learns from, in one process and with runner actors.
//!
//! `cargo run --release -p ray-benches --bin ppo-bench -- --json`. The setting is that of the peers' table: CartPole-v1,
//! 128 steps an environment and rollout, 4 epochs, 4 minibatches, two hidden layers of 64, tanh, Adam.

use std::{error::Error, time::Instant};

use ray_rl::{
    algo::ppo::{Ppo, PpoConfig},
    trainer::PpoTrainer,
};

/// Steps learned from before the clock starts, and while it runs.
const WARM_UP_STEPS: u64 = 20_000;
const MEASURED_STEPS: u64 = 200_000;

fn setting(envs: usize) -> PpoConfig {
    Ppo::config("CartPole-v1")
        .envs(envs)
        .steps(128)
        .epochs(4)
        .minibatch(envs * 128 / 4)
        .lr(2.5e-4)
        .gamma(0.99)
        .lambda(0.95)
        .entropy(0.01)
        .total_steps(10_000_000)
}

/// Calls `iterate`, which returns how many steps were learned from in all, and returns the steps a second.
fn rate(mut iterate: impl FnMut() -> Result<u64, Box<dyn Error>>) -> Result<f64, Box<dyn Error>> {
    let mut before = 0;
    while before < WARM_UP_STEPS {
        before = iterate()?;
    }
    let start = Instant::now();
    loop {
        let steps = iterate()?;
        if steps - before >= MEASURED_STEPS {
            return Ok((steps - before) as f64 / start.elapsed().as_secs_f64());
        }
    }
}

fn in_process(envs: usize, seed: u64) -> Result<f64, Box<dyn Error>> {
    let mut ppo = setting(envs).seed(seed).build()?;
    rate(|| Ok(ppo.train()?.total_timesteps))
}

fn distributed(runners: usize, envs: usize, seed: u64) -> Result<f64, Box<dyn Error>> {
    let total = setting(runners * envs);
    let config = total.env_runners(runners).envs_per_runner(envs).seed(seed);
    let mut trainer = PpoTrainer::new(config)?;
    rate(|| Ok(trainer.train()?.total_timesteps))
}

fn main() -> Result<(), Box<dyn Error>> {
    // In a worker process this runs the worker and does not return.
    let _ray = ray_core::init()?;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let is_json = arguments.iter().any(|argument| argument == "--json");
    if let Some(unknown) = arguments.iter().find(|argument| *argument != "--json") {
        return Err(format!("unknown argument `{unknown}`; only --json is known").into());
    }
    eprintln!("settings with 8 environments: {:?}", setting(8));
    let metrics: [(&str, fn(u64) -> Result<f64, Box<dyn Error>>); 4] = [
        ("ppo.in_process.8_envs", |seed| in_process(8, seed)),
        ("ppo.in_process.64_envs", |seed| in_process(64, seed)),
        ("ppo.two_runners.8_envs", |seed| distributed(2, 4, seed)),
        ("ppo.two_runners.64_envs", |seed| distributed(2, 32, seed)),
    ];
    for (name, measure) in metrics {
        let mut rates = (0..5).map(measure).collect::<Result<Vec<_>, _>>()?;
        rates.sort_by(f64::total_cmp);
        let (least, median, most) = (rates[0], rates[rates.len() / 2], rates[rates.len() - 1]);
        if is_json {
            println!(
                r#"{{"metric":"{name}","value":{median:.0},"min":{least:.0},"max":{most:.0},"n":{},"unit":"env steps/s"}}"#,
                rates.len()
            );
        } else {
            println!("{name:26} {median:>9.0} env steps/s  ({least:.0} to {most:.0})");
        }
    }
    Ok(())
}
