//! The programs that a head or node keeps: those of jobs that run, and of others as many as there is room for.
//!
//! Each lies under the hash of its content. What no job uses any more is removed, the least recently used first,
//! while the folder is over its limit. That happens on a thread of its own, since jobs end under locks.

use std::{
    collections::{BTreeMap, VecDeque},
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use parking_lot::Mutex;

/// The folder, its limit, and who uses what of it.
pub(crate) struct Executables {
    folder: PathBuf,
    /// Bytes.
    limit: u64,
    users: Mutex<Users>,
}

#[derive(Default)]
struct Users {
    /// How many jobs use each.
    counts: BTreeMap<String, usize>,
    /// Those that somebody was just asked to send.
    expected: VecDeque<String>,
}

/// A use of a program; it is kept while this lives.
pub(crate) struct ExecutableUse {
    hash: String,
    executables: Arc<Executables>,
}

/// Programs that are awaited at once; older ones may go before their job comes.
const EXPECTED_MAX: usize = 16;

impl Executables {
    pub(crate) fn new(folder: PathBuf, limit: u64) -> Arc<Executables> {
        Arc::new(Executables {
            folder,
            limit,
            users: Mutex::default(),
        })
    }

    /// Returns the folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Keeps the program of a hash, in hexadecimal, from now on.
    pub(crate) fn using(self: &Arc<Self>, hash: &str) -> ExecutableUse {
        let mut users = self.users.lock();
        *users.counts.entry(hash.to_owned()).or_default() += 1;
        users.expected.retain(|expected| expected != hash);
        ExecutableUse {
            hash: hash.to_owned(),
            executables: self.clone(),
        }
    }

    /// Keeps a program that is about to come until its job uses it.
    pub(crate) fn expect(&self, hash: &str) {
        let mut users = self.users.lock();
        users.expected.retain(|expected| expected != hash);
        users.expected.push_back(hash.to_owned());
        if users.expected.len() > EXPECTED_MAX {
            users.expected.pop_front();
        }
    }

    /// Removes what nobody uses, the least recently used first, until the rest is within the limit.
    fn trim(&self) -> io::Result<()> {
        let users = self.users.lock();
        let is_used = |name: &str| {
            users.counts.contains_key(name) || users.expected.iter().any(|other| other == name)
        };
        let (mut total, mut unused) = (0, Vec::new());
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let facts = entry.metadata()?;
            // What is on its way has another name.
            if name.len() != 64 || !facts.is_file() {
                continue;
            }
            total += facts.len();
            if !is_used(&name) {
                unused.push((facts.modified()?, name, facts.len()));
            }
        }
        unused.sort_unstable();
        for (_, name, bytes) in unused {
            if total <= self.limit {
                break;
            }
            fs::remove_file(self.folder.join(&name))?;
            tracing::info!(
                name,
                bytes,
                "a program that no job uses any more was removed"
            );
            total -= bytes;
        }
        Ok(())
    }
}

impl Drop for ExecutableUse {
    fn drop(&mut self) {
        {
            let mut users = self.executables.users.lock();
            if let Some(count) = users.counts.get_mut(&self.hash) {
                *count -= 1;
                if *count == 0 {
                    users.counts.remove(&self.hash);
                }
            }
        }
        let (executables, hash) = (self.executables.clone(), self.hash.clone());
        let trim = move || {
            // It was used until now; one that never came has no time to set.
            let used = fs::File::open(executables.folder.join(&hash));
            let _absent = used.and_then(|file| file.set_modified(SystemTime::now()));
            match executables.trim() {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(%error, "programs that nobody uses stay");
                }
                _ => {}
            }
        };
        // Without a thread they stay until the next job ends.
        let _detached = std::thread::Builder::new()
            .name("ray-trim".into())
            .spawn(trim);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_nobody_uses_goes_by_its_age_until_the_rest_fits() {
        let dir = tempfile::tempdir().expect("a folder");
        let names = ["a", "b", "c", "d"].map(|letter| letter.repeat(64));
        let now = SystemTime::now();
        for (age, name) in (0_u64..).zip(&names) {
            let path = dir.path().join(name);
            fs::write(&path, [7; 100]).expect("a file");
            let file = fs::File::open(&path).expect("a file");
            let at = now - Duration::from_secs(1000 - age);
            file.set_modified(at).expect("a time");
        }
        fs::write(dir.path().join("e.part"), [7; 1000]).expect("a file");
        let executables = Executables::new(dir.path().to_owned(), 250);
        let is_there = || names.each_ref().map(|name| dir.path().join(name).exists());
        let held = executables.using(&names[0]);
        executables.expect(&names[1]);
        executables.trim().expect("a folder");
        assert_eq!(is_there(), [true, true, false, false]);
        assert!(dir.path().join("e.part").exists());
        executables.trim().expect("a folder");
        assert_eq!(is_there(), [true, true, false, false], "it fits");
        drop(held);
        let narrow = Executables::new(dir.path().to_owned(), 100);
        narrow.expect(&names[0]);
        narrow.trim().expect("a folder");
        assert_eq!(is_there(), [true, false, false, false]);
    }
}
