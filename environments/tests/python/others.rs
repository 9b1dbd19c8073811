//! Environments that this crate knows nothing of.

use std::process::Command;

use environments::{
    Env as _, EnvBuilder, MakeError, Options, RenderMode, Space, Value,
    check::passes,
    check_env, make,
    rng::Rng,
    vector::{AutoresetMode, StepBuffers, VectorEnv as _},
};

use crate::builder;

/// Plays some steps, and sees that observations are members.
fn plays(builder: &EnvBuilder, steps: usize) {
    let mut env = builder.build().expect("made");
    let (space, actions, mut rng) = (env.observation_space(), env.action_space(), Rng::new(2));
    let (first, _) = env.reset(Some(1), &Options::new()).expect("a reset");
    assert!(space.contains(&first), "{first:?} is not in {space}");
    for _ in 0..steps {
        let step = env.step(&actions.sample(&mut rng)).expect("a step");
        assert!(space.contains(&step.observation), "{:?}", step.observation);
        if step.terminated || step.truncated {
            env.reset(None, &Options::new()).expect("a reset");
        }
    }
}

#[test]
fn toy_texts_play_with_their_arguments() {
    plays(&builder("gym:Taxi-v4"), 250);
    plays(&builder("gym:CliffWalking-v1"), 50);
    let map: Value = vec![Value::from("SFF"), "FHF".into(), "FFG".into()].into();
    let lake = builder("gym:FrozenLake-v1")
        .kwarg("desc", map)
        .kwarg("is_slippery", false);
    plays(&lake, 30);
    let mut env = lake.build().expect("made");
    assert_eq!(env.observation_space().to_string(), "Discrete(9)");
    env.reset(Some(0), &Options::new()).expect("a reset");
    let mut last = None;
    for action in [2, 2, 1, 1] {
        last = Some(env.step(&Value::Int(action)).expect("a step"));
    }
    assert!(last.is_some_and(|step| step.terminated && step.reward == 1.0));
    assert!(
        matches!(make("gym:Taxi-v3"), Err(MakeError::NotInGymnasium { reason, .. }) if reason.contains("Taxi-v4"))
    );
}

#[test]
fn sentences_of_minigrid_are_texts() {
    for id in ["gym:MiniGrid-DoorKey-5x5-v0", "gym:BabyAI-GoToLocal-v0"] {
        plays(&builder(id), 40);
        let mut envs = builder(id).build_vec(2, AutoresetMode::SameStep).expect(id);
        let Space::Dict(parts) = envs.single_observation_space() else {
            panic!("{id} shows parts");
        };
        assert!(matches!(parts.get("mission"), Some(Space::Text(_))), "{id}");
        let mut out = StepBuffers::for_env(&*envs);
        envs.reset(Some(1), &mut out.obs).expect("a reset");
    }
    let pictures = EnvBuilder::new("gym:MiniGrid-Empty-5x5-v0").render_mode(RenderMode::RgbArray);
    let mut env = pictures.build().expect("made");
    env.reset(Some(1), &Options::new()).expect("a reset");
    assert!(env.render(RenderMode::RgbArray).is_ok());
}

#[test]
fn environments_of_python_keep_their_promises() {
    for id in [
        "gym:Taxi-v4",
        "gym:MiniGrid-Empty-5x5-v0",
        "gym:Blackjack-v1",
    ] {
        let findings = check_env(|| make(id).expect(id));
        assert!(passes(&findings), "{id}: {findings:?}");
    }
}

#[test]
fn a_module_of_ones_own_is_imported_by_its_name() {
    // In another process, since only a module on the path of a new interpreter is found.
    let folder = tempfile::tempdir().expect("a folder");
    let module = r#"
import gymnasium
from gymnasium import spaces


class Parcels(gymnasium.Env):
    observation_space = spaces.Dict({
        "where": spaces.Tuple([spaces.Discrete(5), spaces.Discrete(5)]),
        "load": spaces.Box(0, 9, (2,)),
    })
    action_space = spaces.Tuple([spaces.Discrete(2), spaces.Box(-1, 1, (1,))])

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.observation_space.seed(seed)
        return self.observation_space.sample(), {}

    def step(self, action):
        assert action in self.action_space
        return self.observation_space.sample(), 1.0, False, False, {}


gymnasium.register("mine/Parcels-v0", Parcels, max_episode_steps=7)
"#;
    std::fs::write(folder.path().join("parcels.py"), module).expect("a file");
    let output = Command::new(env!("CARGO_BIN_EXE_env-bench"))
        .args([
            "--filter",
            "gym:parcels:mine/Parcels-v0",
            "--seconds",
            "0.01",
        ])
        .args(["--envs", "2", "--json"])
        .env("PYTHONPATH", folder.path())
        .output()
        .expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    assert!(
        text.contains("env.step.gym:parcels:mine/Parcels-v0.2"),
        "{text}{errors}"
    );
}

#[test]
fn a_list_of_frames_or_the_terminal_is_for_environments_of_python_too() {
    let list = EnvBuilder::new("gym:FrozenLake-v1").render_mode(RenderMode::AnsiList);
    let mut env = list.build().expect("made");
    env.reset(Some(1), &Options::new()).expect("a reset");
    env.step(&Value::Int(1)).expect("a step");
    let frames = env.render(RenderMode::AnsiList).expect("texts");
    assert!(matches!(frames, environments::Frame::List(frames) if frames.len() == 2));
    let shown = EnvBuilder::new("gym:CartPole-v1").render_mode(RenderMode::Human);
    let env = shown.build().expect("made");
    assert_eq!(env.render_mode(), Some(RenderMode::Human));
}
