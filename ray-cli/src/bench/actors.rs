//! Actors: calls alone, pipelined, many to many, with a shared argument; creation.

use std::time::{Duration, Instant};

use ray_core::{get_all, prelude::*, put};

use super::{Group, Sample, median_us, sample};

/// Answers.
#[actor(num_cpus = 0)]
pub struct Echo;

#[remote]
impl Echo {
    /// Starts.
    pub fn new() -> Self {
        Echo
    }

    /// Does nothing.
    pub fn ping(&mut self) {}

    /// Reads an argument in place.
    pub fn length(&mut self, bytes: &Archived<Vec<u8>>) -> u64 {
        bytes.len() as u64
    }

    /// Returns its process.
    pub fn pid(&mut self) -> u32 {
        std::process::id()
    }
}

/// Calls every server and waits for all the answers.
#[actor(num_cpus = 0)]
pub struct Caller {
    servers: Vec<EchoHandle>,
}

#[remote]
impl Caller {
    /// Will call `servers`.
    pub fn new(servers: Vec<EchoHandle>) -> Self {
        Caller { servers }
    }

    /// Calls each server `count` times.
    pub fn blast(&mut self, count: u32) -> Result<(), ray_core::Error> {
        let refs: Vec<_> = (0..count)
            .flat_map(|_| self.servers.iter().map(EchoHandle::ping))
            .collect();
        get_all(&refs)?;
        Ok(())
    }
}

pub const SYNC_CALL: Group = Group {
    metrics: &[("actor.sync_call.p50", "us"), ("actor.sync_call.p99", "us")],
    measure: || {
        let echo = Echo::remote();
        let mut samples = Vec::with_capacity(2000);
        // The kernel puts two processes that wake each other on one core, and takes tens of milliseconds to part them.
        let begun = Instant::now();
        while begun.elapsed() < WARM_UP {
            echo.ping().get()?;
        }
        for _ in 0..2000 {
            let start = Instant::now();
            echo.ping().get()?;
            samples.push(start.elapsed().as_secs_f64() * 1e6);
        }
        Ok(vec![
            sample("actor.sync_call.p50", ray_floor::median(&mut samples)),
            sample("actor.sync_call.p99", samples[samples.len() * 99 / 100]),
        ])
    },
};

pub const PIPELINED: Group = Group {
    metrics: &[
        ("actor.async_1_1", "calls/s"),
        ("actor.async_1_1_100k", "calls/s"),
    ],
    measure: || {
        let echo = Echo::remote();
        let calls = |count: usize| -> ray_core::Result<f64> {
            let start = Instant::now();
            let refs: Vec<_> = (0..count).map(|_| echo.ping()).collect();
            get_all(&refs)?;
            Ok(count as f64 / start.elapsed().as_secs_f64())
        };
        calls(500)?;
        Ok(vec![
            sample("actor.async_1_1", calls(10_000)?),
            sample("actor.async_1_1_100k", calls(100_000)?),
        ])
    },
};

pub const MANY_TO_MANY: Group = Group {
    metrics: &[
        ("actor.async_2_2", "calls/s"),
        ("actor.async_4_4", "calls/s"),
    ],
    measure: || {
        let mut found: Vec<Sample> = Vec::new();
        for (name, n) in [("actor.async_2_2", 2u32), ("actor.async_4_4", 4)] {
            let servers: Vec<_> = (0..n).map(|_| Echo::remote()).collect();
            let callers: Vec<_> = (0..n).map(|_| Caller::remote(&servers)).collect();
            let blast = |count: u32| {
                let refs: Vec<_> = callers.iter().map(|caller| caller.blast(count)).collect();
                get_all(&refs)
            };
            blast(50)?;
            let per = 50_000 / n;
            let start = Instant::now();
            blast(per)?;
            let calls = f64::from(per * n * n);
            found.push(sample(name, calls / start.elapsed().as_secs_f64()));
        }
        Ok(found)
    },
};

pub const SHARED_ARGUMENT: Group = Group {
    metrics: &[("actor.arg_1MB.shared_ref.p50", "us")],
    measure: || {
        let echo = Echo::remote();
        let shared = put(&vec![7u8; 1 << 20])?;
        let once = || {
            echo.length(&shared).get()?;
            Ok(())
        };
        median_us(50, once)?;
        Ok(vec![sample(
            "actor.arg_1MB.shared_ref.p50",
            median_us(500, once)?,
        )])
    },
};

pub const CREATION: Group = Group {
    metrics: &[
        ("actor.create_one_at_a_time", "s"),
        ("actor.create_50_until_all_reply", "s"),
    ],
    measure: || {
        Echo::remote().ping().get()?;
        let mut alone = Vec::new();
        for _ in 0..5 {
            let start = Instant::now();
            let echo = Echo::remote();
            echo.ping().get()?;
            alone.push(start.elapsed().as_secs_f64());
        }
        let start = Instant::now();
        let many: Vec<_> = (0..50).map(|_| Echo::remote()).collect();
        let pings: Vec<_> = many.iter().map(EchoHandle::ping).collect();
        get_all(&pings)?;
        Ok(vec![
            sample("actor.create_one_at_a_time", ray_floor::median(&mut alone)),
            sample(
                "actor.create_50_until_all_reply",
                start.elapsed().as_secs_f64(),
            ),
        ])
    },
};

/// Calls are made this long before they are measured.
const WARM_UP: Duration = Duration::from_millis(150);
