//! The pulls' events, one behaviour a test.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use ray_engine::{
    chunks::Chunks,
    failure::Failure,
    ids::{NodeId, ObjectId, ProcessId},
    pull::{Command, Priority, PullConfig, PullId, Pulls, Wanted},
    time::Time,
};

const A: NodeId = NodeId(1);
const B: NodeId = NodeId(2);
const NOW: Time = Time(1_000_000_000);
const CHUNK: u64 = 10;

fn id(index: u64) -> ObjectId {
    ObjectId {
        owner: ProcessId(9),
        index,
    }
}

fn config() -> PullConfig {
    PullConfig {
        chunk_bytes: CHUNK,
        in_flight_bytes_max: 100,
        per_holder_max: 8,
        ..PullConfig::default()
    }
}

fn pulls_with(config: PullConfig) -> Pulls {
    let mut pulls = Pulls::new(config, 1);
    pulls.on_room(1_000, NOW);
    pulls
}

fn pull(pulls: &mut Pulls, pull: u64, objects: &[(u64, u64)], priority: Priority) {
    let wanted = objects.iter().map(|(index, chunks)| Wanted {
        object: id(*index),
        bytes: chunks * CHUNK,
    });
    pulls.pull(PullId(pull), &wanted.collect::<Vec<_>>(), priority, NOW);
}

/// Returns a pull of one object of so many chunks, asked for and located nowhere yet.
fn one(config: PullConfig, chunks: u64) -> Pulls {
    let mut pulls = pulls_with(config);
    pull(&mut pulls, 1, &[(1, chunks)], Priority::Get);
    commands(&mut pulls);
    pulls
}

fn commands(pulls: &mut Pulls) -> Vec<Command> {
    std::iter::from_fn(|| pulls.poll_command()).collect()
}

fn fetches(commands: &[Command]) -> BTreeMap<u32, NodeId> {
    commands
        .iter()
        .filter_map(|command| match command {
            Command::Fetch { chunk, from, .. } => Some((*chunk, *from)),
            _ => None,
        })
        .collect()
}

fn some(count: u32, chunks: &[u32]) -> Chunks {
    let mut set = Chunks::none(count);
    for chunk in chunks {
        set.insert(*chunk);
    }
    set
}

#[test]
fn an_object_is_located_given_a_place_fetched_and_sealed() {
    let mut pulls = pulls_with(config());
    pull(&mut pulls, 1, &[(1, 2)], Priority::Get);
    let object = id(1);
    assert_eq!(
        commands(&mut pulls),
        [
            Command::Locate { object },
            Command::Create { object, bytes: 20 }
        ]
    );
    pulls.on_holder(object, A, Chunks::all(2), NOW);
    assert_eq!(
        fetches(&commands(&mut pulls)),
        BTreeMap::from([(0, A), (1, A)])
    );
    assert_eq!(pulls.in_flight_bytes(), 20);
    pulls.on_chunk(object, 1, A, NOW);
    assert_eq!(
        commands(&mut pulls),
        [Command::Announce {
            object,
            chunks: some(2, &[1])
        }]
    );
    pulls.on_chunk(object, 0, A, NOW);
    let pull = PullId(1);
    assert_eq!(
        commands(&mut pulls),
        [Command::Seal { object }, Command::Done { pull }]
    );
    assert_eq!((pulls.in_flight_bytes(), pulls.reserved_bytes()), (0, 0));
    assert_eq!(pulls.poll_timeout(), None);
}

#[test]
fn bytes_in_flight_have_a_limit() {
    let limited = PullConfig {
        in_flight_bytes_max: 30,
        ..config()
    };
    let mut pulls = one(limited, 5);
    pulls.on_holder(id(1), A, Chunks::all(5), NOW);
    let asked = fetches(&commands(&mut pulls));
    assert_eq!(asked.len(), 3);
    let first = *asked.keys().next().expect("three were asked");
    pulls.on_chunk(id(1), first, A, NOW);
    assert_eq!(fetches(&commands(&mut pulls)).len(), 1);
    assert_eq!(pulls.in_flight_bytes(), 30);
}

#[test]
fn a_chunk_over_the_limit_goes_alone() {
    let limited = PullConfig {
        in_flight_bytes_max: 1,
        ..config()
    };
    let mut pulls = one(limited, 2);
    pulls.on_holder(id(1), A, Chunks::all(2), NOW);
    assert_eq!(fetches(&commands(&mut pulls)).len(), 1);
}

