//! What vector environments promise beyond their environments: threads, infos, statistics, scaling.

use environments::{
    BoxSpace, Discrete, Env, EnvBuilder, EnvError, Info, Options, Space, State, Step,
    Vectorization,
    envs::CartPole,
    make_vec,
    rng::Rng,
    vector::{
        Actions, AutoresetMode, NormalizeObservation, NormalizeReward, RecordEpisodeStatistics,
        StepBuffers, SyncVectorEnv, ThreadVectorEnv, TransformAction, TransformObservation,
        TransformReward, VectorEnv,
    },
};

/// Counts down from 3; the info says the count, and an action of 1 panics at 2.
#[derive(Clone, Debug, Default)]
struct Countdown {
    left: u32,
}

impl Countdown {
    fn info(&self) -> Info {
        Info::from([("left".to_owned(), self.left.into())])
    }
}

impl Env for Countdown {
    type Observation = [f32; 1];
    type Action = i64;

    fn observation_space(&self) -> Space {
        <[f32; 1] as environments::Observation>::space().expect("it says it")
    }

    fn action_space(&self) -> Space {
        Discrete::new(2).into()
    }

    fn reset(&mut self, _: Option<u64>, _: &Options) -> Result<([f32; 1], Info), EnvError> {
        self.left = 3;
        Ok(([3.0], self.info()))
    }

    fn step(&mut self, action: &i64) -> Result<Step<[f32; 1]>, EnvError> {
        self.left -= 1;
        assert!(*action == 0 || self.left > 1, "told to");
        Ok(Step {
            observation: [self.left as f32],
            reward: 2.0,
            terminated: self.left == 0,
            truncated: false,
            info: self.info(),
        })
    }

    fn state(&self) -> State {
        State {
            values: vec![f64::from(self.left)],
            ..State::default()
        }
    }

    fn set_state(&mut self, state: &State) -> Result<(), EnvError> {
        self.left = state.values[0] as u32;
        Ok(())
    }
}

fn countdowns(n: usize, mode: AutoresetMode) -> SyncVectorEnv<Countdown> {
    SyncVectorEnv::new(n, mode, |_| Countdown::default())
}

#[test]
fn threads_do_what_one_thread_does() {
    for id in ["CartPole-v1", "FrozenLake-v1"] {
        let one = EnvBuilder::new(id);
        let several = one.clone().vectorization(Vectorization::Threads(2));
        let mode = AutoresetMode::NextStep;
        let mut one = one.build_vec(7, mode).expect("a vector form");
        let mut several = several.build_vec(7, mode).expect("a vector form");
        let (mut left, mut right) = (StepBuffers::for_env(&*one), StepBuffers::for_env(&*several));
        one.reset(Some(5), &mut left.obs).expect("a reset");
        several.reset(Some(5), &mut right.obs).expect("a reset");
        let mut rng = Rng::new(0);
        for at in 0..300 {
            let actions: [i64; 7] = std::array::from_fn(|_| rng.below(2) as i64);
            one.step(Actions::Discrete(&actions), &mut left)
                .expect("a step");
            several
                .step(Actions::Discrete(&actions), &mut right)
                .expect("a step");
            assert_eq!(format!("{left:?}"), format!("{right:?}"), "{id}, step {at}");
        }
        assert_eq!(one.states(), several.states());
        several
            .set_states(&one.states())
            .expect("states of the same environments");
    }
}

#[test]
fn a_panic_on_any_thread_is_an_error_now_and_later() {
    for panicking in 0..4 {
        let make = |count, _| -> Result<Box<dyn VectorEnv>, environments::MakeError> {
            Ok(Box::new(countdowns(count, AutoresetMode::SameStep)))
        };
        let mut envs = ThreadVectorEnv::new(4, 2, make).expect("threads");
        let mut out = StepBuffers::for_env(&envs);
        envs.reset(None, &mut out.obs).expect("a reset");
        let mut actions = [0; 4];
        envs.step(Actions::Discrete(&actions), &mut out)
            .expect("a step");
        actions[panicking] = 1;
        let error = envs
            .step(Actions::Discrete(&actions), &mut out)
            .expect_err("a panic");
        assert!(error.to_string().contains("told to"), "{error}");
        let again = envs.step(Actions::Discrete(&[0; 4]), &mut out);
        assert!(matches!(again, Err(EnvError::Broken(_))));
    }
}

