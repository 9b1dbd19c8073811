//! What user code does with placement groups and strategies.

use std::collections::BTreeSet;

use ray_engine::{
    control::groups::{GroupSpec, Lifetime},
    failure::Failure,
    ids::{GroupId, NodeId, ProcessId},
    spec::{BundleRef, Placement},
};

use super::{Context, Next, Wait};
use crate::{
    scenario,
    wire::Message,
    world::{HEAD, World},
};

impl World {
    /// Draws where work is to run.
    pub(super) fn some_placement(&mut self, groups: &[GroupId]) -> Placement {
        if self.profile.cluster.is_none() || self.chance.percent(55) {
            return Placement::default();
        }
        if self.chance.percent(60)
            && let Some(position) = self.chance.position(groups.len())
        {
            let index = self.chance.percent(50).then(|| self.chance.below(5) as u32);
            let bundle = BundleRef {
                group: groups[position],
                index,
            };
            return Placement {
                bundle: Some(bundle),
                ..Placement::default()
            };
        }
        let nodes = self.control.nodes.iter();
        let workers = nodes.filter(|(_, row)| !row.is_driver);
        let ids = workers.map(|(id, _)| id.node()).collect::<Vec<NodeId>>();
        Placement {
            strategy: scenario::some_strategy(&mut self.chance, &ids),
            ..Placement::default()
        }
    }

    pub(super) fn create_group(&mut self, at: ProcessId, id: u64, context: &mut Context) -> Next {
        // Later nobody would be left to end it.
        if !context.may_block || !self.driver_goes_on() {
            return Next::Go;
        }
        let (bundles, strategy) = scenario::plan_group(&mut self.chance);
        let process = self.process(at);
        let group = GroupId {
            owner: at,
            index: process.owner.take_indexes(1),
        };
        let spec = GroupSpec {
            group,
            name: None,
            bundles,
            strategy,
            lifetime: Lifetime::Job(process.job),
        };
        let request = self.fresh_number();
        context.wait = Some(Wait::Group(group));
        self.requests.insert(request, (at, id, context.generation));
        let delay = self.chance.between(1_000_000, 300_000_000);
        self.end_group_in(delay, group);
        self.send(at, HEAD, Message::CreateGroup(request, Box::new(spec)));
        Next::Block
    }

    pub(crate) fn on_group_reply(
        &mut self,
        at: ProcessId,
        request: u64,
        outcome: Result<(), Failure>,
    ) {
        let Some((_, id, context)) = self.reply_arrived(request) else {
            return;
        };
        let Some(Wait::Group(group)) = context.wait.take() else {
            return;
        };
        if outcome.is_ok() {
            context.groups.push(group);
        }
        let generation = context.generation;
        self.wake_context(at, id, generation, 1);
    }

    /// A group's time is over: its creator removes it, or whoever is left.
    pub(crate) fn on_group_over(&mut self, group: GroupId) {
        if self.group_is_over(group) {
            return;
        }
        let by = match self.processes.contains_key(&group.owner) {
            true => group.owner,
            false => self.drivers[0],
        };
        self.process(by).note_removed(group);
        self.send(by, HEAD, Message::RemoveGroup(group));
        // The question for it may still be on its way.
        if self.lives_left(group) {
            self.end_group_in(500_000_000, group);
        }
    }

    fn lives_left(&mut self, group: GroupId) -> bool {
        let left = self.groups_left.entry(group).or_insert(60);
        *left -= 1;
        *left > 0
    }

    /// Returns the nodes on which some process of these worlds has been.
    pub(crate) fn ever_nodes(&self) -> BTreeSet<ProcessId> {
        self.control.nodes.keys().copied().collect()
    }
}
