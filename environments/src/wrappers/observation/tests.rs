//! Each wrapper against numbers worked by hand; those of pictures and statistics are also what Gymnasium 1.4 and OpenCV
//! give for the same input.

use super::*;
use crate::{
    ArrayData, Dict, Discrete, Dtype, Tuple,
    envs::CartPole,
    wrappers::{
        TimeLimit,
        scripted::{Scripted, shown},
    },
};

/// Two numbers within ±2 and 0 to 10, on four occasions.
fn pairs() -> Scripted {
    let space = BoxSpace::new(vec![-2.0, 0.0], vec![2.0, 10.0]);
    let numbers = [[-1.0_f32, 2.5], [2.0, 10.0], [0.5, 9.0], [0.0, 0.0]];
    Scripted::new(
        space,
        numbers
            .map(|pair| Array::from(pair.to_vec()).into())
            .to_vec(),
    )
}

/// A picture of 4 by 6 pixels.
fn picture() -> Scripted {
    let bytes = (0..72_u32).map(|at| ((7 * at * at + 13 * at) % 256) as u8);
    let picture = Array::new([4, 6, 3], ArrayData::U8(bytes.collect())).expect("72 bytes");
    let space = BoxSpace::uniform(0.0, 255.0, &[4, 6, 3], Dtype::U8);
    Scripted::new(space, vec![picture.into(); 2])
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().expect("an array").to_f64()
}

fn all_numbers(values: &[Value]) -> Vec<Vec<f64>> {
    values.iter().map(numbers).collect()
}

fn close(found: &[Vec<f64>], expected: &[[f64; 2]]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().flatten().zip(expected.iter().flatten()) {
        assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
    }
}

#[test]
fn rescaling_maps_bounds_to_bounds() {
    let mut env = RescaleObservation::new(pairs(), -1.0, 1.0).expect("bounded");
    let expected = [[-0.5, -0.5], [1.0, 1.0], [0.25, 0.8], [0.0, -1.0]];
    close(&all_numbers(&shown(&mut env)), &expected);
    let unbounded = RescaleObservation::new(CartPole::new(), -1.0, 1.0);
    assert!(matches!(unbounded, Err(EnvError::NotSupported(_))));
}

#[test]
fn clipping_moves_numbers_to_the_nearest_bound() {
    let mut env = ClipObservation::new(pairs(), -0.5, 3.0).expect("a box");
    let expected = [[-0.5, 2.5], [2.0, 3.0], [0.5, 3.0], [0.0, 0.0]];
    close(&all_numbers(&shown(&mut env)), &expected);
    assert!(ClipObservation::new(pairs(), 1.0, 0.0).is_err());
}

#[test]
fn numbers_get_another_type() {
    let mut env = DtypeObservation::new(pairs(), Dtype::I8).expect("numbers");
    assert_eq!(all_numbers(&shown(&mut env))[2], [0.0, 9.0]);
    let choices = Scripted::new(Discrete::starting_at(3, 2), vec![Value::Int(3); 2]);
    let mut env = DtypeObservation::new(choices, Dtype::F32).expect("a choice");
    assert_eq!(
        env.observation_space().to_string(),
        "Box(2.0, 4.0, (), float32)"
    );
    assert_eq!(all_numbers(&shown(&mut env))[0], [3.0]);
}

#[test]
fn another_shape_holds_the_same_numbers() {
    let mut env = ReshapeObservation::new(picture(), &[6, 12]).expect("72 numbers");
    let (first, _) = env.reset(None, &Options::new()).expect("a reset");
    assert_eq!(first.as_array().expect("an array").shape(), [6, 12]);
    assert_eq!(numbers(&first), numbers(&picture().observations[0]));
    assert!(ReshapeObservation::new(picture(), &[5, 12]).is_err());
}

#[test]
fn bins_count_the_first_number_as_most_significant() {
    let mut env = DiscretizeObservation::new(pairs(), &[4, 5]).expect("bounded");
    let expected = [6, 19, 14, 10].map(Value::Int);
    assert_eq!(shown(&mut env), expected);
    let mut env = DiscretizeObservation::new(pairs(), &[4])
        .expect("bounded")
        .multi_discrete();
    let expected = [[1.0, 1.0], [3.0, 3.0], [2.0, 3.0], [2.0, 0.0]];
    close(&all_numbers(&shown(&mut env)), &expected);
    assert!(DiscretizeObservation::new(pairs(), &[4, 5, 6]).is_err());
    assert!(DiscretizeObservation::new(CartPole::new(), &[4]).is_err());
}

