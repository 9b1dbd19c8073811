//! What two endpoints promise each other, over loopback and over a relay that loses datagrams, by QUIC and by lanes.

mod bulk;
mod lane;

use std::{
    net::{SocketAddr, UdpSocket},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use self::lane::TestLanes;
use ray_net::{
    CloseReason, Flush, FrameBatch, Handler, HeaderFields, Net, NetConfig, Peer, Refusal,
    tls::ClusterCa,
};

const PATIENCE: Duration = Duration::from_secs(60);
const DATA: u8 = 20;
const LIMIT: u32 = 1 << 20;

fn limit(kind: u8) -> u32 {
    if kind == DATA { LIMIT } else { 0 }
}

/// Notes everything that its endpoint tells it.
#[derive(Default)]
struct Log {
    state: Mutex<Heard>,
    changed: Condvar,
    refuses: Option<&'static str>,
    echoes: bool,
}

#[derive(Default)]
struct Heard {
    bodies: Vec<Vec<u8>>,
    connected: Vec<u64>,
    closed: Vec<(u64, CloseReason)>,
}

impl Handler for Log {
    fn on_frames(&self, peer: &Peer, frames: &mut FrameBatch<'_>) {
        for frame in frames {
            if self.echoes {
                push(peer, frame.body);
            }
            self.note(|heard| heard.bodies.push(frame.body.to_vec()));
        }
        if self.echoes {
            peer.flush_hint(Flush::Now);
        }
    }

    fn on_hello(&self, _peer: &Peer, _hello: &[u8]) -> Result<(), Refusal> {
        self.refuses.map_or(Ok(()), |text| Err(Refusal::new(text)))
    }

    fn on_connected(&self, peer: &Peer) {
        self.note(|heard| heard.connected.push(peer.process()));
    }

    fn on_closed(&self, peer: &Peer, reason: &CloseReason) {
        self.note(|heard| heard.closed.push((peer.process(), reason.clone())));
    }
}

impl Log {
    fn note(&self, change: impl FnOnce(&mut Heard)) {
        change(&mut self.state.lock().expect("no panic"));
        self.changed.notify_all();
    }

    fn until<R>(&self, mut found: impl FnMut(&Heard) -> Option<R>) -> R {
        let deadline = Instant::now() + PATIENCE;
        let mut heard = self.state.lock().expect("no panic");
        loop {
            if let Some(result) = found(&heard) {
                return result;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "it did not happen within a minute");
            (heard, _) = self.changed.wait_timeout(heard, left).expect("no panic");
        }
    }

    fn bodies(&self, count: usize) -> Vec<Vec<u8>> {
        self.until(|heard| (heard.bodies.len() >= count).then(|| heard.bodies.clone()))
    }

    fn close_reason(&self) -> CloseReason {
        self.until(|heard| heard.closed.first().map(|(_, reason)| reason.clone()))
    }
}

fn push(peer: &Peer, body: &[u8]) -> bool {
    let header = HeaderFields {
        kind: DATA,
        ..HeaderFields::default()
    };
    peer.push(&header, &[], &[body])
}

fn config(ca: &ClusterCa, process: u64) -> NetConfig {
    NetConfig::new(process, ca.issue(process).expect("a certificate"), limit)
}

fn start(config: NetConfig, log: Log) -> (Net, Arc<Log>) {
    let log = Arc::new(log);
    (Net::start(config, log.clone()).expect("a socket"), log)
}

/// How two processes of one host reach each other.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Quic,
    Lanes,
}

fn by(way: Way, ca: &ClusterCa, process: u64) -> NetConfig {
    let mut settings = config(ca, process);
    if way == Way::Lanes {
        settings.lanes = Some(Arc::new(TestLanes::default()));
    }
    settings
}

fn pair(way: Way) -> (Net, Arc<Log>, Net, Arc<Log>) {
    let ca = ClusterCa::generate(1).expect("keys");
    let (a, heard_a) = start(by(way, &ca, 1), Log::default());
    let (b, heard_b) = start(by(way, &ca, 2), Log::default());
    (a, heard_a, b, heard_b)
}