#[test]
fn chunks_are_shared_among_holders_by_load() {
    let mut pulls = pulls_with(config());
    pulls.on_load(A, 2);
    // Both are known before anything may be fetched.
    pulls.on_room(0, NOW);
    pull(&mut pulls, 1, &[(1, 4)], Priority::Get);
    pulls.on_holder(id(1), A, Chunks::all(4), NOW);
    pulls.on_holder(id(1), B, Chunks::all(4), NOW);
    pulls.on_room(100, NOW);
    let asked = fetches(&commands(&mut pulls));
    assert_eq!(asked.values().filter(|from| **from == B).count(), 3);
    assert_eq!(asked.values().filter(|from| **from == A).count(), 1);
}

#[test]
fn a_holder_is_asked_for_so_many_chunks_at_a_time() {
    let limited = PullConfig {
        per_holder_max: 2,
        ..config()
    };
    let mut pulls = one(limited, 5);
    pulls.on_holder(id(1), A, Chunks::all(5), NOW);
    assert_eq!(fetches(&commands(&mut pulls)).len(), 2);
    pulls.on_holder(id(1), B, Chunks::all(5), NOW);
    assert_eq!(fetches(&commands(&mut pulls)).len(), 2);
}

#[test]
fn a_holder_of_some_chunks_counts_for_those() {
    let mut pulls = one(config(), 3);
    pulls.on_holder(id(1), B, some(3, &[2]), NOW);
    assert_eq!(fetches(&commands(&mut pulls)), BTreeMap::from([(2, B)]));
    pulls.on_holder(id(1), B, some(3, &[0, 2]), NOW);
    assert_eq!(fetches(&commands(&mut pulls)), BTreeMap::from([(0, B)]));
}

#[test]
fn who_has_parts_is_asked_for_them_before_who_has_all() {
    let mut pulls = pulls_with(config());
    pulls.on_room(0, NOW);
    pull(&mut pulls, 1, &[(1, 4)], Priority::Get);
    pulls.on_holder(id(1), A, Chunks::all(4), NOW);
    pulls.on_holder(id(1), B, some(4, &[0, 3]), NOW);
    pulls.on_room(100, NOW);
    assert_eq!(
        fetches(&commands(&mut pulls)),
        BTreeMap::from([(0, B), (1, A), (2, A), (3, B)])
    );
}

#[test]
fn who_has_all_is_asked_for_little_that_others_have_too() {
    let limited = PullConfig {
        per_holder_max: 2,
        ..config()
    };
    let mut pulls = pulls_with(limited);
    pulls.on_room(0, NOW);
    pull(&mut pulls, 1, &[(1, 8)], Priority::Get);
    pulls.on_holder(id(1), A, Chunks::all(8), NOW);
    pulls.on_holder(id(1), B, some(8, &[0, 1, 2, 3, 4, 5, 6]), NOW);
    pulls.on_room(100, NOW);
    let asked = fetches(&commands(&mut pulls));
    assert_eq!(asked.get(&7), Some(&A), "what nobody else has comes first");
    assert_eq!(asked.values().filter(|from| **from == B).count(), 2);
    assert_eq!(asked.len(), 3, "{asked:?}");
    pulls.on_chunk(id(1), 7, A, NOW);
    assert_eq!(
        fetches(&commands(&mut pulls)).len(),
        0,
        "the rest comes from B"
    );
    // B is slow: one chunk at a time comes from who has all.
    let slow = NOW + config().slow_after;
    assert_eq!(pulls.poll_timeout(), Some(slow));
    pulls.on_timeout(slow);
    let next = fetches(&commands(&mut pulls));
    assert_eq!(next.into_values().collect::<Vec<_>>(), [A]);
    assert_ne!(pulls.poll_timeout(), Some(slow), "that is done");
}

#[test]
fn what_a_busy_holder_of_parts_has_is_asked_of_who_has_all() {
    let mut pulls = one(config(), 2);
    pulls.on_holder(id(1), B, some(2, &[0, 1]), NOW);
    commands(&mut pulls);
    pulls.on_holder(id(1), B, some(2, &[0]), NOW);
    pulls.on_holder_busy(id(1), 0, B, NOW);
    pulls.on_holder_busy(id(1), 1, B, NOW);
    commands(&mut pulls);
    pulls.on_holder(id(1), A, Chunks::all(2), NOW);
    assert_eq!(
        fetches(&commands(&mut pulls)),
        BTreeMap::from([(0, A), (1, A)])
    );
}

