//! Where submitted jobs are kept, started and ended.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc, OnceLock, Weak,
        mpsc::{self, Receiver, Sender},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};
use ray_engine::{
    control::jobs::JobState,
    ids::{ActorId, JobId, ProcessId},
};
use rustix::process::Signal;

use super::{
    driver::{self, Exit, Launch},
    record::JobRecord,
    request::JobRequest,
    role::{JobEvent, job_state},
    upload,
};
use crate::{
    Error, Result,
    config::{ENDED_JOBS_MAX, JOB_STOP_GRACE},
    control::{
        actors::ActorOnRecord,
        protocol::Answer,
        roster::Roster,
        store::{ControlStore, Key, Room},
        token_book::TokenId,
        token_office::{TokenOffice, wall_now},
    },
    runtime::{
        Runtime,
        executables::{ExecutableUse, Executables},
    },
    wire::Variables,
};

/// What the control role wants done about a submitted job.
#[derive(Clone, Debug)]
pub(crate) enum Wish {
    Start(JobId),
    Stop(JobId),
    Kill(JobId),
    WriteDown(JobId, JobState, String),
    /// A detached actor runs, and must be found again by the next head.
    KeepActor(Box<ActorOnRecord>),
    ForgetActor(ActorId),
    /// A node is gone for good.
    ForgetNode(ProcessId),
    /// The thread ends.
    End,
}

/// What the office works with.
pub(crate) struct OfficePlan {
    pub store: Arc<dyn ControlStore>,
    pub tokens: Arc<TokenOffice>,
    pub run_dir: PathBuf,
    pub executables: Arc<Executables>,
}

/// The office; one a head.
pub(crate) struct JobOffice {
    plan: OfficePlan,
    roster: Roster,
    /// Where drivers find the cluster; known once the front desk is open.
    address: OnceLock<String>,
    runtime: OnceLock<Weak<Runtime>>,
    jobs: Mutex<BTreeMap<JobId, Job>>,
    /// Notified when a process has ended.
    ended: Condvar,
    wishes: Sender<Wish>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Job {
    record: JobRecord,
    /// What it was asked to run, until it is started; variables are never written down.
    launch: Option<JobRequest>,
    /// Keeps its program in the cache until it is over.
    program: Option<ExecutableUse>,
    token: Option<TokenId>,
    /// Whether a driver has joined with its token.
    has_driver: bool,
    has_process: bool,
}

impl JobOffice {
    /// Takes up what an earlier head had written down; what ran then has failed and is ended.
    ///
    /// # Errors
    /// What the store refused.
    pub(crate) fn open(plan: OfficePlan) -> Result<(Arc<JobOffice>, Receiver<Wish>)> {
        let (entries, _) = plan.store.scan(Room::Jobs, "").map_err(stored)?;
        let mut jobs = BTreeMap::new();
        for (key, entry) in entries {
            match serde_json::from_slice::<JobRecord>(&entry.value) {
                Ok(record) => {
                    jobs.insert(record.id(), Job::of_the_past(record));
                }
                Err(error) => tracing::error!(%key, %error, "a job in the store is unreadable"),
            }
        }
        let (wishes, receiver) = mpsc::channel();
        let office = JobOffice {
            roster: Roster::new(plan.store.clone()),
            plan,
            address: OnceLock::new(),
            runtime: OnceLock::new(),
            jobs: Mutex::new(jobs),
            ended: Condvar::new(),
            wishes,
            thread: Mutex::default(),
        };
        office.end_leftovers()?;
        Ok((Arc::new(office), receiver))
    }

