//! Placement groups: resources reserved together, for tasks and actors to draw from.

#![allow(
    missing_docs,
    reason = "rkyv's derives repeat the type without its documentation"
)]

use std::time::Duration;

use ray_engine::{ids::GroupId, resources::Resources, spec::PlacementStrategy};

use crate::{
    __private::{Args, TaskOptions, ready_method},
    Error, ObjectRef, Result, cancel, runtime, verbs,
    wire::Message,
    worker::{calls, submit::OwnGroup},
};

/// Bundles of resources that are reserved all together or not at all.
///
/// It ends when it is removed or with the job that made it; what runs in it ends with it. Handles can
/// be arguments and results.
#[derive(Clone, Debug, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct PlacementGroup {
    id: GroupId,
    bundles: Vec<Resources>,
}

/// The placement group that a call runs in.
#[derive(Clone, Debug, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub(crate) struct Inside {
    pub(crate) group: PlacementGroup,
    /// Whether what it submits runs in the group too, when its options say nothing about where.
    pub(crate) captures: bool,
}

/// Asks for a placement group and returns at once; it is reserved when there is room for all of it.
///
/// # Errors
/// `InvalidOption` for no bundles or an empty one; `System` when the cluster does not answer.
pub fn placement_group(
    bundles: &[Resources],
    strategy: PlacementStrategy,
) -> Result<PlacementGroup> {
    let runtime = runtime::current()?;
    let id = runtime.with_core(|core, _| core.fresh_group());
    let job = runtime.job();
    let made = OwnGroup {
        bundles: bundles.to_vec(),
        strategy,
    };
    ask(|request| Message::CreateGroup {
        request,
        group: id,
        bundles: bundles.to_vec(),
        strategy,
        job,
    })?;
    runtime.with_core(|core, _| core.keep_group(id, made));
    Ok(PlacementGroup {
        id,
        bundles: bundles.to_vec(),
    })
}

impl PlacementGroup {
    /// Returns its id, the same in the whole cluster.
    pub fn id(&self) -> GroupId {
        self.id
    }

    /// Returns what each bundle reserves.
    pub fn bundles(&self) -> &[Resources] {
        &self.bundles
    }

    /// Returns a reference that resolves when all bundles are reserved.
    ///
    /// It fails with `PlacementGroupRemoved` when the group is removed before that.
    pub fn ready(&self) -> ObjectRef<()> {
        // A call that runs in a bundle shows that the group has its places.
        let mut options = TaskOptions::default();
        options.num_cpus(0.0);
        options.placement_group(self, -1);
        calls::submit_task(ready_method(), options, Args::default()).one()
    }

    /// Waits until all bundles are reserved; returns whether they are.
    ///
    /// # Errors
    /// `PlacementGroupRemoved` when the group is gone.
    pub fn wait(&self, timeout: Duration) -> Result<bool> {
        let ready = self.ready();
        let (done, _) = verbs::wait(std::slice::from_ref(&ready), 1, timeout)?;
        if done.is_empty() {
            cancel(&ready)?;
            return Ok(false);
        }
        ready.get().map(|()| true)
    }

    /// Frees what the group reserves and ends what runs in it; doing so again changes nothing.
    ///
    /// Running, queued and later calls fail with `PlacementGroupRemoved`.
    ///
    /// # Errors
    /// `System` when the cluster does not answer.
    pub fn remove(&self) -> Result<()> {
        let group = self.id;
        runtime::current()?.with_core(|core, _| core.note_removed(group));
        ask(|request| Message::RemoveGroup { request, group })
    }
}

fn ask(question: impl FnOnce(u64) -> Message) -> Result<()> {
    match runtime::current()?.request(ANSWER_TIMEOUT, question)? {
        Message::GroupReply { outcome, .. } => Ok(outcome?),
        other => Err(Error::System(format!(
            "asked about a placement group and got {other:?}"
        ))),
    }
}

/// How long the control process may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
