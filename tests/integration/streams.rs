//! Streaming generators: items in order as soon as each was made, errors as items, bounded run-ahead.

use std::time::Duration;

use ray_core::{Config, Error, ObjectRefStream, cancel, init, prelude::*, wait};
use ray_tests::{Tally, Tokens, add_token, eventually, take_token, tally};

#[remote]
fn count_to(n: u64) -> impl Iterator<Item = u64> {
    0..n
}

/// Makes an item for each token.
#[remote(num_cpus = 0)]
fn gated(path: String, n: u64) -> impl Iterator<Item = u64> {
    (0..n).inspect(move |_| take_token(&path))
}

fn values(stream: ObjectRefStream<u64>) -> Vec<u64> {
    stream
        .map(|item| item.get().expect("a good item"))
        .collect()
}

#[ray_core::test]
fn items_come_in_the_order_in_which_they_are_made() -> ray_core::Result<()> {
    let _ray = init()?;
    assert_eq!(
        values(count_to::remote(1000)),
        (0..1000).collect::<Vec<_>>()
    );
    let mut nothing = count_to::remote(0);
    assert!(nothing.next().is_none());
    assert!(nothing.next().is_none(), "the end stays the end");
    nothing.completed().get()
}

// 112
#[ray_core::test]
fn each_item_is_there_before_the_call_ends() -> ray_core::Result<()> {
    let _ray = init()?;
    let gate = Tokens::new();
    let mut stream = gated::remote(gate.path(), 3);
    for expected in 0..3 {
        assert!(!stream.is_next_ready() && !stream.is_finished());
        assert!(!stream.completed().is_ready());
        gate.add(1);
        assert!(eventually(|| stream.is_next_ready()));
        assert!(!stream.is_finished());
        let item = stream.next().expect("it is there");
        assert_eq!(item.get()?, expected);
    }
    stream.completed().get()?;
    assert!(stream.is_next_ready() && stream.is_finished());
    assert!(stream.next().is_none());
    Ok(())
}

// 111
#[ray_core::test]
fn waiting_for_a_stream_is_waiting_for_its_next_item() -> ray_core::Result<()> {
    let _ray = init()?;
    let (slow_gate, fast_gate) = (Tokens::new(), Tokens::new());
    let slow = gated::remote(slow_gate.path(), 1);
    let mut fast = gated::remote(fast_gate.path(), 1);
    fast_gate.add(1);
    let heads = [slow.peek(), fast.peek()];
    let (ready, pending) = wait(&heads, 1, None)?;
    assert_eq!(
        (ready[0].id(), pending[0].id()),
        (heads[1].id(), heads[0].id())
    );
    let item = fast.next().expect("it is there");
    assert_eq!(item.id(), heads[1].id(), "an item keeps its identity");
    let end = fast.peek();
    assert_eq!(end.get(), Err(Error::StreamEnded));
    slow_gate.add(1);
    assert_eq!(heads[0].get()?, 0);
    Ok(())
}

#[ray_core::test]
fn waiting_for_an_item_ends_in_time() -> ray_core::Result<()> {
    let _ray = init()?;
    let gate = Tokens::new();
    let mut stream = gated::remote(gate.path(), 1);
    let limit = Duration::from_millis(10);
    assert_eq!(
        stream.next_timeout(limit).err(),
        Some(Error::GetTimeout(limit))
    );
    gate.add(1);
    let item = stream.next_timeout(ray_tests::PATIENCE)?.expect("an item");
    assert_eq!(item.get()?, 0);
    assert!(stream.next_timeout(ray_tests::PATIENCE)?.is_none());
    Ok(())
}

#[remote]
fn counted(made: String, done: String, n: u64) -> impl Iterator<Item = u64> {
    let last = n - 1;
    (0..n).inspect(move |x| {
        tally(&made);
        if *x == last {
            add_token(&done);
        }
    })
}

