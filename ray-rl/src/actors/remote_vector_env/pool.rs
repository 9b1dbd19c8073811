//! Environments as they are ready: actions go out, the first batch that is done comes back.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use environments::{
    EnvError,
    vector::{Actions, StepBuffers},
};

use super::{
    RemoteVectorEnv, actions_len, check_buffers, check_len, clear,
    crew::{Call, is_death, unreachable},
    put_actions,
    rows::{Cursor, Reply},
};

/// What is under way.
pub struct Pool {
    batch_size: usize,
    calls: Vec<Call>,
    /// How many environments the calls have.
    in_flight: usize,
    is_in_flight: Vec<bool>,
    ready: VecDeque<Ready>,
    failures: VecDeque<EnvError>,
}

/// An environment that is done.
struct Ready {
    env: usize,
    row: Row,
}

enum Row {
    /// A row of a reply.
    Done {
        reply: Arc<Mutex<Reply>>,
        cursor: Cursor,
        /// Whether the process had died before without the caller having been told.
        is_orphan: bool,
    },
    /// The process died; the first observation of the new episode.
    Lost(Vec<f32>),
}

impl Pool {
    pub(super) fn new(batch_size: usize) -> Pool {
        Pool {
            batch_size,
            calls: Vec::new(),
            in_flight: 0,
            is_in_flight: Vec::new(),
            ready: VecDeque::new(),
            failures: VecDeque::new(),
        }
    }

    /// Drops what is under way.
    pub(super) fn forget(&mut self) {
        *self = Pool::new(self.batch_size);
    }

    pub(super) fn is_idle(&self) -> bool {
        self.calls.is_empty() && self.ready.is_empty() && self.failures.is_empty()
    }
}

fn no_pool() -> EnvError {
    EnvError::NotSupported("`send` and `recv` need a `batch_size` given to the builder".into())
}

impl RemoteVectorEnv {
    /// Returns how many environments a batch has; `None` where none was asked for.
    pub fn batch_size(&self) -> Option<usize> {
        self.pool.as_ref().map(|pool| pool.batch_size)
    }

    /// Returns buffers for [`RemoteVectorEnv::recv`].
    pub fn batch_buffers(&self) -> StepBuffers {
        let n = self.batch_size().unwrap_or(self.count);
        let d = self.observation_len;
        StepBuffers {
            obs: vec![0.0; n * d],
            rewards: vec![0.0; n],
            terminated: vec![false; n],
            truncated: vec![false; n],
            final_obs: vec![0.0; n * d],
            has_final: vec![false; n],
            episode_return: vec![0.0; n],
            episode_length: vec![0; n],
            infos: vec![Default::default(); n],
            final_infos: vec![Default::default(); n],
        }
    }

    /// Hands one action to each of these environments and returns at once.
    ///
    /// At most one action of an environment is in flight, so the queue holds `num_envs` at most.
    ///
    /// # Errors
    /// An environment that does not exist, is in flight already or named twice; actions of the wrong number; no
    /// [`batch_size`](super::RemoteVectorEnvBuilder::batch_size). Nothing was sent then.
    pub fn send(&mut self, actions: Actions<'_>, env_ids: &[usize]) -> Result<(), EnvError> {
        let len = self.action_len;
        check_len("actions", actions_len(actions), env_ids.len() * len)?;
        if !self.has_begun {
            return Err(EnvError::ResetNeeded);
        }
        let pool = self.pool.as_mut().ok_or_else(no_pool)?;
        pool.is_in_flight.resize(self.count, false);
        for (at, env) in env_ids.iter().enumerate() {
            let reason = match pool.is_in_flight.get_mut(*env) {
                None => format!("there is no environment {env}, only {}", self.count),
                Some(true) => format!("environment {env} is in flight: receive it first"),
                Some(flag) => {
                    *flag = true;
                    continue;
                }
            };
            for taken in &env_ids[..at] {
                pool.is_in_flight[*taken] = false;
            }
            return Err(EnvError::NotSupported(reason));
        }
        for (at, member) in self.members.iter().enumerate() {
            let share = member.first()..member.first() + member.count();
            clear(&mut self.request);
            let mut envs = Vec::new();
            for (row, env) in env_ids.iter().enumerate() {
                if share.contains(env) {
                    envs.push(*env);
                    self.request.units.push((env - share.start) as u32);
                    put_actions(&mut self.request, actions, row * len..(row + 1) * len);
                }
            }
            if envs.is_empty() {
                continue;
            }
            pool.in_flight += envs.len();
            pool.calls.push(Call {
                member: at,
                envs,
                reply: member.handle.step(&self.request),
            });
        }
        Ok(())
    }

