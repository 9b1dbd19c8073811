//! Placement groups as the control role keeps them: what is asked, what the machine wishes.

use ray_engine::{
    control::{
        actors::DirectoryState,
        groups::{Command, GroupSpec, GroupState, Lifetime},
    },
    failure::Failure,
    ids::{ActorId, ProcessId},
    spec::PlacementStrategy,
    time::Time,
};

use super::{
    jobs::Wish,
    role::{ControlState, Outbox},
    rows::PlacementGroupState,
    status::amounts,
};
use crate::wire::{BundleMessage, GroupCreation, GroupMessage, Message};

impl ControlState {
    /// A process asks for a group or its end, or a node answers about its share of one.
    pub(super) fn on_group_message(
        &mut self,
        from: ProcessId,
        message: Message,
        now: Time,
        out: &mut Outbox,
    ) {
        let node = from.node();
        match message {
            Message::Groups(GroupMessage::CreateGroup { request, creation }) => {
                let outcome = self.create_group(from, creation, now);
                out.push((
                    from,
                    Message::Groups(GroupMessage::GroupReply { request, outcome }),
                ));
            }
            Message::Groups(GroupMessage::LookupGroup {
                request,
                namespace,
                name,
            }) => {
                let found = self.groups.lookup(&namespace, &name);
                let outcome = found
                    .map(|spec| (spec.group, spec.bundles.clone()))
                    .ok_or(Failure::NotFound(name));
                out.push((
                    from,
                    Message::Groups(GroupMessage::GroupFound { request, outcome }),
                ));
            }
            Message::Groups(GroupMessage::RemoveGroup { request, group }) => {
                self.groups.remove(group, now);
                let outcome = Ok(());
                out.push((
                    from,
                    Message::Groups(GroupMessage::GroupReply { request, outcome }),
                ));
            }
            Message::Bundles(BundleMessage::Prepared { group, attempt }) => {
                self.groups.on_prepared(node, group, attempt, now)
            }
            Message::Bundles(BundleMessage::Committed { group, attempt }) => {
                self.groups.on_committed(node, group, attempt, now)
            }
            Message::Bundles(BundleMessage::Refused { group, attempt }) => {
                self.groups.on_refused(node, group, attempt, now)
            }
            other => tracing::warn!(%from, ?other, "this is not about a placement group"),
        }
    }

    fn create_group(
        &mut self,
        from: ProcessId,
        creation: GroupCreation,
        now: Time,
    ) -> Result<(), Failure> {
        let mut spec = spec_of(creation.clone());
        // A detached actor may outlive its job, and what it reserved lives as long as it does.
        let creator = self.directory.detached_on(from);
        match creator {
            Some(actor) if !creation.detached => {
                spec.lifetime = Lifetime::Actor(actor);
                self.reserving.insert(actor);
            }
            Some(_) => {}
            None if self.is_over(creation.job) => {
                return Err(Failure::System(format!("job {} has ended", creation.job)));
            }
            None => {}
        }
        self.groups.create(spec, now)?;
        if creation.detached && self.groups_on_record.insert(creation.group) {
            self.wish(Wish::KeepGroup(Box::new(creation)));
        }
        Ok(())
    }

    /// Ends what detached actors reserved that are dead by now; returns whether there was one.
    pub(super) fn end_groups_of_the_dead(&mut self, now: Time) -> bool {
        let is_dead = |actor: &ActorId| {
            let state = self.directory.state(*actor);
            state.is_none_or(|state| matches!(state, DirectoryState::Dead { .. }))
        };
        let dead = self.reserving.iter().copied().filter(is_dead);
        let dead = dead.collect::<Vec<_>>();
        for actor in &dead {
            self.reserving.remove(actor);
            self.groups.on_actor_died(*actor, now);
        }
        !dead.is_empty()
    }

    /// Takes up a detached group of the head before.
    pub(super) fn restore_group(&mut self, creation: GroupCreation, now: Time) {
        let group = creation.group;
        match self.groups.create(spec_of(creation), now) {
            Ok(()) => drop(self.groups_on_record.insert(group)),
            Err(failure) => tracing::error!(%group, ?failure, "a placement group is lost"),
        }
    }

    pub(super) fn run_group_command(&mut self, command: Command, now: Time, out: &mut Outbox) {
        match command {
            Command::Prepare {
                node,
                group,
                attempt,
                bundles,
            } => out.push((
                node.process(),
                Message::Bundles(BundleMessage::Prepare {
                    group,
                    attempt,
                    bundles,
                }),
            )),
            Command::Commit {
                node,
                group,
                attempt,
            } => out.push((
                node.process(),
                Message::Bundles(BundleMessage::Commit { group, attempt }),
            )),
            Command::Return {
                node,
                group,
                attempt,
            } => out.push((
                node.process(),
                Message::Bundles(BundleMessage::Return { group, attempt }),
            )),
            Command::MakeRoom { node, bundles } => {
                out.push((
                    node.process(),
                    Message::Groups(GroupMessage::MakeRoom { bundles }),
                ));
            }
            Command::Publish {
                group,
                state: GroupState::Removed,
                ..
            } => {
                self.scheduler.on_group_removed(group, now);
                if self.groups_on_record.remove(&group) {
                    self.wish(Wish::ForgetGroup(group));
                }
            }
            Command::Publish { group, bundles, .. } => {
                self.scheduler.on_group_placed(group, bundles, now)
            }
        }
    }

    pub(super) fn group_rows(&self) -> Vec<PlacementGroupState> {
        let row = |(spec, state): (&GroupSpec, GroupState)| PlacementGroupState {
            placement_group_id: spec.group.to_string(),
            name: spec.name.as_ref().map(|(_, name)| name.clone()),
            creator_job_id: match spec.lifetime {
                Lifetime::Job(job) => job.to_string(),
                Lifetime::Actor(_) | Lifetime::Detached => String::new(),
            },
            state: match state {
                GroupState::Pending => "PENDING",
                GroupState::Created => "CREATED",
                GroupState::Rescheduling => "RESCHEDULING",
                GroupState::Removed => "REMOVED",
            }
            .into(),
            strategy: match spec.strategy {
                PlacementStrategy::Pack => "PACK",
                PlacementStrategy::Spread => "SPREAD",
                PlacementStrategy::StrictPack => "STRICT_PACK",
                PlacementStrategy::StrictSpread => "STRICT_SPREAD",
            }
            .into(),
            bundles: spec.bundles.iter().map(amounts).collect(),
        };
        self.groups.groups().map(row).collect()
    }
}

/// Returns what the machine must know of a group.
fn spec_of(creation: GroupCreation) -> GroupSpec {
    GroupSpec {
        group: creation.group,
        name: creation.name,
        bundles: creation.bundles,
        strategy: creation.strategy,
        lifetime: match creation.detached {
            true => Lifetime::Detached,
            false => Lifetime::Job(creation.job),
        },
    }
}
