//! Environments of one type, stepped one after the other on the calling thread.

use super::{Actions, AutoresetMode, Progress, StepBuffers, VectorEnv, check_len};
use crate::{
    Action as _, Env, EnvError, Frame, Info, Metadata, Observation as _, Options, Outcome,
    RenderMode, Space, State,
};

/// A vector of environments; monomorphized, allocates nothing per step.
pub struct SyncVectorEnv<E: Env> {
    envs: Vec<E>,
    mode: AutoresetMode,
    observation_len: usize,
    action_len: usize,
    /// Whose episode has ended and waits for a reset.
    has_ended: Vec<bool>,
    returns: Vec<f64>,
    lengths: Vec<u32>,
    /// After how many steps an episode is cut; the greatest number for never.
    limit: u32,
    collects_infos: bool,
    /// Whether every environment has begun an episode.
    is_started: bool,
}

impl<E: Env> SyncVectorEnv<E> {
    /// Makes `count` environments.
    ///
    /// # Panics
    /// When `count` is 0, or observations or actions have no fixed length.
    pub fn new(
        count: usize,
        mode: AutoresetMode,
        mut make: impl FnMut(usize) -> E,
    ) -> SyncVectorEnv<E> {
        SyncVectorEnv::from_envs((0..count).map(&mut make).collect(), mode)
            .expect("one environment or more, with observations of a fixed length")
    }

    /// Takes environments that exist.
    ///
    /// # Errors
    /// No environments, or observations or actions without a fixed length.
    pub fn from_envs(envs: Vec<E>, mode: AutoresetMode) -> Result<SyncVectorEnv<E>, EnvError> {
        let refuse = |reason: &str| Err(EnvError::NotSupported(reason.to_owned()));
        let Some(first) = envs.first() else {
            return refuse("a vector environment has one environment or more");
        };
        let count = envs.len();
        let observation_len = first.observation_space().flat_len();
        let action_len = first.action_space().flat_len();
        if observation_len == 0 || action_len == 0 {
            return refuse("observations and actions without a fixed length make no batch");
        }
        Ok(SyncVectorEnv {
            envs,
            mode,
            observation_len,
            action_len,
            has_ended: vec![false; count],
            returns: vec![0.0; count],
            lengths: vec![0; count],
            limit: u32::MAX,
            collects_infos: false,
            is_started: false,
        })
    }

    /// Cuts episodes after `limit` steps, as [`TimeLimit`](crate::wrappers::TimeLimit) does.
    pub fn with_time_limit(mut self, limit: Option<u32>) -> SyncVectorEnv<E> {
        self.limit = limit.unwrap_or(u32::MAX);
        self
    }

    /// Sets whether infos are written; without them observations are written in place.
    pub fn with_infos(mut self, value: bool) -> SyncVectorEnv<E> {
        self.collects_infos = value;
        self
    }

    /// Returns the environments.
    pub fn envs_mut(&mut self) -> &mut [E] {
        &mut self.envs
    }

    fn wrong_kind(&self) -> EnvError {
        EnvError::InvalidAction {
            action: "of another kind".into(),
            space: self.envs[0].action_space().to_string(),
        }
    }

    fn restart(
        &mut self,
        at: usize,
        seed: Option<u64>,
        options: &Options,
        row: &mut [f32],
    ) -> Result<Info, EnvError> {
        let mut info = Info::new();
        if self.collects_infos {
            let (observation, first) = self.envs[at].reset(seed, options)?;
            observation.write(row);
            info = first;
        } else {
            self.envs[at].reset_into(seed, options, row)?;
        }
        self.has_ended[at] = false;
        self.returns[at] = 0.0;
        self.lengths[at] = 0;
        Ok(info)
    }

    fn step_one(
        &mut self,
        at: usize,
        action: &E::Action,
        out: &mut StepBuffers,
    ) -> Result<(), EnvError> {
        let d = self.observation_len;
        let row = at * d..(at + 1) * d;
        out.has_final[at] = false;
        if self.has_ended[at] {
            if self.mode == AutoresetMode::Disabled {
                return Err(EnvError::EpisodeEnded { env: at });
            }
            out.infos[at] = self.restart(at, None, &Options::new(), &mut out.obs[row])?;
            out.rewards[at] = 0.0;
            out.terminated[at] = false;
            out.truncated[at] = false;
            return Ok(());
        }
        let row = &mut out.obs[row];
        let outcome = if self.collects_infos {
            let step = self.envs[at].step(action)?;
            step.observation.write(row);
            out.infos[at] = step.info;
            Outcome {
                reward: step.reward,
                terminated: step.terminated,
                truncated: step.truncated,
            }
        } else {
            self.envs[at].step_into(action, row)?
        };
        self.returns[at] += outcome.reward;
        self.lengths[at] = self.lengths[at].saturating_add(1);
        let truncated = outcome.truncated || self.lengths[at] >= self.limit;
        out.rewards[at] = outcome.reward;
        out.terminated[at] = outcome.terminated;
        out.truncated[at] = truncated;
        if !(outcome.terminated || truncated) {
            return Ok(());
        }
        out.episode_return[at] = self.returns[at];
        out.episode_length[at] = self.lengths[at];
        if self.mode == AutoresetMode::SameStep {
            out.final_obs[at * d..][..d].copy_from_slice(row);
            out.has_final[at] = true;
            let first = self.restart(at, None, &Options::new(), row)?;
            out.final_infos[at] = std::mem::replace(&mut out.infos[at], first);
        } else {
            self.has_ended[at] = true;
        }
        Ok(())
    }
}

