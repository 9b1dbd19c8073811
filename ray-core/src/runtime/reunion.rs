//! A head that is away: how this process notices that it is there again, and for how long it waits.
//!
//! A node says that it lives anyway, and a head that does not know it asks it to join anew. A driver does the
//! same while its head is away. A worker hears of it from its node, or from the head, which it asks.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use ray_engine::ids::{JobId, ProcessId};
use ray_net::CloseReason;

use super::Runtime;
use crate::wire::{Message, ReunionMessage};

impl Runtime {
    /// The connection to the control role is gone. A head that is started again has the same id and port, so
    /// it is dialed anew; until it is there, what is for it waits.
    pub(super) fn on_control_closed(&self, reason: &CloseReason) {
        tracing::warn!(%reason, "the connection to the head is gone");
        let is_gone = self.with_core(|core, _| core.on_control_lost());
        if !is_gone && !self.is_daemon {
            // A newer connection has taken its place.
            return;
        }
        if !self.is_daemon {
            self.with_core(|core, _| core.wait_for_control());
        }
        self.note_head_lost(reason.to_string());
        if matches!(reason, CloseReason::Refused(_)) {
            // It is there, and wants nothing to do with this process.
            self.stop_wanted.store(true, Ordering::Release);
            if self.patience.is_some() {
                return self.give_up_head();
            }
        }
        self.clock.arm(self.now());
    }

    /// Looks for a head that is away, and gives it up when it was away for too long.
    pub(super) fn look_for_head(self: &Arc<Self>) {
        if self.is_daemon || !self.with_core(|core, _| core.control_is_away()) {
            return;
        }
        let patience = self.patience;
        if patience.is_some_and(|patience| self.head_lost_for() >= Some(patience)) {
            return self.give_up_head();
        }
        self.send_to_control(match self.node_role {
            Some(_) => Message::Heartbeat,
            None => Message::Ping,
        });
    }

    /// This driver has no place at the head any more, or has waited for it for too long.
    pub(super) fn give_up_head(&self) {
        self.head_is_given_up.store(true, Ordering::Release);
        self.with_core(|core, now| {
            core.stop_waiting_for_control();
            core.give_up_control(now);
        });
    }

    /// Returns whether nothing is to be had from the head any more.
    pub(super) fn has_given_up_head(&self) -> bool {
        self.head_is_given_up.load(Ordering::Acquire)
    }

    /// The head asks this node to join, or says to a driver that it is there.
    pub(super) fn on_introduce(self: &Arc<Self>, keep: &[ProcessId], jobs: &[JobId], is_new: bool) {
        let Some(node) = &self.node_role else {
            return;
        };
        if self.is_daemon {
            node.on_new_head(self, keep, jobs);
            node.join(self);
            node.report(self);
            let (actors, creators) = (node.hosted_actors(), node.ready_processes());
            let workers = creators.clone();
            let hosted = ReunionMessage::ActorsHosted { actors, creators };
            self.send_to_control(Message::Reunion(hosted));
            for worker in workers {
                self.send(worker, Message::Reunion(ReunionMessage::HeadReturned));
            }
            return;
        }
        if is_new {
            tracing::info!("the head was started again; this driver goes on with it");
            node.on_remote_node_died(self, self.control_process);
            self.with_core(|core, now| core.on_head_reborn(now));
            self.with_core(|core, _| core.stop_waiting_for_control());
            node.join(self);
            if let Some(job) = node.own_job() {
                self.send_to_control(Message::JobUp { job });
            }
        }
        self.resume();
    }

    /// The node says that the head of this worker was started again.
    pub(super) fn on_head_returned(self: &Arc<Self>, from: ProcessId) {
        if from == self.node_process && self.executor.is_some() {
            self.with_core(|core, now| {
                core.redial_control();
                core.on_head_reborn(now);
            });
            self.resume();
        }
    }

    /// Tells a head that is there again what it must know, and asks what it has not answered.
    pub(super) fn resume(&self) {
        self.with_core(|core, _| core.resume());
        self.send_to_control(Message::Reunion(ReunionMessage::AllClaimed));
        self.note_head_found();
        for question in self.requests.of_control() {
            self.send_to_control(question);
        }
    }

    /// Returns for how much longer a question to the control role waits: while it is away, no time passes.
    pub(super) fn extended(&self, deadline: Instant, timeout: std::time::Duration) -> Instant {
        match self.head_lost_for() {
            Some(_) => Instant::now() + timeout,
            None => deadline,
        }
    }
}
