//! The thread that tells machines that time has passed.

use std::{
    sync::{Arc, Weak, atomic::Ordering},
    time::Duration,
};

use parking_lot::{Condvar, Mutex};
use ray_engine::time::Time;

use super::Runtime;
use crate::{config::HEARTBEAT_INTERVAL, wire::Message};

/// When the machines want to be told, and the thread that sleeps until then.
#[derive(Default)]
pub(crate) struct Clock {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    next: Option<Time>,
    stopped: bool,
}

impl Clock {
    /// Asks for a tick at `at` or before.
    pub(crate) fn arm(&self, at: Time) {
        let mut state = self.state.lock();
        if state.next.is_none_or(|next| at < next) {
            state.next = Some(at);
            self.changed.notify_one();
        }
    }

    /// Ends the thread.
    pub(crate) fn stop(&self) {
        self.state.lock().stopped = true;
        self.changed.notify_one();
    }

    /// Sleeps until a tick is due; returns false when the clock stopped.
    fn wait(&self, now: impl Fn() -> Time) -> bool {
        let mut state = self.state.lock();
        loop {
            if state.stopped {
                return false;
            }
            match state.next {
                None => self.changed.wait(&mut state),
                Some(next) => {
                    let left = next.since(now());
                    if left.is_zero() {
                        state.next = None;
                        return true;
                    }
                    // A tick a little late is as good, and saves waking for each of several.
                    self.changed
                        .wait_for(&mut state, left + Duration::from_micros(200));
                }
            }
        }
    }
}

/// Starts the clock thread of `runtime`.
pub(crate) fn start(runtime: &Arc<Runtime>) -> std::io::Result<()> {
    let weak = Arc::downgrade(runtime);
    // The first heartbeat.
    runtime.clock.arm(runtime.now());
    std::thread::Builder::new()
        .name("ray-clock".into())
        .spawn(move || run(&weak))
        .map(drop)
}

fn run(weak: &Weak<Runtime>) {
    loop {
        let Some(runtime) = weak.upgrade() else {
            return;
        };
        if !runtime.clock.wait(|| runtime.now()) {
            return;
        }
        runtime.on_tick();
    }
}

impl Runtime {
    /// Lets the control role hear of this node from time to time.
    fn say_that_it_lives(self: &Arc<Self>) {
        if self.control_role.is_some() {
            return;
        }
        // A worker has something to say only while its head is away.
        if self.executor.is_some() && self.head_lost_for().is_none() {
            return;
        }
        let now = self.now();
        let due = self.next_heartbeat.load(Ordering::Relaxed);
        if now.0 < due {
            return self.clock.arm(Time(due));
        }
        let next = now + HEARTBEAT_INTERVAL;
        self.next_heartbeat.store(next.0, Ordering::Relaxed);
        self.clock.arm(next);
        if self.is_daemon {
            self.send_to_control(Message::Heartbeat);
        } else {
            self.look_for_head();
        }
    }

    /// Tells every machine of this process what time it is.
    fn on_tick(self: &Arc<Self>) {
        self.with_core(|core, now| core.owner.on_timeout(now));
        self.say_that_it_lives();
        self.renew_in_time();
        self.report_quiesced();
        self.report_dropped_copies();
        self.report_doomed();
        if let Some(node) = &self.node_role {
            node.on_tick(self);
            node.watch_memory(self);
        }
        if let Some(control) = &self.control_role {
            control.on_tick(self);
        }
        if let Some(executor) = &self.executor
            && executor.on_tick(self)
        {
            self.clock.arm(self.now() + Duration::from_millis(2));
        }
    }
}
