//! What the bridge to Python's Gymnasium promises; `environments/python/setup.sh` installs what this needs.

mod atari;
mod equal;
mod faults;
mod others;
mod spaces;
mod state;

use std::sync::Once;

use environments::{DynEnv, EnvBuilder, MakeError, make, make_with};
use pyo3::prelude::*;

/// Makes an environment of `fixtures.py`.
fn fixture<const N: usize>(
    name: &str,
    kwargs: [(&str, environments::Value); N],
) -> Result<Box<dyn DynEnv>, MakeError> {
    register_fixtures();
    make_with(&format!("gym:fixture/{name}-v0"), kwargs)
}

/// Lets Gymnasium know the environments of `fixtures.py`.
fn register_fixtures() {
    static REGISTERED: Once = Once::new();
    REGISTERED.call_once(|| {
        make("gym:CartPole-v1").expect("Gymnasium is installed");
        Python::attach(|py| {
            let module = c"fixtures";
            PyModule::from_code(py, FIXTURES, c"fixtures.py", module).map(drop)
        })
        .expect("the fixtures are in order");
    });
}

const FIXTURES: &std::ffi::CStr = match std::ffi::CStr::from_bytes_with_nul(
    concat!(include_str!("fixtures.py"), "\0").as_bytes(),
) {
    Ok(text) => text,
    Err(_) => panic!("the fixtures have no zero byte"),
};

/// The builder of an environment that this crate has no warnings to tell of.
fn builder(id: &str) -> EnvBuilder {
    EnvBuilder::new(id).disable_env_checker(true)
}
