//! Placement groups as the control role keeps them: what is asked, what the machine wishes.

use ray_engine::{
    control::groups::{Command, GroupSpec, GroupState, Lifetime},
    failure::Failure,
    ids::{JobId, ProcessId},
    spec::PlacementStrategy,
    time::Time,
};

use super::{
    role::{ControlState, Outbox},
    rows::PlacementGroupState,
    status::amounts,
};
use crate::wire::{BundleMessage, Message};

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
            Message::CreateGroup {
                request,
                group,
                bundles,
                strategy,
                job,
            } => {
                let spec = GroupSpec {
                    group,
                    name: None,
                    bundles,
                    strategy,
                    lifetime: Lifetime::Job(job),
                };
                let outcome = self.create_group(spec, job, now);
                out.push((from, Message::GroupReply { request, outcome }));
            }
            Message::RemoveGroup { request, group } => {
                self.groups.remove(group, now);
                let outcome = Ok(());
                out.push((from, Message::GroupReply { request, outcome }));
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

    fn create_group(&mut self, spec: GroupSpec, job: JobId, now: Time) -> Result<(), Failure> {
        if self.is_over(job) {
            return Err(Failure::System(format!("job {job} has ended")));
        }
        self.groups.create(spec, now)
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
            Command::Publish {
                group,
                state: GroupState::Removed,
                ..
            } => self.scheduler.on_group_removed(group, now),
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
