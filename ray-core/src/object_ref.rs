//! References to immutable values: counted, cloneable, sendable.

use std::{
    fmt,
    future::{Future, IntoFuture},
    marker::PhantomData,
    ops::Deref,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use ray_engine::ids::ObjectId;

use crate::{
    Data, Result, data,
    runtime::{self, Runtime, waiters::WaitCell},
    store::HeldValue,
};

/// A reference to a value of any type; see [`ObjectRef::erase`].
#[derive(Clone)]
pub struct AnyRef(Arc<Handle>);

/// One counted handle at this process's owner table; its drop gives the count back.
struct Handle {
    id: ObjectId,
}

impl Drop for Handle {
    fn drop(&mut self) {
        runtime::drop_handle(self.id);
    }
}

impl AnyRef {
    /// Wraps a handle that the owner table has already counted for this reference.
    pub(crate) fn counted(id: ObjectId) -> AnyRef {
        AnyRef(Arc::new(Handle { id }))
    }

    /// Counts a new handle of `id`, which something in this process already holds, and wraps it.
    pub(crate) fn adopt(id: ObjectId) -> AnyRef {
        runtime::add_handle(id);
        AnyRef::counted(id)
    }

    /// Returns the id of the value.
    pub fn id(&self) -> ObjectId {
        self.0.id
    }

    /// Returns whether the value, or the failure to make it, is there.
    pub fn is_ready(&self) -> bool {
        runtime::current().is_ok_and(|runtime| runtime.is_ready(self.id()))
    }

    /// Gives the reference its type; a wrong one gives `Error::TypeMismatch` at `get`.
    pub fn typed<T>(&self) -> ObjectRef<T> {
        ObjectRef::from_any(self.clone())
    }
}

impl AsRef<AnyRef> for AnyRef {
    fn as_ref(&self) -> &AnyRef {
        self
    }
}

impl<T> AsRef<AnyRef> for ObjectRef<T> {
    fn as_ref(&self) -> &AnyRef {
        &self.any
    }
}

impl fmt::Debug for AnyRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AnyRef({})", self.0.id)
    }
}

/// A reference to a value of type `T` that exists somewhere in the cluster, or will.
///
/// Clones are counted; the value is freed when the last reference in any process is gone.
pub struct ObjectRef<T> {
    any: AnyRef,
    marker: PhantomData<fn() -> T>,
}

impl<T> ObjectRef<T> {
    /// Gives an untyped reference its type; the caller knows it.
    pub(crate) fn from_any(any: AnyRef) -> ObjectRef<T> {
        ObjectRef {
            any,
            marker: PhantomData,
        }
    }

    pub(crate) fn any(&self) -> &AnyRef {
        &self.any
    }

    /// Returns the id of the value.
    pub fn id(&self) -> ObjectId {
        self.any.id()
    }

    /// Returns a reference to the same value without its type.
    pub fn erase(&self) -> AnyRef {
        self.any.clone()
    }
}

impl<T> Clone for ObjectRef<T> {
    fn clone(&self) -> Self {
        ObjectRef::from_any(self.any.clone())
    }
}

impl<T> fmt::Debug for ObjectRef<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ObjectRef({})", self.id())
    }
}

impl<T: Data> ObjectRef<T> {
    /// Waits for the value and returns a copy of it.
    ///
    /// # Errors
    /// Why there is none: what user code did wrong, a crash, a cancel; see [`crate::Error`].
    pub fn get(&self) -> Result<T> {
        let value = runtime::current()?.get_value(self.id(), None)?;
        Ok(data::decode::<T>(&value)?)
    }

    /// Waits for the value at most `limit`; zero asks only whether it is there.
    ///
    /// # Errors
    /// `Error::GetTimeout` when it is not there in time, else as [`ObjectRef::get`].
    pub fn get_timeout(&self, limit: Duration) -> Result<T> {
        let value = runtime::current()?.get_value(self.id(), Some(limit))?;
        Ok(data::decode::<T>(&value)?)
    }

    /// Waits for the value and borrows its archive where it lies, without a copy.
    ///
    /// The view keeps the value alive and in place.
    ///
    /// # Errors
    /// As [`ObjectRef::get`].
    pub fn view(&self) -> Result<ObjectView<T>> {
        let value = runtime::current()?.get_value(self.id(), None)?;
        ObjectView::new(value, self.any.clone())
    }

    /// Returns whether the value, or the failure to make it, is there.
    pub fn is_ready(&self) -> bool {
        self.any.is_ready()
    }
}

/// The archive of a value where it lies: shared memory when it is large.
pub struct ObjectView<T: Data> {
    value: HeldValue,
    _any: AnyRef,
    marker: PhantomData<fn() -> T>,
}

impl<T: Data> ObjectView<T> {
    fn new(value: HeldValue, any: AnyRef) -> Result<ObjectView<T>> {
        data::access::<T>(&value)?;
        Ok(ObjectView {
            value,
            _any: any,
            marker: PhantomData,
        })
    }

    /// Decodes the whole value.
    ///
    /// # Errors
    /// When decoding fails; the bytes themselves were checked before.
    pub fn to_owned(&self) -> Result<T> {
        Ok(data::decode::<T>(&self.value)?)
    }
}

impl<T: Data> Deref for ObjectView<T> {
    type Target = T::Archived;

    fn deref(&self) -> &T::Archived {
        data::access::<T>(&self.value).expect("checked when the view was made, and immutable since")
    }
}

impl<T: Data> IntoFuture for ObjectRef<T> {
    type Output = Result<T>;
    type IntoFuture = ObjectFuture<T>;

    fn into_future(self) -> ObjectFuture<T> {
        ObjectFuture {
            reference: self,
            cell: None,
        }
    }
}

impl<T: Data> IntoFuture for &ObjectRef<T> {
    type Output = Result<T>;
    type IntoFuture = ObjectFuture<T>;

    fn into_future(self) -> ObjectFuture<T> {
        self.clone().into_future()
    }
}

/// The future of an [`ObjectRef`]: its value, or why there is none.
pub struct ObjectFuture<T> {
    reference: ObjectRef<T>,
    cell: Option<Arc<WaitCell>>,
}

impl<T: Data> Future for ObjectFuture<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T>> {
        let runtime: Arc<Runtime> = match runtime::current() {
            Ok(runtime) => runtime,
            Err(error) => return Poll::Ready(Err(error)),
        };
        let this = &mut *self;
        match runtime.poll_value(this.reference.id(), &mut this.cell, cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(value)) => match runtime.localize_for(&value, cx.waker()) {
                Ok(Some(held)) => Poll::Ready(data::decode::<T>(&held).map_err(Into::into)),
                Ok(None) => Poll::Pending,
                Err(error) => Poll::Ready(Err(error)),
            },
        }
    }
}

impl<T> Drop for ObjectFuture<T> {
    fn drop(&mut self) {
        if let Some(cell) = self.cell.take()
            && let Ok(runtime) = runtime::current()
        {
            runtime.forget_waiter(self.reference.id(), &cell);
        }
    }
}
