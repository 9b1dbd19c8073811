//! Calls on their way in: arguments decoded, user code invoked, results encoded.

use std::{any::Any, future::Future, pin::Pin, sync::Arc};

use parking_lot::RwLock;
use ray_engine::failure::{Failure, TypedCause};

use crate::{
    Data,
    data::{self, EncodedValue, SegmentSource},
    store::{AlignedBytes, Value},
    worker::items::Items,
};

/// A future that stays on its thread.
pub type LocalFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// A call's arguments as they arrived; clones share them.
#[derive(Clone)]
pub struct Call(Arc<CallInner>);

struct CallInner {
    body: AlignedBytes,
    args: Vec<ArgData>,
    /// Results up to this size travel in the answer; bytes.
    inline_limit: usize,
    /// What keeps the arguments in memory.
    pins: parking_lot::Mutex<Vec<ray_shm::Pin>>,
}

/// One argument.
pub enum ArgData {
    /// In the body.
    Inline {
        /// Where it begins.
        offset: u32,
        /// Its bytes.
        len: u32,
        /// Hash of its type's layout; 0 when nothing was said.
        layout: u64,
    },
    /// In the arena.
    Value(Value),
}

/// Why a call has no result.
#[derive(Debug)]
pub enum CallError {
    /// User code returned `Err`.
    User {
        /// Its text.
        message: String,
        /// The error itself, when it is `Data`.
        cause: Option<TypedCause>,
    },
    /// Something else.
    Failure(Failure),
}

impl From<Failure> for CallError {
    fn from(failure: Failure) -> CallError {
        CallError::Failure(failure)
    }
}

impl Call {
    pub(crate) fn new(body: AlignedBytes, args: Vec<ArgData>, inline_limit: usize) -> Call {
        Call(Arc::new(CallInner {
            body,
            args,
            inline_limit,
            pins: parking_lot::Mutex::default(),
        }))
    }

    /// Returns up to which size results travel in the answer; bytes.
    pub(crate) fn inline_limit(&self) -> usize {
        self.0.inline_limit
    }

    /// Keeps the arguments in memory until the call ends; returns whether all of them are there.
    pub(crate) fn hold_arguments(&self, arena: &ray_shm::Arena) -> bool {
        let mut pins = Vec::new();
        for value in self.values() {
            match value.pin(arena) {
                Ok(pin) if value.missing().is_none() => pins.extend(pin),
                _ => return false,
            }
        }
        self.0.pins.lock().append(&mut pins);
        true
    }

    /// Keeps something in memory until the call ends.
    pub(crate) fn keep(&self, pin: Option<ray_shm::Pin>) {
        self.0.pins.lock().extend(pin);
    }

    /// Returns the arguments that are objects.
    pub(crate) fn values(&self) -> impl Iterator<Item = &Value> {
        self.0.args.iter().filter_map(|arg| match arg {
            ArgData::Value(value) => Some(value),
            ArgData::Inline { .. } => None,
        })
    }

    /// Checks that who made this argument means the same type by it.
    fn check_layout<T: Data>(&self, position: usize) -> Result<(), CallError> {
        let made = match self.0.args.get(position) {
            Some(ArgData::Inline { layout, .. }) => *layout,
            Some(ArgData::Value(value)) => value.layout(),
            None => 0,
        };
        Ok(data::check_layout::<T>(made)?)
    }

    fn bytes(&self, position: usize) -> Result<&[u8], CallError> {
        match self.0.args.get(position) {
            Some(ArgData::Inline { offset, len, .. }) => {
                let range = *offset as usize..*offset as usize + *len as usize;
                self.0.body.get(range).ok_or_else(|| {
                    CallError::Failure(Failure::System("an argument lies outside its frame".into()))
                })
            }
            Some(ArgData::Value(value)) => Ok(value.bytes()),
            None => Err(CallError::Failure(Failure::TypeMismatch {
                expected: format!("{} arguments or more", position + 1),
                found: format!("{}", self.0.args.len()),
            })),
        }
    }

    /// Decodes the argument at `position`.
    ///
    /// # Errors
    /// When its bytes are not of the type.
    pub fn value<T: Data>(&self, position: usize) -> Result<T, CallError> {
        self.check_layout::<T>(position)?;
        Ok(data::decode_bytes::<T>(self.bytes(position)?)?)
    }

