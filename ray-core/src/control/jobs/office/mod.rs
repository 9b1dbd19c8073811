//! Where submitted jobs are kept, started and ended.

mod records;
mod running;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc, OnceLock, Weak,
        mpsc::{self, Receiver, Sender},
    },
    thread::JoinHandle,
};

use parking_lot::{Condvar, Mutex};
use ray_engine::{
    control::jobs::JobState,
    ids::{ActorId, GroupId, JobId, ProcessId},
};
use rustix::process::Signal;

use super::{
    record::JobRecord,
    request::JobRequest,
    role::{JobEvent, job_state},
    upload,
};
use crate::{
    Error, Result,
    control::{
        actors::ActorOnRecord,
        names::NameOnRecord,
        protocol::Answer,
        roster::Roster,
        store::{ControlStore, Room},
        token_book::TokenId,
        token_office::{TokenOffice, wall_now},
    },
    runtime::{
        Runtime,
        executables::{ExecutableUse, Executables},
    },
    wire::{GroupCreation, Variables},
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
    /// An actor has a name, which the next head must know to be taken.
    KeepName(Box<NameOnRecord>),
    ForgetName(ActorId),
    /// A detached placement group must be found again by the next head.
    KeepGroup(Box<GroupCreation>),
    ForgetGroup(GroupId),
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
    /// Keeps its program and its directory in the cache until it is over.
    program: Vec<ExecutableUse>,
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
                        Wish::KeepName(name) => {
                            office.kept("a name", office.roster.keep_name(&name))
                        }
                        Wish::ForgetName(actor) => {
                            office.kept("a name", office.roster.forget_name(actor))
                        }
                        Wish::KeepGroup(group) => {
                            office.kept("a placement group", office.roster.keep_group(&group))
                        }
                        Wish::ForgetGroup(group) => {
                            office.kept("a placement group", office.roster.forget_group(group))
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

    /// Takes a job on; `ExecutableWanted` or `ArchiveWanted` when something must be sent first.
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
        let mut program = vec![program];
        if let Some(hash) = &request.archive {
            program.push(self.plan.executables.using(hash));
            if upload::find(&self.cache(), hash, request.archive_bytes).is_none() {
                self.plan.executables.expect(hash);
                return Ok(Answer::ArchiveWanted);
            }
        }
        let text = |error: Error| error.to_string();
        let (token, token_id) = self.plan.tokens.create_for_job().map_err(text)?;
        let record = JobRecord {
            job: request.job,
            name: request.name.clone(),
            executable: request.executable.clone(),
            command_line: request.command_line(),
            working_dir: request.working_dir.clone(),
            has_archive: request.archive.is_some(),
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
                program,
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

    /// Returns the job that a token was made for, the first time that somebody joins with it.
    pub(crate) fn claim(&self, token: TokenId) -> Option<JobId> {
        let mut jobs = self.jobs.lock();
        let mine = |job: &&mut Job| job.token == Some(token) && !job.has_driver;
        let job = jobs.values_mut().find(mine)?;
        job.has_driver = true;
        Some(job.record.id())
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
}

impl Job {
    fn of_the_past(record: JobRecord) -> Job {
        Job {
            record,
            launch: None,
            program: Vec::new(),
            token: None,
            has_driver: false,
            has_process: false,
        }
    }
}

fn stored(error: impl std::fmt::Display) -> Error {
    Error::System(error.to_string())
}
