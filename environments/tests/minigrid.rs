//! MiniGrid beside the Python package: recorded episodes replayed draw by draw, and what every level holds.

use environments::{
    Env, EnvBuilder, EnvError, EnvSpec, Observation as _, Options, RenderMode, Space, State, Value,
    Vectorization,
    envs::{
        MiniGrid,
        minigrid::{Image, LEVELS, Level},
    },
    make, make_vec, make_with, registry,
    vector::{Actions, AutoresetMode, StepBuffers},
};
use serde_json::Value as Json;

/// Reads letters of a palette of cells as an image.
fn read_image(text: &Json, palette: &Json) -> Vec<u8> {
    let letters = text.as_str().expect("an image").bytes();
    letters
        .flat_map(|letter| {
            let at = ALPHABET.bytes().position(|known| known == letter);
            let codes = &palette[at.expect("a letter of the alphabet")];
            [0, 1, 2].map(|channel| codes[channel].as_u64().expect("a code") as u8)
        })
        .collect()
}

/// Scripts the draws `[low, high, result]` of the package.
fn script(env: &mut MiniGrid, draws: &Json) {
    let draws = draws.as_array().into_iter().flatten();
    let results = draws.map(|draw| {
        let number = |at: usize| draw[at].as_f64().expect("a number");
        number(2) - number(0)
    });
    env.rng_mut().expect("levels are random").script(results);
}

fn script_left(env: &mut MiniGrid) -> usize {
    env.rng_mut().expect("levels are random").script_left()
}

fn flat(image: Image) -> Vec<u8> {
    image.as_flattened().as_flattened().to_vec()
}

#[test]
fn layouts_and_episodes_equal_the_packages() {
    let file: Json = serde_json::from_str(include_str!("episodes/minigrid.json")).expect("JSON");
    let palette = &file["palette"];
    let mut ids = Vec::new();
    for recorded in file["levels"].as_array().expect("levels") {
        let id = recorded["id"].as_str().expect("an id");
        let level = LEVELS.iter().find(|(known, _)| *known == id).expect(id).1;
        for episode in recorded["episodes"].as_array().expect("episodes") {
            let mut env = MiniGrid::new(level).expect("a level");
            script(&mut env, &episode["draws"]);
            let (first, _) = env.reset(None, &Options::new()).expect("a layout");
            assert_eq!(script_left(&mut env), 0, "{id} draws as often");
            check_layout(id, &env.state(), episode);
            assert_eq!(flat(first), read_image(&episode["obs0"], palette), "{id}");
            assert_eq!(env.mission(), episode["mission"].as_str().expect("a text"));
            assert_eq!(
                env.max_episode_steps().map(u64::from),
                episode["max_steps"].as_u64()
            );
            let actions = episode["actions"].as_array().expect("actions");
            for (at, action) in actions.iter().enumerate() {
                script(&mut env, &episode["step_draws"][at]);
                let step = env
                    .step(&action.as_i64().expect("an action"))
                    .expect("a step");
                assert_eq!(script_left(&mut env), 0, "{id}, step {at}");
                let seen = &episode["obs"][at];
                assert_eq!(
                    flat(step.observation),
                    read_image(&seen[0], palette),
                    "{id}, step {at}"
                );
                assert_eq!(seen[1], env.direction(), "{id}, step {at}");
                let reward = episode["rewards"][at.to_string()].as_f64();
                assert_eq!(step.reward, reward.unwrap_or(0.0), "{id}, step {at}");
                assert_eq!(step.terminated, episode["terminated"] == at, "{id}, {at}");
                assert_eq!(step.truncated, episode["truncated"] == at, "{id}, {at}");
            }
        }
        ids.push(id);
    }
    assert!(LEVELS.iter().all(|(id, _)| ids.contains(id)));
}

fn check_layout(id: &str, state: &State, episode: &Json) {
    let numbers = |json: &Json| {
        let numbers = json.as_array().expect("numbers").iter();
        numbers
            .map(|number| number.as_f64().expect("a number"))
            .collect::<Vec<_>>()
    };
    assert_eq!(state.values[..3], numbers(&episode["agent"]), "{id}");
    assert_eq!(state.values[8..], numbers(&episode["grid"]), "{id}");
}

#[test]
fn every_level_starts_draws_and_goes_on_from_its_state() {
    for (id, level) in LEVELS {
        let mut env = MiniGrid::new(level).expect(id);
        let Space::Discrete(actions) = env.action_space() else {
            panic!("{id} has choices");
        };
        for seed in 0..20 {
            env.reset(Some(seed), &Options::new()).expect(id);
            let mut again = MiniGrid::new(level).expect(id);
            again.set_state(&env.state()).expect("its own state");
            for step in 0..40 {
                let action = (step * 5 + seed as i64) % actions.n;
                assert_eq!(env.step(&action), again.step(&action), "{id}");
            }
            assert_eq!(env.state(), again.state(), "{id}");
            assert_eq!(env.mission(), again.mission(), "{id}");
        }
        env.render(RenderMode::RgbArray).expect("a picture");
        env.render(RenderMode::Ansi).expect("a text");
    }
}

