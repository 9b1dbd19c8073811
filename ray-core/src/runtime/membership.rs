//! How a process comes to belong to a cluster: it founds one, or joins one with a token.

use std::net::SocketAddr;

use ray_engine::ids::ProcessId;
use ray_net::tls::{ClusterCa, NodeKey};

use super::start::{random_u64, system};
use crate::{Error, Result};

/// What a newcomer wants to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// It runs work.
    Node,
    /// It submits work.
    Driver,
}

/// A process's place in a cluster.
pub(crate) struct Membership {
    pub(crate) process: ProcessId,
    /// Issues the certificates of the processes that this one starts, and its own.
    pub(crate) ca: ClusterCa,
    /// Who has the control role and where it listens; `None` when it is this process.
    pub(crate) control: Option<(ProcessId, SocketAddr)>,
}

/// What the control process grants to a newcomer.
pub(crate) struct Admission {
    pub(crate) cluster: u64,
    pub(crate) process: ProcessId,
    /// Lets the newcomer's key issue certificates for its own processes.
    pub(crate) delegation: Vec<u8>,
    pub(crate) root: Vec<u8>,
    pub(crate) control: (ProcessId, SocketAddr),
}

impl Membership {
    /// Founds a cluster of its own.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub(crate) fn found() -> Result<Membership> {
        Ok(Membership {
            process: fresh_node_process(),
            ca: ClusterCa::generate(random_u64())
                .map_err(|error| system("could not make keys")(&error))?,
            control: None,
        })
    }

    /// Joins the cluster whose head listens at `address`.
    ///
    /// # Errors
    /// `Unauthenticated` when the head does not take the token; `System` when it cannot be reached.
    pub(crate) fn join(address: &str, token: Option<&str>, role: Role) -> Result<Membership> {
        let key = NodeKey::generate().map_err(|error| system("could not make keys")(&error))?;
        let admission = ask(address, token, role, &key.public())?;
        let node = admission.process.node().0;
        let ca = key
            .into_authority(
                admission.cluster,
                node,
                admission.delegation,
                admission.root,
            )
            .map_err(|error| system("could not use what the head granted")(&error))?;
        Ok(Membership {
            process: admission.process,
            ca,
            control: Some(admission.control),
        })
    }
}

/// Returns the process id of a new node: nobody has had it, and its own processes follow it.
pub(crate) fn fresh_node_process() -> ProcessId {
    ProcessId(random_u64() >> 1).node_process()
}

fn ask(address: &str, token: Option<&str>, role: Role, _public_key: &[u8]) -> Result<Admission> {
    let _ = (token, role);
    Err(Error::InvalidOption {
        option: "address".into(),
        reason: format!("joining a cluster (`{address}`) is not supported yet"),
    })
}
