//! A thread that waits: parked, or asleep in the socket's poll.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    thread::{self, Thread},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec};

const EMPTY: u8 = 0;
const NOTIFIED: u8 = 1;
/// The thread is parked.
const PARKED: u8 = 2;
/// The thread sleeps in `ppoll` on the socket and its own event descriptor.
const POLLING: u8 = 3;

/// Lets one thread wait until another says so; notifying costs a store unless the thread sleeps.
///
/// Clones are the same waiter.
#[derive(Clone, Default)]
pub struct Waiter(Arc<Inner>);

#[derive(Default)]
struct Inner {
    state: AtomicU8,
    sleeper: Mutex<Option<Sleeper>>,
}

#[derive(Clone)]
struct Sleeper {
    thread: Thread,
    event: Arc<OwnedFd>,
}

thread_local! {
    static SLEEPER: Option<Sleeper> = {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        rustix::event::eventfd(0, flags)
            .ok()
            .map(|event| Sleeper { thread: thread::current(), event: Arc::new(event) })
    };
}

impl Waiter {
    /// Returns a waiter that nobody has notified.
    pub fn new() -> Waiter {
        Waiter::default()
    }

    /// Ends the wait of the thread, now or when it begins.
    pub fn notify(&self) {
        match self.0.state.swap(NOTIFIED, Ordering::SeqCst) {
            PARKED | POLLING => self.wake(),
            _ => {}
        }
    }

    /// Forgets a notification, to wait again.
    pub fn reset(&self) {
        self.0.state.store(EMPTY, Ordering::SeqCst);
    }

    /// Returns whether the waiter was notified.
    pub fn is_notified(&self) -> bool {
        self.0.state.load(Ordering::SeqCst) == NOTIFIED
    }

    /// Returns whether both are the same waiter.
    pub fn is_same(&self, other: &Waiter) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Makes a sleeping thread look around without notifying it.
    pub(crate) fn nudge(&self) {
        if matches!(self.0.state.load(Ordering::SeqCst), PARKED | POLLING) {
            self.wake();
        }
    }

    /// Ends the thread's sleep, or its next one if it does not sleep.
    pub(crate) fn wake(&self) {
        if let Some(sleeper) = &*self.0.sleeper.lock() {
            sleeper.thread.unpark();
            // A full counter wakes as well as a fresh one.
            let _full = rustix::io::write(&*sleeper.event, &1_u64.to_ne_bytes());
        }
    }

    /// Sleeps until a notification, a nudge or `limit`.
    pub(crate) fn park(&self, limit: Option<Duration>) {
        self.become_sleeper();
        if self
            .0
            .state
            .compare_exchange(EMPTY, PARKED, Ordering::SeqCst, Ordering::SeqCst)
            .is_err()
        {
            return;
        }
        match limit {
            Some(limit) => thread::park_timeout(limit),
            None => thread::park(),
        }
        self.end_sleep(PARKED);
    }

    /// Sleeps until the socket is readable (or writable), a notification, a nudge or `limit`.
    ///
    /// # Errors
    /// What the system refused; an interrupting signal is none.
    pub(crate) fn poll(
        &self,
        socket: BorrowedFd<'_>,
        writable: bool,
        limit: Option<Duration>,
    ) -> io::Result<()> {
        self.become_sleeper();
        if self
            .0
            .state
            .compare_exchange(EMPTY, POLLING, Ordering::SeqCst, Ordering::SeqCst)
            .is_err()
        {
            return Ok(());
        }
        let event = self
            .0
            .sleeper
            .lock()
            .as_ref()
            .map(|sleeper| sleeper.event.clone());
        let Some(event) = event else {
            self.end_sleep(POLLING);
            return Err(io::Error::other("no event descriptor for this thread"));
        };
        let wanted = if writable {
            PollFlags::IN | PollFlags::OUT
        } else {
            PollFlags::IN
        };
        let mut fds = [
            PollFd::from_borrowed_fd(socket, wanted),
            PollFd::from_borrowed_fd(event.as_fd(), PollFlags::IN),
        ];
        let limit = limit.map(|limit| Timespec {
            tv_sec: i64::try_from(limit.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(limit.subsec_nanos()),
        });
        let polled = rustix::event::poll(&mut fds, limit.as_ref());
        let was_woken = !fds[1].revents().is_empty();
        self.end_sleep(POLLING);
        if was_woken {
            let mut count = [0; 8];
            // Empty already when two wakes met: nothing is lost.
            let _empty = rustix::io::read(&*event, &mut count);
        }
        match polled {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes this the thread that is woken.
    pub(crate) fn become_sleeper(&self) {
        SLEEPER.with(|sleeper| self.0.sleeper.lock().clone_from(sleeper));
    }

    fn end_sleep(&self, from: u8) {
        // Fails when the waiter was notified meanwhile, which must not be forgotten.
        let _notified =
            self.0
                .state
                .compare_exchange(from, EMPTY, Ordering::SeqCst, Ordering::SeqCst);
    }
}

/// Returns how long it is until `deadline`.
pub(crate) fn left(deadline: Option<Instant>) -> Option<Duration> {
    deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
}
