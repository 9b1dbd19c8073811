//! A vector environment whose environments live in worker processes.
//!
//! Each worker is an actor with a share of the environments; a step is one call a worker, and the observations
//! of a share come back as one array that is read where it lies: in the message while it is small, in shared
//! memory when it is large. [`RemoteVectorEnv`] is a [`VectorEnv`] and gives what
//! [`SyncVectorEnv`](environments::vector::SyncVectorEnv) gives with the same seed, environment `i` seeded with `seed + i`.
//!
//! # Waiting for the first
//! With [`batch_size`](RemoteVectorEnvBuilder::batch_size) it is also a pool, after "EnvPool: A Highly Parallel
//! Reinforcement Learning Environment Execution Engine" (Weng et al. 2022):
//! [`send`](RemoteVectorEnv::send) hands out actions, [`recv`](RemoteVectorEnv::recv) returns the first `batch_size`
//! environments that are ready.
//!
//! # Environments of your own
//! [`register_env!`](crate::register_env) makes an environment known by its id in every process.
//!
//! # Environments of Python
//! With the feature `python`, ids such as `gym:ALE/Pong-v5` run in one interpreter a worker, and this process needs
//! none: steps of different workers do not wait for each other's interpreter lock. Each observation is written
//! from Python's array into the array that is sent.
//!
//! # When a process dies
//! Another takes its place, with fresh episodes. In the step that finds out, each of its environments gives
//! reward 0 and `truncated`, and [`VectorEnv::lost`] says so, so that [`Sampler`](crate::rollout::Sampler) and PPO leave the row out. Under `SameStep` the row has the new episode's first observation, and the last one that came of the
//! old one as final; under the other modes that last one again, and the episode counts as ended.

mod builder;
mod compiled;
mod crew;
mod packed;
mod pool;
mod rows;
mod wire;
mod worker;

use environments::{
    EnvError, Frame, Metadata, Options, RenderMode, Space, State,
    vector::{Actions, AutoresetMode, StepBuffers, VectorEnv},
};
use ray_core::{Error, ObjectRef};

pub use builder::{ROWS_PER_WORKER, RemoteVectorEnvBuilder};
#[doc(hidden)]
pub use compiled::ENVIRONMENTS;
use crew::{Member, is_death, unreachable};
use packed::{PackedState, pack_map};
use pool::Pool;
use rows::{Ledger, Reply, check_buffers, check_len};
use wire::{Drawn, EnvReply, StepRequest};

/// Environments in worker processes, stepped together or as they are ready; see the module.
pub struct RemoteVectorEnv {
    members: Vec<Member>,
    count: usize,
    observation_len: usize,
    action_len: usize,
    observation_space: Space,
    action_space: Space,
    metadata: Metadata,
    mode: AutoresetMode,
    seed: Option<u64>,
    has_begun: bool,
    ledger: Ledger,
    lost: Vec<bool>,
    request: StepRequest,
    pool: Option<Pool>,
}

impl RemoteVectorEnv {
    /// Begins to say how `count` environments of an id are made.
    pub fn builder(id: &str, count: usize) -> RemoteVectorEnvBuilder {
        RemoteVectorEnvBuilder::new(id, count)
    }

    /// Returns how many worker processes have died.
    pub fn deaths(&self) -> u64 {
        self.members.iter().map(|member| member.deaths).sum()
    }

    /// Returns the ids of the worker processes.
    ///
    /// # Errors
    /// A worker that is out of reach.
    pub fn pids(&self) -> ray_core::Result<Vec<u32>> {
        let pids = self.members.iter().map(|member| member.handle.pid());
        ray_core::get_all(&pids.collect::<Vec<_>>())
    }

    /// Replaces a worker that died, and writes its new first observations into `obs` (`[n, d]`, all rows).
    fn replace(&mut self, at: usize, cause: Error, obs: &mut [f32]) -> Result<(), EnvError> {
        let (seed, n, d) = (self.seed, self.count as u64, self.observation_len);
        let member = &mut self.members[at];
        let first = member.first();
        // No seed comes twice: environment i had `seed + i`, and has `seed + i + n` after the first death.
        let seed =
            |deaths: u64| seed.map(|seed| seed.wrapping_add(first as u64 + n.wrapping_mul(deaths)));
        let reply = member.replace(cause, seed)?;
        let rows = obs[first * d..].chunks_exact_mut(d);
        for (row, to) in rows.take(member.count()).enumerate() {
            reply.write_obs(row, to);
        }
        Ok(())
    }

    /// Resets everything and takes the first observations.
    fn begin(
        &mut self,
        call: impl Fn(&Member) -> ObjectRef<EnvReply>,
        obs: &mut [f32],
    ) -> Result<(), EnvError> {
        let d = self.observation_len;
        self.reset_members(call, |envs, at, reply| {
            let first = envs.members[at].first();
            for row in 0..reply.len() {
                let to = &mut obs[(first + row) * d..][..d];
                reply.write_obs(row, to);
                envs.ledger.restart(first + row, to);
            }
        })?;
        self.has_begun = true;
        Ok(())
    }

