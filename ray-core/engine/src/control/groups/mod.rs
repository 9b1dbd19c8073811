//! Placement groups: bundles that are reserved together or not at all.
//!
//! # Two phases
//! Nodes are chosen for all bundles that have no place; each is asked to prepare its share. When all
//! have, all are told to commit; when all have done that, the bundles have their places. A refusal, a
//! death or silence ends the attempt: its shares are returned and the group waits for room again. An
//! attempt has a number of its own, so a late answer can never count for a newer one, and a bundle is
//! never reserved twice. A node gives up by itself what was prepared and not committed in time.
//!
//! # Loss
//! When a node dies its bundles have no place any more: the group is rescheduling until all of them
//! have one again. The others stay as they are.

mod attempt;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use attempt::{Attempt, choose};

use crate::{
    failure::Failure,
    ids::{ActorId, GroupId, JobId, NodeId},
    resources::Resources,
    spec::{Labels, NodeReport, PlacedBundle, PlacementStrategy},
    time::Time,
    view::ClusterView,
};

/// Numbers of the placement groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupsConfig {
    /// How long a node may take to answer. Default 5 s.
    pub answer_timeout: Duration,
    /// Groups that may exist. Default 100,000.
    pub groups_max: usize,
    /// Bundles of one group. Default 10,000.
    pub bundles_max: usize,
    /// Removed groups that are remembered. Default 10,000.
    pub removed_max: usize,
}

impl Default for GroupsConfig {
    fn default() -> GroupsConfig {
        GroupsConfig {
            answer_timeout: Duration::from_secs(5),
            groups_max: 100_000,
            bundles_max: 10_000,
            removed_max: 10_000,
        }
    }
}

/// With whom a group ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// The job that made it.
    Job(JobId),
    /// The detached actor that made it.
    Actor(ActorId),
    /// Only by removal.
    Detached,
}

/// A group as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupSpec {
    /// Its id.
    pub group: GroupId,
    /// Namespace and name, when it has one.
    pub name: Option<(String, String)>,
    /// What each bundle reserves.
    pub bundles: Vec<Resources>,
    /// How they lie to each other.
    pub strategy: PlacementStrategy,
    /// With whom it ends.
    pub lifetime: Lifetime,
}

/// How a group is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupState {
    /// Never had all its places.
    Pending,
    /// All bundles have a place.
    Created,
    /// Some lost their place.
    Rescheduling,
    /// Gone.
    Removed,
}

/// What the placement groups want done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Ask a node to reserve all of these bundles or none.
    Prepare {
        /// Whom.
        node: NodeId,
        /// For which group.
        group: GroupId,
        /// In which attempt.
        attempt: u64,
        /// Index and size of each.
        bundles: Vec<(u32, Resources)>,
    },
    /// Tell a node that what it prepared is final.
    Commit {
        /// Whom.
        node: NodeId,
        /// For which group.
        group: GroupId,
        /// In which attempt.
        attempt: u64,
    },
    /// Have a node give up what an attempt reserved, and end the work in it.
    Return {
        /// Whom.
        node: NodeId,
        /// For which group.
        group: GroupId,
        /// In which attempt.
        attempt: u64,
    },
    /// A group waits for room: have a node call back what work there only keeps for later, for these bundles.
    MakeRoom {
        /// Whom.
        node: NodeId,
        /// What of the group it could hold, were nothing else there.
        bundles: Vec<Resources>,
    },
    /// Tell the scheduler and whoever waits how a group is.
    Publish {
        /// Which.
        group: GroupId,
        /// How it is.
        state: GroupState,
        /// Where its bundles are.
        bundles: Vec<PlacedBundle>,
    },
}

struct Group {
    spec: GroupSpec,
    state: GroupState,
    /// Where each bundle is and in which attempt it got there.
    places: Vec<Option<(NodeId, u64)>>,
    attempt: Option<Attempt>,
    /// Whether nodes were asked to make room since it began to wait.
    has_asked: bool,
}

impl Group {
    fn bundles(&self) -> Vec<PlacedBundle> {
        let places = self.spec.bundles.iter().zip(&self.places);
        places
            .map(|(shape, place)| PlacedBundle {
                shape: shape.clone(),
                node: place.map(|(node, _)| node),
            })
            .collect()
    }

    fn unplaced(&self) -> Vec<u32> {
        let places = self.places.iter().enumerate();
        places
            .filter(|(_, place)| place.is_none())
            .map(|(index, _)| index as u32)
            .collect()
    }
}

/// The state machine.
pub struct PlacementGroups {
    config: GroupsConfig,
    view: ClusterView,
    groups: BTreeMap<GroupId, Group>,
    /// The order in which groups were asked for: the oldest is tried first.
    order: VecDeque<GroupId>,
    names: BTreeMap<(String, String), GroupId>,
    removed: VecDeque<GroupId>,
    next_attempt: u64,
    commands: VecDeque<Command>,
}

