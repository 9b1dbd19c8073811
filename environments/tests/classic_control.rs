//! What MountainCar, its continuous form and Acrobot promise beyond the recorded episodes.

use environments::{
    Env, EnvError, Options, State, Value,
    envs::{Acrobot, Equations, MountainCar, MountainCarContinuous},
    make_with,
};

fn started<E: Env>(mut env: E, values: &[f64]) -> E {
    env.reset(Some(0), &Options::new()).expect("a reset");
    let state = State {
        values: values.to_vec(),
        ..env.state()
    };
    env.set_state(&state).expect("a state");
    env
}

#[test]
fn a_car_stops_at_the_left_wall() {
    let mut env = started(MountainCar::new(), &[-1.19, -0.07]);
    let step = env.step(&0).expect("a step");
    assert_eq!(step.observation, [-1.2, 0.0]);
    assert!(!step.terminated);
    let mut env = started(MountainCarContinuous::new(), &[-1.19, -0.07]);
    assert_eq!(env.step(&[-1.0]).expect("a step").observation, [-1.2, 0.0]);
}

#[test]
fn a_car_must_pass_the_flag_as_fast_as_asked() {
    for (goal_velocity, is_passed) in [(0.0, true), (0.05, false)] {
        let env = MountainCar::new().goal_velocity(goal_velocity);
        let mut env = started(env, &[0.49, 0.02]);
        assert_eq!(env.step(&2).expect("a step").terminated, is_passed);
        let env = MountainCarContinuous::new().goal_velocity(goal_velocity);
        let mut env = started(env, &[0.44, 0.02]);
        let step = env.step(&[0.5]).expect("a step");
        assert_eq!(step.terminated, is_passed);
        let bonus = if is_passed { 100.0 } else { 0.0 };
        assert_eq!(step.reward, bonus - 0.025);
    }
}

#[test]
fn a_force_beyond_its_bounds_is_clipped_for_the_motion_and_not_for_the_cost() {
    let next = |force: f32| {
        let mut env = started(MountainCarContinuous::new(), &[-0.5, 0.0]);
        let step = env.step(&[force]).expect("a step");
        (step.observation, step.reward)
    };
    assert_eq!(next(3.0).0, next(7.0).0);
    assert_eq!((next(3.0).1, next(7.0).1), (-9.0 * 0.1, -49.0 * 0.1));
    let mut env = started(MountainCarContinuous::new(), &[-0.5, 0.0]);
    for force in [f32::NAN, f32::INFINITY] {
        let step = env.step(&[force]);
        assert!(matches!(step, Err(EnvError::InvalidAction { .. })));
    }
}

#[test]
fn the_papers_equations_differ_from_the_books_by_one_term() {
    let next = |equations, velocity: f64| {
        let env = Acrobot::new().equations(equations);
        let mut env = started(env, &[0.3, 0.4, velocity, 0.0]);
        env.step(&1).expect("a step").observation
    };
    // The term goes with the square of the first velocity.
    assert_ne!(next(Equations::Book, 2.0), next(Equations::Nips, 2.0));
    let still = next(Equations::Book, 0.0);
    let difference = still[5] - next(Equations::Nips, 0.0)[5];
    assert!(difference.abs() < 0.02, "{difference}");
    let nips = make_with("Acrobot-v1", [("book_or_nips", "nips".into())]);
    assert!(nips.is_ok());
    assert!(make_with("Acrobot-v1", [("book_or_nips", "neither".into())]).is_err());
}

#[test]
fn acrobots_energy_is_kept_without_torque() {
    // Kinetic and potential energy of two rods of 1 m and 1 kg with inertia 1 about their centres.
    let energy = |state: &[f64]| {
        let [a, b, da, db] = *state else {
            panic!("four values")
        };
        let d1 = 0.25 + 1.0 + 0.25 + b.cos() + 2.0;
        let d2 = 0.25 + 0.5 * b.cos() + 1.0;
        let kinetic = 0.5 * d1 * da * da + d2 * da * db + 0.5 * 1.25 * db * db;
        kinetic - 9.8 * (1.5 * a.cos() + 0.5 * (a + b).cos())
    };
    let mut env = started(Acrobot::new(), &[0.5, 0.2, 0.0, 0.0]);
    let before = energy(&env.state().values);
    for _ in 0..50 {
        env.step(&1).expect("a step");
    }
    let after = energy(&env.state().values);
    assert!((after - before).abs() < 0.1, "{before} {after}");
}

#[test]
fn bounds_of_the_start_are_options() {
    let options = Options::from([
        ("low".to_owned(), Value::Float(-0.3)),
        ("high".to_owned(), Value::Float(-0.2)),
    ]);
    let mut env = MountainCar::new();
    for seed in 0..100 {
        let ([position, velocity], _) = env.reset(Some(seed), &options).expect("a reset");
        assert!((-0.3..=-0.2).contains(&position) && velocity == 0.0);
    }
    let swapped = Options::from([("low".to_owned(), Value::Float(0.3))]);
    assert!(matches!(
        env.reset(None, &swapped),
        Err(EnvError::InvalidOption { .. })
    ));
    let mut env = Acrobot::new();
    env.reset(Some(0), &Options::new()).expect("a reset");
    let values = env.state().values;
    assert!(
        values
            .iter()
            .all(|value| value.abs() <= 0.1 && f64::from(*value as f32) == *value)
    );
}
