//! Floors, each measured by bare processes that this one only starts.

use super::{Failed, Group, Sample, parts, sample};

pub const QUIC: Group = Group {
    metrics: &[
        ("floor.quinn_call.p50", "us"),
        ("floor.quinn_pipelined", "frames/s"),
    ],
    measure: || parts::measured_by(&["quic"]),
};

pub const FUTEX: Group = Group {
    metrics: &[("floor.futex_pingpong.p50", "us")],
    measure: || parts::measured_by(&["futex"]),
};

pub const ARENA: Group = Group {
    metrics: &[("floor.arena_put_1MB", "us")],
    measure: || parts::measured_by(&["arena"]),
};

pub const MEMCPY: Group = Group {
    metrics: &[("floor.memcpy_1GB", "s")],
    measure: || parts::measured_by(&["memcpy"]),
};

/// What the floors' own processes measure.
pub fn measure(floor: &str, argv: impl Fn(&str) -> Vec<String>) -> Result<Vec<Sample>, Failed> {
    Ok(match floor {
        "quic" => {
            let floor = ray_floor::measure_quic(&argv("quic-server"), 2000, 400_000)?;
            vec![
                sample("floor.quinn_call.p50", floor.call_us),
                sample("floor.quinn_pipelined", floor.pipelined_per_s),
            ]
        }
        "futex" => vec![sample(
            "floor.futex_pingpong.p50",
            ray_floor::measure_futex(&argv("futex-peer"), 5000)?,
        )],
        "arena" => vec![sample(
            "floor.arena_put_1MB",
            ray_floor::arena_put(1 << 20, 300)?,
        )],
        _ => vec![sample("floor.memcpy_1GB", ray_floor::memcpy(1 << 30))],
    })
}