#[test]
fn an_ended_episode_is_named_by_its_place_among_all() {
    let envs = EnvBuilder::new("CartPole-v1").vectorization(Vectorization::Threads(2));
    let mut envs = envs
        .build_vec(4, AutoresetMode::Disabled)
        .expect("a vector form");
    let mut out = StepBuffers::for_env(&*envs);
    envs.reset(Some(0), &mut out.obs).expect("a reset");
    let mut states = envs.states();
    // The last pole is about to fall.
    states[3].values[2] = 0.2094;
    states[3].values[3] = 3.0;
    envs.set_states(&states).expect("states");
    envs.step(Actions::Discrete(&[0; 4]), &mut out)
        .expect("a step");
    assert_eq!(out.terminated, [false, false, false, true]);
    let error = envs
        .step(Actions::Discrete(&[0; 4]), &mut out)
        .expect_err("one has ended");
    assert_eq!(error, EnvError::EpisodeEnded { env: 3 });
}

#[test]
fn infos_are_collected_when_asked_for() {
    let left = |info: &Info| info.get("left").and_then(environments::Value::as_int);
    let mut silent = countdowns(2, AutoresetMode::SameStep);
    let mut out = StepBuffers::for_env(&silent);
    silent.reset(None, &mut out.obs).expect("a reset");
    silent
        .step(Actions::Discrete(&[0, 0]), &mut out)
        .expect("a step");
    assert!(out.infos.iter().all(Info::is_empty));

    let mut envs = countdowns(2, AutoresetMode::SameStep).with_infos(true);
    envs.reset(None, &mut out.obs).expect("a reset");
    for expected in [2, 1] {
        envs.step(Actions::Discrete(&[0, 0]), &mut out)
            .expect("a step");
        assert_eq!(left(&out.infos[1]), Some(expected));
    }
    envs.step(Actions::Discrete(&[0, 0]), &mut out)
        .expect("a step");
    assert_eq!(
        left(&out.final_infos[0]),
        Some(0),
        "of the episode that ended"
    );
    assert_eq!(left(&out.infos[0]), Some(3), "of the one that began");
}

#[test]
fn statistics_are_those_of_the_last_episodes() {
    let envs = countdowns(3, AutoresetMode::NextStep);
    let mut envs = RecordEpisodeStatistics::with_capacity(envs, 4);
    let mut out = StepBuffers::for_env(&envs);
    envs.reset(None, &mut out.obs).expect("a reset");
    assert_eq!(envs.mean_return(), None);
    // Three steps and one for nothing, twice.
    for _ in 0..8 {
        envs.step(Actions::Discrete(&[0; 3]), &mut out)
            .expect("a step");
    }
    assert_eq!(envs.episode_count(), 6);
    assert_eq!(envs.episodes().len(), 4);
    assert!(
        envs.episodes()
            .all(|episode| episode.length == 3 && episode.episode_return == 6.0)
    );
    assert_eq!(envs.mean_return(), Some(6.0));
}

