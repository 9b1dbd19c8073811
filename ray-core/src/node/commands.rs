//! What the node's scheduler wishes, carried out.

use std::{ffi::OsString, path::PathBuf, sync::Arc};

use ray_engine::{
    env::RuntimeEnv,
    failure::ExitKind,
    ids::{JobId, ProcessId},
    scheduler::Command,
};

use super::{
    Hosting, NodeState, Outbox, Worker,
    arena_files::ArenaFiles,
    folders::{Unpack, Where},
    jobs::Code,
};
use crate::{
    runtime::Runtime,
    wire::{ExecutableMessage, Message, Variables, WorkerRow},
    working_dir,
};

/// What is done once the node's lock is given back.
#[derive(Default)]
pub(super) struct Wishes {
    pub(super) out: Outbox,
    pub(super) spawn: Vec<Spawn>,
    pub(super) kill: Vec<u32>,
    pub(super) unpack: Vec<Unpack>,
}

/// A worker process to start.
pub(super) struct Spawn {
    pub(super) process: ProcessId,
    pub(super) job: JobId,
    pub(super) namespace: String,
    pub(super) log_filter: String,
    pub(super) executable: PathBuf,
    pub(super) args: Vec<OsString>,
    pub(super) variables: Variables,
    pub(super) arena: ArenaFiles,
    /// The variable that names its GPUs.
    pub(super) gpus: Option<(&'static str, String)>,
    pub(super) env: RuntimeEnv,
    /// Where it runs, when that is said.
    pub(super) folder: Option<PathBuf>,
    pub(super) oom_retries: i32,
}

impl NodeState {
    /// Carries out what the scheduler wishes, until it is still.
    pub(super) fn run_commands(&mut self, runtime: &Arc<Runtime>, wishes: &mut Wishes) {
        while let Some(command) = self.scheduler.poll_command() {
            self.run_command(command, runtime, wishes);
        }
        self.start_waiting(runtime, wishes);
    }

    /// Tells the control role when what is free, or the number of workers, has changed.
    pub(super) fn tell_control(&mut self, runtime: &Arc<Runtime>, out: &mut Outbox) {
        let workers = self.workers.len();
        if let Some(report) = self
            .placements
            .poll_report(&self.scheduler, workers, runtime.now())
        {
            out.push((
                runtime.control_process(),
                Message::NodeView {
                    report,
                    workers: self
                        .workers
                        .iter()
                        .map(|(process, worker)| WorkerRow {
                            process: *process,
                            job: worker.job,
                            pid: worker.pid,
                            addr: worker.addr,
                        })
                        .collect(),
                },
            ));
        }
    }

    fn run_command(&mut self, command: Command, runtime: &Arc<Runtime>, wishes: &mut Wishes) {
        let now = runtime.now();
        match command {
            Command::Grant {
                requester,
                request,
                lease,
                worker,
                actor,
                devices,
                ..
            } => {
                let Some(addr) = self.workers.get(&worker).and_then(|worker| worker.addr) else {
                    return self.scheduler.return_lease(lease, now);
                };
                let was_placed = self
                    .placements
                    .on_answered(requester, request, actor.is_some());
                let request = request.0;
                let devices: Vec<u32> = devices.iter().map(|device| device.index).collect();
                if let Some(worker) = self.workers.get_mut(&worker) {
                    worker.hosting = actor.as_ref().map(|actor| Hosting {
                        actor: *actor,
                        lease,
                        devices: devices.clone(),
                        incarnation: None,
                    });
                }
                let granted = match actor {
                    Some(_) => Message::ActorPlaced {
                        request,
                        lease,
                        worker,
                        addr,
                        devices,
                    },
                    None => Message::LeaseGranted {
                        request,
                        lease,
                        worker,
                        addr,
                        devices,
                        was_placed,
                    },
                };
                wishes.out.push((requester, granted));
            }
            Command::Refuse {
                requester,
                request,
                failure,
                actor,
                ..
            } => {
                let was_placed = self
                    .placements
                    .on_answered(requester, request, actor.is_some());
                let request = request.0;
                let refused = match actor {
                    Some(_) => Message::ActorPlaceRefused { request, failure },
                    None => Message::LeaseRefused {
                        request,
                        failure,
                        was_placed,
                    },
                };
                wishes.out.push((requester, refused));
            }
            Command::SpawnWorker { job, gpus, env } => {
                if self.shutting_down {
                    return;
                }
                let process = runtime.fresh_process_id();
                self.scheduler.on_spawn_started(process, job, now);
                self.workers.insert(
                    process,
                    Worker {
                        job,
                        gpus,
                        env,
                        pid: 0,
                        addr: None,
                        ready: false,
                        evicted_from: None,
                        out_of_memory: None,
                        ending: None,
                        hosting: None,
                    },
                );
                match self.jobs.get_mut(&job) {
                    Some(found) => found.waiting.push(process),
                    None => {
                        tracing::error!(%job, "a worker was asked for by a job that is not known here");
                        self.workers.remove(&process);
                        self.scheduler.on_spawn_failed(process, now);
                    }
                }
            }
            Command::RecallLease { requester, lease } => {
                wishes.out.push((requester, Message::RecallLease { lease }));
            }
            Command::StopWorker { process } => {
                if let Some(worker) = self.workers.get_mut(&process) {
                    worker.ends(ExitKind::IntendedSystemExit, "it was idle");
                }
                wishes.out.push((process, Message::StopIdle))
            }
            Command::Tell(notice) => {
                tracing::error!(?notice, "a node that is alone has nobody to tell");
            }
            Command::EvictWorker { process, group } => {
                if let Some(worker) = self.workers.get_mut(&process) {
                    worker.evicted_from = Some(group);
                    let detail = format!("its placement group {group} was removed");
                    worker.ends(ExitKind::IntendedSystemExit, detail);
                    wishes.kill.push(worker.pid);
                }
            }
            Command::KillWorker { process } => {
                if let Some(worker) = self.workers.get_mut(&process) {
                    let detail = "the process or the job that it worked for has ended";
                    worker.ends(ExitKind::IntendedSystemExit, detail);
                    wishes.kill.push(worker.pid);
                }
            }
        }
    }