    /// Borrows the archive of the argument at `position` where it lies.
    ///
    /// # Errors
    /// When its bytes are not of the type.
    pub fn archived<T: Data>(&self, position: usize) -> Result<&T::Archived, CallError> {
        self.check_layout::<T>(position)?;
        Ok(data::access_bytes::<T>(self.bytes(position)?)?)
    }
}

/// Results on their way out.
pub struct Results<'a> {
    store: &'a dyn SegmentSource,
    inline_limit: usize,
    values: Vec<EncodedValue>,
    /// Where items go, when the call streams.
    items: Option<Arc<Items>>,
}

impl<'a> Results<'a> {
    pub(crate) fn new(
        store: &'a dyn SegmentSource,
        inline_limit: usize,
        items: Option<Arc<Items>>,
    ) -> Results<'a> {
        Results {
            store,
            inline_limit,
            values: Vec::new(),
            items,
        }
    }

    fn items(&self) -> Result<&Items, CallError> {
        self.items.as_deref().ok_or_else(|| {
            CallError::Failure(Failure::System(
                "a call that does not stream yielded".into(),
            ))
        })
    }

    /// Sends the next item of a stream, then waits while too many are not taken.
    ///
    /// # Errors
    /// When the call is cancelled, the store has no room, or the stream has too many items.
    pub fn item<T: Data>(&mut self, value: &T) -> Result<(), CallError> {
        let items = self.items()?;
        items.send(value)?;
        items.pause()
    }

    /// Sends the next item as [`Results::item`] does, and lets other calls run while it waits.
    ///
    /// # Errors
    /// As [`Results::item`].
    pub async fn item_async<T: Data>(&mut self, value: T) -> Result<(), CallError> {
        let items = self.items()?;
        items.send(&value)?;
        drop(value);
        items.paused().await;
        Ok(())
    }

    /// Encodes the next result.
    ///
    /// # Errors
    /// When the store has no room, or the value is too large.
    pub fn push<T: Data>(&mut self, value: &T) -> Result<(), CallError> {
        self.values
            .push(data::encode(value, self.inline_limit, self.store)?);
        Ok(())
    }

    pub(crate) fn take(self) -> Vec<EncodedValue> {
        self.values
    }
}

/// How a method borrows its actor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receiver {
    /// `&mut self`.
    Exclusive,
    /// `&self`.
    Shared,
    /// `async fn (&mut self)`.
    AsyncExclusive,
    /// `async fn (&self)`.
    AsyncShared,
}

fn wrong_form<T>() -> Result<T, CallError> {
    Err(CallError::Failure(Failure::System(
        "a method was called in a form that it does not have".into(),
    )))
}

/// One method of an actor; generated code implements the function that fits its receiver.
pub trait MethodBody: 'static {
    /// Whose method it is.
    type Actor: 'static;
    /// How it borrows the actor.
    const RECEIVER: Receiver;

    /// Runs a method that takes `&mut self`.
    ///
    /// # Errors
    /// What user code returned.
    fn run_mut(
        actor: &mut Self::Actor,
        call: &Call,
        results: &mut Results<'_>,
    ) -> Result<(), CallError> {
        let _ = (actor, call, results);
        wrong_form()
    }

    /// Runs a method that takes `&self`.
    ///
    /// # Errors
    /// What user code returned.
    fn run_ref(
        actor: &Self::Actor,
        call: &Call,
        results: &mut Results<'_>,
    ) -> Result<(), CallError> {
        let _ = (actor, call, results);
        wrong_form()
    }

    /// Runs an async method that takes `&mut self`.
    fn start_mut<'a>(
        actor: &'a mut Self::Actor,
        call: &'a Call,
        results: &'a mut Results<'_>,
    ) -> LocalFuture<'a, Result<(), CallError>> {
        let _ = (actor, call, results);
        Box::pin(std::future::ready(wrong_form()))
    }

    /// Runs an async method that takes `&self`.
    fn start_ref<'a>(
        actor: &'a Self::Actor,
        call: &'a Call,
        results: &'a mut Results<'_>,
    ) -> LocalFuture<'a, Result<(), CallError>> {
        let _ = (actor, call, results);
        Box::pin(std::future::ready(wrong_form()))
    }
}