#[ray_core::test]
fn the_producer_runs_to_its_end_whether_or_not_anybody_takes_items() -> ray_core::Result<()> {
    let _ray = init()?;
    let (made, done) = (Tally::new(), Tokens::new());
    let stream = counted::remote(made.path(), done.path(), 50);
    stream.completed().get()?;
    assert_eq!(made.count(), 50);
    assert_eq!(values(stream).len(), 50);
    Ok(())
}

/// Yields how many items had been taken when each was made.
#[remote(backpressure = 1)]
fn taken_before_each(taken: String, n: u64) -> impl Iterator<Item = u64> {
    (0..n).map(move |_| std::fs::metadata(&taken).expect("the tally").len())
}

// 109
#[ray_core::test]
fn backpressure_keeps_the_producer_from_running_ahead() -> ray_core::Result<()> {
    let _ray = init()?;
    let taken = Tally::new();
    let mut stream = taken_before_each::remote(taken.path(), 20);
    for number in 0..20 {
        assert!(eventually(|| stream.is_next_ready()));
        tally(taken.path());
        let seen = stream.next().expect("an item").get()?;
        assert!(
            seen >= number,
            "item {number} was made after {seen} were taken"
        );
    }
    assert!(stream.next().is_none());
    let taken = Tally::new();
    let wide = taken_before_each::options()
        .backpressure(8)
        .remote(taken.path(), 8);
    assert!(eventually(|| wide.is_next_ready()));
    assert_eq!(values(wide), [0; 8], "so many may wait");
    Ok(())
}

// 109
#[ray_core::test]
fn dropping_the_stream_lets_a_paused_producer_run_out() -> ray_core::Result<()> {
    let _ray = init()?;
    let (made, done) = (Tally::new(), Tokens::new());
    let mut stream = counted::options()
        .backpressure(2)
        .remote(made.path(), done.path(), 10);
    stream.next().expect("an item").get()?;
    assert!(done.is_empty());
    drop(stream);
    done.take();
    assert_eq!(made.count(), 10);
    let unseen = counted::options()
        .backpressure(1)
        .remote(made.path(), done.path(), 5);
    drop(unseen);
    done.take();
    Ok(())
}

#[remote(num_cpus = 0, backpressure = 1, resources("slot" = 1))]
fn holds_the_slot() -> impl Iterator<Item = u64> {
    0..
}

#[remote(num_cpus = 0, resources("slot" = 1))]
fn needs_the_slot() -> u64 {
    1
}

#[remote(num_cpus = 0, max_retries = 0)]
fn dies_with_a_stream() {
    let mut stream = holds_the_slot::remote();
    stream.next().expect("an item").get().expect("a good item");
    std::process::abort();
}

// 110
#[ray_core::test]
fn a_paused_producer_is_released_when_its_consumer_dies() -> ray_core::Result<()> {
    let _ray = Config::new().num_cpus(2.0).resource("slot", 1.0).init()?;
    let consumer = dies_with_a_stream::remote();
    assert!(matches!(consumer.get(), Err(Error::WorkerCrashed(_))));
    assert_eq!(needs_the_slot::remote().get()?, 1);
    Ok(())
}

#[remote]
fn add_one(x: u64) -> u64 {
    x + 1
}

#[ray_core::test]
fn a_paused_producer_leaves_its_cpu_to_others() -> ray_core::Result<()> {
    let _ray = Config::new().num_cpus(1.0).init()?;
    let taken = Tally::new();
    let mut stream = taken_before_each::remote(taken.path(), 2);
    let first = stream.next().expect("an item");
    assert!(eventually(|| stream.is_next_ready()));
    assert_eq!(add_one::remote(1).get()?, 2);
    assert_eq!(add_one::remote(&first).get()?, 1);
    Ok(())
}

#[derive(Data, Clone, Debug, PartialEq)]
struct Odd(u64);

impl std::fmt::Display for Odd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} is odd", self.0)
    }
}

