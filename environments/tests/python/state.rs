//! Saved states, and threads.

use environments::{Env as _, EnvBuilder, EnvError, Options, State, Step, Value, make, rng::Rng};

use crate::fixture;

/// Plays on with drawn actions; what is over is reset.
fn play(id: &str, from: &State, seed: u64) -> Vec<Step<Value>> {
    let mut env = make(id).expect(id);
    env.reset(Some(99), &Options::new()).expect("a reset");
    env.set_state(from).expect("it was saved");
    let (actions, mut rng) = (env.action_space(), Rng::new(seed));
    let mut steps = Vec::new();
    for _ in 0..60 {
        let step = env.step(&actions.sample(&mut rng)).expect("a step");
        if step.terminated || step.truncated {
            env.reset(None, &Options::new()).expect("a reset");
        }
        steps.push(step);
    }
    steps
}

#[test]
fn a_saved_state_goes_on_the_same_way_in_another_environment() {
    for id in [
        "gym:CartPole-v1",
        "gym:FrozenLake-v1",
        "gym:ALE/Pong-v5",
        "gym:MiniGrid-DoorKey-5x5-v0",
        "gym:Ant-v5",
    ] {
        let mut env = make(id).expect(id);
        env.reset(Some(4), &Options::new()).expect("a reset");
        let (actions, mut rng) = (env.action_space(), Rng::new(1));
        for _ in 0..5 {
            env.step(&actions.sample(&mut rng)).expect("a step");
        }
        let saved = env.state();
        let (first, again) = (play(id, &saved, 2), play(id, &saved, 2));
        assert!(first == again, "{id}");
        let mut rng = Rng::new(2);
        let on = env.step(&actions.sample(&mut rng)).expect("a step");
        assert!(on == first[0], "{id}: the saved one goes on alike");
    }
}

#[test]
fn sticky_actions_go_with_the_state_of_a_game() {
    let begun = |sticks: f64| {
        let builder = EnvBuilder::new("gym:ALE/Breakout-v5");
        let builder = builder.kwarg("repeat_action_probability", sticks);
        let mut env = builder.kwarg("frameskip", 1).build().expect("it is there");
        env.reset(Some(6), &Options::new()).expect("a reset");
        env
    };
    let (mut saving, mut plain, mut other) = (begun(0.5), begun(0.5), begun(0.5));
    let (actions, mut rng) = (saving.action_space(), Rng::new(8));
    for at in 0..40 {
        let action = actions.sample(&mut rng);
        let step = saving.step(&action).expect("a step");
        assert_eq!(
            step,
            plain.step(&action).expect("a step"),
            "step {at}: saving changes nothing"
        );
        let saved = saving.state();
        other.set_state(&saved).expect("it was saved");
        let mut rng = rng.clone();
        for _ in 0..6 {
            let action = actions.sample(&mut rng);
            let step = other.step(&action).expect("a step");
            assert_eq!(
                step,
                saving.step(&action).expect("a step"),
                "after step {at}"
            );
        }
        saving.set_state(&saved).expect("it was saved");
    }
}

#[test]
fn a_state_that_python_cannot_save_says_so_and_what_to_do() {
    let sticky = EnvBuilder::new("gym:ALE/Pong-v5").kwarg("repeat_action_probability", 0.95);
    for (builder, reason) in [
        (EnvBuilder::new("gym:LunarLander-v3"), "without `gym:`"),
        (EnvBuilder::new("gym:BipedalWalker-v3"), "without `gym:`"),
        (sticky, "cannot be told apart"),
    ] {
        let mut env = builder.build().expect("it is there");
        env.reset(Some(1), &Options::new()).expect("a reset");
        let state = env.state();
        let error = env.set_state(&state).expect_err("it was not saved");
        assert!(matches!(error, EnvError::StateNotSaved { .. }), "{error:?}");
        assert!(error.to_string().contains(reason), "{error}");
    }
}

#[test]
fn a_state_of_something_else_is_refused() {
    let mut pong = make("gym:CartPole-v1").expect("it is there");
    let other = make("gym:Pendulum-v1").expect("it is there").state();
    assert!(matches!(
        pong.set_state(&other),
        Err(EnvError::InvalidState(_))
    ));
    let native = make("CartPole-v1").expect("it is there").state();
    assert!(matches!(
        pong.set_state(&native),
        Err(EnvError::InvalidState(_))
    ));
}

#[test]
fn a_thread_steps_while_another_one_is_in_a_step() {
    let step = || {
        let mut env = fixture("Meeting", []).expect("made");
        env.reset(None, &Options::new()).expect("a reset");
        env.step(&Value::Int(1)).map(|step| step.observation)
    };
    let other = std::thread::spawn(step);
    assert_eq!(step(), Ok(Value::Int(1)));
    assert_eq!(other.join().expect("it does not panic"), Ok(Value::Int(1)));
}
