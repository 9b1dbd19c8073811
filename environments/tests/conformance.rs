//! What every registered environment holds, tried on each.

use environments::{
    Array, ArrayData, DynEnv, EnvBuilder, EnvError, EnvSpec, Info, MakeError, Observation as _,
    Options, Space, Value,
    check::{EnvCheck, passes},
    envs::Pendulum,
    registry::specs,
    rng::Rng,
    vector::{AutoresetMode, StepBuffers},
};

/// What one step showed.
type Seen = (Value, f64, bool, bool, Info);

fn each(check: impl Fn(&EnvSpec, &str)) {
    let specs = specs();
    assert!(specs.len() >= 8, "the environments are registered");
    for spec in specs {
        check(&spec, &spec.id().to_string());
    }
}

fn build(spec: &EnvSpec) -> Box<dyn DynEnv> {
    let builder = EnvBuilder::from_spec(spec.clone()).disable_env_checker(true);
    builder.build().expect("it is registered")
}

/// Plays with one seed; returns everything that was seen.
fn play(env: &mut dyn DynEnv, id: &str, steps: usize) -> Vec<Seen> {
    let (observations, actions) = (env.observation_space(), env.action_space());
    let mut rng = Rng::new(9);
    let mut seen: Vec<Seen> = Vec::new();
    let mut see = |observation: Value, reward: f64, flags: (bool, bool), info: Info| {
        assert!(
            observations.contains(&observation),
            "{id}: {observation:?} is not in {observations}"
        );
        assert!(reward.is_finite(), "{id}");
        seen.push((observation, reward, flags.0, flags.1, info));
    };
    let (first, info) = env.reset(Some(42), &Options::new()).expect("a reset");
    see(first, 0.0, (false, false), info);
    for _ in 0..steps {
        let step = env.step(&actions.sample(&mut rng)).expect("a step");
        let over = step.terminated || step.truncated;
        see(
            step.observation,
            step.reward,
            (step.terminated, step.truncated),
            step.info,
        );
        if over {
            let (next, info) = env.reset(None, &Options::new()).expect("a reset");
            see(next, 0.0, (false, false), info);
        }
    }
    seen
}

#[test]
fn equal_seeds_give_equal_episodes_within_the_spaces() {
    each(|spec, id| {
        let first = play(&mut *build(spec), id, 1_200);
        let ends = first
            .iter()
            .any(|(_, _, terminated, truncated, _)| *terminated || *truncated);
        assert!(
            ends || spec.max_episode_steps.is_none(),
            "{id}: no episode ends"
        );
        if !spec.nondeterministic {
            assert_eq!(first, play(&mut *build(spec), id, 1_200), "{id}");
        }
    });
}

#[test]
fn an_episode_is_cut_at_the_limit_and_not_before() {
    each(|spec, id| {
        let builder = EnvBuilder::from_spec(spec.clone()).max_episode_steps(Some(3));
        let mut env = builder
            .disable_env_checker(true)
            .build()
            .expect("it is registered");
        assert_eq!(env.max_episode_steps(), Some(3), "{id}");
        let (actions, mut rng) = (env.action_space(), Rng::new(1));
        let mut was_cut = false;
        for seed in 0..20 {
            env.reset(Some(seed), &Options::new()).expect("a reset");
            for at in 1..=3 {
                let step = env.step(&actions.sample(&mut rng)).expect("a step");
                assert_eq!(step.truncated, at == 3, "{id}, step {at}");
                was_cut |= step.truncated;
                if step.terminated {
                    break;
                }
            }
        }
        assert!(was_cut || spec.max_episode_steps.is_none(), "{id}");
    });
}

#[test]
fn a_restored_state_goes_on_exactly() {
    each(|spec, id| {
        let mut env = build(spec);
        let (actions, mut rng) = (env.action_space(), Rng::new(2));
        env.reset(Some(3), &Options::new()).expect("a reset");
        for _ in 0..2 {
            env.step(&actions.sample(&mut rng)).expect("a step");
        }
        let mut again = build(spec);
        again.set_state(&env.state()).expect("its own state");
        assert_eq!(env.state(), again.state(), "{id}");
        for at in 0..300 {
            let action = actions.sample(&mut rng);
            let (left, right) = (env.step(&action), again.step(&action));
            assert_eq!(left, right, "{id}, step {at}");
            if left.is_ok_and(|step| step.terminated || step.truncated) {
                let left = env.reset(None, &Options::new()).expect("a reset");
                let right = again.reset(None, &Options::new()).expect("a reset");
                assert_eq!(left, right, "{id}, step {at}");
            }
            assert_eq!(env.state(), again.state(), "{id}, step {at}");
        }
        let mut bad = env.state();
        bad.values.push(0.0);
        bad.extra.clear();
        assert!(
            matches!(env.set_state(&bad), Err(EnvError::InvalidState(_))),
            "{id}"
        );
    });
}

#[test]
fn a_step_before_the_first_reset_is_refused_by_wrapper_and_environment() {
    each(|spec, id| {
        for enforces in [true, false] {
            let mut env = build(&spec.clone().order_enforce(enforces));
            let action = env.action_space().sample(&mut Rng::new(1));
            assert_eq!(
                env.step(&action),
                Err(EnvError::ResetNeeded),
                "{id}, wrapped: {enforces}"
            );
        }
    });
}

