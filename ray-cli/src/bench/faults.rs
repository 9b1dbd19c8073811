//! Processes killed from outside: how long until the work is done elsewhere.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use ray_core::prelude::*;
use rustix::process::{Pid, Signal, kill_process};

use super::{Failed, Group, actors::Echo, sample};

/// Writes its process id and waits for the end; returns at once when that was done before.
#[remote(max_retries = 3)]
fn victim(path: String) -> String {
    let path = PathBuf::from(path);
    if path.exists() {
        return "second".into();
    }
    let draft = path.with_extension("tmp");
    let written = std::fs::write(&draft, std::process::id().to_string())
        .and_then(|()| std::fs::rename(&draft, &path));
    if let Err(error) = written {
        return format!("could not write {}: {error}", path.display());
    }
    std::thread::sleep(Duration::from_secs(600));
    "slept".into()
}

fn kill(pid: u32) -> Result<(), Failed> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    kill_process(pid.ok_or("a process id of 0")?, Signal::KILL)?;
    Ok(())
}

fn pid_in(path: &Path) -> Result<u32, Failed> {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !path.exists() {
        if Instant::now() > deadline {
            return Err("the task did not start within 10 s".into());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(std::fs::read_to_string(path)?.parse()?)
}

pub const TASK: Group = Group {
    metrics: &[("fault.worker_kill9_to_retry_done", "ms")],
    measure: || {
        let path = std::env::temp_dir().join(format!("ray-bench-victim-{}", std::process::id()));
        if path.exists() {
            std::fs::remove_file(&path)?;
        }
        let result = victim::remote(&*path.to_string_lossy());
        let pid = pid_in(&path)?;
        std::thread::sleep(Duration::from_millis(300));
        let start = Instant::now();
        kill(pid)?;
        let second = result.get()?;
        let took = start.elapsed().as_secs_f64() * 1e3;
        std::fs::remove_file(&path)?;
        if second != "second" {
            return Err(format!("the retry returned \"{second}\"").into());
        }
        Ok(vec![sample("fault.worker_kill9_to_retry_done", took)])
    },
};

pub const ACTOR: Group = Group {
    metrics: &[("fault.actor_kill9_to_first_reply", "ms")],
    measure: || {
        let echo = Echo::options()
            .max_restarts(-1)
            .max_task_retries(-1)
            .remote();
        let pid = echo.pid().get()?;
        let start = Instant::now();
        kill(pid)?;
        while echo.pid().get()? == pid {}
        Ok(vec![sample(
            "fault.actor_kill9_to_first_reply",
            start.elapsed().as_secs_f64() * 1e3,
        )])
    },
};
