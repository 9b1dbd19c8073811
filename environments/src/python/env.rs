//! One environment of Python.

use numpy::{PyArrayDyn, PyArrayMethods, PyUntypedArrayMethods};
use pyo3::{
    prelude::*,
    types::{PyBytes, PyDict, PyTuple},
};

use super::{
    fault::Fault,
    interpreter::{attach, bridge},
    read, space, write,
};
use crate::{
    Array, ArrayData, Env, EnvError, Frame, Info, Kwargs, MakeError, Metadata, Options, Outcome,
    RenderMode, Space, State, Step, Value,
};

/// An environment that Python steps.
pub(crate) struct PythonEnv {
    env: Py<PyAny>,
    step: Py<PyAny>,
    reset: Py<PyAny>,
    observation_space: Space,
    action_space: Space,
    metadata: Metadata,
    render_mode: Option<RenderMode>,
    has_reset: bool,
}

impl PythonEnv {
    /// Makes an environment of Gymnasium's spec; Python sees to whether it takes the arguments.
    pub(super) fn make(spec: &Py<PyAny>, kwargs: &mut Kwargs) -> Result<PythonEnv, MakeError> {
        let given = std::mem::take(kwargs);
        let made = attach(|py| {
            let kwargs = PyDict::new(py);
            for (name, value) in given.iter() {
                kwargs.set_item(name, write::any(py, value)?)?;
            }
            let env = bridge(py)?.call_method1("make", (spec, kwargs))?;
            let name = env.getattr("render_mode")?.extract::<Option<String>>()?;
            let render_mode = name.as_deref().and_then(RenderMode::from_name);
            Ok(PythonEnv {
                step: env.getattr("step")?.unbind(),
                reset: env.getattr("reset")?.unbind(),
                observation_space: space::convert(&env.getattr("observation_space")?)?,
                action_space: space::convert(&env.getattr("action_space")?)?,
                metadata: metadata(&env.getattr("metadata")?, name.as_deref())?,
                render_mode,
                has_reset: false,
                env: env.unbind(),
            })
        });
        made.map_err(|fault| fault.into_make_error("the environment"))
    }

    /// Resets, and hands the observation and the info to `read`.
    fn reset_with<T>(
        &mut self,
        seed: Option<u64>,
        options: &Options,
        read: impl FnOnce(&Space, &Bound<'_, PyAny>, &Bound<'_, PyAny>) -> Result<T, Fault>,
    ) -> Result<T, EnvError> {
        let result = attach(|py| {
            let kwargs = PyDict::new(py);
            kwargs.set_item("seed", seed)?;
            if !options.is_empty() {
                let values = PyDict::new(py);
                for (name, value) in options {
                    values.set_item(name, write::any(py, value)?)?;
                }
                kwargs.set_item("options", values)?;
            }
            let result = self.reset.bind(py).call((), Some(&kwargs))?;
            let [observation, info] = parts(&result, "reset")?;
            read(&self.observation_space, &observation, &info)
        });
        self.has_reset |= result.is_ok();
        result.map_err(Fault::into_env_error)
    }

    /// Steps, and hands the observation and the info to `read`.
    fn step_with<T>(
        &mut self,
        action: &Value,
        read: impl FnOnce(&Space, &Bound<'_, PyAny>, &Bound<'_, PyAny>) -> Result<T, Fault>,
    ) -> Result<(T, Outcome), EnvError> {
        if !self.has_reset {
            return Err(EnvError::ResetNeeded);
        }
        let result = attach(|py| {
            let action = write::action(py, &self.action_space, action)?;
            let result = self.step.bind(py).call1((action,))?;
            let [observation, reward, terminated, truncated, info] = parts(&result, "step")?;
            let outcome = Outcome {
                reward: reward.extract()?,
                terminated: terminated.is_truthy()?,
                truncated: truncated.is_truthy()?,
            };
            Ok((read(&self.observation_space, &observation, &info)?, outcome))
        });
        result.map_err(Fault::into_env_error)
    }

    fn take(&mut self, env: Bound<'_, PyAny>) -> Result<(), Fault> {
        self.step = env.getattr("step")?.unbind();
        self.reset = env.getattr("reset")?.unbind();
        self.env = env.unbind();
        self.has_reset = true;
        Ok(())
    }
}

/// Returns the parts of what a call returned.
fn parts<'py, const N: usize>(
    result: &Bound<'py, PyAny>,
    call: &str,
) -> Result<[Bound<'py, PyAny>; N], Fault> {
    let parts = result.cast::<PyTuple>().ok();
    let parts = parts.filter(|parts| parts.len() == N);
    let Some(parts) = parts else {
        return Err(Fault::broken(format!(
            "`{call}` returns {N} values and returned {result}"
        )));
    };
    let parts = parts.iter().collect::<Vec<_>>();
    Ok(parts.try_into().expect("the length was compared"))
}

/// Returns how an environment is drawn that was made for a mode: in that one, or if it has not got that, in which it
/// could have been.
fn metadata(metadata: &Bound<'_, PyAny>, made_for: Option<&str>) -> Result<Metadata, Fault> {
    let get = |name: &str| metadata.call_method1("get", (name,));
    let modes = get("render_modes")?.extract::<Option<Vec<Option<String>>>>()?;
    let modes = modes.unwrap_or_default();
    let is_free = !modes.iter().flatten().any(|name| Some(&**name) == made_for);
    let has = |mode: RenderMode| {
        let is_there = modes.iter().flatten().any(|name| name == mode.name());
        is_there && (is_free || made_for == Some(mode.name()))
    };
    let modes: &'static [RenderMode] = match (has(RenderMode::Ansi), has(RenderMode::RgbArray)) {
        _ if made_for.is_none() => &[],
        (true, true) => &[RenderMode::Ansi, RenderMode::RgbArray],
        (true, false) => &[RenderMode::Ansi],
        (false, true) => &[RenderMode::RgbArray],
        (false, false) => &[],
    };
    let fps = get("render_fps")?.extract::<Option<f64>>()?;
    Ok(Metadata::new(modes, fps.unwrap_or(0.0) as u32))
}

