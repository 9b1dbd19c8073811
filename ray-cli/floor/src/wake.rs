//! Two processes that wake each other by a futex: what a blocked reader costs at least.

use std::{
    os::fd::AsFd as _,
    process::{Child, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Instant,
};

use ray_shm::SharedWords;
use rustix::{io::Errno, thread::futex};

use crate::{FloorError, median};

/// The word that counts rounds asked for, and the one that counts rounds answered.
const PING: usize = 0;
const PONG: usize = 512;

/// Round trips between this process and `argv`, which must call [`futex_peer`]; the median in
/// microseconds of `count`.
///
/// # Errors
/// The peer could not start, or ended early.
pub fn measure_futex(argv: &[String], count: u32) -> Result<f64, FloorError> {
    let words = SharedWords::create()?;
    let mut peer: Child = std::process::Command::new(&argv[0])
        .args(&argv[1..])
        .arg(count.to_string())
        .stdin(Stdio::from(words.fd().try_clone_to_owned()?))
        .spawn()?;
    let mut samples = Vec::with_capacity(count as usize);
    for round in 1..=count {
        let start = Instant::now();
        post(words.word(PING), round)?;
        await_round(words.word(PONG), round, || match peer.try_wait() {
            Ok(Some(status)) => Err(format!("the futex peer ended early: {status}").into()),
            Ok(None) => Ok(()),
            Err(error) => Err(error.into()),
        })?;
        samples.push(start.elapsed().as_secs_f64() * 1e6);
    }
    peer.wait()?;
    Ok(median(&mut samples))
}

/// Answers `count` rounds over the page behind standard input.
///
/// # Errors
/// Standard input is not such a page.
pub fn futex_peer(count: u32) -> Result<(), FloorError> {
    let words = SharedWords::map(std::io::stdin().as_fd().try_clone_to_owned()?)?;
    let parent = rustix::process::getppid();
    for round in 1..=count {
        await_round(words.word(PING), round, || {
            (rustix::process::getppid() == parent)
                .then_some(())
                .ok_or_else(|| "the measuring process is gone".into())
        })?;
        post(words.word(PONG), round)?;
    }
    Ok(())
}

fn post(word: &AtomicU32, round: u32) -> Result<(), FloorError> {
    word.store(round, Ordering::Release);
    futex::wake(word, futex::Flags::empty(), 1)?;
    Ok(())
}

/// Sleeps until the word reaches `round`; looks every 100 ms whether the other side still lives.
fn await_round(
    word: &AtomicU32,
    round: u32,
    mut alive: impl FnMut() -> Result<(), FloorError>,
) -> Result<(), FloorError> {
    let tick = futex::Timespec {
        tv_sec: 0,
        tv_nsec: 100_000_000,
    };
    loop {
        let now = word.load(Ordering::Acquire);
        if now == round {
            return Ok(());
        }
        match futex::wait(word, futex::Flags::empty(), now, Some(&tick)) {
            Ok(()) | Err(Errno::AGAIN | Errno::INTR) => {}
            Err(Errno::TIMEDOUT) => alive()?,
            Err(error) => return Err(error.into()),
        }
    }
}
