//! What goes wrong in Python, as this crate's errors.

use pyo3::{exceptions::PyModuleNotFoundError, prelude::*, types::PyList};

use crate::{EnvError, MakeError};

/// An exception, or what is wrong with what Python returned.
pub(super) enum Fault {
    /// Python raised it.
    Raised(PyErr),
    /// Nothing was raised.
    Env(EnvError),
}

impl From<PyErr> for Fault {
    fn from(error: PyErr) -> Fault {
        Fault::Raised(error)
    }
}

impl From<EnvError> for Fault {
    fn from(error: EnvError) -> Fault {
        Fault::Env(error)
    }
}

impl Fault {
    /// Returns that the environment does not keep to its own space.
    pub(super) fn broken(reason: impl Into<String>) -> Fault {
        Fault::Env(EnvError::Broken(reason.into()))
    }

    /// Returns that there is no counterpart here.
    pub(super) fn unsupported(reason: impl Into<String>) -> Fault {
        Fault::Env(EnvError::NotSupported(reason.into()))
    }

    /// Returns the error of a call.
    pub(super) fn into_env_error(self) -> EnvError {
        match self {
            Fault::Env(error) => error,
            Fault::Raised(error) => Python::attach(|py| EnvError::Python {
                exception: text(py, &error),
                traceback: traceback(py, &error),
            }),
        }
    }

    /// Returns the error of a `make`, which says what to install where something is missing.
    pub(super) fn into_make_error(self, id: &str) -> MakeError {
        let error = match self {
            Fault::Env(error) => return error.into(),
            Fault::Raised(error) => error,
        };
        Python::attach(|py| {
            let reason = text(py, &error);
            if error.is_instance_of::<PyModuleNotFoundError>(py) {
                return missing_module(py, &error, reason);
            }
            let is = |class| is_gymnasium_error(py, &error, class);
            if is("DependencyNotInstalled") {
                return MakeError::PackageMissing { reason };
            }
            if is("UnregisteredEnv") || is("DeprecatedEnv") {
                return MakeError::NotInGymnasium {
                    id: id.to_owned(),
                    reason,
                };
            }
            Fault::Raised(error).into_env_error().into()
        })
    }
}

/// Says which package has a module, and where the interpreter looks for it.
fn missing_module(py: Python<'_>, error: &PyErr, reason: String) -> MakeError {
    let name = error.value(py).getattr("name");
    let name = name.and_then(|name| name.extract::<String>());
    let package = name.map(|name| {
        let package = name.split('.').next().unwrap_or_default();
        package.replace('_', "-")
    });
    let place = py.import("sys").and_then(|sys| {
        let prefix = sys.getattr("prefix")?.extract::<String>()?;
        let version = py.version_info();
        Ok(format!(
            "Python {}.{} in {prefix}",
            version.major, version.minor
        ))
    });
    let install = match package.as_deref() {
        Ok("gymnasium") => "pip install \"gymnasium[classic-control]\"".to_owned(),
        Ok(package) => format!("pip install {package}"),
        Err(_) => "pip install what it belongs to".to_owned(),
    };
    MakeError::PackageMissing {
        reason: format!(
            "{reason}: run `{install}` for {}, or set VIRTUAL_ENV to an environment that has it",
            place.unwrap_or_else(|_: PyErr| "this Python".to_owned())
        ),
    }
}

fn is_gymnasium_error(py: Python<'_>, error: &PyErr, class: &str) -> bool {
    let class = py
        .import("gymnasium.error")
        .and_then(|module| module.getattr(class));
    class.is_ok_and(|class| error.matches(py, class).unwrap_or(false))
}

/// Returns what Python itself would print.
fn traceback(py: Python<'_>, error: &PyErr) -> String {
    let printed = || -> PyResult<String> {
        let module = py.import("traceback")?;
        // Before Python 3.12 the traceback is beside the exception.
        let parts = (error.get_type(py), error.value(py), error.traceback(py));
        let lines = module.call_method1("format_exception", parts)?;
        let lines = lines.cast_into::<PyList>().map_err(PyErr::from)?;
        lines.iter().map(|line| line.extract::<String>()).collect()
    };
    printed().unwrap_or_else(|_| error.to_string())
}

/// Returns the exception in one line.
fn text(py: Python<'_>, error: &PyErr) -> String {
    let kind = error.get_type(py).name();
    let kind = kind.map_or_else(|_| "Exception".to_owned(), |name| name.to_string());
    match error.value(py).str().map(|text| text.to_string()) {
        Ok(text) if !text.is_empty() => format!("{kind}: {text}"),
        _ => kind,
    }
}
