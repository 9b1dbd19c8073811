//! What the toy text environments promise beyond the recorded episodes.

use environments::{
    DynEnv, Env as _, EnvError, Frame, MakeError, Options, RenderMode, State, Value,
    envs::toy::{
        Blackjack, CliffWalking, FrozenLake, FrozenLakeConfig, Rules, Taxi, TaxiConfig, random_map,
    },
    make, make_with,
    rng::Rng,
};

fn at(env: &mut impl environments::Env, state: f64) {
    env.reset(Some(0), &Options::new()).expect("a reset");
    let state = State {
        values: vec![state],
        ..env.state()
    };
    env.set_state(&state).expect("a state");
}

fn ansi(env: &mut impl environments::Env) -> String {
    match env.render(RenderMode::Ansi) {
        Ok(Frame::Ansi(text)) => text,
        other => panic!("{other:?}"),
    }
}

fn refused(id: &str, name: &str, value: impl Into<Value>) -> MakeError {
    make_with(id, [(name, value.into())])
        .err()
        .expect("an argument that is refused")
}

#[test]
fn texts_are_gymnasiums() {
    let mut lake = FrozenLake::new();
    at(&mut lake, 4.0);
    assert_eq!(ansi(&mut lake), "\nSFFF\n\x1b[41mF\x1b[0mHFH\nFFFH\nHFFG\n");
    lake.step(&3).expect("a step");
    assert!(ansi(&mut lake).starts_with("  (Up)\n"));

    let mut cliff = CliffWalking::new();
    at(&mut cliff, 36.0);
    let text = ansi(&mut cliff);
    assert!(
        text.ends_with("x  C  C  C  C  C  C  C  C  C  C  T\n\n"),
        "{text}"
    );

    let mut taxi = Taxi::new();
    // Row 0, column 0, the passenger at red with the taxi, going to green.
    at(&mut taxi, 1.0);
    let text = ansi(&mut taxi);
    assert!(text.contains("|\x1b[34;1m\x1b[43mR\x1b[0m\x1b[0m: | : :\x1b[35mG\x1b[0m|\n"));
    taxi.step(&4).expect("a step");
    let text = ansi(&mut taxi);
    assert!(
        text.contains("|\x1b[42mR\x1b[0m: |") && text.ends_with("  (Pickup)\n"),
        "{text}"
    );
}

#[test]
fn an_action_is_in_taxis_mask_when_it_changes_the_state() {
    let mut taxi = Taxi::new();
    for state in 0..500 {
        at(&mut taxi, f64::from(state));
        let mask = taxi.action_mask();
        for (action, is_useful) in mask.into_iter().enumerate() {
            let next = taxi.table().outcomes(state as usize, action)[0].next;
            assert_eq!(
                next != state as usize,
                is_useful,
                "state {state}, action {action}"
            );
        }
    }
    at(&mut taxi, 1.0);
    let step = taxi.step(&4).expect("a step");
    assert_eq!(step.info.get("prob"), Some(&Value::Float(1.0)));
    let mask = step.info.get("action_mask").and_then(Value::as_array);
    assert_eq!(
        mask.map(|mask| mask.to_f64()),
        Some(vec![1.0, 0.0, 1.0, 0.0, 0.0, 1.0])
    );
}

#[test]
fn a_fickle_passenger_changes_their_mind_once_on_the_first_move() {
    let config = TaxiConfig {
        fickle_passenger: true,
        fickle_probability: 1.0,
        ..TaxiConfig::default()
    };
    let mut taxi = Taxi::with_config(&config).expect("a taxi");
    at(&mut taxi, 1.0);
    let picked = taxi.step(&4).expect("a step").observation;
    assert_eq!(
        (picked / 4 % 5, picked % 4),
        (4, 1),
        "on board, still going to green"
    );
    // Walls to the north: nothing moves, nothing changes.
    assert_eq!(taxi.step(&1).expect("a step").observation % 4, 1);
    // The third of the other three: blue.
    taxi.rng_mut().expect("chance").script([2.0]);
    assert_eq!(taxi.step(&0).expect("a step").observation % 4, 3);
    for _ in 0..20 {
        assert_eq!(taxi.step(&0).expect("a step").observation % 4, 3);
        assert_eq!(taxi.step(&1).expect("a step").observation % 4, 3);
    }
}

