//! Tasks go where their large arguments are, one behaviour a test.

use ray_engine::{
    failure::RetryOn,
    ids::{LeaseId, NodeId, ObjectId, ProcessId, TaskId},
    owner::{Command, Limits, Owner, ShapeId, TaskSubmit},
    time::Time,
};

const NOW: Time = Time(1);
const HERE: NodeId = NodeId(1);
const THERE: NodeId = NodeId(2);

/// A value that says where it lies and how large it is.
type Place = Option<(NodeId, u64)>;
type TestOwner = Owner<(), Place>;

fn owner() -> (TestOwner, ShapeId) {
    let mut owner = TestOwner::new(HERE.process(), Limits::default());
    owner.locate_with(|place| *place);
    let shape = owner.fresh_shape(true);
    (owner, shape)
}

fn submit(owner: &mut TestOwner, shape: ShapeId, arguments: &[ObjectId]) -> TaskId {
    let submit = TaskSubmit {
        shape,
        returns: 1,
        dependencies: arguments,
        nested: &[],
        max_retries: 0,
        retry_failures: RetryOn::Nothing,
        parent: None,
        payload: (),
    };
    owner.submit_task(submit, NOW)
}

/// Returns what the owner asks a lease for.
fn asked(owner: &mut TestOwner) -> Vec<(ShapeId, Option<NodeId>)> {
    let commands = std::iter::from_fn(|| owner.poll_command()).collect::<Vec<_>>();
    let shapes = commands.into_iter().filter_map(|command| match command {
        Command::RequestLease { shape, .. } => Some(shape),
        _ => None,
    });
    shapes.map(|shape| owner.base_of(shape)).collect()
}

#[test]
fn a_task_with_a_large_argument_asks_near_it() {
    let (mut owner, shape) = owner();
    let large = owner.put(Some((THERE, 10 << 20)), &[]);
    let small = owner.put(Some((NodeId(3), 1 << 10)), &[]);
    submit(&mut owner, shape, &[small, large]);
    assert_eq!(asked(&mut owner), [(shape, Some(THERE))]);
}

#[test]
fn the_node_with_most_bytes_is_chosen() {
    let (mut owner, shape) = owner();
    let one = owner.put(Some((NodeId(3), 3 << 20)), &[]);
    let two = [2, 2].map(|mib| owner.put(Some((THERE, mib << 20)), &[]));
    submit(&mut owner, shape, &[one, two[0], two[1]]);
    assert_eq!(asked(&mut owner), [(shape, Some(THERE))]);
}

#[test]
fn small_and_near_arguments_change_nothing() {
    let (mut owner, shape) = owner();
    let small = owner.put(Some((THERE, 1 << 10)), &[]);
    let here = owner.put(Some((HERE, 10 << 20)), &[]);
    let inline = owner.put(None, &[]);
    submit(&mut owner, shape, &[small, here, inline]);
    assert_eq!(asked(&mut owner), [(shape, None)]);
}

#[test]
fn a_shape_that_was_told_where_to_run_follows_nothing() {
    let (mut owner, _) = owner();
    let shape = owner.fresh_shape(false);
    let large = owner.put(Some((THERE, 10 << 20)), &[]);
    submit(&mut owner, shape, &[large]);
    assert_eq!(asked(&mut owner), [(shape, None)]);
}

/// A worker of a node; grants it for what was asked last.
fn grant(owner: &mut TestOwner, lease: u64, node: NodeId) -> ProcessId {
    let worker = ProcessId(node.process().0 + 1);
    let request = std::iter::from_fn(|| owner.poll_command()).find_map(|command| match command {
        Command::RequestLease { request, .. } => Some(request),
        _ => None,
    });
    let request = request.expect("a lease is asked for");
    owner.on_lease_granted(request, LeaseId(lease), worker, NOW);
    worker
}

/// Runs a task to its end on a new lease of a node, which then has nothing to do.
fn idle_lease(owner: &mut TestOwner, lease: u64, node: NodeId, task: TaskId) {
    let worker = grant(owner, lease, node);
    owner.on_task_done(task, 0, worker, Ok(vec![(None, Vec::new())]), 1, NOW);
}

/// Returns the leases under which tasks were sent, and what leases were asked for.
fn sent_and_asked(owner: &mut TestOwner) -> (Vec<u64>, usize) {
    let commands = std::iter::from_fn(|| owner.poll_command()).collect::<Vec<_>>();
    let sent = commands.iter().filter_map(|command| match command {
        Command::SendTask { lease, .. } => Some(lease.0),
        _ => None,
    });
    let asked = commands
        .iter()
        .filter(|command| matches!(command, Command::RequestLease { .. }));
    (sent.collect(), asked.count())
}

#[test]
fn the_place_of_a_result_that_was_waited_for_counts() {
    let (mut owner, shape) = owner();
    let first = submit(&mut owner, shape, &[]);
    let worker = grant(&mut owner, 1, NodeId(3));
    submit(&mut owner, shape, &[first.result(0)]);
    assert_eq!(asked(&mut owner), [], "its argument is not there yet");
    let large = Some((THERE, 10 << 20));
    owner.on_task_done(first, 0, worker, Ok(vec![(large, Vec::new())]), 1, NOW);
    assert_eq!(asked(&mut owner), [(shape, Some(THERE))]);
}

#[test]
fn a_task_takes_an_idle_lease_where_its_argument_is() {
    let (mut owner, shape) = owner();
    let first = submit(&mut owner, shape, &[]);
    idle_lease(&mut owner, 1, THERE, first);
    sent_and_asked(&mut owner);
    let large = owner.put(Some((THERE, 10 << 20)), &[]);
    submit(&mut owner, shape, &[large]);
    assert_eq!(sent_and_asked(&mut owner), (vec![1], 0));
    submit(&mut owner, shape, &[large]);
    assert_eq!(
        sent_and_asked(&mut owner),
        (vec![], 1),
        "one at a time until its length is known"
    );
}

#[test]
fn a_task_leaves_idle_leases_of_other_nodes() {
    let (mut owner, shape) = owner();
    let first = submit(&mut owner, shape, &[]);
    idle_lease(&mut owner, 1, NodeId(3), first);
    sent_and_asked(&mut owner);
    let large = owner.put(Some((THERE, 10 << 20)), &[]);
    submit(&mut owner, shape, &[large]);
    assert_eq!(sent_and_asked(&mut owner), (vec![], 1));
}

#[test]
fn a_task_that_runs_anywhere_takes_an_idle_lease_near_an_argument() {
    let (mut owner, shape) = owner();
    let large = owner.put(Some((THERE, 10 << 20)), &[]);
    let first = submit(&mut owner, shape, &[large]);
    idle_lease(&mut owner, 1, THERE, first);
    sent_and_asked(&mut owner);
    submit(&mut owner, shape, &[]);
    assert_eq!(sent_and_asked(&mut owner), (vec![1], 0));
}