type LocalForm = fn(&mut dyn Any, &Call, &mut Results<'_>) -> Result<(), CallError>;
type ThreadedForm = fn(&(dyn Any + Send + Sync), &Call, &mut Results<'_>) -> Result<(), CallError>;
type AsyncForm = fn(
    Arc<dyn Any>,
    Call,
    Arc<crate::runtime::Runtime>,
    Option<Arc<Items>>,
) -> LocalFuture<'static, Result<Vec<EncodedValue>, CallError>>;

/// The ways to run one method, by how its actor is hosted.
#[allow(private_interfaces, reason = "generated code only passes the forms on")]
pub struct MethodForms {
    pub(crate) local: LocalForm,
    pub(crate) threaded: Option<ThreadedForm>,
    pub(crate) asynchronous: AsyncForm,
    pub(crate) receiver: Receiver,
}

impl MethodForms {
    /// Returns the forms of `M`; `threaded` comes from [`ThreadedMethod`].
    pub const fn of<M: MethodBody>(threaded: ThreadedMethod<M>) -> MethodForms {
        MethodForms {
            local: local::<M>,
            threaded: threaded.form,
            asynchronous: asynchronous::<M>,
            receiver: M::RECEIVER,
        }
    }

    /// Returns whether the method is an `async fn`.
    pub const fn is_async(&self) -> bool {
        matches!(
            self.receiver,
            Receiver::AsyncExclusive | Receiver::AsyncShared
        )
    }
}

fn wrong_actor<T>() -> Result<T, CallError> {
    Err(CallError::Failure(Failure::System(
        "this process hosts an actor of another class".into(),
    )))
}

fn local<M: MethodBody>(
    actor: &mut dyn Any,
    call: &Call,
    results: &mut Results<'_>,
) -> Result<(), CallError> {
    let Some(actor) = actor.downcast_mut::<M::Actor>() else {
        return wrong_actor();
    };
    match M::RECEIVER {
        Receiver::Exclusive => M::run_mut(actor, call, results),
        Receiver::Shared => M::run_ref(actor, call, results),
        Receiver::AsyncExclusive | Receiver::AsyncShared => wrong_form(),
    }
}

fn threaded<M: MethodBody>(
    actor: &(dyn Any + Send + Sync),
    call: &Call,
    results: &mut Results<'_>,
) -> Result<(), CallError>
where
    M::Actor: Send + Sync,
{
    let Some(actor) = actor.downcast_ref::<RwLock<M::Actor>>() else {
        return wrong_actor();
    };
    match M::RECEIVER {
        Receiver::Exclusive => M::run_mut(&mut actor.write(), call, results),
        Receiver::Shared => M::run_ref(&actor.read_recursive(), call, results),
        Receiver::AsyncExclusive | Receiver::AsyncShared => wrong_form(),
    }
}

fn asynchronous<M: MethodBody>(
    actor: Arc<dyn Any>,
    call: Call,
    runtime: Arc<crate::runtime::Runtime>,
    items: Option<Arc<Items>>,
) -> LocalFuture<'static, Result<Vec<EncodedValue>, CallError>> {
    Box::pin(async move {
        let Some(lock) = actor.downcast_ref::<tokio::sync::RwLock<M::Actor>>() else {
            return wrong_actor();
        };
        let mut results = Results::new(&runtime, call.inline_limit(), items);
        match M::RECEIVER {
            Receiver::Exclusive => M::run_mut(&mut *lock.write().await, &call, &mut results)?,
            Receiver::Shared => M::run_ref(&*lock.read().await, &call, &mut results)?,
            Receiver::AsyncExclusive => {
                M::start_mut(&mut *lock.write().await, &call, &mut results).await?
            }
            Receiver::AsyncShared => M::start_ref(&*lock.read().await, &call, &mut results).await?,
        }
        Ok(results.take())
    })
}

/// The threaded form of a method, when its actor can be shared between threads.
#[allow(private_interfaces, reason = "generated code only passes the form on")]
pub struct ThreadedMethod<M: MethodBody> {
    form: Option<ThreadedForm>,
    marker: std::marker::PhantomData<fn() -> M>,
}

impl<M: MethodBody> ThreadedMethod<M>
where
    M::Actor: Send + Sync,
{
    /// The form; found before the default of [`ThreadedMethodDefault`] when the actor can be shared.
    pub const FORM: ThreadedMethod<M> = ThreadedMethod {
        form: Some(threaded::<M>),
        marker: std::marker::PhantomData,
    };
}

/// No threaded form, for actors that cannot be shared between threads.
pub trait ThreadedMethodDefault: Sized {
    /// None.
    const FORM: Self;
}

impl<M: MethodBody> ThreadedMethodDefault for ThreadedMethod<M> {
    const FORM: Self = ThreadedMethod {
        form: None,
        marker: std::marker::PhantomData,
    };
}

/// The constructor of an actor.
pub trait Constructor: 'static {
    /// What it makes.
    type Actor: 'static;

    /// Makes the actor on this thread.
    ///
    /// # Errors
    /// What user code returned.
    fn make(call: &Call) -> Result<Self::Actor, CallError>;

    /// Makes the actor on a local executor.
    fn make_async<'a>(call: &'a Call) -> LocalFuture<'a, Result<Self::Actor, CallError>> {
        Box::pin(std::future::ready(Self::make(call)))
    }
}

