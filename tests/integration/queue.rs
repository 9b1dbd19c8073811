//! Queues between processes: first in first out, bounded, with time limits, for many on both sides.

use std::time::Duration;

use ray_core::{Config, Error, get_all, init, prelude::*, util::Queue};
use ray_tests::{Tokens, add_token};

#[remote(num_cpus = 0)]
fn produce(queue: Queue<u64>, from: u64, count: u64) -> Result<(), Error> {
    (from..from + count).try_for_each(|x| queue.put(&x))
}

#[remote(num_cpus = 0)]
fn consume(queue: Queue<u64>, count: u64) -> Result<Vec<u64>, Error> {
    (0..count).map(|_| queue.get()).collect()
}

#[ray_core::test]
fn items_leave_in_the_order_in_which_they_came() -> ray_core::Result<()> {
    let _ray = init()?;
    let queue = Queue::new(0);
    for x in 0..20 {
        queue.put(&x)?;
    }
    assert_eq!(queue.size()?, 20);
    for x in 0..20 {
        assert_eq!(queue.get()?, x);
    }
    assert!(queue.is_empty()? && !queue.is_full()?);
    Ok(())
}

#[ray_core::test]
fn a_full_queue_refuses_and_an_empty_one_too() -> ray_core::Result<()> {
    let _ray = init()?;
    let queue = Queue::new(2);
    let limit = Duration::from_millis(5);
    assert_eq!(queue.get_nowait(), Err(Error::QueueEmpty));
    assert_eq!(queue.get_timeout(limit), Err(Error::QueueEmpty));
    queue.put_nowait(&1_u64)?;
    queue.put_timeout(&2, limit)?;
    assert!(queue.is_full()?);
    let full = Err(Error::QueueFull { capacity: 2 });
    assert_eq!(queue.put_nowait(&3), full);
    assert_eq!(queue.put_timeout(&3, limit), full);
    assert_eq!(queue.get_nowait()?, 1);
    queue.put_nowait(&3)?;
    assert_eq!(queue.get_timeout(limit)?, 2);
    assert_eq!(queue.get()?, 3);
    Ok(())
}

#[ray_core::test]
fn batches_are_all_or_nothing() -> ray_core::Result<()> {
    let _ray = init()?;
    let queue = Queue::new(3);
    queue.put_nowait_batch(&[1_u64, 2])?;
    assert_eq!(
        queue.put_nowait_batch(&[3, 4]),
        Err(Error::QueueFull { capacity: 3 })
    );
    assert_eq!(queue.size()?, 2);
    assert_eq!(queue.get_nowait_batch(3), Err(Error::QueueEmpty));
    assert_eq!(queue.get_nowait_batch(2)?, [1, 2]);
    queue.put_nowait_batch(&[])?;
    assert_eq!(queue.get_nowait_batch(0)?, Vec::<u64>::new());
    Ok(())
}

#[ray_core::test]
fn many_producers_and_consumers_lose_and_repeat_nothing() -> ray_core::Result<()> {
    let _ray = Config::new().num_cpus(4.0).init()?;
    let queue = Queue::new(3);
    let producers: Vec<_> = (0..3)
        .map(|p| produce::remote(&queue, p * 100, 40))
        .collect();
    let consumers: Vec<_> = (0..2).map(|_| consume::remote(&queue, 60)).collect();
    get_all(&producers)?;
    let lists = get_all(&consumers)?;
    for list in &lists {
        for producer in 0..3 {
            let own = list.iter().filter(|x| **x / 100 == producer);
            assert!(own.is_sorted(), "the order of one producer is kept");
        }
    }
    let mut all = lists.concat();
    all.sort_unstable();
    let expected: Vec<u64> = (0..3).flat_map(|p| p * 100..p * 100 + 40).collect();
    assert_eq!(all, expected);
    Ok(())
}

#[remote(num_cpus = 0)]
fn get_then_tell(queue: Queue<u64>, told: String) -> Result<u64, Error> {
    add_token(&told);
    queue.get()
}

#[ray_core::test]
fn whoever_waits_for_an_item_does_not_keep_items_out() -> ray_core::Result<()> {
    let _ray = init()?;
    let told = Tokens::new();
    let queue = Queue::new(1);
    let waiting = get_then_tell::remote(&queue, told.path());
    told.take();
    queue.put(&5)?;
    assert_eq!(waiting.get()?, 5);
    queue.put(&6)?;
    let room = produce::remote(&queue, 7, 1);
    assert_eq!(queue.get()?, 6);
    room.get()?;
    assert_eq!(queue.get()?, 7);
    Ok(())
}

#[remote(num_cpus = 0, max_retries = 0)]
fn put_and_die(queue: Queue<(Vec<u8>, ObjectRef<u64>)>, inner: ObjectRef<u64>) {
    queue.put(&(vec![7; 1 << 20], inner)).expect("room");
    std::process::abort();
}

#[ray_core::test]
fn an_item_outlives_its_producer_and_holds_the_references_inside() -> ray_core::Result<()> {
    let _ray = init()?;
    let queue = Queue::new(4);
    let inner = ray_core::put(&42_u64)?;
    let producer = put_and_die::remote(&queue, ray_core::put(&inner)?);
    assert!(producer.get().is_err());
    drop(inner);
    let (large, inner) = queue.get()?;
    assert_eq!((large.len(), inner.get()?), (1 << 20, 42));
    Ok(())
}

#[ray_core::test]
fn a_queue_that_was_shut_down_says_so() -> ray_core::Result<()> {
    let _ray = init()?;
    let queue = Queue::new(1);
    queue.put(&1_u64)?;
    queue.shutdown()?;
    assert!(matches!(queue.get(), Err(Error::ActorDied { .. })));
    Ok(())
}
