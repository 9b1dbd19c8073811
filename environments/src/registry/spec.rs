//! What is known of an environment before it is made.

use std::{fmt, sync::Arc};

use super::{EnvId, Kwargs, MakeError};
use crate::{
    DynEnv, Env, EnvError, Erased,
    vector::{AutoresetMode, SyncVectorEnv, VectorEnv},
};

/// An environment's id, how it is made, and what holds for it.
///
/// ```
/// use environments::{EnvSpec, envs::CartPole, make, register};
///
/// let spec = EnvSpec::new("doc/ShortCartPole-v0", |kwargs| {
///     let sutton_barto = kwargs.take_bool("sutton_barto_reward")?.unwrap_or(false);
///     Ok(CartPole::unlimited().sutton_barto_reward(sutton_barto))
/// });
/// register(spec.max_episode_steps(10).reward_threshold(10.0))?;
/// assert_eq!(make("doc/ShortCartPole-v0")?.max_episode_steps(), Some(10));
/// # Ok::<(), environments::MakeError>(())
/// ```
#[derive(Clone)]
pub struct EnvSpec {
    id: EnvId,
    pub(super) entry_point: EntryPoint,
    pub(super) vector_entry_point: Option<VectorMaker>,
    /// The mean return from which the environment counts as solved.
    pub reward_threshold: Option<f64>,
    /// Whether equal seeds may give different episodes.
    pub nondeterministic: bool,
    /// After how many steps an episode is cut.
    pub max_episode_steps: Option<u32>,
    /// Whether a step before the first reset is refused.
    pub order_enforce: bool,
    /// Whether the first calls go unchecked.
    pub disable_env_checker: bool,
    /// The arguments that the environment gets unless the caller gives others.
    pub kwargs: Kwargs,
    pub(super) additional_wrappers: Vec<Wrapper>,
}

/// How many environments a vector has, and what it does at an episode's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct VectorConfig {
    /// How many.
    pub num_envs: usize,
    /// What happens to an environment whose episode has ended.
    pub autoreset_mode: AutoresetMode,
    /// After how many steps an episode is cut.
    pub max_episode_steps: Option<u32>,
    /// Whether infos are wanted.
    pub infos: bool,
}

impl VectorConfig {
    /// Makes environments that are stepped one after the other, as the configuration says.
    ///
    /// # Errors
    /// What `make` returns, no environments, or observations or actions without a fixed length.
    pub fn sync<E: Env>(
        &self,
        make: impl FnMut(usize) -> Result<E, MakeError>,
    ) -> Result<SyncVectorEnv<E>, MakeError> {
        let envs = (0..self.num_envs)
            .map(make)
            .collect::<Result<Vec<_>, _>>()?;
        let envs = SyncVectorEnv::from_envs(envs, self.autoreset_mode)?;
        let envs = envs.with_time_limit(self.max_episode_steps);
        Ok(envs.with_infos(self.infos))
    }
}

type Maker = Arc<dyn Fn(&mut Kwargs) -> Result<Box<dyn DynEnv>, MakeError> + Send + Sync>;
type VectorMaker =
    Arc<dyn Fn(&mut Kwargs, &VectorConfig) -> Result<Box<dyn VectorEnv>, MakeError> + Send + Sync>;

/// What makes an environment in its two forms; `name` stands for it where it cannot go, as in JSON.
#[derive(Clone)]
pub(super) struct EntryPoint {
    pub(super) name: String,
    pub(super) scalar: Maker,
    pub(super) vector: VectorMaker,
}

/// A named wrapper.
#[derive(Clone)]
pub(super) struct Wrapper {
    pub(super) name: String,
    pub(super) wrap:
        Arc<dyn Fn(Box<dyn DynEnv>) -> Result<Box<dyn DynEnv>, EnvError> + Send + Sync>,
}

impl Wrapper {
    pub(super) fn new<W: IntoEnv>(
        name: &str,
        wrap: impl Fn(Box<dyn DynEnv>) -> W + Send + Sync + 'static,
    ) -> Wrapper {
        Wrapper {
            name: name.to_owned(),
            wrap: Arc::new(move |env| wrap(env).into_env()),
        }
    }
}

impl fmt::Debug for Wrapper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// What a function that wraps an environment may return: an environment, or a result of one.
pub trait IntoEnv {
    /// Returns the environment.
    ///
    /// # Errors
    /// The error that is in place of it.
    fn into_env(self) -> Result<Box<dyn DynEnv>, EnvError>;
}

impl<E: DynEnv + 'static> IntoEnv for E {
    fn into_env(self) -> Result<Box<dyn DynEnv>, EnvError> {
        Ok(Box::new(self))
    }
}

impl<E: DynEnv + 'static> IntoEnv for Result<E, EnvError> {
    fn into_env(self) -> Result<Box<dyn DynEnv>, EnvError> {
        Ok(Box::new(self?))
    }
}

