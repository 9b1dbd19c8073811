//! Replies of workers become rows of the caller's buffers, read where they lie.

use environments::{
    EnvError, Info,
    vector::{AutoresetMode, StepBuffers},
};
use ray_core::{ObjectRef, ObjectView, Result};

use super::{
    packed::{Node, unpack_map},
    wire::{EnvReply, FAILED, FINAL, TERMINATED, TRUNCATED},
};

/// A reply: its numbers where they lie, and the rare rest decoded.
pub struct Reply {
    view: ObjectView<EnvReply>,
    infos: Vec<Info>,
    final_infos: Vec<Info>,
    /// What went wrong, the first row first.
    pub failures: Vec<EnvError>,
}

/// Where the next row of a reply begins in each of its arrays.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cursor {
    row: usize,
    ended: usize,
    last: usize,
}

impl Reply {
    /// Waits for the reply.
    pub fn wait(call: &ObjectRef<EnvReply>) -> Result<Reply> {
        let view = call.view()?;
        let mut reply = Reply {
            infos: Vec::new(),
            final_infos: Vec::new(),
            failures: Vec::new(),
            view,
        };
        if !reply.view.infos.is_empty() || !reply.view.failures.is_empty() {
            let whole = reply.view.to_owned()?;
            let infos = |nodes: Vec<Vec<Node>>| {
                let infos = nodes.into_iter().map(unpack_map);
                infos.map(Result::unwrap_or_default).collect()
            };
            reply.infos = infos(whole.infos);
            reply.final_infos = infos(whole.final_infos);
            let failures = whole.failures.into_iter();
            reply.failures = failures.map(|failure| failure.unpack()).collect();
        }
        Ok(reply)
    }

    /// Returns how many rows it has.
    pub fn len(&self) -> usize {
        self.view.flags.len()
    }

    /// Returns where each row begins, and whether its environment failed.
    pub fn rows(&self) -> impl Iterator<Item = (Cursor, bool)> + '_ {
        let rows = self.view.flags.iter().enumerate();
        rows.scan(Cursor::default(), |next, (row, flags)| {
            let cursor = Cursor { row, ..*next };
            next.ended += usize::from(flags & (TERMINATED | TRUNCATED) != 0);
            next.last += usize::from(flags & FINAL != 0);
            Some((cursor, flags & FAILED != 0))
        })
    }

    /// Copies the observation of a row.
    pub fn write_obs(&self, row: usize, to: &mut [f32]) {
        let d = to.len();
        copy(&self.view.obs[row * d..][..d], to);
    }
}

fn copy(from: &[impl Native], to: &mut [f32]) {
    for (slot, number) in to.iter_mut().zip(from) {
        *slot = number.native();
    }
}

/// A number of an archive.
trait Native {
    fn native(&self) -> f32;
}

impl Native for ray_core::rkyv::rend::f32_le {
    fn native(&self) -> f32 {
        self.to_native()
    }
}

/// What the caller's side keeps of each environment, for the day its process dies.
pub struct Ledger {
    mode: AutoresetMode,
    observation_len: usize,
    last_obs: Vec<f32>,
    returns: Vec<f64>,
    lengths: Vec<u32>,
    /// Whose episode ended in the last row.
    is_over: Vec<bool>,
    /// Whose process died without the caller having been told.
    pub is_orphan: Vec<bool>,
}

impl Ledger {
    /// Begins with `n` environments with observations of `d` numbers.
    pub fn new(n: usize, d: usize, mode: AutoresetMode) -> Ledger {
        Ledger {
            mode,
            observation_len: d,
            last_obs: vec![0.0; n * d],
            returns: vec![0.0; n],
            lengths: vec![0; n],
            is_over: vec![false; n],
            is_orphan: vec![false; n],
        }
    }

    /// Notes that an environment was reset.
    pub fn restart(&mut self, env: usize, obs: &[f32]) {
        let d = self.observation_len;
        self.last_obs[env * d..][..d].copy_from_slice(obs);
        self.returns[env] = 0.0;
        self.lengths[env] = 0;
        self.is_over[env] = false;
        self.is_orphan[env] = false;
    }

