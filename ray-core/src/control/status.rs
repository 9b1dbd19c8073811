//! The control role's state as people see it: the status and the tables.

use std::{collections::BTreeMap, sync::Arc};

use ray_engine::{
    control::actors::DirectoryState,
    failure::ExitKind,
    ids::{JobId, ProcessId},
    resources::Resources,
    scheduler::cluster::WaitReason,
};

use super::{
    nodes::EndedWorker,
    protocol::{ClusterStatus, Demand},
    role::{ControlRole, ControlState},
    rows::{ActorState, JobState, NodeState, PlacementGroupState, WorkerState},
    tables::{Row, Table, TableRow as _},
    token_office::wall_now,
};
use crate::runtime::Runtime;

impl ControlRole {
    /// Returns how the cluster is doing.
    pub(crate) fn status(&self, runtime: &Arc<Runtime>) -> ClusterStatus {
        let state = self.state.lock();
        let nodes = state.node_rows(runtime);
        ClusterStatus {
            cluster_id: runtime
                .node_role
                .as_ref()
                .map_or_else(String::new, |node| format!("{:x}", node.start.ca.cluster())),
            version: env!("CARGO_PKG_VERSION").into(),
            uptime_s: runtime.now().0 / 1_000_000_000,
            clock_s: wall_now().0,
            generation: state.generation,
            alarms: nodes.iter().filter_map(alarm_of).collect(),
            nodes,
            demands: state.demands(),
        }
    }

    /// Returns all rows of a table.
    ///
    /// # Errors
    /// A table that the control role does not keep.
    pub(crate) fn rows(&self, table: Table, runtime: &Arc<Runtime>) -> Result<Vec<Row>, String> {
        let state = self.state.lock();
        Ok(match table {
            Table::Nodes => state
                .node_rows(runtime)
                .iter()
                .map(NodeState::row)
                .collect(),
            Table::Workers => state.worker_rows().iter().map(WorkerState::row).collect(),
            Table::Actors => state.actor_rows().iter().map(ActorState::row).collect(),
            Table::Jobs => state
                .job_rows(runtime.now())
                .iter()
                .map(JobState::row)
                .collect(),
            Table::PlacementGroups => state
                .group_rows()
                .iter()
                .map(PlacementGroupState::row)
                .collect(),
            Table::Tasks | Table::Objects => {
                return Err(format!("{} are gathered, not kept", table.name()));
            }
        })
    }

    /// Returns the living node that an id's beginning or a name means; drivers are none.
    ///
    /// # Errors
    /// None, or several.
    pub(crate) fn find_node(&self, named: &str) -> Result<ProcessId, String> {
        let state = self.state.lock();
        let living = state.nodes.all().filter(|node| node.row.alive);
        let begins = |id: String| !named.is_empty() && id.starts_with(named);
        let mut found =
            living.filter(|node| node.row.name == named || begins(node.row.node.to_string()));
        match (found.next(), found.next()) {
            (Some(node), None) => Ok(node.row.node.process()),
            (None, _) => Err(format!(
                "no living node has the name `{named}` or an id that begins so; see `ray list nodes`"
            )),
            (Some(_), Some(_)) => Err(format!(
                "`{named}` could be several nodes; give more of the id"
            )),
        }
    }

    /// Returns every living node's process.
    pub(crate) fn node_processes(&self) -> Vec<ProcessId> {
        self.state.lock().nodes.alive()
    }
}

impl ControlState {
    fn node_rows(&self, runtime: &Arc<Runtime>) -> Vec<NodeState> {
        let row = |node: &super::nodes::Node| {
            let (health, state_message) = self.health_of(&node.row);
            NodeState {
                node_id: node.row.node.to_string(),
                node_ip: node.row.addr.to_string(),
                is_head_node: node.row.node == runtime.node(),
                state: health.into(),
                state_message,
                node_name: node.row.name.clone(),
                resources_total: amounts(&node.row.resources),
                resources_available: if node.row.alive {
                    amounts(&node.available)
                } else {
                    BTreeMap::new()
                },
                labels: node.row.labels.0.clone(),
            }
        };
        self.nodes.all().map(row).collect()
    }