#[test]
fn made_by_id_it_observes_a_mission_and_in_a_vector_the_image() {
    for (id, _) in LEVELS {
        let mut env = make(id).expect(id);
        let (first, _) = env.reset(Some(5), &Options::new()).expect("a reset");
        assert!(env.observation_space().contains(&first), "{id}: {first:?}");
        let step = env.step(&Value::Int(0)).expect("a step");
        assert!(env.observation_space().contains(&step.observation), "{id}");

        let mut envs = make_vec(id, 2, AutoresetMode::SameStep).expect(id);
        let mut out = StepBuffers::for_env(&*envs);
        assert_eq!(out.obs.len(), 2 * IMAGE);
        envs.reset(Some(5), &mut out.obs).expect("a reset");
        envs.step(Actions::Discrete(&[0, 0]), &mut out)
            .expect("a step");
        let image = &step.observation.as_map().expect("a dict")["image"];
        let image = image.as_array().expect("an image");
        let row = out.obs[..IMAGE].iter().map(|number| f64::from(*number));
        assert!(image.to_f64().into_iter().eq(row), "{id}");
    }
}

#[test]
fn one_after_the_other_rows_hold_the_whole_dict_around_the_image() {
    for (id, _) in LEVELS {
        let forms = [Vectorization::Fastest, Vectorization::Sync];
        let mut forms = forms.map(|form| {
            let builder = EnvBuilder::new(id).vectorization(form);
            let mut envs = builder.build_vec(3, AutoresetMode::SameStep).expect(id);
            let mut out = StepBuffers::for_env(&*envs);
            envs.reset(Some(5), &mut out.obs).expect("a reset");
            (envs, out)
        });
        let mut env = make(id).expect(id);
        let (first, _) = env.reset(Some(5), &Options::new()).expect("a reset");
        let mut whole = vec![f32::NAN; first_row(&forms[1].1).len()];
        first.write(&mut whole);
        assert_eq!(first_row(&forms[1].1), whole, "{id}");
        let choices = env.action_space().as_discrete().expect("choices").n;
        for step in 0..300 {
            let actions = [0, 1, 2].map(|env| (step * 5 + env) % choices);
            for (envs, out) in &mut forms {
                envs.step(Actions::Discrete(&actions), out).expect("a step");
            }
            let [(_, fast), (_, slow)] = &forms;
            let images = slow
                .obs
                .chunks(slow.obs.len() / 3)
                .flat_map(|row| &row[1..][..IMAGE]);
            assert!(fast.obs.iter().eq(images), "{id}, step {step}");
            assert_eq!(fast.rewards, slow.rewards, "{id}, step {step}");
            assert_eq!(fast.terminated, slow.terminated, "{id}, step {step}");
            assert_eq!(fast.truncated, slow.truncated, "{id}, step {step}");
        }
    }
}

/// Returns what the first of three environments sees.
fn first_row(out: &StepBuffers) -> &[f32] {
    &out.obs[..out.obs.len() / 3]
}

#[test]
fn unseeded_environments_of_a_vector_differ() {
    let mut envs = make_vec("MiniGrid-FourRooms-v0", 8, AutoresetMode::SameStep).expect("an id");
    let mut obs = vec![0.0; 8 * IMAGE];
    envs.reset(None, &mut obs).expect("a reset");
    assert!(obs.chunks_exact(IMAGE).any(|row| row != &obs[..IMAGE]));
}

#[test]
fn the_limit_is_an_argument_and_counts_in_rewards() {
    let mut env = make_with("MiniGrid-Empty-5x5-v0", [("max_steps", 10.into())]).expect("an id");
    env.reset(None, &Options::new()).expect("a reset");
    let mut last = None;
    for action in [2, 2, 1, 2, 2] {
        last = env.step(&Value::Int(action)).ok();
    }
    let last = last.expect("a step");
    assert!(last.terminated && (last.reward - (1.0 - 0.9 * 0.5)).abs() < 1e-12);
    env.reset(None, &Options::new()).expect("a reset");
    let cut = (0..10).map(|_| env.step(&Value::Int(0)).expect("a step").truncated);
    assert_eq!(
        cut.collect::<Vec<_>>(),
        [[false; 9].as_slice(), &[true]].concat()
    );
    assert!(make_with("MiniGrid-Empty-5x5-v0", [("max_steps", 0.into())]).is_err());
}

#[test]
fn sizes_without_layouts_and_broken_states_are_refused() {
    for level in [
        Level::Empty {
            size: 3,
            random_start: false,
        },
        Level::SimpleCrossing {
            size: 10,
            crossings: 1,
        },
        Level::LavaCrossing {
            size: 9,
            crossings: 7,
        },
        Level::KeyCorridor {
            room_size: 2,
            rows: 1,
        },
    ] {
        assert!(matches!(
            MiniGrid::new(level),
            Err(EnvError::InvalidOption { .. })
        ));
    }
    let mut env = MiniGrid::new(Level::Unlock).expect("a level");
    assert!(matches!(env.step(&0), Err(EnvError::ResetNeeded)));
    env.reset(Some(1), &Options::new()).expect("a reset");
    assert!(matches!(env.step(&7), Err(EnvError::InvalidAction { .. })));
    let good = env.state();
    for (at, value) in [(0, 99.0), (2, 4.0), (3, -1.0), (4, f64::NAN), (8, 4096.0)] {
        let mut bad = good.clone();
        bad.values[at] = value;
        assert!(
            matches!(env.set_state(&bad), Err(EnvError::InvalidState(_))),
            "{at}"
        );
    }
    assert_eq!(env.state(), good);
}

#[test]
fn all_ids_are_registered() {
    let known = registry::specs();
    let is_known = |id: &str| {
        let has_id = |spec: &EnvSpec| spec.id().to_string() == id;
        known.iter().any(|spec| has_id(spec))
    };
    assert!(LEVELS.iter().all(|(id, _)| is_known(id)));
}

/// Numbers in an image.
const IMAGE: usize = 7 * 7 * 3;

const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
