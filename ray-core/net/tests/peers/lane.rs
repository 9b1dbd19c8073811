//! A lane of this test's own: a short queue that both ends of one process share.

use std::{
    collections::{HashMap, VecDeque},
    io,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use ray_net::{BrokenLane, LaneReader, LaneWriter, Lanes};

/// So little that frames wait for room all the time; bytes.
const CAPACITY: usize = 4096;

#[derive(Default)]
struct Shared {
    bytes: Mutex<VecDeque<u8>>,
    begins_at: AtomicU64,
    is_opened: AtomicBool,
    is_asleep: AtomicBool,
    is_full: AtomicBool,
}

fn all() -> &'static Mutex<HashMap<Vec<u8>, Arc<Shared>>> {
    static ALL: OnceLock<Mutex<HashMap<Vec<u8>, Arc<Shared>>>> = OnceLock::new();
    ALL.get_or_init(Mutex::default)
}

/// Makes lanes and counts the bytes that were read from them.
#[derive(Default)]
pub struct TestLanes {
    /// Whether nobody can open one, as in another container.
    pub is_out_of_reach: bool,
    /// Whether readers find nonsense in it.
    pub is_broken: bool,
    pub read: Arc<AtomicU64>,
}

impl Lanes for TestLanes {
    fn make(&self, secret: [u8; 16]) -> io::Result<Box<dyn LaneWriter>> {
        let shared = Arc::new(Shared::default());
        let place = secret.to_vec();
        all()
            .lock()
            .expect("no panic")
            .insert(place.clone(), shared.clone());
        Ok(Box::new(Writer { shared, place }))
    }

    fn open(&self, place: &[u8]) -> io::Result<Box<dyn LaneReader>> {
        let found = all().lock().expect("no panic").remove(place);
        let shared = found.filter(|_| !self.is_out_of_reach);
        let shared = shared.ok_or_else(|| io::Error::other("no such lane"))?;
        shared.is_opened.store(true, Ordering::SeqCst);
        Ok(Box::new(Reader {
            shared,
            is_broken: self.is_broken,
            read: self.read.clone(),
        }))
    }
}

struct Writer {
    shared: Arc<Shared>,
    place: Vec<u8>,
}

impl LaneWriter for Writer {
    fn place(&self) -> Vec<u8> {
        self.place.clone()
    }

    fn is_opened(&self) -> bool {
        self.shared.is_opened.load(Ordering::SeqCst)
    }

    fn begin(&mut self, sent: u64) {
        self.shared.begins_at.store(sent, Ordering::SeqCst);
    }

    fn write(&mut self, bytes: &[u8]) -> Result<usize, BrokenLane> {
        let mut queue = self.shared.bytes.lock().expect("no panic");
        let len = bytes.len().min(CAPACITY - queue.len());
        queue.extend(&bytes[..len]);
        Ok(len)
    }

    fn wait_for_room(&mut self) -> Result<bool, BrokenLane> {
        self.shared.is_full.store(true, Ordering::SeqCst);
        Ok(self.shared.bytes.lock().expect("no panic").len() == CAPACITY)
    }

    fn take_sleeper(&self) -> bool {
        self.shared.is_asleep.swap(false, Ordering::SeqCst)
    }
}

struct Reader {
    shared: Arc<Shared>,
    is_broken: bool,
    read: Arc<AtomicU64>,
}

impl LaneReader for Reader {
    fn begins_at(&self) -> Option<u64> {
        let at = self.shared.begins_at.load(Ordering::SeqCst);
        (at > 0).then_some(at)
    }

    fn available(&self) -> Result<usize, BrokenLane> {
        if self.is_broken {
            return Err(BrokenLane);
        }
        Ok(self.shared.bytes.lock().expect("no panic").len())
    }

    fn read(&self, bytes: &mut [u8]) -> bool {
        let mut queue = self.shared.bytes.lock().expect("no panic");
        let taken = queue.drain(..bytes.len()).collect::<Vec<_>>();
        for (to, from) in bytes.iter_mut().zip(taken) {
            *to = from;
        }
        self.read.fetch_add(bytes.len() as u64, Ordering::SeqCst);
        self.shared.is_full.swap(false, Ordering::SeqCst)
    }

    fn arm(&self) -> bool {
        self.shared.is_asleep.store(true, Ordering::SeqCst);
        self.shared.bytes.lock().expect("no panic").is_empty()
    }
}
