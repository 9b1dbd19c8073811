//! The last act of a world of several nodes: with everything let go, every node must still do its work.
//!
//! One task a node, which must run there; one that no node can run and one that is tied to a node that is
//! gone, which must be refused, the former not before its time; and a group that takes every CPU.

use std::rc::Rc;

use ray_engine::{
    control::groups::{GroupSpec, GroupState, Lifetime},
    failure::{Failure, RetryOn},
    ids::{GroupId, NodeId, ObjectId, ProcessId},
    owner::{ObjectState, TaskSubmit},
    resources::{Amount, Resources},
    spec::{Placement, PlacementStrategy, Strategy},
    time::Time,
};

use super::{HEAD, World};
use crate::{
    process::Shape,
    wire::{Fate, Message, Payload},
};

/// What the probe waits for.
#[derive(Default)]
pub(super) struct Probe {
    stage: Stage,
    /// Results, and where each must come from; `None` for those that must be refused.
    tasks: Vec<(ObjectId, Option<NodeId>)>,
    group: Option<GroupId>,
    begun: Time,
    infeasible: Option<ObjectId>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Before,
    Asked,
    Grouped,
    Over,
}

const NAME: &str = "a cluster at rest does its work";

impl World {
    /// Begins the probe or its next part when nothing is left to happen; returns whether more will.
    pub(super) fn goes_on_with_probe(&mut self) -> bool {
        if self.profile.cluster.is_none() || self.driver_goes_on() {
            return false;
        }
        match self.probe.stage {
            Stage::Before => {
                self.judge_rest();
                self.probe_tasks();
            }
            Stage::Asked => {
                self.judge_probe();
                self.probe_group();
            }
            Stage::Grouped => self.end_probe(),
            Stage::Over => return false,
        }
        self.violation.is_none()
    }

    fn probe_tasks(&mut self) {
        self.probe.stage = Stage::Asked;
        self.probe.begun = self.now;
        let nodes = self.control.working_nodes();
        let one_cpu = Resources::new().with(Resources::CPU, Amount::ONE);
        let tied = |node| Placement {
            strategy: Strategy::NodeAffinity { node, soft: false },
            ..Placement::default()
        };
        for node in &nodes {
            let object = self.probe_task(one_cpu.clone(), tied(node.node()));
            self.probe.tasks.push((object, Some(node.node())));
        }
        let gone = self.ever_nodes().into_iter().find(|id| {
            let row = &self.control.nodes[id];
            !row.is_alive
        });
        let gone = gone.map_or(NodeId(998), ProcessId::node);
        let object = self.probe_task(one_cpu, tied(gone));
        self.probe.tasks.push((object, None));
        let too_much = Resources::new().with(Resources::CPU, Amount(10_000_000));
        let object = self.probe_task(too_much, Placement::default());
        self.probe.tasks.push((object, None));
        self.probe.infeasible = Some(object);
    }

    fn probe_task(&mut self, resources: Resources, placement: Placement) -> ObjectId {
        let driver = self.drivers[0];
        let now = self.now;
        let payload = Rc::new(Payload {
            args: Vec::new(),
            handles: Vec::new(),
            groups: Vec::new(),
            depth: 100,
            steps: 0,
            step_nanos: 1_000,
            may_block: false,
            fate: Fate::Return,
            returns: 1,
            call: None,
        });
        let process = self.process(driver);
        let shape = process.shape_id(Shape {
            resources,
            placement,
        });
        let submit = TaskSubmit {
            shape,
            returns: 1,
            dependencies: &[],
            nested: &[],
            max_retries: 0,
            retry_failures: RetryOn::Nothing,
            parent: None,
            payload,
        };
        let task = process.owner.submit_task(submit, now);
        process.owner.watch(task.result(0));
        self.settle(driver);
        task.result(0)
    }

    /// Notes when the probe's infeasible task is refused.
    pub(crate) fn on_probe_resolved(&mut self, at: ProcessId, object: ObjectId) {
        if self.probe.infeasible != Some(object) || at != self.drivers[0] {
            return;
        }
        let grace = self.profile.cluster.as_ref();
        let grace = grace.map(|cluster| cluster.infeasible_grace);
        if self.now.since(self.probe.begun) < grace.unwrap_or_default() {
            let text = format!("{object} was refused before its time");
            self.fail(NAME, text);
        }
    }

    fn judge_probe(&mut self) {
        let driver = self.drivers[0];
        for (object, node) in std::mem::take(&mut self.probe.tasks) {
            let verdict = match (self.process(driver).owner.state(object), node) {
                (ObjectState::Ready(value), Some(node)) if value.maker.node() == node => Ok(()),
                (ObjectState::Failed(failure), None)
                    if matches!(*failure, Failure::Unschedulable { .. }) =>
                {
                    Ok(())
                }
                (state, node) => {
                    let wanted = node.map_or("a refusal".into(), |node| format!("node {node}"));
                    Err(format!("{object} is {state:?} and not of {wanted}"))
                }
            };
            let verdict = verdict.map_err(|text| {
                let view = self.control.scheduler.view();
                let demands = self.control.scheduler.demand().collect::<Vec<_>>();
                format!("{text}; the control role sees {view:?}; {demands:?} wait")
            });
            self.judge(NAME, verdict);
            self.drop_handle(driver, object);
        }
    }

    fn probe_group(&mut self) {
        self.probe.stage = Stage::Grouped;
        let driver = self.drivers[0];
        let nodes = self.control.working_nodes();
        let cpus = nodes.iter().map(|id| {
            let total = &self.nodes[id].total;
            Resources::new().with(Resources::CPU, total.amount(Resources::CPU))
        });
        let bundles = cpus.collect::<Vec<_>>();
        let process = self.process(driver);
        let group = GroupId {
            owner: driver,
            index: process.owner.take_indexes(1),
        };
        let spec = GroupSpec {
            group,
            name: None,
            bundles,
            strategy: PlacementStrategy::StrictSpread,
            lifetime: Lifetime::Job(process.job),
        };
        self.probe.group = Some(group);
        self.send(driver, HEAD, Message::CreateGroup(0, Box::new(spec)));
    }

    fn end_probe(&mut self) {
        self.probe.stage = Stage::Over;
        let Some(group) = self.probe.group else {
            return;
        };
        let state = self.control.groups.state(group);
        if state != Some(GroupState::Created) {
            let free = self.nodes.values().map(|node| node.scheduler.available());
            let text = format!(
                "a group of all CPUs is {state:?}, and free are {:?}",
                free.collect::<Vec<_>>()
            );
            self.fail(NAME, text);
        }
        let driver = self.drivers[0];
        self.send(driver, HEAD, Message::RemoveGroup(group));
    }
}
