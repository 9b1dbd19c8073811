//! Methods of actors that stream: plain, threaded and async ones, and async consumers.

use std::time::Duration;

use ray_core::{CallOptions, Error, ObjectRefStream, cancel, init, prelude::*};
use ray_tests::{Tokens, take_token};

#[actor(num_cpus = 0)]
struct Shelf {
    books: Vec<String>,
    lent: u64,
}

#[remote]
impl Shelf {
    pub fn new(books: Vec<String>) -> Self {
        Shelf { books, lent: 0 }
    }

    pub fn titles(&self) -> impl Iterator<Item = String> + '_ {
        self.books.iter().cloned()
    }

    pub fn lend_all(&mut self) -> impl Iterator<Item = String> {
        let lent = &mut self.lent;
        self.books.drain(..).inspect(move |_| *lent += 1)
    }

    pub fn lent(&self) -> u64 {
        self.lent
    }

    #[method(backpressure = 1)]
    pub fn slowly(&self) -> impl Iterator<Item = u64> {
        0..
    }
}

fn strings(stream: ObjectRefStream<String>) -> ray_core::Result<Vec<String>> {
    stream.map(|item| item.get()).collect()
}

#[ray_core::test]
fn methods_stream_from_what_they_borrow() -> ray_core::Result<()> {
    let _ray = init()?;
    let books = vec!["Ubik".to_owned(), "Emma".to_owned()];
    let shelf = Shelf::remote(&books);
    assert_eq!(strings(shelf.titles())?, books);
    assert_eq!(strings(shelf.lend_all())?, books);
    assert_eq!(shelf.lent().get()?, 2);
    assert_eq!(shelf.titles().count(), 0);
    Ok(())
}

#[ray_core::test]
fn later_calls_wait_for_a_stream_and_go_on_when_it_is_dropped_and_cancelled() -> ray_core::Result<()>
{
    let _ray = init()?;
    let shelf = Shelf::remote(Vec::new());
    let mut stream = shelf.slowly();
    stream.next().expect("an item").get()?;
    let later = shelf.lent();
    assert!(later.get_timeout(Duration::from_millis(20)).is_err());
    cancel(&stream.completed())?;
    assert_eq!(later.get()?, 0);
    Ok(())
}

#[ray_core::test]
fn a_stream_of_a_dead_actor_says_so() -> ray_core::Result<()> {
    let _ray = init()?;
    let shelf = Shelf::remote(Vec::new());
    let mut stream = shelf.slowly();
    stream.next().expect("an item").get()?;
    shelf.kill(KillMode::NoRestart)?;
    let last = stream.by_ref().find_map(|item| item.get().err());
    assert!(matches!(last, Some(Error::ActorDied { .. })), "{last:?}");
    assert!(stream.next().is_none());
    let late = shelf.titles().next().expect("the fault").get();
    assert!(matches!(late, Err(Error::ActorDied { .. })), "{late:?}");
    Ok(())
}

#[remote(num_cpus = 0, max_retries = 0)]
fn dies_with_a_stream(shelf: ShelfHandle) {
    let mut stream = shelf.slowly();
    stream.next().expect("an item").get().expect("a good item");
    std::process::abort();
}

// 110
#[ray_core::test]
fn an_actor_goes_on_when_the_consumer_of_its_stream_dies() -> ray_core::Result<()> {
    let _ray = init()?;
    let shelf = Shelf::remote(Vec::new());
    let consumer = dies_with_a_stream::remote(&shelf);
    assert!(matches!(consumer.get(), Err(Error::WorkerCrashed(_))));
    assert_eq!(shelf.lent().get()?, 0);
    Ok(())
}

struct Ticks(u64, u64);

impl futures_core::Stream for Ticks {
    type Item = u64;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        _cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<u64>> {
        self.0 += 1;
        std::task::Poll::Ready((self.0 <= self.1).then_some(self.0))
    }
}

#[actor(num_cpus = 0)]
struct Clockwork;

#[remote]
impl Clockwork {
    pub fn new() -> Self {
        Clockwork
    }

    #[method(backpressure = 1)]
    pub async fn ticks(&self, n: u64) -> impl futures_core::Stream<Item = u64> {
        Ticks(0, n)
    }

    pub fn plain_ticks(&self, n: u64) -> impl futures_core::Stream<Item = u64> {
        Ticks(0, n)
    }

    pub async fn numbers(&self, n: u64) -> impl Iterator<Item = u64> {
        0..n
    }

    pub fn sync_numbers(&self) -> impl Iterator<Item = u64> {
        0..
    }

    pub async fn beat(&self) -> u64 {
        1
    }

    pub async fn sum(&self, gate: String) -> u64 {
        let mut stream = counted::remote(gate, 4);
        let mut sum = 0;
        while let Some(item) = stream.next_async().await {
            sum += item.await.expect("a good item");
        }
        sum
    }
}

#[remote(num_cpus = 0)]
fn counted(gate: String, n: u64) -> impl Iterator<Item = u64> {
    (0..n).inspect(move |_| take_token(&gate))
}

#[remote]
fn ticking_task(n: u64) -> impl futures_core::Stream<Item = u64> {
    Ticks(0, n)
}

#[ray_core::test]
fn an_async_actor_runs_other_methods_while_a_stream_pauses() -> ray_core::Result<()> {
    let _ray = init()?;
    let actor = Clockwork::remote();
    let mut ticks = actor.ticks(3);
    assert_eq!(ticks.next().expect("an item").get()?, 1);
    assert_eq!(actor.beat().get()?, 1);
    let rest: Vec<u64> = ticks.map(|item| item.get()).collect::<Result<_, _>>()?;
    assert_eq!(rest, [2, 3]);
    assert_eq!(actor.plain_ticks(5).count(), 5);
    assert_eq!(actor.numbers(4).count(), 4);
    assert_eq!(ticking_task::remote(6).count(), 6);
    Ok(())
}

#[ray_core::test]
fn a_stream_can_be_awaited_item_by_item() -> ray_core::Result<()> {
    let _ray = init()?;
    let gate = Tokens::new();
    let actor = Clockwork::remote();
    let sum = actor.sum(gate.path());
    assert_eq!(actor.beat().get()?, 1, "it waits without holding up others");
    gate.add(4);
    assert_eq!(sum.get()?, 6);
    Ok(())
}

#[ray_core::test]
fn backpressure_that_would_stop_an_async_actor_is_refused() -> ray_core::Result<()> {
    let _ray = init()?;
    let actor = Clockwork::remote().with_options(CallOptions::new().backpressure(1));
    let fault = actor.sync_numbers().next().expect("the fault").get();
    let Err(Error::InvalidOption { option, .. }) = fault else {
        panic!("{fault:?}");
    };
    assert_eq!(option, "backpressure");
    Ok(())
}