#[test]
fn what_is_here_is_told_at_first_and_then_every_few_chunks() {
    let mut pulls = pulls_with(config());
    pulls.on_room(10_000, NOW);
    pull(&mut pulls, 1, &[(1, 256)], Priority::Get);
    pulls.on_holder(id(1), A, Chunks::all(256), NOW);
    let mut asked = VecDeque::from_iter(fetches(&commands(&mut pulls)).into_keys());
    let mut told = Vec::new();
    for have in 1..=24 {
        let chunk = asked.pop_front().expect("more is asked for");
        pulls.on_chunk(id(1), chunk, A, NOW);
        let news = commands(&mut pulls);
        asked.extend(fetches(&news).into_keys());
        if news
            .iter()
            .any(|news| matches!(news, Command::Announce { .. }))
        {
            told.push(have);
        }
    }
    assert_eq!(told, [1, 2, 4, 8, 12, 16, 20, 24]);
}

#[test]
fn what_has_come_stays_when_a_holder_dies() {
    let mut pulls = one(config(), 3);
    pulls.on_holder(id(1), A, Chunks::all(3), NOW);
    pulls.on_chunk(id(1), 0, A, NOW);
    pulls.on_holder(id(1), B, Chunks::all(3), NOW);
    commands(&mut pulls);
    pulls.on_node_died(A, NOW);
    assert_eq!(
        fetches(&commands(&mut pulls)),
        BTreeMap::from([(1, B), (2, B)])
    );
    assert_eq!(pulls.held_chunks(id(1)), Some(&some(3, &[0])));
    assert_eq!(pulls.in_flight_bytes(), 20);
}

#[test]
fn a_sender_of_a_wrong_chunk_is_not_asked_again() {
    let mut pulls = one(config(), 2);
    pulls.on_holder(id(1), A, Chunks::all(2), NOW);
    commands(&mut pulls);
    pulls.on_chunk_corrupt(id(1), 0, A, NOW);
    pulls.on_holder(id(1), A, Chunks::all(2), NOW);
    assert_eq!(fetches(&commands(&mut pulls)), BTreeMap::new());
    pulls.on_holder(id(1), B, Chunks::all(2), NOW);
    assert_eq!(
        fetches(&commands(&mut pulls)),
        BTreeMap::from([(0, B), (1, B)])
    );
}

#[test]
fn a_refused_chunk_is_asked_of_another() {
    let mut pulls = one(config(), 1);
    pulls.on_holder(id(1), A, Chunks::all(1), NOW);
    pulls.on_holder(id(1), B, Chunks::all(1), NOW);
    commands(&mut pulls);
    pulls.on_chunk_refused(id(1), 0, A, NOW);
    assert_eq!(fetches(&commands(&mut pulls)), BTreeMap::from([(0, B)]));
}

#[test]
fn a_busy_holder_is_left_alone_and_newer_ones_are_looked_for() {
    let mut pulls = one(config(), 1);
    let later = NOW + Duration::from_millis(50);
    pulls.on_holder(id(1), A, Chunks::all(1), NOW);
    assert_eq!(fetches(&commands(&mut pulls)), [(0, A)].into());
    pulls.on_holder_busy(id(1), 0, A, later);
    assert_eq!(commands(&mut pulls), [Command::Locate { object: id(1) }]);
    assert_eq!(pulls.in_flight_bytes(), 0);
    pulls.on_holder(id(1), B, Chunks::none(1), later);
    assert_eq!(
        commands(&mut pulls),
        [],
        "who is busy is not asked again yet"
    );
    let free = pulls.poll_timeout().expect("it is asked again");
    assert_eq!(free, later + Duration::from_millis(20));
    pulls.on_timeout(free);
    assert_eq!(fetches(&commands(&mut pulls)), [(0, A)].into());
}

#[test]
fn what_the_owner_gave_up_fails_at_once() {
    let mut pulls = one(config(), 2);
    pulls.on_holder(id(1), A, Chunks::all(2), NOW);
    commands(&mut pulls);
    let failure = Failure::ObjectFreed(id(1));
    pulls.on_lost(id(1), &failure, NOW);
    let commands = commands(&mut pulls);
    assert!(commands.contains(&Command::Abandon { object: id(1) }));
    assert!(commands.contains(&Command::Fail {
        pull: PullId(1),
        object: id(1),
        failure
    }));
    assert_eq!((pulls.in_flight_bytes(), pulls.reserved_bytes()), (0, 0));
}

