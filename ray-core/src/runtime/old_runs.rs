//! Folders that earlier runs left behind: the newest are kept, for their logs.
//!
//! A folder is named after the second and the process of its start. What is still running is not touched, nor is the
//! folder of a head that may be started again in it.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use crate::working_dir;

/// Folders of ended runs that are kept.
const RUNS_KEPT: usize = 100;
/// How long the folder of a head is kept.
const HEAD_KEPT: Duration = Duration::from_secs(30 * 24 * 3600);

struct Run {
    started: u64,
    path: PathBuf,
}

/// Removes the oldest folders of ended runs in `folder`, and the programs that newer ones were sent.
///
/// # Errors
/// What the system says when the folder cannot be listed.
pub(super) fn prune(folder: &Path, is_alive: impl Fn(u32) -> bool) -> io::Result<()> {
    let mut ended = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let Some((started, process)) = path.file_name().and_then(|name| parse(name.to_str()?))
        else {
            continue;
        };
        if !is_alive(process) && !is_of_a_recent_head(&path) {
            ended.push(Run { started, path });
        }
    }
    ended.sort_by_key(|run| std::cmp::Reverse(run.started));
    for (position, run) in ended.iter().enumerate() {
        let goes = if position < RUNS_KEPT {
            vec![
                run.path.join("executables"),
                working_dir::unpacked_in(&run.path),
            ]
        } else {
            vec![run.path.clone()]
        };
        for goes in goes {
            match fs::remove_dir_all(&goes) {
                Ok(()) => {}
                // Another start does the same.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => tracing::debug!(%error, path = %goes.display(), "an old run stays"),
            }
        }
    }
    Ok(())
}

fn parse(name: &str) -> Option<(u64, u32)> {
    let (started, process) = name.strip_prefix("run-")?.split_once('-')?;
    Some((started.parse().ok()?, process.parse().ok()?))
}

fn is_of_a_recent_head(path: &Path) -> bool {
    let changed = fs::metadata(path.join("control.redb")).and_then(|data| data.modified());
    changed.is_ok_and(|changed| {
        SystemTime::now()
            .duration_since(changed)
            .is_ok_and(|age| age < HEAD_KEPT)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make(folder: &Path, started: u64, process: u32) -> PathBuf {
        let path = folder.join(format!("run-{started}-{process}"));
        fs::create_dir_all(path.join("executables")).expect("a temporary folder takes folders");
        fs::create_dir_all(path.join("logs")).expect("a temporary folder takes folders");
        path
    }

    #[test]
    fn the_newest_ended_runs_keep_their_logs_and_the_living_keep_all() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let alive = make(dir.path(), 1, 7);
        let head = make(dir.path(), 2, 8);
        fs::write(head.join("control.redb"), "state").expect("a file can be written");
        let oldest = make(dir.path(), 3, 9);
        let newer: Vec<PathBuf> = (0..RUNS_KEPT as u64)
            .map(|at| make(dir.path(), 10 + at, 9))
            .collect();
        let other = dir.path().join("current.json");
        fs::write(&other, "{}").expect("a file can be written");
        prune(dir.path(), |process| process == 7).expect("the folder can be listed");
        assert!(alive.join("executables").exists());
        assert!(head.join("executables").exists());
        assert!(!oldest.exists());
        assert!(newer.iter().all(|run| run.join("logs").exists()));
        assert!(newer.iter().all(|run| !run.join("executables").exists()));
        assert!(other.exists());
    }
}