    fn worker_rows(&self) -> Vec<WorkerState> {
        let mut rows = Vec::new();
        for node in self.nodes.all() {
            for worker in &node.workers {
                rows.push(WorkerState {
                    worker_id: worker.process.to_string(),
                    is_alive: true,
                    worker_type: "WORKER".into(),
                    exit_type: None,
                    exit_detail: None,
                    node_id: node.row.node.to_string(),
                    ip: worker.addr.map(|addr| addr.to_string()).unwrap_or_default(),
                    pid: worker.pid,
                });
            }
        }
        // The newest first: a list may be cut.
        let ended: Vec<_> = self.nodes.ended_workers().collect();
        for EndedWorker { row, exit } in ended.into_iter().rev() {
            rows.push(WorkerState {
                worker_id: row.process.to_string(),
                is_alive: false,
                worker_type: "WORKER".into(),
                exit_type: Some(exit_type(exit.kind).into()),
                exit_detail: Some(exit.describe()),
                node_id: row.process.node().to_string(),
                ip: row.addr.map(|addr| addr.to_string()).unwrap_or_default(),
                pid: row.pid,
            });
        }
        rows
    }

    fn pid_of(&self, process: ProcessId) -> Option<u32> {
        let mut workers = self.nodes.all().flat_map(|node| &node.workers);
        workers
            .find(|worker| worker.process == process)
            .map(|worker| worker.pid)
    }

    fn actor_rows(&self) -> Vec<ActorState> {
        let known = self
            .directory
            .actors()
            .filter(|(spec, ..)| !spec.class.is_empty());
        known
            .map(|(spec, state, incarnation)| {
                let (state, process) = match state {
                    DirectoryState::Pending => ("PENDING_CREATION", None),
                    DirectoryState::Alive { process, .. } => ("ALIVE", Some(*process)),
                    DirectoryState::Restarting => ("RESTARTING", None),
                    DirectoryState::Dead { .. } => ("DEAD", None),
                };
                let job = self.actors.get(&spec.actor).map(|notes| notes.job);
                ActorState {
                    actor_id: spec.actor.to_string(),
                    class_name: spec.class.clone(),
                    state: state.into(),
                    job_id: job.unwrap_or(JobId(0)).to_string(),
                    name: spec.name.as_ref().map(|(_, name)| name.clone()),
                    node_id: process.map(|process| process.node().to_string()),
                    pid: process.and_then(|process| self.pid_of(process)),
                    ray_namespace: spec
                        .name
                        .as_ref()
                        .map(|(namespace, _)| namespace.clone())
                        .unwrap_or_default(),
                    num_restarts: incarnation,
                }
            })
            .collect()
    }

    /// Returns what waits, equal wishes together.
    fn demands(&self) -> Vec<Demand> {
        let mut demands: Vec<Demand> = Vec::new();
        for pending in self.scheduler.demand() {
            let shape = amounts(&pending.demand.shape);
            let reason = match pending.reason {
                WaitReason::Busy => "the nodes that could run it are full".to_owned(),
                WaitReason::Infeasible => "no node is large enough".to_owned(),
                WaitReason::GroupNotPlaced(group) => {
                    format!("its placement group {group} has no place yet")
                }
            };
            let same = demands
                .iter_mut()
                .find(|demand| demand.shape == shape && demand.reason == reason);
            match same {
                Some(demand) => demand.count += 1,
                None => demands.push(Demand {
                    shape,
                    count: 1,
                    reason,
                }),
            }
        }
        demands
    }
}

fn exit_type(kind: ExitKind) -> &'static str {
    match kind {
        ExitKind::SystemError => "SYSTEM_ERROR",
        ExitKind::UserError => "USER_ERROR",
        ExitKind::IntendedSystemExit => "INTENDED_SYSTEM_EXIT",
        ExitKind::IntendedUserExit => "INTENDED_USER_EXIT",
    }
}

/// Returns what a person should know of a node that still counts.
fn alarm_of(node: &NodeState) -> Option<String> {
    let is_plain = ["ALIVE", "DEAD"].contains(&node.state.as_str());
    let why = node.state_message.as_deref().unwrap_or_default();
    (!is_plain).then(|| format!("node {} is {}: {why}", node.node_name, node.state))
}

pub(super) fn amounts(resources: &Resources) -> BTreeMap<String, f64> {
    let amount =
        |(name, amount): (&String, &ray_engine::resources::Amount)| (name.clone(), amount.to_f64());
    resources.0.iter().map(amount).collect()
}
