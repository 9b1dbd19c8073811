//! Figure 8a: how long a task takes whose argument lies on one of two nodes, by the argument's size.
//!
//! `aware` leaves the place to the scheduler. `unaware` sends the task to each node in turn, as placement
//! that does not look at arguments does: every other time the argument has to move.

use std::time::Instant;

use ray_core::{NodeId, Strategy, prelude::*, runtime_context};

use super::{
    daemons,
    report::{self, Failed, Figure, Point, median},
};

#[remote(resources("left" = 0.1))]
fn make(bytes: u64) -> Vec<u8> {
    vec![7; bytes as usize]
}

#[remote]
fn touch(bytes: &Archived<Vec<u8>>) -> u64 {
    bytes
        .iter()
        .step_by(4096)
        .map(|byte| u64::from(*byte))
        .sum()
}

#[remote]
fn here() -> NodeId {
    runtime_context().node
}

#[remote(resources("left" = 0.1))]
fn left() -> NodeId {
    runtime_context().node
}

#[remote(resources("right" = 0.1))]
fn right() -> NodeId {
    runtime_context().node
}

pub fn measure() -> Result<Figure, Failed> {
    let cluster = daemons::cluster(&[&["1", "left=1"], &["1", "right=1"]])?;
    let mut points = Vec::new();
    for variant in ["aware", "unaware"] {
        points.extend(report::drive(
            "8a",
            variant,
            &daemons::environment(&cluster),
        )?);
    }
    Ok(Figure {
        title: "8a: latency of a task by the size of its argument",
        x: "argument bytes",
        y: "ms",
        log: (true, true),
        points,
    })
}

pub fn drive(variant: &str) -> Result<Vec<Point>, Failed> {
    let ray = ray_core::init()?;
    let nodes = [left::remote().get()?, right::remote().get()?];
    here::remote().get()?;
    let mut points = Vec::new();
    for bytes in [100_000_u64, 1_000_000, 10_000_000, 100_000_000] {
        let mut took = Vec::new();
        for turn in 0..TURNS {
            // A new argument each time: nobody has a copy of it yet.
            let argument = make::remote(bytes);
            ray_core::wait(&[&argument].map(Clone::clone), 1, None)?;
            let start = Instant::now();
            let sum = if variant == "unaware" {
                let node = nodes[turn % 2];
                let strategy = Strategy::NodeAffinity { node, soft: false };
                touch::options().scheduling(strategy).remote(&argument)
            } else {
                touch::remote(&argument)
            };
            let sum = sum.get()?;
            took.push(start.elapsed().as_secs_f64() * 1e3);
            if sum != 7 * bytes.div_ceil(4096) {
                return Err("the argument arrived with other bytes".into());
            }
        }
        let mean = took.iter().sum::<f64>() / took.len() as f64;
        points.push(Point::new(format!("{variant}, mean"), bytes as f64, mean));
        points.push(Point::new(
            format!("{variant}, median"),
            bytes as f64,
            median(took),
        ));
    }
    ray.shutdown()?;
    Ok(points)
}

/// Tasks of each size.
const TURNS: usize = 12;
