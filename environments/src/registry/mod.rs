//! Environments by name: what is registered, and how an id becomes an environment.
//!
//! Each environment's file lists its specs; [`register`] adds a user's own at run time.

mod builder;
mod id;
mod json;
mod kwargs;
mod spec;
mod warning;

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock, PoisonError, RwLock},
};

pub use builder::{EnvBuilder, Vectorization, make, make_vec, make_with};
pub use id::EnvId;
pub use kwargs::Kwargs;
pub use spec::{EnvSpec, IntoEnv, VectorConfig};
pub(crate) use warning::warn;
pub use warning::{Warning, on_warning};

use crate::EnvError;

/// Why an environment was not made or registered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MakeError {
    /// The id does not have the form `[namespace/]Name[-vN]`.
    #[error("`{0}` is no id: it has the form `[namespace/]Name[-vN]`")]
    MalformedId(String),
    /// Nothing is registered in the namespace.
    #[error("no environment is in the namespace `{namespace}`{}", hint(.near))]
    NamespaceNotFound {
        /// What was asked for.
        namespace: String,
        /// The namespace that looks most like it.
        near: Option<String>,
    },
    /// No environment has the name.
    #[error("no environment is named `{name}`{}", hint(.near))]
    NameNotFound {
        /// What was asked for.
        name: String,
        /// The id that looks most like it.
        near: Option<String>,
    },
    /// The environment has other versions.
    #[error("`{name}` has no version {version}; it has {}", .known.join(", "))]
    VersionNotFound {
        /// The name.
        name: String,
        /// What was asked for.
        version: u32,
        /// The ids that it has.
        known: Vec<String>,
    },
    /// The version is older than all that are registered.
    #[error("version {version} of `{name}` is gone: use `{latest}`")]
    Deprecated {
        /// The name.
        name: String,
        /// What was asked for.
        version: u32,
        /// The latest id.
        latest: String,
    },
    /// The environment takes no such argument, or not this value.
    #[error("argument `{argument}`: {reason}")]
    InvalidArgument {
        /// Its name.
        argument: String,
        /// What is wrong.
        reason: String,
    },
    /// The id is of Python's Gymnasium, which a feature of this crate runs; turn it on.
    #[error(
        "`{id}` runs in Python: turn on the feature `{feature}` of the crate `environments` or `ray-rl`"
    )]
    FeatureNeeded {
        /// What was asked for.
        id: String,
        /// The feature.
        feature: &'static str,
    },
    /// A package of Python is not installed; the reason says what to run.
    #[error("a package of Python is missing: {reason}")]
    PackageMissing {
        /// What is missing, and how to install it.
        reason: String,
    },
    /// Python's Gymnasium has no such environment.
    #[error("Gymnasium has no `{id}`: {reason}")]
    NotInGymnasium {
        /// What was asked for, as Gymnasium was asked.
        id: String,
        /// Gymnasium's own words, with what looks most like it.
        reason: String,
    },
    /// The environment refused.
    #[error(transparent)]
    Env(#[from] EnvError),
    /// A text is not a spec.
    #[error("not read from JSON: {0}")]
    Json(String),
}

fn hint(near: &Option<String>) -> String {
    near.as_ref()
        .map(|near| format!("; did you mean `{near}`?"))
        .unwrap_or_default()
}

type Specs = BTreeMap<EnvId, Arc<EnvSpec>>;

static REGISTRY: LazyLock<RwLock<Specs>> = LazyLock::new(|| {
    let specs = crate::envs::specs().into_iter();
    RwLock::new(
        specs
            .map(|spec| (spec.id().clone(), Arc::new(spec)))
            .collect(),
    )
});

/// Lets [`make`] find an environment by its spec's id.
///
/// # Errors
/// An id without a version beside registered versions of the same name, or the other way round.
pub fn register(spec: EnvSpec) -> Result<(), MakeError> {
    let mut specs = REGISTRY.write().unwrap_or_else(PoisonError::into_inner);
    let id = spec.id().clone();
    let is_mixed = specs
        .keys()
        .any(|known| known.is_same_name(&id) && known.version.is_some() != id.version.is_some());
    if is_mixed {
        return Err(MakeError::InvalidArgument {
            argument: "id".into(),
            reason: format!("`{id}` is registered with and without a version"),
        });
    }
    let text = id.to_string();
    if specs.insert(id, Arc::new(spec)).is_some() {
        drop(specs);
        warn(Warning::Overridden { id: text });
    }
    Ok(())
}

/// Returns the specs of all environments, by id.
pub fn specs() -> Vec<Arc<EnvSpec>> {
    let specs = REGISTRY.read().unwrap_or_else(PoisonError::into_inner);
    specs.values().cloned().collect()
}

/// What ids of Python's Gymnasium begin with.
pub(crate) const PYTHON_PREFIX: &str = "gym:";

#[cfg(feature = "python")]
fn python_spec(_id: &str, python_id: &str) -> Result<EnvSpec, MakeError> {
    crate::python::spec(python_id)
}

#[cfg(not(feature = "python"))]
fn python_spec(id: &str, _python_id: &str) -> Result<EnvSpec, MakeError> {
    Err(MakeError::FeatureNeeded {
        id: id.to_owned(),
        feature: "python",
    })
}

