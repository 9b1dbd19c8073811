//! The rendezvous' events, one behaviour a test.

use ray_engine::{
    control::rendezvous::{Command, Join, Rendezvous},
    failure::Failure,
    ids::{JobId, NodeId, ProcessId},
};

const JOB: JobId = JobId(1);

fn process(index: u64) -> ProcessId {
    NodeId(1).process().started(index)
}

/// Process `rank + 1` joins as `rank`; its address is a letter.
fn join(rank: u32, world: u32) -> Join<char> {
    Join {
        process: process(u64::from(rank) + 1),
        request: u64::from(rank),
        job: JOB,
        name: "g".into(),
        rank,
        world,
        addr: char::from(b'a' + rank as u8),
    }
}

fn commands(rendezvous: &mut Rendezvous<char>) -> Vec<Command<char>> {
    std::iter::from_fn(|| rendezvous.poll_command()).collect()
}

fn formed(world: u32, group: u64) -> Vec<Command<char>> {
    let members: Vec<_> = (0..world)
        .map(|rank| (join(rank, world).process, join(rank, world).addr))
        .collect();
    (0..world)
        .map(|rank| Command::Formed {
            to: join(rank, world).process,
            request: u64::from(rank),
            group,
            members: members.clone(),
        })
        .collect()
}

fn group_of(world: u32) -> Rendezvous<char> {
    let mut rendezvous = Rendezvous::default();
    (0..world).for_each(|rank| rendezvous.join(join(rank, world)));
    assert_eq!(commands(&mut rendezvous), formed(world, 1));
    rendezvous
}

