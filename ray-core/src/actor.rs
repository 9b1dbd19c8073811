//! Handles of actors: counted, cloneable, sendable.

use std::fmt;

use ray_engine::ids::ActorId;

use crate::{
    __private::ActorClass, AnyRef, Error, ObjectRef, Result, runtime, wire::Message, worker::calls,
};

/// An actor handle without its type; the generated handles wrap one.
#[derive(Clone)]
pub struct ActorRef {
    id: ActorId,
    /// Keeps the actor alive; handles found by name or held by the actor itself have none.
    hold: Option<AnyRef>,
    limits: CallLimits,
}

/// What class and options say about calls, carried by each handle.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize,
)]
pub(crate) struct CallLimits {
    pub(crate) ordered: bool,
    pub(crate) max_task_retries: i32,
    /// 0 for no limit.
    pub(crate) max_pending_calls: u64,
}

impl ActorRef {
    pub(crate) fn new(id: ActorId, hold: Option<AnyRef>, limits: CallLimits) -> ActorRef {
        ActorRef { id, hold, limits }
    }

    /// Rebuilds a handle that came from another process.
    pub(crate) fn from_parts(id: ActorId, hold: Option<AnyRef>, limits: CallLimits) -> ActorRef {
        // An actor's handle of itself must not keep it alive.
        let hold = if runtime::is_own_actor(id) {
            None
        } else {
            hold
        };
        ActorRef { id, hold, limits }
    }

    pub(crate) fn of_nobody() -> ActorRef {
        ActorRef {
            id: ActorId::default(),
            hold: None,
            limits: CallLimits::default(),
        }
    }

    /// Returns the actor's id.
    pub fn id(&self) -> ActorId {
        self.id
    }

    pub(crate) fn hold(&self) -> Option<&AnyRef> {
        self.hold.as_ref()
    }

    pub(crate) fn limits(&self) -> CallLimits {
        self.limits
    }

    pub(crate) fn is_ordered(&self) -> bool {
        self.limits.ordered
    }

    pub(crate) fn max_task_retries(&self) -> i32 {
        self.limits.max_task_retries
    }

    pub(crate) fn max_pending_calls(&self) -> u64 {
        self.limits.max_pending_calls
    }
}

impl fmt::Debug for ActorRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ActorRef({})", self.id)
    }
}

/// How long an actor lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lifetime {
    /// As long as somebody holds a handle and its creator lives.
    #[default]
    Counted,
    /// Until it is killed or the cluster ends.
    Detached,
}

/// What happens to the actor after a kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KillMode {
    /// It is dead for good.
    NoRestart,
    /// It counts as a crash: restarts are used up.
    Restart,
}

/// What every handle can do, whatever its actor.
pub trait ActorHandle: Sized {
    /// Returns the untyped handle.
    #[doc(hidden)]
    fn actor_ref(&self) -> &ActorRef;

    /// Gives an untyped handle its type.
    #[doc(hidden)]
    fn from_actor_ref(actor: ActorRef) -> Self;

    /// What is known of the actor's class.
    #[doc(hidden)]
    const CLASS: &'static ActorClass;

    /// Ends the actor at once; running, queued and later calls fail.
    ///
    /// # Errors
    /// When the runtime is not running.
    fn kill(&self, mode: KillMode) -> Result<()> {
        let no_restart = mode == KillMode::NoRestart;
        let actor = self.actor_ref().id();
        runtime::current()?.send_to_control(Message::KillActor { actor, no_restart });
        Ok(())
    }

    /// Returns a reference that resolves when the constructor has finished.
    fn ready(&self) -> ObjectRef<()> {
        calls::submit_call(
            self.actor_ref(),
            crate::__private::ready_method(),
            crate::__private::CallOptions::default(),
            crate::__private::Args::default(),
        )
        .one()
    }

    /// Returns the actor's id, the same over all its incarnations.
    fn id(&self) -> ActorId {
        self.actor_ref().id()
    }

    /// Finds the actor of this name in this job's namespace; the handle does not keep it alive.
    ///
    /// # Errors
    /// `NotFound` when nothing has the name, `TypeMismatch` when it is an actor of another class.
    fn named(name: &str) -> Result<Self> {
        let (actor, class, limits) = calls::lookup_actor(name)?;
        let expected = Self::CLASS;
        if class != expected.name {
            return Err(Error::TypeMismatch {
                expected: expected.name.to_owned(),
                found: class,
            });
        }
        Ok(Self::from_actor_ref(ActorRef::new(actor, None, limits)))
    }
}
