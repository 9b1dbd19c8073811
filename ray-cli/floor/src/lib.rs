//! What the machine can do without us: the scale beside which `ray bench` reads its own numbers.
//!
//! A floor is two bare processes with one current-thread runtime each and the application on that
//! thread, unless its module says otherwise. Nothing here knows ray-core; ray-shm lends the memory of the arena and futex floors.

mod bulk;
mod memory;
mod quic;
mod sides;
mod wake;

pub use bulk::{bulk_server, measure_bulk};
pub use memory::{arena_put, memcpy};
pub use quic::{QuicFloor, echo_server, measure_quic};
pub use wake::{futex_peer, measure_futex};

/// What a floor could not do.
pub type FloorError = Box<dyn std::error::Error + Send + Sync>;

/// Returns the middle of `samples`, which it sorts; 0 for none.
pub fn median(samples: &mut [f64]) -> f64 {
    samples.sort_by(f64::total_cmp);
    match samples.len() {
        0 => 0.0,
        n if n % 2 == 1 => samples[n / 2],
        n => (samples[n / 2 - 1] + samples[n / 2]) / 2.0,
    }
}