    /// Begins to carry out what the control role wishes.
    ///
    /// # Errors
    /// When the system has no thread.
    pub(crate) fn begin(
        self: &Arc<Self>,
        runtime: &Arc<Runtime>,
        wishes: Receiver<Wish>,
    ) -> Result<()> {
        self.runtime.get_or_init(|| Arc::downgrade(runtime));
        let office = self.clone();
        let thread = std::thread::Builder::new()
            .name("ray-jobs".into())
            .spawn(move || {
                for wish in wishes {
                    match wish {
                        Wish::Start(job) => office.start(job),
                        Wish::Stop(job) => office.signal(job, Signal::TERM),
                        Wish::Kill(job) => office.signal(job, Signal::KILL),
                        Wish::WriteDown(job, state, message) => {
                            office.on_state(job, state, message)
                        }
                        Wish::KeepActor(actor) => {
                            office.kept("an actor", office.roster.keep_actor(&actor))
                        }
                        Wish::ForgetActor(actor) => {
                            office.kept("an actor", office.roster.forget_actor(actor))
                        }
                        Wish::ForgetNode(node) => {
                            office.kept("a node", office.roster.forget_node(node))
                        }
                        Wish::End => return,
                    }
                }
            })
            .map_err(|error| Error::System(format!("could not start a thread: {error}")))?;
        *self.thread.lock() = Some(thread);
        Ok(())
    }

    fn kept(&self, what: &str, written: Result<()>) {
        if let Err(error) = written {
            tracing::error!(%error, "the next head will not know how {what} was");
        }
    }

    /// Returns what the next head must know.
    pub(crate) fn roster(&self) -> &Roster {
        &self.roster
    }

    /// Returns where the control role's wishes go.
    pub(crate) fn wishes(&self) -> Sender<Wish> {
        self.wishes.clone()
    }

    /// Tells where drivers of this machine find the cluster.
    pub(crate) fn set_address(&self, address: String) {
        self.address.get_or_init(|| address);
    }

    /// Returns the folder where programs are kept.
    pub(crate) fn cache(&self) -> PathBuf {
        self.plan.executables.folder().to_owned()
    }

    /// Takes a job on; `ExecutableWanted` when its program must be sent first.
    ///
    /// # Errors
    /// A text for the person who submitted it.
    pub(crate) fn submit(&self, request: &JobRequest) -> std::result::Result<Answer, String> {
        request.check()?;
        let id = JobId(request.job);
        let submitted = || Answer::Submitted {
            job_id: id.to_string(),
        };
        let is_same = |job: &Job| {
            job.record.executable == request.executable
                && job.record.command_line == request.command_line()
        };
        if let Some(known) = self.jobs.lock().get(&id) {
            return match is_same(known) {
                true => Ok(submitted()),
                false => Err(format!("another job has the id {id}; submit it again")),
            };
        }
        let program = self.plan.executables.using(&request.executable);
        if upload::find(&self.cache(), &request.executable, request.executable_bytes).is_none() {
            self.plan.executables.expect(&request.executable);
            return Ok(Answer::ExecutableWanted);
        }
        let text = |error: Error| error.to_string();
        let (token, token_id) = self.plan.tokens.create_for_job().map_err(text)?;
        let record = JobRecord {
            job: request.job,
            name: request.name.clone(),
            executable: request.executable.clone(),
            command_line: request.command_line(),
            working_dir: request.working_dir.clone(),
            state: job_state(JobState::Pending).into(),
            submitted_s: wall_now().0,
            token_id: Some(token_id.to_string()),
            ..JobRecord::default()
        };
        let mut launch = request.clone();
        launch.env.insert("RAY_TOKEN".into(), token.expose());
        {
            let mut jobs = self.jobs.lock();
            self.write_down(&record).map_err(text)?;
            let job = Job {
                record,
                launch: Some(launch),
                program: Some(program),
                token: Some(token_id),
                has_driver: false,
                has_process: false,
            };
            jobs.insert(id, job);
        }
        let entrypoint = request.command_line();
        let env = request.env.clone().into_iter().collect();
        let env = Variables(env);
        let taken = self.tell(id, JobEvent::Submitted { entrypoint, env });
        if let Err(reason) = &taken {
            self.on_state(id, JobState::Failed, reason.clone());
        }
        taken.map(|()| submitted())
    }

