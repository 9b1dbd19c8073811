//! A head that went and came again: what this process must tell it, and what waited for it.
//!
//! While the control role is away nothing that it is told arrives. What is said again anyway when it is there
//! (leases, watched actors, questions) is not kept; the little that would be forgotten is. A head that was
//! started again knows nothing of this process: it hears which actors this one created and where they run.

use ray_engine::{
    failure::{Failure, WorkerExit},
    ids::ProcessId,
    owner::ActorState,
    time::Time,
};
use ray_net::Peer;

use super::{Core, Shape};
use crate::wire::{
    ActorClaim, ActorStatus, CertificateMessage, GroupCreation, GroupMessage, Message,
    ReunionMessage,
};

impl Core {
    /// The connection to the control role is gone; what is said next dials it again.
    ///
    /// Returns false when there is a newer connection.
    pub(crate) fn on_control_lost(&mut self) -> bool {
        let control = self.control_process;
        let is_gone = self.peers.get(&control).is_some_and(Peer::is_closed);
        if is_gone {
            self.peers.remove(&control);
        }
        is_gone
    }

    /// From now on what the control role is told waits until it is there again.
    pub(crate) fn wait_for_control(&mut self) {
        self.control_is_away = true;
    }

    /// What the control role is told is sent again.
    pub(crate) fn stop_waiting_for_control(&mut self) {
        self.control_is_away = false;
    }

    /// Returns whether nobody has heard of the control role since its connection was lost.
    pub(crate) fn control_is_away(&self) -> bool {
        self.control_is_away
    }

    /// Returns whether a message for a control role that is away may be sent; keeps it when it must be later.
    pub(super) fn may_tell(&mut self, message: Message) -> Option<Message> {
        match message {
            // These bring it back.
            Message::Heartbeat
            | Message::Ping
            | Message::NodeUp { .. }
            | Message::JobUp { .. }
            | Message::Certificates(CertificateMessage::Renew { .. }) => Some(message),
            Message::KillActor { .. }
            | Message::ConstructFailed { .. }
            | Message::Collective(_) => {
                if self.for_control.len() < FOR_CONTROL_MAX {
                    self.for_control.push(message);
                } else {
                    tracing::error!(?message, "too much waits for the head: this is forgotten");
                }
                None
            }
            // It is said again when the control role is there.
            _ => None,
        }
    }

    /// The control role is there again: it hears what it may not know, and what waited for it.
    pub(crate) fn resume(&mut self) {
        self.stop_waiting_for_control();
        let states = self.owner.watched_actors();
        for creation in self.own_groups.values() {
            let message = Message::Groups(GroupMessage::CreateGroup {
                request: 0,
                creation: creation.clone(),
            });
            self.outgoing.push(message);
        }
        let mut own: Vec<_> = self.creations.keys().copied().collect();
        own.sort_unstable();
        for actor in own {
            let Some(made) = self.creations.get(&actor) else {
                continue;
            };
            let Some(creation) = made.settled.clone() else {
                continue;
            };
            let state = states.iter().find(|(id, _)| *id == actor);
            let at = match state {
                Some((
                    _,
                    ActorState::Alive {
                        process,
                        incarnation,
                    },
                )) => Some((*process, *incarnation)),
                _ => None,
            };
            let claim = ActorClaim {
                creation: *creation,
                at,
                has_no_handles: made.has_no_handles,
            };
            self.outgoing
                .push(Message::Reunion(ReunionMessage::ClaimActor {
                    claim: Box::new(claim),
                }));
        }
        for (actor, _) in states {
            self.outgoing.push(Message::WatchActor { actor });
        }
        let mut unknown: Vec<ProcessId> = self.locating.keys().copied().collect();
        unknown.retain(|process| process.node_process() != self.node_process);
        unknown.sort_unstable();
        let ask = |process| Message::Locate { process };
        self.outgoing.extend(unknown.into_iter().map(ask));
        self.outgoing.append(&mut self.for_control);
        for message in std::mem::take(&mut self.outgoing) {
            self.send_to_control(message);
        }
        self.ask_again();
    }

    /// Asks for workers again: nobody may know any more that they are wanted.
    fn ask_again(&mut self) {
        let mut asked: Vec<_> = self.asked.iter().map(|(id, shape)| (*id, *shape)).collect();
        asked.sort_unstable();
        for (request, shape) in asked {
            let was_placed = self.placed.contains_key(&request);
            self.send_to_node(Message::CancelLeaseRequest {
                request,
                was_placed,
            });
            let (shape, near) = self.owner.base_of(shape);
            let Shape {
                resources: shape,
                placement,
            } = self.shapes[&shape].clone();
            let job = self.job;
            self.send_to_node(Message::RequestLease {
                request,
                job,
                shape,
                placement,
                near,
            });
        }
    }

    /// Dials the head anew: what is left of a connection to the one before leads nowhere.
    pub(crate) fn redial_control(&mut self) {
        let control = self.control_process;
        if let Some(peer) = self.peers.remove(&control) {
            peer.close("the head was started again");
        }
    }

    /// The head is another process of the same id: what ran beside the one before went with it.
    pub(crate) fn on_head_reborn(&mut self, now: Time) {
        let head = self.control_process;
        let known = self.peers.keys().chain(self.locating.keys()).copied();
        let mut gone: Vec<ProcessId> = known
            .chain(self.owner.others())
            .filter(|process| process.node_process() == head && *process != head)
            .collect();
        gone.sort_unstable();
        gone.dedup();
        let left = self.owner.on_holding_node_died(head.node());
        for process in gone {
            let exit = WorkerExit {
                worker: process,
                last_stderr: "it ended with its head".into(),
                ..WorkerExit::default()
            };
            self.on_process_died(process, exit, now);
        }
        for object in left {
            self.keep_last_copy(object);
        }
    }

    /// There is no place for this driver at the head any more: what waits for a place fails.
    pub(crate) fn give_up_control(&mut self, now: Time) {
        self.has_no_control = true;
        self.for_control.clear();
        for request in std::mem::take(&mut self.asked).into_keys() {
            self.on_lease_refused(request, Failure::HeadLost, now);
        }
        for actor in self.owner.absent_actors() {
            let status = ActorStatus::Dead {
                failure: Failure::HeadLost,
            };
            self.on_actor_status(actor, status, now);
        }
        for (creation, _) in std::mem::take(&mut self.unready) {
            self.creations.remove(&creation.actor);
        }
        self.lose_unreachable(now);
    }

    /// Without a control role nobody says what becomes of an actor whose process is gone: for this one it is lost.
    pub(super) fn lose_unreachable(&mut self, now: Time) {
        if !self.has_no_control {
            return;
        }
        for (actor, state) in self.owner.watched_actors() {
            if let ActorState::Alive { process, .. } = state
                && self.dead.contains_key(&process)
            {
                let failure = Failure::HeadLost;
                self.on_actor_status(actor, ActorStatus::Dead { failure }, now);
            }
        }
    }

    /// Notes a group that this process has made, so that a head that comes back hears of it.
    pub(crate) fn keep_group(&mut self, made: GroupCreation) {
        self.own_groups.insert(made.group, made);
    }
}

/// Messages that wait for a control role that is away.
const FOR_CONTROL_MAX: usize = 10_000;