/// The ways to make one actor, by how it is hosted.
pub struct Create {
    pub(crate) local: fn(&Call) -> Result<Box<dyn Any>, CallError>,
    pub(crate) threaded: Option<fn(&Call) -> Result<Arc<dyn Any + Send + Sync>, CallError>>,
    pub(crate) asynchronous: fn(Call) -> LocalFuture<'static, Result<Arc<dyn Any>, CallError>>,
    pub(crate) class: &'static super::ActorClass,
}

impl Create {
    /// Returns the forms of `C`.
    pub const fn of<C: Constructor>(
        class: &'static super::ActorClass,
        threaded: ThreadedConstructor<C>,
    ) -> Create {
        Create {
            local: make_local::<C>,
            threaded: threaded.form,
            asynchronous: make_async::<C>,
            class,
        }
    }
}

fn make_local<C: Constructor>(call: &Call) -> Result<Box<dyn Any>, CallError> {
    Ok(Box::new(C::make(call)?))
}

fn make_threaded<C: Constructor>(call: &Call) -> Result<Arc<dyn Any + Send + Sync>, CallError>
where
    C::Actor: Send + Sync,
{
    Ok(Arc::new(RwLock::new(C::make(call)?)))
}

fn make_async<C: Constructor>(call: Call) -> LocalFuture<'static, Result<Arc<dyn Any>, CallError>> {
    Box::pin(async move {
        let actor = C::make_async(&call).await?;
        // The actor stays on its thread; the count is never touched by another.
        #[allow(clippy::arc_with_non_send_sync, reason = "one type for both hosts")]
        let shared: Arc<dyn Any> = Arc::new(tokio::sync::RwLock::new(actor));
        Ok(shared)
    })
}

/// The threaded form of a constructor, when its actor can be shared between threads.
pub struct ThreadedConstructor<C: Constructor> {
    form: Option<fn(&Call) -> Result<Arc<dyn Any + Send + Sync>, CallError>>,
    marker: std::marker::PhantomData<fn() -> C>,
}

impl<C: Constructor> ThreadedConstructor<C>
where
    C::Actor: Send + Sync,
{
    /// The form; found before the default when the actor can be shared.
    pub const FORM: ThreadedConstructor<C> = ThreadedConstructor {
        form: Some(make_threaded::<C>),
        marker: std::marker::PhantomData,
    };
}

/// No threaded form, for actors that cannot be shared between threads.
pub trait ThreadedConstructorDefault: Sized {
    /// None.
    const FORM: Self;
}

impl<C: Constructor> ThreadedConstructorDefault for ThreadedConstructor<C> {
    const FORM: Self = ThreadedConstructor {
        form: None,
        marker: std::marker::PhantomData,
    };
}

/// Runs a future to its end on this thread.
pub fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a current-thread executor needs only descriptors")
        .block_on(future)
}

/// Waits for the next item of a user's stream.
pub async fn next_of<S: futures_core::Stream>(stream: &mut Pin<&mut S>) -> Option<S::Item> {
    std::future::poll_fn(|cx| stream.as_mut().poll_next(cx)).await
}

/// Fixes the type of a task's invoke function.
pub const fn task_of(
    invoke: fn(&Call, &mut Results<'_>) -> Result<(), CallError>,
) -> fn(&Call, &mut Results<'_>) -> Result<(), CallError> {
    invoke
}
