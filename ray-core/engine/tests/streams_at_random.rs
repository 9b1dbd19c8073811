//! Streams under random crashes, takes and drops: every item once and in order, and nothing left behind.

use ray_engine::{
    failure::{Failure, RetryOn, WorkerExit},
    ids::{LeaseId, ObjectId, ProcessId, TaskId},
    owner::{Command, Limits, NextItem, ObjectState, Owner, ShapeId, TaskSubmit},
    producer::{Producer, Turn},
    time::Time,
};

const NOW: Time = Time(0);

/// Knuth's linear congruential generator: a failure names its seed, which repeats it.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// One stream, its owner, and the worker that runs it at the moment.
struct World {
    owner: Owner<(), u64>,
    task: TaskId,
    backpressure: u64,
    /// Which life of the worker, its attempt, and its producer; none while nobody runs the call.
    running: Option<(ProcessId, u32, Producer)>,
    lives: u64,
    freed: u64,
}

impl World {
    fn new(backpressure: u64) -> (World, ObjectId) {
        let mut owner = Owner::new(ProcessId(1), Limits::default());
        let submit = TaskSubmit {
            shape: ShapeId(0),
            returns: 1,
            dependencies: &[],
            nested: &[],
            max_retries: -1,
            retry_failures: RetryOn::Nothing,
            parent: None,
            payload: (),
        };
        let task = owner.submit_task(submit, NOW);
        let token = owner.open_stream(task, backpressure);
        let mut world = World {
            owner,
            task,
            backpressure,
            running: None,
            lives: 1,
            freed: 0,
        };
        world.carry_out();
        (world, token)
    }

    /// Plays the node and the wire.
    fn carry_out(&mut self) {
        while let Some(command) = self.owner.poll_command() {
            match command {
                Command::RequestLease { request, .. } => {
                    self.lives += 1;
                    let (lease, worker) = (LeaseId(self.lives), ProcessId(self.lives));
                    self.owner.on_lease_granted(request, lease, worker, NOW);
                }
                Command::SendTask {
                    worker, attempt, ..
                } => {
                    let producer = Producer::new(self.backpressure, u64::MAX);
                    self.running = Some((worker, attempt, producer));
                }
                Command::ReportTaken { worker, taken, .. } => {
                    if let Some((running, _, producer)) = &mut self.running
                        && *running == worker
                    {
                        producer.on_taken(taken);
                    }
                }
                Command::Free { .. } => self.freed += 1,
                _ => {}
            }
        }
    }

    /// Makes the next item, or ends the call; returns whether it has ended.
    fn step(&mut self, length: u64) -> bool {
        let Some((worker, attempt, producer)) = &mut self.running else {
            return false;
        };
        let (worker, attempt) = (*worker, *attempt);
        let turn = producer.turn();
        if turn == Turn::Pause {
            return false;
        }
        let position = producer.on_produced();
        if position == length {
            let outcome = Ok(vec![(0, Vec::new())]);
            self.owner
                .on_task_done(self.task, attempt, worker, outcome, 1, NOW);
        } else if turn == Turn::Send {
            let item = (position + 100, Vec::new());
            self.owner
                .on_item(self.task, attempt, worker, position, item);
        }
        self.carry_out();
        position == length
    }

    fn crash(&mut self) {
        if let Some((worker, ..)) = self.running.take() {
            let exit = WorkerExit {
                worker,
                ..WorkerExit::default()
            };
            self.owner
                .on_process_died(worker, Failure::WorkerCrashed(exit), NOW);
            self.carry_out();
        }
    }

    /// Takes an item, checks that it is the next one, and drops it; returns whether there was one.
    fn take(&mut self, expected: u64) -> bool {
        let NextItem::Taken(object) = self.owner.take_item(self.task) else {
            return false;
        };
        let value = expected + 100;
        assert_eq!(self.owner.state(object), ObjectState::Ready(&value));
        self.owner.drop_handle(object);
        self.carry_out();
        true
    }
}

#[test]
fn whatever_happens_every_item_comes_once_in_order() {
    for seed in 0..500 {
        let mut chance = Chance(seed);
        let (length, backpressure) = (chance.below(12), chance.below(4));
        let (mut world, token) = World::new(backpressure);
        let (mut taken, mut has_ended, mut crashes) = (0, false, 0);
        for step in 0.. {
            assert!(step < 10_000, "seed {seed}: it hangs");
            match chance.below(10) {
                0 if crashes < 5 && !has_ended => {
                    world.crash();
                    crashes += 1;
                }
                1..=4 => taken += u64::from(world.take(taken)),
                _ if !has_ended => has_ended = world.step(length),
                _ => {}
            }
            if has_ended && taken == length {
                break;
            }
        }
        assert_eq!(
            world.owner.take_item(world.task),
            NextItem::Ended,
            "seed {seed}"
        );
        assert!(
            matches!(
                world.owner.state(world.task.result(0)),
                ObjectState::Ready(_)
            ),
            "seed {seed}"
        );
        world.owner.drop_handle(token);
        world.owner.drop_handle(world.task.result(0));
        assert_eq!(world.owner.owned_objects(), 0, "seed {seed}");
        assert_eq!(world.owner.open_streams(), 0, "seed {seed}");
    }
}

#[test]
fn a_stream_that_is_dropped_at_any_time_ends_and_leaves_nothing() {
    for seed in 0..500 {
        let mut chance = Chance(seed);
        let (length, backpressure) = (chance.below(12), chance.below(4));
        let (mut world, token) = World::new(backpressure);
        let (mut taken, mut has_ended, mut crashes) = (0, false, 0);
        for _ in 0..chance.below(20) {
            match chance.below(10) {
                0 => world.crash(),
                1..=4 => taken += u64::from(world.take(taken)),
                _ if !has_ended => has_ended = world.step(length),
                _ => {}
            }
        }
        world.owner.drop_handle(token);
        world.carry_out();
        for step in 0.. {
            assert!(step < 10_000, "seed {seed}: the producer is not released");
            if has_ended {
                break;
            }
            if chance.below(10) == 0 && crashes < 5 {
                world.crash();
                crashes += 1;
            }
            has_ended = world.step(length);
        }
        world.owner.drop_handle(world.task.result(0));
        assert_eq!(world.owner.owned_objects(), 0, "seed {seed}");
        assert_eq!(world.owner.open_streams(), 0, "seed {seed}");
    }
}
