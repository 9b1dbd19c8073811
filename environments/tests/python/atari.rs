//! Atari games as agents usually see them.

use environments::{
    Env as _, EnvBuilder, Options, Value,
    vector::{Actions, AutoresetMode, StepBuffers, VectorEnv as _},
    wrappers::{AtariPreprocessing, FrameStackObservation},
};

use crate::equal::{numbers, rollout};

/// Returns a game that skips no frames itself.
fn game(id: &str) -> EnvBuilder {
    EnvBuilder::new(&format!("gym:{id}")).kwarg("frameskip", 1)
}

/// Plays what Gymnasium's own wrapper plays; returns how many episodes ended.
fn plays_alike(id: &str, steps: usize) -> usize {
    let lines = rollout(&[&format!("preprocessed:{id}"), "5", &steps.to_string()]);
    let env = AtariPreprocessing::new(game(id).build().expect(id)).expect("it shows pictures");
    let mut env = env.noop_max(0).terminal_on_life_loss();
    let (mut seed, mut ends) = (Some(5), 0);
    for (at, line) in lines.iter().enumerate() {
        let seen = match line.get("action") {
            None => env.reset(seed.take(), &Options::new()).expect("a reset").0,
            Some(_) => {
                let choice = numbers(line, "action")[0] as i64;
                let step = env.step(&Value::Int(choice)).expect("a step");
                assert_eq!(
                    Some(step.reward),
                    line["reward"].as_f64(),
                    "{id}: line {at}"
                );
                assert_eq!(
                    Some(step.terminated),
                    line["terminated"].as_bool(),
                    "{id}: line {at}"
                );
                assert_eq!(
                    Some(step.truncated),
                    line["truncated"].as_bool(),
                    "{id}: line {at}"
                );
                ends += usize::from(step.terminated);
                step.observation
            }
        };
        assert!(env.observation_space().contains(&seen));
        let bytes = line["observation"].as_str().expect("bytes");
        let byte = |at: usize| u8::from_str_radix(&bytes[at * 2..at * 2 + 2], 16);
        let pixels = seen.as_array().expect("a picture").to_f64();
        assert_eq!(pixels.len() * 2, bytes.len(), "{id}: line {at}");
        let far = pixels.iter().enumerate().position(|(at, pixel)| {
            let theirs = f64::from(byte(at).expect("hexadecimal"));
            // They weigh pixels in single precision, so that a half may go up or down.
            (pixel - theirs).abs() > 1.0
        });
        assert_eq!(far, None, "{id}: line {at}: a pixel");
    }
    ends
}

#[test]
fn preprocessed_games_are_those_of_gymnasiums_wrapper() {
    plays_alike("ALE/Pong-v5", 120);
    assert!(
        plays_alike("ALE/Breakout-v5", 250) > 1,
        "a lost life ends an episode"
    );
}

#[test]
fn a_game_that_skips_frames_itself_is_refused() {
    let skipping = EnvBuilder::new("gym:ALE/Pong-v5")
        .build()
        .expect("it is there");
    let mut env = AtariPreprocessing::new(skipping).expect("it shows pictures");
    let error = env.reset(Some(1), &Options::new()).expect_err("it skips");
    assert!(error.to_string().contains("`frameskip` 1"), "{error}");
}

#[test]
fn a_preprocessed_game_goes_on_from_its_state_and_in_a_vector() {
    let builder = game("ALE/Pong-v5").wrapper("AtariPreprocessing", |env| {
        FrameStackObservation::new(AtariPreprocessing::new(env)?, 4)
    });
    let mut env = builder.build().expect("made");
    env.reset(Some(3), &Options::new()).expect("a reset");
    env.step(&Value::Int(2)).expect("a step");
    let saved = env.state();
    let on = env.step(&Value::Int(3)).expect("a step");
    let mut other = builder.build().expect("made");
    other.reset(Some(9), &Options::new()).expect("a reset");
    other.set_state(&saved).expect("it was saved");
    assert_eq!(other.step(&Value::Int(3)).expect("a step"), on);

    let mut envs = builder.build_vec(2, AutoresetMode::SameStep).expect("made");
    let mut out = StepBuffers::for_env(&*envs);
    assert_eq!(envs.observation_len(), 4 * 84 * 84);
    envs.reset(Some(3), &mut out.obs).expect("a reset");
    envs.step(Actions::Discrete(&[2, 2]), &mut out)
        .expect("a step");
    envs.step(Actions::Discrete(&[3, 3]), &mut out)
        .expect("a step");
    let alone = on.observation.as_array().expect("pictures").to_f64();
    let row = out.obs[..4 * 84 * 84].iter().map(|pixel| f64::from(*pixel));
    assert!(row.eq(alone));
}
