//! Who drives: the caller, whoever waits, or the watch thread.

use std::{
    collections::VecDeque,
    io,
    net::{SocketAddr, UdpSocket},
    os::fd::AsFd as _,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use rkyv::util::AlignedVec;

use crate::{
    Handler,
    frame::FrameBatch,
    peer::Peer,
    tls::Identity,
    transport::{Arrival, REFUSAL_MARK, Transport},
    waiter::{Waiter, left},
};

/// How long a waiting thread looks at the socket before it sleeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Spin {
    /// Not at all.
    Off,
    /// As long as it has paid lately, at most 50 µs.
    #[default]
    Adaptive,
}

/// How a process takes part.
#[derive(Clone, Debug)]
pub struct NetConfig {
    /// This process's id.
    pub process: u64,
    /// Its certificate and key.
    pub identity: Identity,
    /// Where to listen; port 0 takes a free one.
    pub bind: SocketAddr,
    /// What it says about itself first.
    pub hello: Vec<u8>,
    /// Silence after which a sign of life is sent.
    pub keep_alive: Duration,
    /// Silence after which a peer counts as lost.
    pub idle_timeout: Duration,
    /// The most time a handshake may take.
    pub handshake_timeout: Duration,
    /// Whether waiting threads spin.
    pub spin: Spin,
    /// Whether it carries much to few: large packets where the way takes them.
    pub is_bulk: bool,
    /// The most payload bytes of each kind of frame; 0 refuses the kind.
    pub limit: fn(u8) -> u32,
}

impl NetConfig {
    /// Returns the defaults for a process on this machine.
    pub fn new(process: u64, identity: Identity, limit: fn(u8) -> u32) -> NetConfig {
        NetConfig {
            process,
            identity,
            bind: SocketAddr::from(([127, 0, 0, 1], 0)),
            hello: Vec::new(),
            keep_alive: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(30),
            handshake_timeout: Duration::from_secs(5),
            spin: Spin::default(),
            is_bulk: false,
            limit,
        }
    }
}

/// Why an endpoint could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetError {
    /// The address is taken or not this machine's.
    #[error("could not listen on {addr}: {error}; choose another address or port 0")]
    Bind {
        /// The address.
        addr: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
    /// The system refused a socket option.
    #[error("could not set up the socket: {0}")]
    Socket(io::Error),
    /// A setting makes no sense.
    #[error("bad network setting: {0}")]
    Config(String),
    /// The watch thread did not start.
    #[error("could not start the watch thread: {0}")]
    Thread(io::Error),
}

/// Counters since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NetStats {
    /// Stream bytes received.
    pub bytes_in: u64,
    /// Stream bytes given to connections.
    pub bytes_out: u64,
    /// Datagrams received.
    pub datagrams_in: u64,
    /// Sends, each of up to ten datagrams.
    pub datagrams_out: u64,
    /// Connections that never got through their handshake.
    pub handshake_failures: u64,
}

/// The endpoint of this process; clones are the same.
#[derive(Clone)]
pub struct Net(Arc<Shared>);

pub(crate) struct Shared {
    addr: SocketAddr,
    /// A second descriptor of the socket, to poll without the lock.
    socket: UdpSocket,
    transport: Mutex<Transport>,
    pub(crate) dirty: Mutex<Vec<Peer>>,
    /// Whether somebody asked for a pump while another thread had the lock.
    pump_wanted: AtomicBool,
    handler: Arc<dyn Handler>,
    arrivals: Mutex<VecDeque<Arrival>>,
    /// Held while the handler runs; keeps arrivals in order.
    dispatch: Mutex<()>,
    role: Mutex<Role>,
    watcher: Waiter,
    watch_thread: Mutex<Option<JoinHandle<()>>>,
    /// Whether the watcher knows of lazy output.
    lazy_armed: AtomicBool,
    /// Counts drives, so that the watcher sees whether anybody does.
    activity: AtomicU64,
    spin: Spin,
    spin_credit: AtomicI32,
    waits: AtomicU64,
    limit: fn(u8) -> u32,
    stopping: AtomicBool,
}

/// Who polls the socket.
#[derive(Default)]
struct Role {
    poller: Option<Poller>,
    /// Threads that wait and do not poll, oldest first.
    sleepers: Vec<Waiter>,
    watcher_is_parked: bool,
}

struct Poller {
    waiter: Waiter,
    since: Instant,
    is_watcher: bool,
}

