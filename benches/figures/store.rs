//! Figure 9: what one client puts into the store, in bytes and in objects a second, by the objects' size.

use std::time::Instant;

use ray_core::{Config, put};

use super::report::{self, Failed, Figure, Point, median};

pub fn measure() -> Result<Figure, Failed> {
    Ok(Figure {
        title: "9: puts of one client by object size",
        x: "object bytes",
        y: "GB/s, objects/s",
        log: (true, true),
        points: report::drive("9", "puts", &[])?,
    })
}

pub fn drive(_: &str) -> Result<Vec<Point>, Failed> {
    let ray = Config::new().object_store_memory(STORE_BYTES).init()?;
    let mut points = Vec::new();
    for bytes in [
        1 << 10,
        10 << 10,
        100 << 10,
        1 << 20,
        10 << 20,
        100 << 20,
        1 << 30,
    ] {
        let source = vec![7_u8; bytes];
        let count = (PER_RUN_BYTES / bytes).clamp(1, 20_000);
        let mut seconds = Vec::new();
        for _ in 0..=RUNS {
            let start = Instant::now();
            for _ in 0..count {
                // Dropped at once, as objects of a stream are.
                put(&source)?;
            }
            seconds.push(start.elapsed().as_secs_f64() / count as f64);
        }
        // The first run touches the memory.
        let seconds = median(seconds.split_off(1));
        points.push(Point::new(
            "GB/s",
            bytes as f64,
            bytes as f64 / seconds / 1e9,
        ));
        points.push(Point::new("objects/s", bytes as f64, 1.0 / seconds));
    }
    ray.shutdown()?;
    Ok(points)
}

const STORE_BYTES: u64 = 3 << 30;
/// What is put in one run, about; bytes.
const PER_RUN_BYTES: usize = 1 << 30;
const RUNS: usize = 5;