impl<E: Env> VectorEnv for SyncVectorEnv<E> {
    fn num_envs(&self) -> usize {
        self.envs.len()
    }

    fn single_observation_space(&self) -> Space {
        self.envs[0].observation_space()
    }

    fn single_action_space(&self) -> Space {
        self.envs[0].action_space()
    }

    fn observation_len(&self) -> usize {
        self.observation_len
    }

    fn autoreset_mode(&self) -> AutoresetMode {
        self.mode
    }

    fn reset(&mut self, seed: Option<u64>, obs: &mut [f32]) -> Result<(), EnvError> {
        let d = self.observation_len;
        check_len("obs", obs.len(), self.envs.len() * d)?;
        for (at, row) in obs.chunks_exact_mut(d).enumerate() {
            let seed = seed.map(|seed| seed.wrapping_add(at as u64));
            self.restart(at, seed, &Options::new(), row)?;
        }
        self.is_started = true;
        Ok(())
    }

    fn reset_with(
        &mut self,
        seeds: &[Option<u64>],
        options: &Options,
        obs: &mut [f32],
    ) -> Result<(), EnvError> {
        let d = self.observation_len;
        check_len("seeds", seeds.len(), self.envs.len())?;
        check_len("obs", obs.len(), self.envs.len() * d)?;
        for (at, row) in obs.chunks_exact_mut(d).enumerate() {
            self.restart(at, seeds[at], options, row)?;
        }
        self.is_started = true;
        Ok(())
    }

    fn reset_where(&mut self, mask: &[bool], obs: &mut [f32]) -> Result<(), EnvError> {
        let d = self.observation_len;
        check_len("mask", mask.len(), self.envs.len())?;
        check_len("obs", obs.len(), self.envs.len() * d)?;
        for (at, row) in obs
            .chunks_exact_mut(d)
            .enumerate()
            .filter(|(at, _)| mask[*at])
        {
            self.restart(at, None, &Options::new(), row)?;
        }
        Ok(())
    }

    fn step(&mut self, actions: Actions<'_>, out: &mut StepBuffers) -> Result<(), EnvError> {
        let (n, d) = (self.envs.len(), self.observation_len);
        out.check(n, d)?;
        if !self.is_started {
            return Err(EnvError::ResetNeeded);
        }
        match actions {
            Actions::Discrete(choices) => {
                check_len("actions", choices.len(), n * self.action_len)?;
                for (at, choice) in choices.chunks_exact(self.action_len).enumerate() {
                    let Some(action) = E::Action::from_indices(choice) else {
                        return Err(self.wrong_kind());
                    };
                    self.step_one(at, &action, out)?;
                }
            }
            Actions::Continuous(values) => {
                check_len("actions", values.len(), n * self.action_len)?;
                for (at, row) in values.chunks_exact(self.action_len).enumerate() {
                    let Some(action) = E::Action::from_values(row) else {
                        return Err(self.wrong_kind());
                    };
                    self.step_one(at, &action, out)?;
                }
            }
        }
        Ok(())
    }

    fn action_masks(&self, masks: &mut [bool]) -> bool {
        let width = masks.len() / self.envs.len();
        let mut rows = masks.chunks_exact_mut(width.max(1));
        let mut envs = self.envs.iter();
        envs.all(|env| rows.next().is_some_and(|row| env.action_mask(row)))
    }

    fn render(&mut self, mode: RenderMode) -> Result<Vec<Frame>, EnvError> {
        self.envs.iter_mut().map(|env| env.render(mode)).collect()
    }

    fn metadata(&self) -> Metadata {
        self.envs[0].metadata()
    }

    fn states(&self) -> Vec<State> {
        let state = |(at, env): (usize, &E)| {
            let progress = Progress {
                has_ended: self.has_ended[at],
                episode_return: self.returns[at],
                length: self.lengths[at],
            };
            progress.save(env.state())
        };
        self.envs.iter().enumerate().map(state).collect()
    }

    fn set_states(&mut self, states: &[State]) -> Result<(), EnvError> {
        check_len("states", states.len(), self.envs.len())?;
        for (at, state) in states.iter().enumerate() {
            let progress = Progress::load(state)?;
            self.envs[at].set_state(state)?;
            self.has_ended[at] = progress.has_ended;
            self.returns[at] = progress.episode_return;
            self.lengths[at] = progress.length;
        }
        self.is_started = true;
        Ok(())
    }
}
