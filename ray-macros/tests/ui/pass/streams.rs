//! The forms of functions and methods that stream.

use std::{pin::Pin, rc::Rc};

use futures_core::Stream;
use ray_core::{ObjectRefStream, cancel, prelude::*, wait};

#[derive(Data, Clone, Debug)]
pub struct Row {
    pub cells: Vec<f32>,
}

#[remote]
pub fn rows(n: u64) -> impl Iterator<Item = Row> {
    (0..n).map(|x| Row {
        cells: vec![x as f32],
    })
}

#[remote(backpressure = 16, num_cpus = 2, max_retries = 0)]
fn lines(text: String) -> impl Iterator<Item = Result<String, std::io::Error>> + Send {
    text.lines()
        .map(|line| Ok(line.to_owned()))
        .collect::<Vec<_>>()
        .into_iter()
}

#[remote]
fn halves(batch: &Archived<Vec<f32>>) -> impl ExactSizeIterator<Item = f32> {
    batch.iter().map(|x| x.to_native() / 2.0)
}

#[remote]
async fn awaited(n: u64) -> impl Iterator<Item = u64> {
    0..n
}

#[remote]
fn polled(n: u64) -> impl Stream<Item = (u64, String)> {
    Numbers(n)
}

struct Numbers(u64);

impl Stream for Numbers {
    type Item = (u64, String);

    fn poll_next(
        self: Pin<&mut Self>,
        _cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<(u64, String)>> {
        std::task::Poll::Ready(None)
    }
}

#[actor(concurrency_groups(io = 2, compute = 4), max_concurrency = 3)]
pub struct Table {
    rows: Vec<Row>,
}

#[remote]
impl Table {
    pub fn new(rows: Vec<Row>) -> Self {
        Table { rows }
    }

    #[method(concurrency_group = "io", backpressure = 2)]
    pub fn scan(&self) -> impl Iterator<Item = Row> + '_ {
        self.rows.iter().cloned()
    }

    pub fn drain(&mut self) -> impl Iterator<Item = Row> {
        self.rows.drain(..)
    }

    #[method(concurrency_group = "compute")]
    pub fn count(&self) -> u64 {
        self.rows.len() as u64
    }
}

#[actor(concurrency_groups(io = 2))]
pub struct Unshared(Rc<u64>);

#[remote]
impl Unshared {
    pub fn new() -> Self {
        Unshared(Rc::new(3))
    }

    #[method(concurrency_group = "io")]
    pub async fn ticks(&self) -> impl Stream<Item = (u64, String)> + '_ {
        Numbers(*self.0)
    }

    pub fn more_ticks(&mut self) -> impl Stream<Item = (u64, String)> {
        Numbers(*self.0)
    }

    pub async fn numbers(&self) -> impl Iterator<Item = u64> {
        0..*self.0
    }
}

fn used() -> ray_core::Result<()> {
    let mut stream: ObjectRefStream<Row> = rows::options().backpressure(3).remote(10);
    let _called_as_written: Vec<Row> = rows(3).collect();
    let (_ready, _pending) = wait(&[stream.peek()], 1, None)?;
    let _first: Option<ObjectRef<Row>> = stream.next();
    cancel(&stream.completed())?;
    let _lines: ObjectRefStream<String> = lines::remote("a");
    let _halves: ObjectRefStream<f32> = halves::remote(vec![1.0]);
    let _awaited: ObjectRefStream<u64> = awaited::remote(&awaited::remote(1).peek());
    let _polled: ObjectRefStream<(u64, String)> = polled::remote(1);
    let table = Table::remote(Vec::new());
    let _rows = table.scan().chain(table.drain());
    let _count: ObjectRef<u64> = table.count();
    let unshared = Unshared::remote();
    let _ticks: ObjectRefStream<(u64, String)> = unshared.ticks();
    let _more = (unshared.more_ticks(), unshared.numbers());
    Ok(())
}

fn main() {
    let _compiles = used;
}
