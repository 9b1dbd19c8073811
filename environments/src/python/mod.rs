//! Runs environments of Python's Gymnasium: `make("gym:ALE/Pong-v5")`.
//!
//! An id is `gym:` and what `gymnasium.make` takes: `[module:][namespace/]Name[-vN]`. One interpreter is started
//! in the process, at the first such id. It takes its packages from `VIRTUAL_ENV`, if that is set, then from where
//! the Python that this crate was built for has them; `PYO3_PYTHON` names that at build time, and its
//! `libpython` must be found at run time.
//!
//! Limits, order and first calls are checked by this crate's wrappers, so Gymnasium's own are left off. The
//! interpreter's lock is held during a call into Python only: other threads go on, and so do environments whose
//! steps release it. A vector environment's rows are written from the arrays that Python returns, with
//! nothing in between.
//!
//! | Gymnasium | here |
//! | --- | --- |
//! | `Dict` | keys in sorted order, as rows too |
//! | elements of float16, int16, uint16, uint32 | F32, I32, I32, I64 |
//! | `Sequence(stack=True)`, elements of other types, spaces of one's own | an error of `make` |
//! | `info` | values without a counterpart as their `repr`; those that are None are left out |
//! | MiniGrid's `MissionSpace` | `Text` of the longest sentence's length |
//!
//! # States
//! Python's states are pickled, so set only states that you trust. Environments that pickle their arguments rather
//! than their state have one here if they are MuJoCo's or Atari's. An Atari game's is exact with sticky actions
//! too, as long as they stick with a probability of at most 0.9: saving it plays ahead to find out which action was
//! last, and takes some 20 ms. The others', Box2D's among them, cannot be saved: `set_state` returns
//! [`EnvError::StateNotSaved`](crate::EnvError::StateNotSaved), which says so. This crate's own `LunarLander-v3` and
//! `BipedalWalker-v3` have exact states.

mod env;
mod fault;
mod interpreter;
mod read;
mod space;
mod write;

use pyo3::prelude::*;

use crate::{EnvId, EnvSpec, MakeError};
use env::PythonEnv;
use interpreter::{attach, bridge};

/// Returns the spec of an id without its `gym:`, from Gymnasium's.
///
/// # Errors
/// A missing package, or an id that Gymnasium does not know, with its own hint.
pub(crate) fn spec(id: &str) -> Result<EnvSpec, MakeError> {
    interpreter::start()?;
    let found = attach(|py| {
        let found = bridge(py)?.call_method1("find_spec", (id,))?;
        Facts::read(&found)
    });
    let facts = found.map_err(|fault| fault.into_make_error(id))?;
    let module = id.rsplit_once(':').map_or("", |(module, _)| module);
    let python_spec = facts.spec;
    let spec = EnvSpec::new(PLACEHOLDER, move |kwargs| {
        PythonEnv::make(&python_spec, kwargs)
    });
    let mut spec = spec
        .with_id(prefixed(module, facts.namespace, facts.name, facts.version))
        .nondeterministic(facts.nondeterministic)
        .order_enforce(facts.order_enforce);
    spec.max_episode_steps = facts.max_episode_steps;
    spec.reward_threshold = facts.reward_threshold;
    Ok(spec)
}

/// What is known of an environment in Python before it is made.
struct Facts {
    spec: Py<PyAny>,
    namespace: Option<String>,
    name: String,
    version: Option<u32>,
    max_episode_steps: Option<u32>,
    reward_threshold: Option<f64>,
    nondeterministic: bool,
    order_enforce: bool,
}

impl Facts {
    fn read(spec: &Bound<'_, PyAny>) -> Result<Facts, fault::Fault> {
        Ok(Facts {
            namespace: spec.getattr("namespace")?.extract()?,
            name: spec.getattr("name")?.extract()?,
            version: spec.getattr("version")?.extract()?,
            max_episode_steps: spec.getattr("max_episode_steps")?.extract()?,
            reward_threshold: spec.getattr("reward_threshold")?.extract()?,
            nondeterministic: spec.getattr("nondeterministic")?.extract()?,
            order_enforce: spec.getattr("order_enforce")?.extract()?,
            spec: spec.clone().unbind(),
        })
    }
}

/// Returns an id that leads back here, and to the module that registers it.
fn prefixed(module: &str, namespace: Option<String>, name: String, version: Option<u32>) -> EnvId {
    let mut prefix = crate::registry::PYTHON_PREFIX.to_owned();
    if !module.is_empty() {
        prefix += &format!("{module}:");
    }
    match namespace {
        Some(namespace) => EnvId {
            namespace: Some(prefix + &namespace),
            name,
            version,
        },
        None => EnvId {
            namespace: None,
            name: prefix + &name,
            version,
        },
    }
}

/// Has the form of an id, which an id with a module in it need not have; replaced at once.
const PLACEHOLDER: &str = "gym";