#[test]
fn observations_are_scaled_by_all_that_were_seen() {
    let envs = countdowns(2, AutoresetMode::SameStep);
    let mut envs = NormalizeObservation::new(envs);
    let mut out = StepBuffers::for_env(&envs);
    envs.reset(None, &mut out.obs).expect("a reset");
    let mut seen = vec![3.0_f64; 2];
    let check = |envs: &NormalizeObservation<_>, seen: &[f64], row: f32, raw: f64| {
        let mean = seen.iter().sum::<f64>() / seen.len() as f64;
        let var = seen.iter().map(|one| (one - mean).powi(2)).sum::<f64>() / seen.len() as f64;
        // The ten-thousandth of an observation that it begins with is felt in the fourth digit.
        assert!((envs.statistics.mean[0] - mean).abs() < 1e-3);
        assert!((envs.statistics.var[0] - var).abs() < 1e-3);
        let scale = (envs.statistics.var[0] + 1e-8).sqrt();
        let expected = (raw - envs.statistics.mean[0]) / scale;
        assert!((f64::from(row) - expected).abs() < 1e-5);
    };
    check(&envs, &seen, out.obs[0], 3.0);
    for raw in [2.0, 1.0] {
        envs.step(Actions::Discrete(&[0; 2]), &mut out)
            .expect("a step");
        seen.extend([raw; 2]);
        check(&envs, &seen, out.obs[1], raw);
    }
    envs.is_learning = false;
    let before = envs.statistics.clone();
    envs.step(Actions::Discrete(&[0; 2]), &mut out)
        .expect("a step");
    assert_eq!(envs.statistics, before);
    check(&envs, &seen, out.final_obs[0], 0.0);
    check(&envs, &seen, out.obs[0], 3.0);
}

#[test]
fn rewards_are_divided_by_the_deviation_of_discounted_returns() {
    let envs = countdowns(1, AutoresetMode::SameStep);
    let mut envs = NormalizeReward::new(envs, 0.5);
    let mut out = StepBuffers::for_env(&envs);
    envs.reset(None, &mut out.obs).expect("a reset");
    // 2, then 2 * 0.5 + 2; the step that ends the episode counts its reward alone, and then all begins anew.
    let mut statistics = environments::vector::RunningMeanStd::new(1);
    for discounted in [2.0, 3.0, 2.0, 2.0, 3.0] {
        envs.step(Actions::Discrete(&[0]), &mut out)
            .expect("a step");
        let total = statistics.count + 1.0;
        let delta = discounted - statistics.mean[0];
        let sum = statistics.var[0] * statistics.count + delta * delta * statistics.count / total;
        statistics.mean[0] += delta / total;
        statistics.var[0] = sum / total;
        statistics.count = total;
        let expected = 2.0 / (statistics.var[0] + 1e-8).sqrt();
        assert!((out.rewards[0] - expected).abs() < 1e-9 * expected);
    }
}

#[test]
fn wrappers_of_a_spec_are_around_each_environment() {
    use environments::{EnvSpec, wrappers::TimeLimit};
    let spec = EnvSpec::new("test/Wrapped-v0", |_| {
        Ok(environments::envs::CartPole::unlimited())
    });
    let spec = spec.wrapper("TimeLimit", |env| Box::new(TimeLimit::new(env, 2)));
    let envs = EnvBuilder::from_spec(spec).build_vec(3, AutoresetMode::SameStep);
    let mut envs = envs.expect("a vector form");
    let mut out = StepBuffers::for_env(&*envs);
    envs.reset(Some(0), &mut out.obs).expect("a reset");
    for expected in [false, true, false, true] {
        envs.step(Actions::Discrete(&[0; 3]), &mut out)
            .expect("a step");
        assert_eq!(out.truncated, [expected; 3]);
    }
}

#[test]
fn spaces_of_all_are_batches_of_the_spaces_of_one() {
    let envs = make_vec("CartPole-v1", 3, AutoresetMode::SameStep).expect("a vector form");
    assert_eq!(
        envs.observation_space(),
        envs.single_observation_space().batch(3)
    );
    assert_eq!(envs.action_space().to_string(), "MultiDiscrete([2 2 2])");
    assert!(make_vec("CartPole-v1", 0, AutoresetMode::SameStep).is_err());
}