/// Returns the spec of an id; an id without a version means the latest.
///
/// An id that begins with `gym:` is looked up in Python's Gymnasium, where the feature `python` is on.
///
/// # Errors
/// An id that is not registered, with the one that looks most like it.
pub fn spec(id: &str) -> Result<Arc<EnvSpec>, MakeError> {
    if let Some(python_id) = id.strip_prefix(PYTHON_PREFIX) {
        return python_spec(id, python_id).map(Arc::new);
    }
    let id: EnvId = id.parse()?;
    let specs = REGISTRY.read().unwrap_or_else(PoisonError::into_inner);
    let found = find(&specs, &id);
    drop(specs);
    let (spec, warning) = found?;
    if let Some(warning) = warning {
        warn(warning);
    }
    Ok(spec)
}

fn find(specs: &Specs, id: &EnvId) -> Result<(Arc<EnvSpec>, Option<Warning>), MakeError> {
    let latest = specs
        .iter()
        .filter(|(known, _)| known.is_same_name(id))
        .max_by_key(|(known, _)| known.version);
    let Some((latest_id, latest)) = latest else {
        return Err(unknown(specs, id));
    };
    if let Some(spec) = specs.get(id) {
        let warning = (latest_id.version > id.version).then(|| Warning::Outdated {
            id: id.to_string(),
            latest: latest_id.to_string(),
        });
        return Ok((spec.clone(), warning));
    }
    let Some(version) = id.version else {
        let warning = Warning::Unversioned {
            id: id.to_string(),
            latest: latest_id.to_string(),
        };
        return Ok((latest.clone(), Some(warning)));
    };
    let (name, latest) = (id.without_version(), latest_id.to_string());
    if latest_id.version > Some(version) {
        return Err(MakeError::Deprecated {
            name,
            version,
            latest,
        });
    }
    let known = specs.keys().filter(|known| known.is_same_name(id));
    Err(MakeError::VersionNotFound {
        name,
        version,
        known: known.map(ToString::to_string).collect(),
    })
}

/// Says what is unknown of an id that nothing has the name of.
fn unknown(specs: &Specs, id: &EnvId) -> MakeError {
    let namespaces = || specs.keys().filter_map(|known| known.namespace.as_deref());
    if let Some(namespace) = &id.namespace
        && !namespaces().any(|known| known == namespace)
    {
        return MakeError::NamespaceNotFound {
            namespace: namespace.clone(),
            near: id::closest(namespace, namespaces()).map(str::to_owned),
        };
    }
    let name = id.without_version();
    let known = specs.keys().map(EnvId::without_version).collect::<Vec<_>>();
    let near = id::closest(&name, known.iter().map(String::as_str));
    let near = near.and_then(|near| {
        let versions = specs.keys().filter(|id| id.without_version() == near);
        versions
            .max_by_key(|id| id.version)
            .map(ToString::to_string)
    });
    MakeError::NameNotFound { name, near }
}

/// Returns a table of all ids, grouped by namespace, for people.
pub fn pprint_registry() -> String {
    let mut groups = BTreeMap::<String, Vec<String>>::new();
    for spec in specs() {
        let id = spec.id();
        let namespace = id
            .namespace
            .clone()
            .unwrap_or_else(|| "environments".into());
        groups.entry(namespace).or_default().push(id.to_string());
    }
    let mut text = String::new();
    for (namespace, ids) in groups {
        text += &format!("===== {namespace} =====\n");
        let width = ids.iter().map(String::len).max().unwrap_or(0);
        for row in ids.chunks(COLUMNS) {
            let cells = row.iter().map(|id| format!("{id:width$}"));
            text += cells.collect::<Vec<_>>().join("  ").trim_end();
            text.push('\n');
        }
    }
    text
}

/// How many ids a line of the table has.
const COLUMNS: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vector::AutoresetMode;

    fn error(id: &str) -> MakeError {
        make(id).err().expect("unknown")
    }

    #[test]
    fn every_id_makes_both_forms() {
        for spec in specs() {
            let id = spec.id().to_string();
            assert!(make(&id).is_ok(), "{id}");
            let envs = make_vec(&id, 3, AutoresetMode::SameStep);
            assert_eq!(envs.map(|envs| envs.num_envs()).ok(), Some(3), "{id}");
        }
    }

    #[test]
    fn a_wrong_name_version_or_namespace_says_what_there_is() {
        let text = error("CartPol-v1").to_string();
        assert!(text.contains("did you mean `CartPole-v1`"), "{text}");
        assert!(matches!(
            error("Zork"),
            MakeError::NameNotFound { near: None, .. }
        ));
        assert!(matches!(
            error("CartPole-v9"),
            MakeError::VersionNotFound { version: 9, known, .. } if known == ["CartPole-v0", "CartPole-v1"]
        ));
        assert!(matches!(
            error("Pendulum-v0"),
            MakeError::Deprecated { latest, .. } if latest == "Pendulum-v1"
        ));
        assert!(matches!(
            error("nowhere/CartPole-v1"),
            MakeError::NamespaceNotFound { .. }
        ));
        assert!(matches!(error("a b"), MakeError::MalformedId(_)));
    }

    #[cfg(not(feature = "python"))]
    #[test]
    fn an_id_of_python_says_which_feature_to_turn_on() {
        for id in ["gym:CartPole-v1", "gym:ALE/Pong-v5"] {
            let error = error(id);
            assert!(matches!(
                &error,
                MakeError::FeatureNeeded {
                    feature: "python",
                    ..
                }
            ));
            assert!(error.to_string().contains("feature `python`"), "{error}");
        }
    }

    #[test]
    fn an_id_without_version_is_the_latest() {
        assert_eq!(
            spec("CartPole")
                .map(|spec| spec.id().to_string())
                .ok()
                .as_deref(),
            Some("CartPole-v1")
        );
    }
}
