//! Jobs: drivers and everything that they started.
//!
//! A job that was submitted has a command of its own, which is started and whose exit ends the job; a
//! driver that connects by itself is a running job until it goes. However the driver of a job goes, all
//! that belongs to it is released exactly once.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use crate::{
    failure::Failure,
    ids::{JobId, NodeId, ProcessId},
    time::Time,
};

/// Numbers of the jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobsConfig {
    /// How long the command of a submitted job may take to be started. Default 60 s.
    pub start_timeout: Duration,
    /// How long a driver may take to end after it was asked to. Default 3 s.
    pub stop_grace: Duration,
    /// Jobs that have not ended. Default 10,000.
    pub active_max: usize,
    /// Ended jobs that are listed. Default 10,000.
    pub ended_max: usize,
}

impl Default for JobsConfig {
    fn default() -> JobsConfig {
        JobsConfig {
            start_timeout: Duration::from_secs(60),
            stop_grace: Duration::from_secs(3),
            active_max: 10_000,
            ended_max: 10_000,
        }
    }
}

/// How a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobState {
    /// Its command is not started yet.
    Pending,
    /// Its command or its driver runs.
    Running,
    /// Its driver ended well.
    Succeeded,
    /// Its driver ended badly, or never came.
    Failed,
    /// Somebody stopped it.
    Stopped,
}

impl JobState {
    /// Returns whether the job is over.
    pub fn is_ended(self) -> bool {
        !matches!(self, JobState::Pending | JobState::Running)
    }
}

/// A job as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobInfo {
    /// Its id.
    pub job: JobId,
    /// The command that its driver runs; empty for a driver that connected by itself.
    pub entrypoint: String,
    /// What the submitter said about it.
    pub metadata: BTreeMap<String, String>,
    /// How it is.
    pub state: JobState,
    /// Why it is so, in words.
    pub message: String,
    /// Its driver, once there is one.
    pub driver: Option<ProcessId>,
    /// When it was submitted.
    pub since: Time,
    /// When it ended.
    pub ended: Option<Time>,
}

/// What the jobs want done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Start a driver.
    StartDriver {
        /// Of which job.
        job: JobId,
        /// What it runs.
        entrypoint: String,
    },
    /// Ask a driver to end.
    StopDriver {
        /// Of which job.
        job: JobId,
        /// Which, when it has connected.
        driver: Option<ProcessId>,
    },
    /// End a driver at once.
    KillDriver {
        /// Of which job.
        job: JobId,
        /// Which, when it has connected.
        driver: Option<ProcessId>,
    },
    /// Release everything of a job that is not detached: leases, actors, groups, objects, workers.
    ReleaseJob {
        /// Which.
        job: JobId,
    },
    /// Tell whoever watches how a job is.
    Publish {
        /// Which.
        job: JobId,
        /// How it is.
        state: JobState,
    },
}

struct Job {
    info: JobInfo,
    /// The node whose end is the driver's end too.
    node: Option<NodeId>,
    /// When it must have connected, or must have ended.
    deadline: Option<Time>,
    is_stopping: bool,
    /// Whether it has a command, whose exit ends it.
    is_submitted: bool,
    is_released: bool,
}

/// The state machine.
pub struct JobDirectory {
    config: JobsConfig,
    jobs: BTreeMap<JobId, Job>,
    /// Ended jobs, the oldest first.
    ended: VecDeque<JobId>,
    commands: VecDeque<Command>,
}

impl JobDirectory {
    /// Returns an empty directory.
    pub fn new(config: JobsConfig) -> JobDirectory {
        JobDirectory {
            config,
            jobs: BTreeMap::new(),
            ended: VecDeque::new(),
            commands: VecDeque::new(),
        }
    }

