//! What this process holds, told to the control role when somebody looks at the cluster.

use std::{path::Path, sync::Arc};

use ray_engine::{ids::ProcessId, owner::TaskStage};

use super::Runtime;
use crate::{
    config::GATHER_ROWS_MAX,
    control::logs,
    store::Value,
    wire::{Held, LogPart, LookFor, LookMessage, Message, ObjectRow, TaskPlace, TaskRow},
    worker::submit::Core,
};

impl Runtime {
    /// Answers for this process; a node passes the question on to its workers first.
    pub(super) fn on_gather(self: &Arc<Self>, from: ProcessId, request: u64, wanted: LookFor) {
        let asked = match &self.node_role {
            Some(node) => node.ready_processes(),
            None => Vec::new(),
        };
        for worker in &asked {
            let question = Message::Look(LookMessage::Gather { request, wanted });
            self.send(*worker, question);
        }
        let mut held = Held {
            job: self.job(),
            pid: std::process::id(),
            ip: self.public_addr().to_string(),
            is_driver: self.executor.is_none(),
            asked,
            running: Vec::new(),
            ..Held::default()
        };
        if let Some(executor) = &self.executor {
            held.running = executor.running_tasks();
            held.running.truncate(GATHER_ROWS_MAX);
        }
        match wanted {
            LookFor::Tasks => {
                let (tasks, total) = self.with_core(|core, _| tasks_of(core));
                held.left_out = (total - tasks.len()) as u64;
                held.tasks = tasks;
            }
            LookFor::Objects => {
                let (objects, total) = self.with_core(|core, _| objects_of(core));
                held.left_out = (total - objects.len()) as u64;
                held.objects = objects;
            }
            LookFor::Events => {
                if let Some(executor) = &self.executor {
                    (held.events, held.left_out) = executor.events();
                }
            }
        }
        let process = self.process();
        self.send(
            from,
            Message::Look(LookMessage::Gathered {
                request,
                process,
                held,
            }),
        );
    }
}

impl Runtime {
    /// Shows a node's log files to the head's front desk.
    pub(super) fn on_read_log(&self, from: ProcessId, request: u64, file: Option<(String, u64)>) {
        let Some(node) = &self.node_role else {
            return;
        };
        let folder = Path::new(&node.start.run_dir).join("logs");
        let outcome = match file {
            None => logs::list(&folder).map(|files| {
                let files = files.into_iter().map(|file| (file.name, file.bytes));
                LogPart::Files(files.collect())
            }),
            Some((name, offset)) => {
                logs::read(&folder, &name, offset).map(|(text, next)| LogPart::Text(text, next))
            }
        };
        self.send(
            from,
            Message::Look(LookMessage::LogRead { request, outcome }),
        );
    }
}

/// Where a value lies elsewhere, its place says how long it is.
fn bytes_of(value: &Value) -> u64 {
    match value.missing() {
        Some(wanted) => wanted.len,
        None => value.bytes().len() as u64,
    }
}

fn tasks_of(core: &Core) -> (Vec<TaskRow>, usize) {
    let (facts, total) = core.owner.task_facts(GATHER_ROWS_MAX);
    let rows = facts.into_iter().map(|(facts, payload)| TaskRow {
        task: facts.task,
        attempt: facts.attempt,
        name: cut(payload.name()),
        function: cut(payload.method.name),
        parent: facts.parent,
        actor: facts.actor,
        place: match facts.stage {
            TaskStage::WaitsForArguments => TaskPlace::WaitsForArguments,
            TaskStage::WaitsForWorker => TaskPlace::WaitsForWorker,
            TaskStage::Sent(worker) => TaskPlace::Sent(worker),
        },
    });
    (rows.collect(), total)
}

fn cut(name: &str) -> String {
    name.chars().take(NAME_CHARS_MAX).collect()
}

fn objects_of(core: &Core) -> (Vec<ObjectRow>, usize) {
    let (facts, total) = core.owner.object_facts(GATHER_ROWS_MAX);
    let rows = facts.into_iter().map(|facts| ObjectRow {
        object: facts.object,
        bytes: facts.outcome.flatten().map(bytes_of),
        is_result: facts.is_result,
        is_ready: facts.outcome.is_some(),
        has_failed: matches!(facts.outcome, Some(None)),
        handles: facts.handles,
        users: facts.users,
        lent: facts.lent,
    });
    (rows.collect(), total)
}

/// A longer name is cut, so that an answer fits into one message.
const NAME_CHARS_MAX: usize = 100;
