//! Objects leave a node before it does, event by event.

use ray_engine::{
    evacuation::{Command, Endangered, Evacuation},
    ids::{NodeId, ObjectId, ProcessId},
};

fn id(index: u64) -> ObjectId {
    ObjectId {
        owner: ProcessId(1),
        index,
    }
}

fn objects(sizes: &[u64]) -> Vec<Endangered> {
    let numbered = (1..).zip(sizes);
    let endangered = numbered.map(|(index, bytes)| Endangered {
        object: id(index),
        bytes: *bytes,
    });
    endangered.collect()
}

fn commands(evacuation: &mut Evacuation) -> Vec<Command> {
    std::iter::from_fn(|| evacuation.poll_command()).collect()
}

fn take(index: u64, by: u64) -> Command {
    let by = NodeId(by);
    Command::TakeOver {
        object: id(index),
        by,
    }
}

fn done(moved: u64) -> Command {
    let left = Vec::new();
    Command::Done { moved, left }
}

#[test]
fn objects_go_where_the_fewest_bytes_went() {
    let mut evacuation = Evacuation::new([NodeId(2), NodeId(3)], None, &objects(&[30, 10, 10, 20]));
    let asked = [take(1, 2), take(2, 3), take(3, 3), take(4, 3)];
    assert_eq!(commands(&mut evacuation), asked);
    for (object, node) in [(1, 2), (2, 3), (3, 3)] {
        evacuation.on_taken(id(object), NodeId(node));
    }
    assert_eq!(commands(&mut evacuation), []);
    evacuation.on_taken(id(4), NodeId(3));
    assert_eq!(commands(&mut evacuation), [done(4)]);
}

#[test]
fn what_one_refuses_the_next_takes_and_the_last_resort_comes_last() {
    let mut evacuation = Evacuation::new([NodeId(2), NodeId(3)], Some(NodeId(9)), &objects(&[1]));
    for by in [2, 3, 9] {
        assert_eq!(commands(&mut evacuation), [take(1, by)]);
        evacuation.on_refused(id(1), NodeId(by), format!("{by} is full"));
    }
    let left = vec![(id(1), "9 is full".to_owned())];
    assert_eq!(
        commands(&mut evacuation),
        [Command::Done { moved: 0, left }]
    );
}

#[test]
fn what_a_dead_node_was_to_take_goes_to_another() {
    let mut evacuation = Evacuation::new([NodeId(2), NodeId(3)], None, &objects(&[1]));
    assert_eq!(commands(&mut evacuation), [take(1, 2)]);
    evacuation.on_node_died(NodeId(2));
    assert_eq!(commands(&mut evacuation), [take(1, 3)]);
    evacuation.on_taken(id(1), NodeId(2));
    assert_eq!(commands(&mut evacuation), [], "that one is gone");
    evacuation.on_taken(id(1), NodeId(3));
    assert_eq!(commands(&mut evacuation), [done(1)]);
}

#[test]
fn without_another_node_everything_is_left() {
    let mut evacuation = Evacuation::new([], None, &objects(&[1, 1]));
    let commands = commands(&mut evacuation);
    assert!(
        matches!(&commands[..], [Command::Done { moved: 0, left }] if left.len() == 2),
        "{commands:?}"
    );
}

#[test]
fn what_is_freed_meanwhile_needs_no_place() {
    let mut evacuation = Evacuation::new([NodeId(2)], None, &objects(&[1]));
    assert_eq!(commands(&mut evacuation), [take(1, 2)]);
    evacuation.on_freed(id(1));
    assert_eq!(commands(&mut evacuation), [done(0)]);
    evacuation.on_refused(id(1), NodeId(2), "it was freed".into());
    assert_eq!(commands(&mut evacuation), [], "it ends once");
}

#[test]
fn nothing_to_move_is_done_at_once() {
    let mut evacuation = Evacuation::new([NodeId(2)], None, &[]);
    assert_eq!(commands(&mut evacuation), [done(0)]);
}