impl Net {
    /// Listens and starts the watch thread; `handler` hears of everything that arrives.
    ///
    /// # Errors
    /// See [`NetError`].
    pub fn start(config: NetConfig, handler: Arc<dyn Handler>) -> Result<Net, NetError> {
        let transport = Transport::new(&config)?;
        let socket = transport.socket().try_clone().map_err(NetError::Socket)?;
        let addr = socket.local_addr().map_err(NetError::Socket)?;
        let shared = Arc::new(Shared {
            addr,
            socket,
            transport: Mutex::new(transport),
            dirty: Mutex::new(Vec::new()),
            pump_wanted: AtomicBool::new(false),
            handler,
            arrivals: Mutex::new(VecDeque::new()),
            dispatch: Mutex::new(()),
            role: Mutex::new(Role::default()),
            watcher: Waiter::new(),
            watch_thread: Mutex::new(None),
            lazy_armed: AtomicBool::new(false),
            activity: AtomicU64::new(0),
            spin: config.spin,
            spin_credit: AtomicI32::new(0),
            waits: AtomicU64::new(0),
            limit: config.limit,
            stopping: AtomicBool::new(false),
        });
        shared.transport.lock().attach(Arc::downgrade(&shared));
        let watched = shared.clone();
        let thread = thread::Builder::new()
            .name("ray-watch".into())
            .spawn(move || watched.watch())
            .map_err(NetError::Thread)?;
        *shared.watch_thread.lock() = Some(thread);
        Ok(Net(shared))
    }

    /// Returns where this process listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.0.addr
    }

    /// Returns the peer for a process, dialing it when it is not known; returns at once.
    ///
    /// The first packet leaves with the next [`Net::drive`] or flush: this calls no handler, so it may be
    /// called under any lock. Frames pushed before the handshake ends wait; that it failed is told to
    /// the handler.
    pub fn connect(&self, process: u64, addr: SocketAddr) -> Peer {
        self.0
            .with_transport(|transport| transport.connect(process, addr))
    }

    /// Shows another certificate of the same process from now on; connections that are there go on.
    ///
    /// # Errors
    /// When the certificate cannot be used.
    pub fn renew(&self, identity: Identity) -> Result<(), NetError> {
        self.0.with_transport(|transport| transport.renew(identity))
    }

    /// Returns the peer for a process that is connected or being dialed.
    pub fn peer(&self, process: u64) -> Option<Peer> {
        self.0.with_transport(|transport| transport.peer(process))
    }

    /// Lets timers, socket and handler act on this thread; returns whether anything happened.
    ///
    /// When another thread is at it, it is told to look again and this returns at once.
    pub fn drive(&self) -> bool {
        self.0.drive()
    }

    /// Handles everything that the socket holds by now, on whichever thread, before it returns.
    ///
    /// The handler must not call this, nor anybody who holds a lock that the handler takes.
    pub fn drain(&self) {
        self.0.drain();
    }

    /// Sends everything that was pushed.
    pub fn flush(&self) {
        self.0.drive();
    }

    /// Blocks until the waiter is notified; false when `deadline` came first.
    ///
    /// The thread polls the socket meanwhile, unless another does.
    pub fn wait(&self, waiter: &Waiter, deadline: Option<Instant>) -> bool {
        self.0.wait(waiter, deadline)
    }

    /// Blocks until the peer has fewer than `bytes` of unsent output, or is gone; false at the deadline.
    pub fn wait_below(&self, peer: &Peer, bytes: usize, deadline: Option<Instant>) -> bool {
        let pause = Waiter::new();
        while peer.queued_bytes() >= bytes && !peer.is_closed() {
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return false;
            }
            self.0.wait(&pause, Some(Instant::now() + TICK));
        }
        true
    }

    /// Returns the counters.
    pub fn stats(&self) -> NetStats {
        self.0.with_transport(|transport| transport.stats)
    }

    /// Sends what was pushed, closes every connection and ends the watch thread; at most `linger` long.
    pub fn shutdown(&self, linger: Duration) {
        self.0.shutdown(linger);
    }
}

impl Shared {
    /// Looks into the transport without letting it act; whoever wanted to meanwhile is not forgotten.
    fn with_transport<R>(&self, look: impl FnOnce(&mut Transport) -> R) -> R {
        let result = look(&mut self.transport.lock());
        if self.pump_wanted.load(Ordering::SeqCst) {
            self.watcher.nudge();
        }
        result
    }

    pub(crate) fn drive(&self) -> bool {
        self.activity.fetch_add(1, Ordering::Relaxed);
        let mut progress = false;
        loop {
            self.pump_wanted.store(true, Ordering::SeqCst);
            let Some(mut transport) = self.transport.try_lock() else {
                return progress;
            };
            self.pump_wanted.store(false, Ordering::SeqCst);
            let mut dirty = std::mem::take(&mut *self.dirty.lock());
            progress |= transport.pump(&mut dirty);
            if !transport.arrivals.is_empty() {
                self.arrivals.lock().append(&mut transport.arrivals);
            }
            drop(transport);
            self.dispatch();
            if !self.pump_wanted.load(Ordering::SeqCst) {
                return progress;
            }
        }
    }

    fn drain(&self) {
        {
            let mut transport = self.transport.lock();
            let mut dirty = std::mem::take(&mut *self.dirty.lock());
            transport.pump(&mut dirty);
            self.arrivals.lock().append(&mut transport.arrivals);
        }
        // Another thread may be in the middle of a batch.
        drop(self.dispatch.lock());
        self.drive();
        drop(self.dispatch.lock());
    }

