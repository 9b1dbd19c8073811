//! The processes of submitted jobs: started, watched, ended.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use ray_engine::{control::jobs::JobState, ids::JobId};
use rustix::process::Signal;

use super::{JobOffice, Wish};
use crate::{
    config::JOB_STOP_GRACE,
    control::{
        jobs::{
            driver::{self, Exit, Launch},
            role::JobEvent,
            upload,
        },
        token_office::wall_now,
    },
    node::jobs::cached,
    working_dir,
};

impl JobOffice {
    /// Ends every process, with the usual grace, and the thread.
    pub(crate) fn close(&self) {
        let left = |office: &JobOffice| {
            let records = office.records();
            records.into_iter().filter(|record| !record.is_ended())
        };
        for record in left(self) {
            self.report(record.id(), JobEvent::Stopped);
        }
        // Behind the wishes that this has made.
        self.wishes.send(Wish::End).ok();
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of the jobs panicked");
        }
        if !self.wait_for_ends(JOB_STOP_GRACE) {
            for record in left(self) {
                self.signal(record.id(), Signal::KILL);
            }
            self.wait_for_ends(Duration::from_secs(1));
        }
        for record in left(self) {
            let message = "the head was stopped".to_owned();
            self.on_state(record.id(), JobState::Stopped, message);
        }
    }

    /// Waits until no process is left; returns whether that was so in time.
    fn wait_for_ends(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let mut jobs = self.jobs.lock();
        while jobs.values().any(|job| job.has_process) {
            if self.ended.wait_until(&mut jobs, deadline).timed_out() {
                return false;
            }
        }
        true
    }

    pub(super) fn start(self: &Arc<Self>, id: JobId) {
        let launch = self.jobs.lock().get_mut(&id).and_then(|job| {
            let request = job.launch.take()?;
            Some((request, job.record.log_file()))
        });
        let Some((request, log)) = launch else { return };
        let executable = upload::find(&self.cache(), &request.executable, request.executable_bytes);
        // It was checked when it was submitted.
        let archive = request.archive().unwrap_or_default();
        let launch = Launch {
            executable: executable.unwrap_or_default(),
            log: self.plan.run_dir.join("logs").join(log),
            folder: self.folder_of(id),
            archive: archive
                .as_ref()
                .map(|archive| cached(&self.cache(), archive.hash)),
            variables: [
                (
                    "RAY_ADDRESS",
                    self.address.get().cloned().unwrap_or_default(),
                ),
                ("RAY_JOB_ID", id.to_string()),
            ]
            .into_iter()
            .chain(
                archive
                    .as_ref()
                    .map(|it| (working_dir::VARIABLE, working_dir::name_of(it))),
            )
            .collect(),
            request,
        };
        let started = if launch.executable.as_os_str().is_empty() {
            Err("its program is not in the head's cache any more; submit it again".to_owned())
        } else {
            launch.start()
        };
        let child = match started {
            Ok(child) => child,
            Err(reason) => {
                launch.note(&reason);
                return self.report(id, JobEvent::Failed { reason });
            }
        };
        let pid = child.id();
        let written = {
            let mut jobs = self.jobs.lock();
            let Some(job) = jobs.get_mut(&id) else { return };
            job.has_process = true;
            job.record.pid = Some(pid);
            job.record.pid_since = driver::started_at(pid);
            job.record.started_s = Some(wall_now().0);
            self.write_down(&job.record)
        };
        if let Err(error) = written {
            tracing::error!(%error, job = %id, "a job's process could not be written down");
        }
        let office = self.clone();
        let waiting = std::thread::Builder::new()
            .name("ray-job".into())
            .spawn(move || office.on_exit(id, driver::wait(child)));
        if let Err(error) = waiting {
            driver::signal_group(pid, Signal::KILL);
            let reason = format!("no thread is left to watch it: {error}");
            return self.report(id, JobEvent::Failed { reason });
        }
        tracing::info!(job = %id, pid, "a job's program was started");
        self.report(id, JobEvent::Started);
    }

    fn on_exit(&self, id: JobId, exit: Exit) {
        tracing::info!(job = %id, ?exit, "a job's program has ended");
        {
            let mut jobs = self.jobs.lock();
            if let Some(job) = jobs.get_mut(&id) {
                job.has_process = false;
                job.record.exit_code = exit.code;
                job.record.signal = exit.signal;
            }
        }
        let Exit { code, signal } = exit;
        self.report(id, JobEvent::Exited { code, signal });
        self.ended.notify_all();
    }

    pub(super) fn signal(&self, id: JobId, signal: Signal) {
        let pid = {
            let jobs = self.jobs.lock();
            let job = jobs.get(&id).filter(|job| job.has_process);
            job.and_then(|job| job.record.pid)
        };
        if let Some(pid) = pid {
            driver::signal_group(pid, signal);
        }
    }
}
