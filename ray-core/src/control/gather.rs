//! Tables that nobody keeps: tasks and objects are asked of the processes that own them.
//!
//! Each living node is asked, answers for itself and names the workers that it has passed the question
//! on to. After a deadline the answer is what has come, with the names of those that said nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use parking_lot::{Condvar, Mutex};
use ray_engine::ids::{JobId, ProcessId, TaskId};

use super::{
    protocol::TaskEvent,
    role::ControlRole,
    rows::{ObjectState, TaskState},
    tables::{Row, Table, TableRow as _},
};
use crate::{
    config::{EVENTS_MAX, GATHER_ROWS_MAX, GATHER_TIMEOUT},
    runtime::Runtime,
    wire::{EventRow, Held, LookFor, LookMessage, Message, ObjectRow, TaskPlace, TaskRow},
};

/// The questions that are under way.
#[derive(Default)]
pub(super) struct Gatherings {
    next: AtomicU64,
    open: Mutex<BTreeMap<u64, Gathering>>,
    changed: Condvar,
}

#[derive(Default)]
struct Gathering {
    pending: BTreeSet<ProcessId>,
    answers: BTreeMap<ProcessId, Held>,
}

impl Gathering {
    fn take(&mut self, from: ProcessId, held: Held) {
        self.pending.remove(&from);
        let asked = held.asked.iter();
        let asked = asked.filter(|asked| !self.answers.contains_key(asked));
        self.pending.extend(asked.copied());
        self.answers.insert(from, held);
    }
}

/// Rows as far as they could be had.
pub(super) struct Gathered {
    pub rows: Vec<Row>,
    /// A line for each thing that is not in the rows.
    pub missing: Vec<String>,
}

impl ControlRole {
    /// A process says what it holds, or its node passes it on.
    pub(super) fn on_gathered(&self, request: u64, from: ProcessId, held: Held) {
        if let Some(gathering) = self.gatherings.open.lock().get_mut(&request) {
            gathering.take(from, held);
            self.gatherings.changed.notify_all();
        }
    }

    /// Asks every process what it holds, and waits for the answers up to a deadline.
    fn gather(&self, runtime: &Arc<Runtime>, wanted: LookFor) -> Gathering {
        let deadline = Instant::now() + GATHER_TIMEOUT;
        let request = self.gatherings.next.fetch_add(1, Ordering::Relaxed);
        let nodes = self.node_processes();
        let gathering = Gathering {
            pending: nodes.iter().copied().collect(),
            ..Gathering::default()
        };
        self.gatherings.open.lock().insert(request, gathering);
        for node in nodes {
            let question = LookMessage::Gather { request, wanted };
            runtime.send(node, Message::Look(question));
        }
        let mut open = self.gatherings.open.lock();
        while open
            .get(&request)
            .is_some_and(|gathering| !gathering.pending.is_empty())
        {
            if self
                .gatherings
                .changed
                .wait_until(&mut open, deadline)
                .timed_out()
            {
                break;
            }
        }
        open.remove(&request).unwrap_or_default()
    }

    /// Returns the tasks or the objects of every process.
    pub(super) fn gather_rows(&self, runtime: &Arc<Runtime>, table: Table) -> Gathered {
        let wanted = match table {
            Table::Objects => LookFor::Objects,
            _ => LookFor::Tasks,
        };
        rows_of(table, self.gather(runtime, wanted))
    }

    /// Returns the calls that have ended, of every process, the oldest first.
    pub(super) fn gather_events(&self, runtime: &Arc<Runtime>) -> (Vec<TaskEvent>, Vec<String>) {
        events_of(self.gather(runtime, LookFor::Events))
    }
}

fn events_of(gathering: Gathering) -> (Vec<TaskEvent>, Vec<String>) {
    let mut missing = missing_of(&gathering);
    let answers = gathering.answers.into_iter();
    let mut events: Vec<TaskEvent> = answers
        .flat_map(|(process, held)| {
            let worker = (process, held.pid, held.job);
            let events = held.events.into_iter();
            events.map(move |event| event_of(event, worker))
        })
        .collect();
    events.sort_by_key(|event| event.start_ns);
    if events.len() > EVENTS_MAX {
        let older = events.len() - EVENTS_MAX;
        missing.push(format!(
            "{older} older calls: {EVENTS_MAX} are shown at most"
        ));
        events.drain(..older);
    }
    (events, missing)
}

fn event_of(event: EventRow, (worker, pid, job): (ProcessId, u32, JobId)) -> TaskEvent {
    TaskEvent {
        task_id: event.task.to_string(),
        attempt_number: event.attempt,
        function: event.function,
        actor_id: event.actor.map(|actor| actor.to_string()),
        job_id: job.to_string(),
        node_id: worker.node().to_string(),
        worker_id: worker.to_string(),
        worker_pid: pid,
        start_ns: event.start_ns,
        duration_ns: event.duration_ns,
        has_failed: event.has_failed,
        stands_for: event.stands_for,
    }
}