    /// Gives arrivals to the handler, in order, one thread at a time.
    fn dispatch(&self) {
        while !self.arrivals.lock().is_empty() {
            // Whoever dispatches looks again after giving the lock back.
            let Some(guard) = self.dispatch.try_lock() else {
                return;
            };
            loop {
                let next = self.arrivals.lock().pop_front();
                match next {
                    None => break,
                    Some(Arrival::Frames(peer, bytes)) => {
                        // A close that came after them stands behind them in the queue.
                        if peer.0.admitted.load(Ordering::Acquire) {
                            self.handler
                                .on_frames(&peer, &mut FrameBatch::new(&bytes, self.limit));
                        }
                        self.recycle(bytes);
                    }
                    Some(Arrival::Hello(peer, hello)) => self.greet(&peer, &hello),
                    Some(Arrival::Closed(peer, reason)) => self.handler.on_closed(&peer, &reason),
                }
            }
            drop(guard);
        }
    }

    fn greet(&self, peer: &Peer, hello: &[u8]) {
        match self.handler.on_hello(peer, hello) {
            Ok(()) => {
                if !peer.0.admitted.swap(true, Ordering::AcqRel) {
                    self.handler.on_connected(peer);
                }
            }
            Err(refusal) => peer.close(&format!("{REFUSAL_MARK}{}", refusal.0)),
        }
    }

    fn recycle(&self, bytes: AlignedVec<16>) {
        if let Some(mut transport) = self.transport.try_lock() {
            transport.recycle(bytes);
        }
    }

    /// Sees to it that lazy output leaves within a tick.
    pub(crate) fn arm_lazy(&self) {
        if !self.lazy_armed.swap(true, Ordering::AcqRel) {
            self.watcher.nudge();
        }
    }

    fn wait(&self, waiter: &Waiter, deadline: Option<Instant>) -> bool {
        if waiter.is_notified() {
            return true;
        }
        self.drive();
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
        let mut until = Instant::now() + SPIN_MAX;
        if let Some(deadline) = deadline {
            until = until.min(deadline);
        }
        while Instant::now() < until {
            self.drive();
            if waiter.is_notified() {
                self.spin_credit
                    .store((credit + 1).min(SPIN_CREDIT_MAX), Ordering::Relaxed);
                return true;
            }
        }
        self.spin_credit
            .store((credit - 2).max(0), Ordering::Relaxed);
        false
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
            && let Err(error) = waiter.poll(self.socket.as_fd(), writable, Some(limit))
        {
            tracing::error!(%error, "the socket could not be polled");
            waiter.park(Some(TICK));
        }
        self.drive();
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
    fn watch(&self) {
        enum Turn {
            Poll,
            Tick,
            Park,
        }
        let mut seen = self.activity.load(Ordering::Relaxed);
        while !self.stopping.load(Ordering::Acquire) {
            if self.pump_wanted.load(Ordering::SeqCst) {
                self.drive();
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
                self.drive();
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
                        self.drive();
                        seen += 1;
                    }
                }
                Turn::Park => self.watcher.park(Some(SLEEP_MAX)),
            }
        }
    }

    fn shutdown(&self, linger: Duration) {
        if self.stopping.load(Ordering::Acquire) {
            return;
        }
        let deadline = Instant::now() + linger;
        let peers = self.transport.lock().peers();
        for peer in &peers {
            peer.0.finish_wanted.store(true, Ordering::Release);
            peer.mark_dirty();
        }
        let pause = Waiter::new();
        while peers
            .iter()
            .any(|peer| !peer.0.finished.load(Ordering::Acquire) && !peer.is_closed())
            && Instant::now() < deadline
        {
            self.wait(&pause, Some(Instant::now() + TICK));
        }
        for peer in &peers {
            peer.close("shutdown");
        }
        self.drive();
        // A thread that has the lock sends the closes; wait for it.
        drop(self.transport.lock());
        self.drive();
        self.stopping.store(true, Ordering::Release);
        self.watcher.notify();
        let sleepers = {
            let role = self.role.lock();
            role.sleepers
                .iter()
                .chain(role.poller.iter().map(|poller| &poller.waiter))
                .cloned()
                .collect::<Vec<_>>()
        };
        for sleeper in sleepers {
            sleeper.nudge();
        }
        let thread = self.watch_thread.lock().take();
        if let Some(thread) = thread
            && thread.thread().id() != thread::current().id()
            && thread.join().is_err()
        {
            tracing::error!("the watch thread panicked");
        }
    }
}

/// The watch thread's pace while there is activity, and how long lazy output may wait.
const TICK: Duration = Duration::from_millis(1);
/// After this long under one poller the watch thread stops looking until it is told.
const PARK_AFTER: Duration = Duration::from_millis(3);
/// No sleep is longer, so that a lost wake costs at most this.
const SLEEP_MAX: Duration = Duration::from_millis(25);
/// The longest spin of one wait.
const SPIN_MAX: Duration = Duration::from_micros(50);
/// Every so many waits try a spin even when it has not paid.
const SPIN_PROBE: u64 = 64;
const SPIN_CREDIT_MAX: i32 = 64;
