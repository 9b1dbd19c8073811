//! Who was let in, who was refused, who changed what: one JSON object a line, kept beside the logs.
//!
//! Anybody can make the desk refuse, so refusals are written at a bounded rate and the file has a
//! limit, past which it becomes the one file before it.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    net::SocketAddr,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use parking_lot::Mutex;
use serde::Serialize;

use super::{
    protocol::{Command, RefusalCode},
    token::Role,
    token_book::WallSeconds,
};

/// The file's name inside the log folder.
const FILE: &str = "audit.jsonl";
/// What the one before it is called.
const FORMER: &str = "audit.1.jsonl";
/// The file grows to this; bytes.
const BYTES_MAX: u64 = 16 << 20;
/// Refusals written a second; more are counted.
const REFUSALS_PER_SECOND: u32 = 20;

/// Something that happened at the desk.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(super) enum Event<'a> {
    /// A process was let in.
    Joined {
        role: Role,
        node_name: &'a str,
        token_id: String,
        process: String,
    },
    /// A request was refused.
    Refused {
        code: RefusalCode,
        reason: &'a str,
        /// Refusals since the last line that were too many to write.
        unwritten: u64,
    },
    /// A command was carried out, or failed.
    Command {
        command: &'a Command,
        token_id: String,
        done: bool,
    },
}

#[derive(Serialize)]
struct Line<'a> {
    time_s: WallSeconds,
    from: SocketAddr,
    #[serde(flatten)]
    event: Event<'a>,
}

/// The file, and the rate of refusals.
pub(super) struct Audit {
    folder: PathBuf,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    file: Option<(File, u64)>,
    second: u64,
    refusals: u32,
    unwritten: u64,
}

impl Audit {
    pub(super) fn new(folder: &Path) -> Audit {
        Audit {
            folder: folder.to_owned(),
            state: Mutex::default(),
        }
    }

    /// Writes a refusal down, unless there were many within this second; returns whether it did.
    pub(super) fn refused(
        &self,
        now: WallSeconds,
        from: SocketAddr,
        code: RefusalCode,
        reason: &str,
    ) -> bool {
        let mut state = self.state.lock();
        if state.second != now.0 {
            (state.second, state.refusals) = (now.0, 0);
        }
        if state.refusals >= REFUSALS_PER_SECOND {
            state.unwritten += 1;
            return false;
        }
        state.refusals += 1;
        let unwritten = std::mem::take(&mut state.unwritten);
        let event = Event::Refused {
            code,
            reason,
            unwritten,
        };
        self.append(&mut state, now, from, event);
        true
    }

    /// Writes an event down.
    pub(super) fn note(&self, now: WallSeconds, from: SocketAddr, event: Event<'_>) {
        self.append(&mut self.state.lock(), now, from, event);
    }

    /// An audit that fails must not take the desk down: the log says so instead.
    fn append(&self, state: &mut State, time_s: WallSeconds, from: SocketAddr, event: Event<'_>) {
        let line = Line {
            time_s,
            from,
            event,
        };
        let written = serde_json::to_vec(&line)
            .map_err(io::Error::from)
            .and_then(|mut line| {
                line.push(b'\n');
                self.write(state, &line)
            });
        if let Err(error) = written {
            tracing::error!(%error, "the audit file could not be written");
            state.file = None;
        }
    }

    fn write(&self, state: &mut State, line: &[u8]) -> io::Result<()> {
        let path = self.folder.join(FILE);
        if state
            .file
            .as_ref()
            .is_some_and(|(_, bytes)| *bytes >= BYTES_MAX)
        {
            state.file = None;
            std::fs::rename(&path, self.folder.join(FORMER))?;
        }
        let (file, bytes) = match &mut state.file {
            Some(open) => open,
            none => {
                let file = OpenOptions::new()
                    .append(true)
                    .create(true)
                    .mode(0o600)
                    .open(&path)?;
                let bytes = file.metadata()?.len();
                none.insert((file, bytes))
            }
        };
        *bytes += line.len() as u64;
        file.write_all(line)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn from() -> SocketAddr {
        (Ipv4Addr::LOCALHOST, 1).into()
    }

    fn lines(folder: &Path, file: &str) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(folder.join(file)).expect("a file");
        let parse = |line| serde_json::from_str(line).expect("JSON");
        text.lines().map(parse).collect()
    }

    #[test]
    fn a_flood_of_refusals_is_counted_and_not_written() {
        let dir = tempfile::tempdir().expect("a folder");
        let audit = Audit::new(dir.path());
        let refuse = |second| {
            audit.refused(
                WallSeconds(second),
                from(),
                RefusalCode::Token,
                "no such token",
            )
        };
        let written = (0..100).filter(|_| refuse(7)).count();
        assert_eq!(written, REFUSALS_PER_SECOND as usize);
        assert!(refuse(8));
        let lines = lines(dir.path(), FILE);
        assert_eq!(lines.len(), written + 1);
        assert_eq!(lines[0]["event"], "refused");
        assert_eq!(lines[0]["unwritten"], 0);
        assert_eq!(lines[written]["unwritten"], 80);
        assert_eq!(lines[written]["time_s"], 8);
    }

    #[test]
    fn a_file_at_its_limit_becomes_the_former_one() {
        let dir = tempfile::tempdir().expect("a folder");
        let audit = Audit::new(dir.path());
        let join = |name: &str| {
            let event = Event::Joined {
                role: Role::Node,
                node_name: name,
                token_id: "1".into(),
                process: "p1".into(),
            };
            audit.note(WallSeconds(1), from(), event);
        };
        join("first");
        let large = File::options().write(true).open(dir.path().join(FILE));
        large
            .and_then(|file| file.set_len(BYTES_MAX))
            .expect("a sparse file");
        // Another head that opens it sees how large it is.
        let audit = Audit::new(dir.path());
        let command = Command::ListTokens;
        for _ in 0..2 {
            let event = Event::Command {
                command: &command,
                token_id: "1".into(),
                done: true,
            };
            audit.note(WallSeconds(2), from(), event);
        }
        let former = std::fs::metadata(dir.path().join(FORMER)).expect("kept");
        assert!(former.len() > BYTES_MAX);
        let now = lines(dir.path(), FILE);
        assert_eq!(now.len(), 1);
        assert_eq!(now[0]["command"], "ListTokens");
    }
}
