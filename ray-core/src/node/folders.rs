//! Working directories that are sent: fetched by hash from the control role's node, unpacked once for each job here.
//!
//! An archive lies in the cache beside the executables. It is unpacked by a thread of its own into a directory that
//! goes with the job. What could not be had is asked for again by the next work that wants it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use ray_engine::{
    failure::Failure,
    ids::{JobId, ProcessId},
    time::Time,
};

use super::{
    NodeRole, NodeState, Outbox,
    jobs::{self, Code, Progress},
};
use crate::{
    runtime::{
        Runtime,
        executables::{ExecutableUse, Executables},
    },
    wire::{Content, FolderMessage, Message},
    working_dir,
};

type Key = (JobId, [u8; 32]);

/// The directories of jobs on this node.
pub(super) struct Folders {
    cache: Arc<Executables>,
    /// Where they are unpacked; nobody else writes there.
    unpacked: PathBuf,
    known: BTreeMap<Key, Folder>,
}

struct Folder {
    archive: Content,
    code: Code,
    /// Who sends it, while it arrives.
    source: ProcessId,
    /// Keeps the archive in the cache.
    _use: ExecutableUse,
    /// Whether the control role's node has it too.
    is_kept: bool,
    /// Processes of this node that wait until it is.
    offers: Vec<(ProcessId, u64)>,
    /// Nodes that wait until it is here.
    keepers: Vec<ProcessId>,
    fetchers: Vec<ProcessId>,
    there: Unpacked,
}

enum Unpacked {
    No,
    /// A thread is at it.
    Soon,
    Yes(Directory),
}

/// An unpacked directory, which is removed with this.
pub(super) struct Directory(PathBuf);

/// A wish to unpack an archive, once the node's lock is given back.
pub(super) struct Unpack {
    key: Key,
    archive: PathBuf,
    directory: PathBuf,
}

/// Where the directory of a worker is.
pub(super) enum Where {
    Here(PathBuf),
    /// It comes.
    Soon,
    Nowhere(String),
}

impl Folders {
    /// Returns no directories; what an earlier life of this node had unpacked is removed.
    pub(super) fn new(cache: Arc<Executables>, run_dir: &Path, here: ProcessId) -> Folders {
        let unpacked = working_dir::unpacked_in(run_dir).join(format!("{:x}", here.0));
        if unpacked.exists() {
            let aside = unpacked.with_extension("old");
            match fs::rename(&unpacked, &aside) {
                Ok(()) => drop(Directory(aside)),
                Err(error) => tracing::warn!(%error, "directories of an earlier life stay"),
            }
        }
        Folders {
            cache,
            unpacked,
            known: BTreeMap::new(),
        }
    }

    fn entry(&mut self, job: JobId, archive: &Content, source: ProcessId) -> &mut Folder {
        let cache = &self.cache;
        self.known.entry((job, archive.hash)).or_insert_with(|| {
            let hash = blake3::Hash::from_bytes(archive.hash).to_hex();
            Folder {
                archive: archive.clone(),
                _use: cache.using(&hash),
                code: Code::begin(archive, cache.folder()),
                source,
                is_kept: false,
                offers: Vec::new(),
                keepers: Vec::new(),
                fetchers: Vec::new(),
                there: Unpacked::No,
            }
        })
    }

    /// Returns where the directory of a worker is; asks for what is not here.
    pub(super) fn find(
        &mut self,
        (job, archive): (JobId, &Content),
        control: ProcessId,
        out: &mut Outbox,
        unpack: &mut Vec<Unpack>,
    ) -> Where {
        let key = (job, archive.hash);
        let is_new = !self.known.contains_key(&key);
        let directory = self.unpacked.join(directory_of(key));
        let folder = self.entry(job, archive, control);
        match (&folder.code, &folder.there) {
            (_, Unpacked::Yes(directory)) => return Where::Here(directory.0.clone()),
            (Code::Here(archive), Unpacked::No) => {
                let archive = archive.clone();
                folder.there = Unpacked::Soon;
                unpack.push(Unpack {
                    key,
                    archive,
                    directory,
                });
            }
            (Code::Arriving(_), _) if is_new => out.push(fetch(key, control, 0)),
            (Code::Broken(reason), _) => {
                let reason = reason.clone();
                self.known.remove(&key);
                return Where::Nowhere(reason);
            }
            _ => {}
        }
        Where::Soon
    }

