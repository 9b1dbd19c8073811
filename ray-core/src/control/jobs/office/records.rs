//! What is kept of submitted jobs, in the store and in mind.

use ray_engine::{control::jobs::JobState, ids::JobId};
use rustix::process::Signal;

use super::{JobOffice, stored};
use crate::{
    Error, Result,
    config::ENDED_JOBS_MAX,
    control::{
        jobs::{driver, record::JobRecord, role::job_state},
        store::{Key, Room},
        token_office::wall_now,
    },
};

impl JobOffice {
    /// Returns the job of an id, of the beginning of one, or of a name.
    ///
    /// # Errors
    /// A text for the person who asked.
    pub(crate) fn find(&self, named: &str) -> std::result::Result<JobRecord, String> {
        let jobs = self.jobs.lock();
        let records = || jobs.values().map(|job| &job.record);
        let exact = records().find(|record| record.id().to_string() == named);
        if let Some(record) = exact {
            return Ok(record.clone());
        }
        let called = |record: &&JobRecord| {
            let begins = !named.is_empty() && record.id().to_string().starts_with(named);
            record.name.as_deref() == Some(named) || begins
        };
        let mut found = records().filter(called);
        match (found.next(), found.count()) {
            (Some(record), 0) => Ok(record.clone()),
            (Some(_), others) => Err(format!(
                "`{named}` could be {} jobs; give the id as `ray job list` shows it",
                others + 1
            )),
            (None, _) => Err(format!(
                "no submitted job has the id or name `{named}`; see `ray job list`"
            )),
        }
    }

    /// Returns all submitted jobs.
    pub(crate) fn records(&self) -> Vec<JobRecord> {
        let jobs = self.jobs.lock();
        jobs.values().map(|job| job.record.clone()).collect()
    }

    /// Notes how a job is; its token is worthless once it is over.
    pub(super) fn on_state(&self, id: JobId, state: JobState, message: String) {
        let token = {
            let mut jobs = self.jobs.lock();
            let Some(job) = jobs.get_mut(&id) else {
                return;
            };
            job.record.state = job_state(state).into();
            job.record.message = message;
            let token = if state.is_ended() {
                job.record.ended_s.get_or_insert(wall_now().0);
                job.launch = None;
                job.program.clear();
                if job.record.has_archive {
                    self.remove_folder(id);
                }
                job.record.token_id.take()
            } else {
                None
            };
            if let Err(error) = self.write_down(&job.record) {
                tracing::error!(%error, job = %id, "how a job is could not be written down");
            }
            token
        };
        if let Some(token) = token
            && let Err(error) = self.plan.tokens.revoke(&token)
        {
            tracing::error!(%error, job = %id, "a job's token could not be revoked");
        }
        self.forget_oldest();
    }

    /// Removes what was sent with a job; its processes have ended.
    fn remove_folder(&self, id: JobId) {
        let folder = self.folder_of(id);
        match std::fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!(%error, folder = %folder.display(), "a job's directory stays");
            }
            _ => {}
        }
    }

    /// Returns the folder of a job's own.
    pub(super) fn folder_of(&self, id: JobId) -> std::path::PathBuf {
        self.plan.run_dir.join("jobs").join(id.to_string())
    }

    /// Keeps the list of jobs that are over short.
    fn forget_oldest(&self) {
        let mut jobs = self.jobs.lock();
        let over = jobs.values().filter(|job| job.record.is_ended());
        let mut over: Vec<_> = over
            .map(|job| (job.record.ended_s, job.record.id()))
            .collect();
        if over.len() <= ENDED_JOBS_MAX {
            return;
        }
        over.sort_unstable();
        for (_, id) in &over[..over.len() - ENDED_JOBS_MAX] {
            if let Err(error) = self.plan.store.delete(key(*id)) {
                tracing::error!(%error, job = %id, "a job could not be forgotten");
                return;
            }
            jobs.remove(id);
        }
    }

    /// Ends what an earlier head had started and could not end.
    pub(super) fn end_leftovers(&self) -> Result<()> {
        let mut jobs = self.jobs.lock();
        for job in jobs.values_mut().filter(|job| !job.record.is_ended()) {
            let record = &mut job.record;
            if let (Some(pid), Some(since)) = (record.pid, record.pid_since)
                && driver::started_at(pid) == Some(since)
            {
                driver::signal_group(pid, Signal::KILL);
            }
            if let Some(token) = record.token_id.take() {
                self.plan.tokens.revoke(&token)?;
            }
            if record.has_archive {
                self.remove_folder(record.id());
            }
            record.state = job_state(JobState::Failed).into();
            record.message = "the head ended while it ran".into();
            record.ended_s = Some(wall_now().0);
            self.write_down(record)?;
        }
        Ok(())
    }

    pub(super) fn write_down(&self, record: &JobRecord) -> Result<()> {
        let value = serde_json::to_vec(record).map_err(|error| Error::System(error.to_string()))?;
        let put = self.plan.store.put(key(record.id()), value);
        put.map(drop).map_err(stored)
    }
}