#[test]
fn a_chunk_that_does_not_come_is_asked_of_another() {
    let mut pulls = one(config(), 1);
    pulls.on_holder(id(1), A, Chunks::all(1), NOW);
    pulls.on_holder(id(1), B, Chunks::all(1), NOW);
    commands(&mut pulls);
    let late = NOW + config().retry_after;
    assert_eq!(pulls.poll_timeout(), Some(late));
    pulls.on_timeout(late);
    let done = commands(&mut pulls);
    assert!(done.contains(&Command::CancelFetch {
        object: id(1),
        chunk: 0,
        from: A
    }));
    assert_eq!(fetches(&done), BTreeMap::from([(0, B)]));
    // It came after all, from the first.
    pulls.on_chunk(id(1), 0, A, late);
    let done = commands(&mut pulls);
    assert!(done.contains(&Command::CancelFetch {
        object: id(1),
        chunk: 0,
        from: B
    }));
    assert!(done.contains(&Command::Done { pull: PullId(1) }));
}

#[test]
fn holders_are_looked_for_again_while_there_are_none() {
    let mut pulls = one(config(), 1);
    let later = NOW + config().locate_interval;
    assert_eq!(pulls.poll_timeout(), Some(later));
    pulls.on_timeout(later);
    assert_eq!(commands(&mut pulls), [Command::Locate { object: id(1) }]);
    pulls.on_holder(id(1), A, Chunks::all(1), later);
    pulls.on_timeout(later + config().locate_interval);
    assert_eq!(fetches(&commands(&mut pulls)).len(), 1);
}

#[test]
fn a_pull_that_gets_nothing_for_long_fails() {
    let mut pulls = one(config(), 1);
    pulls.on_timeout(NOW + config().fail_after);
    let done = commands(&mut pulls);
    assert!(done.iter().any(|command| matches!(
        command,
        Command::Fail {
            failure: Failure::ObjectLost { .. },
            ..
        }
    )));
    assert!(done.contains(&Command::Abandon { object: id(1) }));
    assert_eq!(pulls.poll_timeout(), None);
}

#[test]
fn a_pull_is_let_in_whole_or_not_at_all() {
    let mut pulls = pulls_with(config());
    pulls.on_room(50, NOW);
    pull(&mut pulls, 1, &[(1, 3)], Priority::Arguments);
    commands(&mut pulls);
    pull(&mut pulls, 2, &[(2, 1), (3, 2)], Priority::Arguments);
    let done = commands(&mut pulls);
    assert!(done.contains(&Command::MakeRoom { bytes: 10 }));
    assert_eq!(pulls.reserved_bytes(), 30);
    pulls.on_room(60, NOW);
    assert_eq!(pulls.reserved_bytes(), 60);
}

#[test]
fn nothing_passes_a_pull_that_waits_for_room() {
    let mut pulls = pulls_with(config());
    pulls.on_room(50, NOW);
    pull(&mut pulls, 1, &[(1, 9)], Priority::Arguments);
    pull(&mut pulls, 2, &[(2, 1)], Priority::Arguments);
    assert_eq!(pulls.reserved_bytes(), 0);
    pull(&mut pulls, 3, &[(3, 1)], Priority::Get);
    assert_eq!(pulls.reserved_bytes(), 10);
}

#[test]
fn a_get_sends_arguments_out_that_hold_its_room() {
    let mut pulls = pulls_with(config());
    pulls.on_room(40, NOW);
    pull(&mut pulls, 1, &[(1, 2)], Priority::Arguments);
    pull(&mut pulls, 2, &[(2, 2)], Priority::Arguments);
    pulls.on_holder(id(2), A, Chunks::all(2), NOW);
    pulls.on_chunk(id(2), 0, A, NOW);
    commands(&mut pulls);
    pull(&mut pulls, 3, &[(3, 2)], Priority::Get);
    let done = commands(&mut pulls);
    let (object, created) = (id(2), id(3));
    assert!(done.contains(&Command::Abandon { object }));
    assert!(done.contains(&Command::CancelFetch {
        object,
        chunk: 1,
        from: A
    }));
    assert!(done.contains(&Command::Create {
        object: created,
        bytes: 20
    }));
    assert_eq!(pulls.reserved_bytes(), 40);
    // It comes back when the get is done, and begins anew.
    pulls.cancel(PullId(3), NOW);
    assert_eq!(fetches(&commands(&mut pulls)).len(), 2);
}

