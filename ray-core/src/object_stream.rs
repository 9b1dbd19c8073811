//! Streams of references: the results of a call that yields, each there as soon as it was made.

use std::{
    fmt,
    marker::PhantomData,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_core::Stream;
use ray_engine::ids::{ObjectId, TaskId};

use crate::{
    AnyRef, Error, ObjectRef, Result,
    runtime::{self, waiters::WaitCell},
};

/// The items of a task or method that returns `impl Iterator<Item = T>`, as references, in order.
///
/// Each item is there as soon as it was made, while the call still runs. The call runs to its end whether
/// or not anybody takes items, unless `backpressure` bounds how far it gets ahead. Dropping the stream
/// lets a paused call run on; [`cancel`](crate::cancel) of [`completed`](ObjectRefStream::completed)
/// ends it.
///
/// What goes wrong is an item: when the call yields an `Err`, panics, crashes or is cancelled, the item
/// after the last good one is a reference that fails, and the stream ends after it. A waiting consumer
/// that is itself cancelled gets such an item too. So `next` needs no error of its own.
///
/// In async code use [`next_async`](ObjectRefStream::next_async), or give the stream to whatever takes a
/// `futures_core::Stream`; the methods of `StreamExt` share their names with those of `Iterator`.
///
/// ```no_run
/// use ray_core::prelude::*;
///
/// #[remote(backpressure = 16)]
/// fn squares(n: u64) -> impl Iterator<Item = u64> {
///     (0..n).map(|x| x * x)
/// }
///
/// # fn main() -> ray_core::Result<()> {
/// let ray = ray_core::init()?;
/// for square in squares::remote(1000) {
///     println!("{}", square.get()?);
/// }
/// # ray.shutdown()
/// # }
/// ```
pub struct ObjectRefStream<T> {
    completed: AnyRef,
    /// Its drop tells the owner table that nobody will ask for items any more.
    _token: AnyRef,
    /// Whether `next` has returned `None`, or the one item that tells why it cannot go on.
    is_over: bool,
    waiting: Option<(ObjectId, Arc<WaitCell>)>,
    marker: PhantomData<fn() -> T>,
}

impl<T> ObjectRefStream<T> {
    pub(crate) fn new(completed: AnyRef, token: AnyRef) -> ObjectRefStream<T> {
        ObjectRefStream {
            completed,
            _token: token,
            is_over: false,
            waiting: None,
            marker: PhantomData,
        }
    }

    fn task(&self) -> TaskId {
        let ObjectId { owner, index } = self.completed.id();
        TaskId { owner, index }
    }

    /// Waits for the next item at most `limit`; zero asks only whether it is there.
    ///
    /// # Errors
    /// `Error::GetTimeout` when it is not there in time; the stream goes on. `Error::Cancelled` when the
    /// call that waits is cancelled.
    pub fn next_timeout(&mut self, limit: Duration) -> Result<Option<ObjectRef<T>>> {
        if self.is_over {
            return Ok(None);
        }
        let next = runtime::current()?.next_item(self.task(), Some(limit))?;
        Ok(self.typed(next))
    }

    /// Waits for the next item without holding up the thread; the async form of `next`.
    pub async fn next_async(&mut self) -> Option<ObjectRef<T>> {
        std::future::poll_fn(|cx| self.poll_item(cx)).await
    }

    /// Returns a reference to the next item without taking it, whether it is there or not.
    ///
    /// It is what to give to [`wait`](crate::wait): ready means that `next` returns at once. At the end of
    /// the stream it is ready and fails with `Error::StreamEnded`. The item keeps its identity: `next`
    /// returns a reference to the same object.
    pub fn peek(&self) -> ObjectRef<T> {
        let next = runtime::current()
            .ok()
            .and_then(|runtime| runtime.peek_item(self.task()));
        // Without a runtime every reference says so.
        ObjectRef::from_any(next.unwrap_or_else(|| self.completed.clone()))
    }

    /// Returns whether `next` would return at once: with an item, or because the stream has ended.
    pub fn is_next_ready(&self) -> bool {
        self.is_over || self.peek().any().is_ready()
    }

    /// Returns whether the call has ended and every item was taken.
    pub fn is_finished(&self) -> bool {
        if self.is_over {
            return true;
        }
        let ended = self.peek();
        ended.any().is_ready()
            && runtime::current().is_ok_and(|runtime| runtime.is_end_of_stream(ended.id()))
    }

    /// Returns a reference that resolves when the call has ended, and fails when the call failed.
    ///
    /// It is also the reference by which the call is cancelled.
    pub fn completed(&self) -> ObjectRef<()> {
        ObjectRef::from_any(self.completed.clone())
    }

    fn typed(&mut self, next: Option<AnyRef>) -> Option<ObjectRef<T>> {
        self.is_over |= next.is_none();
        next.map(ObjectRef::from_any)
    }

    /// Ends the stream with an item that says why.
    fn failed(&mut self, error: &Error) -> Option<ObjectRef<T>> {
        self.is_over = true;
        let item = match runtime::current() {
            Ok(runtime) => runtime.failed_item(error),
            Err(_) => self.completed.clone(),
        };
        Some(ObjectRef::from_any(item))
    }

    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Option<ObjectRef<T>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let runtime = match runtime::current() {
            Ok(runtime) => runtime,
            Err(error) => return Poll::Ready(self.failed(&error)),
        };
        let task = self.task();
        runtime
            .poll_item(task, &mut self.waiting, cx)
            .map(|next| self.typed(next))
    }
}

impl<T> Iterator for ObjectRefStream<T> {
    type Item = ObjectRef<T>;

    /// Waits for the next item; `None` when the call has ended and all items were taken.
    fn next(&mut self) -> Option<ObjectRef<T>> {
        if self.is_over {
            return None;
        }
        let task = self.task();
        let next = runtime::current().and_then(|runtime| runtime.next_item(task, None));
        match next {
            Ok(next) => self.typed(next),
            Err(error) => self.failed(&error),
        }
    }
}

impl<T> Stream for ObjectRefStream<T> {
    type Item = ObjectRef<T>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<ObjectRef<T>>> {
        self.poll_item(cx)
    }
}

impl<T> Drop for ObjectRefStream<T> {
    fn drop(&mut self) {
        if let Some((head, cell)) = self.waiting.take()
            && let Ok(runtime) = runtime::current()
        {
            runtime.forget_waiter(head, &cell);
        }
    }
}

impl<T> fmt::Debug for ObjectRefStream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ObjectRefStream({})", self.task())
    }
}
