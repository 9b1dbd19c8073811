//! A bounded queue between processes, kept by an actor.

use std::{fmt, marker::PhantomData, time::Duration};

use super::queue_host::{Parcel, QueueHost, QueueHostHandle, Refusal};
use crate::{ActorHandle as _, Data, Error, KillMode, Result};

/// A first-in first-out queue with many producers and many consumers in any processes.
///
/// Handles are cloned and sent like those of actors; the queue and what is in it live until the last
/// handle is gone. Values are copied into it, so they outlive their producer.
///
/// ```no_run
/// use ray_core::{prelude::*, util::Queue};
///
/// #[remote]
/// fn fill(queue: Queue<u64>) -> Result<(), ray_core::Error> {
///     (0..10).try_for_each(|x| queue.put(&x))
/// }
///
/// # fn main() -> ray_core::Result<()> {
/// let ray = ray_core::init()?;
/// let queue = Queue::new(4);
/// let filled = fill::remote(&queue);
/// for _ in 0..10 {
///     println!("{}", queue.get()?);
/// }
/// filled.get()?;
/// # ray.shutdown()
/// # }
/// ```
#[derive(Data)]
pub struct Queue<T> {
    host: QueueHostHandle,
    marker: PhantomData<T>,
}

impl<T: Data> Queue<T> {
    /// Makes a queue that holds at most `capacity` items; 0 for any number.
    pub fn new(capacity: usize) -> Queue<T> {
        Queue {
            host: QueueHost::remote(capacity as u64),
            marker: PhantomData,
        }
    }

    /// Adds an item, waiting for room.
    ///
    /// # Errors
    /// When the queue's actor is gone, or the value cannot be sent.
    pub fn put(&self, value: &T) -> Result<()> {
        let parcels = vec![Parcel::of(value)?];
        self.host.put(parcels, None).get().map_err(refused)
    }

    /// Adds an item, waiting for room at most `limit`.
    ///
    /// # Errors
    /// `Error::QueueFull` when there was none in time, else as [`Queue::put`].
    pub fn put_timeout(&self, value: &T, limit: Duration) -> Result<()> {
        let parcels = vec![Parcel::of(value)?];
        let limit = Some(micros(limit));
        self.host.put(parcels, limit).get().map_err(refused)
    }

    /// Adds an item if there is room now.
    ///
    /// # Errors
    /// `Error::QueueFull` when there is none, else as [`Queue::put`].
    pub fn put_nowait(&self, value: &T) -> Result<()> {
        self.put_nowait_batch(std::slice::from_ref(value))
    }

    /// Adds all items if there is room for all of them now, else none.
    ///
    /// # Errors
    /// As [`Queue::put_nowait`].
    pub fn put_nowait_batch(&self, values: &[T]) -> Result<()> {
        let parcels = values.iter().map(Parcel::of).collect::<Result<Vec<_>>>()?;
        self.host.put_nowait(parcels).get().map_err(refused)
    }

    /// Adds an item without holding up the thread; the async form of [`Queue::put`].
    ///
    /// # Errors
    /// As [`Queue::put`].
    pub async fn put_async(&self, value: &T) -> Result<()> {
        let parcels = vec![Parcel::of(value)?];
        self.host.put(parcels, None).await.map_err(refused)
    }

    /// Takes the oldest item, waiting for one.
    ///
    /// # Errors
    /// When the queue's actor is gone, or the item is not a `T`.
    pub fn get(&self) -> Result<T> {
        self.host.get(None).get().map_err(refused)?.open()
    }

    /// Takes the oldest item, waiting for one at most `limit`.
    ///
    /// # Errors
    /// `Error::QueueEmpty` when there was none in time, else as [`Queue::get`].
    pub fn get_timeout(&self, limit: Duration) -> Result<T> {
        let limit = Some(micros(limit));
        self.host.get(limit).get().map_err(refused)?.open()
    }

    /// Takes the oldest item if there is one now.
    ///
    /// # Errors
    /// `Error::QueueEmpty` when there is none, else as [`Queue::get`].
    pub fn get_nowait(&self) -> Result<T> {
        let mut items = self.get_nowait_batch(1)?;
        items.pop().ok_or(Error::QueueEmpty)
    }

    /// Takes the oldest `count` items if there are so many now, else none.
    ///
    /// # Errors
    /// As [`Queue::get_nowait`].
    pub fn get_nowait_batch(&self, count: usize) -> Result<Vec<T>> {
        let taken = self.host.get_nowait(count as u64).get().map_err(refused)?;
        taken.iter().map(Parcel::open).collect()
    }

    /// Takes the oldest item without holding up the thread; the async form of [`Queue::get`].
    ///
    /// # Errors
    /// As [`Queue::get`].
    pub async fn get_async(&self) -> Result<T> {
        self.host.get(None).await.map_err(refused)?.open()
    }

    /// Returns how many items are in the queue.
    ///
    /// # Errors
    /// When the queue's actor is gone.
    pub fn size(&self) -> Result<usize> {
        let (size, _) = self.host.fill().get()?;
        Ok(usize::try_from(size).unwrap_or(usize::MAX))
    }

    /// Returns whether nothing is in the queue.
    ///
    /// # Errors
    /// When the queue's actor is gone.
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.size()? == 0)
    }

    /// Returns whether the queue has no room; one without a limit always has.
    ///
    /// # Errors
    /// When the queue's actor is gone.
    pub fn is_full(&self) -> Result<bool> {
        let (size, capacity) = self.host.fill().get()?;
        Ok(capacity != 0 && size >= capacity)
    }

    /// Ends the queue for all its users at once; what is in it is lost.
    ///
    /// # Errors
    /// When the runtime is not running.
    pub fn shutdown(&self) -> Result<()> {
        self.host.kill(KillMode::NoRestart)
    }
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Queue {
            host: self.host.clone(),
            marker: PhantomData,
        }
    }
}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Queue({})", self.host.id())
    }
}

fn micros(limit: Duration) -> u64 {
    u64::try_from(limit.as_micros()).unwrap_or(u64::MAX)
}

fn refused(error: Error) -> Error {
    match error.cause::<Refusal>() {
        Some(Refusal::Empty) => Error::QueueEmpty,
        Some(Refusal::Full { capacity }) => Error::QueueFull { capacity },
        None => error,
    }
}
