//! Every form of an actor: several blocks, async methods, fallible constructors, options.
use std::{cell::RefCell, rc::Rc};

use ray_core::prelude::*;

/// Counts.
#[actor(
    num_cpus = 0,
    num_gpus = 1,
    memory = 1_000,
    resources("camera" = 1),
    max_restarts = 3,
    max_task_retries = -1,
    max_pending_calls = 10,
    on_panic = "restart",
)]
#[derive(Debug, Clone)]
pub struct Counter {
    value: i64,
}

#[remote]
impl Counter {
    const STEP: i64 = 1;

    /// Starts at `start`.
    pub fn new(start: i64) -> Self {
        Self { value: start }
    }

    /// Adds and returns the sum.
    pub fn add(&mut self, by: i64) -> i64 {
        self.value += by * Self::STEP;
        self.helper();
        self.value
    }

    pub fn value(&self) -> i64 {
        self.value
    }

    /// Borrows its argument from shared memory.
    #[method(max_retries = 2, concurrency_group = "io")]
    pub fn add_all(&mut self, values: &Archived<Vec<i64>>) -> Result<i64, String> {
        for value in values.iter() {
            self.value += value.to_native();
        }
        Ok(self.value)
    }

    #[method(num_returns = 2)]
    pub fn both(&self, mut other: i64) -> (i64, i64) {
        other += 1;
        (self.value, other)
    }

    /// Takes and returns handles, also of its own kind.
    pub fn friend(
        &self,
        other: CounterHandle,
        others: Vec<CounterHandle>,
    ) -> Option<CounterHandle> {
        others.into_iter().next().or(Some(other))
    }

    fn helper(&self) {}

    pub(crate) fn not_remote(&self) -> Rc<i64> {
        Rc::new(self.value)
    }
}

#[remote]
impl Counter {
    pub fn reset(&mut self) {
        self.value = 0;
    }
}

mod elsewhere {
    use ray_core::prelude::*;

    #[remote]
    impl super::Counter {
        pub fn doubled(&self) -> i64 {
            self.value * 2
        }
    }
}

/// Its methods interleave, so that neither `Send` nor `Sync` is asked of it.
#[actor]
struct Cache {
    pages: Rc<RefCell<Vec<String>>>,
}

#[remote]
impl Cache {
    pub async fn new(size: usize) -> Result<Self, std::num::TryFromIntError> {
        std::future::ready(()).await;
        u8::try_from(size)?;
        Ok(Self {
            pages: Rc::default(),
        })
    }

    pub async fn fetch(&self, key: String) -> Result<Vec<u8>, String> {
        let pages = Rc::clone(&self.pages);
        std::future::ready(()).await;
        pages.borrow_mut().push(key.clone());
        Ok(key.into_bytes())
    }

    pub async fn fetch_all(&mut self, keys: &Archived<Vec<String>>) -> usize {
        std::future::ready(()).await;
        self.pages.borrow_mut().clear();
        keys.len()
    }

    pub fn size(&self) -> usize {
        self.pages.borrow().len()
    }
}

/// Interleaves as many calls as it says, still without `Sync`.
#[actor(max_concurrency = 100)]
struct Server {
    waiting: RefCell<u64>,
}

#[remote]
impl Server {
    pub fn new() -> Self {
        Self {
            waiting: RefCell::new(0),
        }
    }

    pub async fn serve(&self) -> u64 {
        *self.waiting.borrow_mut() += 1;
        *self.waiting.borrow()
    }
}

/// Several threads share it.
#[actor(max_concurrency = 4)]
struct Shared(std::sync::Mutex<i64>);

#[remote]
impl Shared {
    pub fn new() -> Shared {
        Self(std::sync::Mutex::new(0))
    }

    pub fn add(&self, by: i64) -> i64 {
        let mut value = self.0.lock().unwrap();
        *value += by;
        *value
    }
}

/// A method of the user's own wins over one of the trait `ActorHandle`.
#[actor]
struct Named;

#[remote]
impl Named {
    pub fn new() -> Self {
        Named
    }

    pub fn id(&self) -> String {
        "mine".to_owned()
    }
}

/// A value that carries a handle.
#[derive(Data, Clone, Debug)]
struct Job {
    counter: CounterHandle,
    at: ObjectRef<i64>,
}

#[remote]
fn work(job: Job, counter: CounterHandle) -> CounterHandle {
    let _ = job.counter.add(&job.at);
    counter
}

#[allow(dead_code)]
fn types_of_handles() -> ray_core::Result<()> {
    let counter: CounterHandle = Counter::remote(10);
    let sum: ObjectRef<i64> = counter.add(1);
    let _: ObjectRef<i64> = counter.add(&sum);
    let _: ObjectRef<i64> = counter.value();
    let _: ObjectRef<i64> = counter.add_all(vec![1]);
    let (_, _): (ObjectRef<i64>, ObjectRef<i64>) = counter.both(1);
    let _: ObjectRef<Option<CounterHandle>> = counter.friend(&counter, vec![counter.clone()]);
    let _: ObjectRef<()> = counter.reset();
    let _: ObjectRef<i64> = counter.doubled();
    let _: ObjectRef<()> = counter.ready();
    let _: ray_core::ActorId = counter.id();
    let again: CounterHandle = Counter::options()
        .num_cpus(1.0)
        .num_gpus(0.0)
        .memory(1)
        .resource("camera", 1.0)
        .name("counter")
        .namespace("tests")
        .max_restarts(-1)
        .max_task_retries(1)
        .max_concurrency(2)
        .max_pending_calls(5)
        .get_if_exists(true)
        .lifetime(Lifetime::Detached)
        .remote(&10);
    again.kill(KillMode::NoRestart)?;
    let _ = CounterHandle::named("counter")?;
    let cache: CacheHandle = Cache::remote(3_usize);
    let _: ObjectRef<Vec<u8>> = cache.fetch("key");
    let _: ObjectRef<usize> = cache.fetch_all(vec!["a".to_owned()]);
    let _: ObjectRef<usize> = cache.size();
    let _: ObjectRef<u64> = Server::remote().serve();
    let _: ObjectRef<i64> = Shared::remote().add(1);
    let _: ObjectRef<String> = Named::remote().id();
    let _: ObjectRef<CounterHandle> = work::remote(
        Job {
            counter: counter.clone(),
            at: sum,
        },
        &counter,
    );
    Ok(())
}

fn main() {
    // An actor is still an ordinary struct.
    let mut counter = Counter::new(1);
    assert_eq!(counter.add(2), 3);
    assert_eq!(counter.doubled(), 6);
    assert_eq!(*counter.not_remote(), 3);
}
