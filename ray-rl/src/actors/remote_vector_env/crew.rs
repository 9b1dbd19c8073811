//! The workers of a vector environment, and who takes the place of one that died.

use environments::{EnvError, Space};
use ray_core::{Error, ObjectRef, prelude::*};

use super::{
    rows::Reply,
    wire::{EnvReply, WorkerConfig},
    worker::{EnvWorker, EnvWorkerHandle},
};

/// A worker's process and what is needed to start it again.
pub struct Member {
    /// The actor.
    pub handle: EnvWorkerHandle,
    config: WorkerConfig,
    /// Deaths since the last step that went well.
    deaths_in_a_row: u32,
    /// Deaths in all.
    pub deaths: u64,
}

impl Member {
    /// Starts a worker.
    pub fn new(config: WorkerConfig) -> Member {
        Member {
            handle: EnvWorker::remote(&config),
            config,
            deaths_in_a_row: 0,
            deaths: 0,
        }
    }

    /// Returns the index of its first environment.
    pub fn first(&self) -> usize {
        self.config.first as usize
    }

    /// Returns how many environments it has.
    pub fn count(&self) -> usize {
        self.config.count as usize
    }

    /// Asks for the spaces of observations and actions, and how many frames a second are drawn.
    ///
    /// # Errors
    /// A worker that is out of reach, or has spaces that cannot be read.
    pub fn about(&self) -> Result<(Space, Space, u32), EnvError> {
        let about = self.handle.about().get().map_err(unreachable)?;
        let about = about.ok_or_else(|| EnvError::Broken("a worker has no environments".into()))?;
        let read = |text: &str| {
            Space::from_json(text).map_err(|error| EnvError::Broken(error.to_string()))
        };
        let (observation, action) = (&about.observation_space, &about.action_space);
        Ok((read(observation)?, read(action)?, about.render_fps))
    }

    /// Notes that a step went well.
    pub fn prosper(&mut self) {
        self.deaths_in_a_row = 0;
    }

    /// Starts another process in the place of one that died; returns the first observations of its episodes.
    ///
    /// `seed` gives the seed of its first environment from the number of deaths.
    ///
    /// # Errors
    /// The process died again and again, or its environments do not begin.
    pub fn replace(
        &mut self,
        mut cause: Error,
        seed: impl Fn(u64) -> Option<u64>,
    ) -> Result<Reply, EnvError> {
        loop {
            if self.deaths_in_a_row == DEATHS_IN_A_ROW_MAX {
                let (first, last) = (self.first(), self.first() + self.count() - 1);
                return Err(EnvError::Unreachable(format!(
                    "the process of environments {first} to {last} died {DEATHS_IN_A_ROW_MAX} times in a row: {cause}"
                )));
            }
            self.deaths_in_a_row += 1;
            self.deaths += 1;
            // It is dead or out of reach; either way nobody needs it any more.
            let _gone = self.handle.kill(KillMode::NoRestart);
            self.handle = EnvWorker::remote(&self.config);
            let begun = self.handle.begin_again(seed(self.deaths));
            match Reply::wait(&begun) {
                Ok(mut reply) => match reply.failures.pop() {
                    None => return Ok(reply),
                    Some(failure) => return Err(failure),
                },
                Err(error) if is_death(&error) => cause = error,
                Err(error) => return Err(unreachable(error)),
            }
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // Not only the handle: a process that is in the middle of a step should end too. One that has
        // ended needs nothing.
        let _gone = self.handle.kill(KillMode::NoRestart);
    }
}

/// A call that has not been answered.
pub struct Call {
    /// Which worker does it.
    pub member: usize,
    /// Its environments, in the order of the rows.
    pub envs: Vec<usize>,
    /// The answer.
    pub reply: ObjectRef<EnvReply>,
}

/// Returns whether an error says that the worker is gone, its environments with it.
pub fn is_death(error: &Error) -> bool {
    matches!(
        error,
        Error::ActorDied { .. }
            | Error::ActorUnavailable { .. }
            | Error::WorkerCrashed(_)
            | Error::NodeDied(_)
            | Error::OwnerDied { .. }
            | Error::ObjectLost { .. }
            | Error::OutOfMemory(_)
    )
}

/// Says that the way to an environment failed.
pub fn unreachable(error: Error) -> EnvError {
    EnvError::Unreachable(error.to_string())
}

/// After how many deaths without a step in between a worker is given up.
const DEATHS_IN_A_ROW_MAX: u32 = 3;
