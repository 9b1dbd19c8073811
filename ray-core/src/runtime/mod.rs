//! The one runtime of this process: owner table, executor, node role, and the threads that drive them.

mod certificates;
pub(crate) mod clock;
pub(crate) mod courier;
pub(crate) mod executables;
pub(crate) mod fetch;
mod held;
pub(crate) mod inbound;
mod lanes;
pub(crate) mod membership;
mod objects;
mod old_runs;
pub(crate) mod requests;
mod reunion;
pub(crate) mod revoked;
pub(crate) mod start;
pub(crate) mod streams;
pub(crate) mod verbs;
pub(crate) mod waiters;
mod waits;

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::Waker,
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use parking_lot::{Mutex, MutexGuard};
use ray_engine::{
    env::RuntimeEnv,
    failure::Failure,
    ids::{JobId, NodeId, ObjectId, ProcessId, TaskId},
    time::Time,
};
use ray_net::{HeaderFields, Net, Peer, Waiter};
use ray_shm::{Arena, Writer};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

pub use start::Ray;
pub(crate) use start::{init, run_worker};

use crate::{
    __private::{Encoded, EncodedValue},
    Error, Result,
    collective::Collectives,
    control::ControlRole,
    node::NodeRole,
    object_ref::AnyRef,
    store::{Doom, Value, WriterLive},
    wire::{ArgMeta, DoneMeta, Message, Place, kind},
    worker::{
        execute::Executor,
        submit::{Core, push_frame, push_message, warn_of_pending},
    },
};

/// Everything that this process needs to take part.
pub(crate) struct Runtime {
    process: ProcessId,
    job: JobId,
    pub(crate) namespace: String,
    /// What processes are started with that run what this one submits, unless that says more.
    pub(crate) env: RuntimeEnv,
    /// Where its node keeps what it sends to others; `None` when there are none.
    pub(crate) packs_into: Option<std::path::PathBuf>,
    node_process: ProcessId,
    control_process: ProcessId,
    /// The address that others reach this process at, when it is not the one it listens on.
    advertise: Option<std::net::IpAddr>,
    /// Where the control process listens; `None` when it is this one.
    control_addr: Option<SocketAddr>,
    started: Instant,
    core: Mutex<Core>,
    /// Handles that were dropped, perhaps while the core was locked by the same thread.
    dropped: Mutex<Vec<ObjectId>>,
    /// Messages between roles of this process, carried by one thread at a time.
    mail: Mutex<VecDeque<Message>>,
    mail_is_carried: AtomicBool,
    net: Net,
    pub(crate) arena: Arena,
    pub(crate) writer: Writer,
    pub(crate) executor: Option<Arc<Executor>>,
    pub(crate) node_role: Option<NodeRole>,
    pub(crate) control_role: Option<ControlRole>,
    pub(crate) requests: requests::Requests,
    pub(crate) revoked: revoked::Revoked,
    pub(crate) collectives: Collectives,
    pub(crate) clock: clock::Clock,
    pub(crate) closed: AtomicBool,
    /// Who wrote the values that this process reads.
    pub(crate) writers: Mutex<FxHashMap<ProcessId, Arc<WriterLive>>>,
    /// Dead writers of whose values this process has dropped the last.
    quiesced: Mutex<Vec<ProcessId>>,
    /// Futures that wait for the bytes of a value, by its key.
    awaited: Mutex<FxHashMap<usize, Vec<Waker>>>,
    /// Copies of other nodes' objects that this process reads no more.
    dropped_copies: Mutex<Vec<(ObjectId, u64)>>,
    /// What follows now that nobody here looks at some freed values any more.
    doomed: Mutex<Vec<Doom>>,
    segments_wanted: AtomicBool,
    next_process: AtomicU64,
    /// Whether it runs nobody's code of its own: a head or a node that joined one.
    is_daemon: bool,
    /// When the certificates of this node are renewed, 0 when that was not reckoned yet; as [`Time`].
    certificate_due: AtomicU64,
    /// When the control role is to hear of it again; as [`Time`].
    next_heartbeat: AtomicU64,
    /// Since when the control process is gone.
    head_lost_since: Mutex<Option<Instant>>,
    /// How long a driver waits for a head that is away; others wait for as long as their node does.
    patience: Option<Duration>,
    head_is_given_up: AtomicBool,
    /// How often a connection to the control process was made.
    pub(crate) head_meetings: AtomicU64,
    /// How the last connection to it ended.
    last_of_head: Mutex<String>,
    pub(crate) stop_wanted: AtomicBool,
    /// Notified when a worker is ready or has ended, or the head is gone.
    worker_ready: Waiter,
}

