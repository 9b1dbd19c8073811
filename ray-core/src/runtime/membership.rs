//! How a process comes to belong to a cluster: it founds one, or joins one with a token.

use std::{net::SocketAddr, path::Path};

use ray_engine::ids::{JobId, ProcessId};
use ray_net::tls::{ClusterCa, NodeKey};

use super::start::{random_u64, system};
use crate::{
    Error, Result,
    control::{Client, Role, Token},
};

/// A process's place in a cluster.
pub(crate) struct Membership {
    pub(crate) process: ProcessId,
    /// Issues the certificates of the processes that this one starts, and its own.
    pub(crate) ca: ClusterCa,
    /// Who has the control role and where it listens; `None` when it is this process.
    pub(crate) control: Option<(ProcessId, SocketAddr)>,
    /// The job that this process is the driver of; of a cluster of its own it is not given.
    pub(crate) job: Option<JobId>,
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
            job: None,
        })
    }

    /// Founds a cluster whose authority is kept in `folder`, or takes up the one that is there.
    ///
    /// # Errors
    /// A folder or file that others may read, or what the file system refused.
    pub(crate) fn found_in(folder: &Path) -> Result<Membership> {
        let failed = system("could not keep the cluster's keys");
        if let Some(ca) = ClusterCa::load(folder).map_err(|error| failed(&error))? {
            return Ok(Membership {
                process: fresh_node_process(),
                ca,
                control: None,
                job: None,
            });
        }
        let membership = Membership::found()?;
        membership.ca.save(folder).map_err(|error| failed(&error))?;
        Ok(membership)
    }

    /// Joins the cluster whose head listens at `address`.
    ///
    /// # Errors
    /// `Unauthenticated` when the head does not take the token; `System` when it cannot be reached.
    pub(crate) fn join(
        address: &str,
        token: Option<&str>,
        role: Role,
        name: &str,
    ) -> Result<Membership> {
        let token = token.ok_or_else(|| {
            Error::Unauthenticated(format!(
                "the cluster at {address} takes a token: set RAY_TOKEN or `Config::token`; \
                 `ray token create` on the head makes one"
            ))
        })?;
        let token: Token = token.parse()?;
        let key = NodeKey::generate().map_err(|error| system("could not make keys")(&error))?;
        let admission = Client::new(address, token).join(role, key.public(), name)?;
        let node = admission.process.node().0;
        let ca = key
            .into_authority(
                admission.cluster,
                node,
                admission.delegation,
                admission.root,
            )
            .map_err(|error| system("could not use what the head granted")(&error))?
            .with_life(admission.certificate_life);
        Ok(Membership {
            process: admission.process,
            ca,
            control: Some(admission.control),
            job: admission.job.map(JobId),
        })
    }
}

/// Returns the process id of a new node: nobody has had it, and its own processes follow it.
pub(crate) fn fresh_node_process() -> ProcessId {
    ProcessId(random_u64() >> 1).node_process()
}
