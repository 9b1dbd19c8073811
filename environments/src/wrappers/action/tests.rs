//! Each wrapper against numbers worked by hand.

use super::*;
use crate::{
    Discrete, Options,
    envs::{CartPole, FrozenLake, Pendulum},
    wrappers::scripted::Scripted,
};

fn pairs() -> Scripted {
    Scripted::acted(BoxSpace::new(vec![-2.0, 0.0], vec![2.0, 10.0]))
}

fn pair(a: f32, b: f32) -> Value {
    Array::from(vec![a, b]).into()
}

/// Does the actions, and returns what the environment did.
fn done<M: ActionMap>(mut env: MapAction<Scripted, M>, actions: &[Value]) -> Vec<Value> {
    env.reset(None, &Options::new()).expect("a reset");
    for action in actions {
        assert!(env.action_space().contains(action), "{action:?}");
        env.step(action).expect("a step");
    }
    env.inner.done
}

#[test]
fn clipping_moves_numbers_to_the_nearest_bound() {
    let env = ClipAction::new(pairs()).expect("a box");
    let found = done(env, &[pair(-3.0, 11.0), pair(0.0, 0.5)]);
    assert_eq!(found, [pair(-2.0, 10.0), pair(0.0, 0.5)]);
    let mut env = ClipAction::new(pairs()).expect("a box");
    env.reset(None, &Options::new()).expect("a reset");
    for wrong in [pair(f32::NAN, 0.0), Value::Int(1), Value::from("left")] {
        let step = env.step(&wrong);
        assert!(
            matches!(step, Err(EnvError::InvalidAction { .. })),
            "{wrong:?}"
        );
    }
    assert!(ClipAction::new(CartPole::new()).is_err());
}

#[test]
fn rescaling_maps_bounds_to_bounds() {
    let env = RescaleAction::new(pairs(), -1.0, 1.0).expect("bounded");
    let found = done(env, &[pair(-1.0, 1.0), pair(0.0, 0.5), pair(0.25, -0.5)]);
    assert_eq!(found, [pair(-2.0, 10.0), pair(0.0, 7.5), pair(0.5, 2.5)]);
    assert!(RescaleAction::new(pairs(), 1.0, 1.0).is_err());
}

#[test]
fn a_choice_does_the_middle_of_its_bin() {
    let env = DiscretizeAction::new(pairs(), &[4, 5]).expect("bounded");
    let found = done(env, &[0, 7, 19].map(Value::Int));
    assert_eq!(found, [pair(-1.5, 1.0), pair(-0.5, 5.0), pair(1.5, 9.0)]);
    let env = DiscretizeAction::new(pairs(), &[4, 5])
        .expect("bounded")
        .multi_discrete();
    let choice = Array::from(vec![1_i64, 2]).into();
    assert_eq!(done(env, &[choice]), [pair(-0.5, 5.0)]);
    let mut env = DiscretizeAction::new(Pendulum::new(), &[3]).expect("bounded");
    env.reset(Some(0), &Options::new()).expect("a reset");
    assert!(env.step(&Value::Int(2)).is_ok());
    assert!(matches!(
        env.step(&Value::Int(3)),
        Err(EnvError::InvalidAction { .. })
    ));
}

#[test]
fn a_function_says_what_is_done() {
    let mut env = TransformAction::new(CartPole::new(), Discrete::new(2), |action| {
        Some(Value::Int(1 - action.as_int()?))
    });
    let mut plain = CartPole::new();
    env.reset(Some(4), &Options::new()).expect("a reset");
    plain.reset(Some(4), &Options::new()).expect("a reset");
    assert_eq!(env.step(&Value::Int(0)), plain.step(&1));
    assert!(env.step(&Value::from("left")).is_err());
}

#[test]
fn repeating_adds_rewards_up_and_stops_at_the_end() {
    let mut env = RepeatAction::new(Scripted::paying(&[1.0, 2.0, 4.0, 8.0]), 3).expect("three");
    env.reset(None, &Options::new()).expect("a reset");
    let rewards = [(); 2].map(|()| env.step(&Value::Int(0)).expect("a step").reward);
    assert_eq!(rewards, [7.0, 8.0]);
    assert!(RepeatAction::new(CartPole::new(), 0).is_err());
}

/// How many of 199 actions were not done but the one before.
fn stuck(env: &mut StickyAction<Scripted>, seed: u64) -> Vec<bool> {
    env.inner.done.clear();
    env.reset(Some(seed), &Options::new()).expect("a reset");
    for at in 0..199 {
        env.step(&Value::Int(at)).expect("a step");
    }
    let done = env.inner.done.iter().zip(0..);
    done.map(|(done, asked)| *done != Value::Int(asked))
        .collect()
}

#[test]
fn an_action_sticks_by_chance_and_for_as_long_as_was_said() {
    let mut env = StickyAction::new(Scripted::acted(Discrete::new(200)), 0.25).expect("a share");
    let once = stuck(&mut env, 1);
    assert!(!once[0], "nothing was done before the first");
    let count = once.iter().filter(|stuck| **stuck).count();
    assert!(
        (30..=70).contains(&count),
        "{count} of 199 with probability 0.25"
    );
    assert_eq!(once, stuck(&mut env, 1), "the seed decides");
    let mut env = env.duration(3..=3).expect("three steps");
    let runs = stuck(&mut env, 1);
    let runs = runs
        .split(|stuck| !stuck)
        .map(<[bool]>::len)
        .collect::<Vec<_>>();
    let (last, whole) = runs.split_last().expect("one or more");
    assert!(
        whole.iter().all(|run| run % 3 == 0) && *last <= 199,
        "{runs:?}"
    );
    assert!(whole.contains(&3));
    assert!(StickyAction::new(CartPole::new(), 1.0).is_err());
}

#[test]
fn a_sticky_action_goes_with_the_state() {
    let sticky = || {
        let env = StickyAction::new(CartPole::new(), 0.5).expect("a share");
        env.duration(1..=4).expect("a duration")
    };
    let mut env = sticky();
    env.reset(Some(3), &Options::new()).expect("a reset");
    for action in [0, 1, 0, 1] {
        env.step(&action).expect("a step");
    }
    let mut again = sticky();
    again.set_state(&env.state()).expect("its own state");
    for action in [0, 1, 1, 0, 0, 1] {
        assert_eq!(env.step(&action), again.step(&action));
    }
    assert!(again.set_state(&CartPole::new().state()).is_err());
}

#[test]
fn a_mask_narrows_what_the_environment_allows() {
    let mut env = ActionMasker::new(FrozenLake::new(), |_, mask| mask[2] = false)
        .expect("choices")
        .refusing();
    env.reset(Some(0), &Options::new()).expect("a reset");
    let mut mask = [false; 4];
    assert!(env.action_mask(&mut mask));
    assert_eq!(mask, [true, true, false, true]);
    assert!(matches!(env.step(&2), Err(EnvError::InvalidAction { .. })));
    assert!(env.step(&1).is_ok());
    assert!(ActionMasker::new(Pendulum::new(), |_, _| ()).is_err());
}
