//! Runtime environments: the variables and the folder that worker processes are started with.

#![allow(
    missing_docs,
    reason = "rkyv's derives repeat the type without its documentation"
)]

use std::{collections::BTreeMap, fmt, path::Path};

use rkyv::{Archive, Deserialize, Serialize};

use crate::failure::Failure;

/// What worker processes have beside the program: environment variables and a working directory.
///
/// Work with another environment runs in other worker processes. Tasks and actors begin with the environment of
/// whoever submits them, and what they say themselves goes over that.
///
/// ```
/// # use ray_engine::env::RuntimeEnv;
/// let env = RuntimeEnv::new().env("OMP_NUM_THREADS", "1").working_dir("/data/run-7");
/// assert!(env.check().is_ok());
/// ```
#[derive(Archive, Serialize, Deserialize, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[must_use = "an environment changes nothing by itself"]
pub struct RuntimeEnv {
    variables: BTreeMap<String, String>,
    working_dir: Option<String>,
}

impl RuntimeEnv {
    /// Returns the environment that changes nothing.
    pub fn new() -> RuntimeEnv {
        RuntimeEnv::default()
    }

    /// Sets an environment variable.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> RuntimeEnv {
        self.variables.insert(name.into(), value.into());
        self
    }

    /// Sets the directory in which the processes run.
    ///
    /// A directory of this machine is sent to the nodes that run the work, as it is when the work is submitted: up to
    /// 100 MiB without what its `.gitignore` and `.rayignore` leave out, without `.git`, `target` and other caches of
    /// builds. Each job has its own copy on a node, until it ends. `file:///path`, and a path that is not here, is a
    /// folder that the nodes have already. When the program has no other nodes, its workers run in the directory
    /// itself.
    pub fn working_dir(mut self, path: impl AsRef<Path>) -> RuntimeEnv {
        self.working_dir = Some(path.as_ref().to_string_lossy().into_owned());
        self
    }

    /// Returns the environment variables.
    pub fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        let variables = self.variables.iter();
        variables.map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Returns the folder in which the processes run, when one is set; `ray://HASH-BYTES` is one that was sent.
    pub fn folder(&self) -> Option<&str> {
        self.working_dir.as_deref()
    }

    /// Returns this environment over `parent`: what it does not say, the parent does.
    pub fn over(self, parent: &RuntimeEnv) -> RuntimeEnv {
        let mut variables = parent.variables.clone();
        variables.extend(self.variables);
        RuntimeEnv {
            variables,
            working_dir: self.working_dir.or_else(|| parent.working_dir.clone()),
        }
    }

    /// Checks what can be checked anywhere.
    ///
    /// # Errors
    /// `RuntimeEnv`, which names the field, for a name or value that no process could have, for a folder that is
    /// not an absolute path in UTF-8, and for over [`BYTES_MAX`] bytes in all.
    pub fn check(&self) -> Result<(), Failure> {
        let wrong = |field: &str, reason: String| {
            Err(Failure::RuntimeEnv(format!("field `{field}`: {reason}")))
        };
        for (name, value) in self.variables() {
            if name.is_empty() || name.contains(['=', '\0']) {
                let reason = format!("{name:?} cannot be the name of a variable");
                return wrong("env", reason);
            }
            if name == RESERVED {
                return wrong("env", format!("`{name}` is the runtime's own variable"));
            }
            if value.contains('\0') {
                return wrong("env", format!("the value of `{name}` has a zero byte"));
            }
        }
        if let Some(folder) = self.folder() {
            let is_whole = folder.starts_with('/') || folder.starts_with(SENT);
            let is_path = is_whole && !folder.contains(['\0', '\u{fffd}']);
            if !is_path {
                let reason = format!("{folder:?} is not an absolute path in UTF-8");
                return wrong("working_dir", reason);
            }
        }
        let of_variables = self
            .variables()
            .map(|(name, value)| name.len() + value.len());
        let bytes = of_variables.sum::<usize>() + self.folder().map_or(0, str::len);
        if bytes > BYTES_MAX {
            let reason = format!("{bytes} bytes are over the limit of {BYTES_MAX} bytes");
            return wrong("env", reason);
        }
        Ok(())
    }
}

/// Values may be secrets and are never shown.
impl fmt::Debug for RuntimeEnv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.variables.keys().collect();
        f.debug_struct("RuntimeEnv")
            .field("variables", &names)
            .field("working_dir", &self.working_dir)
            .finish()
    }
}

/// Names, values and path together; bytes.
pub const BYTES_MAX: usize = 64 << 10;
/// Begins the name of a directory that was sent.
const SENT: &str = "ray://";
/// Says to a process that it is a worker.
const RESERVED: &str = "RAY_WORKER";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_child_says_goes_over_what_its_parent_says() {
        let parent = RuntimeEnv::new()
            .env("A", "1")
            .env("B", "1")
            .working_dir("/p");
        let child = RuntimeEnv::new().env("B", "2").env("C", "2");
        let merged = child.over(&parent);
        let expected = [("A", "1"), ("B", "2"), ("C", "2")];
        assert!(merged.variables().eq(expected));
        assert_eq!(merged.folder(), Some("/p"));
        let moved = RuntimeEnv::new().working_dir("/c").over(&parent);
        assert_eq!(moved.folder(), Some("/c"));
    }

    #[test]
    fn what_no_process_could_have_is_refused_by_its_field() {
        let refused = |env: RuntimeEnv| match env.check() {
            Err(Failure::RuntimeEnv(text)) => text,
            other => panic!("{other:?}"),
        };
        for name in ["", "A=B", "A\0", "RAY_WORKER"] {
            let text = refused(RuntimeEnv::new().env(name, "x"));
            assert!(text.starts_with("field `env`: "), "{text}");
        }
        assert!(refused(RuntimeEnv::new().env("A", "x\0y")).contains("value of `A`"));
        for path in ["", "run", "/a\0b", "/\u{fffd}"] {
            let text = refused(RuntimeEnv::new().working_dir(path));
            assert!(text.starts_with("field `working_dir`: "), "{text}");
        }
        let large = RuntimeEnv::new().env("A", "x".repeat(BYTES_MAX));
        assert!(refused(large).contains("over the limit"));
        let just = RuntimeEnv::new().env("A", "x".repeat(BYTES_MAX - 1));
        assert_eq!(just.check(), Ok(()));
    }

    #[test]
    fn values_are_not_shown() {
        let text = format!("{:?}", RuntimeEnv::new().env("TOKEN", "secret"));
        assert!(text.contains("TOKEN") && !text.contains("secret"), "{text}");
    }
}
