//! A step of a vector environment allocates nothing.

use std::alloc::System;

use environments::{
    EnvBuilder, Space, Vectorization,
    registry::specs,
    rng::Rng,
    vector::{
        Actions, AutoresetMode, NormalizeObservation, NormalizeReward, RecordEpisodeStatistics,
        StepBuffers, VectorEnv,
    },
};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static GLOBAL: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Returns how often memory was asked for in 300 steps, ends of episodes included.
fn allocations(envs: &mut dyn VectorEnv) -> usize {
    let space = envs.single_action_space();
    let mut rng = Rng::new(4);
    let (mut choices, mut values) = (Vec::new(), Vec::new());
    for _ in 0..envs.num_envs() {
        match &space {
            Space::Discrete(choice) => choices.push(choice.sample(&mut rng)),
            Space::Box(bounds) => values.extend(bounds.sample(&mut rng)),
            other => panic!("no action of {other}"),
        }
    }
    let actions = match choices.is_empty() {
        true => Actions::Continuous(&values),
        false => Actions::Discrete(&choices),
    };
    let mut out = StepBuffers::for_env(envs);
    envs.reset(Some(1), &mut out.obs).expect("a reset");
    // Lists that grow in the first episodes keep their room.
    for _ in 0..3_000 {
        envs.step(actions, &mut out).expect("a step");
    }
    let region = Region::new(GLOBAL);
    for _ in 0..300 {
        envs.step(actions, &mut out).expect("a step");
    }
    let change = region.change();
    change.allocations + change.reallocations
}

#[test]
fn no_step_allocates() {
    let mode = AutoresetMode::SameStep;
    let forms = [
        Vectorization::Fastest,
        Vectorization::Sync,
        Vectorization::Threads(2),
    ];
    for spec in specs() {
        let id = spec.id().to_string();
        for form in forms {
            let builder = EnvBuilder::from_spec((*spec).clone()).vectorization(form);
            let Ok(mut envs) = builder.build_vec(20, mode) else {
                continue;
            };
            assert_eq!(allocations(&mut *envs), 0, "{id}, {form:?}");
        }
    }
    let envs = EnvBuilder::new("CartPole-v1")
        .build_vec(64, mode)
        .expect("a vector form");
    let envs = NormalizeObservation::new(RecordEpisodeStatistics::new(envs));
    let mut envs = NormalizeReward::new(envs, 0.99);
    assert_eq!(allocations(&mut envs), 0, "wrapped");
}
