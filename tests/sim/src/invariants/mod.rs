//! What must hold, one file a promise.

pub mod freed;
pub mod groups;
pub mod incarnations;
pub mod leases;
pub mod order;
pub mod placement;
pub mod publish;
pub mod queues;
pub mod reads;
pub mod references;
pub mod resources;
pub mod waits_end;

/// What the promises have seen so far.
#[derive(Default)]
pub struct Invariants {
    /// An object has one value.
    pub publish: publish::Publish,
    /// Calls keep their order.
    pub order: order::Order,
    /// One life of an actor at a time.
    pub incarnations: incarnations::Incarnations,
    /// What is reachable stays.
    pub references: references::References,
    /// What is freed goes when nobody looks at it.
    pub freed: freed::Freed,
    /// A failure has a reason.
    pub reads: reads::Reads,
    /// Held and free make the total.
    pub resources: resources::WholeResources,
    /// Nothing grows without a limit.
    pub queues: queues::Queues,
    /// What is placed is set aside.
    pub groups: groups::Groups,
    /// Work goes where it may.
    pub placement: placement::PlacementRules,
}
