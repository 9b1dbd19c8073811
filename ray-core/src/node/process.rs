//! Worker processes: started, listened to, and noticed when they end.
//!
//! One thread starts all of them and lives as long as the node: the signal that ends a child with its
//! parent follows the thread that spawned it. A child gets its certificate and the arena over a socket
//! pair that is its standard input, never on a command line.

use std::{
    collections::{BTreeMap, VecDeque},
    ffi::OsString,
    io::{self, IoSlice, IoSliceMut, Read as _, Write as _},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::{net::UnixStream, process::CommandExt as _},
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, mpsc},
    thread::JoinHandle,
};

use parking_lot::Mutex;
use ray_engine::{env::RuntimeEnv, ids::ProcessId};
use rustix::{
    event::{EventfdFlags, PollFd, PollFlags},
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags,
    },
    process::{Pid, PidfdFlags, Signal},
};

use super::arena_files::ArenaFiles;
use crate::worker::panics::NAME_MARK;

/// Says to a child that it is a worker, and of whom.
const MARKER: &str = "RAY_WORKER";
/// Descriptors that go to a worker: of memory, and of the file where it goes on.
const ARENA_FILES_MAX: usize = 2;

/// What happens to worker processes.
pub(crate) enum ProcessEvent {
    Started {
        process: ProcessId,
        pid: u32,
    },
    StartFailed {
        process: ProcessId,
        error: io::Error,
    },
    /// What a process was to be started with cannot be had here.
    EnvFailed {
        process: ProcessId,
        reason: String,
    },
    Line {
        pid: u32,
        name: String,
        is_error: bool,
        text: String,
    },
    Exited {
        process: ProcessId,
        pid: u32,
        code: Option<i32>,
        signal: Option<i32>,
        last_stderr: String,
    },
}

