//! One PPO minibatch and one forward pass, in the sizes that other libraries were measured with.

use divan::Bencher;
use ray_rl::algo::ppo::{Ppo, PpoConfig};

fn main() {
    divan::main();
}

fn config() -> PpoConfig {
    Ppo::config("CartPole-v1").seed(1).total_steps(1 << 30)
}

/// One update of a single minibatch of `size` samples: forward, backward, clip, Adam, two 64x64 networks.
#[divan::bench(args = [64, 256, 2048])]
fn ppo_minibatch_step(bencher: Bencher<'_, '_>, size: usize) {
    let config = config()
        .envs_per_runner(8)
        .steps(size / 8)
        .epochs(1)
        .minibatch(size);
    let mut sampler = ray_rl::rollout::Sampler::new(&config.env, 8, &config.hidden, 1, 0)
        .expect("the environment exists");
    let ppo = config.clone().build().expect("good settings");
    let rollout = sampler
        .sample(ppo.learner().parameters(), size / 8)
        .expect("a rollout");
    let model = ppo.learner().model().clone();
    let mut learner = ray_rl::algo::ppo::PpoLearner::new(config, model);
    bencher.bench_local(|| learner.update(&[&rollout]).expect("finite"));
}

/// A whole iteration as SB3 was measured: 8 environments x 128 steps, 4 epochs, 4 minibatches; 1,024 steps.
#[divan::bench(args = [8, 64])]
fn ppo_iteration(bencher: Bencher<'_, '_>, envs: usize) {
    let mut ppo = config()
        .envs_per_runner(envs)
        .steps(128)
        .epochs(4)
        .minibatch(envs * 32)
        .build()
        .expect("good settings");
    bencher
        .counter(divan::counter::ItemsCount::new(envs * 128))
        .bench_local(|| ppo.train().expect("finite"));
}
