//! What the current thread or future is running.

use std::{
    cell::RefCell,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use ray_engine::{
    ids::{ActorId, TaskId},
    resources::Resources,
};

use crate::placement_group::Inside;

/// The call that this thread runs for somebody.
#[derive(Clone, Debug)]
pub(crate) struct Running {
    pub(crate) task: TaskId,
    pub(crate) attempt: u32,
    pub(crate) function: &'static str,
    pub(crate) actor: Option<ActorId>,
    /// Which life of the actor this is, from 0.
    pub(crate) incarnation: u64,
    pub(crate) chain: Arc<[ActorId]>,
    /// The GPUs of a task's or a constructor's lease.
    pub(crate) devices: Arc<[u32]>,
    /// The placement group of a task's or a constructor's lease.
    pub(crate) inside: Option<Arc<Inside>>,
    /// What a task holds of its node; `None` for one CPU.
    pub(crate) resources: Option<Arc<Resources>>,
    pub(crate) cancelled: Arc<AtomicBool>,
}

impl Running {
    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }
}

/// Returns the chain of a call that no actor led to.
pub(crate) fn no_chain() -> Arc<[ActorId]> {
    static NONE: OnceLock<Arc<[ActorId]>> = OnceLock::new();
    NONE.get_or_init(|| Arc::from([])).clone()
}

thread_local! {
    static RUNNING: RefCell<Option<Running>> = const { RefCell::new(None) };
}

/// Returns the call that this thread runs; `None` in a driver's own threads.
pub(crate) fn current() -> Option<Running> {
    RUNNING.with_borrow(Clone::clone)
}

/// Runs `f` as part of `running`.
pub(crate) fn enter<R>(running: Running, f: impl FnOnce() -> R) -> R {
    struct Restore(Option<Running>);
    impl Drop for Restore {
        fn drop(&mut self) {
            RUNNING.set(self.0.take());
        }
    }
    let _restore = Restore(RUNNING.replace(Some(running)));
    f()
}
