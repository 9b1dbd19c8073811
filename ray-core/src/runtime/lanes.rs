//! Frames between processes of one host through shared memory: rings behind the network's lanes.

use std::{env, io, sync::Arc};

use ray_net::{BrokenLane, LaneReader, LaneWriter, Lanes};
use ray_shm::{RingPlace, RingReader, RingWriter};

/// Turns the lanes of a process off when it is `off`, `0` or `false`; children inherit it.
pub(crate) const VARIABLE: &str = "RAY_LANES";

/// Returns what makes lanes, unless the user wants all frames to go through QUIC.
pub(crate) fn lanes() -> Option<Arc<dyn Lanes>> {
    let wish = env::var(VARIABLE).unwrap_or_default();
    let is_off = ["off", "0", "false"].contains(&wish.trim());
    (!is_off).then(|| Arc::new(Rings) as Arc<dyn Lanes>)
}

struct Rings;

impl Lanes for Rings {
    fn make(&self, secret: [u8; 16]) -> io::Result<Box<dyn LaneWriter>> {
        Ok(Box::new(Writer(RingWriter::create(secret)?)))
    }

    fn open(&self, place: &[u8]) -> io::Result<Box<dyn LaneReader>> {
        let place = place
            .try_into()
            .map_err(|_| io::Error::other("the place of a ring has another length"))?;
        let reader = RingReader::open(RingPlace::from_bytes(place))?;
        Ok(Box::new(Reader(reader)))
    }
}

struct Writer(RingWriter);

impl LaneWriter for Writer {
    fn place(&self) -> Vec<u8> {
        self.0.place().to_bytes().to_vec()
    }

    fn is_opened(&self) -> bool {
        self.0.is_opened()
    }

    fn begin(&mut self, sent: u64) {
        self.0.begin(sent);
    }

    fn write(&mut self, bytes: &[u8]) -> Result<usize, BrokenLane> {
        self.0.write(bytes).map_err(|_| BrokenLane)
    }

    fn wait_for_room(&mut self) -> Result<bool, BrokenLane> {
        self.0.wait_for_room().map_err(|_| BrokenLane)
    }

    fn take_sleeper(&self) -> bool {
        self.0.take_sleeper()
    }
}

struct Reader(RingReader);

impl LaneReader for Reader {
    fn begins_at(&self) -> Option<u64> {
        self.0.begins_at()
    }

    fn available(&self) -> Result<usize, BrokenLane> {
        self.0.available().map_err(|_| BrokenLane)
    }

    fn read(&self, bytes: &mut [u8]) -> bool {
        self.0.read(bytes)
    }

    fn arm(&self) -> bool {
        self.0.arm()
    }
}
