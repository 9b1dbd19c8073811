//! Collective groups as the control role keeps them: who joins, what the rendezvous wants said.

use ray_engine::{
    control::rendezvous::{Command, Join},
    ids::ProcessId,
};

use super::role::{ControlState, Outbox};
use crate::wire::{CollectiveMessage, Message, Roster};

impl ControlState {
    /// A process wants to be in a group, or in it no more.
    pub(super) fn on_collective_message(&mut self, from: ProcessId, said: CollectiveMessage) {
        match said {
            CollectiveMessage::Join {
                request,
                job,
                name,
                rank,
                world,
                addr,
            } => self.rendezvous.join(Join {
                process: from,
                request,
                job,
                name,
                rank,
                world,
                addr,
            }),
            CollectiveMessage::Withdraw { request } => self.rendezvous.withdraw(from, request),
            CollectiveMessage::Leave { group, untold } => {
                self.rendezvous.on_left(from, group, &untold)
            }
            other => tracing::warn!(%from, ?other, "this is not about a collective group"),
        }
    }

    pub(super) fn run_rendezvous(&mut self, out: &mut Outbox) {
        while let Some(command) = self.rendezvous.poll_command() {
            let (to, said) = match command {
                Command::Formed {
                    to,
                    request,
                    group,
                    members,
                } => {
                    let outcome = Ok(Roster { group, members });
                    (to, CollectiveMessage::Joined { request, outcome })
                }
                Command::Refuse {
                    to,
                    request,
                    failure,
                } => {
                    let outcome = Err(failure);
                    (to, CollectiveMessage::Joined { request, outcome })
                }
                Command::Broken {
                    to,
                    group,
                    rank,
                    reason,
                } => (
                    to,
                    CollectiveMessage::Broken {
                        group,
                        rank,
                        reason,
                    },
                ),
                Command::Left { to, group, rank } => (to, CollectiveMessage::Left { group, rank }),
            };
            out.push((to, Message::Collective(said)));
        }
    }
}
