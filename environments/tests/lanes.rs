//! The fast vector forms do what the scalar forms do.

use environments::{
    EnvBuilder, Kwargs, Space, Value, Vectorization,
    registry::specs,
    rng::Rng,
    vector::{Actions, AutoresetMode, StepBuffers, VectorEnv},
};

const MODES: [AutoresetMode; 3] = [
    AutoresetMode::NextStep,
    AutoresetMode::SameStep,
    AutoresetMode::Disabled,
];

/// A number that is neither a multiple of the lanes nor below them.
const ENVS: usize = 37;

fn make(id: &str, kwargs: &Kwargs, mode: AutoresetMode, form: Vectorization) -> Box<dyn VectorEnv> {
    let builder = EnvBuilder::new(id)
        .kwargs(kwargs.clone())
        .vectorization(form);
    builder.build_vec(ENVS, mode).expect("a vector form")
}

fn step(envs: &mut dyn VectorEnv, space: &Space, rng: &mut Rng, out: &mut StepBuffers) {
    match space {
        Space::Discrete(choice) => {
            let actions = (0..ENVS).map(|_| choice.sample(rng)).collect::<Vec<_>>();
            envs.step(Actions::Discrete(&actions), out)
        }
        Space::Box(bounds) => {
            // Wider than the space: what is outside must be clipped as in the scalar form.
            let actions = (0..ENVS)
                .map(|_| bounds.sample(rng)[0] * 1.5)
                .collect::<Vec<_>>();
            envs.step(Actions::Continuous(&actions), out)
        }
        other => panic!("no fast form acts in {other}"),
    }
    .expect("a step");
}

fn assert_same(fast: &StepBuffers, slow: &StepBuffers, what: &str) {
    assert_eq!(fast.terminated, slow.terminated, "{what}");
    assert_eq!(fast.truncated, slow.truncated, "{what}");
    assert_eq!(fast.has_final, slow.has_final, "{what}");
    let close = |a: f64, b: f64| (a - b).abs() <= 1e-6;
    let floats = |a: &[f32], b: &[f32]| {
        let mut pairs = a.iter().zip(b);
        pairs.all(|(a, b)| close(f64::from(*a), f64::from(*b)))
    };
    assert!(floats(&fast.obs, &slow.obs), "{what}");
    assert!(floats(&fast.final_obs, &slow.final_obs), "{what}");
    let mut rewards = fast.rewards.iter().zip(&slow.rewards);
    assert!(rewards.all(|(a, b)| close(*a, *b)), "{what}");
    assert_eq!(fast.episode_length, slow.episode_length, "{what}");
}

/// Plays both forms from equal states, made equal again before each step.
fn compare(id: &str, kwargs: &Kwargs, mode: AutoresetMode) -> usize {
    let mut fast = make(id, kwargs, mode, Vectorization::Fastest);
    let mut slow = make(id, kwargs, mode, Vectorization::Sync);
    let (mut fast_out, mut slow_out) = (StepBuffers::for_env(&*fast), StepBuffers::for_env(&*slow));
    fast.reset(Some(11), &mut fast_out.obs).expect("a reset");
    slow.reset(Some(11), &mut slow_out.obs).expect("a reset");
    assert_eq!(
        fast_out.obs, slow_out.obs,
        "{id}: equal seeds begin equally"
    );
    let space = fast.single_action_space();
    let (mut rng, mut again) = (Rng::new(1), Rng::new(1));
    let mut ends = 0;
    for at in 0..600 {
        let what = format!("{id} {mode:?}, step {at}");
        step(&mut *fast, &space, &mut rng, &mut fast_out);
        step(&mut *slow, &space, &mut again, &mut slow_out);
        assert_same(&fast_out, &slow_out, &what);
        let ended = (0..ENVS).map(|env| slow_out.terminated[env] || slow_out.truncated[env]);
        let ended = ended.collect::<Vec<_>>();
        ends += ended.iter().filter(|ended| **ended).count();
        if mode == AutoresetMode::Disabled {
            fast.reset_where(&ended, &mut fast_out.obs)
                .expect("a reset");
            slow.reset_where(&ended, &mut slow_out.obs)
                .expect("a reset");
            assert_same(&fast_out, &slow_out, &what);
        }
        fast.set_states(&slow.states())
            .expect("states of the scalar form");
    }
    ends
}

#[test]
fn every_transition_of_a_fast_form_is_the_scalar_forms() {
    let mut compared = 0;
    for spec in specs().iter().filter(|spec| spec.has_vector_entry_point()) {
        let id = spec.id().to_string();
        // A form that shows one part of a dict alone is compared in that environment's own tests.
        let shown = [Vectorization::Fastest, Vectorization::Sync]
            .map(|form| make(&id, &Kwargs::new(), MODES[0], form).single_observation_space());
        if shown[0] != shown[1] {
            continue;
        }
        for mode in MODES {
            let ends = compare(&id, &Kwargs::new(), mode);
            assert!(ends > 0, "{id} {mode:?}: no episode ended");
        }
        compared += 1;
    }
    assert!(compared >= 3, "the fast forms are registered");
}

#[test]
fn arguments_reach_the_fast_forms() {
    let mode = AutoresetMode::SameStep;
    let sutton_barto = Kwargs::from([("sutton_barto_reward", Value::Bool(true))]);
    compare("CartPole-v1", &sutton_barto, mode);
    compare(
        "Pendulum-v1",
        &Kwargs::from([("g", Value::Float(3.7))]),
        mode,
    );
    let unknown = EnvBuilder::new("CartPole-v1").kwarg("g", 1.0);
    assert!(unknown.build_vec(2, mode).is_err());
}

#[test]
fn a_fast_form_refuses_what_the_scalar_form_refuses() {
    for form in [Vectorization::Fastest, Vectorization::Sync] {
        let mut envs = make("CartPole-v1", &Kwargs::new(), AutoresetMode::Disabled, form);
        let mut out = StepBuffers::for_env(&*envs);
        let right = [1; ENVS];
        assert!(
            envs.step(Actions::Discrete(&right), &mut out).is_err(),
            "no reset yet"
        );
        envs.reset(Some(0), &mut out.obs).expect("a reset");
        let mut wrong = right;
        wrong[36] = 2;
        assert!(envs.step(Actions::Discrete(&wrong), &mut out).is_err());
        assert!(envs.step(Actions::Discrete(&right[1..]), &mut out).is_err());
        assert!(
            envs.step(Actions::Continuous(&[0.0; ENVS]), &mut out)
                .is_err()
        );
        envs.reset(Some(0), &mut out.obs).expect("a reset");
        while !out.terminated.contains(&true) {
            envs.step(Actions::Discrete(&right), &mut out)
                .expect("a step");
        }
        assert!(
            envs.step(Actions::Discrete(&right), &mut out).is_err(),
            "one has ended"
        );
        let mut states = envs.states();
        states[0].values.pop();
        assert!(envs.set_states(&states).is_err());
        out.rewards.pop();
        assert!(envs.step(Actions::Discrete(&right), &mut out).is_err());
    }
}