impl Env for PythonEnv {
    type Observation = Value;
    type Action = Value;

    fn observation_space(&self) -> Space {
        self.observation_space.clone()
    }

    fn action_space(&self) -> Space {
        self.action_space.clone()
    }

    fn reset(&mut self, seed: Option<u64>, options: &Options) -> Result<(Value, Info), EnvError> {
        self.reset_with(seed, options, |space, observation, info| {
            Ok((read::member(observation, space)?, read::info(info)?))
        })
    }

    fn step(&mut self, action: &Value) -> Result<Step<Value>, EnvError> {
        let ((observation, info), outcome) = self
            .step_with(action, |space, observation, info| {
                Ok((read::member(observation, space)?, read::info(info)?))
            })?;
        Ok(Step {
            observation,
            reward: outcome.reward,
            terminated: outcome.terminated,
            truncated: outcome.truncated,
            info,
        })
    }

    fn reset_into(
        &mut self,
        seed: Option<u64>,
        options: &Options,
        row: &mut [f32],
    ) -> Result<(), EnvError> {
        self.reset_with(seed, options, |space, observation, _| {
            read::row(observation, space, row)
        })
    }

    fn step_into(&mut self, action: &Value, row: &mut [f32]) -> Result<Outcome, EnvError> {
        let ((), outcome) = self.step_with(action, |space, observation, _| {
            read::row(observation, space, row)
        })?;
        Ok(outcome)
    }

    /// Pickles the environment; where that cannot be, `set_state` says why with `StateNotSaved`.
    fn state(&self) -> State {
        let saved = attach(|py| {
            let saved = bridge(py)?.call_method1("save", (&self.env,))?;
            let saved = saved.cast_into::<PyBytes>().map_err(PyErr::from)?;
            Ok(saved.as_bytes().to_vec())
        });
        let (name, value) = match saved.map_err(Fault::into_env_error) {
            Ok(bytes) => (PICKLE, Array::from(bytes).into()),
            Err(EnvError::Python { exception, .. }) => (REASON, Value::Text(exception)),
            Err(error) => (REASON, Value::Text(error.to_string())),
        };
        State {
            extra: [(name.to_owned(), value)].into(),
            ..State::default()
        }
    }

    fn set_state(&mut self, state: &State) -> Result<(), EnvError> {
        if let Some(reason) = state.extra.get(REASON).and_then(Value::as_text) {
            let reason = reason.to_owned();
            return Err(EnvError::StateNotSaved { reason });
        }
        let saved = state.extra.get(PICKLE).and_then(Value::as_array);
        let Some(ArrayData::U8(bytes)) = saved.map(Array::data) else {
            return Err(EnvError::InvalidState("nothing that Python saved".into()));
        };
        let result = attach(|py| {
            let saved = PyBytes::new(py, bytes);
            let env = bridge(py)?.call_method1("load", (&self.env, saved))?;
            self.take(env)
        });
        result.map_err(|fault| EnvError::InvalidState(fault.into_env_error().to_string()))
    }

    fn render(&mut self, mode: RenderMode) -> Result<Frame, EnvError> {
        if self.render_mode != Some(mode) {
            return Err(EnvError::NotSupported(format!(
                "it draws what it was made for: `EnvBuilder::render_mode` sets {mode:?}"
            )));
        }
        let drawn = attach(|py| frame(&self.env.bind(py).call_method0("render")?));
        drawn.map_err(Fault::into_env_error)
    }

    fn metadata(&self) -> Metadata {
        self.metadata
    }

    fn render_mode(&self) -> Option<RenderMode> {
        self.render_mode
    }
}

fn frame(drawn: &Bound<'_, PyAny>) -> Result<Frame, Fault> {
    if let Ok(text) = drawn.extract::<String>() {
        return Ok(Frame::Ansi(text));
    }
    let image = drawn.cast::<PyArrayDyn<u8>>().ok();
    let image = image.and_then(|image| image.try_readonly().ok());
    let Some((image, [height, width, 3])) = image
        .as_ref()
        .and_then(|image| Some((image, <[usize; 3]>::try_from(image.shape()).ok()?)))
    else {
        return Err(Fault::broken(format!(
            "`render` returns a text or an image of bytes and returned {}",
            drawn.get_type()
        )));
    };
    let size =
        |pixels: usize| u32::try_from(pixels).map_err(|error| Fault::broken(error.to_string()));
    Ok(Frame::Rgb {
        width: size(width)?,
        height: size(height)?,
        pixels: image.as_array().iter().copied().collect(),
    })
}

impl Drop for PythonEnv {
    fn drop(&mut self) {
        // Nothing is left to tell of an environment that cannot close, or an interpreter that has gone.
        let _ = Python::try_attach(|py| self.env.bind(py).call_method0("close").map(drop));
    }
}

/// Under which name a state has what Python saved.
const PICKLE: &str = "python.pickle";
/// Under which name a state has why Python saved nothing.
const REASON: &str = "python.unsupported";
