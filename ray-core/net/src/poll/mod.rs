//! Who drives: the caller, whoever waits, or the watch thread.

mod wait;

use std::{
    collections::VecDeque,
    net::{SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use rkyv::util::AlignedVec;

use self::wait::{Role, TICK};
use crate::{
    Handler,
    config::{NetConfig, NetError, NetStats, Spin},
    frame::FrameBatch,
    peer::Peer,
    tls::Identity,
    transport::{Arrival, LanesIn, Look, REFUSAL_MARK, Transport},
    waiter::Waiter,
};

/// The endpoint of this process; clones are the same.
#[derive(Clone)]
pub struct Net(Arc<Shared>);

pub(crate) struct Shared {
    addr: SocketAddr,
    /// The lanes that this process reads.
    lanes_in: LanesIn,
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
    /// Whether the watch thread alone polls: who has much to send neither waits for others nor drives.
    is_bulk: bool,
    stopping: AtomicBool,
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
            lanes_in: transport.lanes_in.clone(),
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
            is_bulk: config.is_bulk,
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

    /// Returns the peers of all connections; one may be there more than once.
    pub fn peers(&self) -> Vec<Peer> {
        self.0.with_transport(|transport| transport.all_peers())
    }

    /// Lets timers, socket and handler act on this thread; returns whether anything happened.
    ///
    /// When another thread is at it, it is told to look again and this returns at once.
    pub fn drive(&self) -> bool {
        self.0.drive_unless_bulk(Look::Socket)
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
        self.drive_unless_bulk(Look::Rarely)
    }

    /// Lets everything act on this thread, or on the watch thread where that alone does: it sleeps until a timer
    /// that it knows, so nobody else may move one.
    fn drive_unless_bulk(&self, look: Look) -> bool {
        if self.is_bulk {
            self.pump_wanted.store(true, Ordering::SeqCst);
            self.watcher.wake();
            return false;
        }
        self.drive_looking(look)
    }

    /// Lets everything act; `look` says whether the socket must be looked at.
    pub(super) fn drive_looking(&self, look: Look) -> bool {
        self.activity.fetch_add(1, Ordering::Relaxed);
        let mut progress = false;
        let mut turns = 0;
        loop {
            turns += 1;
            self.pump_wanted.store(true, Ordering::SeqCst);
            let Some(mut transport) = self.transport.try_lock() else {
                return progress;
            };
            self.pump_wanted.store(false, Ordering::SeqCst);
            let mut dirty = std::mem::take(&mut *self.dirty.lock());
            progress |= transport.pump(&mut dirty, look);
            let has_more = transport.has_more();
            if !transport.arrivals.is_empty() {
                self.arrivals.lock().append(&mut transport.arrivals);
            }
            drop(transport);
            self.dispatch();
            // Who only wanted to send is not kept for what others send; who polls sees that there is more.
            let goes_on = has_more && turns < TURNS_MAX;
            if !goes_on && !self.pump_wanted.load(Ordering::SeqCst) {
                return progress;
            }
        }
    }

    fn drain(&self) {
        {
            let mut transport = self.transport.lock();
            let mut dirty = std::mem::take(&mut *self.dirty.lock());
            transport.pump(&mut dirty, Look::Socket);
            self.arrivals.lock().append(&mut transport.arrivals);
        }
        // Another thread may be in the middle of a batch.
        drop(self.dispatch.lock());
        self.drive_looking(Look::Socket);
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
                    Some(Arrival::Pieces(peer, pieces)) => {
                        if peer.0.admitted.load(Ordering::Acquire) {
                            self.handler.on_pieces(&peer, pieces);
                        }
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
        self.drive_looking(Look::Socket);
        // A thread that has the lock sends the closes; wait for it.
        drop(self.transport.lock());
        self.drive_looking(Look::Socket);
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

/// So often one drive goes back to a socket that was left before all was taken.
const TURNS_MAX: u32 = 16;
