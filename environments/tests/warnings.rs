//! What works and may not be what was meant is told, once.

use std::sync::{Mutex, PoisonError};

use environments::{
    BoxSpace, Discrete, Dtype, Env, EnvBuilder, EnvError, EnvSpec, Info, Options, Space, State,
    Step, Warning, make, on_warning, register, wrappers::PassiveEnvChecker,
};

static HEARD: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn hear(warning: &Warning) {
    let mut heard = HEARD.lock().unwrap_or_else(PoisonError::into_inner);
    heard.push(warning.to_string());
}

fn heard() -> Vec<String> {
    std::mem::take(&mut *HEARD.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Sees 2 where its space ends at 1, and earns nothing that is a number.
struct Liar;

impl Env for Liar {
    type Observation = [f32; 1];
    type Action = i64;

    fn observation_space(&self) -> Space {
        BoxSpace::uniform(0.0, 1.0, &[1], Dtype::F32).into()
    }

    fn action_space(&self) -> Space {
        Discrete::new(1).into()
    }

    fn reset(&mut self, _: Option<u64>, _: &Options) -> Result<([f32; 1], Info), EnvError> {
        Ok(([2.0], Info::new()))
    }

    fn step(&mut self, _: &i64) -> Result<Step<[f32; 1]>, EnvError> {
        Ok(Step {
            observation: [2.0],
            reward: f64::NAN,
            terminated: false,
            truncated: false,
            info: Info::new(),
        })
    }

    fn state(&self) -> State {
        State::default()
    }

    fn set_state(&mut self, _: &State) -> Result<(), EnvError> {
        Ok(())
    }
}

// One test, for there is one listener.
#[test]
fn oddities_are_told_to_the_listener() {
    on_warning(hear);
    make("CartPole-v1").expect("it is registered");
    assert_eq!(heard(), [""; 0]);
    make("CartPole").expect("it is registered");
    assert_eq!(
        heard(),
        ["`CartPole` names no version: using `CartPole-v1`"]
    );
    make("CartPole-v0").expect("it is registered");
    assert_eq!(
        heard(),
        ["`CartPole-v0` is out of date: consider `CartPole-v1`"]
    );

    let spec = EnvSpec::new("test/Liar-v0", |_| Ok(Liar));
    register(spec.clone()).expect("a new id");
    register(spec.clone()).expect("an id that means another environment now");
    assert!(heard()[0].contains("was registered before"));
    let without = EnvSpec::new("test/Liar", |_| Ok(Liar));
    assert!(
        register(without).is_err(),
        "some with a version, some without"
    );

    let mut env = make("test/Liar-v0").expect("it is registered");
    for _ in 0..2 {
        env.reset(None, &Options::new()).expect("a reset");
        env.step(&0.into()).expect("a step");
    }
    let told = heard();
    assert_eq!(told.len(), 3, "once for each call and fault: {told:?}");
    assert!(told.iter().all(|told| told.starts_with("`test/Liar-v0`: ")));
    let mut env = PassiveEnvChecker::new(Liar).every_step();
    for _ in 0..3 {
        env.reset(None, &Options::new()).expect("a reset");
        env.step(&0).expect("a step");
    }
    assert_eq!(heard().len(), 9, "each time: two observations and a reward");
    let mut env = EnvBuilder::from_spec(spec.disable_env_checker(true))
        .build()
        .expect("a spec");
    env.reset(None, &Options::new()).expect("a reset");
    assert_eq!(heard(), [""; 0]);
}