/// Returns a line for each process that said nothing, or not all.
fn missing_of(gathering: &Gathering) -> Vec<String> {
    let Gathering { pending, answers } = gathering;
    let silent = pending
        .iter()
        .map(|process| format!("{process} of node {} did not answer", process.node()));
    let cut = answers.iter().filter(|(_, held)| held.left_out > 0);
    let cut = cut.map(|(process, held)| {
        let left_out = held.left_out;
        format!("{left_out} more of {process}, which names {GATHER_ROWS_MAX} at most")
    });
    silent.chain(cut).collect()
}

fn rows_of(table: Table, gathering: Gathering) -> Gathered {
    let missing = missing_of(&gathering);
    let Gathering { answers, .. } = gathering;
    let running: BTreeSet<TaskId> = answers
        .values()
        .flat_map(|held| held.running.iter().copied())
        .collect();
    let pids: BTreeMap<ProcessId, u32> = answers
        .iter()
        .map(|(process, held)| (*process, held.pid))
        .collect();
    let rows = answers.iter().flat_map(|(process, held)| {
        let tasks = held
            .tasks
            .iter()
            .filter(|_| table == Table::Tasks)
            .map(|task| task_row(task, held, &running, &pids).row());
        let objects = held
            .objects
            .iter()
            .filter(|_| table == Table::Objects)
            .map(|object| object_row(object, *process, held).row());
        tasks.chain(objects).collect::<Vec<_>>()
    });
    Gathered {
        rows: rows.collect(),
        missing,
    }
}

fn task_row(
    task: &TaskRow,
    held: &Held,
    running: &BTreeSet<TaskId>,
    pids: &BTreeMap<ProcessId, u32>,
) -> TaskState {
    let (state, worker) = match task.place {
        TaskPlace::WaitsForArguments => ("PENDING_ARGS_AVAIL", None),
        TaskPlace::WaitsForWorker => ("PENDING_NODE_ASSIGNMENT", None),
        TaskPlace::Sent(worker) if running.contains(&task.task) => ("RUNNING", Some(worker)),
        TaskPlace::Sent(worker) => ("SUBMITTED_TO_WORKER", Some(worker)),
    };
    TaskState {
        task_id: task.task.to_string(),
        attempt_number: task.attempt,
        name: task.name.clone(),
        state: state.into(),
        job_id: held.job.to_string(),
        actor_id: task.actor.map(|actor| actor.to_string()),
        r#type: match task.actor {
            Some(_) => "ACTOR_TASK",
            None => "NORMAL_TASK",
        }
        .into(),
        func_or_class_name: task.function.clone(),
        parent_task_id: task.parent.map(|parent| parent.to_string()),
        node_id: worker.map(|worker| worker.node().to_string()),
        worker_id: worker.map(|worker| worker.to_string()),
        worker_pid: worker.and_then(|worker| pids.get(&worker).copied()),
        error_type: None,
    }
}

fn object_row(object: &ObjectRow, process: ProcessId, held: &Held) -> ObjectState {
    let is_own = object.object.owner == process;
    ObjectState {
        object_id: object.object.to_string(),
        object_size: object.bytes,
        task_status: match (object.is_result, object.is_ready, object.has_failed) {
            (_, false, _) => "PENDING",
            (_, true, true) => "FAILED",
            (true, true, false) => "FINISHED",
            (false, true, false) => "NIL",
        }
        .into(),
        call_site: None,
        attempt_number: 0,
        r#type: if held.is_driver { "DRIVER" } else { "WORKER" }.into(),
        pid: held.pid,
        ip: held.ip.clone(),
        reference_type: if !is_own {
            "BORROWED"
        } else if object.users > 0 {
            "USED_BY_PENDING_TASK"
        } else if object.handles > 0 {
            "LOCAL_REFERENCE"
        } else {
            "HELD_BY_OTHERS"
        }
        .into(),
        owner_id: object.object.owner.to_string(),
        node_id: process.node().to_string(),
        handles: object.handles,
        users: object.users,
        lent: object.lent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(pid: u32) -> Held {
        Held {
            pid,
            job: JobId(1),
            ..Held::default()
        }
    }

    #[test]
    fn who_does_not_answer_is_named_and_the_rest_is_shown() {
        let node = ProcessId(3 << 28);
        let (first, second) = (node.started(1), node.started(2));
        let mut gathering = Gathering {
            pending: [node].into(),
            ..Gathering::default()
        };
        // A worker may be faster than its node.
        let task = TaskId {
            owner: node,
            index: 7,
        };
        let running = vec![task];
        gathering.take(
            first,
            Held {
                running,
                ..held(11)
            },
        );
        let tasks = vec![TaskRow {
            task,
            attempt: 0,
            name: "square".into(),
            function: "square".into(),
            parent: None,
            actor: None,
            place: TaskPlace::Sent(first),
        }];
        let asked = vec![first, second];
        gathering.take(
            node,
            Held {
                asked,
                tasks,
                left_out: 4,
                ..held(10)
            },
        );
        let gathered = rows_of(Table::Tasks, gathering);
        assert_eq!(gathered.rows.len(), 1);
        let row = &gathered.rows[0];
        assert_eq!(
            (row.text("state"), row.text("worker_pid")),
            ("RUNNING".into(), "11".into())
        );
        assert_eq!(gathered.missing.len(), 2, "{:?}", gathered.missing);
        assert!(gathered.missing[0].contains(&second.to_string()));
        assert!(gathered.missing[1].starts_with("4 more of"));
    }
}
