//! A group's members, played against each other in one thread: whoever's turn it is, the results are the same.

use std::{collections::VecDeque, ops::Range};

use ray_engine::collective::{
    Action, Busy, Call, Chunk, Fault, Lane, Limits, Member, Operation, Reduce, Request, Running,
    Scalar, Step, share,
};

/// A small generator, so that the tests need no crate for it.
struct Draws(u64);

impl Draws {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// What is on the way from one member to another.
enum Parcel {
    Chunk(Chunk, Vec<i32>),
    Taken(Lane, u64),
    Left,
}

struct Player {
    member: Member,
    values: Vec<i32>,
    running: Option<Running>,
    /// Requests that it still makes, in order.
    script: VecDeque<(Request, Vec<i32>)>,
    /// What each request left in the values, or why it did not.
    outcomes: Vec<Result<Vec<i32>, Fault>>,
    inbox: Vec<VecDeque<Vec<i32>>>,
}

/// A group whose members act in a drawn order over links that deliver in order, each at its own pace.
struct World {
    players: Vec<Player>,
    /// By sender, then receiver.
    links: Vec<Vec<VecDeque<Parcel>>>,
    on_the_way_max: u64,
}

const LIMITS: Limits = Limits {
    chunk_bytes: 8,
    window: 3,
};

impl World {
    fn new(scripts: Vec<Vec<(Request, Vec<i32>)>>) -> World {
        let world = scripts.len();
        let player = |(rank, script): (u32, Vec<_>)| Player {
            member: Member::new(rank, world as u32, LIMITS),
            values: Vec::new(),
            running: None,
            script: script.into(),
            outcomes: Vec::new(),
            inbox: (0..2 * world).map(|_| VecDeque::new()).collect(),
        };
        World {
            players: (0..).zip(scripts).map(player).collect(),
            links: (0..world)
                .map(|_| (0..world).map(|_| VecDeque::new()).collect())
                .collect(),
            on_the_way_max: 0,
        }
    }

    /// Plays until all scripts are done or nobody can act; returns the outcomes by member.
    fn play(mut self, seed: u64) -> Vec<Vec<Result<Vec<i32>, Fault>>> {
        let mut draws = Draws(seed);
        let world = self.players.len();
        let mut idle = 0;
        while idle < 400 * world {
            let rank = draws.below(world as u64) as usize;
            let acted = if draws.below(2) == 0 {
                self.act(rank)
            } else {
                let from = draws.below(world as u64) as usize;
                self.deliver(from, rank)
            };
            idle = if acted { 0 } else { idle + 1 };
        }
        assert!(self.on_the_way_max <= LIMITS.window);
        for player in &self.players {
            assert!(
                player.script.is_empty() && player.running.is_none(),
                "a member is stuck"
            );
        }
        self.players
            .into_iter()
            .map(|player| player.outcomes)
            .collect()
    }

    fn act(&mut self, rank: usize) -> bool {
        let player = &mut self.players[rank];
        let Some(running) = &mut player.running else {
            let Some((request, values)) = player.script.pop_front() else {
                return false;
            };
            player.values = values;
            player.running = Some(player.member.begin(request).expect("one call at a time"));
            return true;
        };
        let world = self.links.len();
        match player.member.poll_step(running) {
            Step::Send {
                to,
                chunk,
                elements,
            } => {
                let part = player.values[cut(&elements)].to_vec();
                let link = &mut self.links[rank][to as usize];
                link.push_back(Parcel::Chunk(chunk, part));
                let waiting = self.players[to as usize].inbox[slot(chunk.lane, rank, world)].len();
                let chunks = |parcel: &&Parcel| matches!(parcel, Parcel::Chunk(other, _) if other.lane == chunk.lane);
                let flying = self.links[rank][to as usize].iter().filter(chunks).count();
                self.on_the_way_max = self.on_the_way_max.max((waiting + flying) as u64);
            }
            Step::Take {
                from,
                lane,
                elements,
                action,
            } => {
                let part = player.inbox[slot(lane, from as usize, world)]
                    .pop_front()
                    .expect("a chunk is there when it is taken");
                let values = &mut player.values[cut(&elements)];
                assert_eq!(values.len(), part.len(), "both sides cut alike");
                for (value, other) in values.iter_mut().zip(part) {
                    *value = match action {
                        Action::Store => other,
                        Action::Reduce | Action::ReduceLast => value.wrapping_add(other),
                    };
                }
            }
            Step::Tell { to, lane, taken } => {
                self.links[rank][to as usize].push_back(Parcel::Taken(lane, taken))
            }
            Step::Wait { .. } => return false,
            Step::Done => {
                player.outcomes.push(Ok(player.values.clone()));
                player.running = None;
            }
            Step::Failed(fault) => {
                player.outcomes.push(Err(fault.clone()));
                player.running = None;
                // The edge tells the others.
                for other in &mut self.players {
                    other.member.on_fault(fault.clone());
                }
            }
        }
        true
    }