    /// A process of this node, or another node, has an archive that is to be kept for all.
    fn on_message(
        &mut self,
        from: ProcessId,
        message: FolderMessage,
        (here, control): (ProcessId, ProcessId),
        out: &mut Outbox,
    ) -> Option<(Key, String)> {
        match message {
            FolderMessage::Offer {
                request,
                job,
                archive,
            } => {
                let folder = self.entry(job, &archive, from);
                if !matches!(folder.code, Code::Here(_)) {
                    let reason = "it is not in the cache of its node any more";
                    let key = (job, archive.hash);
                    folder.offers.push((from, request));
                    return Some((key, reason.into()));
                }
                if folder.is_kept || here == control {
                    out.push(offered((from, request), Ok(())));
                } else {
                    if folder.offers.is_empty() {
                        let keep = FolderMessage::Keep { job, archive };
                        out.push((control, Message::Folders(keep)));
                    }
                    folder.offers.push((from, request));
                }
            }
            FolderMessage::Keep { job, archive } => {
                let key = (job, archive.hash);
                let is_new = !self.known.contains_key(&key);
                let folder = self.entry(job, &archive, from);
                folder.keepers.push(from);
                match &folder.code {
                    Code::Here(_) => folder.tell_keepers(key, &Ok(()), out),
                    Code::Broken(reason) => return Some((key, reason.clone())),
                    _ if is_new => out.push(fetch(key, from, 0)),
                    _ => {}
                }
            }
            FolderMessage::Kept { job, hash, outcome } if from == control => {
                if let Some(folder) = self.known.get_mut(&(job, hash)) {
                    folder.is_kept = outcome.is_ok();
                    for offer in std::mem::take(&mut folder.offers) {
                        out.push(offered(offer, outcome.clone()));
                    }
                }
            }
            FolderMessage::Fetch { job, hash, offset } => {
                let folder = self.known.get_mut(&(job, hash));
                if let Some(folder) = folder
                    && matches!(folder.code, Code::Arriving(_))
                {
                    folder.fetchers.push(from);
                } else {
                    let path = jobs::cached(self.cache.folder(), hash);
                    out.push(part((job, hash), from, &path, offset));
                }
            }
            FolderMessage::Part {
                job,
                hash,
                offset,
                bytes,
            } => {
                let key = (job, hash);
                let folder = self.known.get_mut(&key)?;
                let Code::Arriving(arriving) = &mut folder.code else {
                    return None;
                };
                if folder.source != from {
                    return None;
                }
                match arriving.take(offset, &bytes) {
                    Ok(Progress::GoOn(offset)) => out.push(fetch(key, from, offset)),
                    Ok(Progress::Done(path)) => {
                        for fetcher in std::mem::take(&mut folder.fetchers) {
                            out.push(part(key, fetcher, &path, 0));
                        }
                        folder.code = Code::Here(path);
                        folder.tell_keepers(key, &Ok(()), out);
                    }
                    Err(reason) => return Some((key, reason)),
                }
            }
            FolderMessage::Kept { .. } | FolderMessage::Offered { .. } => {}
        }
        None
    }

    /// A directory cannot be had: whoever waits for it elsewhere is told.
    fn on_broken(&mut self, key: Key, reason: &str, out: &mut Outbox) {
        tracing::error!(%reason, job = %key.0, "a job's working directory cannot be had");
        let Some(mut folder) = self.known.remove(&key) else {
            return;
        };
        let outcome = Err(reason.to_owned());
        folder.tell_keepers(key, &outcome, out);
        for offer in std::mem::take(&mut folder.offers) {
            out.push(offered(offer, outcome.clone()));
        }
        for fetcher in std::mem::take(&mut folder.fetchers) {
            // Nothing of it stands for none.
            out.push(part(key, fetcher, Path::new(""), 0));
        }
    }

    /// Returns the directories that were on their way from a node that is gone.
    fn coming_from(&self, node: ProcessId) -> Vec<Key> {
        let is_lost =
            |folder: &Folder| folder.source == node && matches!(folder.code, Code::Arriving(_));
        let lost = self.known.iter().filter(|(_, folder)| is_lost(folder));
        lost.map(|(key, _)| *key).collect()
    }

    /// A head that was started again is asked anew for what it had not done.
    pub(super) fn on_new_control(&mut self, control: ProcessId, out: &mut Outbox) {
        for (key, folder) in &mut self.known {
            if !folder.offers.is_empty() {
                let archive = folder.archive.clone();
                let keep = FolderMessage::Keep {
                    job: key.0,
                    archive,
                };
                out.push((control, Message::Folders(keep)));
            }
            if let Code::Arriving(arriving) = &folder.code
                && folder.source == control
            {
                out.push(fetch(*key, control, arriving.got()));
            }
        }
    }

    /// A job is over here: its directories go.
    pub(super) fn forget(&mut self, job: JobId) {
        self.known.retain(|(of, _), _| *of != job);
    }
}

impl Folder {
    fn tell_keepers(&mut self, key: Key, outcome: &Result<(), String>, out: &mut Outbox) {
        for node in std::mem::take(&mut self.keepers) {
            let kept = FolderMessage::Kept {
                job: key.0,
                hash: key.1,
                outcome: outcome.clone(),
            };
            out.push((node, Message::Folders(kept)));
        }
    }
}