#[test]
fn each_environment_gets_its_own_seed_and_all_get_the_options() {
    let options = Options::from([("low".into(), 0.01.into()), ("high".into(), 0.02.into())]);
    let seeds = [Some(11), Some(5), Some(11), None, Some(5)];
    let builder = || EnvBuilder::new("CartPole-v1");
    let forms = [
        Vectorization::Fastest,
        Vectorization::Sync,
        Vectorization::Threads(2),
    ];
    for form in forms {
        let envs = builder()
            .vectorization(form)
            .build_vec(5, AutoresetMode::SameStep);
        let mut envs = TransformReward::new(envs.expect("it is registered"), |reward| -reward);
        let mut out = StepBuffers::for_env(&envs);
        let result = envs.reset_with(&seeds, &options, &mut out.obs);
        result.expect("its options");
        let rows = out.obs.chunks(4).collect::<Vec<_>>();
        assert_eq!((rows[0], rows[1]), (rows[2], rows[4]), "{form:?}");
        assert_ne!(rows[0], rows[1], "{form:?}");
        assert!(
            out.obs.iter().all(|number| (0.01..=0.02).contains(number)),
            "{form:?}"
        );
        let mut alone = CartPole::new();
        let (first, _) = alone.reset(Some(5), &options).expect("its options");
        assert_eq!(rows[1], first, "{form:?}");

        envs.step(Actions::Discrete(&[1; 5]), &mut out)
            .expect("a step");
        assert_eq!(out.rewards, [-1.0; 5]);
        let few = envs.reset_with(&seeds[1..], &options, &mut out.obs);
        assert!(
            matches!(
                few,
                Err(EnvError::WrongBuffer {
                    buffer: "seeds",
                    ..
                })
            ),
            "{form:?}"
        );
        let wide = Options::from([("low".into(), "wide".into())]);
        let refused = envs.reset_with(&seeds, &wide, &mut out.obs);
        assert!(
            matches!(refused, Err(EnvError::InvalidOption { .. })),
            "{form:?}"
        );
    }
}

#[test]
fn observations_and_last_observations_go_through_the_function() {
    let mode = AutoresetMode::SameStep;
    let mut plain = make_vec("CartPole-v1", 3, mode).expect("it is registered");
    let envs = make_vec("CartPole-v1", 3, mode).expect("it is registered");
    let space = BoxSpace::new(vec![-10.0; 2], vec![10.0; 2]);
    let convert = |seen: &[f32], shown: &mut [f32]| shown.copy_from_slice(&seen[2..]);
    let mut envs = TransformObservation::new(envs, space, convert).expect("two numbers");
    let (mut expected, mut out) = (StepBuffers::for_env(&plain), StepBuffers::for_env(&envs));
    assert_eq!((envs.observation_len(), out.obs.len()), (2, 6));
    plain.reset(Some(0), &mut expected.obs).expect("a reset");
    envs.reset(Some(0), &mut out.obs).expect("a reset");
    let mut ends = 0;
    for _ in 0..60 {
        plain
            .step(Actions::Discrete(&[1; 3]), &mut expected)
            .expect("a step");
        envs.step(Actions::Discrete(&[1; 3]), &mut out)
            .expect("a step");
        for at in 0..3 {
            assert_eq!(out.obs[at * 2..][..2], expected.obs[at * 4 + 2..][..2]);
            if expected.has_final[at] {
                assert_eq!(
                    out.final_obs[at * 2..][..2],
                    expected.final_obs[at * 4 + 2..][..2]
                );
                ends += 1;
            }
        }
        assert_eq!(out.rewards, expected.rewards);
        assert_eq!(out.has_final, expected.has_final);
        assert_eq!(out.episode_length, expected.episode_length);
    }
    assert!(ends > 3);
}

#[test]
fn actions_go_through_the_function() {
    let envs = make_vec("CartPole-v1", 2, AutoresetMode::SameStep).expect("it is registered");
    let sign = BoxSpace::new(vec![-1.0], vec![1.0]);
    let mut envs = TransformAction::discrete(envs, sign, |actions, choices| {
        for (choice, sign) in choices.iter_mut().zip(actions.continuous().unwrap_or(&[])) {
            *choice = i64::from(*sign > 0.0);
        }
    });
    let mut out = StepBuffers::for_env(&envs);
    envs.reset(Some(0), &mut out.obs).expect("a reset");
    let before = (out.obs[1], out.obs[5]);
    envs.step(Actions::Continuous(&[0.5, -0.5]), &mut out)
        .expect("a step");
    assert!(
        out.obs[1] > before.0 && out.obs[5] < before.1,
        "right and left"
    );
    let few = envs.step(Actions::Continuous(&[0.5]), &mut out);
    assert!(matches!(few, Err(EnvError::WrongBuffer { .. })));
}