macro_rules! both_ways {
    ($($name:ident)*) => {
        mod by_quic {
            $(#[test] fn $name() { super::$name(super::Way::Quic) })*
        }
        mod by_lanes {
            $(#[test] fn $name() { super::$name(super::Way::Lanes) })*
        }
    };
}

both_ways! {
    frames_arrive_whole_and_in_order_in_both_directions
    two_that_dial_each_other_at_once_hear_everything_in_order
    the_text_of_a_refusal_reaches_who_was_refused
    a_frame_over_its_limit_closes_the_connection_and_says_so
    what_was_pushed_before_a_shutdown_arrives_before_the_close
    noise_on_the_port_disturbs_nobody
    many_threads_wait_and_each_gets_its_answer
    lost_datagrams_lose_no_frame
    a_peer_that_falls_silent_is_lost_after_the_idle_time
}

fn numbered(count: u32) -> Vec<Vec<u8>> {
    (0..count)
        .map(|number| {
            let mut body = number.to_le_bytes().to_vec();
            body.resize(4 + number as usize * 37 % 3000, number as u8);
            body
        })
        .collect()
}

fn send_all(peer: &Peer, bodies: &[Vec<u8>]) {
    for body in bodies {
        assert!(push(peer, body));
        peer.flush_hint(Flush::Lazy);
    }
    peer.flush_hint(Flush::Now);
}

fn frames_arrive_whole_and_in_order_in_both_directions(way: Way) {
    let (a, heard_a, b, heard_b) = pair(way);
    let to_b = a.connect(2, b.local_addr());
    let bodies = numbered(5000);
    send_all(&to_b, &bodies);
    assert_eq!(heard_b.bodies(5000), bodies);
    let to_a = b.peer(1).expect("it is connected");
    send_all(&to_a, &bodies);
    assert_eq!(heard_a.bodies(5000), bodies);
    assert!(heard_a.state.lock().expect("no panic").closed.is_empty());
}

fn two_that_dial_each_other_at_once_hear_everything_in_order(way: Way) {
    for _ in 0..10 {
        let (a, heard_a, b, heard_b) = pair(way);
        let bodies = numbered(200);
        std::thread::scope(|scope| {
            scope.spawn(|| send_all(&a.connect(2, b.local_addr()), &bodies));
            scope.spawn(|| send_all(&b.connect(1, a.local_addr()), &bodies));
        });
        assert_eq!(heard_b.bodies(200), bodies);
        assert_eq!(heard_a.bodies(200), bodies);
    }
}

#[test]
fn another_clusters_process_is_not_let_in() {
    let (ours, theirs) = (
        ClusterCa::generate(1).expect("keys"),
        ClusterCa::generate(1).expect("keys"),
    );
    let (a, heard_a) = start(config(&theirs, 1), Log::default());
    let (b, heard_b) = start(config(&ours, 2), Log::default());
    push(&a.connect(2, b.local_addr()), b"secret");
    a.drive();
    let reason = heard_a.close_reason();
    assert!(matches!(reason, CloseReason::Lost(_)), "{reason}");
    let heard = heard_b.state.lock().expect("no panic");
    assert!(heard.connected.is_empty() && heard.bodies.is_empty());
}

#[test]
fn a_certificate_that_has_ended_is_named_and_a_new_one_is_good() {
    let short = ClusterCa::generate(1).expect("keys");
    let short = short.with_life(Duration::ZERO);
    let identities = [1, 2].map(|process| short.issue(process).expect("a certificate"));
    let begin = |process: usize| {
        let identity = identities[process - 1].clone();
        start(
            NetConfig::new(process as u64, identity, limit),
            Log::default(),
        )
    };
    // They are good within the second in which they end.
    let deadline = Instant::now() + PATIENCE;
    let (old, other, other_log) = loop {
        let ((old, old_log), (other, other_log)) = (begin(1), begin(2));
        let peer = old.connect(2, other.local_addr());
        assert!(push(&peer, b"late"));
        old.flush();
        let ended = old_log.until(|heard| {
            let reason = heard.closed.first().map(|(_, reason)| reason.to_string());
            (reason.is_some() || !heard.connected.is_empty()).then_some(reason)
        });
        if let Some(reason) = ended {
            assert!(reason.contains("expired"), "{reason}");
            break (old, other, other_log);
        }
        assert!(Instant::now() < deadline, "it never ended");
    };

    let long = short.with_life(Duration::from_secs(3600));
    old.renew(long.issue(1).expect("a certificate"))
        .expect("it fits");
    other
        .renew(long.issue(2).expect("a certificate"))
        .expect("it fits");
    let peer = old.connect(2, other.local_addr());
    assert!(push(&peer, b"in time"));
    old.flush();
    assert_eq!(other_log.bodies(1), [b"in time".to_vec()]);
}

#[test]
fn a_process_that_is_not_the_one_dialed_is_refused() {
    let ca = ClusterCa::generate(1).expect("keys");
    let (a, heard_a) = start(config(&ca, 1), Log::default());
    let (b, heard_b) = start(config(&ca, 2), Log::default());
    push(&a.connect(3, b.local_addr()), b"for process 3");
    a.drive();
    let reason = heard_a.close_reason();
    assert!(matches!(reason, CloseReason::Lost(_)), "{reason}");
    assert!(heard_b.state.lock().expect("no panic").bodies.is_empty());
}

fn the_text_of_a_refusal_reaches_who_was_refused(way: Way) {
    let ca = ClusterCa::generate(1).expect("keys");
    let (a, heard_a) = start(by(way, &ca, 1), Log::default());
    let refusing = Log {
        refuses: Some("wire version 2 meets wire version 1"),
        ..Log::default()
    };
    let (b, heard_b) = start(by(way, &ca, 2), refusing);
    push(&a.connect(2, b.local_addr()), b"never handled");
    a.drive();
    let reason = heard_a.close_reason();
    assert_eq!(
        reason,
        CloseReason::Refused("wire version 2 meets wire version 1".into())
    );
    let heard = heard_b.state.lock().expect("no panic");
    assert!(heard.connected.is_empty() && heard.bodies.is_empty());
}

fn a_frame_over_its_limit_closes_the_connection_and_says_so(way: Way) {
    let (a, heard_a, b, heard_b) = pair(way);
    let to_b = a.connect(2, b.local_addr());
    send_all(&to_b, &[b"fine".to_vec(), vec![0; LIMIT as usize + 1]]);
    let reason = heard_a.close_reason();
    assert!(
        matches!(&reason, CloseReason::Closed(text) if text.contains("protocol error")),
        "{reason}"
    );
    assert!(matches!(heard_b.close_reason(), CloseReason::Protocol(_)));
    assert_eq!(heard_b.bodies(1), [b"fine".to_vec()]);
    assert!(!push(&to_b, b"too late"), "a closed peer takes no frames");
}

fn what_was_pushed_before_a_shutdown_arrives_before_the_close(way: Way) {
    for round in 0..10 {
        let (a, _heard_a, b, heard_b) = pair(way);
        let to_b = a.connect(2, b.local_addr());
        let bodies = numbered(1000);
        for body in &bodies {
            push(&to_b, body);
        }
        a.shutdown(PATIENCE);
        let reason = heard_b.close_reason();
        assert_eq!(reason, CloseReason::Closed("shutdown".into()), "{round}");
        let heard = heard_b.state.lock().expect("no panic");
        assert_eq!(heard.bodies.len(), bodies.len(), "{round}");
    }
}

#[test]
fn nobody_at_the_address_is_told_within_the_handshakes_time() {
    let ca = ClusterCa::generate(1).expect("keys");
    let silent = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let mut settings = config(&ca, 1);
    settings.handshake_timeout = Duration::from_millis(200);
    let (a, heard_a) = start(settings, Log::default());
    a.connect(2, silent.local_addr().expect("an address"));
    a.drive();
    assert!(matches!(heard_a.close_reason(), CloseReason::Lost(_)));
    assert!(a.peer(2).is_none(), "a lost peer can be dialed anew");
}

fn noise_on_the_port_disturbs_nobody(way: Way) {
    let (a, heard_a, b, heard_b) = pair(way);
    let to_b = a.connect(2, b.local_addr());
    let noise = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let mut state = 7_u64;
    for len in 0..1200_usize {
        let bytes: Vec<u8> = (0..len)
            .map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                (state >> 56) as u8
            })
            .collect();
        noise.send_to(&bytes, b.local_addr()).expect("sent");
    }
    let bodies = numbered(100);
    send_all(&to_b, &bodies);
    assert_eq!(heard_b.bodies(100), bodies);
    assert!(heard_a.state.lock().expect("no panic").closed.is_empty());
}

