//! Every kind of space keeps the same promises.

use std::collections::BTreeMap;

use environments::{
    Array, ArrayData, BoxSpace, Dict, Discrete, Dtype, GraphSpace, Mask, MultiBinary,
    MultiDiscrete, OneOf, Seed, Sequence, Space, SpaceError, SpaceSampler, TextSpace, Tuple, Value,
    rng::Rng,
};

const INF: f64 = f64::INFINITY;

fn spaces() -> Vec<Space> {
    let half_open = BoxSpace::with_bounds(
        vec![-1.0, 0.5, -INF, -INF],
        vec![1.0, INF, 3.0, INF],
        &[2, 2],
        Dtype::F64,
    );
    let bytes = BoxSpace::of_dtype(&[2, 3], Dtype::U8);
    let choice = Discrete::starting_at(3, -1);
    let text = TextSpace::with_letters(0, 5, "abc".chars());
    let dict = Dict::new([("b", Space::from(choice)), ("a", bytes.clone().into())]);
    let graph = GraphSpace::new(half_open.clone(), Some(choice.into()));
    vec![
        half_open.into(),
        bytes.clone().into(),
        BoxSpace::uniform(-0.1, 0.7, &[], Dtype::F64).into(),
        BoxSpace::uniform(0.0, 1.0, &[3], Dtype::Bool).into(),
        choice.into(),
        MultiDiscrete::new(vec![2, 5]).into(),
        MultiDiscrete::with_shape(vec![2, 3, 4, 5], vec![0, 1, -2, 3], &[2, 2]).into(),
        MultiBinary::new([2, 3]).into(),
        text.clone().into(),
        dict.clone().into(),
        Tuple::new(vec![choice.into(), text.clone().into()]).into(),
        Sequence::new(choice).into(),
        graph.clone().into(),
        GraphSpace::new(Discrete::new(2), None).into(),
        OneOf::new(vec![choice.into(), bytes.into(), text.into()]).into(),
        Tuple::new(vec![
            dict.into(),
            Sequence::new(choice).into(),
            graph.into(),
        ])
        .into(),
        OneOf::new(vec![Sequence::new(choice).into(), choice.into()]).into(),
    ]
}

#[test]
fn samples_are_members_and_equal_for_equal_seeds() {
    for space in spaces() {
        let draw = || {
            let mut rng = Rng::new(3);
            (0..200).map(|_| space.sample(&mut rng)).collect::<Vec<_>>()
        };
        let first = draw();
        for value in &first {
            assert!(space.contains(value), "{value:?} in {space}");
        }
        assert_eq!(first, draw(), "{space}");
        let mut sampler = SpaceSampler::new(space.clone());
        let mut draw = |seed| {
            sampler.seed(&Seed::One(seed)).expect("a seed for all");
            (0..20).map(|_| sampler.sample()).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1), "{space}");
        assert_ne!(draw(1), draw(2), "{space}");
    }
}

#[test]
fn a_member_of_one_space_is_not_one_of_another() {
    let all = spaces();
    for (at, space) in all.iter().enumerate() {
        let value = all[(at + 1) % all.len()].sample(&mut Rng::new(1));
        assert!(!space.contains(&value), "{value:?} in {space}");
        assert!(!space.contains(&Value::Float(0.5)), "{space}");
    }
    let unit = BoxSpace::uniform(0.0, 1.0, &[1], Dtype::F32);
    let unit = Space::from(unit);
    assert!(!unit.contains(&Array::from(vec![f32::NAN]).into()));
    assert!(
        !unit.contains(&Array::from(vec![0.5_f64]).into()),
        "another type"
    );
    assert!(unit.contains(&Array::from(vec![1.0_f32]).into()));
}

#[test]
fn flat_members_are_in_the_flat_space_and_come_back() {
    for space in spaces() {
        let mut rng = Rng::new(5);
        let flat_space = space.flatten_space();
        for _ in 0..100 {
            let value = space.sample(&mut rng);
            let flat = space.flatten(&value).expect("a member");
            assert!(flat_space.contains(&flat), "{flat:?} in {flat_space}");
            if let Some(dim) = space.flatdim() {
                assert_eq!(flat.as_array().map(Array::len), Some(dim), "{space}");
            }
            assert_eq!(space.unflatten(&flat), Ok(value), "{space}");
        }
        let stranger = Value::Float(0.5);
        assert!(space.flatten(&stranger).is_err() && space.unflatten(&stranger).is_err());
    }
    let zeros = Array::from(vec![0_i64; 3]);
    assert!(matches!(
        Space::from(Discrete::new(3)).unflatten(&zeros.into()),
        Err(SpaceError::NotContained(_))
    ));
}

#[test]
fn a_flat_choice_is_one_hot() {
    let space = Tuple::new(vec![
        Discrete::starting_at(3, 1).into(),
        BoxSpace::uniform(0.0, 1.0, &[2], Dtype::F32).into(),
    ]);
    let value = Value::List(vec![2.into(), Array::from(vec![0.25_f32, 0.5]).into()]);
    // Whole numbers of 64 bits and floats of 32 meet in floats of 64.
    let expected = Array::from(vec![0.0, 1.0, 0.0, 0.25, 0.5]);
    assert_eq!(Space::from(space).flatten(&value), Ok(expected.into()));
}

