//! What processes say about themselves when they meet, and whether that fits.

use ray_net::Refusal;
use rkyv::rancor;

use crate::{
    __private,
    store::AlignedBytes,
    wire::{ArchivedHello, Hello, WIRE_VERSION},
};

/// Compares what both sides of a connection say about themselves.
pub(super) fn check_hello(ours: &Hello, theirs: &Hello) -> Result<(), String> {
    if ours.wire != theirs.wire {
        return Err(format!(
            "wire version {} meets wire version {}",
            ours.wire, theirs.wire
        ));
    }
    let daemon = ours.table_hash == 0 || theirs.table_hash == 0;
    if daemon || ours.job != theirs.job || ours.table_hash == theirs.table_hash {
        return Ok(());
    }
    let difference = ours
        .table
        .iter()
        .zip(&theirs.table)
        .find(|(our, their)| our != their)
        .map(|(our, their)| format!("`{our}` against `{their}`"))
        .unwrap_or_else(|| {
            let longer = if ours.table.len() > theirs.table.len() {
                &ours.table
            } else {
                &theirs.table
            };
            let at = ours.table.len().min(theirs.table.len());
            longer.get(at).map_or_else(
                || "an unnamed function".to_owned(),
                |line| format!("`{line}` on one side only"),
            )
        });
    Err(format!(
        "two builds of one job disagree about their functions; the first difference: {difference}"
    ))
}

/// Judges what a process says about itself that will send nothing but parts of objects.
pub(crate) fn check_daemon_hello(hello: &[u8]) -> Result<(), Refusal> {
    let theirs = parse_hello(hello)?;
    check_hello(&Hello::of_a_daemon(), &theirs).map_err(Refusal::new)
}

pub(super) fn parse_hello(hello: &[u8]) -> Result<Hello, Refusal> {
    let mut bytes = AlignedBytes::new();
    bytes.extend_from_slice(hello);
    rkyv::access::<ArchivedHello, rancor::Error>(&bytes)
        .and_then(rkyv::deserialize::<Hello, rancor::Error>)
        .map_err(|_| Refusal::new("the first message is not a hello of this version"))
}

impl Hello {
    /// Describes a process that runs nobody's code.
    pub(crate) fn of_a_daemon() -> Hello {
        Hello {
            wire: WIRE_VERSION,
            job: ray_engine::ids::JobId(0),
            table_hash: 0,
            table: Vec::new(),
        }
    }

    /// Describes this process.
    pub(crate) fn of_this_process(job: ray_engine::ids::JobId) -> crate::Result<Hello> {
        let table = __private::table();
        if let Some(conflict) = table.conflict() {
            return Err(crate::Error::System(conflict.to_owned()));
        }
        Ok(Hello {
            wire: WIRE_VERSION,
            job,
            table_hash: table.hash(),
            table: table.describe(),
        })
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        rkyv::to_bytes::<rancor::Error>(self)
            .expect("a hello has nothing that cannot be archived")
            .to_vec()
    }
}
