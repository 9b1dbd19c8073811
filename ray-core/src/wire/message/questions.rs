//! What is asked about the state of a node or of the cluster, and the answers.

use ray_engine::resources::Resources;
use rkyv::{Archive, Deserialize, Serialize};

use crate::wire::{NodeRow, StoreRow};

/// What is asked about the state of a node or of the cluster, and the answers.
#[derive(Archive, Serialize, Deserialize, Clone, Debug)]
pub(crate) enum QuestionMessage {
    QueryStore {
        request: u64,
    },
    Store {
        request: u64,
        store: StoreRow,
    },
    QueryResources {
        request: u64,
    },
    Resources {
        request: u64,
        total: Resources,
        available: Resources,
    },
    QueryNodes {
        request: u64,
    },
    Nodes {
        request: u64,
        nodes: Vec<NodeRow>,
    },
}
