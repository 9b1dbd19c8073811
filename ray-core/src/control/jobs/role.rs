//! Jobs as the control role keeps them: which driver has which, what is released when one goes.

use std::sync::Arc;

use ray_engine::{
    control::jobs::{Command, JobInfo, JobState},
    ids::{JobId, ProcessId},
    time::Time,
};

use super::office::Wish;
use crate::{
    control::{
        role::{ControlRole, ControlState, Outbox},
        rows::JobState as JobRow,
        token_office::wall_now,
    },
    runtime::Runtime,
    wire::{JobSpec, Message, Variables},
};

/// What happens to a submitted job.
#[derive(Clone, Debug)]
pub(crate) enum JobEvent {
    Submitted {
        entrypoint: String,
        env: Variables,
    },
    Started,
    Failed {
        reason: String,
    },
    Exited {
        code: Option<i32>,
        signal: Option<i32>,
    },
    Stopped,
}

impl ControlRole {
    /// Something happens to a submitted job.
    ///
    /// # Errors
    /// A text for the person who submitted or stops it.
    pub(crate) fn on_job(
        &self,
        runtime: &Arc<Runtime>,
        job: JobId,
        event: JobEvent,
    ) -> Result<(), String> {
        let now = runtime.now();
        self.with_state(runtime, |state, _| {
            let jobs = &mut state.jobs;
            let done = match event {
                JobEvent::Submitted { entrypoint, env } => {
                    let submitted = jobs.submit(job, entrypoint, Default::default(), now);
                    if submitted.is_ok() {
                        state.envs.insert(job, env);
                    }
                    submitted
                }
                JobEvent::Started => {
                    jobs.on_entrypoint_started(job, now);
                    Ok(())
                }
                JobEvent::Failed { reason } => {
                    jobs.on_entrypoint_failed(job, reason, now);
                    Ok(())
                }
                JobEvent::Exited { code, signal } => {
                    jobs.on_entrypoint_exited(job, code, signal, now);
                    Ok(())
                }
                JobEvent::Stopped => jobs.stop(job, now),
            };
            done.map_err(|failure| crate::Error::from(failure).to_string())
        })
    }
}

impl ControlState {
    /// A driver introduces its job.
    pub(in crate::control) fn on_job_up(
        &mut self,
        from: ProcessId,
        job: JobSpec,
        now: Time,
        out: &mut Outbox,
    ) {
        if job.driver != from {
            return;
        }
        let env = self.envs.get(&job.job).cloned().unwrap_or_default();
        let job = JobSpec { env, ..job };
        let connected = self
            .jobs
            .on_driver_connected(job.job, from, from.node(), now);
        if let Err(failure) = connected {
            tracing::warn!(%from, job = %job.job, ?failure, "a driver is refused");
            return out.push((from, Message::Shutdown));
        }
        self.nodes
            .tell_others(from, out, &|| Message::JobAnnounced { job: job.clone() });
        let words = job.args.iter().map(|arg| String::from_utf8_lossy(arg));
        let words = words.collect::<Vec<_>>().join(" ");
        self.command_lines
            .retain(|job, _| self.jobs.job(*job).is_some());
        self.command_lines.insert(job.job, words);
        self.specs.insert(job.job, job);
    }

    /// Returns whether a job is over; one that is not known may be that of a driver without a cluster.
    pub(in crate::control) fn is_over(&self, job: JobId) -> bool {
        self.jobs.job(job).is_some_and(|job| job.state.is_ended())
    }

    pub(in crate::control) fn run_job_command(
        &mut self,
        command: Command,
        (here, now): (ProcessId, Time),
        out: &mut Outbox,
    ) {
        match command {
            Command::ReleaseJob { job } => {
                self.groups.on_job_ended(job, now);
                self.rendezvous.on_job_ended(job);
                self.envs.remove(&job);
                let driver = self.specs.remove(&job).map(|spec| spec.driver);
                let but = driver.unwrap_or_default();
                self.nodes
                    .tell_others(but, out, &|| Message::JobEnded { job });
                let outlived = self.outlived_jobs(here);
                if let Some(outlived) = outlived.iter().find(|outlived| outlived.job == job) {
                    self.keep_outlived(outlived, here, out);
                }
            }
            Command::StartDriver { job, .. } => self.wish(Wish::Start(job)),
            Command::StopDriver { job, .. } => self.wish(Wish::Stop(job)),
            Command::KillDriver { job, .. } => self.wish(Wish::Kill(job)),
            Command::Publish { job, state } => {
                let message = self.jobs.job(job).map(|info| info.message.clone());
                let message = message.unwrap_or_default();
                self.wish(Wish::WriteDown(job, state, message));
            }
        }
    }

    pub(in crate::control) fn wish(&self, wish: Wish) {
        // A driver without a cluster has no submitted jobs and nobody who could start them.
        if let Some(office) = &self.job_wishes
            && office.send(wish).is_err()
        {
            tracing::debug!("the head ends; nothing is done about jobs any more");
        }
    }

    /// Returns the rows of drivers that connected; submitted jobs are the office's.
    pub(in crate::control) fn job_rows(&self, now: Time) -> Vec<JobRow> {
        let wall = wall_now().0;
        let at = |time: Time| wall.saturating_sub(now.since(time).as_secs());
        let row = |info: &JobInfo| {
            let words = self.command_lines.get(&info.job);
            let words = words.cloned().unwrap_or_default();
            JobRow {
                job_id: info.job.to_string(),
                entrypoint: if info.entrypoint.is_empty() {
                    words
                } else {
                    info.entrypoint.clone()
                },
                r#type: "DRIVER".into(),
                status: job_state(info.state).into(),
                message: (!info.message.is_empty()).then(|| info.message.clone()),
                driver_ip: info.driver.and_then(|driver| self.nodes.ip_of(driver)),
                start_time_s: Some(at(info.since)),
                end_time_s: info.ended.map(at),
                ..JobRow::default()
            }
        };
        self.jobs.list().map(row).collect()
    }
}

/// Returns the name under which a state is listed.
pub(in crate::control) fn job_state(state: JobState) -> &'static str {
    match state {
        JobState::Pending => "PENDING",
        JobState::Running => "RUNNING",
        JobState::Succeeded => "SUCCEEDED",
        JobState::Failed => "FAILED",
        JobState::Stopped => "STOPPED",
    }
}
