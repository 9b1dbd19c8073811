//! How a process comes to belong to a cluster: it founds one, or joins one with a token.

use std::net::SocketAddr;

use ray_engine::ids::ProcessId;
use ray_net::tls::{ClusterCa, NodeKey};

use super::start::{random_u64, system};
use crate::{
    Error, Result,
    control::{self, Client, api::Admission},
};

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

fn ask(address: &str, token: Option<&str>, role: Role, public_key: &[u8]) -> Result<Admission> {
    let token = token
        .map(str::to_owned)
        .or_else(|| std::env::var("RAY_TOKEN").ok());
    let token = token.ok_or_else(|| {
        Error::Unauthenticated(format!(
            "joining the cluster at {address} takes a token; make one there with `ray token create`, \
             then set `token` or RAY_TOKEN"
        ))
    })?;
    let asked = match role {
        Role::Node => control::Role::Node,
        Role::Driver => control::Role::Driver,
    };
    let name = rustix::system::uname();
    let name = name.nodename().to_string_lossy();
    Client::new(address, token.parse()?).join(asked, public_key.to_vec(), &name)
}
