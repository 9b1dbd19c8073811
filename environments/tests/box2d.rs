//! LunarLander and BipedalWalker against episodes recorded with Gymnasium 1.4.0 and Box2D 2.3.10.
//!
//! The records are of whole episodes, contacts included, and are to be equal to the last bit.

use environments::{
    Action, Env, EnvBuilder, EnvError, Frame, Options, RenderMode, State,
    envs::{
        BipedalWalker, BipedalWalkerHeuristic, LunarLander, LunarLanderContinuous,
        lunar_lander_heuristic, lunar_lander_heuristic_continuous,
    },
    replay::replay,
};

fn assert_equal_to_the_record(text: &str, traces: usize) {
    let verdicts = replay(text).expect("a trace file");
    assert_eq!(verdicts.len(), traces);
    for verdict in verdicts {
        assert!(verdict.is_ok(), "{verdict:?}");
    }
}

#[test]
fn lunar_landers_episodes_equal_gymnasiums() {
    assert_equal_to_the_record(include_str!("traces/LunarLander-v3.json"), 5);
    assert_equal_to_the_record(include_str!("traces/LunarLanderContinuous-v3.json"), 4);
}

#[test]
fn bipedal_walkers_episodes_equal_gymnasiums() {
    assert_equal_to_the_record(include_str!("traces/BipedalWalker-v3.json"), 4);
    assert_equal_to_the_record(include_str!("traces/BipedalWalkerHardcore-v3.json"), 2);
}

/// Returns the mean return of a policy that begins anew with each episode of so many steps at most.
fn mean_return<E: Env, P: FnMut(&E::Observation) -> E::Action>(
    mut env: E,
    (episodes, steps): (u64, u32),
    begin: impl Fn() -> P,
) -> f64 {
    let mut total = 0.0;
    for seed in 0..episodes {
        let (mut observation, _) = env.reset(Some(seed), &Options::new()).expect("a reset");
        let mut policy = begin();
        for _ in 0..steps {
            let step = env.step(&policy(&observation)).expect("a step");
            total += step.reward;
            observation = step.observation;
            if step.terminated || step.truncated {
                break;
            }
        }
    }
    total / episodes as f64
}

/// Returns how many episodes to play: fewer than Gymnasium's 1,000 unless `BOX2D_EPISODES` says so.
fn episodes(few: u64) -> u64 {
    let wish = std::env::var("BOX2D_EPISODES");
    wish.map_or(few, |text| {
        text.parse().expect("BOX2D_EPISODES is a number")
    })
}

#[test]
fn heuristics_earn_what_they_earn_in_gymnasium() {
    // What `python/box2d_returns.py` prints for 1,000 episodes: mean, deviation.
    let gymnasium = [(243.4, 91.0), (282.8, 25.0), (66.3, 134.4)];
    let few = [150, 100, 40].map(episodes);
    let ours = [
        mean_return(LunarLander::new(), (few[0], 1000), || {
            lunar_lander_heuristic
        }),
        mean_return(LunarLanderContinuous::new(), (few[1], 1000), || {
            lunar_lander_heuristic_continuous
        }),
        mean_return(BipedalWalker::new(), (few[2], 1600), || {
            let mut heuristic = BipedalWalkerHeuristic::new();
            move |observation: &[f32; 24]| heuristic.act(observation)
        }),
    ];
    println!("{ours:?} over {few:?} episodes, Gymnasium's {gymnasium:?}");
    for ((ours, few), (mean, deviation)) in ours.iter().zip(few).zip(gymnasium) {
        // 5 % of the mean once there are enough episodes to tell, three standard errors before that.
        let allowed = (0.05_f64 * mean).max(3.0 * deviation / (few as f64).sqrt());
        assert!((ours - mean).abs() < allowed, "{ours} over {few} episodes");
    }
}

fn assert_resumes_exactly<E: Env<Observation = [f32; N]>, const N: usize>(
    make: impl Fn() -> E,
    policy: impl Fn(&[f32; N]) -> E::Action,
    before: usize,
    after: usize,
) -> State {
    let mut env = make();
    let (mut observation, _) = env.reset(Some(3), &Options::new()).expect("a reset");
    for _ in 0..before {
        let action = policy(&observation);
        observation = env.step(&action).expect("a step").observation;
    }
    let saved = env.state();
    let mut resumed = make();
    resumed.set_state(&saved).expect("a state");
    assert_eq!(resumed.state(), saved);
    for at in 0..after {
        let action = policy(&observation);
        let step = env.step(&action).expect("a step");
        assert_eq!(resumed.step(&action).expect("a step"), step, "step {at}");
        observation = step.observation;
    }
    assert_eq!(env.reset(None, &Options::new()), {
        resumed.reset(None, &Options::new())
    });
    saved
}

