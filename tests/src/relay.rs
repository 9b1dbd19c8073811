//! A relay of datagrams that loses, doubles, delays and so reorders them, drawn from a seed.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    net::{SocketAddr, UdpSocket},
    os::fd::AsFd as _,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec};

/// What a relay does to datagrams, each way; by default nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// What is drawn depends on it and on the order in which datagrams come.
    pub seed: u64,
    /// Datagrams of a thousand that are lost.
    pub lost: u64,
    /// Datagrams of a thousand that arrive twice.
    pub doubled: u64,
    /// Each is held for a time between these; a wide span changes their order.
    pub delay: (Duration, Duration),
}

/// One end of a relay: what arrives at the socket goes to the other end's `other`.
pub struct Side {
    /// Where this end's datagrams arrive and leave.
    pub socket: UdpSocket,
    /// Who is at this end.
    pub other: SocketAddr,
}

/// What a relay has done so far.
#[derive(Debug, Default)]
pub struct Counts {
    /// Datagrams that came.
    pub came: AtomicU64,
    /// Those that were lost.
    pub lost: AtomicU64,
    /// Those that went out twice.
    pub doubled: AtomicU64,
    /// Those that left before one that had come earlier.
    pub reordered: AtomicU64,
}

/// A relay at work; dropping it ends it.
pub struct Relay {
    counts: Arc<Counts>,
    stop: Arc<AtomicBool>,
    faults: mpsc::Sender<Faults>,
    thread: Option<JoinHandle<()>>,
}

impl Relay {
    /// Begins to relay between two ends, without faults.
    ///
    /// # Panics
    /// When the sockets are of no use.
    pub fn start(left: Side, right: Side) -> Relay {
        for side in [&left, &right] {
            side.socket.set_nonblocking(true).expect("a socket");
        }
        let (counts, stop) = (Arc::<Counts>::default(), Arc::new(AtomicBool::new(false)));
        let (faults, changes) = mpsc::channel();
        let mut work = Work {
            sides: [left, right],
            faults: Faults::default(),
            changes,
            draws: 0,
            held: BinaryHeap::new(),
            numbers: [0; 2],
            newest: [0; 2],
            counts: counts.clone(),
        };
        let wanted = stop.clone();
        let thread = std::thread::spawn(move || {
            while !wanted.load(Ordering::Acquire) {
                work.turn();
            }
        });
        Relay {
            counts,
            stop,
            faults,
            thread: Some(thread),
        }
    }

    /// Does this to what comes from here on.
    ///
    /// # Panics
    /// When the relay has panicked.
    pub fn set_faults(&self, faults: Faults) {
        self.faults.send(faults).expect("the relay is at work");
    }

    /// Returns what it has done so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !std::thread::panicking()
        {
            panic!("the relay panicked");
        }
    }
}

struct Work {
    sides: [Side; 2],
    faults: Faults,
    changes: mpsc::Receiver<Faults>,
    draws: u64,
    held: BinaryHeap<Reverse<Held>>,
    /// Datagrams taken so far, by the end where they came.
    numbers: [u64; 2],
    /// The newest of those that have left.
    newest: [u64; 2],
    counts: Arc<Counts>,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Held {
    due: Instant,
    from: usize,
    number: u64,
    bytes: Vec<u8>,
}

impl Work {
    fn turn(&mut self) {
        while let Ok(faults) = self.changes.try_recv() {
            self.draws = faults.seed;
            self.faults = faults;
        }
        for from in 0..2 {
            let mut bytes = [0; 65_536];
            // An error is a port unreachable of the other end: it has not begun or has ended.
            while let Ok((len, _)) = self.sides[from].socket.recv_from(&mut bytes) {
                self.take(from, &bytes[..len]);
            }
        }
        let now = Instant::now();
        while self.held.peek().is_some_and(|held| held.0.due <= now) {
            let held = self.held.pop().expect("it was seen").0;
            let newest = &mut self.newest[held.from];
            if held.number < *newest {
                self.counts.reordered.fetch_add(1, Ordering::Relaxed);
            }
            *newest = (*newest).max(held.number);
            let to = &self.sides[1 - held.from];
            // A full socket loses it, as a network would.
            let _lost = to.socket.send_to(&held.bytes, to.other);
        }
        self.sleep();
    }

    fn take(&mut self, from: usize, bytes: &[u8]) {
        self.numbers[from] += 1;
        self.counts.came.fetch_add(1, Ordering::Relaxed);
        if self.draw(1000) < self.faults.lost {
            self.counts.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let mut copies = 1;
        if self.draw(1000) < self.faults.doubled {
            self.counts.doubled.fetch_add(1, Ordering::Relaxed);
            copies = 2;
        }
        let mut bytes = bytes.to_vec();
        waive_inner_checksum(&mut bytes);
        let (least, most) = self.faults.delay;
        let span = u64::try_from((most - least).as_micros()).expect("a short delay");
        for _ in 0..copies {
            let delay = least + Duration::from_micros(self.draw(span + 1));
            self.held.push(Reverse(Held {
                due: Instant::now() + delay,
                from,
                number: self.numbers[from],
                bytes: bytes.clone(),
            }));
        }
    }

    /// Sleeps until something arrives or is due, or it is time to look whether to stop.
    fn sleep(&self) {
        let now = Instant::now();
        let next = self.held.peek().map(|held| held.0.due);
        let wait = next.map_or(LOOK_AROUND, |due| due.saturating_duration_since(now));
        let wait = Timespec {
            tv_sec: 0,
            tv_nsec: wait.min(LOOK_AROUND).subsec_nanos().into(),
        };
        let mut fds = [0, 1]
            .map(|side| PollFd::from_borrowed_fd(self.sides[side].socket.as_fd(), PollFlags::IN));
        // A signal only makes it look around earlier.
        let _interrupted = rustix::event::poll(&mut fds, Some(&wait));
    }

    fn draw(&mut self, bound: u64) -> u64 {
        self.draws = self
            .draws
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.draws >> 33) % bound
    }
}

/// Says that the UDP datagram inside a VXLAN one has no checksum.
///
/// The system leaves it to hardware to fill in, and no hardware lies on the way to this relay.
fn waive_inner_checksum(bytes: &mut [u8]) {
    const VXLAN: usize = 8;
    const ETHERNET: usize = 14;
    let is_ipv4 = bytes.get(VXLAN + 12..VXLAN + ETHERNET) == Some(&[0x08, 0x00]);
    let Some(packet) = bytes.get_mut(VXLAN + ETHERNET..).filter(|_| is_ipv4) else {
        return;
    };
    let Some(header) = packet.first().map(|first| usize::from(first & 15) * 4) else {
        return;
    };
    let is_udp = packet.get(9) == Some(&17);
    if let Some(checksum) = packet.get_mut(header + 6..header + 8).filter(|_| is_udp) {
        checksum.fill(0);
    }
}

const LOOK_AROUND: Duration = Duration::from_millis(20);
