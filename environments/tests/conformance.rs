//! What every environment holds, tried on each.

use environments::{
    Action, Env, EnvError, Observation, Options, Space, Value,
    envs::{CartPole, Pendulum},
    rng::Rng,
};

fn sample<A: Action>(space: &Space, rng: &mut Rng) -> A {
    match space {
        Space::Discrete(space) => A::from_index(space.sample(rng)).expect("a discrete action"),
        Space::Box(space) => A::from_values(&space.sample(rng)).expect("a continuous action"),
        other => panic!("no samples of {other}"),
    }
}

fn row<O: Observation>(observation: &O, len: usize) -> Vec<f32> {
    let mut row = vec![f32::NAN; len];
    observation.write(&mut row);
    row
}

/// Plays with one seed; returns everything that was seen.
fn play<E: Env>(env: &mut E, steps: usize) -> Vec<(Vec<f32>, f64, bool, bool)> {
    let space = env.observation_space();
    let bounds = space.as_box().expect("these observe boxes").clone();
    let mut rng = Rng::new(9);
    let mut seen = Vec::new();
    let (first, _) = env.reset(Some(42), &Options::new()).expect("a reset");
    seen.push((row(&first, bounds.low.len()), 0.0, false, false));
    for _ in 0..steps {
        let action = sample::<E::Action>(&env.action_space(), &mut rng);
        let step = env.step(&action).expect("a step");
        let values = row(&step.observation, bounds.low.len());
        assert!(values.iter().all(|value| value.is_finite()));
        assert!(step.reward.is_finite());
        let over = step.terminated || step.truncated;
        assert!(
            over || bounds.contains(&values),
            "an observation outside its space: {values:?}"
        );
        seen.push((values, step.reward, step.terminated, step.truncated));
        if over {
            let (next, _) = env.reset(None, &Options::new()).expect("a reset");
            seen.push((row(&next, bounds.low.len()), 0.0, false, false));
        }
    }
    seen
}

fn conforms<E: Env + Clone>(fresh: impl Fn() -> E) {
    let first = play(&mut fresh(), 2_000);
    assert_eq!(
        first,
        play(&mut fresh(), 2_000),
        "equal seeds give equal episodes"
    );
    assert!(
        first
            .iter()
            .any(|(_, _, terminated, truncated)| *terminated || *truncated),
        "episodes end"
    );

    let mut unstarted = fresh();
    let action = sample::<E::Action>(&unstarted.action_space(), &mut Rng::new(1));
    assert!(matches!(
        unstarted.step(&action),
        Err(EnvError::ResetNeeded)
    ));

    let mut env = fresh();
    env.reset(Some(3), &Options::new()).expect("a reset");
    env.step(&action).expect("a step");
    let mut again = fresh();
    again.set_state(&env.state()).expect("its own state");
    assert_eq!(env.state(), again.state());
    for _ in 0..300 {
        let (left, right) = (
            env.step(&action).expect("a step"),
            again.step(&action).expect("a step"),
        );
        assert_eq!(
            (left.reward, left.terminated, left.truncated),
            (right.reward, right.terminated, right.truncated)
        );
        if left.terminated || left.truncated {
            env.reset(None, &Options::new()).expect("a reset");
            again.reset(None, &Options::new()).expect("a reset");
        }
        assert_eq!(
            env.state(),
            again.state(),
            "a restored environment goes on as the original"
        );
    }
    let mut bad = env.state();
    bad.values.push(0.0);
    assert!(matches!(
        env.set_state(&bad),
        Err(EnvError::InvalidState(_))
    ));
}

#[test]
fn cartpole_conforms() {
    conforms(CartPole::new);
}

#[test]
fn pendulum_conforms() {
    conforms(Pendulum::new);
}

#[test]
fn a_wrong_action_and_a_wrong_option_are_errors() {
    let mut env = CartPole::new();
    let options = Options::from([("low".to_owned(), Value::Text("x".into()))]);
    assert!(matches!(
        env.reset(None, &options),
        Err(EnvError::InvalidOption { .. })
    ));
    let options = Options::from([("low".to_owned(), Value::Float(1.0))]);
    assert!(matches!(
        env.reset(None, &options),
        Err(EnvError::InvalidOption { .. })
    ));
    env.reset(None, &Options::new()).expect("a reset");
    assert!(matches!(env.step(&2), Err(EnvError::InvalidAction { .. })));
    let mut pendulum = Pendulum::new();
    pendulum.reset(None, &Options::new()).expect("a reset");
    assert!(matches!(
        pendulum.step(&[f32::NAN]),
        Err(EnvError::InvalidAction { .. })
    ));
}

#[test]
fn pendulum_earns_by_the_state_before_the_step() {
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

#[test]
fn same_step_hands_out_the_last_observation_and_disabled_asks_for_a_reset() {
    use environments::vector::{
        Actions, AutoresetMode, StepBuffers, SyncVectorEnv, VectorEnv as _,
    };
    let play = |mode| {
        let mut envs = SyncVectorEnv::new(1, mode, |_| CartPole::new());
        let mut out = StepBuffers::for_env(&envs);
        envs.reset(Some(5), &mut out.obs).expect("a reset");
        let mut steps = 0;
        while !out.terminated[0] {
            envs.step(Actions::Discrete(&[1]), &mut out)
                .expect("a step");
            steps += 1;
        }
        assert_eq!(
            (out.episode_length[0], out.episode_return[0]),
            (steps, f64::from(steps))
        );
        (envs, out)
    };
    let (_, same) = play(AutoresetMode::SameStep);
    assert!(
        same.has_final[0] && same.final_obs[2].abs() > 0.2,
        "the pole has fallen"
    );
    assert!(same.obs[2].abs() <= 0.05, "the next episode has begun");
    let (mut envs, mut out) = play(AutoresetMode::Disabled);
    assert!(!out.has_final[0] && out.obs[2].abs() > 0.2);
    assert!(envs.step(Actions::Discrete(&[1]), &mut out).is_err());
    envs.reset_where(&[true], &mut out.obs).expect("a reset");
    assert!(envs.step(Actions::Discrete(&[1]), &mut out).is_ok());
    assert!(matches!(
        envs.step(Actions::Discrete(&[1, 1]), &mut out),
        Err(EnvError::WrongBuffer {
            buffer: "actions",
            found: 2,
            needed: 1
        })
    ));
}