fn refusal(rendezvous: &mut Rendezvous<char>, join: Join<char>) -> String {
    let to = join.process;
    rendezvous.join(join);
    match commands(rendezvous).as_slice() {
        [
            Command::Refuse {
                to: refused,
                failure: Failure::InvalidOption { option, reason },
                ..
            },
        ] if *refused == to => format!("{option}: {reason}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_group_forms_when_all_have_joined_in_any_order() {
    let mut rendezvous = Rendezvous::default();
    for rank in [2, 0] {
        rendezvous.join(join(rank, 3));
        assert_eq!(commands(&mut rendezvous), []);
    }
    rendezvous.join(join(1, 3));
    assert_eq!(commands(&mut rendezvous), formed(3, 1));
}

#[test]
fn names_of_different_jobs_do_not_meet() {
    let mut rendezvous = Rendezvous::default();
    rendezvous.join(join(0, 2));
    rendezvous.join(Join {
        job: JobId(2),
        ..join(1, 2)
    });
    assert_eq!(commands(&mut rendezvous), []);
}

#[test]
fn what_contradicts_the_others_is_refused() {
    let mut rendezvous = Rendezvous::default();
    let is_about = |text: String, option: &str| assert!(text.starts_with(option), "{text}");
    is_about(refusal(&mut rendezvous, join(0, 0)), "world_size");
    is_about(refusal(&mut rendezvous, join(3, 3)), "rank");
    let name = "x".repeat(1000);
    is_about(
        refusal(&mut rendezvous, Join { name, ..join(0, 2) }),
        "name",
    );
    rendezvous.join(join(0, 3));
    is_about(refusal(&mut rendezvous, join(1, 2)), "world_size");
    let process = process(9);
    let taken = Join {
        process,
        ..join(0, 3)
    };
    is_about(refusal(&mut rendezvous, taken), "rank");
    let twice = Join {
        process: join(0, 3).process,
        ..join(1, 3)
    };
    is_about(refusal(&mut rendezvous, twice), "rank");
    // The first is still in.
    rendezvous.join(join(1, 3));
    rendezvous.join(join(2, 3));
    assert_eq!(commands(&mut rendezvous), formed(3, 1));
}

#[test]
fn a_join_that_is_withdrawn_hears_who_was_missing() {
    let mut rendezvous = Rendezvous::default();
    rendezvous.join(join(1, 4));
    rendezvous.join(join(2, 4));
    rendezvous.withdraw(process(2), 1);
    let told = commands(&mut rendezvous);
    let [Command::Refuse { to, failure, .. }] = told.as_slice() else {
        panic!("{told:?}");
    };
    assert_eq!(*to, process(2));
    assert_eq!(failure, &Failure::System("ranks 0, 3 did not join".into()));
    // Its place is free again; a second withdrawal says nothing.
    rendezvous.withdraw(process(2), 1);
    for rank in [0, 1, 3] {
        rendezvous.join(join(rank, 4));
    }
    assert_eq!(commands(&mut rendezvous), formed(4, 1));
}

#[test]
fn a_member_that_dies_while_others_gather_gives_its_rank_back() {
    let mut rendezvous = Rendezvous::default();
    rendezvous.join(join(0, 2));
    rendezvous.on_process_died(process(1), "killed");
    let process = process(7);
    rendezvous.join(Join {
        process,
        ..join(0, 2)
    });
    rendezvous.join(join(1, 2));
    let told = commands(&mut rendezvous);
    assert_eq!(told.len(), 2);
    assert!(matches!(&told[0], Command::Formed { to, .. } if *to == process));
}

#[test]
fn the_death_of_a_member_is_told_to_every_other_once() {
    let mut rendezvous = group_of(3);
    let broken = |to| Command::Broken {
        to,
        group: 1,
        rank: 1,
        reason: "killed".into(),
    };
    rendezvous.on_process_died(process(2), "killed");
    assert_eq!(
        commands(&mut rendezvous),
        [broken(process(1)), broken(process(3))]
    );
    rendezvous.on_process_died(process(3), "killed");
    assert_eq!(commands(&mut rendezvous), []);
}

#[test]
fn a_lost_node_takes_its_members_with_it() {
    let mut rendezvous = Rendezvous::default();
    let elsewhere = NodeId(2).process().started(1);
    rendezvous.join(join(0, 2));
    rendezvous.join(Join {
        process: elsewhere,
        ..join(1, 2)
    });
    commands(&mut rendezvous);
    rendezvous.on_node_died(elsewhere.node_process());
    let told = commands(&mut rendezvous);
    let [Command::Broken { to, rank: 1, .. }] = told.as_slice() else {
        panic!("{told:?}");
    };
    assert_eq!(*to, process(1));
}

#[test]
fn a_group_of_the_same_name_gets_another_number() {
    let mut rendezvous = group_of(2);
    rendezvous.on_process_died(process(2), "killed");
    commands(&mut rendezvous);
    rendezvous.join(join(0, 2));
    rendezvous.join(join(1, 2));
    assert_eq!(commands(&mut rendezvous), formed(2, 2));
}

#[test]
fn who_joins_anew_ends_the_former_group() {
    let mut rendezvous = group_of(2);
    rendezvous.join(join(0, 2));
    let told = commands(&mut rendezvous);
    let [
        Command::Broken {
            to,
            group: 1,
            rank: 0,
            ..
        },
    ] = told.as_slice()
    else {
        panic!("{told:?}");
    };
    assert_eq!(*to, process(2));
}

#[test]
fn who_left_is_neither_told_nor_missed() {
    let mut rendezvous = group_of(3);
    rendezvous.on_left(process(1), 1, &[2]);
    let left = Command::Left {
        to: process(3),
        group: 1,
        rank: 0,
    };
    assert_eq!(commands(&mut rendezvous), [left], "it told rank 1 itself");
    rendezvous.on_left(process(1), 1, &[2]);
    rendezvous.on_process_died(process(1), "it ended");
    assert_eq!(commands(&mut rendezvous), []);
    rendezvous.on_process_died(process(2), "killed");
    let told = commands(&mut rendezvous);
    assert!(matches!(told.as_slice(), [Command::Broken { to, .. }] if *to == process(3)));
}

#[test]
fn a_job_that_ended_leaves_no_groups() {
    let mut rendezvous = group_of(2);
    rendezvous.join(Join {
        name: "h".into(),
        ..join(0, 2)
    });
    rendezvous.on_job_ended(JOB);
    rendezvous.on_process_died(process(2), "killed");
    rendezvous.withdraw(process(1), 0);
    assert_eq!(commands(&mut rendezvous), []);
}