static CURRENT: ArcSwapOption<Runtime> = ArcSwapOption::const_empty();

/// Returns the runtime of this process.
pub(crate) fn current() -> Result<Arc<Runtime>> {
    CURRENT.load_full().ok_or(Error::NotInitialized)
}

/// Returns whether this process hosts the actor.
pub(crate) fn is_own_actor(actor: ray_engine::ids::ActorId) -> bool {
    CURRENT
        .load()
        .as_ref()
        .and_then(|runtime| {
            runtime
                .executor
                .as_ref()
                .map(|executor| executor.hosts(actor))
        })
        .unwrap_or(false)
}

/// Counts one more handle of an object that this process already holds.
pub(crate) fn add_handle(id: ObjectId) {
    if let Some(runtime) = &*CURRENT.load() {
        runtime.with_core(|core, _| core.owner.add_handle(id));
    }
}

/// Gives one handle back; safe to call while the core is locked, also by this thread.
pub(crate) fn drop_handle(id: ObjectId) {
    let guard = CURRENT.load();
    let Some(runtime) = &*guard else { return };
    runtime.dropped.lock().push(id);
    if let Some(core) = runtime.core.try_lock() {
        runtime.settle(core);
    }
}

/// Notes that this process reads nothing any more that the dead `writer` wrote; callable under any lock.
pub(crate) fn on_last_value_of(writer: ProcessId) {
    if let Some(runtime) = &*CURRENT.load() {
        runtime.quiesced.lock().push(writer);
        runtime.clock.arm(runtime.now());
    }
}

/// Notes that this process reads its copy of an object no more; callable under any lock.
pub(crate) fn on_copy_dropped(object: ObjectId, request: u64) {
    if let Some(runtime) = &*CURRENT.load() {
        runtime.dropped_copies.lock().push((object, request));
        runtime.clock.arm(runtime.now());
    }
}

/// Notes that nobody here looks at a freed value any more; callable under any lock.
pub(crate) fn on_doomed_dropped(doom: Doom) {
    if let Some(runtime) = &*CURRENT.load() {
        runtime.doomed.lock().push(doom);
        runtime.clock.arm(runtime.now());
    }
}

/// Returns where large values of this process are built.
pub(crate) fn segment_source() -> Result<Arc<Runtime>, Failure> {
    current().map_err(|_| Failure::System(Error::NotInitialized.to_string()))
}

impl Runtime {
    pub(crate) fn process(&self) -> ProcessId {
        self.process
    }

    pub(crate) fn node(&self) -> NodeId {
        self.process.node()
    }

    pub(crate) fn job(&self) -> JobId {
        self.job
    }

    pub(crate) fn net(&self) -> &Net {
        &self.net
    }

