//! How much of a store the arguments of tasks may hold, event by event.

use ray_engine::{
    ids::{ObjectId, ProcessId},
    pull::{Arguments, TaskNumber, Wanted},
};

fn arg(index: u64, bytes: u64) -> Wanted {
    let owner = ProcessId(1);
    Wanted {
        object: ObjectId { owner, index },
        bytes,
    }
}

fn task(process: u64) -> TaskNumber {
    (ProcessId(process), 1)
}

fn admitted(arguments: &mut Arguments) -> Vec<u64> {
    std::iter::from_fn(|| arguments.poll_admitted())
        .map(|(process, _)| process.0)
        .collect()
}

#[test]
fn tasks_are_let_in_while_there_is_a_share_left() {
    let mut arguments = Arguments::new(70);
    for process in 1..=3 {
        arguments.ask(task(process), &[arg(process, 30)]);
    }
    assert_eq!(admitted(&mut arguments), [1, 2]);
    assert_eq!((arguments.held_bytes(), arguments.waiting()), (60, 1));
    arguments.end(task(1));
    assert_eq!(admitted(&mut arguments), [3]);
}

#[test]
fn a_task_is_let_in_with_all_of_its_arguments_or_none() {
    let mut arguments = Arguments::new(70);
    arguments.ask(task(1), &[arg(1, 30), arg(2, 10)]);
    arguments.ask(task(2), &[arg(3, 20), arg(4, 20)]);
    assert_eq!(admitted(&mut arguments), [1]);
    assert_eq!(arguments.held_bytes(), 40);
    arguments.end(task(1));
    assert_eq!(admitted(&mut arguments), [2]);
    assert_eq!(arguments.held_bytes(), 40);
}

#[test]
fn a_task_over_the_share_runs_alone() {
    let mut arguments = Arguments::new(70);
    arguments.ask(task(1), &[arg(1, 10)]);
    arguments.ask(task(2), &[arg(2, 100)]);
    arguments.ask(task(3), &[arg(3, 10)]);
    assert_eq!(
        admitted(&mut arguments),
        [1],
        "nothing passes the large one"
    );
    arguments.end(task(1));
    assert_eq!(admitted(&mut arguments), [2]);
    arguments.end(task(2));
    assert_eq!(admitted(&mut arguments), [3]);
}

#[test]
fn an_argument_of_several_tasks_counts_once() {
    let mut arguments = Arguments::new(70);
    for process in 1..=3 {
        arguments.ask(task(process), &[arg(1, 60)]);
    }
    assert_eq!(admitted(&mut arguments), [1, 2, 3]);
    assert_eq!(arguments.held_bytes(), 60);
    arguments.end(task(1));
    assert_eq!(arguments.held_bytes(), 60, "two others have it");
}

#[test]
fn what_a_blocked_task_holds_does_not_keep_others_out() {
    let mut arguments = Arguments::new(70);
    arguments.ask(task(1), &[arg(1, 60)]);
    arguments.ask(task(2), &[arg(2, 30)]);
    assert_eq!(admitted(&mut arguments), [1]);
    arguments.on_blocked(ProcessId(1));
    assert_eq!(admitted(&mut arguments), [2]);
    arguments.on_unblocked(ProcessId(1));
    assert_eq!(arguments.held_bytes(), 90, "nobody is sent out again");
    arguments.ask(task(3), &[arg(3, 1)]);
    assert!(admitted(&mut arguments).is_empty());
}

#[test]
fn a_task_that_is_taken_back_makes_way() {
    let mut arguments = Arguments::new(70);
    arguments.ask(task(1), &[arg(1, 60)]);
    arguments.ask(task(2), &[arg(2, 60)]);
    arguments.ask(task(3), &[arg(3, 10)]);
    assert_eq!(admitted(&mut arguments), [1]);
    arguments.end(task(2));
    assert_eq!(admitted(&mut arguments), [3]);
    arguments.end(task(2));
    assert_eq!((arguments.held_bytes(), arguments.waiting()), (70, 0));
}

#[test]
fn who_was_let_in_and_ends_unheard_is_not_told() {
    let mut arguments = Arguments::new(70);
    arguments.ask(task(1), &[arg(1, 10)]);
    arguments.end(task(1));
    assert!(admitted(&mut arguments).is_empty());
    assert_eq!(arguments.held_bytes(), 0);
}