/// A worker to start: its code and what it is handed.
pub(crate) struct Spawn {
    pub(crate) process: ProcessId,
    pub(crate) executable: PathBuf,
    pub(crate) args: Vec<OsString>,
    /// Variables that the submitter of its job gave.
    pub(crate) variables: Vec<(String, String)>,
    /// What goes over them.
    pub(crate) env: RuntimeEnv,
    /// Where it runs, when that is said.
    pub(crate) folder: Option<PathBuf>,
    pub(crate) blob: Vec<u8>,
    pub(crate) arena: ArenaFiles,
    /// The variable that names its GPUs.
    pub(crate) gpus: Option<(&'static str, String)>,
}

enum Request {
    Spawn(Box<Spawn>),
    Stop,
}

/// The thread that has the worker processes.
pub(crate) struct ProcessHost {
    requests: mpsc::Sender<Request>,
    wake: Arc<OwnedFd>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl ProcessHost {
    /// Starts the thread; `on_event` runs on it.
    pub(crate) fn start(
        on_event: impl FnMut(ProcessEvent) + Send + 'static,
    ) -> io::Result<ProcessHost> {
        let wake = Arc::new(rustix::event::eventfd(
            0,
            EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK,
        )?);
        let (requests, receiver) = mpsc::channel();
        let host = Host {
            children: BTreeMap::new(),
            on_event: Box::new(on_event),
        };
        let woken = wake.clone();
        let thread = std::thread::Builder::new()
            .name("ray-node".into())
            .spawn(move || host.run(&receiver, &woken))?;
        Ok(ProcessHost {
            requests,
            wake,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Starts a worker; its start or failure comes as an event.
    pub(crate) fn spawn(&self, spawn: Spawn) {
        self.send(Request::Spawn(Box::new(spawn)));
    }

    fn send(&self, request: Request) {
        if self.requests.send(request).is_err() {
            tracing::debug!("the process thread has ended");
        }
        // A full counter wakes as well.
        let _full = rustix::io::write(&*self.wake, &1_u64.to_ne_bytes());
    }

    /// Ends the thread; children that are left are killed.
    pub(crate) fn stop(&self) {
        self.send(Request::Stop);
        let thread = self.thread.lock().take();
        if let Some(thread) = thread
            && thread.thread().id() != std::thread::current().id()
            && thread.join().is_err()
        {
            tracing::error!("the process thread panicked");
        }
    }
}

/// Ends a process at once; one that has just ended is no error.
pub(crate) fn kill(pid: u32) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw)
        && let Err(error) = rustix::process::kill_process(pid, Signal::KILL)
        && error != rustix::io::Errno::SRCH
    {
        tracing::error!(%error, ?pid, "a process could not be ended");
    }
}

struct Host {
    children: BTreeMap<u32, Worker>,
    on_event: Box<dyn FnMut(ProcessEvent) + Send>,
}

struct Worker {
    process: ProcessId,
    child: Child,
    pidfd: OwnedFd,
    stdout: Output,
    stderr: Output,
    last_stderr: VecDeque<String>,
    /// Closing it is the child's sign that the node is gone.
    _channel: UnixStream,
}

/// One output stream of a child.
struct Output {
    pipe: Option<OwnedFd>,
    partial: Vec<u8>,
    /// Who prints at the moment.
    name: String,
    /// Whether the worker runs; what comes before is the test harness's.
    has_begun: bool,
    is_error: bool,
}

impl Host {
    fn run(mut self, requests: &mpsc::Receiver<Request>, wake: &OwnedFd) {
        loop {
            while let Ok(request) = requests.try_recv() {
                match request {
                    Request::Spawn(spawn) => self.spawn(*spawn),
                    Request::Stop => return self.end_all(),
                }
            }
            let ready = {
                let mut fds = vec![PollFd::from_borrowed_fd(wake.as_fd(), PollFlags::IN)];
                for worker in self.children.values() {
                    for fd in [
                        Some(worker.pidfd.as_fd()),
                        worker.stdout.fd(),
                        worker.stderr.fd(),
                    ]
                    .into_iter()
                    .flatten()
                    {
                        fds.push(PollFd::from_borrowed_fd(fd, PollFlags::IN));
                    }
                }
                match rustix::event::poll(&mut fds, None) {
                    Ok(_) | Err(rustix::io::Errno::INTR) => !fds[0].revents().is_empty(),
                    Err(error) => {
                        tracing::error!(%error, "worker processes cannot be watched any more");
                        return self.end_all();
                    }
                }
            };
            if ready {
                let mut count = [0; 8];
                // Empty already when two wakes met.
                let _empty = rustix::io::read(wake, &mut count);
            }
            self.collect();
        }
    }

    fn spawn(&mut self, spawn: Spawn) {
        let process = spawn.process;
        if let Some(reason) = spawn.folder.as_deref().and_then(unusable_folder) {
            return (self.on_event)(ProcessEvent::EnvFailed { process, reason });
        }
        match start(spawn) {
            Ok((child, pidfd, channel, stdout, stderr)) => {
                let pid = child.id();
                self.children.insert(
                    pid,
                    Worker {
                        process,
                        child,
                        pidfd,
                        stdout: Output::new(stdout, false),
                        stderr: Output::new(stderr, true),
                        last_stderr: VecDeque::new(),
                        _channel: channel,
                    },
                );
                (self.on_event)(ProcessEvent::Started { process, pid });
            }
            Err(error) => (self.on_event)(ProcessEvent::StartFailed { process, error }),
        }
    }

    /// Reads what was printed and notices who ended.
    fn collect(&mut self) {
        let mut events = Vec::new();
        let mut ended = Vec::new();
        for (pid, worker) in &mut self.children {
            let status = match worker.child.try_wait() {
                Ok(status) => status,
                Err(error) => {
                    tracing::error!(%error, pid, "a worker process cannot be waited for");
                    None
                }
            };
            worker.read_output(*pid, &mut events);
            if let Some(status) = status {
                worker.finish_output(*pid, &mut events);
                ended.push((*pid, status));
            }
        }
        for event in events {
            (self.on_event)(event);
        }
        for (pid, status) in ended {
            let Some(worker) = self.children.remove(&pid) else {
                continue;
            };
            // What user code started in the worker goes with it.
            end_group(pid);
            use std::os::unix::process::ExitStatusExt as _;
            (self.on_event)(ProcessEvent::Exited {
                process: worker.process,
                pid,
                code: status.code(),
                signal: status.signal(),
                last_stderr: Vec::from(worker.last_stderr).join("\n"),
            });
        }
    }

    fn end_all(mut self) {
        for (pid, worker) in &mut self.children {
            if let Err(error) = worker.child.kill() {
                tracing::debug!(%error, pid, "a worker had ended already");
            }
            if let Err(error) = worker.child.wait() {
                tracing::error!(%error, pid, "a worker process cannot be waited for");
            }
            end_group(*pid);
        }
        let mut events = Vec::new();
        for (pid, worker) in &mut self.children {
            worker.finish_output(*pid, &mut events);
        }
        for event in events {
            (self.on_event)(event);
        }
    }
}

fn end_group(pid: u32) {
    if let Some(group) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // Nobody left in the group is the usual case.
        let _nobody = rustix::process::kill_process_group(group, Signal::KILL);
    }
}

/// Returns why no process can run in a folder, if none can.
pub(crate) fn unusable_folder(folder: &Path) -> Option<String> {
    let look = || {
        let is_folder = std::fs::metadata(folder)?.is_dir();
        rustix::fs::access(folder, rustix::fs::Access::EXEC_OK)?;
        Ok::<_, io::Error>(is_folder)
    };
    let reason = match look() {
        Ok(true) => return None,
        Ok(false) => "it is no folder".to_owned(),
        Err(error) => error.to_string(),
    };
    Some(format!(
        "field `working_dir`: {} cannot be used: {reason}",
        folder.display()
    ))
}

type Started = (Child, OwnedFd, UnixStream, OwnedFd, OwnedFd);

fn start(spawn: Spawn) -> io::Result<Started> {
    let (mut ours, theirs) = UnixStream::pair()?;
    let mut command = Command::new(&spawn.executable);
    command
        .args(&spawn.args)
        .envs(spawn.variables.iter().map(|(name, value)| (name, value)))
        .envs(spawn.env.variables())
        .envs(spawn.gpus.clone())
        .env(MARKER, std::process::id().to_string())
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    if let Some(folder) = &spawn.folder {
        command.current_dir(folder);
    }
    let mut child = command.spawn()?;
    let handed = hand_over(&mut ours, &spawn).and_then(|()| {
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| io::Error::other("a process without an id"))?;
        let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty())?;
        let stdout = child
            .stdout
            .take()
            .ok_or_else(|| io::Error::other("no pipe"))?;
        let stderr = child
            .stderr
            .take()
            .ok_or_else(|| io::Error::other("no pipe"))?;
        let pipes = (OwnedFd::from(stdout), OwnedFd::from(stderr));
        rustix::io::ioctl_fionbio(&pipes.0, true)?;
        rustix::io::ioctl_fionbio(&pipes.1, true)?;
        Ok((pidfd, pipes))
    });
    match handed {
        Ok((pidfd, (stdout, stderr))) => Ok((child, pidfd, ours, stdout, stderr)),
        Err(error) => {
            child.kill()?;
            child.wait()?;
            Err(error)
        }
    }
}