    /// Starts the workers whose code is here; asks for the code of the others.
    fn start_waiting(&mut self, runtime: &Arc<Runtime>, wishes: &mut Wishes) {
        let mut failed = Vec::new();
        let mut without_folder = Vec::new();
        for (id, job) in &mut self.jobs {
            if job.waiting.is_empty() && !job.is_code_wanted {
                continue;
            }
            if matches!(job.code, Code::Absent) {
                job.code = Code::begin(&job.spec.executable, self.settings.cache.folder());
                if matches!(job.code, Code::Arriving(_)) {
                    let first = Message::Executables(ExecutableMessage::Fetch {
                        job: *id,
                        hash: job.spec.executable.hash,
                        offset: 0,
                    });
                    wishes.out.push((job.spec.driver, first));
                }
            }
            match &job.code {
                Code::Absent | Code::Arriving(_) => {}
                Code::Broken(reason) => {
                    tracing::error!(%reason, job = %id, "a job's executable cannot be had");
                    failed.append(&mut job.waiting);
                }
                Code::Here(executable) => {
                    for process in std::mem::take(&mut job.waiting) {
                        let Some(worker) = self.workers.get(&process) else {
                            continue;
                        };
                        let gpus = self.settings.gpus.variable(&worker.gpus);
                        let env = worker.env.clone();
                        let folder = match env.folder().map(working_dir::named) {
                            None => None,
                            Some(Ok(None)) => env.folder().map(PathBuf::from),
                            Some(Ok(Some(archive))) => match self.folders.find(
                                (*id, &archive),
                                runtime.control_process(),
                                &mut wishes.out,
                                &mut wishes.unpack,
                            ) {
                                Where::Here(path) => Some(path),
                                Where::Soon => {
                                    job.waiting.push(process);
                                    continue;
                                }
                                Where::Nowhere(reason) => {
                                    without_folder.push((process, reason));
                                    continue;
                                }
                            },
                            Some(Err(reason)) => {
                                without_folder.push((process, reason));
                                continue;
                            }
                        };
                        match job.arena_files.try_clone() {
                            Ok(arena) => wishes.spawn.push(Spawn {
                                process,
                                job: *id,
                                namespace: job.spec.namespace.clone(),
                                log_filter: job.spec.log_filter.clone(),
                                executable: executable.clone(),
                                args: job.args(),
                                variables: job.spec.env.clone(),
                                arena,
                                gpus,
                                env,
                                folder,
                                oom_retries: job.spec.oom_retries,
                            }),
                            Err(error) => {
                                tracing::error!(%error, "no descriptor is left for a worker");
                                failed.push(process);
                            }
                        }
                    }
                }
            }
        }
        for process in failed {
            self.workers.remove(&process);
            self.scheduler.on_spawn_failed(process, runtime.now());
        }
        for (process, reason) in without_folder {
            self.on_no_folder(process, &reason, runtime.now());
        }
    }
}
