//! `ray stop`: end a node, or the whole cluster.

use std::time::Duration;

use ray_core::control::{Command, Current, StopRequest};
use rustix::{
    event::{PollFd, PollFlags, Timespec},
    io::Errno,
    process::{Pid, PidfdFlags, pidfd_open},
};

use crate::{Failed, connect::Connect, options, table::say};

/// A head has this long to end its nodes and itself.
const PATIENCE: Duration = Duration::from_secs(30);

/// The options of `ray stop`.
#[derive(clap::Args)]
#[command(after_help = "Example: ray stop --node n5f2")]
pub struct Options {
    /// End this node only, and leave the rest.
    #[arg(long, value_name = "NODE_ID", value_parser = options::text)]
    node: Option<String>,
    #[command(flatten)]
    connect: Connect,
}

/// Runs `ray stop`.
///
/// # Errors
/// What the head refused, why it cannot be reached, or that it did not end in time.
pub fn run(options: &Options) -> Result<(), Failed> {
    let client = options.connect.client()?;
    let here = Current::find()?.filter(|current| current.address == client.address());
    // Opened before the request, so that another process with the same number is never mistaken.
    let head = here.as_ref().and_then(|current| open(current.pid));
    let request = match &options.node {
        Some(node) => StopRequest::Node(node.clone()),
        None => StopRequest::Cluster,
    };
    if let Err(error) = client.command(Command::Stop(request)) {
        return match (&here, head) {
            (Some(current), None) => {
                current.withdraw();
                say(format_args!(
                    "the head (pid {}) had ended already",
                    current.pid
                ));
                Ok(())
            }
            (Some(current), Some(_)) => Err(format!(
                "{error}; its process is {}: `kill {0}` ends it",
                current.pid
            )
            .into()),
            (None, _) => Err(error.into()),
        };
    }
    match (&options.node, head) {
        (Some(node), _) => say(format_args!("node {node} is ending")),
        (None, None) => say("the cluster is ending"),
        (None, Some(head)) => {
            if !has_ended(&head)? {
                return Err(format!("the head did not end within {PATIENCE:?}").into());
            }
            say("the cluster has ended");
        }
    }
    Ok(())
}

fn open(pid: u32) -> Option<std::os::fd::OwnedFd> {
    let pid = Pid::from_raw(i32::try_from(pid).ok()?)?;
    pidfd_open(pid, PidfdFlags::empty()).ok()
}

fn has_ended(process: &std::os::fd::OwnedFd) -> Result<bool, Failed> {
    let limit = Timespec {
        tv_sec: PATIENCE.as_secs() as i64,
        tv_nsec: 0,
    };
    let mut fds = [PollFd::new(process, PollFlags::IN)];
    loop {
        match rustix::event::poll(&mut fds, Some(&limit)) {
            Err(Errno::INTR) => {}
            other => return Ok(other? > 0),
        }
    }
}
