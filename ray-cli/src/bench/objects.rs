//! Objects: put, view and wait.

use std::time::Instant;

use ray_core::{get_all, put, wait};

use super::{Failed, Group, Sample, median_us, sample, tasks};

/// Puts and views `count` objects of `bytes`; microseconds each.
fn put_and_get(
    (put_name, get_name): (&'static str, &'static str),
    bytes: usize,
    count: usize,
) -> Result<Vec<Sample>, Failed> {
    let source = vec![7u8; bytes];
    for _ in 0..2 {
        put(&source)?;
    }
    let start = Instant::now();
    for _ in 0..count {
        put(&source)?;
    }
    let put_us = start.elapsed().as_secs_f64() * 1e6 / count as f64;
    let object = put(&source)?;
    let start = Instant::now();
    for _ in 0..count {
        let view = object.view()?;
        if view.len() != bytes {
            return Err("the object came back with another length".into());
        }
    }
    let get_us = start.elapsed().as_secs_f64() * 1e6 / count as f64;
    Ok(vec![sample(put_name, put_us), sample(get_name, get_us)])
}

pub const SMALL: Group = Group {
    metrics: &[("object.put_1KB", "us"), ("object.get_1KB", "us")],
    measure: || put_and_get(("object.put_1KB", "object.get_1KB"), 1 << 10, 2000),
};

pub const MIDDLE: Group = Group {
    metrics: &[("object.put_1MB", "us"), ("object.get_1MB", "us")],
    measure: || put_and_get(("object.put_1MB", "object.get_1MB"), 1 << 20, 300),
};

pub const LARGE: Group = Group {
    metrics: &[("object.put_100MB", "us"), ("object.get_100MB", "us")],
    measure: || put_and_get(("object.put_100MB", "object.get_100MB"), 100 << 20, 10),
};

pub const HUGE: Group = Group {
    metrics: &[("object.put_1GB", "us"), ("object.get_1GB", "us")],
    measure: || put_and_get(("object.put_1GB", "object.get_1GB"), 1 << 30, 2),
};

pub const WAIT: Group = Group {
    metrics: &[("wait.1000_ready_refs", "us")],
    measure: || {
        let refs: Vec<_> = (0..1000).map(|_| tasks::noop::remote()).collect();
        get_all(&refs)?;
        let once = || {
            let (ready, _) = wait(&refs, 1000, None)?;
            (ready.len() == 1000)
                .then_some(())
                .ok_or_else(|| "a finished task was not ready".into())
        };
        median_us(5, once)?;
        Ok(vec![sample("wait.1000_ready_refs", median_us(100, once)?)])
    },
};