    /// Calls every worker's reset, again where it died meanwhile, and hands each reply on.
    fn reset_members(
        &mut self,
        call: impl Fn(&Member) -> ObjectRef<EnvReply>,
        mut take: impl FnMut(&mut Self, usize, &Reply),
    ) -> Result<(), EnvError> {
        let calls = self.members.iter().map(&call).collect::<Vec<_>>();
        let mut result = Ok(());
        for (at, first_call) in calls.into_iter().enumerate() {
            let mut reply = Reply::wait(&first_call);
            while let Err(error) = reply {
                if !is_death(&error) {
                    return Err(unreachable(error));
                }
                let mut unused = vec![0.0; self.count * self.observation_len];
                self.replace(at, error, &mut unused)?;
                let envs = self.members[at].first()..;
                for env in envs.take(self.members[at].count()) {
                    self.ledger.is_orphan[env] = self.has_begun;
                }
                reply = Reply::wait(&call(&self.members[at]));
            }
            if let Ok(reply) = &mut reply {
                if !reply.failures.is_empty() {
                    result = result.and(Err(reply.failures.swap_remove(0)));
                }
                take(self, at, reply);
            }
        }
        result
    }

    fn check_idle(&self) -> Result<(), EnvError> {
        let is_idle = self.pool.as_ref().is_none_or(Pool::is_idle);
        match is_idle {
            true => Ok(()),
            false => Err(EnvError::NotSupported(
                "environments are in flight: receive them before this call".into(),
            )),
        }
    }
}

/// Writes the actions of environments `first..first + count` into a request.
fn put_actions(request: &mut StepRequest, actions: Actions<'_>, rows: std::ops::Range<usize>) {
    match actions {
        Actions::Discrete(choices) => request.choices.extend_from_slice(&choices[rows]),
        Actions::Continuous(values) => request.values.extend_from_slice(&values[rows]),
    }
}

fn actions_len(actions: Actions<'_>) -> usize {
    match actions {
        Actions::Discrete(choices) => choices.len(),
        Actions::Continuous(values) => values.len(),
    }
}

fn clear(request: &mut StepRequest) {
    request.units.clear();
    request.choices.clear();
    request.values.clear();
}

impl VectorEnv for RemoteVectorEnv {
    fn num_envs(&self) -> usize {
        self.count
    }

    fn single_observation_space(&self) -> Space {
        self.observation_space.clone()
    }

    fn single_action_space(&self) -> Space {
        self.action_space.clone()
    }

    fn observation_len(&self) -> usize {
        self.observation_len
    }

    fn autoreset_mode(&self) -> AutoresetMode {
        self.mode
    }

    fn reset(&mut self, seed: Option<u64>, obs: &mut [f32]) -> Result<(), EnvError> {
        let d = self.observation_len;
        check_len("obs", obs.len(), self.count * d)?;
        if let Some(pool) = &mut self.pool {
            // Calls of an actor are in order: what is in flight is done before, and nobody looks at it.
            pool.forget();
        }
        self.seed = seed;
        let call = |member: &Member| {
            let seed = seed.map(|seed| seed.wrapping_add(member.first() as u64));
            member.handle.reset(seed)
        };
        self.begin(call, obs)
    }

    fn reset_with(
        &mut self,
        seeds: &[Option<u64>],
        options: &Options,
        obs: &mut [f32],
    ) -> Result<(), EnvError> {
        check_len("seeds", seeds.len(), self.count)?;
        check_len("obs", obs.len(), self.count * self.observation_len)?;
        let options = pack_map(options)?;
        if let Some(pool) = &mut self.pool {
            pool.forget();
        }
        // Who replaces a dead worker goes on from here as well as it can.
        self.seed = seeds.first().copied().flatten();
        let call = |member: &Member| {
            let seeds = &seeds[member.first()..][..member.count()];
            member.handle.reset_with(seeds.to_vec(), options.clone())
        };
        self.begin(call, obs)
    }

    fn reset_where(&mut self, mask: &[bool], obs: &mut [f32]) -> Result<(), EnvError> {
        let d = self.observation_len;
        check_len("mask", mask.len(), self.count)?;
        check_len("obs", obs.len(), self.count * d)?;
        self.check_idle()?;
        let call = |member: &Member| {
            let mask = &mask[member.first()..][..member.count()];
            member.handle.reset_where(mask.to_vec())
        };
        self.reset_members(call, |envs, at, reply| {
            let first = envs.members[at].first();
            for env in (first..first + reply.len()).filter(|env| mask[*env]) {
                let to = &mut obs[env * d..][..d];
                reply.write_obs(env - first, to);
                envs.ledger.restart(env, to);
            }
        })
    }