fn many_threads_wait_and_each_gets_its_answer(way: Way) {
    let ca = ClusterCa::generate(1).expect("keys");
    let (a, heard_a) = start(by(way, &ca, 1), Log::default());
    let echoing = Log {
        echoes: true,
        ..Log::default()
    };
    let (b, _heard_b) = start(by(way, &ca, 2), echoing);
    let to_b = a.connect(2, b.local_addr());
    std::thread::scope(|scope| {
        for thread in 0..4_u8 {
            let (to_b, heard_a) = (&to_b, &heard_a);
            scope.spawn(move || {
                for round in 0..100_u8 {
                    let body = [thread, round];
                    push(to_b, &body);
                    to_b.flush_hint(Flush::Now);
                    heard_a
                        .until(|heard| heard.bodies.iter().any(|got| got == &body).then_some(()));
                }
            });
        }
    });
    assert_eq!(heard_a.bodies(400).len(), 400);
}

/// Carries datagrams between one dialer and one listener, losing some, until it is told to lose all.
struct Relay {
    addr: SocketAddr,
    cut: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Relay {
    fn start(to: SocketAddr, lost_of_100: u64) -> Relay {
        let front = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let back = UdpSocket::bind("127.0.0.1:0").expect("a port");
        back.connect(to).expect("an address");
        let addr = front.local_addr().expect("an address");
        for socket in [&front, &back] {
            socket
                .set_read_timeout(Some(Duration::from_millis(1)))
                .expect("a timeout");
        }
        let (cut, stop) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicBool::new(false)),
        );
        let (is_cut, is_over) = (cut.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            let mut dialer = None;
            let mut seed = 42_u64;
            let mut buffer = [0; 65_536];
            let mut passes = move || {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (seed >> 33) % 100 >= lost_of_100 && !is_cut.load(Ordering::SeqCst)
            };
            while !is_over.load(Ordering::SeqCst) {
                while let Ok((len, from)) = front.recv_from(&mut buffer) {
                    dialer = Some(from);
                    if passes() {
                        // A full buffer is one more loss.
                        let _lost = back.send(&buffer[..len]);
                    }
                }
                while let Ok(len) = back.recv(&mut buffer) {
                    if let Some(dialer) = dialer
                        && passes()
                    {
                        let _lost = front.send_to(&buffer[..len], dialer);
                    }
                }
            }
        });
        Relay {
            addr,
            cut,
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the relay does not panic");
        }
    }
}