#[test]
fn spaces_and_members_come_back_from_json() {
    for space in spaces() {
        assert_eq!(Space::from_json(&space.to_json()), Ok(space.clone()));
        let mut rng = Rng::new(6);
        for _ in 0..20 {
            let value = space.sample(&mut rng);
            let text = space.value_to_json(&value).expect("a member");
            assert_eq!(space.value_from_json(&text), Ok(value), "{space}: {text}");
        }
    }
    for text in ["", "7", "{}", r#"{"type": "Discrete", "n": 0, "start": 0}"#] {
        assert!(
            matches!(Space::from_json(text), Err(SpaceError::Json(_))),
            "{text}"
        );
    }
}

#[test]
fn spaces_print_as_gymnasiums() {
    let cart = BoxSpace::new(
        vec![-4.8, f32::NEG_INFINITY, -0.41887903, f32::NEG_INFINITY],
        vec![4.8, f32::INFINITY, 0.41887903, f32::INFINITY],
    );
    let acrobot = BoxSpace::new(
        vec![-1.0, -1.0, -1.0, -1.0, -12.566371, -28.274334],
        vec![1.0, 1.0, 1.0, 1.0, 12.566371, 28.274334],
    );
    let wide = BoxSpace::new(vec![1e-5, 1.5, -100.25], vec![1e9, 2.0, 3.0]);
    let nested = MultiDiscrete::with_shape(vec![2, 3, 4, 5], vec![0; 4], &[2, 2]);
    let dict = Dict::new([
        ("b", Space::from(Discrete::new(2))),
        ("a", BoxSpace::uniform(0.0, 1.0, &[1], Dtype::F32).into()),
    ]);
    let expected: Vec<(Space, &str)> = vec![
        (
            cart.into(),
            "Box([-4.8               -inf -0.41887903        -inf], \
             [4.8               inf 0.41887903        inf], (4,), float32)",
        ),
        (
            acrobot.into(),
            "Box([ -1.        -1.        -1.        -1.       -12.566371 -28.274334], \
             [ 1.        1.        1.        1.       12.566371 28.274334], (6,), float32)",
        ),
        (
            wide.into(),
            "Box([ 1.0000e-05  1.5000e+00 -1.0025e+02], [1.e+09 2.e+00 3.e+00], (3,), float32)",
        ),
        (
            BoxSpace::of_dtype(&[2, 3], Dtype::U8).into(),
            "Box(0, 255, (2, 3), uint8)",
        ),
        (
            BoxSpace::of_dtype(&[], Dtype::F64).into(),
            "Box(-inf, inf, (), float64)",
        ),
        (
            BoxSpace::uniform(0.0, 1e10, &[2], Dtype::F32).into(),
            "Box(0.0, 1e+10, (2,), float32)",
        ),
        (Discrete::starting_at(3, -1).into(), "Discrete(3, start=-1)"),
        (
            MultiDiscrete::new(vec![2, 3]).into(),
            "MultiDiscrete([2 3])",
        ),
        (nested.into(), "MultiDiscrete([[2 3]\n [4 5]])"),
        (MultiBinary::new([3]).into(), "MultiBinary(3)"),
        (MultiBinary::new([2, 3]).into(), "MultiBinary((2, 3))"),
        (
            TextSpace::with_letters(0, 3, "ba".chars()).into(),
            "Text(0, 3, charset=ab)",
        ),
        (
            dict.into(),
            "Dict('a': Box(0.0, 1.0, (1,), float32), 'b': Discrete(2))",
        ),
        (
            Sequence::new(Discrete::new(2)).into(),
            "Sequence(Discrete(2), stack=False)",
        ),
        (
            GraphSpace::new(Discrete::new(2), None).into(),
            "Graph(Discrete(2), None)",
        ),
        (
            OneOf::new(vec![Discrete::new(2).into(), Discrete::new(3).into()]).into(),
            "OneOf(Discrete(2), Discrete(3))",
        ),
    ];
    for (space, text) in expected {
        assert_eq!(space.to_string(), text);
    }
}