#[test]
fn a_natural_is_worth_what_the_rules_say() {
    let outcome = |rules, dealer: [f64; 3]| {
        let mut env = Blackjack::new().rules(rules);
        env.reset(Some(0), &Options::new()).expect("a reset");
        let hands = [&[11.0, 1.0, 2.0][..], &dealer, &[10.0]].concat();
        let state = State {
            values: hands,
            ..env.state()
        };
        env.set_state(&state).expect("two hands");
        env.step(&0).expect("a step").reward
    };
    let (seventeen, twenty_one, natural) = ([17.0, 0.0, 2.0], [21.0, 0.0, 3.0], [11.0, 1.0, 2.0]);
    assert_eq!(outcome(Rules::Natural, seventeen), 1.5);
    assert_eq!(outcome(Rules::Natural, twenty_one), 0.0);
    assert_eq!(outcome(Rules::SuttonBarto, twenty_one), 1.0);
    assert_eq!(outcome(Rules::SuttonBarto, natural), 0.0);
    assert_eq!(outcome(Rules::Plain, seventeen), 1.0);
}

#[test]
fn cards_are_drawn_as_often_as_a_deck_has_them() {
    let mut env = Blackjack::new();
    let mut counts = [0; 11];
    for seed in 0..13_000 {
        let ((_, shown, _), _) = env.reset(Some(seed), &Options::new()).expect("a reset");
        counts[shown as usize] += 1;
    }
    assert!(
        counts[1..10]
            .iter()
            .all(|count| (850..1150).contains(count)),
        "{counts:?}"
    );
    assert!((3800..4200).contains(&counts[10]), "{counts:?}");
}

#[test]
fn random_maps_have_a_way_or_are_refused() {
    let mut rng = Rng::new(3);
    for size in 2..12 {
        let desc = random_map(size, 0.7, &mut rng).expect("a map");
        assert!(desc.len() == size && desc.iter().all(|row| row.len() == size));
        let config = FrozenLakeConfig {
            desc,
            is_slippery: false,
            ..FrozenLakeConfig::default()
        };
        let lake = FrozenLake::with_config(&config).expect("a lake");
        // Everything that is reached from the start, by following the table.
        let mut reached = vec![0];
        let mut next = 0;
        while next < reached.len() {
            for action in 0..4 {
                let to = lake.table().outcomes(reached[next], action)[0].next;
                if !reached.contains(&to) {
                    reached.push(to);
                }
            }
            next += 1;
        }
        assert!(reached.contains(&(size * size - 1)), "size {size}");
    }
    assert!(random_map(1, 0.8, &mut rng).is_err());
    assert!(random_map(5, 0.0, &mut rng).is_err());
    assert!(random_map(5, f64::NAN, &mut rng).is_err());
}

#[test]
fn wrong_arguments_are_refused() {
    let rows =
        |rows: &[&str]| Value::List(rows.iter().map(|row| Value::Text((*row).into())).collect());
    for desc in [
        rows(&[]),
        rows(&["SF", "G"]),
        rows(&["FF", "FG"]),
        rows(&["SX", "FG"]),
        rows(&[""]),
    ] {
        assert!(matches!(
            refused("FrozenLake-v1", "desc", desc),
            MakeError::Env(_)
        ));
    }
    refused("FrozenLake-v1", "desc", 4);
    refused("FrozenLake-v1", "map_name", "5x5");
    refused("FrozenLake-v1", "success_rate", 1.5);
    refused("FrozenLake-v1", "reward_schedule", 1);
    refused("Taxi-v4", "rainy_probability", -0.1);
    refused("CliffWalking-v1", "is_rainy", true);
    refused("Blackjack-v1", "natural", "yes");
}

#[test]
fn what_is_no_state_is_refused_and_changes_nothing() {
    let mut env: Box<dyn DynEnv> = make("FrozenLake-v1").expect("registered");
    env.reset(Some(0), &Options::new()).expect("a reset");
    let before = env.state();
    for values in [
        vec![],
        vec![16.0],
        vec![0.5],
        vec![-1.0],
        vec![f64::NAN],
        vec![0.0, 0.0],
    ] {
        let state = State {
            values,
            ..before.clone()
        };
        assert!(matches!(
            env.set_state(&state),
            Err(EnvError::InvalidState(_))
        ));
    }
    assert_eq!(env.state(), before);
}