fn hand_over(channel: &mut UnixStream, spawn: &Spawn) -> io::Result<()> {
    let len = u32::try_from(spawn.blob.len())
        .map_err(io::Error::other)?
        .to_le_bytes();
    let memory = spawn.arena.memory.as_fd();
    let file = spawn.arena.file.as_ref();
    let fds: Vec<_> = [memory]
        .into_iter()
        .chain(file.map(|file| file.as_fd()))
        .collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(ARENA_FILES_MAX))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !ancillary.push(SendAncillaryMessage::ScmRights(&fds)) {
        return Err(io::Error::other("no room for a descriptor"));
    }
    let sent = rustix::net::sendmsg(
        &*channel,
        &[IoSlice::new(&len)],
        &mut ancillary,
        SendFlags::NOSIGNAL,
    )?;
    if sent != len.len() {
        return Err(io::Error::other("the first message to a worker was cut"));
    }
    channel.write_all(&spawn.blob)
}

/// What a worker process was given.
pub(crate) struct Bootstrap {
    pub(crate) blob: Vec<u8>,
    pub(crate) arena: ArenaFiles,
}

/// Returns whether this process was started as a worker by its parent.
pub(crate) fn is_worker() -> bool {
    let parent = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get());
    let claimed = std::env::var(MARKER)
        .ok()
        .and_then(|pid| pid.parse::<i32>().ok());
    claimed.is_some() && claimed == parent
}

