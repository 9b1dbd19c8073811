//! One try to reserve all bundles of a group that have no place, from prepare to commit.

use std::collections::BTreeMap;

use super::{Command, Group, GroupState, PlacementGroups};
use crate::{
    control::packing::assign,
    ids::{GroupId, NodeId},
    planted::{Bug, is_planted},
    resources::Resources,
    time::Time,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Asked,
    Prepared,
    Committed,
}

pub(super) struct Share {
    pub(super) bundles: Vec<u32>,
    pub(super) phase: Phase,
}

pub(super) struct Attempt {
    pub(super) number: u64,
    pub(super) shares: BTreeMap<NodeId, Share>,
    pub(super) is_committing: bool,
    /// When its nodes were last asked.
    pub(super) asked: Time,
}

impl PlacementGroups {
    /// A node has reserved its share of an attempt.
    pub fn on_prepared(&mut self, node: NodeId, id: GroupId, number: u64, now: Time) {
        let Some(attempt) = self.current(node, id, number) else {
            return self.give_back_unless_placed(node, id, number);
        };
        let share = attempt.shares.get_mut(&node).expect("it was found above");
        if share.phase == Phase::Asked {
            share.phase = Phase::Prepared;
        }
        let all = attempt
            .shares
            .values()
            .all(|share| share.phase == Phase::Prepared);
        if !all || attempt.is_committing {
            return;
        }
        attempt.is_committing = true;
        attempt.asked = now;
        for node in attempt.shares.keys().copied().collect::<Vec<_>>() {
            self.commands.push_back(Command::Commit {
                node,
                group: id,
                attempt: number,
            });
        }
    }

    /// A node has no room for its share, or has given it up before the commit came.
    pub fn on_refused(&mut self, node: NodeId, id: GroupId, number: u64, now: Time) {
        if self.current(node, id, number).is_none() {
            return;
        }
        let mut group = self.groups.remove(&id).expect("it was found above");
        self.view.exhaust(node);
        self.abort(&mut group);
        self.groups.insert(id, group);
        self.retry(now);
    }

    /// A node has made its share final.
    pub fn on_committed(&mut self, node: NodeId, id: GroupId, number: u64, _now: Time) {
        let Some(attempt) = self.current(node, id, number) else {
            return self.give_back_unless_placed(node, id, number);
        };
        let share = attempt.shares.get_mut(&node).expect("it was found above");
        share.phase = Phase::Committed;
        if attempt
            .shares
            .values()
            .any(|share| share.phase != Phase::Committed)
        {
            return;
        }
        let mut group = self.groups.remove(&id).expect("it was found above");
        let attempt = group.attempt.take().expect("it was found above");
        for (node, share) in attempt.shares {
            for index in share.bundles {
                let place = &mut group.places[index as usize];
                assert!(place.is_none(), "a bundle is reserved once");
                *place = Some((node, number));
            }
        }
        assert!(
            group.places.iter().all(Option::is_some),
            "an attempt places all"
        );
        group.state = GroupState::Created;
        self.publish(&group);
        self.groups.insert(id, group);
    }

    /// Ends attempts that wait for an answer to a prepare; asks for commits again.
    pub fn on_timeout(&mut self, now: Time) {
        for id in self.order.clone() {
            let timeout = self.config.answer_timeout;
            let Some(attempt) = self
                .groups
                .get_mut(&id)
                .and_then(|group| group.attempt.as_mut())
            else {
                continue;
            };
            if attempt.asked + timeout > now {
                continue;
            }
            attempt.asked = now;
            let (number, is_committing) = (attempt.number, attempt.is_committing);
            let silent = attempt
                .shares
                .iter()
                .filter(|(_, share)| match is_committing {
                    true => share.phase != Phase::Committed,
                    false => share.phase == Phase::Asked,
                })
                .map(|(node, _)| *node)
                .collect::<Vec<_>>();
            for node in silent {
                if is_committing {
                    self.commands.push_back(Command::Commit {
                        node,
                        group: id,
                        attempt: number,
                    });
                } else {
                    self.on_refused(node, id, number, now);
                }
            }
        }
    }