fn key(job: JobId) -> Key {
    Key::new(Room::Jobs, job.to_string())
}

#[cfg(test)]
mod tests {
    use std::{path::Path, sync::Arc};

    use super::*;
    use crate::{
        control::{
            jobs::{JobRequest, OfficePlan},
            protocol::Answer,
            store::{ControlStore, redb::RedbStore},
            token::Role,
            token_office::TokenOffice,
        },
        runtime::executables::Executables,
    };

    fn open(store: &Arc<dyn ControlStore>, run_dir: &Path) -> Arc<JobOffice> {
        let tokens = TokenOffice::open([1; 32], store.clone()).expect("a book");
        let plan = OfficePlan {
            store: store.clone(),
            tokens: Arc::new(tokens),
            run_dir: run_dir.to_owned(),
            executables: Executables::new(run_dir.join("executables"), 0),
        };
        JobOffice::open(plan).expect("a store").0
    }

    fn record(job: u64, name: &str, state: JobState) -> JobRecord {
        JobRecord {
            job,
            name: Some(name.into()),
            state: job_state(state).into(),
            ..JobRecord::default()
        }
    }

    #[test]
    fn what_ran_when_the_head_was_killed_has_failed_and_its_token_is_worthless() {
        let dir = tempfile::tempdir().expect("a folder");
        let store: Arc<dyn ControlStore> = Arc::new(RedbStore::in_memory().expect("a store"));
        let office = open(&store, dir.path());
        let (token, id) = office.plan.tokens.create_for_job().expect("a token");
        let running = JobRecord {
            token_id: Some(id.to_string()),
            ..record(1, "a", JobState::Running)
        };
        office.write_down(&running).expect("written");
        let done = record(2, "b", JobState::Succeeded);
        office.write_down(&done).expect("written");
        drop(office);

        let office = open(&store, dir.path());
        let found = office.find("a").expect("it is listed");
        assert_eq!(found.state, "FAILED");
        assert!(
            found.message.contains("the head ended"),
            "{}",
            found.message
        );
        assert_eq!(office.find("j2"), Ok(done));
        let checked = office.plan.tokens.check(token.secret(), Role::Driver);
        assert!(checked.is_err(), "{checked:?}");
    }

    #[test]
    fn a_job_is_found_by_its_id_or_name_unless_several_are_meant() {
        let dir = tempfile::tempdir().expect("a folder");
        let store: Arc<dyn ControlStore> = Arc::new(RedbStore::in_memory().expect("a store"));
        let office = open(&store, dir.path());
        for (job, name) in [(0x1a, "train"), (0x1b, "train"), (0x1, "other")] {
            let job = record(job, name, JobState::Succeeded);
            office.write_down(&job).expect("written");
        }
        let office = open(&store, dir.path());
        assert_eq!(office.find("j1").map(|found| found.job), Ok(0x1));
        assert_eq!(office.find("other").map(|found| found.job), Ok(0x1));
        assert_eq!(office.find("j1b").map(|found| found.job), Ok(0x1b));
        assert!(
            office
                .find("train")
                .is_err_and(|text| text.contains("2 jobs"))
        );
        assert!(
            office
                .find("none")
                .is_err_and(|text| text.contains("ray job list"))
        );
        assert!(
            office
                .stop("other")
                .is_err_and(|text| text.contains("is over"))
        );
    }

    #[test]
    fn a_program_that_the_head_has_not_is_asked_for() {
        let dir = tempfile::tempdir().expect("a folder");
        let store: Arc<dyn ControlStore> = Arc::new(RedbStore::in_memory().expect("a store"));
        let office = open(&store, dir.path());
        let request = JobRequest {
            job: 7,
            executable: "ab".repeat(32),
            executable_bytes: 1,
            program: "train".into(),
            ..JobRequest::default()
        };
        assert_eq!(office.submit(&request), Ok(Answer::ExecutableWanted));
        assert_eq!(office.records(), []);
    }
}
