//! Copies: into fresh room of a warm arena, and between two warm buffers.

use std::time::Instant;

use ray_shm::{Arena, ArenaOwner, SEGMENT_BYTES, Writer};

use crate::FloorError;

/// Puts `count` objects of `bytes` into a warm arena and frees each; microseconds a put.
///
/// # Errors
/// No room for two such objects.
pub fn arena_put(bytes: usize, count: usize) -> Result<f64, FloorError> {
    let source = vec![7u8; bytes];
    let mut owner = ArenaOwner::create(4 * (bytes as u64).next_multiple_of(SEGMENT_BYTES))?;
    let writer = Writer::new(Arena::map(owner.fd().try_clone_to_owned()?, 1)?);
    let range = owner
        .grant(2 * bytes as u64, 1)
        .ok_or("the arena has no room")?;
    writer.add_segments(range)?;
    let once = || -> Result<(), FloorError> {
        let mut guard = writer.alloc(bytes)?;
        guard.copy_from_slice(&source);
        writer.free(guard.seal())?;
        Ok(())
    };
    for _ in 0..4 {
        once()?;
    }
    let start = Instant::now();
    for _ in 0..count {
        once()?;
    }
    Ok(start.elapsed().as_secs_f64() * 1e6 / count as f64)
}

/// Copies `bytes` between two warm buffers; seconds.
pub fn memcpy(bytes: usize) -> f64 {
    let source = vec![7u8; bytes];
    let mut target = vec![1u8; bytes];
    target.copy_from_slice(&source);
    let start = Instant::now();
    target.copy_from_slice(std::hint::black_box(&source));
    let took = start.elapsed().as_secs_f64();
    std::hint::black_box(&target);
    took
}
