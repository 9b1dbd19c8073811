//! The nodes of the cluster as the control role sees them.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::SocketAddr,
};

use ray_engine::{
    failure::WorkerExit,
    ids::{JobId, ProcessId},
    resources::Resources,
};

use crate::{
    config::ENDED_WORKERS_MAX,
    wire::{Location, Message, NodeRow, WorkerRow},
};

/// Every node by the process that speaks for it, and the workers that have ended.
#[derive(Default)]
pub(super) struct Nodes {
    by_process: BTreeMap<ProcessId, Node>,
    ended: VecDeque<EndedWorker>,
}

/// A worker process that is gone, and how it ended.
pub(super) struct EndedWorker {
    pub(super) row: WorkerRow,
    pub(super) exit: WorkerExit,
}

pub(super) struct Node {
    pub(super) row: NodeRow,
    pub(super) available: Resources,
    pub(super) workers: Vec<WorkerRow>,
}

impl Nodes {
    /// A node introduces itself.
    pub(super) fn on_up(&mut self, row: NodeRow) {
        let available = row.resources.clone();
        self.by_process.insert(
            row.node.process(),
            Node {
                row,
                available,
                workers: Vec::new(),
            },
        );
    }

    /// A node says what is free.
    pub(super) fn on_view(
        &mut self,
        node: ProcessId,
        available: Resources,
        workers: Vec<WorkerRow>,
    ) {
        if let Some(node) = self.by_process.get_mut(&node) {
            node.available = available;
            node.row.workers = u32::try_from(workers.len()).unwrap_or(u32::MAX);
            node.workers = workers;
        }
    }

    /// A worker has ended; the newest of those are kept to look at.
    pub(super) fn on_worker_ended(&mut self, process: ProcessId, exit: &WorkerExit) {
        let Some(node) = self.by_process.get_mut(&process.node_process()) else {
            return;
        };
        let known = node.workers.iter().position(|row| row.process == process);
        let known = known.map(|position| node.workers.remove(position));
        // One that never connected was in no report.
        let row = known.unwrap_or(WorkerRow {
            process,
            job: JobId(0),
            pid: exit.pid,
            addr: None,
        });
        self.keep_ended(row, exit.clone());
    }

    fn keep_ended(&mut self, row: WorkerRow, exit: WorkerExit) {
        if self.ended.len() == ENDED_WORKERS_MAX {
            self.ended.pop_front();
        }
        self.ended.push_back(EndedWorker { row, exit });
    }

    /// Returns the workers that have ended, the oldest first.
    pub(super) fn ended_workers(&self) -> impl Iterator<Item = &EndedWorker> {
        self.ended.iter()
    }

    /// A node is gone; a driver's own is forgotten. Returns whether it was alive.
    pub(super) fn on_lost(&mut self, node: ProcessId) -> bool {
        let Some(found) = self.by_process.get_mut(&node) else {
            return false;
        };
        let was_alive = std::mem::replace(&mut found.row.alive, false);
        found.row.workers = 0;
        let workers = std::mem::take(&mut found.workers);
        if found.row.is_driver {
            self.by_process.remove(&node);
        }
        for row in workers {
            let exit = WorkerExit {
                worker: row.process,
                pid: row.pid,
                detail: "its node is gone".into(),
                ..WorkerExit::default()
            };
            self.keep_ended(row, exit);
        }
        was_alive
    }

    /// Returns whether a node, also a driver's own, is there.
    pub(super) fn is_alive(&self, node: ProcessId) -> bool {
        self.by_process
            .get(&node)
            .is_some_and(|node| node.row.alive)
    }

    /// Returns the nodes that run work, dead ones included.
    pub(super) fn all(&self) -> impl Iterator<Item = &Node> {
        self.by_process.values().filter(|node| !node.row.is_driver)
    }

    /// Returns every living node's process, those of drivers included.
    pub(super) fn alive(&self) -> Vec<ProcessId> {
        let alive = self.by_process.iter().filter(|(_, node)| node.row.alive);
        alive.map(|(process, _)| *process).collect()
    }

    /// Returns one row a node that runs work.
    pub(super) fn rows(&self) -> Vec<NodeRow> {
        self.all().map(|node| node.row.clone()).collect()
    }

    /// Returns everything that the living nodes have, and what of it is free.
    pub(super) fn resources(&self) -> (Resources, Resources) {
        let (mut total, mut available) = (Resources::new(), Resources::new());
        for node in self.by_process.values().filter(|node| node.row.alive) {
            total.give(&node.row.resources);
            available.give(&node.available);
        }
        (total, available)
    }

    /// Returns every living node and where it listens.
    pub(super) fn addresses(&self) -> impl Iterator<Item = (ProcessId, SocketAddr)> {
        let alive = self.by_process.iter().filter(|(_, node)| node.row.alive);
        alive.map(|(process, node)| (*process, node.row.addr))
    }

    /// Returns the workers that a living node last reported.
    pub(super) fn workers_of(&self, node: ProcessId) -> Option<BTreeSet<ProcessId>> {
        let node = self.by_process.get(&node).filter(|node| node.row.alive)?;
        Some(node.workers.iter().map(|worker| worker.process).collect())
    }

    /// Returns where a node listens.
    pub(super) fn address_of(&self, node: ProcessId) -> Option<SocketAddr> {
        self.by_process.get(&node).map(|node| node.row.addr)
    }

    /// Returns the address of a process's node, as far as it is known.
    pub(super) fn ip_of(&self, process: ProcessId) -> Option<String> {
        let node = self.by_process.get(&process.node_process())?;
        Some(node.row.addr.ip().to_string())
    }

    /// Returns where a process is, or who knows.
    pub(super) fn locate(&self, process: ProcessId) -> Location {
        match self.by_process.get(&process.node_process()) {
            Some(node) if !node.row.alive => Location::Gone,
            Some(node) if process == process.node_process() => Location::At(node.row.addr),
            Some(node) => Location::AskNode(node.row.addr),
            None => Location::Gone,
        }
    }

    /// Returns every node alive but one.
    pub(super) fn others(&self, but: ProcessId) -> Vec<ProcessId> {
        let alive = self.by_process.iter().filter(|(_, node)| node.row.alive);
        alive.map(|(id, _)| *id).filter(|id| *id != but).collect()
    }

    /// Returns every node alive that is no driver's own.
    pub(super) fn daemons(&self) -> impl Iterator<Item = ProcessId> {
        let alive = self.by_process.iter().filter(|(_, node)| node.row.alive);
        let daemons = alive.filter(|(_, node)| !node.row.is_driver);
        daemons.map(|(id, _)| *id)
    }

    /// Adds a message for every living node but one.
    pub(super) fn tell_others(
        &self,
        but: ProcessId,
        out: &mut Vec<(ProcessId, Message)>,
        message: &dyn Fn() -> Message,
    ) {
        for (node, _) in self
            .by_process
            .iter()
            .filter(|(id, node)| **id != but && node.row.alive)
        {
            out.push((*node, message()));
        }
    }
}