#[remote]
fn evens(numbers: Vec<u64>) -> impl Iterator<Item = Result<u64, Odd>> {
    numbers
        .into_iter()
        .map(|x| if x % 2 == 0 { Ok(x) } else { Err(Odd(x)) })
}

// 115
#[ray_core::test]
fn an_error_is_the_item_after_the_last_good_one_and_then_the_stream_ends() -> ray_core::Result<()> {
    let _ray = init()?;
    let mut stream = evens::remote(vec![2, 4, 5, 6]);
    assert_eq!(stream.next().expect("an item").get()?, 2);
    assert_eq!(stream.next().expect("an item").get()?, 4);
    let error = stream.next().expect("the error").get().expect_err("5");
    assert_eq!(error.cause::<Odd>(), Some(Odd(5)));
    assert!(stream.next().is_none());
    assert!(stream.completed().get().is_err());
    Ok(())
}

#[remote]
fn panics_at(n: u64) -> impl Iterator<Item = u64> {
    (0..10).inspect(move |x| assert!(*x != n, "no {n} here"))
}

#[ray_core::test]
fn a_panic_is_an_item_that_fails() -> ray_core::Result<()> {
    let _ray = init()?;
    let items: Vec<_> = panics_at::remote(2).collect();
    assert_eq!(items.len(), 3);
    assert_eq!((items[0].get()?, items[1].get()?), (0, 1));
    let Err(Error::Task { message, .. }) = items[2].get() else {
        panic!("a panic is an error of the task");
    };
    assert!(message.contains("no 2 here"), "{message}");
    Ok(())
}

#[ray_core::test]
fn a_failed_argument_is_the_only_item() -> ray_core::Result<()> {
    let _ray = init()?;
    let mut bad = panics_at::remote(0);
    let bad = bad.next().expect("the panic");
    let items: Vec<_> = count_to::remote(&bad).collect();
    assert_eq!(items.len(), 1);
    assert!(matches!(items[0].get(), Err(Error::Task { .. })));
    Ok(())
}

/// Crashes once, when its consumer has seen what it made.
#[remote(max_retries = 1, num_cpus = 0)]
fn crashes_once(runs: String, seen: String, first: u64, then: u64) -> impl Iterator<Item = u64> {
    let is_first = tally(&runs) == 0;
    let n = if is_first { first } else { then };
    (0..n + u64::from(is_first)).inspect(move |x| {
        if is_first && *x == n {
            take_token(&seen);
            std::process::abort();
        }
    })
}

#[ray_core::test]
fn a_retried_stream_repeats_nothing_that_was_there() -> ray_core::Result<()> {
    let _ray = init()?;
    let (runs, seen) = (Tally::new(), Tokens::new());
    let mut stream = crashes_once::remote(runs.path(), seen.path(), 3, 6);
    let first = stream.next().expect("an item");
    let second = stream.peek();
    stream.next().expect("an item").get()?;
    assert!(eventually(|| stream.is_next_ready()));
    seen.add(1);
    assert_eq!(values(stream), [2, 3, 4, 5]);
    assert_eq!(runs.count(), 2);
    assert_eq!((first.get()?, second.get()?), (0, 1));
    Ok(())
}

#[ray_core::test]
fn a_retried_stream_with_fewer_items_fails() -> ray_core::Result<()> {
    let _ray = init()?;
    let (runs, seen) = (Tally::new(), Tokens::new());
    let mut stream = crashes_once::remote(runs.path(), seen.path(), 3, 1);
    for expected in 0..3 {
        assert_eq!(stream.next().expect("an item").get()?, expected);
    }
    seen.add(1);
    let fault = Error::StreamReplay {
        produced: 3,
        replayed: 1,
    };
    assert_eq!(stream.next().expect("the fault").get(), Err(fault.clone()));
    assert!(stream.next().is_none());
    assert_eq!(stream.completed().get(), Err(fault));
    Ok(())
}