    /// Has a node give up what it says it holds, unless that is where the bundles are: it said so again.
    fn give_back_unless_placed(&mut self, node: NodeId, id: GroupId, number: u64) {
        let is_placed = self
            .groups
            .get(&id)
            .is_some_and(|group| group.places.contains(&Some((node, number))));
        if !is_placed {
            self.give_back(node, id, number);
        }
    }

    fn current(&mut self, node: NodeId, id: GroupId, number: u64) -> Option<&mut Attempt> {
        let attempt = self.groups.get_mut(&id)?.attempt.as_mut()?;
        (attempt.number == number && attempt.shares.contains_key(&node)).then_some(attempt)
    }

    /// Ends the running attempt; nodes that are gone need no word.
    pub(super) fn abort(&mut self, group: &mut Group) {
        let Some(attempt) = group.attempt.take() else {
            return;
        };
        for node in attempt.shares.into_keys() {
            if self.view.get(node).is_some() && !is_planted(Bug::SharesKeptOnRefusal) {
                self.give_back(node, group.spec.group, attempt.number);
            }
        }
    }

    /// Starts an attempt for all bundles without a place, when there is room for all of them.
    pub(super) fn attempt(&mut self, id: GroupId, now: Time) {
        let Some(group) = self.groups.get_mut(&id) else {
            return;
        };
        if group.attempt.is_some() {
            return;
        }
        let unplaced = group.unplaced();
        let nodes = self
            .view
            .usable()
            .filter(|(_, view)| !view.is_exhausted)
            .map(|(node, view)| (node, view.available.clone()))
            .collect::<Vec<_>>();
        if unplaced.is_empty() {
            return;
        }
        let Some(chosen) = choose(group, &nodes) else {
            return self.ask_for_room(id);
        };
        group.has_asked = false;
        let number = self.next_attempt;
        self.next_attempt += 1;
        let mut shares = BTreeMap::new();
        for (index, node) in unplaced.into_iter().zip(chosen) {
            let share = shares.entry(node).or_insert_with(|| Share {
                bundles: Vec::new(),
                phase: Phase::Asked,
            });
            share.bundles.push(index);
        }
        for (node, share) in &shares {
            let sized = share
                .bundles
                .iter()
                .map(|index| (*index, group.spec.bundles[*index as usize].clone()))
                .collect::<Vec<_>>();
            for (_, shape) in &sized {
                self.view.debit(*node, shape);
            }
            self.commands.push_back(Command::Prepare {
                node: *node,
                group: id,
                attempt: number,
                bundles: sized,
            });
        }
        group.attempt = Some(Attempt {
            number,
            shares,
            is_committing: false,
            asked: now,
        });
    }

    /// Has nodes call back what work there only keeps for later, once each time that a group begins to wait.
    fn ask_for_room(&mut self, id: GroupId) {
        let Some(group) = self.groups.get_mut(&id).filter(|group| !group.has_asked) else {
            return;
        };
        group.has_asked = true;
        let unplaced = group.unplaced();
        for (node, view) in self.view.usable() {
            let bundles = unplaced
                .iter()
                .map(|index| &group.spec.bundles[*index as usize]);
            let bundles = bundles.filter(|bundle| view.total.covers(bundle));
            let bundles = bundles.cloned().collect::<Vec<_>>();
            if !bundles.is_empty() {
                self.commands.push_back(Command::MakeRoom { node, bundles });
            }
        }
    }
}

/// Chooses nodes for the bundles without a place, given what is free where.
pub(super) fn choose(group: &Group, nodes: &[(NodeId, Resources)]) -> Option<Vec<NodeId>> {
    let bundles = group
        .unplaced()
        .iter()
        .map(|index| group.spec.bundles[*index as usize].clone())
        .collect::<Vec<_>>();
    let taken = group
        .places
        .iter()
        .flatten()
        .map(|(node, _)| *node)
        .collect();
    assign(group.spec.strategy, &bundles, nodes, &taken)
}
