//! What groups, scheduler and directory wish, carried out.

use ray_engine::{
    control::{
        actors::{Command as ActorCommand, DirectoryState},
        groups::{Command as GroupCommand, GroupState},
    },
    ids::{JobId, ProcessId},
    scheduler::cluster::Command as PlaceCommand,
    spec::{Demand, Placement},
};

use crate::{
    wire::{Message, Status},
    world::{HEAD, World},
};

impl World {
    /// Carries out what groups, scheduler and directory wish, until all are still.
    pub(crate) fn settle_control(&mut self) {
        loop {
            let control = &mut self.control;
            if let Some(command) = control.groups.poll_command() {
                self.run_group_command(command);
            } else if let Some(command) = control.scheduler.poll_command() {
                self.run_placement(command);
            } else if let Some(command) = control.directory.poll_command() {
                self.run_directory_command(command);
            } else {
                break;
            }
        }
        let control = &mut self.control;
        let timeouts = [
            control.scheduler.poll_timeout(),
            control.groups.poll_timeout(),
        ];
        if let Some(due) = timeouts.into_iter().flatten().min()
            && control.tick_at.is_none_or(|armed| due < armed)
        {
            control.tick_at = Some(due);
            self.wake_control(due);
        }
    }

    fn run_group_command(&mut self, command: GroupCommand) {
        let now = self.now;
        match command {
            GroupCommand::Prepare {
                node,
                group,
                attempt,
                bundles,
            } => {
                let message = Message::PrepareBundles(group, attempt, bundles);
                self.send(HEAD, node.process(), message);
            }
            GroupCommand::Commit {
                node,
                group,
                attempt,
            } => self.send(HEAD, node.process(), Message::CommitBundles(group, attempt)),
            GroupCommand::Return {
                node,
                group,
                attempt,
            } => self.send(HEAD, node.process(), Message::ReturnBundles(group, attempt)),
            GroupCommand::MakeRoom { node, bundles } => {
                self.send(HEAD, node.process(), Message::MakeRoom(bundles));
            }
            GroupCommand::Publish {
                group,
                state,
                bundles,
            } => {
                self.invariants.groups.on_state(group, state);
                let scheduler = &mut self.control.scheduler;
                match state {
                    GroupState::Removed => scheduler.on_group_removed(group, now),
                    _ => scheduler.on_group_placed(group, bundles, now),
                }
                if state == GroupState::Created {
                    let verdict = crate::invariants::groups::check_placed(self, group);
                    self.judge("bundles are reserved once and returned", verdict);
                }
            }
        }
    }

    fn run_placement(&mut self, command: PlaceCommand) {
        let now = self.now;
        match command {
            PlaceCommand::Forward {
                node,
                requester,
                request,
                demand,
                is_bound,
            } => {
                let verdict = self
                    .invariants
                    .placement
                    .on_forward(&self.control, node, &demand);
                self.judge("work goes where it may", verdict);
                let message = Message::PlaceLease {
                    requester,
                    request,
                    demand,
                    is_bound,
                };
                self.send(HEAD, node.process(), message);
            }
            PlaceCommand::CancelForwarded {
                node,
                requester,
                request,
            } => {
                let message = Message::CancelPlaced(requester, request);
                self.send(HEAD, node.process(), message);
            }
            PlaceCommand::Share { node, room } => {
                self.send(HEAD, node.process(), Message::ShareWaiting(room));
            }
            PlaceCommand::Refuse {
                requester,
                request,
                failure,
                actor,
            } => {
                if actor.is_some() {
                    let directory = &mut self.control.directory;
                    directory.on_lease_refused(request, failure, now);
                } else {
                    let message = Message::LeaseRefused(request, failure, false);
                    self.send(HEAD, requester, message);
                }
            }
        }
    }

    fn run_directory_command(&mut self, command: ActorCommand) {
        let now = self.now;
        let control = &mut self.control;
        match command {
            ActorCommand::RequestLease {
                request,
                actor,
                shape,
                running,
            } => {
                let (job, placement) = match control.actors.get(&actor) {
                    Some(notes) => (notes.job, notes.placement.clone()),
                    None => (JobId(0), Placement::default()),
                };
                let demand = Demand::actor(actor, job, placement, (shape, running));
                control.scheduler.place(HEAD, request, demand, now);
            }
            ActorCommand::CancelLeaseRequest { request } => {
                control.scheduler.cancel(HEAD, request, now);
            }
            ActorCommand::StartActor {
                actor,
                worker,
                incarnation,
                owner,
            } => {
                if control.hosts.contains_key(&worker) {
                    let message = Message::Construct {
                        actor,
                        worker,
                        incarnation,
                    };
                    self.send(HEAD, owner, message);
                }
            }
            ActorCommand::ActorRunning { lease } => {
                if let Some(worker) = self.host_of(lease) {
                    let node = worker.node_process();
                    self.send(HEAD, node, Message::ActorRunning(lease));
                }
            }
            ActorCommand::ReturnLease { lease } => {
                if let Some(worker) = self.host_of(lease) {
                    self.control.hosts.remove(&worker);
                    let node = worker.node_process();
                    self.send(HEAD, node, Message::ReturnLease(lease));
                }
            }
            ActorCommand::Publish { to, actor, state } => {
                let status = self.status_of(state);
                self.send(HEAD, to, Message::ActorState(actor, status));
            }
            ActorCommand::KillWorker { worker, .. } => {
                let node = worker.node_process();
                self.send(HEAD, node, Message::KillWorker(worker));
            }
            ActorCommand::StopActor { actor, worker } => {
                let node = worker.node_process();
                self.send(HEAD, node, Message::StopWorkersActor(worker, actor));
            }
        }
    }

    fn status_of(&self, state: DirectoryState) -> Status {
        match state {
            DirectoryState::Pending => Status::Pending,
            DirectoryState::Alive {
                process,
                incarnation,
            } => match self.is_host(process) {
                true => Status::Alive(process, incarnation),
                // It just died; the directory will say so next.
                false => Status::Pending,
            },
            DirectoryState::Restarting => Status::Restarting,
            DirectoryState::Dead { failure } => Status::Dead(failure),
        }
    }

    fn is_host(&self, process: ProcessId) -> bool {
        self.control.hosts.contains_key(&process)
    }
}