    /// Writes a row of a reply as row `to`; returns whether it is that of a lost episode, as an orphan's is.
    pub fn take(
        &mut self,
        reply: &mut Reply,
        cursor: Cursor,
        env: usize,
        to: usize,
        is_orphan: bool,
        out: &mut StepBuffers,
    ) -> bool {
        let (d, row) = (self.observation_len, cursor.row);
        let obs = &mut out.obs[to * d..][..d];
        reply.write_obs(row, obs);
        if is_orphan {
            self.lose(env, to, out);
            return true;
        }
        self.last_obs[env * d..][..d].copy_from_slice(obs);
        let flags = reply.view.flags[row];
        let reward = reply.view.rewards[row].to_native();
        out.rewards[to] = reward;
        out.terminated[to] = flags & TERMINATED != 0;
        out.truncated[to] = flags & TRUNCATED != 0;
        out.has_final[to] = flags & FINAL != 0;
        if flags & FINAL != 0 {
            let last = &reply.view.final_obs[cursor.last * d..][..d];
            copy(last, &mut out.final_obs[to * d..][..d]);
        }
        if let Some(info) = reply.infos.get_mut(row) {
            out.infos[to] = std::mem::take(info);
        }
        if flags & FINAL != 0
            && let Some(info) = reply.final_infos.get_mut(cursor.last)
        {
            out.final_infos[to] = std::mem::take(info);
        }
        if std::mem::take(&mut self.is_over[env]) {
            // The step that resets, under `NextStep`.
            return false;
        }
        self.returns[env] += reward;
        self.lengths[env] = self.lengths[env].saturating_add(1);
        if flags & (TERMINATED | TRUNCATED) != 0 {
            out.episode_return[to] = reply.view.returns[cursor.ended].to_native();
            out.episode_length[to] = reply.view.lengths[cursor.ended].to_native();
            self.end(env);
        }
        false
    }

    /// Writes the row of an episode that was lost; under `SameStep` the next one's first observation is there.
    pub fn lose(&mut self, env: usize, to: usize, out: &mut StepBuffers) {
        let d = self.observation_len;
        let (last, obs) = (
            &mut self.last_obs[env * d..][..d],
            &mut out.obs[to * d..][..d],
        );
        out.has_final[to] = self.mode == AutoresetMode::SameStep;
        if self.mode == AutoresetMode::SameStep {
            out.final_obs[to * d..][..d].copy_from_slice(last);
            last.copy_from_slice(obs);
        } else {
            obs.copy_from_slice(last);
        }
        out.rewards[to] = 0.0;
        out.terminated[to] = false;
        out.truncated[to] = true;
        out.episode_return[to] = self.returns[env];
        out.episode_length[to] = self.lengths[env];
        out.infos[to] = Info::new();
        out.final_infos[to] = Info::new();
        self.is_orphan[env] = false;
        self.end(env);
    }

    fn end(&mut self, env: usize) {
        self.returns[env] = 0.0;
        self.lengths[env] = 0;
        self.is_over[env] = self.mode == AutoresetMode::NextStep;
    }
}

/// Checks the length of a buffer.
pub fn check_len(buffer: &'static str, found: usize, needed: usize) -> Result<(), EnvError> {
    match found == needed {
        true => Ok(()),
        false => Err(EnvError::WrongBuffer {
            buffer,
            found,
            needed,
        }),
    }
}

/// Checks that every buffer fits `n` environments with observations of `d` numbers.
pub fn check_buffers(out: &StepBuffers, n: usize, d: usize) -> Result<(), EnvError> {
    check_len("obs", out.obs.len(), n * d)?;
    check_len("final_obs", out.final_obs.len(), n * d)?;
    check_len("rewards", out.rewards.len(), n)?;
    check_len("terminated", out.terminated.len(), n)?;
    check_len("truncated", out.truncated.len(), n)?;
    check_len("has_final", out.has_final.len(), n)?;
    check_len("episode_return", out.episode_return.len(), n)?;
    check_len("episode_length", out.episode_length.len(), n)?;
    check_len("infos", out.infos.len(), n)?;
    check_len("final_infos", out.final_infos.len(), n)
}
