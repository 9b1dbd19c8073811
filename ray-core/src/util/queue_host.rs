//! The actor behind a [`Queue`](super::Queue).

use std::{cell::RefCell, collections::VecDeque, time::Duration};

use tokio::sync::Semaphore;

use crate::{Data, Error, ObjectRef, Result, actor, data, remote, runtime, store::AlignedBytes};

/// A value on its way through the queue, whose actor does not know its type.
#[derive(Data, Clone)]
pub(super) struct Parcel {
    layout: u64,
    archive: Vec<u8>,
    /// The references inside, held while the value is under way.
    contained: Vec<ObjectRef<()>>,
}

impl Parcel {
    pub(super) fn of<T: Data>(value: &T) -> Result<Parcel> {
        let mut archive = AlignedBytes::new();
        let appended = data::append(value, &mut archive, usize::MAX, runtime::segment_source)?;
        let contained = match appended {
            data::Appended::Inline { contained, .. } => contained,
            data::Appended::Apart(_) => {
                return Err(Error::System(
                    "an archive without a limit was cut off".into(),
                ));
            }
        };
        Ok(Parcel {
            layout: data::layout::<T>(),
            archive: archive.to_vec(),
            contained: contained.into_iter().map(ObjectRef::from_any).collect(),
        })
    }

    pub(super) fn open<T: Data>(&self) -> Result<T> {
        if self.layout != data::layout::<T>() {
            return Err(Error::TypeMismatch {
                expected: std::any::type_name::<T>().to_owned(),
                found: "an item of another type in the queue".to_owned(),
            });
        }
        let mut archive = AlignedBytes::with_capacity(self.archive.len());
        archive.extend_from_slice(&self.archive);
        Ok(data::decode_bytes::<T>(&archive)?)
    }
}

/// Why the queue did not do what was asked.
#[derive(Data, Clone, Copy, Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("the queue is empty")]
    Empty,
    #[error("the queue is full: it holds {capacity} items at most")]
    Full { capacity: u64 },
}

/// Keeps the items. Who waits for room and who waits for items wait in groups of their own, so that
/// neither keeps the other out.
#[actor(num_cpus = 0, concurrency_groups(put = 10_000, get = 10_000))]
pub(super) struct QueueHost {
    items: RefCell<VecDeque<Parcel>>,
    capacity: u64,
    /// One permit for each item.
    filled: Semaphore,
    /// One permit for each item that fits; not used without a limit.
    room: Semaphore,
}

#[remote]
impl QueueHost {
    pub fn new(capacity: u64) -> Self {
        let room = usize::try_from(capacity).unwrap_or(usize::MAX);
        QueueHost {
            items: RefCell::default(),
            capacity,
            filled: Semaphore::new(0),
            room: Semaphore::new(room.min(Semaphore::MAX_PERMITS)),
        }
    }

    #[method(concurrency_group = "put")]
    pub async fn put(&self, parcels: Vec<Parcel>, limit_us: Option<u64>) -> Result<(), Refusal> {
        if self.capacity != 0 {
            let count = u32::try_from(parcels.len()).unwrap_or(u32::MAX);
            let room = within(limit_us, self.room.acquire_many(count)).await;
            room.ok_or(self.full())?.forget();
        }
        self.add(parcels);
        Ok(())
    }

    pub async fn put_nowait(&self, parcels: Vec<Parcel>) -> Result<(), Refusal> {
        if self.capacity != 0 {
            let count = u32::try_from(parcels.len()).unwrap_or(u32::MAX);
            let room = self.room.try_acquire_many(count);
            room.map_err(|_| self.full())?.forget();
        }
        self.add(parcels);
        Ok(())
    }

    #[method(concurrency_group = "get")]
    pub async fn get(&self, limit_us: Option<u64>) -> Result<Parcel, Refusal> {
        let item = within(limit_us, self.filled.acquire()).await;
        item.ok_or(Refusal::Empty)?.forget();
        self.take(1).pop().ok_or(Refusal::Empty)
    }

    pub async fn get_nowait(&self, count: u64) -> Result<Vec<Parcel>, Refusal> {
        let wanted = u32::try_from(count).map_err(|_| Refusal::Empty)?;
        let items = self.filled.try_acquire_many(wanted);
        items.map_err(|_| Refusal::Empty)?.forget();
        Ok(self.take(wanted as usize))
    }

    pub async fn fill(&self) -> (u64, u64) {
        (self.items.borrow().len() as u64, self.capacity)
    }

    fn full(&self) -> Refusal {
        Refusal::Full {
            capacity: self.capacity,
        }
    }

    fn add(&self, parcels: Vec<Parcel>) {
        let count = parcels.len();
        self.items.borrow_mut().extend(parcels);
        self.filled.add_permits(count);
    }

    /// Takes items whose permits were taken before.
    fn take(&self, count: usize) -> Vec<Parcel> {
        let taken = self.items.borrow_mut().drain(..count).collect();
        if self.capacity != 0 {
            self.room.add_permits(count);
        }
        taken
    }
}

/// Waits for permits at most so many microseconds.
async fn within<P>(
    limit_us: Option<u64>,
    permits: impl Future<Output = Result<P, tokio::sync::AcquireError>>,
) -> Option<P> {
    match limit_us {
        None => permits.await.ok(),
        Some(limit) => {
            let limit = Duration::from_micros(limit);
            tokio::time::timeout(limit, permits).await.ok()?.ok()
        }
    }
}
