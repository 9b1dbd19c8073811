//! Objects that must leave a node before it does: who takes which, and what nobody takes.
//!
//! An owner plays this for each node that leaves. Every object goes to the node that was given the fewest bytes so
//! far; one that refuses, or dies, is followed by the next, and what all have refused is reported.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::ids::{NodeId, ObjectId};

/// An object that has no whole copy on a node that stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endangered {
    /// Which.
    pub object: ObjectId,
    /// Its size.
    pub bytes: u64,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Ask a node to take a copy and keep it; the answer is `on_taken` or `on_refused`.
    TakeOver {
        /// Of what.
        object: ObjectId,
        /// Who.
        by: NodeId,
    },
    /// Nothing more can be done.
    Done {
        /// How many objects are elsewhere now.
        moved: u64,
        /// What is left behind, and what was said last about it.
        left: Vec<(ObjectId, String)>,
    },
}

/// The state machine.
pub struct Evacuation {
    /// Who may take objects, and how many bytes each was given.
    takers: BTreeMap<NodeId, u64>,
    /// Takes what no other does.
    last_resort: Option<NodeId>,
    moving: BTreeMap<ObjectId, Moving>,
    moved: u64,
    left: Vec<(ObjectId, String)>,
    is_done: bool,
    commands: VecDeque<Command>,
}

struct Moving {
    bytes: u64,
    asked: NodeId,
    tried: BTreeSet<NodeId>,
}

impl Evacuation {
    /// Begins to move these objects to these nodes; `last_resort` takes what they refuse.
    pub fn new(
        takers: impl IntoIterator<Item = NodeId>,
        last_resort: Option<NodeId>,
        objects: &[Endangered],
    ) -> Evacuation {
        let mut evacuation = Evacuation {
            takers: takers.into_iter().map(|node| (node, 0)).collect(),
            last_resort,
            moving: BTreeMap::new(),
            moved: 0,
            left: Vec::new(),
            is_done: false,
            commands: VecDeque::new(),
        };
        for endangered in objects {
            let why = "there is no other node".to_owned();
            evacuation.ask_next(*endangered, BTreeSet::new(), why);
        }
        evacuation.end_if_still();
        evacuation
    }

    /// Returns the next wish.
    pub fn poll_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// A node has an object now and keeps it.
    pub fn on_taken(&mut self, object: ObjectId, by: NodeId) {
        if self
            .moving
            .get(&object)
            .is_some_and(|moving| moving.asked == by)
        {
            self.moving.remove(&object);
            self.moved += 1;
            self.end_if_still();
        }
    }

    /// Nobody needs an object any more.
    pub fn on_freed(&mut self, object: ObjectId) {
        if self.moving.remove(&object).is_some() {
            self.end_if_still();
        }
    }

    /// A node does not take an object.
    pub fn on_refused(&mut self, object: ObjectId, by: NodeId, why: String) {
        if self
            .moving
            .get(&object)
            .is_some_and(|moving| moving.asked == by)
        {
            let Moving { bytes, tried, .. } =
                self.moving.remove(&object).expect("it was found above");
            self.ask_next(Endangered { object, bytes }, tried, why);
            self.end_if_still();
        }
    }

    /// A node is gone: what it was asked to take goes to others.
    pub fn on_node_died(&mut self, node: NodeId) {
        self.takers.remove(&node);
        let asked = self
            .moving
            .iter()
            .filter(|(_, moving)| moving.asked == node);
        for object in asked.map(|(object, _)| *object).collect::<Vec<_>>() {
            self.on_refused(
                object,
                node,
                format!("node {node} died as it was to take it"),
            );
        }
    }

    fn ask_next(&mut self, endangered: Endangered, mut tried: BTreeSet<NodeId>, why: String) {
        let Endangered { object, bytes } = endangered;
        let untried = self.takers.iter().filter(|(node, _)| !tried.contains(node));
        let least = untried.min_by_key(|(_, given)| **given);
        let last_resort = self.last_resort.filter(|node| !tried.contains(node));
        let Some(by) = least.map(|(node, _)| *node).or(last_resort) else {
            return self.left.push((object, why));
        };
        if let Some(given) = self.takers.get_mut(&by) {
            *given += bytes;
        }
        tried.insert(by);
        let moving = Moving {
            bytes,
            asked: by,
            tried,
        };
        self.moving.insert(object, moving);
        self.commands.push_back(Command::TakeOver { object, by });
    }

    fn end_if_still(&mut self) {
        if self.moving.is_empty() && !self.is_done {
            self.is_done = true;
            self.commands.push_back(Command::Done {
                moved: self.moved,
                left: std::mem::take(&mut self.left),
            });
        }
    }
}