    fn deliver(&mut self, from: usize, to: usize) -> bool {
        let world = self.links.len();
        let Some(parcel) = self.links[from][to].pop_front() else {
            return false;
        };
        let player = &mut self.players[to];
        match parcel {
            Parcel::Chunk(chunk, part) => {
                player.inbox[slot(chunk.lane, from, world)].push_back(part);
                player.member.on_chunk(from as u32, chunk)
            }
            Parcel::Taken(lane, taken) => player.member.on_taken(from as u32, lane, taken),
            Parcel::Left => {
                player.member.on_left(from as u32);
                Ok(())
            }
        }
        .expect("members keep the rules");
        true
    }
}

fn slot(lane: Lane, from: usize, world: usize) -> usize {
    from + if lane == Lane::Direct { world } else { 0 }
}

fn cut(elements: &Range<u64>) -> Range<usize> {
    elements.start as usize..elements.end as usize
}

fn call(operation: Operation, len: usize) -> Call {
    Call {
        operation,
        scalar: Scalar::I32,
        len: len as u64,
    }
}

/// Values that differ by member and place, and overflow when they are added.
fn values(rank: u32, len: usize) -> Vec<i32> {
    (0..len as i32)
        .map(|at| {
            (at + 1)
                .wrapping_mul(1_000_003)
                .wrapping_mul(rank as i32 + 7)
        })
        .collect()
}

fn total(world: u32, len: usize) -> Vec<i32> {
    let mut sum = vec![0_i32; len];
    for rank in 0..world {
        for (sum, value) in sum.iter_mut().zip(values(rank, len)) {
            *sum = sum.wrapping_add(value);
        }
    }
    sum
}

/// Every member makes the same call; checks what each ends with.
fn all(operation: Operation, world: u32, len: usize, seed: u64, check: impl Fn(u32, &[i32])) {
    let scripts = (0..world)
        .map(|rank| vec![(Request::Group(call(operation, len)), values(rank, len))])
        .collect();
    for (rank, outcomes) in (0..).zip(World::new(scripts).play(seed)) {
        assert_eq!(outcomes.len(), 1);
        check(rank, outcomes[0].as_ref().expect("nothing goes wrong"));
    }
}

/// No elements, one, one fewer than members, odd numbers, several chunks a segment.
fn sizes(world: u32) -> Vec<usize> {
    vec![0, 1, world as usize - 1, 7, 13, 64, 101]
}

const SUM: Operation = Operation::AllReduce(Reduce::Sum);

#[test]
fn an_allreduce_equals_the_sum_in_sequence() {
    for world in 1..=6 {
        for (seed, len) in (0..).zip(sizes(world)) {
            let expected = total(world, len);
            all(SUM, world, len, seed, |_, values| {
                assert_eq!(values, expected)
            });
        }
    }
}

#[test]
fn a_reduce_scatter_leaves_each_member_its_share() {
    for world in 1..=6 {
        for (seed, len) in (0..).zip(sizes(world)) {
            let expected = total(world, len);
            let operation = Operation::ReduceScatter(Reduce::Sum);
            all(operation, world, len, seed, |rank, values| {
                let share = cut(&share(len as u64, world, rank));
                assert_eq!(values[share.clone()], expected[share]);
            });
        }
    }
}

#[test]
fn an_allgather_gives_everybody_all_parts() {
    for world in 1..=6 {
        for (seed, part) in (0..).zip([0_usize, 1, 3, 10]) {
            let len = part * world as usize;
            let expected: Vec<i32> = (0..world)
                .flat_map(|rank| values(rank, len)[rank as usize * part..][..part].to_vec())
                .collect();
            all(Operation::AllGather, world, len, seed, |_, values| {
                assert_eq!(values, expected);
            });
        }
    }
}

#[test]
fn a_broadcast_reaches_everybody_from_any_root() {
    for world in 1..=5 {
        for root in 0..world {
            for (seed, len) in (0..).zip(sizes(world)) {
                let operation = Operation::Broadcast { root };
                all(operation, world, len, seed, |_, got| {
                    assert_eq!(got, values(root, len));
                });
            }
        }
    }
}

#[test]
fn nobody_leaves_a_barrier_before_everybody_came() {
    for world in 2..=5_u32 {
        for late in 0..world {
            let barrier = call(Operation::Barrier, 0);
            let mut scripts: Vec<Vec<_>> = (0..world)
                .map(|_| vec![(Request::Group(barrier), Vec::new())])
                .collect();
            scripts[late as usize].clear();
            let mut game = World::new(scripts);
            for turn in 0..2_000_usize {
                let rank = turn % world as usize;
                game.act(rank);
                game.deliver(rank, (rank + 1) % world as usize);
            }
            let mut players = game.players.iter();
            assert!(players.all(|player| player.outcomes.is_empty()));
            let script = &mut game.players[late as usize].script;
            script.push_back((Request::Group(barrier), Vec::new()));
            let outcomes = game.play(u64::from(world));
            assert!(outcomes.iter().all(|made| made == &[Ok(Vec::new())]));
        }
    }
}

#[test]
fn calls_in_a_row_mix_nothing_whatever_the_order_of_events() {
    let world = 4_u32;
    let script = |rank: u32| {
        let group = |operation, len| (Request::Group(call(operation, len)), values(rank, len));
        // As much as the window takes: everybody sends before anybody receives.
        let direct = call(Operation::Direct, 6);
        let next = (rank + 1) % world;
        let before = (rank + world - 1) % world;
        let receive = Request::Receive {
            from: before,
            call: direct,
        };
        vec![
            group(SUM, 33),
            group(Operation::Broadcast { root: 2 }, 5),
            (
                Request::Send {
                    to: next,
                    call: direct,
                },
                values(rank, 6),
            ),
            (receive, vec![0; 6]),
            group(Operation::ReduceScatter(Reduce::Sum), 10),
            group(Operation::Barrier, 0),
            group(SUM, 8),
        ]
    };
    for seed in 0..300 {
        let outcomes = World::new((0..world).map(script).collect()).play(seed);
        for (rank, made) in (0..).zip(outcomes) {
            assert_eq!(made[0], Ok(total(world, 33)));
            assert_eq!(made[1], Ok(values(2, 5)));
            assert_eq!(made[3], Ok(values((rank + world - 1) % world, 6)));
            assert_eq!(made[6], Ok(total(world, 8)));
        }
    }
}

#[test]
fn a_different_call_of_one_member_fails_all_and_names_both() {
    let world = 4_u32;
    let others = [
        call(SUM, 12),
        call(Operation::AllReduce(Reduce::Max), 11),
        call(Operation::Broadcast { root: 1 }, 11),
        Call {
            scalar: Scalar::F32,
            ..call(SUM, 11)
        },
    ];
    for (seed, odd) in (0..).zip(others) {
        let script = |rank| {
            let made = if rank == 2 { odd } else { call(SUM, 11) };
            vec![(Request::Group(made), vec![0; 12])]
        };
        for outcomes in World::new((0..world).map(script).collect()).play(seed) {
            let Err(Fault::Mismatch {
                rank,
                call,
                other_rank,
                other_call,
            }) = &outcomes[0]
            else {
                panic!("{odd}: {outcomes:?}");
            };
            assert!(*rank == 2 || *other_rank == 2, "the odd one is named");
            let texts = [call, other_call];
            assert!(texts.iter().any(|text| text.starts_with(&odd.to_string())));
        }
    }
}

#[test]
fn a_member_that_skips_a_call_is_noticed() {
    let script = |rank| {
        let sum = (Request::Group(call(SUM, 6)), vec![0; 6]);
        if rank == 1 {
            vec![sum]
        } else {
            vec![
                (Request::Group(call(Operation::Barrier, 0)), Vec::new()),
                sum,
            ]
        }
    };
    for outcomes in World::new((0..3).map(script).collect()).play(1) {
        let failed = outcomes
            .iter()
            .any(|made| matches!(made, Err(Fault::Mismatch { .. })));
        assert!(failed, "{outcomes:?}");
    }
}

#[test]
fn what_a_member_sent_before_it_left_still_counts() {
    let sum = (Request::Group(call(SUM, 4)), vec![1; 4]);
    for seed in 0..50 {
        let mut game = World::new(vec![vec![sum.clone()]; 2]);
        let mut draws = Draws(seed);
        while game.players[0].outcomes.is_empty() {
            let rank = draws.below(2) as usize;
            game.act(rank);
            game.deliver(rank, 1 - rank);
        }
        game.links[0][1].push_back(Parcel::Left);
        game.players[1].member.on_gone(1, "never heard of");
        let outcomes = game.play(seed);
        let second = outcomes[1].first().expect("it is not stuck");
        if let Err(fault) = second {
            assert_eq!(
                fault,
                &Fault::Lost {
                    rank: 1,
                    reason: "never heard of".into()
                }
            );
        }
    }
}

#[test]
fn a_member_that_left_or_died_is_waited_for_by_nobody() {
    let sum = Request::Group(call(SUM, 4));
    let mut member = Member::new(0, 2, LIMITS);
    let mut running = member.begin(sum).expect("idle");
    assert!(matches!(member.poll_step(&mut running), Step::Send { .. }));
    assert_eq!(member.poll_step(&mut running), Step::Wait { from: 1 });
    member.on_left(1);
    let Step::Failed(Fault::Lost { rank: 1, .. }) = member.poll_step(&mut running) else {
        panic!("it would wait for ever");
    };
    let mut member = Member::new(0, 2, LIMITS);
    let mut running = member.begin(sum).expect("idle");
    member.on_gone(1, "killed");
    let lost = Fault::Lost {
        rank: 1,
        reason: "killed".into(),
    };
    assert_eq!(member.poll_step(&mut running), Step::Failed(lost.clone()));
    let mut next = member.begin(sum).expect("a failed call is over");
    assert_eq!(member.poll_step(&mut next), Step::Failed(lost));
}

#[test]
fn a_second_call_at_once_is_refused_unless_it_is_of_another_kind() {
    let mut member = Member::new(0, 3, LIMITS);
    let direct = call(Operation::Direct, 1);
    member.begin(Request::Group(call(SUM, 1))).expect("idle");
    assert!(matches!(
        member.begin(Request::Group(call(SUM, 1))),
        Err(Busy)
    ));
    member
        .begin(Request::Send {
            to: 1,
            call: direct,
        })
        .expect("another kind");
    let second = member.begin(Request::Send {
        to: 1,
        call: direct,
    });
    assert!(matches!(second, Err(Busy)));
    member
        .begin(Request::Receive {
            from: 1,
            call: direct,
        })
        .expect("the other direction");
    member
        .begin(Request::Send {
            to: 2,
            call: direct,
        })
        .expect("another member");
}

#[test]
fn a_peer_that_breaks_the_rules_is_told_which() {
    let chunk = |sequence| Chunk {
        lane: Lane::Group,
        sequence,
        round: 0,
        call: call(SUM, 100),
    };
    let mut member = Member::new(0, 3, LIMITS);
    assert!(member.on_chunk(3, chunk(0)).is_err(), "no such member");
    assert!(member.on_chunk(0, chunk(0)).is_err(), "itself");
    assert!(member.on_chunk(2, chunk(1)).is_err(), "out of order");
    for sequence in 0..LIMITS.window {
        assert_eq!(member.on_chunk(2, chunk(sequence)), Ok(()));
    }
    let over = member.on_chunk(2, chunk(LIMITS.window));
    assert!(over.is_err_and(|why| why.contains("more than was agreed")));
    let direct = Chunk {
        lane: Lane::Direct,
        ..chunk(0)
    };
    assert!(
        member.on_chunk(1, direct).is_err(),
        "the wrong conversation"
    );
    assert!(
        member.on_taken(1, Lane::Group, 1).is_err(),
        "nothing was sent"
    );
}
