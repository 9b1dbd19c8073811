//! Streams, pools and queues: results item by item, work spread over actors, items between processes.
//!
//! cargo run --release --example streaming

use ray_core::{ActorPool, Queue, prelude::*};

/// At most four squares wait for the consumer; then the worker pauses.
#[remote(backpressure = 4)]
fn squares(n: u64) -> impl Iterator<Item = u64> {
    (1..=n).map(|x| x * x)
}

#[actor(num_cpus = 0)]
struct Rooter;

#[remote]
impl Rooter {
    pub fn new() -> Self {
        Rooter
    }

    pub fn root(&self, x: u64) -> f64 {
        (x as f64).sqrt()
    }
}

#[remote]
fn produce(queue: Queue<u64>) -> Result<(), ray_core::Error> {
    squares::remote(5).try_for_each(|square| queue.put(&square.get()?))
}

fn main() -> ray_core::Result<()> {
    let ray = ray_core::init()?;

    // Each item is there as soon as it was made, while the task still runs.
    for square in squares::remote(5) {
        print!("{} ", square.get()?);
    }
    println!();

    // Items are references: they can be arguments, and need not come here first.
    let mut pool = ActorPool::new((0..2).map(|_| Rooter::remote()));
    let roots = pool.map(|actor, square| actor.root(square), squares::remote(5));
    println!("{:?}", roots.collect::<ray_core::Result<Vec<f64>>>()?);

    // A queue holds two items at most; its producer waits for room.
    let queue = Queue::new(2);
    let produced = produce::remote(&queue);
    let total = (0..5).try_fold(0, |sum, _| Ok::<_, ray_core::Error>(sum + queue.get()?))?;
    produced.get()?;
    println!("{total}");
    ray.shutdown()
}
