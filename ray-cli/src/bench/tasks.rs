//! Tasks: one at a time, ten thousand at once, ten in a chain.

use std::time::Instant;

use ray_core::{get_all, prelude::*};

use super::{Group, median_us, sample};

/// Does nothing.
#[remote]
pub fn noop() {}

/// Gives back what it got.
#[remote]
pub fn pass(value: u64) -> u64 {
    value
}

pub const SYNC: Group = Group {
    metrics: &[("task.sync_roundtrip.p50", "us")],
    measure: || {
        let once = || Ok(noop::remote().get()?);
        median_us(100, once)?;
        Ok(vec![sample(
            "task.sync_roundtrip.p50",
            median_us(1000, once)?,
        )])
    },
};

pub const THROUGHPUT: Group = Group {
    metrics: &[
        ("task.async_throughput_10k", "tasks/s"),
        ("task.async_submit_rate_10k", "tasks/s"),
        ("task.async_throughput_100k", "tasks/s"),
    ],
    measure: || {
        let all = |count: usize| -> ray_core::Result<(f64, f64)> {
            let start = Instant::now();
            let refs: Vec<_> = (0..count).map(|_| noop::remote()).collect();
            let submitted = start.elapsed().as_secs_f64();
            get_all(&refs)?;
            Ok((
                count as f64 / start.elapsed().as_secs_f64(),
                count as f64 / submitted,
            ))
        };
        all(500)?;
        let (total, submitted) = all(10_000)?;
        let (long, _) = all(100_000)?;
        Ok(vec![
            sample("task.async_throughput_10k", total),
            sample("task.async_submit_rate_10k", submitted),
            sample("task.async_throughput_100k", long),
        ])
    },
};

pub const CHAIN: Group = Group {
    metrics: &[("task.chain_of_10_dependent.p50", "us")],
    measure: || {
        let once = || {
            let mut last = pass::remote(1);
            for _ in 1..10 {
                last = pass::remote(&last);
            }
            last.get()?;
            Ok(())
        };
        median_us(20, once)?;
        Ok(vec![sample(
            "task.chain_of_10_dependent.p50",
            median_us(100, once)?,
        )])
    },
};
