//! What is wrong is told as an error that says what to do.

use std::process::Command;

use environments::{Array, EnvError, MakeError, Options, Value, make, make_with};

use crate::{fixture, register_fixtures};

fn error(id: &str) -> MakeError {
    make(id).err().expect("it is not there")
}

#[test]
fn an_unknown_id_has_gymnasiums_own_hint() {
    for (id, hint) in [
        ("gym:CartPol-v1", "Did you mean: `CartPole`?"),
        ("gym:CartPole-v9", "[ `v0`, `v1` ]"),
        ("gym:Pendulum-v0", "Pendulum-v1"),
        ("gym:ALE/Pon-v5", "Did you mean: `Pong`?"),
        ("gym:Zork", "Zork"),
    ] {
        let error = error(id);
        assert!(
            matches!(error, MakeError::NotInGymnasium { .. }),
            "{error:?}"
        );
        assert!(error.to_string().contains(hint), "{error}");
    }
}

#[test]
fn an_id_may_lack_a_version_or_name_a_module() {
    for (id, full) in [
        ("gym:CartPole", "gym:CartPole-v1"),
        ("gym:ALE/Pong-v5", "gym:ALE/Pong-v5"),
        ("gym:ale_py:ALE/Pong", "gym:ale_py:ALE/Pong-v5"),
    ] {
        let env = make(id).expect(id);
        let spec = env.spec().expect("`make` says what it made");
        assert_eq!(spec.id().to_string(), full);
        assert!(make(full).is_ok(), "{full}");
    }
    let env = make("gym:CartPole-v1").expect("it is there");
    let spec = env.spec().expect("`make` says what it made");
    assert_eq!(
        (spec.max_episode_steps, spec.reward_threshold),
        (Some(500), Some(475.0))
    );
}

#[test]
fn a_missing_package_says_what_to_install() {
    register_fixtures();
    let error = error("gym:no_such_module:Zork-v0");
    assert!(
        matches!(error, MakeError::PackageMissing { .. }),
        "{error:?}"
    );
    assert!(
        error.to_string().contains("`pip install no-such-module`"),
        "{error}"
    );
    let error = fixture("Needy", []).err().expect("it misses something");
    assert!(
        matches!(error, MakeError::PackageMissing { .. }),
        "{error:?}"
    );
    assert!(
        error.to_string().contains("pip install \"gymnasium[it]\""),
        "{error}"
    );
}

#[test]
fn without_gymnasium_the_error_says_how_to_install_it() {
    // Another process, since this one has imported it; a module of the name hides what is installed.
    let folder = tempfile::tempdir().expect("a folder");
    let hides = "raise ModuleNotFoundError(\"No module named 'gymnasium'\", name='gymnasium')";
    std::fs::write(folder.path().join("gymnasium.py"), hides).expect("a file");
    let output = Command::new(env!("CARGO_BIN_EXE_env-bench"))
        .args([
            "--filter",
            "gym:CartPole-v1",
            "--seconds",
            "0.01",
            "--envs",
            "1",
        ])
        .env("PYTHONPATH", folder.path())
        .env_remove("VIRTUAL_ENV")
        .output()
        .expect("it runs");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(
        text.contains("`pip install \"gymnasium[classic-control]\"`"),
        "{text}"
    );
    assert!(text.contains("Python 3."), "{text}");
    assert!(!output.status.success());
}

#[test]
fn an_argument_reaches_python_and_a_wrong_one_is_an_error() {
    let mut env = make_with("gym:Pendulum-v1", [("g", 0.0.into())]).expect("it takes `g`");
    env.reset(
        Some(1),
        &Options::from([("x_init".into(), 0.5.into()), ("y_init".into(), 0.0.into())]),
    )
    .expect("it takes the options");
    let refused = make_with("gym:CartPole-v1", [("gravy", 1.into())]).err();
    let Some(MakeError::Env(EnvError::Python {
        exception,
        traceback,
    })) = refused
    else {
        panic!("{refused:?}");
    };
    assert!(
        exception.contains("TypeError") && exception.contains("gravy"),
        "{exception}"
    );
    assert!(
        traceback.contains("Traceback (most recent call last)"),
        "{traceback}"
    );
}

#[test]
fn an_exception_is_an_error_with_its_traceback() {
    let mut env = fixture("Faulty", [("fault", "raise".into())]).expect("made");
    env.reset(None, &Options::new()).expect("a reset");
    let error = env.step(&action()).err();
    let Some(EnvError::Python {
        exception,
        traceback,
    }) = &error
    else {
        panic!("{error:?}");
    };
    assert_eq!(exception, "RuntimeError: the wheels came off");
    assert!(traceback.contains("fixtures.py\", line"), "{traceback}");
    assert!(env.reset(None, &Options::new()).is_ok(), "Python goes on");
}

fn action() -> Value {
    Array::from(vec![0.0_f32; 6]).into()
}

#[test]
fn what_breaks_the_interface_is_told() {
    for (fault, text) in [("size", "[5]"), ("parts", "`step` returns 5 values")] {
        let mut env = fixture("Faulty", [("fault", fault.into())]).expect("made");
        env.reset(None, &Options::new()).expect("a reset");
        let error = env.step(&action()).expect_err(fault);
        assert!(matches!(error, EnvError::Broken(_)), "{error:?}");
        assert!(error.to_string().contains(text), "{error}");
    }
}

#[test]
fn an_action_outside_the_space_does_not_reach_python() {
    let mut env = make("gym:ALE/Pong-v5").expect("it is there");
    assert_eq!(env.step(&Value::Int(0)), Err(EnvError::ResetNeeded));
    env.reset(Some(1), &Options::new()).expect("a reset");
    for action in [Value::Int(-1), Value::Int(6), Value::Float(0.5), action()] {
        let error = env.step(&action).expect_err("it is no member");
        assert!(matches!(error, EnvError::InvalidAction { .. }), "{error:?}");
    }
    assert!(env.step(&Value::Int(5)).is_ok());
}

#[test]
fn an_option_out_of_range_is_pythons_own_error() {
    let mut env = make("gym:CartPole-v1").expect("it is there");
    let options = Options::from([("low".into(), 2.0.into()), ("high".into(), 1.0.into())]);
    let error = env.reset(None, &options).expect_err("low is above high");
    assert!(matches!(error, EnvError::Python { .. }), "{error:?}");
    assert!(error.to_string().contains("ValueError"), "{error}");
}
