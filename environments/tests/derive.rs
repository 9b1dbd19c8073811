//! Observations and actions of a user's own types.

use environments::{
    Action, Array, BoxSpace, Dict, Discrete, Dtype, Observation, Space, Tuple, Value, rng::Rng,
};

#[derive(Action, Clone, Debug, Observation, PartialEq)]
struct Ship {
    velocity: [f32; 2],
    #[space(low = 0.0, high = 1.0)]
    fuel: f32,
    #[space(n = 4)]
    heading: i64,
    is_landed: bool,
    map: [[u8; 3]; 2],
}

#[derive(Action, Clone, Copy, Debug, Observation, PartialEq)]
enum Move {
    Left,
    Stay,
    Right,
}

#[derive(Action, Clone, Debug, Observation, PartialEq)]
struct Pair(Move, [f32; 2]);

#[derive(Action, Clone, Debug, Observation, PartialEq)]
struct Torque(#[space(low = -2.0, high = 2.0)] [f32; 1]);

fn ship() -> Ship {
    Ship {
        velocity: [1.0, -2.0],
        fuel: 0.5,
        heading: 3,
        is_landed: true,
        map: [[1, 2, 3], [4, 5, 255]],
    }
}

#[test]
fn a_struct_is_a_dict_with_its_fields_in_order_of_names() {
    let space = <Ship as Observation>::space().expect("all fields say theirs");
    let expected = Dict::new([
        (
            "fuel",
            Space::from(BoxSpace::uniform(0.0, 1.0, &[], Dtype::F32)),
        ),
        ("heading", Discrete::new(4).into()),
        ("is_landed", Discrete::new(2).into()),
        ("map", BoxSpace::of_dtype(&[2, 3], Dtype::U8).into()),
        ("velocity", BoxSpace::of_dtype(&[2], Dtype::F32).into()),
    ]);
    assert_eq!(space, expected.into());
    let ship = ship();
    assert_eq!(Observation::row_len(&ship), space.flat_len());
    let mut row = [f32::NAN; 11];
    ship.write(&mut row);
    assert_eq!(
        row,
        [0.5, 3.0, 1.0, 1.0, 2.0, 3.0, 4.0, 5.0, 255.0, 1.0, -2.0]
    );
    assert_eq!(Ship::from_values(&row), Some(ship));
    assert_eq!(Ship::from_values(&row[1..]), None, "a number is missing");
}

#[test]
fn every_form_comes_back_from_its_value_and_is_in_its_space() {
    fn check<T: Observation + PartialEq + std::fmt::Debug>(original: &T) {
        let value = original.to_value();
        let space = T::space().expect("the type says it");
        assert!(space.contains(&value), "{value:?} in {space}");
        assert_eq!(T::from_value(&value).as_ref(), Some(original));
    }
    check(&ship());
    check(&Move::Right);
    check(&Pair(Move::Left, [0.0, 1.0]));
    check(&Torque([2.0]));
    check(&(Move::Stay, true, [7_u8; 2], 0.25_f64));
    check(&[[[1_u8, 2], [3, 4]]]);
    assert_eq!(
        Action::to_value(&Torque([0.5])),
        Array::from(vec![0.5_f32]).into()
    );
}

#[test]
fn samples_of_a_derived_space_are_values_of_the_type() {
    let mut rng = Rng::new(8);
    let space = <Ship as Action>::space().expect("all fields say theirs");
    for _ in 0..100 {
        let value = space.sample(&mut rng);
        assert!(<Ship as Action>::from_value(&value).is_some(), "{value:?}");
    }
}

#[test]
fn an_enum_is_a_choice() {
    assert_eq!(<Move as Action>::space(), Some(Discrete::new(3).into()));
    assert_eq!(Move::from_index(2), Some(Move::Right));
    assert_eq!(Move::from_index(3), None);
    assert_eq!(
        <Move as Action>::from_value(&Value::Int(1)),
        Some(Move::Stay)
    );
    assert_eq!(Move::from_values(&[1.0]), None, "a choice is no range");
}

#[test]
fn tuples_read_their_parts_in_turn() {
    assert_eq!(
        <Pair as Action>::space(),
        Some(
            Tuple::new(vec![
                Discrete::new(3).into(),
                BoxSpace::of_dtype(&[2], Dtype::F32).into(),
            ])
            .into()
        )
    );
    assert_eq!(
        Pair::from_values(&[1.0, 0.5, -0.5]),
        Some(Pair(Move::Stay, [0.5, -0.5]))
    );
    assert_eq!(Pair::from_values(&[1.5, 0.5, -0.5]), None, "half a choice");
    assert_eq!(<[i64; 2]>::from_indices(&[4, 5]), Some([4, 5]));
}

#[test]
fn a_value_of_another_kind_is_refused() {
    let text = Value::from("left");
    assert_eq!(<Ship as Observation>::from_value(&text), None);
    assert_eq!(
        <[f32; 2] as Observation>::from_value(&Array::from(vec![1.0_f32]).into()),
        None
    );
    assert_eq!(
        <[u8; 1] as Observation>::from_value(&Array::from(vec![0.5_f32]).into()),
        None
    );
    assert_eq!(<bool as Observation>::from_value(&Value::Int(2)), None);
}