#[ray_core::test]
fn a_crash_without_retries_is_an_item_that_fails() -> ray_core::Result<()> {
    let _ray = init()?;
    let (runs, seen) = (Tally::new(), Tokens::new());
    let mut stream = crashes_once::options()
        .max_retries(0)
        .remote(runs.path(), seen.path(), 1, 1);
    assert_eq!(stream.next().expect("an item").get()?, 0);
    seen.add(1);
    let crash = stream.next().expect("the crash").get();
    assert!(matches!(crash, Err(Error::WorkerCrashed(_))), "{crash:?}");
    assert!(stream.next().is_none());
    Ok(())
}

#[remote]
fn blocks(n: u8, bytes: u64) -> impl Iterator<Item = Vec<u8>> {
    (0..n).map(move |fill| vec![fill; bytes as usize])
}

#[ray_core::test]
fn large_items_go_through_the_store_and_are_freed() -> ray_core::Result<()> {
    let _ray = Config::new().object_store_memory(16 << 20).init()?;
    // Twice what the store holds: items must be freed as they are dropped, taken or not.
    let taken = blocks::options().backpressure(2).remote(16, 2 << 20);
    for (fill, block) in taken.enumerate() {
        let block = block.view()?;
        assert_eq!((block.len(), usize::from(block[1 << 20])), (2 << 20, fill));
    }
    for _ in 0..4 {
        let mut untaken = blocks::remote(4, 2 << 20);
        untaken.next().expect("an item").view()?;
        untaken.completed().get()?;
    }
    Ok(())
}

#[remote]
fn references(n: u64) -> impl Iterator<Item = ObjectRef<u64>> {
    (0..n).map(count)
}

fn count(x: u64) -> ObjectRef<u64> {
    ray_core::put(&x).expect("room")
}

#[ray_core::test]
fn references_inside_items_live_as_long_as_the_items() -> ray_core::Result<()> {
    let _ray = init()?;
    let mut sum = 0;
    for item in references::remote(10) {
        let inner = item.get()?;
        drop(item);
        sum += inner.get()?;
    }
    assert_eq!(sum, 45);
    Ok(())
}

#[ray_core::test]
fn an_item_that_is_not_there_yet_can_be_an_argument() -> ray_core::Result<()> {
    let _ray = init()?;
    let gate = Tokens::new();
    let stream = gated::remote(gate.path(), 1);
    let next = add_one::remote(stream.peek());
    assert!(!next.is_ready());
    gate.add(1);
    assert_eq!(next.get()?, 1);
    Ok(())
}

#[remote]
fn endless() -> impl Iterator<Item = u64> {
    0..
}

#[ray_core::test]
fn a_cancelled_stream_ends_with_an_item_that_says_so() -> ray_core::Result<()> {
    let _ray = init()?;
    for backpressure in [4, u32::MAX] {
        let mut stream = endless::options().backpressure(backpressure).remote();
        stream.next().expect("an item").get()?;
        cancel(&stream.completed())?;
        let last = stream.by_ref().find_map(|item| item.get().err());
        assert_eq!(last, Some(Error::Cancelled));
        assert!(stream.next().is_none());
        assert_eq!(stream.completed().get(), Err(Error::Cancelled));
    }
    Ok(())
}

#[ray_core::test]
fn wrong_options_make_the_only_item_fail() -> ray_core::Result<()> {
    let _ray = init()?;
    let mut stream = endless::options().backpressure(0).remote();
    let Err(Error::InvalidOption { option, .. }) = stream.next().expect("the fault").get() else {
        panic!("0 items can never be made");
    };
    assert_eq!(option, "backpressure");
    assert!(stream.next().is_none());
    let plain = add_one::options().backpressure(1).remote(1).get();
    assert!(
        matches!(plain, Err(Error::InvalidOption { .. })),
        "{plain:?}"
    );
    Ok(())
}

#[ray_core::test]
fn without_a_runtime_the_only_item_says_so() {
    let mut stream = count_to::remote(3);
    assert_eq!(
        stream.next().expect("the fault").get(),
        Err(Error::NotInitialized)
    );
    assert!(stream.next().is_none());
}
