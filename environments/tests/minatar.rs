//! What MinAtar's games promise beyond the recorded episodes.

use environments::{
    Env, EnvError, Frame, Options, RenderMode, State,
    envs::minatar::{Asterix, Breakout, Freeway, Game, MinAtar, Seaquest, SpaceInvaders},
    make_with,
    rng::Rng,
};

/// Plays `steps` random actions from a seed; returns the rewards, and the state at the end.
fn play<G: Game<C>, const C: usize>(env: &mut MinAtar<G, C>, steps: usize) -> (Vec<f64>, State) {
    let mut rng = Rng::new(8);
    env.reset(Some(1), &Options::new()).expect("a reset");
    let mut rewards = Vec::new();
    for _ in 0..steps {
        let step = env.step(&(rng.below(6) as i64)).expect("a step");
        rewards.push(step.reward);
        if step.terminated {
            env.reset(None, &Options::new()).expect("a reset");
        }
    }
    (rewards, env.state())
}

fn goes_on_from_its_state<G: Game<C>, const C: usize>() {
    let mut env = MinAtar::<G, C>::new();
    let (rewards, state) = play(&mut env, 3_000);
    assert_eq!(
        (rewards, state.clone()),
        play(&mut MinAtar::<G, C>::new(), 3_000)
    );
    let mut again = MinAtar::<G, C>::new();
    again.set_state(&state).expect("its own state");
    let mut rng = Rng::new(2);
    for _ in 0..500 {
        let action = rng.below(6) as i64;
        let step = env.step(&action).expect("a step");
        assert_eq!(step, again.step(&action).expect("a step"));
        if step.terminated {
            let first = env.reset(None, &Options::new()).expect("a reset");
            assert_eq!(first, again.reset(None, &Options::new()).expect("a reset"));
        }
    }
    assert_eq!(env.state(), again.state());
}

/// Sets states with wrong numbers in them: each is refused, or goes on without a panic.
fn survives_any_state<G: Game<C>, const C: usize>() {
    let mut env = MinAtar::<G, C>::new();
    let (_, sound) = play(&mut env, 150);
    let mut rng = Rng::new(4);
    let mut refused = 0;
    for _ in 0..2_000 {
        let mut state = sound.clone();
        for _ in 0..=rng.below(3) {
            let at = rng.below(state.values.len() as u64) as usize;
            let odd = [
                -1.0,
                0.0,
                1.0,
                2.0,
                5.0,
                9.0,
                10.0,
                200.0,
                0.5,
                f64::NAN,
                1e18,
            ];
            state.values[at] = odd[rng.below(odd.len() as u64) as usize];
        }
        match env.set_state(&state) {
            Err(EnvError::InvalidState(_)) => refused += 1,
            Err(other) => panic!("{other}"),
            Ok(()) => {
                for _ in 0..30 {
                    env.step(&(rng.below(6) as i64)).expect("a step");
                }
            }
        }
    }
    assert!(refused > 100, "{refused} were refused");
    let mut short = sound.clone();
    short.values.pop();
    assert!(env.set_state(&short).is_err());
    let mut long = sound;
    long.values.push(0.0);
    assert!(env.set_state(&long).is_err());
}

#[test]
fn a_restored_game_goes_on_as_the_original() {
    goes_on_from_its_state::<Asterix, 4>();
    goes_on_from_its_state::<Breakout, 4>();
    goes_on_from_its_state::<Freeway, 7>();
    goes_on_from_its_state::<Seaquest, 10>();
    goes_on_from_its_state::<SpaceInvaders, 6>();
}

#[test]
fn no_state_makes_a_game_panic() {
    survives_any_state::<Asterix, 4>();
    survives_any_state::<Breakout, 4>();
    survives_any_state::<Freeway, 7>();
    survives_any_state::<Seaquest, 10>();
    survives_any_state::<SpaceInvaders, 6>();
}

#[test]
fn a_sticky_action_repeats_the_last() {
    let moves = |sticky: f64| {
        let env = MinAtar::<Breakout, 4>::new();
        let mut env = env.sticky_action_prob(sticky).expect("a probability");
        env.reset(Some(0), &Options::new()).expect("a reset");
        // The paddle begins in column 4; right is 3, left is 1.
        let mut paddle = || {
            let board = env.step(&3).expect("a step").observation;
            (0..10)
                .find(|column| board.get(9, *column, 0))
                .expect("a paddle")
        };
        (paddle(), paddle())
    };
    assert_eq!(moves(0.0), (5, 6));
    assert_eq!(moves(1.0), (4, 4), "what was done last is nothing");
    let wrong = MinAtar::<Breakout, 4>::new().sticky_action_prob(1.1);
    assert!(matches!(wrong, Err(EnvError::InvalidOption { .. })));
}

#[test]
fn the_minimal_set_has_the_moves_with_an_effect() {
    let count = |id: &str| {
        let env = make_with(id, [("sticky_action_prob", 0.0.into())]).expect("registered");
        env.action_space().as_discrete().map(|space| space.n)
    };
    for (game, minimal) in [
        ("Asterix", 5),
        ("Breakout", 3),
        ("Freeway", 3),
        ("Seaquest", 6),
        ("SpaceInvaders", 4),
    ] {
        assert_eq!(count(&format!("MinAtar/{game}-v0")), Some(6));
        assert_eq!(count(&format!("MinAtar/{game}-v1")), Some(minimal));
    }
    let mut env = MinAtar::<Breakout, 4>::new().minimal_actions();
    env.reset(Some(0), &Options::new()).expect("a reset");
    assert!(matches!(env.step(&3), Err(EnvError::InvalidAction { .. })));
}

#[test]
fn freeway_ends_after_its_time() {
    let mut env = MinAtar::<Freeway, 7>::new();
    env.reset(Some(0), &Options::new()).expect("a reset");
    let ends = (1..=2_501).find(|_| env.step(&2).expect("a step").terminated);
    assert_eq!(ends, Some(2_501));
}

#[test]
fn aliens_come_faster_only_when_difficulty_ramps() {
    // One alien is left and a bullet is below it; values: column, bullets, enemy bullets, aliens, …
    let interval = |is_ramping: bool| {
        let mut env = MinAtar::<SpaceInvaders, 6>::new().difficulty_ramping(is_ramping);
        env.reset(Some(0), &Options::new()).expect("a reset");
        let mut state = env.state();
        let (alien, bullet) = (1_u64 << 15, 1_u64 << 25);
        state.values[1] = bullet as f64;
        state.values[5] = alien as f64;
        state.values[6] = 0.0;
        env.set_state(&state).expect("a state");
        assert_eq!(env.step(&0).expect("a step").reward, 1.0);
        env.state().values[8]
    };
    assert_eq!((interval(true), interval(false)), (11.0, 12.0));
}

#[test]
fn a_board_is_drawn_cell_by_cell() {
    let mut env = MinAtar::<Breakout, 4>::new();
    env.reset(Some(0), &Options::new()).expect("a reset");
    let Ok(Frame::Rgb {
        width,
        height,
        pixels,
    }) = env.render(RenderMode::RgbArray)
    else {
        panic!("a picture");
    };
    assert_eq!((width, height, pixels.len()), (400, 400, 480_000));
    let pixel = |x: usize, y: usize| &pixels[(y * 400 + x) * 3..][..3];
    assert_eq!(pixel(20, 20), [0, 0, 0], "nothing above the bricks");
    assert_eq!(pixel(20, 60), pixel(380, 140), "a brick is a brick");
    assert_eq!(pixel(180, 380), [240, 240, 240], "the paddle");
    assert!(env.render(RenderMode::Ansi).is_err());
}