/// Returns values that are not in an action space.
fn wrong(space: &Space) -> Vec<Value> {
    let mut values = vec![Value::from("left"), Value::List(vec![])];
    match space {
        Space::Discrete(choice) => {
            values.extend([choice.start - 1, choice.start + choice.n].map(Value::Int));
            values.push(Value::Float(0.5));
        }
        Space::Box(bounds) => {
            let array = |len: usize| Array::from(vec![f32::NAN; len]);
            values.push(array(bounds.len()).into());
            values.push(array(bounds.len() + 1).into());
            values.push(Value::Array(
                Array::new([0], ArrayData::F32(vec![])).expect("none"),
            ));
        }
        _ => {}
    }
    values
}

#[test]
fn a_wrong_action_is_an_error_and_changes_nothing() {
    each(|spec, id| {
        let mut env = build(spec);
        env.reset(Some(0), &Options::new()).expect("a reset");
        let before = env.state();
        for action in wrong(&env.action_space()) {
            let step = env.step(&action);
            assert!(
                matches!(step, Err(EnvError::InvalidAction { .. })),
                "{id}: {action:?}: {step:?}"
            );
            assert_eq!(env.state(), before, "{id}: {action:?}");
        }
    });
}

#[test]
fn options_of_the_wrong_kind_are_an_error_or_unknown() {
    each(|spec, id| {
        for name in ["low", "high", "x_init", "y_init"] {
            let mut env = build(spec);
            let options = Options::from([(name.to_owned(), Value::from("wide"))]);
            match env.reset(Some(0), &options) {
                Ok(first) => {
                    let plain = build(spec)
                        .reset(Some(0), &Options::new())
                        .expect("a reset");
                    assert_eq!(first, plain, "{id}: `{name}` is unknown and does nothing");
                }
                Err(error) => assert!(matches!(error, EnvError::InvalidOption { .. }), "{id}"),
            }
        }
    });
}

#[test]
fn the_vector_form_begins_as_the_scalar_form() {
    each(|spec, id| {
        let mode = AutoresetMode::SameStep;
        let mut envs = match EnvBuilder::from_spec(spec.clone()).build_vec(2, mode) {
            Ok(envs) => envs,
            Err(error) => {
                assert!(
                    matches!(error, MakeError::Env(EnvError::NotSupported(_))),
                    "{id}: {error}"
                );
                return;
            }
        };
        let mut env = build(spec);
        assert_eq!(envs.single_action_space(), env.action_space(), "{id}");
        let (shown, whole) = (envs.single_observation_space(), env.observation_space());
        // A fast form may show one part of a dict alone.
        let part = match &whole {
            Space::Dict(parts) if shown != whole => {
                let mut parts = parts.iter();
                let part = parts.find(|(_, space)| **space == shown);
                part.map(|(name, _)| name.to_owned())
            }
            _ => None,
        };
        assert!(part.is_some() || shown == whole, "{id}: {shown}, {whole}");
        assert_eq!(envs.observation_len(), shown.flat_len(), "{id}");
        let mut out = StepBuffers::for_env(&*envs);
        envs.reset(Some(7), &mut out.obs).expect("a reset");
        for (seed, row) in (7..).zip(out.obs.chunks(envs.observation_len())) {
            let (observation, _) = env.reset(Some(seed), &Options::new()).expect("a reset");
            let seen = match &part {
                Some(name) => &observation.as_map().expect("a dict")[name],
                None => &observation,
            };
            let mut expected = vec![f32::NAN; row.len()];
            seen.write(&mut expected);
            assert_eq!(row, expected, "{id}");
        }
    });
}

#[test]
fn every_mode_that_it_names_draws_it() {
    each(|spec, id| {
        let mut env = build(spec);
        env.reset(Some(0), &Options::new()).expect("a reset");
        for mode in env.metadata().render_modes {
            let frame = env.render(*mode);
            assert!(frame.is_ok(), "{id}: {mode:?}: {frame:?}");
        }
    });
}

#[test]
fn an_argument_that_it_does_not_take_is_an_error() {
    each(|spec, id| {
        let builder = EnvBuilder::from_spec(spec.clone()).kwarg("no_such_argument", 1);
        assert!(
            matches!(builder.build(), Err(MakeError::InvalidArgument { .. })),
            "{id}"
        );
    });
}

#[test]
fn it_passes_the_check_bare_and_wrapped() {
    each(|spec, id| {
        for enforces in [true, false] {
            let spec = spec.clone().order_enforce(enforces);
            let findings = EnvCheck::default().steps(120).run(|| build(&spec));
            let told = findings.iter().map(ToString::to_string).collect::<Vec<_>>();
            assert!(
                passes(&findings),
                "{id}, wrapped: {enforces}\n{}",
                told.join("\n")
            );
        }
    });
}

#[test]
fn pendulum_earns_by_the_state_before_the_step() {
    use environments::Env as _;
    let mut env = Pendulum::new();
    env.reset(Some(0), &Options::new()).expect("a reset");
    let state = environments::State {
        values: vec![std::f64::consts::PI / 2.0, 1.0],
        ..env.state()
    };
    env.set_state(&state).expect("a state");
    let step = env.step(&[5.0]).expect("a step");
    // The torque is clipped to 2: -(angle^2 + 0.1 velocity^2 + 0.001 * 4).
    let expected = -((std::f64::consts::PI / 2.0).powi(2) + 0.1 + 0.004);
    assert!((step.reward - expected).abs() < 1e-12);
    // velocity + (15 sin(angle) + 3 * 2) * 0.05.
    assert!((env.state().values[1] - (1.0 + 21.0 * 0.05)).abs() < 1e-12);
}
