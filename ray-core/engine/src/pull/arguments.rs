//! How much of a store the pulled arguments of tasks may hold, so that there is room for the rest.
//!
//! A task is let in with all of its arguments, in order, and holds them until it ends. One is always let in,
//! however large. What a blocked task holds does not count: it may wait for the very task that is not let in.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::Wanted;
use crate::ids::{ObjectId, ProcessId};

/// A task that is to run in a process, by a number of that process's own.
pub type TaskNumber = (ProcessId, u64);

/// The state machine.
pub struct Arguments {
    limit: u64,
    tasks: BTreeMap<TaskNumber, Task>,
    /// Those that were not let in, in order.
    waiting: VecDeque<TaskNumber>,
    blocked: BTreeSet<ProcessId>,
    admitted: VecDeque<TaskNumber>,
}

struct Task {
    wanted: Vec<Wanted>,
    is_admitted: bool,
}

impl Arguments {
    /// Returns a machine that lets arguments of so many bytes in, all together.
    pub fn new(limit: u64) -> Arguments {
        Arguments {
            limit,
            tasks: BTreeMap::new(),
            waiting: VecDeque::new(),
            blocked: BTreeSet::new(),
            admitted: VecDeque::new(),
        }
    }

    /// Returns the next task whose arguments may be pulled.
    pub fn poll_admitted(&mut self) -> Option<TaskNumber> {
        self.admitted.pop_front()
    }

    /// Returns what the arguments hold that count; one that several tasks have counts once.
    pub fn held_bytes(&self) -> u64 {
        self.counted().values().sum()
    }

    /// Returns how many tasks wait to be let in.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// A task is to run and needs arguments that are not here.
    pub fn ask(&mut self, task: TaskNumber, wanted: &[Wanted]) {
        let asked = Task {
            wanted: wanted.to_vec(),
            is_admitted: false,
        };
        let before = self.tasks.insert(task, asked);
        assert!(before.is_none(), "a number stands for one task");
        self.waiting.push_back(task);
        self.advance();
    }

    /// A task has ended, or will not run, and holds nothing any more.
    pub fn end(&mut self, task: TaskNumber) {
        if self.tasks.remove(&task).is_some() {
            self.waiting.retain(|waiting| *waiting != task);
            self.admitted.retain(|admitted| *admitted != task);
            self.advance();
        }
    }

    /// What a process runs waits for others.
    pub fn on_blocked(&mut self, process: ProcessId) {
        self.blocked.insert(process);
        self.advance();
    }

    /// What a process runs goes on, or the process is gone.
    pub fn on_unblocked(&mut self, process: ProcessId) {
        self.blocked.remove(&process);
        self.advance();
    }

    fn counted(&self) -> BTreeMap<ObjectId, u64> {
        let tasks = self.tasks.iter();
        tasks
            .filter(|((process, _), task)| task.is_admitted && !self.blocked.contains(process))
            .flat_map(|(_, task)| task.wanted.iter())
            .map(|wanted| (wanted.object, wanted.bytes))
            .collect()
    }

    fn advance(&mut self) {
        while let Some(next) = self.waiting.front().copied() {
            let mut held = self.counted();
            let is_alone = held.is_empty();
            let task = self.tasks.get_mut(&next).expect("ended ones do not wait");
            held.extend(
                task.wanted
                    .iter()
                    .map(|wanted| (wanted.object, wanted.bytes)),
            );
            if !is_alone && held.values().sum::<u64>() > self.limit {
                // Nothing passes it: a task with large arguments would else wait for ever.
                return;
            }
            task.is_admitted = true;
            self.waiting.pop_front();
            self.admitted.push_back(next);
        }
    }
}
