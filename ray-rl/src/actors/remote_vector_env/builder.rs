//! How a remote vector environment is made.

use environments::{Kwargs, Metadata, RenderMode, Value, vector::AutoresetMode};
use ray_core::prelude::*;

use super::{
    RemoteVectorEnv,
    compiled::register_compiled,
    crew::Member,
    packed::pack_map,
    rows::Ledger,
    wire::WorkerConfig,
    worker::{builder, has_vector_form},
};
use crate::RlError;

/// How many environments of a kind that is stepped as a whole keep a worker busy.
pub const ROWS_PER_WORKER: usize = 32;

/// Everything that can be said about how a [`RemoteVectorEnv`] is made.
#[derive(Clone, Debug)]
pub struct RemoteVectorEnvBuilder {
    id: String,
    count: usize,
    /// Nothing where the environments decide.
    workers: Option<usize>,
    mode: AutoresetMode,
    kwargs: Kwargs,
    max_episode_steps: Option<Option<u32>>,
    infos: bool,
    batch_size: Option<usize>,
    render_mode: Option<RenderMode>,
}

impl RemoteVectorEnvBuilder {
    pub(super) fn new(id: &str, count: usize) -> RemoteVectorEnvBuilder {
        RemoteVectorEnvBuilder {
            id: id.to_owned(),
            count,
            workers: None,
            mode: AutoresetMode::default(),
            kwargs: Kwargs::new(),
            max_episode_steps: None,
            infos: false,
            batch_size: None,
            render_mode: None,
        }
    }

    /// Sets among how many processes the environments are divided.
    ///
    /// Unless this says otherwise it is as many as processors, and fewer where each would have less than
    /// [`ROWS_PER_WORKER`] environments of a kind that is stepped as a whole: a step of so few costs less than to
    /// ask for it.
    pub fn workers(mut self, value: usize) -> Self {
        self.workers = Some(value);
        self
    }

    /// Sets what happens at an episode's end; `SameStep` unless this says otherwise.
    pub fn autoreset_mode(mut self, value: AutoresetMode) -> Self {
        self.mode = value;
        self
    }

    /// Sets an argument of the environments.
    pub fn kwarg(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.kwargs.insert(name, value);
        self
    }

    /// Sets after how many steps an episode is cut, in place of what the spec says; `None` for never.
    pub fn max_episode_steps(mut self, limit: Option<u32>) -> Self {
        self.max_episode_steps = Some(limit);
        self
    }

    /// Sets whether infos are collected; they cost their encoding in each step.
    pub fn infos(mut self, value: bool) -> Self {
        self.infos = value;
        self
    }

    /// Sets how many environments [`RemoteVectorEnv::recv`] returns, and thereby that there is one.
    pub fn batch_size(mut self, value: usize) -> Self {
        self.batch_size = Some(value);
        self
    }

    /// Sets how the environments will be drawn: as texts or pictures.
    pub fn render_mode(mut self, mode: RenderMode) -> Self {
        self.render_mode = Some(mode);
        self
    }

    fn workers_for(&self, steps_alone: bool) -> usize {
        let most = std::thread::available_parallelism().map_or(1, usize::from);
        let default = match steps_alone {
            true => most,
            false => most.min(self.count.div_ceil(ROWS_PER_WORKER)),
        };
        self.workers.unwrap_or(default).min(self.count)
    }

    /// Starts the workers; the runtime must be running.
    ///
    /// # Errors
    /// An unknown id, arguments that the environment does not take, a setting out of range, or a worker that
    /// could not be started, for one because the id is registered in this process only.
    pub fn build(&self) -> Result<RemoteVectorEnv, RlError> {
        let refuse = |name, reason: String| Err(RlError::Config { name, reason });
        if self.count == 0 {
            return refuse("count", "there is one environment or more".into());
        }
        if self.workers == Some(0) {
            return refuse("workers", "there is one or more".into());
        }
        if let Some(size) = self.batch_size
            && !(1..=self.count).contains(&size)
        {
            let reason = format!("{size} is not between 1 and the {} there are", self.count);
            return refuse("batch_size", reason);
        }
        if let Some(mode) = self.render_mode
            && !matches!(mode, RenderMode::Ansi | RenderMode::RgbArray)
        {
            let reason = format!(
                "workers draw `ansi` or `rgb_array` and not `{}`",
                mode.name()
            );
            return refuse("render_mode", reason);
        }
        register_compiled()?;
        let kwargs = self.kwargs.iter();
        let kwargs = kwargs.map(|(name, value)| (name.to_owned(), value.clone()));
        let kwargs = pack_map(&kwargs.collect())?;
        // Only the environment's own vector form, which is ours, is stepped as a whole: elsewhere each
        // environment is called alone, so that an error is that of one.
        let is_of_python = self.id.starts_with("gym:");
        let steps_alone = self.batch_size.is_some() || is_of_python || !has_vector_form(&self.id);
        let workers = self.workers_for(steps_alone);
        let mut first = 0;
        let configs = (0..workers).map(|at| {
            let count = self.count / workers + usize::from(at < self.count % workers);
            let config = WorkerConfig {
                id: self.id.clone(),
                kwargs: kwargs.clone(),
                max_episode_steps: self.max_episode_steps,
                infos: self.infos,
                mode: self.mode.into(),
                first: first as u64,
                count: count as u64,
                unit: if steps_alone { 1 } else { count as u64 },
                render_mode: self.render_mode.map(|mode| mode.name().to_owned()),
            };
            first += count;
            config
        });
        let configs = configs.collect::<Vec<_>>();
        // One here says what the spaces are, and what is wrong with id and arguments. An environment of Python
        // is not made here, so that this process needs no interpreter.
        let sample = match is_of_python && cfg!(feature = "python") {
            true => None,
            false => Some(builder(&configs[0])?.build_vec(1, self.mode)?),
        };
        let members = configs.into_iter().map(Member::new).collect::<Vec<_>>();
        for member in &members {
            member.handle.ready().get()?;
        }
        let (observation_space, action_space, render_fps) = match &sample {
            Some(envs) => (
                envs.single_observation_space(),
                envs.single_action_space(),
                envs.metadata().render_fps,
            ),
            None => members[0].about()?,
        };
        let observation_len = observation_space.flat_len();
        let render_modes: &[RenderMode] = match self.render_mode {
            Some(RenderMode::Ansi) => &[RenderMode::Ansi],
            Some(RenderMode::RgbArray) => &[RenderMode::RgbArray],
            _ => &[],
        };
        Ok(RemoteVectorEnv {
            members,
            count: self.count,
            observation_len,
            action_len: action_space.flat_len(),
            observation_space,
            action_space,
            metadata: Metadata::new(render_modes, render_fps),
            mode: self.mode,
            seed: None,
            has_begun: false,
            ledger: Ledger::new(self.count, observation_len, self.mode),
            lost: vec![false; self.count],
            request: Default::default(),
            pool: self.batch_size.map(super::pool::Pool::new),
        })
    }
}
