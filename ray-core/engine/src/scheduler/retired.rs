//! Workers that have run as often as they may: they end as planned, when nobody needs what they own.

use super::{Command, NodeScheduler, WorkerState};
use crate::{
    ids::{LeaseId, ProcessId},
    time::Time,
};

impl NodeScheduler {
    /// A holder gives a lease back whose worker runs nothing more: it is told to end. Returns the worker.
    ///
    /// Until it has ended it takes no place from others, however long what it owns is needed.
    pub fn retire_lease(&mut self, lease: LeaseId, now: Time) -> Option<ProcessId> {
        let mut retired = None;
        if let Some(held) = self.leases.get(&lease)
            && let Some(worker) = self.workers.get_mut(&held.worker)
            && worker.state == WorkerState::Leased(lease)
        {
            worker.state = WorkerState::Retired;
            let process = held.worker;
            self.commands.push_back(Command::StopWorker { process });
            retired = Some(process);
        }
        self.return_lease(lease, now);
        retired
    }
}