/// Takes what the parent hands over; from here on the process ends with its parent.
pub(crate) fn take_bootstrap() -> io::Result<Bootstrap> {
    let parent = rustix::process::getppid();
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    if rustix::process::getppid() != parent {
        return Err(io::Error::other(
            "the parent ended while this worker started",
        ));
    }
    let stdin = rustix::stdio::stdin();
    let channel = rustix::io::fcntl_dupfd_cloexec(stdin, 3)?;
    let null = std::fs::File::open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    let mut len = [0; 4];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(ARENA_FILES_MAX))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = rustix::net::recvmsg(
        &channel,
        &mut [IoSliceMut::new(&mut len)],
        &mut ancillary,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    if received.bytes != len.len() {
        return Err(io::Error::other("the parent's first message was cut"));
    }
    let mut fds = ancillary.drain().flat_map(|message| match message {
        RecvAncillaryMessage::ScmRights(fds) => fds.collect(),
        _ => Vec::new(),
    });
    let memory = fds.next();
    let arena = ArenaFiles {
        memory: memory.ok_or_else(|| io::Error::other("the parent sent no arena"))?,
        file: fds.next(),
    };
    drop(fds);
    let mut channel = UnixStream::from(channel);
    let mut blob = vec![0; u32::from_le_bytes(len) as usize];
    channel.read_exact(&mut blob)?;
    std::thread::Builder::new()
        .name("ray-parent".into())
        .spawn(move || {
            let mut byte = [0];
            // End of file, or an error: either way nobody is there any more.
            let _ended = channel.read(&mut byte);
            std::process::exit(1);
        })?;
    // Out of memory, the system should take workers before anything else of the user's.
    if let Err(error) = std::fs::write("/proc/self/oom_score_adj", "1000") {
        tracing::debug!(%error, "the worker keeps its OOM score");
    }
    Ok(Bootstrap { blob, arena })
}

impl Worker {
    fn read_output(&mut self, pid: u32, events: &mut Vec<ProcessEvent>) {
        for line in self.stdout.read(pid) {
            events.push(line);
        }
        for line in self.stderr.read(pid) {
            if let ProcessEvent::Line { text, .. } = &line {
                self.last_stderr.push_back(text.clone());
                if self.last_stderr.len() > LAST_LINES {
                    self.last_stderr.pop_front();
                }
            }
            events.push(line);
        }
    }

    fn finish_output(&mut self, pid: u32, events: &mut Vec<ProcessEvent>) {
        self.read_output(pid, events);
        for output in [&mut self.stdout, &mut self.stderr] {
            let rest = std::mem::take(&mut output.partial);
            if !rest.is_empty() && output.has_begun {
                events.push(output.line(pid, &String::from_utf8_lossy(&rest)));
            }
        }
    }
}

impl Output {
    fn new(pipe: OwnedFd, is_error: bool) -> Output {
        Output {
            pipe: Some(pipe),
            partial: Vec::new(),
            name: String::new(),
            has_begun: is_error,
            is_error,
        }
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.as_ref().map(AsFd::as_fd)
    }

    fn read(&mut self, pid: u32) -> Vec<ProcessEvent> {
        let mut lines = Vec::new();
        let mut buffer = [0; 8192];
        while let Some(pipe) = &self.pipe {
            match rustix::io::read(pipe, &mut buffer) {
                Ok(0) => self.pipe = None,
                Ok(count) => self.take(&buffer[..count], pid, &mut lines),
                Err(rustix::io::Errno::AGAIN) => break,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => {
                    tracing::debug!(%error, pid, "the output of a worker cannot be read");
                    self.pipe = None;
                }
            }
        }
        lines
    }

    fn take(&mut self, bytes: &[u8], pid: u32, lines: &mut Vec<ProcessEvent>) {
        self.partial.extend_from_slice(bytes);
        while let Some(end) = self.partial.iter().position(|byte| *byte == b'\n') {
            let line = self.partial.drain(..=end).collect::<Vec<_>>();
            let line = String::from_utf8_lossy(&line[..end]);
            if let Some((before, name)) = line.split_once(NAME_MARK) {
                if self.has_begun && !before.is_empty() {
                    lines.push(self.line(pid, before));
                }
                self.has_begun = true;
                self.name = name.to_owned();
            } else if self.has_begun {
                lines.push(self.line(pid, &line));
            }
        }
        if self.partial.len() > LINE_BYTES_MAX {
            let text = String::from_utf8_lossy(&std::mem::take(&mut self.partial)).into_owned();
            lines.push(self.line(pid, &text));
        }
    }

    fn line(&self, pid: u32, text: &str) -> ProcessEvent {
        ProcessEvent::Line {
            pid,
            name: self.name.clone(),
            is_error: self.is_error,
            text: text.to_owned(),
        }
    }
}

/// Lines of standard error that a crash report shows.
const LAST_LINES: usize = 50;
/// A longer line is shown in pieces; bytes.
const LINE_BYTES_MAX: usize = 64 << 10;