impl PlacementGroups {
    /// Returns an empty machine whose attempts count from `first_attempt`, never used before.
    pub fn new(config: GroupsConfig, first_attempt: u64) -> PlacementGroups {
        PlacementGroups {
            config,
            view: ClusterView::new(),
            groups: BTreeMap::new(),
            order: VecDeque::new(),
            names: BTreeMap::new(),
            removed: VecDeque::new(),
            next_attempt: first_attempt,
            commands: VecDeque::new(),
        }
    }

    /// Returns the next wish.
    pub fn poll_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// Returns when [`PlacementGroups::on_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<Time> {
        self.groups
            .values()
            .filter_map(|group| group.attempt.as_ref())
            .map(|attempt| attempt.asked + self.config.answer_timeout)
            .min()
    }

    /// Returns how a group is; removed ones are remembered for a while.
    pub fn state(&self, group: GroupId) -> Option<GroupState> {
        match self.groups.get(&group) {
            Some(found) => Some(found.state),
            None => self.removed.contains(&group).then_some(GroupState::Removed),
        }
    }

    /// Returns the bundles of a group and where they are.
    pub fn bundles(&self, group: GroupId) -> Option<Vec<PlacedBundle>> {
        self.groups.get(&group).map(Group::bundles)
    }

    /// Returns the group of a name.
    pub fn lookup(&self, namespace: &str, name: &str) -> Option<&GroupSpec> {
        let name = (namespace.to_owned(), name.to_owned());
        let group = self.groups.get(self.names.get(&name)?)?;
        Some(&group.spec)
    }

    /// Returns the groups in the order in which they were asked for.
    pub fn groups(&self) -> impl Iterator<Item = (&GroupSpec, GroupState)> {
        let groups = self.order.iter().filter_map(|id| self.groups.get(id));
        groups.map(|group| (&group.spec, group.state))
    }

    /// Returns whether the cluster as it is could hold what a group lacks, were nothing else in it.
    pub fn is_feasible(&self, group: GroupId) -> bool {
        let Some(group) = self.groups.get(&group) else {
            return false;
        };
        let nodes = self
            .view
            .usable()
            .map(|(node, view)| (node, view.total.clone()))
            .collect::<Vec<_>>();
        choose(group, &nodes).is_some()
    }

    /// Notes a group and looks for places; asking again for the same one changes nothing.
    ///
    /// # Errors
    /// `InvalidOption` for no bundles, an empty or an impossible one, and for an empty name; `NameTaken`; `System` at
    /// the limit.
    pub fn create(&mut self, spec: GroupSpec, now: Time) -> Result<(), Failure> {
        let id = spec.group;
        if self.state(id).is_some() {
            return Ok(());
        }
        self.check(&spec)?;
        if let Some(name) = &spec.name {
            if self.names.contains_key(name) {
                return Err(Failure::NameTaken(name.1.clone()));
            }
            self.names.insert(name.clone(), id);
        }
        let group = Group {
            places: vec![None; spec.bundles.len()],
            spec,
            state: GroupState::Pending,
            attempt: None,
            has_asked: false,
        };
        self.groups.insert(id, group);
        self.order.push_back(id);
        self.attempt(id, now);
        Ok(())
    }

    fn check(&self, spec: &GroupSpec) -> Result<(), Failure> {
        if spec.name.as_ref().is_some_and(|(_, name)| name.is_empty()) {
            return Err(Failure::InvalidOption {
                option: "name".into(),
                reason: "it is empty".into(),
            });
        }
        let reason = if spec.bundles.is_empty() {
            "a placement group has at least one bundle".to_owned()
        } else if spec.bundles.len() > self.config.bundles_max {
            format!("at most {} bundles are allowed", self.config.bundles_max)
        } else if let Some(index) = spec.bundles.iter().position(Resources::is_empty) {
            format!("bundle {index} asks for nothing")
        } else if let Some((index, name)) = invalid(&spec.bundles) {
            format!(
                "bundle {index} asks for an amount of `{name}` that is below zero, too large or no number"
            )
        } else if self.groups.len() >= self.config.groups_max {
            let limit = self.config.groups_max;
            return Err(Failure::System(format!(
                "there are {limit} placement groups"
            )));
        } else {
            return spec
                .bundles
                .iter()
                .try_for_each(|bundle| bundle.check_devices());
        };
        Err(Failure::InvalidOption {
            option: "bundles".into(),
            reason,
        })
    }

    /// Ends a group; ending it again changes nothing.
    pub fn remove(&mut self, id: GroupId, now: Time) {
        let Some(mut group) = self.groups.remove(&id) else {
            return;
        };
        self.order.retain(|other| *other != id);
        if let Some(name) = &group.spec.name {
            self.names.remove(name);
        }
        self.abort(&mut group);
        let held = group.places.iter().flatten().copied();
        for (node, attempt) in held.collect::<BTreeSet<_>>() {
            self.give_back(node, id, attempt);
        }
        group.places.fill(None);
        self.commands.push_back(Command::Publish {
            group: id,
            state: GroupState::Removed,
            bundles: group.bundles(),
        });
        self.removed.push_back(id);
        if self.removed.len() > self.config.removed_max {
            self.removed.pop_front();
        }
        self.retry(now);
    }

    /// A job has ended: its groups end.
    pub fn on_job_ended(&mut self, job: JobId, now: Time) {
        self.remove_all(Lifetime::Job(job), now);
    }

    /// An actor is dead for good: its groups end.
    pub fn on_actor_died(&mut self, actor: ActorId, now: Time) {
        self.remove_all(Lifetime::Actor(actor), now);
    }

    fn remove_all(&mut self, lifetime: Lifetime, now: Time) {
        let ended = self
            .groups
            .values()
            .filter(|group| group.spec.lifetime == lifetime)
            .map(|group| group.spec.group)
            .collect::<Vec<_>>();
        for group in ended {
            self.remove(group, now);
        }
    }

    /// A node takes part from now on.
    pub fn on_node_joined(&mut self, node: NodeId, total: Resources, labels: Labels, now: Time) {
        self.view.join(node, total, labels);
        self.retry(now);
    }

    /// A node reports; stale reports change nothing.
    pub fn on_node_view(&mut self, node: NodeId, report: NodeReport, now: Time) {
        if self.view.update(node, report) {
            self.retry(now);
        }
    }

    /// A node takes no new bundles; those that it has stay until it leaves.
    pub fn on_node_draining(&mut self, node: NodeId, _now: Time) {
        self.view.drain(node);
    }

    /// A node is gone with its bundles.
    pub fn on_node_died(&mut self, node: NodeId, now: Time) {
        if self.view.leave(node) {
            self.lose(node, |_, _| true);
            self.retry(now);
        }
    }

    /// A node that registers (again) says which attempts of which groups it holds.
    ///
    /// What nobody knows of is returned; what it should hold and does not is lost.
    pub fn on_node_bundles(&mut self, node: NodeId, held: &[(GroupId, u64)], now: Time) {
        for (group, attempt) in held {
            let is_known = self.groups.get(group).is_some_and(|group| {
                let in_attempt = group.attempt.as_ref().is_some_and(|current| {
                    current.number == *attempt && current.shares.contains_key(&node)
                });
                in_attempt || group.places.contains(&Some((node, *attempt)))
            });
            if !is_known {
                self.give_back(node, *group, *attempt);
            }
        }
        self.lose(node, |group, attempt| !held.contains(&(group, attempt)));
        self.retry(now);
    }

    /// Takes the places on `node` away that `is_lost`, and ends attempts that counted on it.
    fn lose(&mut self, node: NodeId, is_lost: impl Fn(GroupId, u64) -> bool) {
        for id in self.order.clone() {
            let Some(mut group) = self.groups.remove(&id) else {
                continue;
            };
            let mut did_lose = false;
            for place in &mut group.places {
                if let Some((at, attempt)) = *place
                    && at == node
                    && is_lost(id, attempt)
                {
                    *place = None;
                    did_lose = true;
                }
            }
            if group.attempt.as_ref().is_some_and(|attempt| {
                attempt.shares.contains_key(&node) && is_lost(id, attempt.number)
            }) || did_lose
            {
                self.abort(&mut group);
            }
            if did_lose {
                group.state = GroupState::Rescheduling;
                self.publish(&group);
            }
            self.groups.insert(id, group);
        }
    }

    fn give_back(&mut self, node: NodeId, group: GroupId, attempt: u64) {
        self.commands.push_back(Command::Return {
            node,
            group,
            attempt,
        });
    }

    fn publish(&mut self, group: &Group) {
        self.commands.push_back(Command::Publish {
            group: group.spec.group,
            state: group.state,
            bundles: group.bundles(),
        });
    }

    fn retry(&mut self, now: Time) {
        for id in self.order.clone() {
            self.attempt(id, now);
        }
    }
}

/// Returns the first bundle with an amount that is none, and of what.
fn invalid(bundles: &[Resources]) -> Option<(usize, &str)> {
    let mut bundles = bundles.iter().enumerate();
    bundles.find_map(|(index, bundle)| Some((index, bundle.invalid()?)))
}
