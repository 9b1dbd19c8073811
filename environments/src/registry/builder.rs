//! Making environments, with everything that can be said about how.

use std::sync::Arc;

use super::{
    EnvSpec, IntoEnv, Kwargs, MakeError, PYTHON_PREFIX, VectorConfig, spec, spec::Wrapper,
};
use crate::{
    DynEnv, Env, EnvError, Frame, Info, Metadata, Options, Outcome, RenderMode, Step, Value,
    dynamic::forward,
    rng::Rng,
    vector::{self, AutoresetMode, SyncVectorEnv, ThreadVectorEnv, VectorEnv},
    wrappers::{HumanRendering, OrderEnforcing, PassiveEnvChecker, RenderCollection, TimeLimit},
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
    wrappers: Vec<Wrapper>,
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
            wrappers: Vec::new(),
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
    ///
    /// [`RenderMode::Human`] shows it on the terminal through [`HumanRendering`]; modes of lists collect frames
    /// through [`RenderCollection`]. A vector environment steps one after the other, since the fastest forms draw
    /// nothing. An environment of Python is made for one mode; its own window opens with
    /// `kwarg("render_mode", "human")`.
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

    /// Adds a wrapper around those of the spec; `name` stands for it where the spec is printed.
    ///
    /// ```
    /// use environments::{EnvBuilder, vector::AutoresetMode, wrappers::ClipReward};
    ///
    /// let builder = EnvBuilder::new("Pendulum-v1");
    /// let builder = builder.wrapper("ClipReward", |env| ClipReward::new(env, -1.0, 0.0));
    /// let (env, envs) = (builder.build()?, builder.build_vec(8, AutoresetMode::SameStep)?);
    /// # Ok::<(), environments::MakeError>(())
    /// ```
    pub fn wrapper<W: IntoEnv>(
        mut self,
        name: &str,
        wrap: impl Fn(Box<dyn DynEnv>) -> W + Send + Sync + 'static,
    ) -> EnvBuilder {
        self.wrappers.push(Wrapper::new(name, wrap));
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
            && is_of_python(&spec)
        {
            // It is made for one mode, and the terminal shows pictures of most.
            let mode = match mode {
                RenderMode::Human => RenderMode::RgbArray,
                mode => mode.of_each().unwrap_or(mode),
            };
            spec.kwargs.insert("render_mode", mode.name());
        }
        spec.additional_wrappers.extend(self.wrappers.clone());
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
    /// The wrappers from the inside out: [`PassiveEnvChecker`], [`OrderEnforcing`], [`TimeLimit`], those of the
    /// spec, and what the render mode needs.
    ///
    /// # Errors
    /// An unknown id, arguments that the environment does not take, a mode in which it is not drawn.
    pub fn build(&self) -> Result<Box<dyn DynEnv>, MakeError> {
        let mut spec = self.spec()?;
        let mut inner = made(&spec)?;
        let modes = inner.metadata().render_modes;
        if self.render_mode == Some(RenderMode::Human)
            && is_of_python(&spec)
            && modes.contains(&RenderMode::Ansi)
            && !modes.contains(&RenderMode::RgbArray)
        {
            spec.kwargs.insert("render_mode", RenderMode::Ansi.name());
            inner = made(&spec)?;
        }
        let render_mode = match self.render_mode {
            Some(mode) => Some(drawn_mode(mode, modes, is_of_python(&spec))?),
            None => None,
        };
        let spec = Arc::new(spec);
        let mut env: Box<dyn DynEnv> = Box::new(Made {
            inner,
            spec: spec.clone(),
            render_mode,
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
            env = (wrapper.wrap)(env)?;
        }
        Ok(match self.render_mode {
            Some(RenderMode::Human) => Box::new(HumanRendering::new(env)?),
            Some(mode) if mode.of_each().is_some() => Box::new(RenderCollection::new(env, mode)?),
            _ => env,
        })
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
        let Some(asked) = self.render_mode else {
            return self.build_undrawn(count, mode);
        };
        let drawn_as: &[RenderMode] = match asked {
            RenderMode::Human => &[RenderMode::RgbArray, RenderMode::Ansi],
            RenderMode::Ansi => &[RenderMode::Ansi],
            RenderMode::RgbArray => &[RenderMode::RgbArray],
            RenderMode::AnsiList | RenderMode::RgbArrayList => {
                let reason = "a list is of one environment: wrap each in `RenderCollection`";
                return Err(invalid("render_mode", reason));
            }
        };
        let mut modes: &[RenderMode] = &[];
        for drawn in drawn_as {
            let builder = self.clone().render_mode(*drawn);
            let envs = builder.build_undrawn(count, mode)?;
            modes = envs.metadata().render_modes;
            if modes.contains(drawn) {
                return Ok(match asked {
                    RenderMode::Human => Box::new(vector::HumanRendering::new(envs)?),
                    _ => envs,
                });
            }
        }
        Err(not_among(asked, modes))
    }

    /// Makes `count` environments that are stepped together, and does not look at how they are drawn.
    fn build_undrawn(
        &self,
        count: usize,
        mode: AutoresetMode,
    ) -> Result<Box<dyn VectorEnv>, MakeError> {
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
                (Some(make), Vectorization::Fastest | Vectorization::Threads(_))
                    if self.render_mode.is_none() =>
                {
                    make
                }
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

/// Makes the environment of a spec, without anything around it.
fn made(spec: &EnvSpec) -> Result<Box<dyn DynEnv>, MakeError> {
    let mut kwargs = spec.kwargs.clone();
    let made = (spec.entry_point.scalar)(&mut kwargs)?;
    kwargs.finish()?;
    Ok(made)
}

fn is_of_python(spec: &EnvSpec) -> bool {
    spec.id().to_string().starts_with(PYTHON_PREFIX)
}

/// Returns how an environment is drawn itself, when it is asked for a mode that a wrapper may give.
fn drawn_mode(
    asked: RenderMode,
    modes: &[RenderMode],
    prefers_pictures: bool,
) -> Result<RenderMode, MakeError> {
    let drawn = match asked {
        RenderMode::Human => {
            let mut wanted = [RenderMode::Ansi, RenderMode::RgbArray];
            if prefers_pictures {
                wanted.reverse();
            }
            wanted.into_iter().find(|mode| modes.contains(mode))
        }
        asked => Some(asked.of_each().unwrap_or(asked)).filter(|mode| modes.contains(mode)),
    };
    drawn.ok_or_else(|| not_among(asked, modes))
}

fn not_among(mode: RenderMode, modes: &[RenderMode]) -> MakeError {
    let modes = modes.iter().map(|mode| mode.name()).collect::<Vec<_>>();
    let reason = format!(
        "`{}` is not among its modes: [{}]",
        mode.name(),
        modes.join(", ")
    );
    invalid("render_mode", &reason)
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