#[test]
fn masks_are_obeyed_in_every_kind_of_space() {
    let mut rng = Rng::new(9);
    let only_last = Mask::Allowed(vec![false, false, true]);
    let never_last = Mask::Probability(vec![0.5, 0.5, 0.0]);
    let choice = Space::from(Discrete::starting_at(3, 5));
    let multi = Space::from(MultiDiscrete::new(vec![3, 3]));
    let bits = Space::from(MultiBinary::new([3]));
    let text = Space::from(TextSpace::with_letters(1, 4, "abc".chars()));
    let dict = Space::from(Dict::new([("x", choice.clone()), ("y", choice.clone())]));
    let sequence = Space::from(Sequence::new(choice.clone()));
    let one_of = Space::from(OneOf::new(vec![choice.clone(), choice.clone()]));
    for _ in 0..50 {
        let mut draw = |space: &Space, mask: &Mask| {
            let value = space
                .sample_masked(mask, &mut rng)
                .expect("a mask that fits");
            assert!(space.contains(&value), "{value:?} in {space}");
            value
        };
        assert_eq!(draw(&choice, &only_last), Value::Int(7));
        assert_ne!(draw(&choice, &never_last), Value::Int(7));
        let both = draw(
            &multi,
            &Mask::Each(vec![only_last.clone(), never_last.clone()]),
        );
        let both = both.as_array().expect("an array").to_f64();
        assert!(both[0] == 2.0 && both[1] < 2.0);
        let fixed = draw(&bits, &Mask::Fixed(vec![Some(true), None, Some(false)]));
        let fixed = fixed.as_array().expect("an array").to_f64();
        assert!(fixed[0] == 1.0 && fixed[2] == 0.0);
        let ones = draw(&bits, &Mask::Probability(vec![1.0, 1.0, 0.0]));
        assert_eq!(
            ones.as_array().map(Array::to_f64),
            Some(vec![1.0, 1.0, 0.0])
        );
        let lengthy = Mask::Length(vec![3], Box::new(only_last.clone()));
        assert_eq!(draw(&text, &lengthy), Value::from("ccc"));
        let named = BTreeMap::from([("y".to_owned(), only_last.clone())]);
        let drawn = draw(&dict, &Mask::Named(named));
        assert_eq!(
            drawn.as_map().map(|drawn| &drawn["y"]),
            Some(&Value::Int(7))
        );
        assert_eq!(
            draw(&sequence, &lengthy),
            Value::List(vec![Value::Int(7); 3])
        );
        let either = draw(
            &one_of,
            &Mask::Each(vec![only_last.clone(), only_last.clone()]),
        );
        assert_eq!(
            either.as_list().map(|either| &either[1]),
            Some(&Value::Int(7))
        );
    }
    let unit = Space::from(BoxSpace::uniform(0.0, 1.0, &[1], Dtype::F32));
    for (space, mask) in [
        (&unit, &only_last),
        (&choice, &Mask::Allowed(vec![true])),
        (&choice, &Mask::Probability(vec![0.5, 0.1, 0.1])),
        (&multi, &only_last),
        (&dict, &Mask::Each(vec![])),
        (&text, &Mask::Length(vec![9], Box::default())),
    ] {
        let drawn = space.sample_masked(mask, &mut rng);
        assert!(
            matches!(drawn, Err(SpaceError::InvalidMask { .. })),
            "{space}"
        );
    }
}

#[test]
fn each_part_can_be_seeded_by_itself() {
    let choice = Discrete::new(1_000_000);
    let space = Dict::new([("x", choice), ("y", choice)]);
    let mut sampler = SpaceSampler::new(space);
    let seeds = [
        ("x".to_owned(), Seed::One(4)),
        ("y".to_owned(), Seed::One(4)),
    ];
    sampler
        .seed(&Seed::Named(seeds.into()))
        .expect("a seed for each");
    let drawn = sampler.sample();
    let drawn = drawn.as_map().expect("a dict");
    assert_eq!(drawn["x"], drawn["y"]);
    sampler.seed(&Seed::One(4)).expect("a seed for all");
    let drawn = sampler.sample();
    let drawn = drawn.as_map().expect("a dict");
    assert_ne!(drawn["x"], drawn["y"], "children get distinct seeds");
    assert!(sampler.seed(&Seed::Each(vec![])).is_err());
}

#[test]
fn a_batch_has_one_more_dimension() {
    let image = BoxSpace::of_dtype(&[2, 3], Dtype::U8);
    let batch = Space::from(image.clone()).batch(4);
    assert_eq!(batch, BoxSpace::of_dtype(&[4, 2, 3], Dtype::U8).into());
    assert_eq!(
        Space::from(Discrete::new(3)).batch(2),
        MultiDiscrete::new(vec![3, 3]).into()
    );
    let dict = Space::from(Dict::new([("a", image)])).batch(4);
    assert_eq!(dict, Dict::new([("a", batch)]).into());
    let text = Space::from(TextSpace::new(3));
    assert_eq!(text.batch(2), Tuple::new(vec![text.clone(), text]).into());
}

#[test]
fn bounds_of_64_bits_are_kept_in_full() {
    let space = Space::from(BoxSpace::uniform(-0.1, 0.7, &[1], Dtype::F64));
    assert!(space.contains(&Array::from(vec![0.7_f64]).into()));
    assert!(!space.contains(&Array::from(vec![0.7_f64.next_up()]).into()));
    let large = Space::from(BoxSpace::uniform(0.0, 16_777_217.0, &[1], Dtype::I64));
    assert!(large.contains(&Array::from(vec![16_777_217_i64]).into()));
    assert!(!large.contains(&Array::from(vec![16_777_218_i64]).into()));
    assert_eq!(
        Array::new([2], ArrayData::U8(vec![1])),
        None,
        "one byte fills no two"
    );
}