#[test]
fn a_get_that_cannot_fit_sends_nothing_out() {
    let mut pulls = pulls_with(config());
    pulls.on_room(40, NOW);
    pull(&mut pulls, 1, &[(1, 2)], Priority::Arguments);
    commands(&mut pulls);
    pull(&mut pulls, 2, &[(2, 5)], Priority::Get);
    assert_eq!(
        commands(&mut pulls),
        [
            Command::Locate { object: id(2) },
            Command::MakeRoom { bytes: 10 }
        ]
    );
    assert_eq!(pulls.reserved_bytes(), 20);
}

#[test]
fn a_get_is_fetched_before_arguments() {
    let limited = PullConfig {
        in_flight_bytes_max: 10,
        ..config()
    };
    let mut pulls = pulls_with(limited);
    pull(&mut pulls, 1, &[(1, 2)], Priority::Arguments);
    pull(&mut pulls, 2, &[(2, 1)], Priority::Get);
    pulls.on_holder(id(1), A, Chunks::all(2), NOW);
    pulls.on_holder(id(2), A, Chunks::all(1), NOW);
    let asked = fetches(&commands(&mut pulls));
    let chunk = *asked.keys().next().expect("one was asked");
    pulls.on_chunk(id(1), chunk, A, NOW);
    let next = commands(&mut pulls)
        .into_iter()
        .find_map(|command| match command {
            Command::Fetch { object, .. } => Some(object),
            _ => None,
        });
    assert_eq!(next, Some(id(2)));
}

#[test]
fn what_nobody_wants_any_more_is_abandoned() {
    let mut pulls = pulls_with(config());
    pull(&mut pulls, 1, &[(1, 1)], Priority::Get);
    pull(&mut pulls, 2, &[(1, 1)], Priority::Arguments);
    pulls.on_holder(id(1), A, Chunks::all(1), NOW);
    commands(&mut pulls);
    pulls.cancel(PullId(1), NOW);
    assert_eq!(commands(&mut pulls), []);
    pulls.cancel(PullId(2), NOW);
    assert_eq!(
        commands(&mut pulls),
        [
            Command::CancelFetch {
                object: id(1),
                chunk: 0,
                from: A
            },
            Command::Abandon { object: id(1) }
        ]
    );
    pulls.on_chunk(id(1), 0, A, NOW);
    assert_eq!(commands(&mut pulls), []);
}

#[test]
fn an_object_for_two_pulls_is_fetched_once() {
    let mut pulls = pulls_with(config());
    pull(&mut pulls, 1, &[(1, 1)], Priority::Get);
    pull(&mut pulls, 2, &[(1, 1), (2, 1)], Priority::Get);
    pulls.on_holder(id(1), A, Chunks::all(1), NOW);
    assert_eq!(fetches(&commands(&mut pulls)).len(), 1);
    pulls.on_chunk(id(1), 0, A, NOW);
    let done = commands(&mut pulls);
    assert!(done.contains(&Command::Done { pull: PullId(1) }));
    pulls.on_local(id(2), NOW);
    let done = commands(&mut pulls);
    assert!(done.contains(&Command::Done { pull: PullId(2) }));
}

#[test]
fn pullers_begin_at_different_chunks() {
    let first = |seed| {
        let limited = PullConfig {
            in_flight_bytes_max: 10,
            ..config()
        };
        let mut pulls = Pulls::new(limited, seed);
        pulls.on_room(1_000, NOW);
        pull(&mut pulls, 1, &[(1, 64)], Priority::Get);
        pulls.on_holder(id(1), A, Chunks::all(64), NOW);
        let asked = fetches(&commands(&mut pulls));
        *asked.keys().next().expect("one was asked")
    };
    let firsts = (1..=16)
        .map(first)
        .collect::<std::collections::BTreeSet<_>>();
    assert!(firsts.len() > 8, "{firsts:?}");
    assert_eq!(first(3), first(3));
}