    fn step(&mut self, actions: Actions<'_>, out: &mut StepBuffers) -> Result<(), EnvError> {
        check_buffers(out, self.count, self.observation_len)?;
        let len = self.action_len;
        check_len("actions", actions_len(actions), self.count * len)?;
        self.check_idle()?;
        if !self.has_begun {
            return Err(EnvError::ResetNeeded);
        }
        let request = &mut self.request;
        let calls = self.members.iter().map(|member| {
            clear(request);
            let rows = member.first() * len..(member.first() + member.count()) * len;
            put_actions(request, actions, rows);
            member.handle.step(&*request)
        });
        let calls = calls.collect::<Vec<_>>();
        self.lost.clear();
        self.lost.resize(self.count, false);
        let mut result = Ok(());
        for (at, call) in calls.iter().enumerate() {
            let (first, count) = (self.members[at].first(), self.members[at].count());
            match Reply::wait(call) {
                Ok(mut reply) => {
                    self.members[at].prosper();
                    let mut failures = std::mem::take(&mut reply.failures).into_iter();
                    let mut cursors = Vec::with_capacity(count);
                    cursors.extend(reply.rows());
                    for (env, (cursor, failed)) in (first..).zip(cursors) {
                        let is_orphan = self.ledger.is_orphan[env];
                        let failure = if failed { failures.next() } else { None };
                        if failed && !is_orphan {
                            result = result.and(failure.map_or(Ok(()), Err));
                            continue;
                        }
                        let ledger = &mut self.ledger;
                        self.lost[env] = ledger.take(&mut reply, cursor, env, env, is_orphan, out);
                    }
                }
                Err(error) if is_death(&error) => {
                    let replaced = self.replace(at, error, &mut out.obs);
                    for env in first..first + count {
                        self.ledger.lose(env, env, out);
                        self.lost[env] = true;
                    }
                    result = result.and(replaced);
                }
                Err(error) => result = result.and(Err(unreachable(error))),
            }
        }
        result
    }

    fn action_masks(&self, masks: &mut [bool]) -> bool {
        let width = masks.len() / self.count;
        let calls = self.members.iter();
        let calls = calls.map(|member| member.handle.action_masks(width as u64));
        let calls = calls.collect::<Vec<_>>();
        let Ok(parts) = ray_core::get_all(&calls) else {
            return false;
        };
        let Some(parts) = parts.into_iter().collect::<Option<Vec<_>>>() else {
            return false;
        };
        for (to, from) in masks.iter_mut().zip(parts.concat()) {
            *to = from;
        }
        true
    }

    fn render(&mut self, mode: RenderMode) -> Result<Vec<Frame>, EnvError> {
        self.check_idle()?;
        if !self.metadata.render_modes.contains(&mode) {
            return Err(EnvError::NotSupported(format!(
                "the workers do not render `{}`: `RemoteVectorEnvBuilder::render_mode` sets it",
                mode.name()
            )));
        }
        let calls = self.members.iter().map(|member| member.handle.render());
        let drawn = ray_core::get_all(&calls.collect::<Vec<_>>()).map_err(unreachable)?;
        Ok(drawn.into_iter().flatten().map(Drawn::into_frame).collect())
    }

    fn metadata(&self) -> Metadata {
        self.metadata
    }

    fn lost(&self) -> Option<&[bool]> {
        Some(&self.lost)
    }

    /// Returns the state of each; an empty one, which cannot be set, where the process is out of reach.
    fn states(&self) -> Vec<State> {
        let calls = self.members.iter().map(|member| member.handle.states());
        let calls = calls.collect::<Vec<_>>();
        let mut states = Vec::with_capacity(self.count);
        for (member, call) in self.members.iter().zip(&calls) {
            let packed = call.get().unwrap_or_default();
            let unpacked = packed.into_iter().map(PackedState::unpack);
            states.extend(unpacked.map(Result::unwrap_or_default));
            states.resize(member.first() + member.count(), State::default());
        }
        states
    }

    fn set_states(&mut self, states: &[State]) -> Result<(), EnvError> {
        check_len("states", states.len(), self.count)?;
        self.check_idle()?;
        let mut calls = Vec::with_capacity(self.members.len());
        for member in &self.members {
            let own = &states[member.first()..][..member.count()];
            let packed = own.iter().map(PackedState::new);
            let packed = packed.collect::<Result<Vec<_>, _>>()?;
            calls.push(member.handle.set_states(packed));
        }
        for call in &calls {
            call.get().map_err(|error| match error {
                Error::Task { message, .. } => EnvError::InvalidState(message),
                other => unreachable(other),
            })?;
        }
        self.has_begun = true;
        self.ledger.is_orphan.fill(false);
        Ok(())
    }
}
