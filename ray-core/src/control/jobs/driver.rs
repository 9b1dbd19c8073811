//! The process of a submitted job: started in a group of its own, its output in a file, watched to its end.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::{fs::OpenOptionsExt as _, process::CommandExt as _, process::ExitStatusExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal};

use super::request::JobRequest;
use crate::{control::current::private_folder, working_dir};

/// What a job's process is started with.
pub(super) struct Launch {
    pub request: JobRequest,
    /// The checked copy of the program.
    pub executable: PathBuf,
    pub log: PathBuf,
    /// The folder of its own, for when the submitter named none.
    pub folder: PathBuf,
    /// The directory that was sent with it, for its own folder.
    pub archive: Option<PathBuf>,
    /// Set by the head: where the cluster is and what lets the program in.
    pub variables: Vec<(&'static str, String)>,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Exit {
    pub code: Option<i32>,
    pub signal: Option<i32>,
}

impl Launch {
    /// Starts the process.
    ///
    /// # Errors
    /// A text for the person who submitted it.
    pub(super) fn start(&self) -> Result<Child, String> {
        let log = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&self.log)
            .map_err(|error| {
                format!("its log {} cannot be written: {error}", self.log.display())
            })?;
        let folder = match &self.request.working_dir {
            Some(folder) => PathBuf::from(folder),
            None => {
                let above = self.folder.parent().unwrap_or(Path::new("/"));
                let refused = |error| format!("{} cannot be made: {error}", self.folder.display());
                private_folder(above).map_err(refused)?;
                match &self.archive {
                    Some(archive) => working_dir::unpack(archive, &self.folder)
                        .map_err(|reason| format!("its working directory: {reason}"))?,
                    None => private_folder(&self.folder).map_err(refused)?,
                }
                self.folder.clone()
            }
        };
        if !folder.is_dir() {
            return Err(format!(
                "its working folder {} is not there on the head's machine",
                folder.display()
            ));
        }
        let failed = |error: io::Error| {
            // What people see first when a program was built for another system.
            format!("`{}` could not be started: {error}", self.request.program)
        };
        let errors = log.try_clone().map_err(failed)?;
        let mut command = Command::new(&self.executable);
        command
            .arg0(&self.request.program)
            .args(&self.request.args)
            .envs(&self.request.env)
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .process_group(0);
        command.spawn().map_err(failed)
    }

    /// Adds a line of the head's own to the job's output.
    pub(super) fn note(&self, text: &str) {
        let file = OpenOptions::new().append(true).create(true).open(&self.log);
        let written = file.and_then(|mut file| writeln!(file, "ray: {text}"));
        if let Err(error) = written {
            tracing::warn!(%error, "a job's log cannot be written");
        }
    }
}

/// Waits for the end of a process, and ends what it left behind.
pub(super) fn wait(mut child: Child) -> Exit {
    let pid = child.id();
    let status = child.wait();
    signal_group(pid, Signal::KILL);
    match status {
        Ok(status) => Exit {
            code: status.code(),
            signal: status.signal(),
        },
        Err(error) => {
            tracing::error!(%error, pid, "a job's process cannot be waited for");
            Exit::default()
        }
    }
}

/// Sends a signal to a process and what it started; one that is gone is no error.
pub(super) fn signal_group(pid: u32, signal: Signal) {
    if let Some(group) = i32::try_from(pid).ok().and_then(Pid::from_raw)
        && let Err(error) = rustix::process::kill_process_group(group, signal)
        && error != rustix::io::Errno::SRCH
    {
        tracing::error!(%error, pid, "a job's process cannot be sent a signal");
    }
}

/// Returns when the system started a process, in its own ticks; `None` when there is none.
pub(super) fn started_at(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything; the 20th word after it is the start.
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.split(' ').nth(19)?.parse().ok()
}
