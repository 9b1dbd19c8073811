//! Placement groups: resources reserved together, for tasks and actors to draw from.

#![allow(
    missing_docs,
    reason = "rkyv's derives repeat the type without its documentation"
)]

use std::time::Duration;

use ray_engine::{ids::GroupId, resources::Resources, spec::PlacementStrategy};

use crate::{
    __private::{Args, TaskOptions, ready_method},
    Error, Lifetime, ObjectRef, Result, cancel, runtime, verbs,
    wire::{GroupCreation, GroupMessage, Message},
    worker::calls,
};

/// Bundles of resources that are reserved all together or not at all.
///
/// It ends when it is removed, or with the job or the detached actor that made it unless it is detached; what runs in it
/// ends with it.
/// Handles can be arguments and results.
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
/// [`PlacementGroup::options`] gives it a name or a longer life.
///
/// ```no_run
/// # use ray_core::{PlacementStrategy, Resources, placement_group};
/// # fn main() -> ray_core::Result<()> {
/// let bundle = Resources::new().num_cpus(2.0).num_gpus(0.5);
/// let group = placement_group(&[bundle, Resources::from([("CPU", 1.0)])], PlacementStrategy::Spread)?;
/// group.ready().get()?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// `InvalidOption` for no bundles, an empty one or an amount that is none; `System` when the cluster does not answer.
pub fn placement_group(
    bundles: &[Resources],
    strategy: PlacementStrategy,
) -> Result<PlacementGroup> {
    PlacementGroup::options().create(bundles, strategy)
}

/// What a placement group is besides its bundles; see [`PlacementGroup::options`].
#[derive(Clone, Debug, Default)]
#[must_use = "nothing is reserved before `create`"]
pub struct PlacementGroupOptions {
    name: Option<String>,
    namespace: Option<String>,
    lifetime: Lifetime,
}

impl PlacementGroupOptions {
    /// Sets the name under which others find it.
    pub fn name(mut self, value: &str) -> Self {
        self.name = Some(value.to_owned());
        self
    }

    /// Sets the namespace of the name; default: this job's.
    pub fn namespace(mut self, value: &str) -> Self {
        self.namespace = Some(value.to_owned());
        self
    }

    /// Sets how long it lives: as long as its job, or until it is removed.
    pub fn lifetime(mut self, value: Lifetime) -> Self {
        self.lifetime = value;
        self
    }

    /// Asks for the group and returns at once; it is reserved when there is room for all of it.
    ///
    /// # Errors
    /// `InvalidOption` for no bundles, an empty one, an empty name, or a namespace without a name; `NameTaken`;
    /// `System` when the cluster does not answer.
    pub fn create(
        self,
        bundles: &[Resources],
        strategy: PlacementStrategy,
    ) -> Result<PlacementGroup> {
        if self.namespace.is_some() && self.name.is_none() {
            return Err(Error::InvalidOption {
                option: "namespace".into(),
                reason: "it is that of a `name`, and there is none".into(),
            });
        }
        let runtime = runtime::current()?;
        let namespace = self.namespace.unwrap_or_else(|| runtime.namespace.clone());
        let creation = GroupCreation {
            group: runtime.with_core(|core, _| core.fresh_group()),
            name: self.name.map(|name| (namespace, name)),
            bundles: bundles.to_vec(),
            strategy,
            job: runtime.job(),
            detached: self.lifetime == Lifetime::Detached,
        };
        let id = creation.group;
        ask(|request| {
            Message::Groups(GroupMessage::CreateGroup {
                request,
                creation: creation.clone(),
            })
        })?;
        if !creation.detached {
            // A head that comes back knows a detached one by itself.
            runtime.with_core(|core, _| core.keep_group(creation));
        }
        Ok(PlacementGroup {
            id,
            bundles: bundles.to_vec(),
        })
    }
}

impl PlacementGroup {
    /// Returns options for a group that is to have a name, or to outlive its job.
    ///
    /// ```no_run
    /// use ray_core::{Lifetime, PlacementGroup, PlacementStrategy, Resources};
    ///
    /// let cpu = Resources::new().num_cpus(1.0);
    /// let pool = PlacementGroup::options()
    ///     .name("pool")
    ///     .lifetime(Lifetime::Detached)
    ///     .create(&[cpu.clone(), cpu], PlacementStrategy::Spread)?;
    /// # pool.remove()
    /// # ; Ok::<(), ray_core::Error>(())
    /// ```
    pub fn options() -> PlacementGroupOptions {
        PlacementGroupOptions::default()
    }

    /// Finds the group of this name in this job's namespace.
    ///
    /// # Errors
    /// `NotFound` when no group has the name; `System` when the cluster does not answer.
    pub fn named(name: &str) -> Result<PlacementGroup> {
        let runtime = runtime::current()?;
        let namespace = runtime.namespace.clone();
        let reply = runtime.request(ANSWER_TIMEOUT, |request| {
            Message::Groups(GroupMessage::LookupGroup {
                request,
                namespace,
                name: name.to_owned(),
            })
        })?;
        match reply {
            Message::Groups(GroupMessage::GroupFound { outcome, .. }) => {
                let (id, bundles) = outcome?;
                Ok(PlacementGroup { id, bundles })
            }
            other => Err(Error::System(format!(
                "asked for a placement group and got {other:?}"
            ))),
        }
    }

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
        ask(|request| Message::Groups(GroupMessage::RemoveGroup { request, group }))
    }
}

fn ask(question: impl FnOnce(u64) -> Message) -> Result<()> {
    match runtime::current()?.request(ANSWER_TIMEOUT, question)? {
        Message::Groups(GroupMessage::GroupReply { outcome, .. }) => Ok(outcome?),
        other => Err(Error::System(format!(
            "asked about a placement group and got {other:?}"
        ))),
    }
}

/// How long the control process may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
