//! Making environments, with everything that can be said about how.

use std::sync::Arc;

use super::{EnvSpec, Kwargs, MakeError, PYTHON_PREFIX, VectorConfig, spec};
use crate::{
    DynEnv, Env, EnvError, Frame, Info, Metadata, Options, Outcome, RenderMode, Step, Value,
    dynamic::forward,
    rng::Rng,
    vector::{AutoresetMode, SyncVectorEnv, ThreadVectorEnv, VectorEnv},
    wrappers::{OrderEnforcing, PassiveEnvChecker, TimeLimit},
};

/// Makes an environment of an id.
///
/// # Errors
/// An unknown id, with the one that looks most like it.
pub fn make(id: &str) -> Result<Box<dyn DynEnv>, MakeError> {
    EnvBuilder::new(id).build()
}

/// Makes an environment of an id, with arguments.
///
/// # Errors
/// As [`make`]; an argument that the environment does not take.
pub fn make_with(id: &str, kwargs: impl Into<Kwargs>) -> Result<Box<dyn DynEnv>, MakeError> {
    EnvBuilder::new(id).kwargs(kwargs).build()
}

/// Makes `count` environments of an id in their fastest form, stepped together on the calling thread.
///
/// # Errors
/// As [`make`]; a count of 0, or observations and actions that have no rows of numbers.
pub fn make_vec(
    id: &str,
    count: usize,
    mode: AutoresetMode,
) -> Result<Box<dyn VectorEnv>, MakeError> {
    EnvBuilder::new(id).build_vec(count, mode)
}

/// How many environments are stepped together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Vectorization {
    /// The environment's own vector form where it has one, else one after the other.
    #[default]
    Fastest,
    /// One after the other.
    Sync,
    /// As `Fastest`, divided among this many threads, or as many as there are processors.
    Threads(usize),
}

/// Everything that can be said about how an environment is made.
///
/// ```
/// use environments::{EnvBuilder, RenderMode};
///
/// let env = EnvBuilder::new("CartPole-v1")
///     .kwarg("sutton_barto_reward", true)
///     .max_episode_steps(Some(50))
///     .build()?;
/// assert_eq!(env.max_episode_steps(), Some(50));
/// # Ok::<(), environments::MakeError>(())
/// ```
#[derive(Clone, Debug)]
pub struct EnvBuilder {
    source: Source,
    kwargs: Kwargs,
    render_mode: Option<RenderMode>,
    /// The caller's limit, in place of the spec's.
    max_episode_steps: Option<Option<u32>>,
    disable_env_checker: Option<bool>,
    vectorization: Vectorization,
    infos: bool,
}

#[derive(Clone, Debug)]
enum Source {
    Id(String),
    Spec(Arc<EnvSpec>),
}

impl EnvBuilder {
    /// Begins with an id.
    pub fn new(id: &str) -> EnvBuilder {
        EnvBuilder::from_source(Source::Id(id.to_owned()))
    }

    /// Begins with a spec, registered or not.
    pub fn from_spec(spec: EnvSpec) -> EnvBuilder {
        EnvBuilder::from_source(Source::Spec(Arc::new(spec)))
    }

    fn from_source(source: Source) -> EnvBuilder {
        EnvBuilder {
            source,
            kwargs: Kwargs::new(),
            render_mode: None,
            max_episode_steps: None,
            disable_env_checker: None,
            vectorization: Vectorization::Fastest,
            infos: false,
        }
    }

    /// Sets an argument of the environment.
    pub fn kwarg(mut self, name: &str, value: impl Into<Value>) -> EnvBuilder {
        self.kwargs.insert(name, value);
        self
    }

    /// Sets several arguments of the environment.
    pub fn kwargs(mut self, kwargs: impl Into<Kwargs>) -> EnvBuilder {
        self.kwargs = self.kwargs.with(&kwargs.into());
        self
    }

    /// Sets how the environment will be drawn.
    pub fn render_mode(mut self, mode: RenderMode) -> EnvBuilder {
        self.render_mode = Some(mode);
        self
    }

    /// Sets after how many steps an episode is cut, in place of what the spec says; `None` for never.
    pub fn max_episode_steps(mut self, limit: Option<u32>) -> EnvBuilder {
        self.max_episode_steps = Some(limit);
        self
    }

    /// Sets whether the first calls go unchecked, in place of what the spec says.
    pub fn disable_env_checker(mut self, value: bool) -> EnvBuilder {
        self.disable_env_checker = Some(value);
        self
    }

    /// Sets how [`EnvBuilder::build_vec`] steps several.
    pub fn vectorization(mut self, value: Vectorization) -> EnvBuilder {
        self.vectorization = value;
        self
    }

    /// Sets whether [`EnvBuilder::build_vec`] collects infos; a form that has them is slower with them.
    pub fn infos(mut self, value: bool) -> EnvBuilder {
        self.infos = value;
        self
    }

    /// Returns the spec with what was said here in place of what it says.
    fn spec(&self) -> Result<EnvSpec, MakeError> {
        let found = match &self.source {
            Source::Id(id) => spec(id)?,
            Source::Spec(spec) => spec.clone(),
        };
        let mut spec = (*found).clone();
        spec.kwargs = spec.kwargs.with(&self.kwargs);
        if let Some(mode) = self.render_mode
            && spec.id().to_string().starts_with(PYTHON_PREFIX)
        {
            // An environment of Python is made for one mode.
            spec.kwargs.insert("render_mode", mode.name());
        }
        if let Some(limit) = self.max_episode_steps {
            if limit == Some(0) {
                return Err(invalid("max_episode_steps", "an episode has a step"));
            }
            spec.max_episode_steps = limit;
        }
        if let Some(value) = self.disable_env_checker {
            spec.disable_env_checker = value;
        }
        Ok(spec)
    }

