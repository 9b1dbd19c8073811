//! Processes and nodes that are gone, and what hung on them.

use ray_engine::{
    failure::{Failure, WorkerExit},
    ids::ProcessId,
    time::Time,
};

use super::Core;

impl Core {
    /// A call came back from a process, answered or unstarted.
    pub(crate) fn on_call_back(&mut self, from: ProcessId) {
        if let Some(sent) = self.sent.get_mut(&from)
            && *sent > 0
        {
            *sent -= 1;
            self.in_flight -= 1;
        }
    }

    /// Everything that hung on the process ends or is retried.
    pub(crate) fn on_process_died(&mut self, process: ProcessId, exit: WorkerExit, now: Time) {
        self.on_process_gone(process, exit, None, now);
    }

    /// As [`Core::on_process_died`]; what it ran failed with `why`, when that is not how it ended.
    fn on_process_gone(
        &mut self,
        process: ProcessId,
        exit: WorkerExit,
        why: Option<Failure>,
        now: Time,
    ) {
        if self.dead.insert(process, exit.clone()).is_some() {
            return;
        }
        self.in_flight -= self.sent.remove(&process).unwrap_or(0);
        self.locating.remove(&process);
        self.peers.remove(&process);
        let granted = self.granted.remove(&process);
        let removed = granted.and_then(|granted| granted.group.filter(|_| granted.is_removed));
        let failure = match (exit.evicted_from.or(removed), exit.out_of_memory.clone()) {
            (Some(group), _) => Failure::PlacementGroupRemoved(group),
            (None, Some(text)) => Failure::OutOfMemory(text),
            (None, None) => why.unwrap_or(Failure::WorkerCrashed(exit)),
        };
        self.owner.on_process_died(process, failure, now);
        self.lose_unreachable(now);
    }

    /// Everything that hung on the processes of a node ends or is retried.
    pub(crate) fn on_node_died(&mut self, node: ProcessId, now: Time) {
        let known = self.peers.keys().chain(self.locating.keys()).copied();
        let mut gone: Vec<ProcessId> = known
            .chain(self.owner.others())
            .chain([node])
            .filter(|process| process.node_process() == node)
            .collect();
        gone.sort_unstable();
        gone.dedup();
        let left = self.owner.on_holding_node_died(node.node());
        for process in gone {
            let exit = WorkerExit {
                worker: process,
                last_stderr: "its node is gone".into(),
                ..WorkerExit::default()
            };
            self.on_process_gone(process, exit, Some(Failure::NodeDied(node.node())), now);
        }
        for object in left {
            self.keep_last_copy(object);
        }
        self.on_taker_died(node);
    }
}