#[test]
fn a_filter_keeps_parts_and_flattening_joins_them() {
    let parts = Dict::new([
        ("a", Discrete::new(2)),
        ("b", Discrete::new(3)),
        ("c", Discrete::new(2)),
    ]);
    let whole = ["a", "b", "c"].map(|name| (name.to_owned(), Value::Int(1)));
    let inner = Scripted::new(parts, vec![Value::Map(whole.into()); 2]);
    let mut env = FilterObservation::names(inner.clone(), &["c", "b"]).expect("its parts");
    let kept = &shown(&mut env)[0];
    assert_eq!(
        kept.as_map().expect("a dict").keys().collect::<Vec<_>>(),
        ["b", "c"]
    );
    let mut flat = FlattenObservation::new(env);
    assert_eq!(all_numbers(&shown(&mut flat))[0], [0.0, 1.0, 0.0, 0.0, 1.0]);
    assert!(FilterObservation::names(inner.clone(), &["d"]).is_err());
    assert!(FilterObservation::indices(inner, &[0]).is_err());

    let pair = Tuple::new(vec![Discrete::new(2).into(), Discrete::new(9).into()]);
    let inner = Scripted::new(
        pair,
        vec![Value::List(vec![Value::Int(0), Value::Int(7)]); 2],
    );
    let mut env = FilterObservation::indices(inner.clone(), &[1, 0]).expect("its parts");
    assert_eq!(
        shown(&mut env)[0],
        Value::List(vec![Value::Int(7), Value::Int(0)])
    );
    assert!(FilterObservation::indices(inner, &[1, 1]).is_err());
}

#[test]
fn gray_weighs_the_colors() {
    let mut env = GrayscaleObservation::new(picture()).expect("a picture");
    let expected = [
        18, 156, 145, 96, 82, 212, 212, 82, 133, 182, 174, 91, 79, 174, 159, 86, 66, 153, 129, 213,
        185, 100, 68, 144,
    ];
    assert_eq!(numbers(&shown(&mut env)[0]), expected.map(f64::from));
    let mut env = GrayscaleObservation::new(picture())
        .expect("a picture")
        .keep_dimension();
    let first = &shown(&mut env)[0];
    assert_eq!(first.as_array().expect("an array").shape(), [4, 6, 1]);
    assert!(GrayscaleObservation::new(pairs()).is_err());
}

#[test]
fn a_smaller_picture_has_the_means_of_areas() {
    let mut env = ResizeObservation::new(picture(), 3, 4).expect("a picture");
    let expected = [
        61, 94, 141, 106, 153, 128, 137, 104, 149, 174, 154, 128, 118, 146, 146, 144, 142, 112,
        106, 132, 172, 124, 120, 131, 132, 154, 106, 137, 216, 53, 160, 53, 216, 157, 106, 154,
    ];
    assert_eq!(numbers(&shown(&mut env)[0]), expected.map(f64::from));
    let mut same = ResizeObservation::new(picture(), 4, 6).expect("a picture");
    assert_eq!(shown(&mut same)[0], picture().observations[0]);
    assert!(ResizeObservation::new(picture(), 0, 4).is_err());
}

#[test]
fn normalizing_counts_each_observation_first() {
    let mut env = NormalizeObservation::new(pairs()).expect("a box");
    let expected = [
        [-0.007072594948112965, 0.009289322420954704],
        [1.0000276565551758, 1.0000371932983398],
        [1.3553793905884959e-05, 0.5514177083969116],
        [-0.3464016914367676, -1.2696155309677124],
    ];
    // Gymnasium adds up in f32.
    for (found, expected) in all_numbers(&shown(&mut env))
        .iter()
        .flatten()
        .zip(expected.iter().flatten())
    {
        assert!((found - expected).abs() < 2e-5, "{found} is not {expected}");
    }
    env.map.is_learning = false;
    let before = env.map.statistics.clone();
    shown(&mut env);
    assert_eq!(env.map.statistics, before);
}