#[test]
fn an_episode_goes_on_from_a_saved_state_to_the_last_bit() {
    for before in [0, 60, 200] {
        assert_resumes_exactly(LunarLander::new, lunar_lander_heuristic, before, 150);
        let walk = |s: &[f32; 24]| BipedalWalkerHeuristic::new().act(s);
        assert_resumes_exactly(BipedalWalker::hardcore, walk, before, 150);
    }
}

#[test]
fn a_state_that_is_none_is_refused_and_changes_nothing() {
    let states = [
        assert_resumes_exactly(LunarLander::new, lunar_lander_heuristic, 200, 1),
        assert_resumes_exactly(BipedalWalker::hardcore, |_| [1.0, -1.0, 0.5, 0.5], 60, 1),
    ];
    let mut lander = LunarLander::new();
    let mut walker = BipedalWalker::hardcore();
    let mut refuses = |values: Vec<f64>, of_lander: bool| {
        let state = State {
            values,
            ..states[usize::from(!of_lander)].clone()
        };
        let result = if of_lander {
            lander.set_state(&state)
        } else {
            walker.set_state(&state)
        };
        assert!(matches!(result, Err(EnvError::InvalidState(_))));
    };
    for (of_lander, state) in [(true, &states[0]), (false, &states[1])] {
        let good = &state.values;
        for len in 1..good.len() {
            refuses(good[..len].to_vec(), of_lander);
        }
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] = f64::NAN;
            refuses(bad, of_lander);
        }
        refuses([&good[..], &[0.0]].concat(), of_lander);
    }
    assert_eq!(lander.step(&0), Err(EnvError::ResetNeeded));
    assert_eq!(walker.step(&[0.0; 4]), Err(EnvError::ResetNeeded));
}

#[test]
fn what_is_out_of_range_is_refused() {
    let mut env = LunarLanderContinuous::new();
    assert_eq!(env.step(&[0.0; 2]), Err(EnvError::ResetNeeded));
    env.reset(Some(0), &Options::new()).expect("a reset");
    assert!(env.step(&[f32::NAN, 0.0]).is_err());
    let mut clipped = env.clone();
    assert_eq!(env.step(&[9.0, -7.0]), clipped.step(&[1.0, -1.0]));
    for (name, value) in [
        ("gravity", 0.5),
        ("gravity", -12.0),
        ("wind_power", f64::INFINITY),
    ] {
        let built = EnvBuilder::new("LunarLander-v3").kwarg(name, value).build();
        assert!(built.is_err(), "{name} {value}");
    }
    let options = Options::from([("low".to_owned(), 1.0.into())]);
    assert!(env.reset(None, &options).is_err());
    assert!(BipedalWalker::new().reset(None, &options).is_err());
}

#[test]
fn the_argument_continuous_changes_the_actions() {
    let mut env = EnvBuilder::new("LunarLander-v3")
        .kwarg("continuous", true)
        .build()
        .expect("an environment");
    assert!(env.action_space().as_box().is_some());
    env.reset(Some(1), &Options::new()).expect("a reset");
    env.step(&[0.5_f32, 0.0].to_value()).expect("a step");
    assert!(env.step(&2_i64.to_value()).is_err());
}

fn colors<E: Env>(env: &mut E) -> std::collections::BTreeSet<[u8; 3]> {
    let Ok(Frame::Rgb {
        width: 600,
        height: 400,
        pixels,
    }) = env.render(RenderMode::RgbArray)
    else {
        panic!("no picture");
    };
    let (pixels, _) = pixels.as_chunks::<3>();
    pixels.iter().copied().collect()
}

#[test]
fn pictures_show_the_bodies_and_the_engines() {
    let mut lander = LunarLander::new();
    assert!(lander.render(RenderMode::RgbArray).is_err(), "no episode");
    lander.reset(Some(0), &Options::new()).expect("a reset");
    let flame = [255, 150, 50];
    assert!(colors(&mut lander).contains(&[128, 102, 230]));
    assert!(!colors(&mut lander).contains(&flame));
    for _ in 0..30 {
        lander.step(&2).expect("a step");
    }
    assert!(colors(&mut lander).contains(&flame));
    let mut walker = BipedalWalker::hardcore();
    walker.reset(Some(0), &Options::new()).expect("a reset");
    assert!(colors(&mut walker).contains(&[127, 51, 229]));
    assert!(walker.render(RenderMode::Ansi).is_err());
}
