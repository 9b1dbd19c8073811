//! What arrives: frames are parsed, checked and given to the role they are for.

mod calls;
mod gone;
mod hello;
mod messages;

use std::sync::{Arc, Weak, atomic::Ordering};

use parking_lot::Mutex;
use ray_engine::ids::ProcessId;
use ray_net::{CloseReason, FrameBatch, Handler, Peer, Refusal};

pub(crate) use calls::out_of_reach;
pub(crate) use hello::check_daemon_hello;

use super::Runtime;
use crate::wire::{Hello, kind};
use hello::{check_hello, parse_hello};

/// Receives for a runtime that is made after it.
pub(crate) struct Inbound {
    runtime: Mutex<Weak<Runtime>>,
    hello: Hello,
}

impl Inbound {
    pub(crate) fn new(hello: Hello) -> Arc<Inbound> {
        Arc::new(Inbound {
            runtime: Mutex::new(Weak::new()),
            hello,
        })
    }

    pub(crate) fn hello_bytes(&self) -> Vec<u8> {
        self.hello.to_bytes()
    }

    pub(crate) fn attach(&self, runtime: &Arc<Runtime>) {
        *self.runtime.lock() = Arc::downgrade(runtime);
    }

    fn runtime(&self) -> Option<Arc<Runtime>> {
        self.runtime.lock().upgrade()
    }
}

impl Handler for Inbound {
    fn on_frames(&self, peer: &Peer, frames: &mut FrameBatch<'_>) {
        let Some(runtime) = self.runtime() else {
            return;
        };
        let mut calls = Vec::new();
        let mut done = Vec::new();
        let mut items = Vec::new();
        for frame in frames {
            let parsed = match frame.header.kind {
                kind::CALL => runtime
                    .parse_call(peer, &frame)
                    .map(|execution| calls.push(execution)),
                kind::DONE => runtime
                    .parse_done(peer, &frame)
                    .map(|ended| done.push(ended)),
                kind::ITEM => runtime
                    .parse_item(peer, &frame)
                    .map(|item| items.push(item)),
                kind::PART => runtime.on_part(peer, &frame),
                kind::CONTROL | kind::ANSWER => {
                    // A control message speaks about the frames before it.
                    runtime.take_calls(&mut calls);
                    runtime.take_items(&mut items);
                    runtime.take_done(&mut done);
                    runtime.on_control(peer, &frame)
                }
                other => Err(format!("frame kind {other} is unknown")),
            };
            if let Err(reason) = parsed {
                tracing::warn!(peer = peer.process(), %reason, "closing a connection that sent nonsense");
                peer.close(&reason);
                break;
            }
        }
        runtime.take_calls(&mut calls);
        // The end of a call comes after its items.
        runtime.take_items(&mut items);
        runtime.take_done(&mut done);
    }

    fn on_hello(&self, peer: &Peer, hello: &[u8]) -> Result<(), Refusal> {
        let theirs = parse_hello(hello)?;
        tracing::debug!(peer = peer.process(), table = theirs.table.len(), "hello");
        if let Some(runtime) = self.runtime() {
            runtime.revoked.check(ProcessId(peer.process()))?;
        }
        peer.set_tag(theirs.job.0);
        check_hello(&self.hello, &theirs).map_err(Refusal::new)
    }

    fn on_connected(&self, peer: &Peer) {
        if let Some(runtime) = self.runtime() {
            let is_head = peer.process() == runtime.control_process().0;
            if is_head {
                runtime.head_meetings.fetch_add(1, Ordering::AcqRel);
            }
            if is_head && runtime.is_daemon() {
                runtime.note_head_found();
            }
            runtime.with_core(|core, _| core.on_peer(peer));
        }
    }

    fn on_closed(&self, peer: &Peer, reason: &CloseReason) {
        if let Some(runtime) = self.runtime() {
            runtime.on_closed(ProcessId(peer.process()), reason);
        }
    }
}
