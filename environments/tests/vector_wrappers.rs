//! The vector wrappers that are ready made do what those around one environment do.

use environments::{
    Array, BoxSpace, Dict, Discrete, Dtype, DynEnv, Env, EnvError, Info, MultiDiscrete,
    Observation as _, Options, Space, State, Step, Tuple, Value, make_vec,
    rng::Rng,
    vector::{self, Actions, AutoresetMode, StepBuffers, SyncVectorEnv, VectorEnv},
    wrappers,
};

/// Shows members of a space that follow from the seed; its actions are two numbers, which are the reward.
#[derive(Clone)]
struct Shows {
    space: Space,
    rng: Rng,
}

fn shows(space: impl Into<Space>) -> Shows {
    Shows {
        space: space.into(),
        rng: Rng::new(0),
    }
}

fn many(env: &Shows) -> SyncVectorEnv<Shows> {
    SyncVectorEnv::new(3, AutoresetMode::SameStep, |_| env.clone())
}

impl Env for Shows {
    type Observation = Value;
    type Action = [f32; 2];

    fn observation_space(&self) -> Space {
        self.space.clone()
    }

    fn action_space(&self) -> Space {
        BoxSpace::new(vec![-2.0, 0.0], vec![2.0, 10.0]).into()
    }

    fn reset(&mut self, seed: Option<u64>, _: &Options) -> Result<(Value, Info), EnvError> {
        self.rng = seed.map_or_else(|| self.rng.clone(), Rng::new);
        Ok((self.space.sample(&mut self.rng), Info::new()))
    }

    fn step(&mut self, action: &[f32; 2]) -> Result<Step<Value>, EnvError> {
        let seen = self.space.sample(&mut self.rng);
        let reward = f64::from(action[0]) + 100.0 * f64::from(action[1]);
        let is_over = self.rng.unit() < 0.3;
        Ok(Step::new(seen, reward).terminated(is_over))
    }

    fn state(&self) -> State {
        State::new([], &self.rng)
    }

    fn set_state(&mut self, state: &State) -> Result<(), EnvError> {
        state.restore_rng(&mut self.rng);
        Ok(())
    }
}

/// Compares rows of several with those of one wrapped alone, last observations of episodes included.
fn shows_alike(mut envs: impl VectorEnv, one: impl Fn() -> Box<dyn DynEnv>) {
    let mut alone = (0..3).map(|_| one()).collect::<Vec<_>>();
    let (mut out, d) = (StepBuffers::for_env(&envs), envs.observation_len());
    let space = alone[0].observation_space();
    assert_eq!(envs.single_observation_space().flat_len(), space.flat_len());
    let row_of = |seen: &Value| {
        let mut row = vec![f32::NAN; d];
        seen.write(&mut row);
        row
    };
    envs.reset(Some(4), &mut out.obs).expect("a reset");
    for (at, env) in alone.iter_mut().enumerate() {
        let (seen, _) = env
            .reset(Some(4 + at as u64), &Options::new())
            .expect("a reset");
        assert_eq!(out.obs[at * d..][..d], row_of(&seen));
    }
    let mut ends = 0;
    for _ in 0..30 {
        envs.step(Actions::Continuous(&[0.0; 6]), &mut out)
            .expect("a step");
        for (at, env) in alone.iter_mut().enumerate() {
            let action = Array::from(vec![0.0_f32; 2]).into();
            let mut seen = env.step(&action).expect("a step").observation;
            if out.has_final[at] {
                assert_eq!(out.final_obs[at * d..][..d], row_of(&seen));
                (seen, _) = env.reset(None, &Options::new()).expect("a reset");
                ends += 1;
            }
            assert_eq!(out.obs[at * d..][..d], row_of(&seen));
        }
    }
    assert!(ends > 5, "episodes end");
}

fn erased(env: &Shows) -> Box<dyn DynEnv> {
    Box::new(environments::Erased(env.clone()))
}

#[test]
fn observations_are_rescaled_filtered_and_flattened_as_those_of_one() {
    let bounded = shows(BoxSpace::new(vec![-1.0, 0.0], vec![3.0, 0.5]));
    let envs = vector::RescaleObservation::new(many(&bounded), -1.0, 1.0).expect("bounds");
    shows_alike(envs, || {
        let env = wrappers::RescaleObservation::new(erased(&bounded), -1.0, 1.0);
        Box::new(env.expect("bounds"))
    });

    let parts = shows(Dict::new([
        ("choice", Space::from(Discrete::starting_at(3, -1))),
        ("several", MultiDiscrete::new(vec![2, 4]).into()),
        ("where", BoxSpace::new(vec![0.0; 2], vec![1.0; 2]).into()),
    ]));
    let names = ["where", "choice"];
    let envs = vector::FilterObservation::names(many(&parts), &names).expect("they are there");
    shows_alike(envs, || {
        let env = wrappers::FilterObservation::names(erased(&parts), &names);
        Box::new(env.expect("they are there"))
    });
    let envs = vector::FlattenObservation::new(many(&parts)).expect("no texts");
    assert_eq!(envs.observation_len(), 3 + 6 + 2);
    shows_alike(envs, || {
        Box::new(wrappers::FlattenObservation::new(erased(&parts)))
    });

    let places = shows(Tuple::new(vec![
        Discrete::new(3).into(),
        BoxSpace::new(vec![0.0; 2], vec![1.0; 2]).into(),
        Discrete::new(9).into(),
    ]));
    let envs = vector::FilterObservation::indices(many(&places), &[2, 1]).expect("places");
    shows_alike(envs, || {
        let env = wrappers::FilterObservation::indices(erased(&places), &[2, 1]);
        Box::new(env.expect("places"))
    });
}