#[test]
fn a_broadcast_ends_with_every_puller_serving_others() {
    // One source and 15 pullers, one chunk a tick from each node: a chain would take 16 x 15 ticks.
    let chunks = 16;
    let limited = PullConfig {
        per_holder_max: 1,
        in_flight_bytes_max: CHUNK,
        ..config()
    };
    let object = id(1);
    let mut nodes = (1..=15)
        .map(|node| {
            let mut pulls = Pulls::new(limited, node);
            pulls.on_room(1_000, NOW);
            pull(&mut pulls, 1, &[(1, 16)], Priority::Get);
            pulls.on_holder(object, NodeId(0), Chunks::all(chunks), NOW);
            (NodeId(node), pulls)
        })
        .collect::<Vec<_>>();
    let mut ticks = 0;
    let mut done = 0;
    while done < 15 {
        ticks += 1;
        assert!(ticks < 80, "{done} of 15 after {ticks} ticks");
        let mut served = BTreeMap::<NodeId, u32>::new();
        let now = NOW + Duration::from_millis(ticks);
        let mut news = Vec::new();
        for (node, pulls) in &mut nodes {
            for command in commands(pulls) {
                match command {
                    Command::Fetch { chunk, from, .. } => {
                        let load = served.entry(from).or_default();
                        *load += 1;
                        if *load == 1 {
                            pulls.on_chunk(object, chunk, from, now);
                        } else {
                            // Busy: it is asked of another, and of this one again when it has told.
                            pulls.on_chunk_refused(object, chunk, from, now);
                        }
                    }
                    Command::Done { .. } => done += 1,
                    _ => {}
                }
            }
            let held = pulls.held_chunks(object).cloned();
            news.push((*node, held.unwrap_or_else(|| Chunks::all(chunks))));
        }
        news.push((NodeId(0), Chunks::all(chunks)));
        for (node, pulls) in &mut nodes {
            for (holder, chunks) in &news {
                if holder != node {
                    let load = served.get(holder).copied().unwrap_or(0);
                    pulls.on_load(*holder, load);
                    pulls.on_holder(object, *holder, chunks.clone(), now);
                }
            }
        }
    }
}

#[test]
fn the_source_of_a_broadcast_gives_each_chunk_away_about_once() {
    // Every node sends one chunk a tick and says what it has at the end of each; the source serves two at a time.
    let (count, pullers) = (64_u32, 4_u64);
    let object = id(1);
    let source = NodeId(0);
    let roomy = PullConfig {
        in_flight_bytes_max: 1_000,
        per_holder_max: 4,
        ..config()
    };
    let mut nodes = (1..=pullers)
        .map(|node| {
            let mut pulls = Pulls::new(roomy, node);
            pulls.on_room(1_000, NOW);
            pull(&mut pulls, 1, &[(1, 64)], Priority::Get);
            pulls.on_holder(object, source, Chunks::all(count), NOW);
            (NodeId(node), pulls)
        })
        .collect::<Vec<_>>();
    let mut queues = BTreeMap::<NodeId, VecDeque<(NodeId, u32)>>::new();
    let (mut given_by_source, mut done, mut ticks) = (0, 0, 0);
    while done < pullers {
        ticks += 1;
        assert!(ticks < 300, "{done} of {pullers} after {ticks} ticks");
        let now = NOW + Duration::from_millis(ticks);
        for (node, pulls) in &mut nodes {
            for command in commands(pulls) {
                match command {
                    Command::Fetch { chunk, from, .. } => {
                        let queue = queues.entry(from).or_default();
                        let others = queue.iter().map(|(to, _)| *to).filter(|to| to != node);
                        let others = others.collect::<std::collections::BTreeSet<_>>();
                        match from == source && others.len() >= 2 {
                            true => pulls.on_holder_busy(object, chunk, from, now),
                            false => queue.push_back((*node, chunk)),
                        }
                    }
                    Command::Done { .. } => done += 1,
                    _ => {}
                }
            }
            if pulls.poll_timeout().is_some_and(|due| due <= now) {
                pulls.on_timeout(now);
            }
        }
        for (from, queue) in &mut queues {
            let Some((to, chunk)) = queue.pop_front() else {
                continue;
            };
            given_by_source += u32::from(*from == source);
            let (_, pulls) = &mut nodes[to.0 as usize - 1];
            pulls.on_chunk(object, chunk, *from, now);
        }
        let held = nodes.iter().map(|(node, pulls)| {
            let held = pulls.held_chunks(object).cloned();
            (*node, held.unwrap_or_else(|| Chunks::all(count)))
        });
        let held = held.collect::<Vec<_>>();
        for (node, pulls) in &mut nodes {
            for (holder, chunks) in held.iter().filter(|(holder, _)| holder != node) {
                pulls.on_holder(object, *holder, chunks.clone(), now);
            }
        }
    }
    assert!(
        (count..count * 5 / 4).contains(&given_by_source),
        "the source gave {given_by_source} chunks of {count} away"
    );
}
