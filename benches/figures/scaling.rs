//! Figure 8b: tasks a second against the number of node processes.
//!
//! Each node has one CPU and so one worker; a driver a node submits empty tasks, as in the paper, where
//! drivers too grow with the cluster. All share this machine's cores: what a core does is the figure.

use std::time::Instant;

use ray_core::{get_all, prelude::*};

use super::{
    daemons,
    report::{self, Failed, Figure, Point},
};

#[remote]
fn empty() {}

pub fn measure() -> Result<Figure, Failed> {
    let cores = std::thread::available_parallelism()?.get() as f64;
    let mut points = Vec::new();
    for nodes in [1, 2, 4, 8] {
        let cluster = daemons::cluster(&vec![&["1"][..]; nodes])?;
        let environment = daemons::environment(&cluster);
        let rates = std::thread::scope(|scope| {
            let drivers: Vec<_> = (0..nodes)
                .map(|_| scope.spawn(|| report::drive("8b", "empty", &environment)))
                .collect();
            let rates = drivers.into_iter().map(|driver| {
                driver
                    .join()
                    .map_err(|_| Failed::from("a driver's thread panicked"))?
            });
            rates.collect::<Result<Vec<_>, Failed>>()
        })?;
        let rate: f64 = rates.iter().flatten().map(|point| point.y).sum();
        points.push(Point::new("tasks/s", nodes as f64, rate));
        points.push(Point::new("tasks/s per core", nodes as f64, rate / cores));
    }
    Ok(Figure {
        title: "8b: empty tasks a second by node processes",
        x: "nodes",
        y: "tasks/s",
        log: (true, true),
        points,
    })
}

pub fn drive(_: &str) -> Result<Vec<Point>, Failed> {
    let ray = ray_core::init()?;
    empty::remote().get()?;
    // By time, so that several drivers overlap whenever they began.
    let start = Instant::now();
    let mut done = 0;
    while start.elapsed().as_secs_f64() < SECONDS {
        let batch: Vec<_> = (0..BATCH).map(|_| empty::remote()).collect();
        get_all(&batch)?;
        done += BATCH;
    }
    let rate = done as f64 / start.elapsed().as_secs_f64();
    ray.shutdown()?;
    Ok(vec![Point::new("tasks/s", 0.0, rate)])
}

/// How long each driver submits.
const SECONDS: f64 = 5.0;
/// Tasks that are under way at once.
const BATCH: usize = 2_000;
