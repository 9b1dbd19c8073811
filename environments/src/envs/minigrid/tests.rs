//! Episodes of the Python package, replayed draw by draw.

use serde_json::Value;

use super::{
    LEVELS, MiniGrid, code,
    world::{Dice, World},
};
use crate::{Env, EnvError, Options, RenderMode, envs::minigrid::Level};

/// Draws that were recorded: bounds and results.
struct Script {
    draws: std::vec::IntoIter<[i64; 3]>,
}

impl Script {
    fn new(draws: &Value) -> Script {
        let draws = draws
            .as_array()
            .into_iter()
            .flatten()
            .map(|draw| std::array::from_fn(|at| draw[at].as_i64().expect("a number")))
            .collect::<Vec<_>>();
        Script {
            draws: draws.into_iter(),
        }
    }
}

impl Dice for Script {
    fn between(&mut self, low: i32, high: i32) -> i32 {
        let [from, to, result] = self
            .draws
            .next()
            .expect("no more draws than in the package");
        assert_eq!([i64::from(low), i64::from(high)], [from, to]);
        result as i32
    }
}

#[test]
fn layouts_and_episodes_equal_the_packages() {
    let file: Value =
        serde_json::from_str(include_str!("../../../tests/traces/minigrid.json")).expect("JSON");
    let palette = file["palette"].as_array().expect("a palette");
    let read_image = |text: &Value| {
        let letters = text.as_str().expect("an image").bytes();
        letters
            .flat_map(|letter| {
                let at = ALPHABET.bytes().position(|known| known == letter);
                let codes = &palette[at.expect("a letter of the alphabet")];
                [0, 1, 2].map(|channel| codes[channel].as_u64().expect("a code") as u8)
            })
            .collect::<Vec<_>>()
    };
    let mut ids = Vec::new();
    for recorded in file["levels"].as_array().expect("levels") {
        let id = recorded["id"].as_str().expect("an id");
        let level = LEVELS.iter().find(|(known, _)| *known == id).expect(id).1;
        for episode in recorded["episodes"].as_array().expect("episodes") {
            let mut env = MiniGrid::new(level).expect("a level");
            let mut script = Script::new(&episode["draws"]);
            level
                .generate(&mut env.world, &mut script)
                .expect("a layout");
            assert_eq!(script.draws.next(), None, "{id} draws as often");
            check_layout(id, &env.world, episode);
            assert_eq!(env.mission(), episode["mission"].as_str().expect("a text"));
            assert_eq!(
                env.world.image().to_vec(),
                read_image(&episode["obs0"]),
                "{id}"
            );
            let actions = episode["actions"].as_array().expect("actions");
            for (at, action) in actions.iter().enumerate() {
                let draws = &episode["step_draws"][at];
                let mut script = Script::new(draws);
                let outcome = env
                    .world
                    .step(action.as_i64().expect("an action"), &mut script);
                let seen = &episode["obs"][at];
                assert_eq!(
                    env.world.image().to_vec(),
                    read_image(&seen[0]),
                    "{id}, step {at}"
                );
                assert_eq!(seen[1], env.world.direction, "{id}, step {at}");
                let reward = &episode["rewards"][at.to_string()];
                // Reading the text may miss by the last bit.
                let missed = (outcome.reward - reward.as_f64().unwrap_or(0.0)).abs();
                assert!(missed <= f64::EPSILON, "{id}, step {at}");
                assert_eq!(outcome.terminated, episode["terminated"] == at);
                let is_cut = env.world.elapsed >= env.world.max_steps;
                assert_eq!(is_cut, episode["truncated"] == at, "{id}, step {at}");
            }
        }
        ids.push(id);
    }
    assert!(LEVELS.iter().all(|(id, _)| ids.contains(id)));
}

fn check_layout(id: &str, world: &World, episode: &Value) {
    let width = world.grid.width();
    for (at, expected) in episode["grid"]
        .as_array()
        .expect("a grid")
        .iter()
        .enumerate()
    {
        let at = at as i32;
        let found = code(world.grid.get((at % width, at / width)));
        assert_eq!(*expected, found, "{id}, cell {at}");
    }
    let (x, y) = world.agent;
    assert_eq!(
        episode["agent"],
        serde_json::json!([x, y, world.direction]),
        "{id}"
    );
    assert_eq!(episode["max_steps"], world.max_steps, "{id}");
}

#[test]
fn every_level_starts_draws_and_goes_on_from_its_state() {
    for (id, level) in LEVELS {
        let mut env = MiniGrid::new(level).expect(id);
        for seed in 0..20 {
            env.reset(Some(seed), &Options::new()).expect(id);
            let mut again = MiniGrid::new(level).expect(id);
            again.set_state(&env.state()).expect("its own state");
            for step in 0..40 {
                let action = (step * 5 + seed as i64) % level.actions();
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

const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