    /// Returns the next wish.
    pub fn poll_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// Returns when [`JobDirectory::on_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<Time> {
        self.jobs.values().filter_map(|job| job.deadline).min()
    }

    /// Returns what is known of a job.
    pub fn job(&self, job: JobId) -> Option<&JobInfo> {
        self.jobs.get(&job).map(|job| &job.info)
    }

    /// Returns all jobs that are listed, in the order of their ids.
    pub fn list(&self) -> impl Iterator<Item = &JobInfo> {
        self.jobs.values().map(|job| &job.info)
    }

    /// Somebody submits a job; submitting it again changes nothing.
    ///
    /// # Errors
    /// `System` when too many jobs have not ended.
    pub fn submit(
        &mut self,
        job: JobId,
        entrypoint: String,
        metadata: BTreeMap<String, String>,
        now: Time,
    ) -> Result<(), Failure> {
        if self.jobs.contains_key(&job) {
            return Ok(());
        }
        let start = Command::StartDriver {
            job,
            entrypoint: entrypoint.clone(),
        };
        let info = JobInfo {
            job,
            entrypoint,
            metadata,
            state: JobState::Pending,
            message: "its command is being started".into(),
            driver: None,
            since: now,
            ended: None,
        };
        self.insert(info, true, Some(now + self.config.start_timeout))?;
        self.commands.push_back(start);
        Ok(())
    }

    /// The command of a submitted job was started.
    pub fn on_entrypoint_started(&mut self, id: JobId, _now: Time) {
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        if job.info.state != JobState::Pending {
            return;
        }
        job.info.state = JobState::Running;
        job.info.message.clear();
        let driver = job.info.driver;
        if job.is_stopping {
            self.commands
                .push_back(Command::StopDriver { job: id, driver });
        } else {
            job.deadline = None;
        }
        self.publish(id, JobState::Running);
    }

    /// The command of a submitted job could not be started.
    pub fn on_entrypoint_failed(&mut self, id: JobId, reason: String, now: Time) {
        self.end(id, JobState::Failed, reason, now);
    }

    /// A driver connects: of a job that was submitted, or of one that begins with it.
    ///
    /// # Errors
    /// `System` when too many jobs have not ended, or when the job is over or had a driver.
    pub fn on_driver_connected(
        &mut self,
        id: JobId,
        driver: ProcessId,
        node: NodeId,
        now: Time,
    ) -> Result<(), Failure> {
        let Some(job) = self.jobs.get_mut(&id) else {
            let info = JobInfo {
                job: id,
                entrypoint: String::new(),
                metadata: BTreeMap::new(),
                state: JobState::Running,
                message: String::new(),
                driver: Some(driver),
                since: now,
                ended: None,
            };
            self.insert(info, false, None)?;
            if let Some(job) = self.jobs.get_mut(&id) {
                job.node = Some(node);
            }
            return Ok(());
        };
        if job.info.driver == Some(driver) {
            return Ok(());
        }
        if job.info.state.is_ended() || job.info.driver.is_some() || job.is_released {
            return Err(Failure::System(format!("job {id} is over or had a driver")));
        }
        job.info.driver = Some(driver);
        job.node = Some(node);
        Ok(())
    }

    fn insert(
        &mut self,
        info: JobInfo,
        is_submitted: bool,
        deadline: Option<Time>,
    ) -> Result<(), Failure> {
        if self.jobs.len() - self.ended.len() >= self.config.active_max {
            let limit = self.config.active_max;
            return Err(Failure::System(format!("{limit} jobs have not ended")));
        }
        let (id, state) = (info.job, info.state);
        let job = Job {
            info,
            node: None,
            deadline,
            is_stopping: false,
            is_submitted,
            is_released: false,
        };
        self.jobs.insert(id, job);
        self.publish(id, state);
        Ok(())
    }

    /// A driver said goodbye.
    pub fn on_driver_finished(&mut self, driver: ProcessId, now: Time) {
        self.on_driver_gone(driver, JobState::Succeeded, String::new(), now);
    }

    /// The process that a submitted job's command ran in has ended, by an exit or by a signal.
    pub fn on_entrypoint_exited(
        &mut self,
        id: JobId,
        code: Option<i32>,
        signal: Option<i32>,
        now: Time,
    ) {
        let (state, message) = match (code, signal) {
            (Some(0), _) => (JobState::Succeeded, String::new()),
            (Some(code), _) => (JobState::Failed, format!("it exited with code {code}")),
            (None, Some(signal)) => (JobState::Failed, format!("it was ended by signal {signal}")),
            (None, None) => (JobState::Failed, "how it ended is not known".to_owned()),
        };
        self.end(id, state, message, now);
    }

    /// A process is gone without a goodbye; a job whose driver it was has failed.
    pub fn on_process_died(&mut self, process: ProcessId, now: Time) {
        let message = format!("its driver {process} died");
        self.on_driver_gone(process, JobState::Failed, message, now);
    }

    /// A node is gone with the drivers on it.
    pub fn on_node_died(&mut self, node: NodeId, now: Time) {
        let lost = self
            .jobs
            .values()
            .filter(|job| job.node == Some(node))
            .filter_map(|job| job.info.driver)
            .collect::<Vec<_>>();
        for driver in lost {
            let message = format!("its driver's node {node} died");
            self.on_driver_gone(driver, JobState::Failed, message, now);
        }
    }

    /// What a submitted job's driver used is released at once; how the job ends, its command's exit says.
    fn on_driver_gone(&mut self, driver: ProcessId, state: JobState, message: String, now: Time) {
        let Some(id) = self.job_of(driver) else {
            return;
        };
        if self.jobs.get(&id).is_some_and(|job| job.is_submitted) {
            self.release(id);
        } else {
            self.end(id, state, message, now);
        }
    }

    fn release(&mut self, id: JobId) {
        if let Some(job) = self.jobs.get_mut(&id)
            && !std::mem::replace(&mut job.is_released, true)
        {
            self.commands.push_back(Command::ReleaseJob { job: id });
        }
    }

    /// Somebody stops a job; one that is over stays as it is.
    ///
    /// # Errors
    /// `NotFound` when there is no such job.
    pub fn stop(&mut self, id: JobId, now: Time) -> Result<(), Failure> {
        let Some(job) = self.jobs.get_mut(&id) else {
            return Err(Failure::NotFound(format!("job {id}")));
        };
        if job.info.state.is_ended() || job.is_stopping {
            return Ok(());
        }
        job.is_stopping = true;
        job.deadline = Some(now + self.config.stop_grace);
        let driver = job.info.driver;
        self.commands
            .push_back(Command::StopDriver { job: id, driver });
        Ok(())
    }

    /// Takes a job that is over off the list.
    ///
    /// # Errors
    /// `NotFound` when there is no such job; `InvalidOption` when it is not over.
    pub fn delete(&mut self, id: JobId, _now: Time) -> Result<(), Failure> {
        match self.jobs.get(&id).map(|job| job.info.state) {
            None => return Err(Failure::NotFound(format!("job {id}"))),
            Some(state) if !state.is_ended() => {
                return Err(Failure::InvalidOption {
                    option: "job".into(),
                    reason: format!("job {id} is not over: stop it first"),
                });
            }
            Some(_) => {}
        }
        self.jobs.remove(&id);
        self.ended.retain(|other| *other != id);
        Ok(())
    }

    /// Fails jobs whose driver never came and ends those that do not stop by themselves.
    pub fn on_timeout(&mut self, now: Time) {
        let due = self
            .jobs
            .iter()
            .filter(|(_, job)| job.deadline.is_some_and(|deadline| deadline <= now))
            .map(|(id, job)| (*id, job.is_stopping, job.info.driver))
            .collect::<Vec<_>>();
        for (job, is_stopping, driver) in due {
            self.commands.push_back(Command::KillDriver { job, driver });
            let message = if is_stopping {
                "it did not end when it was asked to and was killed"
            } else {
                "its command was not started in time"
            };
            self.end(job, JobState::Failed, message.to_owned(), now);
        }
    }

    fn job_of(&self, driver: ProcessId) -> Option<JobId> {
        self.jobs
            .iter()
            .find(|(_, job)| job.info.driver == Some(driver) && !job.info.state.is_ended())
            .map(|(id, _)| *id)
    }

    /// Ends a job once; one that was being stopped is stopped, however its driver ended.
    fn end(&mut self, id: JobId, state: JobState, message: String, now: Time) {
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        if job.info.state.is_ended() {
            return;
        }
        let state = if job.is_stopping {
            JobState::Stopped
        } else {
            state
        };
        job.info.state = state;
        job.info.message = message;
        job.info.ended = Some(now);
        job.deadline = None;
        self.release(id);
        self.publish(id, state);
        self.ended.push_back(id);
        if self.ended.len() > self.config.ended_max
            && let Some(oldest) = self.ended.pop_front()
        {
            self.jobs.remove(&oldest);
        }
    }

    fn publish(&mut self, job: JobId, state: JobState) {
        self.commands.push_back(Command::Publish { job, state });
    }
}