    /// Ends a job, by its id, the beginning of it, or its name.
    ///
    /// # Errors
    /// A text for the person who asked.
    pub(crate) fn stop(&self, named: &str) -> std::result::Result<(), String> {
        let record = self.find(named)?;
        if record.is_ended() {
            return Err(format!("job {} is over: {}", record.id(), record.state));
        }
        self.tell(record.id(), JobEvent::Stopped)
    }

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
            record.name.as_deref() == Some(named) || record.id().to_string().starts_with(named)
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

    /// Returns the job that a token was made for, the first time that somebody joins with it.
    pub(crate) fn claim(&self, token: TokenId) -> Option<JobId> {
        let mut jobs = self.jobs.lock();
        let mine = |job: &&mut Job| job.token == Some(token) && !job.has_driver;
        let job = jobs.values_mut().find(mine)?;
        job.has_driver = true;
        Some(job.record.id())
    }

    /// Returns all submitted jobs.
    pub(crate) fn records(&self) -> Vec<JobRecord> {
        let jobs = self.jobs.lock();
        jobs.values().map(|job| job.record.clone()).collect()
    }

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

    fn tell(&self, job: JobId, event: JobEvent) -> std::result::Result<(), String> {
        let runtime = self.runtime.get().and_then(Weak::upgrade);
        let runtime = runtime.ok_or("the head is ending")?;
        let control = runtime.control_role.as_ref();
        control
            .ok_or("this process has no control role")?
            .on_job(&runtime, job, event)
    }

    /// Tells what cannot be refused.
    fn report(&self, job: JobId, event: JobEvent) {
        if let Err(reason) = self.tell(job, event) {
            tracing::debug!(%job, reason, "nobody is told how a job is");
        }
    }

    fn start(self: &Arc<Self>, id: JobId) {
        let launch = self.jobs.lock().get_mut(&id).and_then(|job| {
            let request = job.launch.take()?;
            Some((request, job.record.log_file()))
        });
        let Some((request, log)) = launch else { return };
        let executable = upload::find(&self.cache(), &request.executable, request.executable_bytes);
        let launch = Launch {
            executable: executable.unwrap_or_default(),
            log: self.plan.run_dir.join("logs").join(log),
            folder: self.plan.run_dir.join("jobs").join(id.to_string()),
            variables: vec![
                (
                    "RAY_ADDRESS",
                    self.address.get().cloned().unwrap_or_default(),
                ),
                ("RAY_JOB_ID", id.to_string()),
            ],
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

    fn signal(&self, id: JobId, signal: Signal) {
        let pid = {
            let jobs = self.jobs.lock();
            let job = jobs.get(&id).filter(|job| job.has_process);
            job.and_then(|job| job.record.pid)
        };
        if let Some(pid) = pid {
            driver::signal_group(pid, signal);
        }
    }

    /// Notes how a job is; its token is worthless once it is over.
    fn on_state(&self, id: JobId, state: JobState, message: String) {
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
                job.program = None;
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
    fn end_leftovers(&self) -> Result<()> {
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
            record.state = job_state(JobState::Failed).into();
            record.message = "the head ended while it ran".into();
            record.ended_s = Some(wall_now().0);
            self.write_down(record)?;
        }
        Ok(())
    }

    fn write_down(&self, record: &JobRecord) -> Result<()> {
        let value = serde_json::to_vec(record).map_err(|error| Error::System(error.to_string()))?;
        let put = self.plan.store.put(key(record.id()), value);
        put.map(drop).map_err(stored)
    }
}

impl Job {
    fn of_the_past(record: JobRecord) -> Job {
        Job {
            record,
            launch: None,
            program: None,
            token: None,
            has_driver: false,
            has_process: false,
        }
    }
}

fn key(job: JobId) -> Key {
    Key::new(Room::Jobs, job.to_string())
}

fn stored(error: impl std::fmt::Display) -> Error {
    Error::System(error.to_string())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::control::{store::redb::RedbStore, token::Role};

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