    /// Waits for the first `batch_size` environments that are done, writes a row each and their indices.
    ///
    /// `out` comes from [`RemoteVectorEnv::batch_buffers`]. An environment that failed is an error of one call, which
    /// names it; what the others did comes with the next.
    ///
    /// # Errors
    /// Fewer than `batch_size` in flight, an environment's error, buffers of the wrong size.
    pub fn recv(
        &mut self,
        out: &mut StepBuffers,
        env_ids: &mut Vec<usize>,
    ) -> Result<(), EnvError> {
        let size = self.batch_size().ok_or_else(no_pool)?;
        check_buffers(out, size, self.observation_len)?;
        loop {
            let pool = self.pool.as_mut().ok_or_else(no_pool)?;
            if let Some(failure) = pool.failures.pop_front() {
                return Err(failure);
            }
            if pool.ready.len() >= size {
                break;
            }
            let under_way = pool.ready.len() + pool.in_flight;
            if under_way < size {
                let reason =
                    format!("{under_way} environments are in flight and a batch has {size}");
                return Err(EnvError::NotSupported(reason));
            }
            let replies = pool.calls.iter().map(|call| call.reply.clone());
            let replies = replies.collect::<Vec<_>>();
            ray_core::wait(&replies, 1, None).map_err(unreachable)?;
            self.gather()?;
        }
        let pool = self.pool.as_mut().ok_or_else(no_pool)?;
        self.lost.clear();
        env_ids.clear();
        let d = self.observation_len;
        for (to, Ready { env, row }) in pool.ready.drain(..size).enumerate() {
            env_ids.push(env);
            self.lost.push(match row {
                Row::Done {
                    reply,
                    cursor,
                    is_orphan,
                } => {
                    let mut reply = reply.lock().unwrap_or_else(PoisonError::into_inner);
                    let ledger = &mut self.ledger;
                    ledger.take(&mut reply, cursor, env, to, is_orphan, out)
                }
                Row::Lost(obs) => {
                    out.obs[to * d..][..d].copy_from_slice(&obs);
                    self.ledger.lose(env, to, out);
                    true
                }
            });
            pool.is_in_flight[env] = false;
        }
        Ok(())
    }

    /// Takes the calls that were answered.
    fn gather(&mut self) -> Result<(), EnvError> {
        let mut at = 0;
        while let Some(pool) = &mut self.pool
            && at < pool.calls.len()
        {
            if !pool.calls[at].reply.is_ready() {
                at += 1;
                continue;
            }
            // In order, so that the first that is done is the first received.
            let call = pool.calls.remove(at);
            pool.in_flight -= call.envs.len();
            match Reply::wait(&call.reply) {
                Ok(reply) => {
                    self.members[call.member].prosper();
                    pool.arrive(reply, &call.envs, &self.ledger.is_orphan);
                }
                Err(error) if is_death(&error) => self.bury(call, error)?,
                Err(error) => {
                    for env in call.envs {
                        pool.is_in_flight[env] = false;
                    }
                    return Err(unreachable(error));
                }
            }
        }
        Ok(())
    }

    /// Replaces a worker that died; what it had in flight is lost, the rest when it is sent next.
    fn bury(&mut self, found: Call, cause: ray_core::Error) -> Result<(), EnvError> {
        let (member, d) = (found.member, self.observation_len);
        let (first, count) = (self.members[member].first(), self.members[member].count());
        let Some(pool) = &mut self.pool else {
            return Err(no_pool());
        };
        let mut lost = found.envs;
        let mut kept = Vec::new();
        for call in pool.calls.drain(..) {
            if call.member != member {
                kept.push(call);
                continue;
            }
            pool.in_flight -= call.envs.len();
            lost.extend(call.envs);
        }
        pool.calls = kept;
        let mut obs = vec![0.0; self.count * d];
        let replaced = self.replace(member, cause, &mut obs);
        for env in first..first + count {
            self.ledger.is_orphan[env] = true;
        }
        let Some(pool) = &mut self.pool else {
            return Err(no_pool());
        };
        for env in lost {
            let row = Row::Lost(obs[env * d..][..d].to_vec());
            pool.ready.push_back(Ready { env, row });
        }
        replaced
    }
}

impl Pool {
    /// Takes an answer; an orphan's failure is only that its new episode has not begun.
    fn arrive(&mut self, mut reply: Reply, envs: &[usize], is_orphan: &[bool]) {
        let mut failures = std::mem::take(&mut reply.failures).into_iter();
        let rows = reply.rows().collect::<Vec<_>>();
        let reply = Arc::new(Mutex::new(reply));
        for (env, (cursor, failed)) in envs.iter().zip(rows) {
            if failed {
                let failure = failures.next();
                if !is_orphan[*env] {
                    self.is_in_flight[*env] = false;
                    self.failures.extend(failure);
                    continue;
                }
            }
            let row = Row::Done {
                reply: reply.clone(),
                cursor,
                is_orphan: is_orphan[*env],
            };
            self.ready.push_back(Ready { env: *env, row });
        }
    }
}