#[test]
fn pictures_are_gray_and_small_as_those_of_one() {
    let pictures = shows(BoxSpace::uniform(0.0, 255.0, &[5, 7, 3], Dtype::U8));
    let envs = vector::GrayscaleObservation::new(many(&pictures)).expect("colors");
    shows_alike(envs, || {
        let env = wrappers::GrayscaleObservation::new(erased(&pictures));
        Box::new(env.expect("colors"))
    });
    let envs = vector::ResizeObservation::new(many(&pictures), 3, 4).expect("pictures");
    shows_alike(envs, || {
        let env = wrappers::ResizeObservation::new(erased(&pictures), 3, 4);
        Box::new(env.expect("pictures"))
    });
}

#[test]
fn actions_and_rewards_are_clipped_and_rescaled() {
    let still = shows(Discrete::new(2));
    let mut out = StepBuffers::for_env(&many(&still));
    let mut rewards = |envs: &mut dyn VectorEnv, actions: [f32; 6]| {
        envs.reset(Some(0), &mut out.obs).expect("a reset");
        envs.step(Actions::Continuous(&actions), &mut out)
            .expect("a step");
        out.rewards.clone()
    };
    let mut clipped = vector::ClipAction::new(many(&still)).expect("numbers");
    let far = [-9.0, -9.0, 9.0, f32::INFINITY, 0.5, 3.0];
    assert_eq!(rewards(&mut clipped, far), [-2.0, 1002.0, 300.5]);
    let mut rescaled = vector::RescaleAction::new(many(&still), -1.0, 1.0).expect("bounds");
    let shares = [-1.0, -1.0, 1.0, 1.0, 0.0, 0.0];
    assert_eq!(rewards(&mut rescaled, shares), [-2.0, 1002.0, 500.0]);
    let mut paid = vector::ClipReward::new(many(&still), -1.0, 2.5).expect("bounds");
    assert_eq!(
        rewards(&mut paid, [-2.0, 0.0, 0.0, 1.0, 0.5, 0.0]),
        [-1.0, 2.5, 0.5]
    );
    for wrong in [
        Actions::Continuous(&[0.0, f32::NAN, 0.0, 0.0, 0.0, 0.0]),
        Actions::Discrete(&[1; 6]),
    ] {
        let mut out = StepBuffers::for_env(&clipped);
        let error = clipped.step(wrong, &mut out).expect_err("no numbers");
        assert!(matches!(error, EnvError::InvalidAction { .. }), "{error}");
    }
}

#[test]
fn what_does_not_fit_a_wrapper_is_refused_with_what_it_needs() {
    let cart = || make_vec("CartPole-v1", 2, AutoresetMode::SameStep).expect("it is there");
    let errors = [
        vector::ClipAction::new(cart()).err(),
        vector::RescaleAction::new(cart(), -1.0, 1.0).err(),
        vector::ClipReward::new(cart(), 1.0, -1.0).err(),
        vector::RescaleObservation::new(cart(), 0.0, 1.0).err(),
        vector::FilterObservation::names(cart(), &["x"]).err(),
        vector::FilterObservation::indices(cart(), &[0]).err(),
        vector::GrayscaleObservation::new(cart()).err(),
        vector::ResizeObservation::new(cart(), 8, 8).err(),
    ];
    for error in errors {
        let error = error.expect("it does not fit").to_string();
        assert!(error.contains("` needs "), "{error}");
    }
}

#[test]
fn a_vector_that_nobody_has_reset_is_not_stepped() {
    let mut envs = many(&shows(Discrete::new(2)));
    let mut out = StepBuffers::for_env(&envs);
    let step = envs.step(Actions::Continuous(&[0.0; 6]), &mut out);
    assert_eq!(step, Err(EnvError::ResetNeeded));
    let saved = envs.states();
    envs.set_states(&saved).expect("they were saved");
    assert_eq!(envs.step(Actions::Continuous(&[0.0; 6]), &mut out), Ok(()));
}

#[test]
#[should_panic(expected = "give the environment a method `observation_space`")]
fn a_space_that_neither_type_nor_environment_says_is_named() {
    struct Silent;

    impl Env for Silent {
        type Observation = Value;
        type Action = i64;

        fn reset(&mut self, _: Option<u64>, _: &Options) -> Result<(Value, Info), EnvError> {
            Ok((Value::Array(Array::from(vec![0.0_f32])), Info::new()))
        }

        fn step(&mut self, _: &i64) -> Result<Step<Value>, EnvError> {
            Ok(Step::new(Array::from(vec![0.0_f32]).into(), 0.0))
        }

        fn state(&self) -> State {
            State::default()
        }

        fn set_state(&mut self, _: &State) -> Result<(), EnvError> {
            Ok(())
        }
    }

    Silent.observation_space();
}
