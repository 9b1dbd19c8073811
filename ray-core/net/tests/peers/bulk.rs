//! Endpoints for bulk: bodies stay where they are until the other side has them, and arrive in pieces.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use ray_net::{
    CloseReason, Flush, FrameBatch, Handler, HeaderFields, Net, Peer, Piece, Refusal, Waiter,
    tls::ClusterCa,
};

use super::{DATA, PATIENCE, config};

/// Puts the frames of its peers together again.
#[derive(Default)]
struct Pieces {
    frames: Mutex<Vec<(Vec<u8>, Vec<u8>)>>,
    ended: AtomicUsize,
    changed: Waiter,
}

impl Handler for Pieces {
    fn on_frames(&self, peer: &Peer, _: &mut FrameBatch<'_>) {
        peer.close("a whole frame at an endpoint for bulk");
    }

    fn on_pieces(&self, _: &Peer, pieces: Vec<Piece>) {
        let mut frames = self.frames.lock().expect("no panic");
        for piece in pieces {
            match piece {
                Piece::Begin(_, meta) => frames.push((meta.to_vec(), Vec::new())),
                Piece::Body(bytes) => {
                    let (_, body) = frames.last_mut().expect("it has begun");
                    body.extend_from_slice(&bytes);
                }
                Piece::End => {
                    self.ended.fetch_add(1, Ordering::SeqCst);
                    self.changed.notify();
                }
            }
        }
    }

    fn on_hello(&self, _: &Peer, _: &[u8]) -> Result<(), Refusal> {
        Ok(())
    }

    fn on_connected(&self, _: &Peer) {}

    fn on_closed(&self, _: &Peer, _: &CloseReason) {}
}

/// A body that says when it is not needed any more.
struct Lent {
    bytes: Vec<u8>,
    back: Arc<(AtomicUsize, Waiter)>,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.back.0.fetch_add(1, Ordering::SeqCst);
        self.back.1.notify();
    }
}

fn start(ca: &ClusterCa, process: u64) -> (Net, Arc<Pieces>) {
    let mut config = config(ca, process);
    config.is_bulk = true;
    let heard = Arc::new(Pieces::default());
    (Net::start(config, heard.clone()).expect("a socket"), heard)
}

/// Waits until a count that `changed` tells of is at `wanted`.
fn until(net: &Net, count: &AtomicUsize, changed: &Waiter, wanted: usize) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while count.load(Ordering::SeqCst) < wanted {
        changed.reset();
        if count.load(Ordering::SeqCst) < wanted {
            let was_told = net.wait(changed, Some(deadline));
            assert!(was_told, "it did not happen within a minute");
        }
    }
}

fn bodies() -> Vec<Vec<u8>> {
    let lens = [0, 1, 15, 16, 6_000, 900_000, 3, 1_000_000, 70_000];
    let bytes = |len: usize| (0..len).map(|at| (at * 31 % 251) as u8).collect();
    lens.map(bytes).to_vec()
}

#[test]
fn lent_bodies_arrive_in_pieces_and_come_back() {
    let ca = ClusterCa::generate(1).expect("keys");
    let ((a, _), (b, heard)) = (start(&ca, 1), start(&ca, 2));
    let peer = a.connect(2, b.local_addr());
    let back = Arc::new((AtomicUsize::new(0), Waiter::new()));
    let header = HeaderFields {
        kind: DATA,
        ..HeaderFields::default()
    };
    let mut expected = Vec::new();
    for (at, body) in bodies().into_iter().enumerate() {
        let meta = vec![at as u8; at * 5];
        expected.push((meta.clone(), body.clone()));
        // Copied frames and lent ones keep their order.
        if at % 3 == 2 {
            assert!(peer.push(&header, &meta, &[&body[..]]));
        } else {
            let body = Bytes::from_owner(Lent {
                bytes: body,
                back: back.clone(),
            });
            assert!(peer.push_whole(&header, &meta, body));
        }
        peer.flush_hint(Flush::Now);
    }
    until(&b, &heard.ended, &heard.changed, expected.len());
    assert_eq!(*heard.frames.lock().expect("no panic"), expected);
    until(&a, &back.0, &back.1, 6);
    assert_eq!(peer.queued_bytes(), 0);
}

#[test]
fn what_was_lent_to_a_peer_that_is_gone_comes_back() {
    let ca = ClusterCa::generate(1).expect("keys");
    let ((a, _), (b, _)) = (start(&ca, 1), start(&ca, 2));
    let peer = a.connect(2, b.local_addr());
    let back = Arc::new((AtomicUsize::new(0), Waiter::new()));
    let lend = || {
        let body = Bytes::from_owner(Lent {
            bytes: vec![1; 1 << 20],
            back: back.clone(),
        });
        let header = HeaderFields {
            kind: DATA,
            ..HeaderFields::default()
        };
        peer.push_whole(&header, &[], body)
    };
    assert!(lend() && lend());
    peer.close("it changed its mind");
    until(&a, &back.0, &back.1, 2);
    assert!(!lend(), "nothing is taken for a peer that is gone");
    until(&a, &back.0, &back.1, 3);
}
