//! The one interpreter of the process, and the way into it.

use std::ffi::CString;

use pyo3::{prelude::*, sync::PyOnceLock, types::PyModule};

use super::fault::Fault;
use crate::MakeError;

static BRIDGE: PyOnceLock<Py<PyModule>> = PyOnceLock::new();

/// Starts the interpreter and imports Gymnasium, unless that was done.
///
/// # Errors
/// Gymnasium is not installed.
pub(super) fn start() -> Result<(), MakeError> {
    Python::initialize();
    attach(|py| bridge(py).map(drop)).map_err(|fault| fault.into_make_error("gymnasium"))
}

/// Holds the interpreter's lock during `call`.
pub(super) fn attach<T>(call: impl FnOnce(Python<'_>) -> Result<T, Fault>) -> Result<T, Fault> {
    Python::attach(call)
}

/// Returns the part of the bridge that is written in Python.
pub(super) fn bridge(py: Python<'_>) -> Result<&Bound<'_, PyModule>, Fault> {
    let bridge = BRIDGE.get_or_try_init(py, || {
        let source = CString::new(include_str!("bridge.py")).expect("it has no zero byte");
        PyModule::from_code(py, &source, c"bridge.py", c"environments_bridge").map(Bound::unbind)
    })?;
    Ok(bridge.bind(py))
}
