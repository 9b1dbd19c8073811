//! Work of several submitters on few CPUs: nobody waits for the end of another's queue.

use ray_core::{Config, Error, prelude::*};
use ray_tests::{PATIENCE, exists};

/// Keeps a CPU busy for a moment.
#[remote]
fn spin(x: u64) -> u64 {
    (0..20_000_u64).fold(x, |sum, at| sum.wrapping_mul(31).wrapping_add(at))
}

/// Has more short tasks queued than the node can run, until the file is there; returns how many ended.
#[remote(num_cpus = 0)]
fn floods(until: String) -> Result<u64, Error> {
    let mut queue = std::collections::VecDeque::new();
    let mut ended = 0;
    while !exists(&until) {
        while queue.len() < 200 {
            queue.push_back(spin::remote(ended));
        }
        let oldest = queue.pop_front().expect("filled above");
        oldest.get()?;
        ended += 1;
    }
    Ok(ended)
}

#[ray_core::test]
fn a_long_queue_of_one_caller_lets_another_caller_in() -> ray_core::Result<()> {
    let _ray = Config::new().num_cpus(1.0).init()?;
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("stop");
    let flood = floods::remote(file.to_str().expect("UTF-8"));
    for x in 0..20 {
        spin::remote(x).get_timeout(PATIENCE)?;
    }
    std::fs::write(&file, "").expect("a file");
    assert!(flood.get()? > 0);
    Ok(())
}