impl NodeState {
    /// Something is said about a working directory.
    pub(super) fn on_folder_message(
        &mut self,
        from: ProcessId,
        message: FolderMessage,
        (runtime, now): (&Arc<Runtime>, Time),
        out: &mut Outbox,
    ) {
        let ends = (runtime.process(), runtime.control_process());
        if let Some((key, reason)) = self.folders.on_message(from, message, ends, out) {
            self.on_folder_broken(key, &reason, now, out);
        }
    }

    /// A node is gone that directories were on their way from.
    pub(super) fn on_folder_source_gone(&mut self, node: ProcessId, now: Time, out: &mut Outbox) {
        for key in self.folders.coming_from(node) {
            let reason = format!("{node} is gone, from which it was on its way");
            self.on_folder_broken(key, &reason, now, out);
        }
    }

    fn on_folder_broken(&mut self, key: Key, reason: &str, now: Time, out: &mut Outbox) {
        self.folders.on_broken(key, reason, out);
        let (id, hash) = key;
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        let workers = &self.workers;
        let wants_it = |process: &mut ProcessId| {
            let worker = workers.get(process);
            let folder = worker.and_then(|worker| worker.env.folder());
            let archive = folder.and_then(|folder| working_dir::named(folder).ok()?);
            archive.is_some_and(|archive| archive.hash == hash)
        };
        let failed: Vec<ProcessId> = job.waiting.extract_if(.., wants_it).collect();
        for process in failed {
            self.on_no_folder(process, reason, now);
        }
    }

    /// A worker cannot be started for want of its directory.
    pub(super) fn on_no_folder(&mut self, process: ProcessId, reason: &str, now: Time) {
        let (node, name) = (process.node(), &self.settings.name);
        let text = format!(
            "field `working_dir`: the directory that was sent cannot be had: {reason} on node {node} ({name})"
        );
        self.workers.remove(&process);
        self.failed_start = Some(text.clone());
        self.scheduler
            .on_env_failed(process, Failure::RuntimeEnv(text), now);
    }
}

impl NodeRole {
    /// Unpacks an archive on a thread of its own.
    pub(super) fn unpack(&self, runtime: &Arc<Runtime>, wish: Unpack) {
        let Unpack {
            key,
            archive,
            directory,
        } = wish;
        let weak = Arc::downgrade(runtime);
        let begun = std::thread::Builder::new()
            .name("ray-unpack".into())
            .spawn(move || {
                let outcome = working_dir::unpack(&archive, &directory);
                let outcome = outcome.map(|()| Directory(directory));
                if let Some(runtime) = weak.upgrade()
                    && let Some(node) = &runtime.node_role
                {
                    node.on_unpacked(&runtime, key, outcome);
                }
            });
        if let Err(error) = begun {
            let reason = format!("no thread is left to unpack it: {error}");
            self.on_unpacked(runtime, key, Err(reason));
        }
    }

    fn on_unpacked(&self, runtime: &Arc<Runtime>, key: Key, outcome: Result<Directory, String>) {
        self.with_state(runtime, |state, out| match outcome {
            Ok(directory) => {
                // The job may be over: then it goes again.
                if let Some(folder) = state.folders.known.get_mut(&key) {
                    folder.there = Unpacked::Yes(directory);
                }
            }
            Err(reason) => state.on_folder_broken(key, &reason, runtime.now(), out),
        });
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let path = std::mem::take(&mut self.0);
        let remove = move || match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!(%error, path = %path.display(), "a working directory stays");
            }
            _ => {}
        };
        // Jobs end under locks. Without a thread it stays until the folder of the run goes.
        let _detached = std::thread::Builder::new()
            .name("ray-unpack".into())
            .spawn(remove);
    }
}

fn directory_of((job, hash): Key) -> String {
    let hash = blake3::Hash::from_bytes(hash).to_hex();
    format!("{job}-{}", &hash[..16])
}

fn fetch((job, hash): Key, from: ProcessId, offset: u64) -> (ProcessId, Message) {
    let fetch = FolderMessage::Fetch { job, hash, offset };
    (from, Message::Folders(fetch))
}

fn part((job, hash): Key, to: ProcessId, path: &Path, offset: u64) -> (ProcessId, Message) {
    let bytes = jobs::read_part(path, offset).unwrap_or_else(|error| {
        tracing::error!(%error, %job, "a job's working directory cannot be read");
        Vec::new()
    });
    let part = FolderMessage::Part {
        job,
        hash,
        offset,
        bytes,
    };
    (to, Message::Folders(part))
}

fn offered((to, request): (ProcessId, u64), outcome: Result<(), String>) -> (ProcessId, Message) {
    let offered = FolderMessage::Offered { request, outcome };
    (to, Message::Folders(offered))
}