fn lost_datagrams_lose_no_frame(way: Way) {
    let (a, _heard_a, b, heard_b) = pair(way);
    let relay = Relay::start(b.local_addr(), 5);
    let to_b = a.connect(2, relay.addr);
    let bodies = numbered(500);
    send_all(&to_b, &bodies);
    assert_eq!(heard_b.bodies(500), bodies);
}

fn a_peer_that_falls_silent_is_lost_after_the_idle_time(way: Way) {
    let ca = ClusterCa::generate(1).expect("keys");
    let quick = |process| {
        let mut settings = by(way, &ca, process);
        settings.keep_alive = Duration::from_millis(100);
        settings.idle_timeout = Duration::from_millis(500);
        settings
    };
    let (a, heard_a) = start(quick(1), Log::default());
    let (b, heard_b) = start(quick(2), Log::default());
    let relay = Relay::start(b.local_addr(), 0);
    let to_b = a.connect(2, relay.addr);
    send_all(&to_b, &[b"hello".to_vec()]);
    heard_b.bodies(1);
    relay.cut.store(true, Ordering::SeqCst);
    assert!(matches!(heard_a.close_reason(), CloseReason::Lost(_)));
    assert!(matches!(heard_b.close_reason(), CloseReason::Lost(_)));
}

/// Sends numbered frames from a process to another whose lanes are as given; returns what the second heard.
fn send_by(lanes: [TestLanes; 2]) -> (Net, Arc<Log>, Net, Arc<Log>, Vec<Vec<u8>>) {
    let ca = ClusterCa::generate(1).expect("keys");
    let [(a, heard_a), (b, heard_b)] = [1, 2]
        .into_iter()
        .zip(lanes)
        .map(|(process, lanes)| {
            let mut settings = config(&ca, process);
            settings.lanes = Some(Arc::new(lanes));
            start(settings, Log::default())
        })
        .collect::<Vec<_>>()
        .try_into()
        .unwrap_or_else(|_| panic!("two"));
    let to_b = a.connect(2, b.local_addr());
    // Only once the other side has opened it does a lane carry anything.
    send_all(&to_b, &[b"first".to_vec()]);
    heard_b.bodies(1);
    let bodies = numbered(500);
    send_all(&to_b, &bodies);
    (a, heard_a, b, heard_b, bodies)
}