#[test]
fn a_stack_shows_the_oldest_first_and_begins_with_padding() {
    let mut env = FrameStackObservation::new(pairs(), 2).expect("two");
    let expected = [
        [-1.0, 2.5, -1.0, 2.5],
        [-1.0, 2.5, 2.0, 10.0],
        [2.0, 10.0, 0.5, 9.0],
    ];
    assert_eq!(all_numbers(&shown(&mut env))[..3], expected);
    let mut env = env.padding(Padding::Zero).expect("there are zeros");
    assert_eq!(all_numbers(&shown(&mut env))[0], [0.0, 0.0, -1.0, 2.5]);
    assert!(FrameStackObservation::new(pairs(), 0).is_err());

    let parts = Dict::new([
        ("a", Space::from(Discrete::new(5))),
        ("b", pairs().observation_space),
    ]);
    let whole = [
        ("a".to_owned(), Value::Int(4)),
        ("b".to_owned(), pairs().observations[0].clone()),
    ];
    let inner = Scripted::new(parts, vec![Value::Map(whole.into()); 2]);
    let mut env = FrameStackObservation::new(inner, 3).expect("three");
    assert_eq!(
        numbers(&shown(&mut env)[1].as_map().expect("a dict")["a"]),
        [4.0; 3]
    );
}

#[test]
fn a_delay_shows_zeros_and_then_what_was() {
    let mut env = DelayObservation::new(pairs(), 2).expect("there are zeros");
    let expected = [[0.0, 0.0], [0.0, 0.0], [-1.0, 2.5], [2.0, 10.0]];
    close(&all_numbers(&shown(&mut env)), &expected);
}

#[test]
fn the_time_stands_beside_the_observation() {
    let limited = || TimeLimit::new(pairs(), 10);
    let mut env = TimeAwareObservation::new(limited()).expect("a limit");
    let expected = [[-1.0, 2.5, 0.0], [2.0, 10.0, 1.0], [0.5, 9.0, 2.0]];
    assert_eq!(all_numbers(&shown(&mut env))[..3], expected);
    let env = TimeAwareObservation::new(limited())
        .expect("a limit")
        .form(TimeForm::Share);
    let mut env = env.in_parts();
    let second = shown(&mut env).swap_remove(1);
    assert_eq!(
        numbers(&second.as_map().expect("a dict")["time"]),
        [f64::from(0.1_f32)]
    );
    assert!(TimeAwareObservation::new(pairs()).is_err());
}

#[test]
fn skipping_shows_the_greater_of_the_last_two() {
    let mut env = MaxAndSkipObservation::new(pairs(), 2).expect("two");
    env.reset(None, &Options::new()).expect("a reset");
    let step = env.step(&Value::Int(0)).expect("a step");
    assert_eq!(
        (numbers(&step.observation), step.reward),
        (vec![2.0, 10.0], 2.0)
    );
    let step = env.step(&Value::Int(0)).expect("a step");
    assert!(step.terminated && step.reward == 1.0, "one frame was left");
    assert_eq!(numbers(&step.observation), [0.0, 0.0], "it is shown alone");
    assert!(MaxAndSkipObservation::new(pairs(), 1).is_err());
}

#[test]
fn the_picture_stands_beside_the_observation_or_alone() {
    let mut env = AddRenderObservation::new(CartPole::new()).expect("it is drawn");
    let (first, _) = env.reset(Some(2), &Options::new()).expect("a reset");
    assert!(env.observation_space().contains(&first));
    let mut plain = CartPole::new();
    let (state, _) = plain.reset(Some(2), &Options::new()).expect("a reset");
    assert_eq!(first.as_map().expect("a dict")["state"], state.to_value());
    let mut alone = AddRenderObservation::alone(CartPole::new()).expect("it is drawn");
    let (picture, _) = alone.reset(Some(2), &Options::new()).expect("a reset");
    assert_eq!(first.as_map().expect("a dict")["pixels"], picture);
    assert_eq!(picture.as_array().expect("an array").shape(), [400, 600, 3]);
    assert!(AddRenderObservation::new(pairs()).is_err());
}

#[test]
fn what_wrappers_remember_goes_with_the_state() {
    let wrapped = || {
        let env = FrameStackObservation::new(CartPole::new(), 3).expect("three");
        let env = FrameStackObservation::new(env, 2).expect("two");
        let env = DelayObservation::new(env, 2).expect("there are zeros");
        let env = TimeAwareObservation::new(env).expect("it has a limit");
        NormalizeObservation::new(env).expect("a box")
    };
    let mut env = wrapped();
    env.reset(Some(1), &Options::new()).expect("a reset");
    for action in [0, 1, 1, 0] {
        env.step(&action).expect("a step");
    }
    let mut again = wrapped();
    again.set_state(&env.state()).expect("its own state");
    assert_eq!(again.state(), env.state());
    for action in [0, 1, 1, 0] {
        assert_eq!(env.step(&action), again.step(&action));
    }
    let foreign = again.set_state(&CartPole::new().state());
    assert!(
        matches!(foreign, Err(EnvError::InvalidState(_))),
        "{foreign:?}"
    );
}