    /// Makes the environment.
    ///
    /// The wrappers from the inside out: [`PassiveEnvChecker`], [`OrderEnforcing`], [`TimeLimit`], and those of
    /// the spec.
    ///
    /// # Errors
    /// An unknown id, arguments that the environment does not take, a mode in which it is not drawn.
    pub fn build(&self) -> Result<Box<dyn DynEnv>, MakeError> {
        let spec = self.spec()?;
        let mut kwargs = spec.kwargs.clone();
        let inner = (spec.entry_point.scalar)(&mut kwargs)?;
        kwargs.finish()?;
        if let Some(mode) = self.render_mode
            && !inner.metadata().render_modes.contains(&mode)
        {
            let modes = inner.metadata().render_modes.iter();
            let modes = modes.map(|mode| mode.name()).collect::<Vec<_>>().join(", ");
            let reason = format!("`{}` is not among its modes: [{modes}]", mode.name());
            return Err(invalid("render_mode", &reason));
        }
        let spec = Arc::new(spec);
        let mut env: Box<dyn DynEnv> = Box::new(Made {
            inner,
            spec: spec.clone(),
            render_mode: self.render_mode,
        });
        if !spec.disable_env_checker {
            env = Box::new(PassiveEnvChecker::new(env));
        }
        if spec.order_enforce {
            env = Box::new(OrderEnforcing::new(env));
        }
        if let Some(limit) = spec.max_episode_steps {
            env = Box::new(TimeLimit::new(env, limit));
        }
        for wrapper in &spec.additional_wrappers {
            env = (wrapper.wrap)(env);
        }
        Ok(env)
    }

    /// Makes `count` environments that are stepped together.
    ///
    /// # Errors
    /// As [`EnvBuilder::build`]; a count of 0, or observations and actions that have no rows of numbers.
    pub fn build_vec(
        &self,
        count: usize,
        mode: AutoresetMode,
    ) -> Result<Box<dyn VectorEnv>, MakeError> {
        if count == 0 {
            return Err(invalid("num_envs", "there is one environment or more"));
        }
        let spec = self.spec()?;
        let make_share = |count| -> Result<Box<dyn VectorEnv>, MakeError> {
            if !spec.additional_wrappers.is_empty() {
                // Wrappers go around one environment, so each is built like one; its limit is among them.
                let envs = (0..count).map(|_| self.build());
                let envs = SyncVectorEnv::from_envs(envs.collect::<Result<_, _>>()?, mode)?;
                return Ok(Box::new(envs.with_infos(self.infos)));
            }
            let mut kwargs = spec.kwargs.clone();
            let config = VectorConfig {
                num_envs: count,
                autoreset_mode: mode,
                max_episode_steps: spec.max_episode_steps,
                infos: self.infos,
            };
            let make = match (&spec.vector_entry_point, self.vectorization) {
                (Some(make), Vectorization::Fastest | Vectorization::Threads(_)) => make,
                _ => &spec.entry_point.vector,
            };
            let envs = make(&mut kwargs, &config)?;
            kwargs.finish()?;
            Ok(envs)
        };
        match self.vectorization {
            Vectorization::Threads(threads) => {
                let envs = ThreadVectorEnv::new(count, threads, |count, _| make_share(count))?;
                Ok(Box::new(envs))
            }
            Vectorization::Fastest | Vectorization::Sync => make_share(count),
        }
    }
}

fn invalid(argument: &str, reason: &str) -> MakeError {
    MakeError::InvalidArgument {
        argument: argument.to_owned(),
        reason: reason.to_owned(),
    }
}

/// An environment that knows what it was made from.
struct Made {
    inner: Box<dyn DynEnv>,
    spec: Arc<EnvSpec>,
    render_mode: Option<RenderMode>,
}

impl Env for Made {
    type Observation = Value;
    type Action = Value;

    forward!(inner: spaces, state, limit);

    fn reset(&mut self, seed: Option<u64>, options: &Options) -> Result<(Value, Info), EnvError> {
        self.inner.reset(seed, options)
    }

    fn step(&mut self, action: &Value) -> Result<Step<Value>, EnvError> {
        self.inner.step(action)
    }

    fn reset_into(
        &mut self,
        seed: Option<u64>,
        options: &Options,
        row: &mut [f32],
    ) -> Result<(), EnvError> {
        self.inner.reset_into(seed, options, row)
    }

    fn step_into(&mut self, action: &Value, row: &mut [f32]) -> Result<Outcome, EnvError> {
        self.inner.step_into(action, row)
    }

    fn action_mask(&self, mask: &mut [bool]) -> bool {
        self.inner.action_mask(mask)
    }

    fn render(&mut self, mode: RenderMode) -> Result<Frame, EnvError> {
        self.inner.render(mode)
    }

    fn metadata(&self) -> Metadata {
        self.inner.metadata()
    }

    fn render_mode(&self) -> Option<RenderMode> {
        self.render_mode
    }

    fn spec(&self) -> Option<&EnvSpec> {
        Some(&self.spec)
    }

    fn rng_mut(&mut self) -> Option<&mut Rng> {
        self.inner.rng_mut()
    }
}