#[test]
fn frames_of_one_host_go_by_lane_and_none_is_sent_twice() {
    let read = Arc::new(AtomicU64::new(0));
    let reading = TestLanes {
        read: read.clone(),
        ..TestLanes::default()
    };
    let (a, _heard_a, b, heard_b, bodies) = send_by([TestLanes::default(), reading]);
    assert_eq!(heard_b.bodies(501)[1..], bodies);
    let sent: usize = bodies.iter().map(Vec::len).sum();
    assert!(read.load(Ordering::SeqCst) >= sent as u64);
    let (sent, received) = (a.stats(), b.stats());
    assert_eq!(sent.bytes_out, received.bytes_in);
    assert_eq!(sent.lane_bytes, received.lane_bytes);
}

#[test]
fn a_lane_that_nobody_opens_is_not_used() {
    let closed = TestLanes {
        is_out_of_reach: true,
        ..TestLanes::default()
    };
    let (a, _heard_a, _b, heard_b, bodies) = send_by([TestLanes::default(), closed]);
    assert_eq!(heard_b.bodies(501)[1..], bodies);
    assert_eq!(a.stats().lane_bytes, 0);
}

#[test]
fn a_side_that_breaks_a_lane_loses_the_connection_and_nothing_else() {
    let ca = ClusterCa::generate(1).expect("keys");
    let mut settings = config(&ca, 2);
    settings.lanes = Some(Arc::new(TestLanes {
        is_broken: true,
        ..TestLanes::default()
    }));
    let (a, heard_a) = start(by(Way::Lanes, &ca, 1), Log::default());
    let (b, heard_b) = start(settings, Log::default());
    let to_b = a.connect(2, b.local_addr());
    let deadline = Instant::now() + PATIENCE;
    // The first that goes by lane meets its end.
    while push(&to_b, b"any") {
        to_b.flush_hint(Flush::Now);
        assert!(Instant::now() < deadline, "nobody noticed");
        std::thread::yield_now();
    }
    let reason = heard_b.close_reason();
    assert!(
        matches!(&reason, CloseReason::Protocol(text) if text.contains("memory")),
        "{reason}"
    );
    assert!(matches!(heard_a.close_reason(), CloseReason::Closed(_)));
    assert!(a.peer(2).is_none(), "it can be dialed anew");
}
