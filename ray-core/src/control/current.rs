//! The note that a head leaves for its own user: where it is and a token to ask it with.
//!
//! `$XDG_RUNTIME_DIR/ray-rs/current.json`, or `ray-rs-<uid>/current.json` in the temporary folder. The
//! folder is 0700 and the file 0600; on both sides it is checked that they belong to this user, since
//! anybody can make a folder of that name in a shared temporary folder.

use std::{
    fs,
    io::{self, ErrorKind, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use super::{client::Client, token::Token};
use crate::{Error, Result};

/// The cluster whose head runs on this machine, as its user's other processes find it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Current {
    /// Where the front desk listens.
    pub address: String,
    /// A token that may do everything.
    pub token: Token,
    /// The head's process.
    pub pid: u32,
    /// The head's folder, with its logs.
    pub run_dir: PathBuf,
}

/// What the file holds.
#[derive(Serialize, Deserialize)]
struct Note {
    address: String,
    token: String,
    pid: u32,
    run_dir: PathBuf,
}

impl Current {
    /// Reads the note; `None` when no head of this user left one.
    ///
    /// # Errors
    /// A note that somebody else could have written.
    pub fn find() -> Result<Option<Current>> {
        Current::find_in(&folder())
    }

    /// Leaves the note; a former one is replaced.
    ///
    /// # Errors
    /// What the file system refused, or a folder of somebody else.
    pub(crate) fn publish(&self) -> Result<()> {
        self.publish_in(&folder())
    }

    /// Takes the note away, unless it is that of another head.
    pub fn withdraw(&self) {
        self.withdraw_in(&folder());
    }

    /// Returns a client of this cluster.
    pub fn client(&self) -> Client {
        Client::new(self.address.clone(), self.token.clone())
    }

    fn find_in(folder: &Path) -> Result<Option<Current>> {
        let path = folder.join(FILE);
        let read = || -> io::Result<Note> {
            check_owner(&fs::symlink_metadata(folder)?, 0o077)?;
            let mut file = fs::OpenOptions::new()
                .read(true)
                .custom_flags(OFlags::NOFOLLOW.bits() as i32)
                .open(&path)?;
            check_owner(&file.metadata()?, 0o077)?;
            let mut text = String::new();
            file.read_to_string(&mut text)?;
            Ok(serde_json::from_str(&text)?)
        };
        match read() {
            Ok(note) => Ok(Some(Current {
                address: note.address,
                token: note.token.parse()?,
                pid: note.pid,
                run_dir: note.run_dir,
            })),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(&path, &error)),
        }
    }

    fn publish_in(&self, folder: &Path) -> Result<()> {
        let path = folder.join(FILE);
        let note = Note {
            address: self.address.clone(),
            token: self.token.expose(),
            pid: self.pid,
            run_dir: self.run_dir.clone(),
        };
        let write = || -> io::Result<()> {
            private_folder(folder)?;
            let fresh = folder.join(format!("{FILE}.{}", std::process::id()));
            fs::remove_file(&fresh).ok();
            let mut file = fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&fresh)?;
            file.write_all(&serde_json::to_vec(&note)?)?;
            fs::rename(&fresh, &path)
        };
        write().map_err(|error| failed(&path, &error))
    }

    fn withdraw_in(&self, folder: &Path) {
        if let Ok(Some(found)) = Current::find_in(folder)
            && found.pid == self.pid
        {
            fs::remove_file(folder.join(FILE)).ok();
        }
    }
}

const FILE: &str = "current.json";

fn folder() -> PathBuf {
    match std::env::var_os("XDG_RUNTIME_DIR") {
        Some(dir) if Path::new(&dir).is_absolute() => Path::new(&dir).join("ray-rs"),
        _ => temporary_folder(),
    }
}

/// Returns this user's folder for what need not outlive the machine's next start.
pub(crate) fn temporary_folder() -> PathBuf {
    std::env::temp_dir().join(format!("ray-rs-{}", uid()))
}

/// Makes a folder that only this user may enter, or checks that the one there is so.
///
/// # Errors
/// What the file system refused, or a folder that somebody else made or may enter.
pub(crate) fn private_folder(folder: &Path) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        other => other?,
    }
    check_owner(&fs::symlink_metadata(folder)?, 0o077)
}

fn uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

fn check_owner(facts: &fs::Metadata, forbidden: u32) -> io::Result<()> {
    if facts.uid() != uid() || facts.mode() & forbidden != 0 || facts.is_symlink() {
        return Err(io::Error::new(
            ErrorKind::PermissionDenied,
            format!(
                "it belongs to user {} with mode {:o}, so somebody else could have written it; remove it",
                facts.uid(),
                facts.mode() & 0o777
            ),
        ));
    }
    Ok(())
}

fn failed(path: &Path, error: &io::Error) -> Error {
    Error::System(format!(
        "{}: {error}; it says where your head is, and is written anew by `ray start --head`",
        path.display()
    ))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn current(pid: u32) -> Current {
        Current {
            address: "127.0.0.1:6379".into(),
            token: Token::generate([1; 32]).expect("randomness"),
            pid,
            run_dir: "/tmp/run".into(),
        }
    }

    #[test]
    fn a_head_is_found_until_it_goes() {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = dir.path().join("ray-rs");
        assert_eq!(Current::find_in(&folder).ok(), Some(None));
        let (first, second) = (current(1), current(2));
        first.publish_in(&folder).expect("mine");
        second.publish_in(&folder).expect("mine");
        assert_eq!(Current::find_in(&folder).ok(), Some(Some(second.clone())));
        // The note is the second's by now.
        first.withdraw_in(&folder);
        assert!(Current::find_in(&folder).expect("mine").is_some());
        second.withdraw_in(&folder);
        assert_eq!(Current::find_in(&folder).ok(), Some(None));
    }

    #[test]
    fn a_note_that_others_could_have_written_is_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = dir.path().join("ray-rs");
        current(1).publish_in(&folder).expect("mine");
        let file = folder.join(FILE);
        let mode = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("mine");
        };
        mode(&file, 0o622);
        assert!(Current::find_in(&folder).is_err());
        mode(&file, 0o600);
        assert!(Current::find_in(&folder).is_ok());
        mode(&folder, 0o777);
        assert!(Current::find_in(&folder).is_err());
        assert!(current(2).publish_in(&folder).is_err());
    }
}