    /// Returns the time as the machines see it.
    pub(crate) fn now(&self) -> Time {
        Time(u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// Runs `f` on the owner table and carries out what it wishes.
    pub(crate) fn with_core<R>(&self, f: impl FnOnce(&mut Core, Time) -> R) -> R {
        let mut core = self.core.lock();
        let result = f(&mut core, self.now());
        self.settle(core);
        result
    }

    /// Carries out commands, gives the lock back, then does what must not happen under it.
    fn settle(&self, mut core: MutexGuard<'_, Core>) {
        let timeout = loop {
            core.run_commands();
            let mut dropped = std::mem::take(&mut core.dropped);
            std::mem::swap(&mut dropped, &mut *self.dropped.lock());
            let is_done = dropped.is_empty();
            for id in dropped.drain(..) {
                core.owner.drop_handle(id);
            }
            core.dropped = dropped;
            if is_done {
                break core.owner.poll_timeout();
            }
        };
        let (touched, mode) = core.take_touched();
        let has_mail = !core.local.is_empty();
        if has_mail {
            self.mail.lock().append(&mut core.local);
        }
        let warnings = std::mem::take(&mut core.warnings);
        drop(core);
        for (actor, pending) in warnings {
            warn_of_pending(actor, pending);
        }
        for peer in touched {
            peer.flush_hint(mode);
        }
        if let Some(at) = timeout {
            self.clock.arm(at);
        }
        if has_mail {
            self.carry_mail();
        }
        if !self.dropped.lock().is_empty()
            && let Some(core) = self.core.try_lock()
        {
            self.settle(core);
        }
    }

    /// Handles the messages between roles of this process, in order, one thread at a time.
    fn carry_mail(&self) {
        while !self.mail.lock().is_empty() {
            if self.mail_is_carried.swap(true, Ordering::AcqRel) {
                // Whoever carries it looks again after giving the flag back.
                return;
            }
            loop {
                let next = self.mail.lock().pop_front();
                let Some(message) = next else { break };
                self.on_message(self.process, None, message);
            }
            self.mail_is_carried.store(false, Ordering::Release);
        }
    }

    /// Sends a control message to the node of this process.
    pub(crate) fn send_to_node(&self, message: Message) {
        self.with_core(|core, _| core.send_to_node(message));
    }

    /// Sends a message to the control role of the cluster.
    pub(crate) fn send_to_control(&self, message: Message) {
        self.with_core(|core, _| core.send_to_control(message));
    }

    /// Sends a control message to any process.
    pub(crate) fn send(&self, to: ProcessId, message: Message) {
        self.with_core(|core, _| core.send(to, message));
    }

    /// Sends a control message to a connected process.
    pub(crate) fn send_to_peer(&self, peer: &Peer, message: &Message) {
        push_message(peer, message);
        peer.flush_hint(ray_net::Flush::Now);
    }

    /// Answers the caller of a call that ended here.
    pub(crate) fn reply(
        &self,
        caller: &Peer,
        task: TaskId,
        attempt: u32,
        exec_nanos: u64,
        outcome: Result<Vec<EncodedValue>, Failure>,
        flush: bool,
    ) {
        let mut held = Vec::new();
        let mut bodies = Vec::new();
        let mut offset = 0_usize;
        let outcome = outcome.map(|values| {
            values
                .into_iter()
                .zip(0_u64..)
                .map(|(value, held_at)| {
                    let EncodedValue {
                        data,
                        layout,
                        contained,
                    } = value;
                    let place = match data {
                        Encoded::Inline(bytes) => {
                            let len = bytes.len();
                            let place = Place::Body {
                                offset: u32::try_from(offset).expect("inline results are limited"),
                                len: u32::try_from(len).expect("inline results are limited"),
                            };
                            offset = (offset + len).next_multiple_of(16);
                            bodies.push(bytes);
                            place
                        }
                        Encoded::Shared(slot) => Place::Arena {
                            object: task.result(held_at),
                            offset: slot.offset,
                            len: slot.len,
                            writer: self.process,
                        },
                    };
                    let ids = contained.iter().map(AnyRef::id).collect();
                    held.extend(contained);
                    ArgMeta {
                        place,
                        layout,
                        contained: ids,
                    }
                })
                .collect::<Vec<_>>()
        });
        if !held.is_empty() {
            let to = ProcessId(caller.process());
            self.with_core(|core, _| {
                for reference in &held {
                    core.owner.send_reference(reference.id(), to);
                }
            });
        }
        const PADDING: [u8; 16] = [0; 16];
        let mut slices: SmallVec<[&[u8]; 2]> = SmallVec::with_capacity(2 * bodies.len());
        for bytes in &bodies {
            slices.push(bytes);
            slices.push(&PADDING[..bytes.len().next_multiple_of(16) - bytes.len()]);
        }
        let header = HeaderFields {
            kind: kind::DONE,
            request: task.index,
            incarnation: 0,
            trace: 0,
        };
        push_frame(
            caller,
            &header,
            &DoneMeta {
                task,
                attempt,
                exec_nanos,
                outcome: outcome.map_err(Box::new),
            },
            &slices,
        );
        caller.flush_hint(if flush {
            ray_net::Flush::Now
        } else {
            ray_net::Flush::Lazy
        });
    }

    /// Wraps an encoded value as an object of this process.
    pub(crate) fn put_encoded(&self, encoded: EncodedValue) -> Result<AnyRef, Failure> {
        let value = self.value_of(encoded.data, encoded.layout)?;
        let ids = encoded.contained.iter().map(AnyRef::id).collect::<Vec<_>>();
        let id = self.with_core(|core, _| core.owner.put(value, &ids));
        Ok(AnyRef::counted(id))
    }

    fn value_of(&self, data: Encoded, layout: u64) -> Result<Value, Failure> {
        match data {
            Encoded::Inline(bytes) => Ok(Value::heap(bytes, layout)),
            Encoded::Shared(slot) => {
                self.shared_value(ObjectId::default(), slot, self.process, layout)
            }
        }
    }

    /// Returns the value at a place of an arena: of this node's, or of another's to be fetched.
    pub(crate) fn shared_value(
        &self,
        object: ObjectId,
        slot: ray_shm::Slot,
        writer: ProcessId,
        layout: u64,
    ) -> Result<Value, Failure> {
        if writer.node_process() == self.node_process {
            self.mapped_value(slot, writer, None, layout)
        } else {
            Ok(Value::remote(object, slot, self.writer_of(writer), layout))
        }
    }

    /// Returns the value at a place of this node's arena.
    pub(crate) fn mapped_value(
        &self,
        slot: ray_shm::Slot,
        writer: ProcessId,
        copy_of: Option<(ObjectId, u64)>,
        layout: u64,
    ) -> Result<Value, Failure> {
        let bytes = self.arena.slice(slot).ok_or_else(|| {
            Failure::System(format!(
                "a value at {}..{} lies outside the arena",
                slot.offset,
                slot.offset.saturating_add(slot.len)
            ))
        })?;
        Ok(Value::shared(
            slot,
            bytes,
            self.writer_of(writer),
            copy_of,
            layout,
        ))
    }

    /// Returns the count of values of a writer that this process has.
    fn writer_of(&self, writer: ProcessId) -> Arc<WriterLive> {
        let mut writers = self.writers.lock();
        let live = writers
            .entry(writer)
            .or_insert_with(|| WriterLive::new(writer));
        live.clone()
    }

    /// Tells the node which dead writers' space is not read here any more.
    pub(crate) fn report_quiesced(&self) {
        // Taken out first: values are dropped under the core's lock, which sending takes.
        let quiesced = std::mem::take(&mut *self.quiesced.lock());
        for dead in quiesced {
            self.send_to_node(Message::Quiesced { dead });
        }
    }

    /// Tells the node which copies are not read here any more.
    pub(crate) fn report_dropped_copies(&self) {
        let dropped = std::mem::take(&mut *self.dropped_copies.lock());
        for (object, request) in dropped {
            self.send_to_node(Message::ReleaseCopy { request, object });
        }
    }

    /// Notes whether other processes wait for segments of the arena.
    pub(crate) fn want_segments(&self, wanted: bool) {
        self.segments_wanted.store(wanted, Ordering::Relaxed);
    }

    pub(crate) fn segments_are_wanted(&self) -> bool {
        self.segments_wanted.load(Ordering::Relaxed)
    }

    /// Returns whether an object has an outcome; asks its owner when it is borrowed.
    pub(crate) fn is_ready(&self, id: ObjectId) -> bool {
        let ready = |core: &mut Core, _: Time| core.outcome(id).is_some();
        if self.with_core(ready) {
            return true;
        }
        self.with_core(|core, _| core.owner.watch(id));
        self.net.drive();
        self.with_core(ready)
    }

    /// Takes a waiting cell out.
    pub(crate) fn forget_waiter(&self, id: ObjectId, cell: &Arc<waiters::WaitCell>) {
        self.with_core(|core, _| core.waiters.remove(id, cell));
    }

    pub(crate) fn control_process(&self) -> ProcessId {
        self.control_process
    }

    /// Notes that the control process is gone.
    pub(crate) fn note_head_lost(&self, reason: String) {
        *self.last_of_head.lock() = reason;
        self.head_lost_since.lock().get_or_insert_with(Instant::now);
        self.worker_ready.notify();
    }

    /// Notes that the control process is there, perhaps again.
    pub(crate) fn note_head_found(&self) {
        *self.head_lost_since.lock() = None;
    }

    pub(crate) fn is_daemon(&self) -> bool {
        self.is_daemon
    }

    /// Returns where the control process listens.
    pub(crate) fn control_addr(&self) -> SocketAddr {
        self.control_addr.unwrap_or_else(|| self.public_addr())
    }

    /// Returns where others reach this process.
    pub(crate) fn public_addr(&self) -> SocketAddr {
        let local = self.net.local_addr();
        SocketAddr::new(self.advertise.unwrap_or(local.ip()), local.port())
    }

    /// Returns how the last connection to the control process ended.
    pub(crate) fn last_of_head(&self) -> String {
        self.last_of_head.lock().clone()
    }

    /// Returns for how long the control process has been gone.
    pub(crate) fn head_lost_for(&self) -> Option<Duration> {
        self.head_lost_since.lock().map(|since| since.elapsed())
    }

    /// Returns whether the cluster wants this process to end.
    pub(crate) fn is_stop_wanted(&self) -> bool {
        self.stop_wanted.load(Ordering::Acquire)
    }

    pub(crate) fn node_process(&self) -> ProcessId {
        self.node_process
    }

    /// Returns an id that no process of this job has had.
    pub(crate) fn fresh_process_id(&self) -> ProcessId {
        self.process
            .started(1 + self.next_process.fetch_add(1, Ordering::Relaxed))
    }

    /// Lets output that is already queued leave before the process ends.
    pub(crate) fn linger(&self) {
        self.net.shutdown(Duration::from_millis(200));
    }
}
