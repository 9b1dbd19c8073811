//! Handles of actors: counted, cloneable, sendable.

use std::{fmt, sync::Arc};

use ray_engine::{
    failure::{Failure, RetryOn},
    ids::ActorId,
};

use crate::{
    __private::{ActorClass, cause_layout, check_backpressure, check_tries},
    AnyRef, Data, Error, ObjectRef, Result, runtime,
    wire::Message,
    worker::calls,
};

/// An actor handle without its type; the generated handles wrap one.
#[derive(Clone)]
pub struct ActorRef {
    id: ActorId,
    /// Keeps the actor alive; handles found by name or held by the actor itself have none.
    hold: Option<AnyRef>,
    limits: CallLimits,
    /// What this handle changes for the calls made through it.
    options: Option<Arc<CallOptions>>,
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
        ActorRef {
            id,
            hold,
            limits,
            options: None,
        }
    }

    /// Rebuilds a handle that came from another process.
    pub(crate) fn from_parts(id: ActorId, hold: Option<AnyRef>, limits: CallLimits) -> ActorRef {
        // An actor's handle of itself must not keep it alive.
        let hold = if runtime::is_own_actor(id) {
            None
        } else {
            hold
        };
        ActorRef::new(id, hold, limits)
    }

    pub(crate) fn of_nobody() -> ActorRef {
        ActorRef::new(ActorId::default(), None, CallLimits::default())
    }

    pub(crate) fn options(&self) -> Option<&CallOptions> {
        self.options.as_deref()
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
            crate::__private::Args::default(),
        )
        .one()
    }

    /// Returns a handle of the same actor whose calls follow `options`, for as long as it is used here.
    ///
    /// Wrong values make the calls fail at once. Sent elsewhere, the handle is a plain one again.
    fn with_options(&self, options: CallOptions) -> Self {
        let mut actor = self.actor_ref().clone();
        actor.options = Some(Arc::new(options));
        Self::from_actor_ref(actor)
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

/// Overrides for method calls; see [`ActorHandle::with_options`].
///
/// ```
/// use ray_core::CallOptions;
///
/// let options = CallOptions::new().concurrency_group("io").max_retries(2);
/// # let _ = options;
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "options change nothing before `with_options`"]
pub struct CallOptions {
    pub(crate) max_retries: Option<i32>,
    pub(crate) retry_exceptions: Option<RetryOn>,
    pub(crate) concurrency_group: Option<String>,
    pub(crate) backpressure: Option<u32>,
    pub(crate) error: Option<Failure>,
}

impl CallOptions {
    /// Returns options that change nothing.
    pub fn new() -> CallOptions {
        CallOptions::default()
    }

    /// Sets the tries after a crash of the actor; -1 for no limit.
    pub fn max_retries(mut self, value: i32) -> Self {
        check_tries(&mut self.error, "max_retries", value);
        self.max_retries = Some(value);
        self
    }

    /// Sets whether failures of user code are tried again.
    pub fn retry_exceptions(mut self, value: bool) -> Self {
        self.retry_exceptions = Some(value.into());
        self
    }

    /// Tries again when the method returns an error of this type, and after no other failure of user code.
    ///
    /// Say it once a type.
    pub fn retry_exceptions_of<E: Data>(mut self) -> Self {
        let before = self.retry_exceptions.take().unwrap_or_default();
        self.retry_exceptions = Some(before.with_cause(cause_layout::<E>()));
        self
    }

    /// Sets the concurrency group in which the call runs, one of those that the actor declares.
    pub fn concurrency_group(mut self, name: impl Into<String>) -> Self {
        self.concurrency_group = Some(name.into());
        self
    }

    /// Sets how many items of a stream may wait for its consumer; by default any number.
    pub fn backpressure(mut self, value: u32) -> Self {
        check_backpressure(&mut self.error, value);
        self.backpressure = Some(value);
        self
    }
}
