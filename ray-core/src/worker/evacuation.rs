//! What this process, as an owner, has moved from a node that leaves.

use std::collections::BTreeSet;

use ray_engine::{
    evacuation::{Command, Endangered, Evacuation},
    ids::{NodeId, ObjectId, ProcessId},
    owner::ObjectState,
};

use super::submit::Core;
use crate::{
    store::Value,
    wire::{LeaveMessage, Message, WantedObject},
};

impl Core {
    /// A node leaves: the objects of this process that are nowhere else go to others.
    pub(crate) fn evacuate(&mut self, leaving: ProcessId, takers: &[NodeId]) {
        let stays = |node: NodeId| node.process() != leaving && !self.is_dead(node.process());
        let own = self.node_process.node();
        let takers = takers.iter().copied().filter(|node| *node != own);
        let takers = takers.filter(|node| stays(*node)).collect::<Vec<_>>();
        let last_resort = Some(own).filter(|node| stays(*node));
        let endangered = self.endangered_by(leaving);
        let evacuation = Evacuation::new(takers, last_resort, &endangered);
        self.evacuations.insert(leaving, evacuation);
        self.run_evacuation(leaving);
    }

    /// Returns the objects of this process of which a leaving node has the only whole copies.
    fn endangered_by(&self, leaving: ProcessId) -> Vec<Endangered> {
        let is_kept_by = |node: ProcessId| node != leaving && !self.is_dead(node);
        let lies_only_there = |object: ObjectId, value: &Value| {
            let (slot, writer) = value.arena()?;
            let copies = self.owner.holders(object).into_iter();
            let whole = copies.filter(|(_, held)| held.is_none());
            let homes: BTreeSet<ProcessId> = whole
                .map(|(node, _)| node.process())
                .chain([writer.node_process()])
                .collect();
            let bytes = slot.len;
            let is_endangered =
                homes.contains(&leaving) && !homes.iter().any(|home| is_kept_by(*home));
            is_endangered.then_some(Endangered { object, bytes })
        };
        let values = self.owner.own_values();
        values
            .filter_map(|(object, value)| lies_only_there(object, value))
            .collect()
    }

    fn run_evacuation(&mut self, leaving: ProcessId) {
        while let Some(command) = self
            .evacuations
            .get_mut(&leaving)
            .and_then(Evacuation::poll_command)
        {
            match command {
                Command::TakeOver { object, by } => self.ask_to_take(leaving, object, by),
                Command::Done { moved, left } => {
                    self.evacuations.remove(&leaving);
                    let mut left: Vec<String> = left
                        .into_iter()
                        .map(|(object, why)| format!("{object}: {why}"))
                        .collect();
                    if self.node_process == leaving && self.owner.owned_objects() > 0 {
                        let count = self.owner.owned_objects();
                        let process = self.process();
                        left.push(format!("{count} objects of {process}, which ends with it"));
                    }
                    let moved = Message::Leaving(LeaveMessage::ObjectsMoved {
                        leaving,
                        moved,
                        left,
                    });
                    self.send(self.node_process, moved);
                }
            }
        }
    }

    fn ask_to_take(&mut self, leaving: ProcessId, object: ObjectId, by: NodeId) {
        let place = match self.owner.state(object) {
            ObjectState::Ready(value) => value.arena(),
            _ => None,
        };
        match place {
            Some((slot, writer)) => {
                let wanted = WantedObject {
                    object,
                    offset: slot.offset,
                    len: slot.len,
                    writer,
                };
                let job = self.job();
                self.send(
                    by.process(),
                    Message::TakeOver {
                        leaving,
                        job,
                        wanted,
                    },
                );
            }
            None => {
                if let Some(evacuation) = self.evacuations.get_mut(&leaving) {
                    evacuation.on_freed(object);
                }
            }
        }
    }

    /// A node says whether it has taken an object.
    pub(crate) fn on_taken_over(
        &mut self,
        leaving: ProcessId,
        object: ObjectId,
        by: NodeId,
        refusal: Option<String>,
    ) {
        let is_there = matches!(self.owner.state(object), ObjectState::Ready(_));
        let Some(evacuation) = self.evacuations.get_mut(&leaving) else {
            return;
        };
        match refusal {
            None => evacuation.on_taken(object, by),
            Some(_) if !is_there => evacuation.on_freed(object),
            Some(why) => evacuation.on_refused(object, by, why),
        }
        self.run_evacuation(leaving);
    }

    /// A node is gone that may have been asked to take objects.
    pub(super) fn on_taker_died(&mut self, node: ProcessId) {
        self.evacuations.remove(&node);
        for leaving in self.evacuations.keys().copied().collect::<Vec<_>>() {
            if let Some(evacuation) = self.evacuations.get_mut(&leaving) {
                evacuation.on_node_died(node.node());
            }
            self.run_evacuation(leaving);
        }
    }
}