impl EnvSpec {
    /// Returns the spec of an environment that `make` makes from its arguments.
    ///
    /// `make` takes those that it knows out of the arguments; what it leaves is an error.
    ///
    /// # Panics
    /// When the id does not have the form `[namespace/]Name[-vN]`.
    pub fn new<E: Env + 'static>(
        id: &str,
        make: impl Fn(&mut Kwargs) -> Result<E, MakeError> + Send + Sync + 'static,
    ) -> EnvSpec {
        let make = Arc::new(make);
        let for_vector = make.clone();
        let entry_point = EntryPoint {
            name: std::any::type_name::<E>().to_owned(),
            scalar: Arc::new(move |kwargs| Ok(Box::new(Erased(make(kwargs)?)))),
            vector: Arc::new(move |kwargs, config| {
                let given = kwargs.clone();
                let envs = config.sync(|_| {
                    *kwargs = given.clone();
                    for_vector(kwargs)
                })?;
                Ok(Box::new(envs))
            }),
        };
        EnvSpec {
            id: id.parse().expect("the id has its form"),
            entry_point,
            vector_entry_point: None,
            reward_threshold: None,
            nondeterministic: false,
            max_episode_steps: None,
            order_enforce: true,
            disable_env_checker: false,
            kwargs: Kwargs::new(),
            additional_wrappers: Vec::new(),
        }
    }

    /// Sets what makes many at once, where something is faster than one after the other.
    pub fn vector_entry_point<V: VectorEnv + 'static>(
        mut self,
        make: impl Fn(&mut Kwargs, &VectorConfig) -> Result<V, MakeError> + Send + Sync + 'static,
    ) -> EnvSpec {
        self.vector_entry_point = Some(Arc::new(move |kwargs, config| {
            Ok(Box::new(make(kwargs, config)?))
        }));
        self
    }

    /// Sets the mean return from which the environment counts as solved.
    pub fn reward_threshold(mut self, value: f64) -> EnvSpec {
        self.reward_threshold = Some(value);
        self
    }

    /// Sets that equal seeds may give different episodes.
    pub fn nondeterministic(mut self, value: bool) -> EnvSpec {
        self.nondeterministic = value;
        self
    }

    /// Sets after how many steps an episode is cut.
    pub fn max_episode_steps(mut self, value: u32) -> EnvSpec {
        self.max_episode_steps = Some(value);
        self
    }

    /// Sets whether a step before the first reset is refused; it is unless this says otherwise.
    pub fn order_enforce(mut self, value: bool) -> EnvSpec {
        self.order_enforce = value;
        self
    }

    /// Sets whether the first calls go unchecked; they do not unless this says otherwise.
    pub fn disable_env_checker(mut self, value: bool) -> EnvSpec {
        self.disable_env_checker = value;
        self
    }

    /// Sets an argument that the environment gets unless the caller gives another.
    pub fn kwarg(mut self, name: &str, value: impl Into<crate::Value>) -> EnvSpec {
        self.kwargs.insert(name, value);
        self
    }

    /// Adds a wrapper around all others; `name` stands for it where the spec is printed.
    pub fn wrapper<W: IntoEnv>(
        mut self,
        name: &str,
        wrap: impl Fn(Box<dyn DynEnv>) -> W + Send + Sync + 'static,
    ) -> EnvSpec {
        self.additional_wrappers.push(Wrapper::new(name, wrap));
        self
    }

    pub(crate) fn with_id(mut self, id: EnvId) -> EnvSpec {
        self.id = id;
        self
    }

    /// Returns the id.
    pub fn id(&self) -> &EnvId {
        &self.id
    }

    /// Returns the name of what makes it.
    pub fn entry_point(&self) -> &str {
        &self.entry_point.name
    }

    /// Returns whether something faster than one after the other makes many.
    pub fn has_vector_entry_point(&self) -> bool {
        self.vector_entry_point.is_some()
    }
}

impl fmt::Debug for EnvSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wrappers = self.additional_wrappers.iter().map(|wrapper| &wrapper.name);
        f.debug_struct("EnvSpec")
            .field("id", &self.id.to_string())
            .field("entry_point", &self.entry_point.name)
            .field("has_vector_entry_point", &self.vector_entry_point.is_some())
            .field("reward_threshold", &self.reward_threshold)
            .field("nondeterministic", &self.nondeterministic)
            .field("max_episode_steps", &self.max_episode_steps)
            .field("order_enforce", &self.order_enforce)
            .field("disable_env_checker", &self.disable_env_checker)
            .field("kwargs", &self.kwargs)
            .field("additional_wrappers", &wrappers.collect::<Vec<_>>())
            .finish()
    }
}

/// Two specs are equal when they print the same: what makes them does not compare.
impl PartialEq for EnvSpec {
    fn eq(&self, other: &EnvSpec) -> bool {
        format!("{self:?}") == format!("{other:?}")
    }
}
