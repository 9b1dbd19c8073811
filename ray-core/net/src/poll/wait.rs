//! Who polls: a thread that waits, or the watch thread.

use std::{
    os::fd::AsFd as _,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use super::Shared;
use crate::{
    config::Spin,
    transport::{LOOK_AFTER, Look},
    waiter::{Waiter, left},
};

/// Who polls the socket.
#[derive(Default)]
pub(super) struct Role {
    pub(super) poller: Option<Poller>,
    /// Threads that wait and do not poll, oldest first.
    pub(super) sleepers: Vec<Waiter>,
    watcher_is_parked: bool,
}

/// The thread that polls.
pub(super) struct Poller {
    pub(super) waiter: Waiter,
    since: Instant,
    is_watcher: bool,
}

impl Shared {
    /// See [`super::Net::wait`].
    pub(super) fn wait(&self, waiter: &Waiter, deadline: Option<Instant>) -> bool {
        if waiter.is_notified() {
            return true;
        }
        self.drive();
        if self.is_bulk {
            return self.sleep(waiter, deadline);
        }
        if waiter.is_notified() || self.spin(waiter, deadline) {
            return true;
        }
        let mut may_steal = true;
        let notified = loop {
            if waiter.is_notified() {
                break true;
            }
            if deadline.is_some_and(|deadline| deadline <= Instant::now())
                || self.stopping.load(Ordering::Acquire)
            {
                break waiter.is_notified();
            }
            if self.take_role(waiter, may_steal) {
                self.poll_once(waiter, deadline);
            } else {
                waiter.park(Some(
                    left(deadline).map_or(SLEEP_MAX, |left| left.min(SLEEP_MAX)),
                ));
            }
            may_steal = false;
        };
        self.leave_role(waiter);
        notified
    }

    /// Waits while the watch thread polls.
    fn sleep(&self, waiter: &Waiter, deadline: Option<Instant>) -> bool {
        let is_over = || {
            self.stopping.load(Ordering::Acquire)
                || deadline.is_some_and(|deadline| deadline <= Instant::now())
        };
        while !waiter.is_notified() && !is_over() {
            let limit = left(deadline).map_or(SLEEP_MAX, |left| left.min(SLEEP_MAX));
            waiter.park(Some(limit));
        }
        waiter.is_notified()
    }

    /// Looks at the socket for a while, when that has paid lately; returns whether the wait is over.
    fn spin(&self, waiter: &Waiter, deadline: Option<Instant>) -> bool {
        if self.spin == Spin::Off {
            return false;
        }
        let credit = self.spin_credit.load(Ordering::Relaxed);
        let is_probe = self
            .waits
            .fetch_add(1, Ordering::Relaxed)
            .is_multiple_of(SPIN_PROBE);
        if credit <= 0 && !is_probe {
            return false;
        }
        let mut now = Instant::now();
        let until = deadline.map_or(now + SPIN_MAX, |deadline| deadline.min(now + SPIN_MAX));
        let mut look_at = now;
        let mut looks = 0_u32;
        while now < until {
            // With lanes the socket carries little, and looking at memory costs no system call.
            if now >= look_at || self.has_lane_news() {
                look_at = self.drive_in_spin(now);
            } else if looks.is_multiple_of(YIELD_EVERY) {
                // Where cores are few, whom this thread waits for may need this very core.
                std::thread::yield_now();
            } else {
                std::hint::spin_loop();
            }
            looks = looks.wrapping_add(1);
            if waiter.is_notified() {
                self.spin_credit
                    .store((credit + 1).min(SPIN_CREDIT_MAX), Ordering::Relaxed);
                return true;
            }
            now = Instant::now();
        }
        self.spin_credit
            .store((credit - 2).max(0), Ordering::Relaxed);
        false
    }

    /// Lets everything act; returns when to do so again if no lane asks for it earlier.
    fn drive_in_spin(&self, now: Instant) -> Instant {
        self.drive();
        match self.lanes_in.lock().is_empty() {
            true => now,
            false => now + LOOK_AFTER,
        }
    }

    fn has_lane_news(&self) -> bool {
        self.lanes_in.lock().iter().any(|lane| lane.has_news())
    }

    /// Sees to it that what comes by a lane wakes the socket's poll; false when something is there.
    fn arm_lanes(&self) -> bool {
        let lanes = self.lanes_in.lock();
        // Each is armed, whatever the others say.
        let with_news = lanes.iter().filter(|lane| !lane.arm());
        with_news.count() == 0
    }

    /// Sleeps on the socket once, then lets everything act.
    fn poll_once(&self, waiter: &Waiter, deadline: Option<Instant>) {
        let looked = self
            .transport
            .try_lock()
            .map(|transport| (left(transport.next_timeout()), transport.wants_writable()));
        // Who found the lock taken by that look relies on this thread; who pumps sees to itself.
        let is_owed = looked.is_some() && self.pump_wanted.load(Ordering::SeqCst);
        let (timeout, writable) = looked.unwrap_or((Some(TICK), false));
        let limit = [timeout, left(deadline)]
            .into_iter()
            .flatten()
            .fold(SLEEP_MAX, Duration::min);
        if !limit.is_zero()
            && !is_owed
            && self.arm_lanes()
            && let Err(error) = waiter.poll(self.socket.as_fd(), writable, Some(limit))
        {
            tracing::error!(%error, "the socket could not be polled");
            waiter.park(Some(TICK));
        }
        self.drive_looking(Look::Socket);
    }

    /// Makes this thread the one that polls, if it may.
    fn take_role(&self, waiter: &Waiter, may_steal: bool) -> bool {
        let mut role = self.role.lock();
        match &role.poller {
            Some(poller) if poller.waiter.is_same(waiter) => return true,
            Some(poller) => {
                let is_stale = poller.is_watcher || poller.since.elapsed() > TICK;
                if !(may_steal && is_stale) {
                    if !role.sleepers.iter().any(|sleeper| sleeper.is_same(waiter)) {
                        role.sleepers.push(waiter.clone());
                    }
                    return false;
                }
                let old = poller.waiter.clone();
                if !poller.is_watcher {
                    role.sleepers.push(old.clone());
                }
                old.nudge();
            }
            None => {}
        }
        role.sleepers.retain(|sleeper| !sleeper.is_same(waiter));
        role.poller = Some(Poller {
            waiter: waiter.clone(),
            since: Instant::now(),
            is_watcher: false,
        });
        true
    }

    /// Stops waiting; somebody else polls from here on.
    fn leave_role(&self, waiter: &Waiter) {
        let mut role = self.role.lock();
        role.sleepers.retain(|sleeper| !sleeper.is_same(waiter));
        if role
            .poller
            .as_ref()
            .is_some_and(|poller| poller.waiter.is_same(waiter))
        {
            role.poller = None;
        }
        if role.poller.is_some() {
            return;
        }
        // The youngest sleeper is the likeliest still to wait for long.
        if let Some(next) = role.sleepers.last() {
            next.nudge();
        } else if role.watcher_is_parked {
            self.watcher.nudge();
        }
    }

    /// Takes over when nobody polls, so that blocking user code stalls nobody.
    pub(super) fn watch(&self) {
        enum Turn {
            Poll,
            Tick,
            Park,
        }
        // From here on it can be woken.
        self.watcher.become_sleeper();
        let mut seen = self.activity.load(Ordering::Relaxed);
        while !self.stopping.load(Ordering::Acquire) {
            if self.pump_wanted.load(Ordering::SeqCst) {
                self.drive_looking(Look::Socket);
            }
            if self.is_bulk {
                self.lazy_armed.store(false, Ordering::Release);
                self.poll_once(&self.watcher, None);
                continue;
            }
            let activity = self.activity.load(Ordering::Relaxed);
            let is_quiet = activity == seen;
            let turn = {
                let mut role = self.role.lock();
                role.watcher_is_parked = false;
                match &role.poller {
                    Some(poller) if poller.is_watcher && is_quiet => Turn::Poll,
                    // Somebody drives: every packet would wake this thread beside that one.
                    Some(poller) if poller.is_watcher => {
                        role.poller = None;
                        Turn::Tick
                    }
                    Some(poller) if poller.since.elapsed() > PARK_AFTER => {
                        role.watcher_is_parked = true;
                        Turn::Park
                    }
                    None if is_quiet && role.sleepers.is_empty() => {
                        let waiter = self.watcher.clone();
                        role.poller = Some(Poller {
                            waiter,
                            since: Instant::now(),
                            is_watcher: true,
                        });
                        Turn::Poll
                    }
                    _ => Turn::Tick,
                }
            };
            if self.lazy_armed.load(Ordering::Acquire) {
                self.watcher.park(Some(TICK));
                self.lazy_armed.store(false, Ordering::Release);
                self.drive_looking(Look::Socket);
                continue;
            }
            seen = activity;
            match turn {
                Turn::Poll => {
                    self.poll_once(&self.watcher, None);
                    seen = self.activity.load(Ordering::Relaxed);
                }
                Turn::Tick => {
                    self.watcher.park(Some(TICK));
                    let is_due = self.transport.try_lock().is_some_and(|transport| {
                        transport
                            .next_timeout()
                            .is_some_and(|timeout| timeout <= Instant::now())
                    });
                    if is_due || self.pump_wanted.load(Ordering::SeqCst) {
                        self.drive_looking(Look::Socket);
                        seen += 1;
                    }
                }
                Turn::Park => self.watcher.park(Some(SLEEP_MAX)),
            }
        }
    }
}

/// The watch thread's pace while there is activity, and how long lazy output may wait.
pub(super) const TICK: Duration = Duration::from_millis(1);
/// After this long under one poller the watch thread stops looking until it is told.
const PARK_AFTER: Duration = Duration::from_millis(3);
/// No sleep is longer, so that a lost wake costs at most this.
const SLEEP_MAX: Duration = Duration::from_millis(250);
/// The longest spin of one wait.
const SPIN_MAX: Duration = Duration::from_micros(50);
/// After so many looks at memory a spinning thread lets others have its core.
const YIELD_EVERY: u32 = 16;
/// Every so many waits try a spin even when it has not paid.
const SPIN_PROBE: u64 = 64;
const SPIN_CREDIT_MAX: i32 = 64;
