//! `ray timeline`: what ran where and when, as a trace in Chrome's format, which Perfetto and `chrome://tracing` show.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{ErrorKind, Write as _},
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};

use ray_core::control::{Answer, Query, TaskEvent};
use serde_json::{Value, json};

use crate::{
    Failed,
    connect::Connect,
    list::complain,
    table::{note, print},
};

/// The options of `ray timeline`.
#[derive(clap::Args)]
#[command(
    after_help = "Open the file at https://ui.perfetto.dev or in chrome://tracing: a process there is a node, \
                  a thread is a worker. A worker remembers its newest 2,000 calls.\n\n\
                  Example: ray timeline --output run.json"
)]
pub struct Options {
    /// The file to write, or - for standard output [default: ray-timeline-TIME.json here].
    #[arg(long, short, value_name = "PATH")]
    output: Option<PathBuf>,
    #[command(flatten)]
    connect: Connect,
}

/// Runs `ray timeline`.
///
/// # Errors
/// A file that is there or cannot be written, what the head refused, or why it cannot be reached.
pub fn run(options: &Options) -> Result<(), Failed> {
    let answer = options.connect.client()?.query(Query::Timeline)?;
    let Answer::Timeline { events, missing } = answer else {
        return Err(crate::OTHER_ANSWER.into());
    };
    let trace = serde_json::to_string(&trace(&events))?;
    complain(&missing);
    if options
        .output
        .as_ref()
        .is_some_and(|path| path.as_os_str() == "-")
    {
        return Ok(print([trace])?);
    }
    let path = options.output.clone().unwrap_or_else(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let seconds = since.map_or(0, |since| since.as_secs());
        format!("ray-timeline-{seconds}.json").into()
    });
    let written = File::create_new(&path).and_then(|mut file| file.write_all(trace.as_bytes()));
    written.map_err(|error| {
        let shown = path.display();
        match error.kind() {
            ErrorKind::AlreadyExists => format!("{shown} is there already; give another --output"),
            _ => format!("{shown} cannot be written: {error}; give another --output"),
        }
    })?;
    if events.is_empty() {
        note("no worker that lives has run a call");
    }
    print([format!("{} calls in {}", events.len(), path.display())])?;
    Ok(())
}

/// Returns the events as Chrome's trace: an object with a list of complete events and the names of rows.
///
/// Calls of one worker that overlap, as those of an async actor do, get rows of their own.
fn trace(events: &[TaskEvent]) -> Value {
    let mut sorted: Vec<&TaskEvent> = events.iter().collect();
    sorted.sort_by_key(|event| event.start_ns);
    let mut nodes: BTreeMap<&str, usize> = BTreeMap::new();
    let mut workers: BTreeMap<(&str, u32), Vec<Lane>> = BTreeMap::new();
    let mut lanes = 0;
    let mut out = Vec::with_capacity(events.len());
    for event in sorted {
        let next = nodes.len() + 1;
        let node = *nodes.entry(&event.node_id).or_insert(next);
        let busy = workers
            .entry((&event.worker_id, event.worker_pid))
            .or_default();
        let end = event.start_ns.saturating_add(event.duration_ns);
        let lane = match busy.iter_mut().find(|lane| lane.free_at <= event.start_ns) {
            Some(lane) => {
                lane.free_at = end;
                lane.id
            }
            None => {
                lanes += 1;
                let lane = Lane {
                    id: lanes,
                    free_at: end,
                    node,
                };
                busy.push(lane);
                lanes
            }
        };
        out.push(json!({
            "ph": "X",
            "cat": if event.actor_id.is_some() { "actor" } else { "task" },
            "name": event.function,
            "ts": event.start_ns as f64 / 1e3,
            "dur": event.duration_ns as f64 / 1e3,
            "pid": node,
            "tid": lane,
            "args": {
                "task_id": event.task_id,
                "attempt": event.attempt_number,
                "actor_id": event.actor_id,
                "job_id": event.job_id,
                "node_id": event.node_id,
                "worker_id": event.worker_id,
                "worker_pid": event.worker_pid,
                "start_ns": event.start_ns,
                "end_ns": end,
                "failed": event.has_failed,
                "stands_for": event.stands_for,
            },
        }));
    }
    let name = |kind: &str, pid: usize, tid: usize, name: String| json!({ "ph": "M", "name": kind, "pid": pid, "tid": tid, "args": { "name": name } });
    for (node, pid) in nodes {
        out.push(name("process_name", pid, 0, format!("node {node}")));
    }
    for ((worker, pid), lanes) in workers {
        for (at, lane) in lanes.iter().enumerate() {
            let more = if at == 0 {
                String::new()
            } else {
                format!(" +{at}")
            };
            let text = format!("worker {worker} pid {pid}{more}");
            out.push(name("thread_name", lane.node, lane.id, text));
        }
    }
    json!({ "displayTimeUnit": "ms", "traceEvents": out })
}

/// A row of the picture, in which nothing overlaps.
struct Lane {
    id: usize,
    free_at: u64,
    node: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(worker: &str, start_ns: u64, duration_ns: u64) -> TaskEvent {
        TaskEvent {
            function: "square".into(),
            node_id: "n1".into(),
            worker_id: worker.into(),
            start_ns,
            duration_ns,
            ..TaskEvent::default()
        }
    }

    #[test]
    fn calls_of_one_worker_that_overlap_are_apart_and_others_share_a_row() {
        let events = [
            event("p1", 5_000, 10),
            event("p1", 1_000, 3_000),
            event("p1", 2_000, 500),
            event("p2", 0, 1),
        ];
        let trace = trace(&events);
        let rows = trace["traceEvents"].as_array().expect("a list");
        let tids: Vec<(f64, u64)> = rows
            .iter()
            .filter(|row| row["ph"] == "X")
            .map(|row| {
                (
                    row["ts"].as_f64().expect("a time"),
                    row["tid"].as_u64().expect("a row"),
                )
            })
            .collect();
        assert_eq!(tids, [(0.0, 1), (1.0, 2), (2.0, 3), (5.0, 2)]);
        let names = rows.iter().filter(|row| row["name"] == "thread_name");
        assert_eq!(names.count(), 3);
        assert_eq!(rows[1]["dur"], 3.0);
    }
}
