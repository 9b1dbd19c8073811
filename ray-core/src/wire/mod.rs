//! What processes say to each other: frame kinds, their metadata, control messages.
//!
//! `docs/wire.md` draws the frames. Hot kinds ([`CallMeta`], [`DoneMeta`], [`ItemMeta`]) carry values in the frame's
//! body; everything else is a [`Message`] in the frame's metadata.
mod calls;
mod groups;
mod message;
mod rows;
mod subjects;

use ray_engine::ids::JobId;
use rkyv::{Archive, Deserialize, Serialize};

pub(crate) use self::{
    calls::*,
    groups::*,
    message::{
        ArchivedMessage, BundleMessage, CertificateMessage, CollectiveMessage, ExecutableMessage,
        FolderMessage, GroupMessage, LeaveMessage, LookMessage, Message, QuestionMessage,
        ReunionMessage,
    },
    rows::*,
    subjects::*,
};

/// The version of the frames and messages; both sides of a connection must have the same.
pub(crate) const WIRE_VERSION: u16 = 10;

/// Frame kinds that ray-core adds to ray-net's own.
pub(crate) mod kind {
    /// A [`super::Message`].
    pub(crate) const CONTROL: u8 = 16;
    /// A task, method or constructor call: [`super::CallMeta`] and its arguments.
    pub(crate) const CALL: u8 = 17;
    /// The end of a call: [`super::DoneMeta`] and its results.
    pub(crate) const DONE: u8 = 18;
    /// An owner's answer about one object: [`super::AnswerMeta`] and the value.
    pub(crate) const ANSWER: u8 = 19;
    /// A part of an object: [`super::ChunkMeta`] and its bytes.
    pub(crate) const CHUNK: u8 = 20;
    /// One item of a stream: [`super::ItemMeta`] and the value.
    pub(crate) const ITEM: u8 = 21;
    /// A part of the conversation of a collective group: [`super::PartMeta`] and elements.
    pub(crate) const PART: u8 = 22;

    /// The most bytes that a frame of each kind may carry; 0 refuses the kind.
    pub(crate) fn limit(kind: u8) -> u32 {
        match kind {
            CONTROL => 1 << 20,
            CALL | DONE | ANSWER | ITEM => 12 << 20,
            PART => crate::config::COLLECTIVE_CHUNK_BYTES as u32 + (8 << 10),
            _ => 0,
        }
    }

    /// The same for the connections that carry nothing but parts of objects.
    pub(crate) fn bulk_limit(kind: u8) -> u32 {
        match kind {
            CHUNK => crate::config::CHUNK_BYTES as u32 + (1 << 10),
            _ => 0,
        }
    }
}

/// What a process says about itself first.
#[derive(Archive, Serialize, Deserialize, Clone, Debug)]
pub(crate) struct Hello {
    pub wire: u16,
    pub job: JobId,
    /// The hash of the function table; 0 for daemons, which have none.
    pub table_hash: u64,
    /// One line a function, sent so that the other side can name the first difference.
    pub table: Vec<String>,
}

impl Message {
    /// Returns whether the control role handles it.
    pub(crate) fn is_for_control(&self) -> bool {
        matches!(
            self,
            Message::CreateActor { .. }
                | Message::ConstructFailed { .. }
                | Message::WatchActor { .. }
                | Message::KillActor { .. }
                | Message::HandlesGone { .. }
                | Message::LookupActor { .. }
                | Message::NodeUp { .. }
                | Message::NodeView { .. }
                | Message::OfWorker { .. }
                | Message::WorkerDied { .. }
                | Message::SpillLease { .. }
                | Message::CancelSpilled { .. }
                | Message::LeaseSettled { .. }
                | Message::LeaseRejected { .. }
                | Message::JobUp { .. }
                | Message::ActorPlaced { .. }
                | Message::ActorPlaceRefused { .. }
                | Message::Groups(GroupMessage::CreateGroup { .. })
                | Message::Groups(GroupMessage::RemoveGroup { .. })
                | Message::Groups(GroupMessage::LookupGroup { .. })
                | Message::Bundles(
                    BundleMessage::Prepared { .. }
                        | BundleMessage::Committed { .. }
                        | BundleMessage::Refused { .. }
                )
                | Message::Questions(QuestionMessage::QueryResources { .. })
                | Message::Questions(QuestionMessage::QueryNodes { .. })
                | Message::Look(LookMessage::Gathered { .. })
                | Message::Heartbeat
                | Message::Reunion(
                    ReunionMessage::ClaimActor { .. }
                        | ReunionMessage::AllClaimed
                        | ReunionMessage::ActorsHosted { .. }
                )
                | Message::ProbeReached { .. }
                | Message::Leaving(
                    LeaveMessage::DrainAccepted
                        | LeaveMessage::Leave
                        | LeaveMessage::Drained { .. }
                )
                | Message::Collective(
                    CollectiveMessage::Join { .. }
                        | CollectiveMessage::Withdraw { .. }
                        | CollectiveMessage::Leave { .. }
                )
        )
    }
}
