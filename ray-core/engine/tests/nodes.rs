//! The membership's events, one behaviour a test.

use std::time::Duration;

use ray_engine::{
    control::nodes::{
        Cause, Command, DrainReason, NodeDirectory, NodeInfo, NodeState, NodesConfig,
    },
    failure::Failure,
    ids::NodeId,
    time::Time,
};

const A: NodeId = NodeId(1);
const B: NodeId = NodeId(2);
const NOW: Time = Time(1_000_000_000);

fn after(millis: u64) -> Time {
    NOW + Duration::from_millis(millis)
}

fn published(node: NodeId, state: NodeState) -> Command {
    Command::Publish { node, state }
}

fn directory(nodes: &[NodeId]) -> NodeDirectory {
    let mut directory = NodeDirectory::new(NodesConfig::default());
    for node in nodes {
        let joined = directory.join(*node, NodeInfo::default(), NOW);
        assert_eq!(joined, Ok(()));
    }
    commands(&mut directory);
    directory
}

fn commands(directory: &mut NodeDirectory) -> Vec<Command> {
    std::iter::from_fn(|| directory.poll_command()).collect()
}

#[test]
fn a_node_that_joins_is_published() {
    let mut directory = directory(&[]);
    directory
        .join(A, NodeInfo::default(), NOW)
        .expect("a new id");
    assert_eq!(commands(&mut directory), [published(A, NodeState::Alive)]);
}

#[test]
fn a_silent_node_is_suspect_then_dead_and_fenced() {
    let mut directory = directory(&[A]);
    assert_eq!(directory.poll_timeout(), Some(after(1_000)));
    directory.on_timeout(after(999));
    assert_eq!(commands(&mut directory), []);
    directory.on_timeout(after(1_000));
    assert_eq!(commands(&mut directory), [published(A, NodeState::Suspect)]);
    directory.on_timeout(after(2_999));
    assert_eq!(directory.state(A), Some(NodeState::Suspect));
    directory.on_timeout(after(3_000));
    let dead = NodeState::Dead(Cause::Silent);
    assert_eq!(
        commands(&mut directory),
        [published(A, dead), Command::Fence { node: A }]
    );
    assert_eq!(directory.poll_timeout(), None);
}

#[test]
fn a_node_whose_process_is_gone_is_dead_at_once_and_once() {
    let mut directory = directory(&[A]);
    directory.on_gone(A, NOW);
    directory.on_gone(A, NOW);
    directory.on_connection_lost(A, NOW);
    let dead = NodeState::Dead(Cause::Disconnected);
    assert_eq!(commands(&mut directory), [published(A, dead)]);
}

#[test]
fn a_heartbeat_ends_the_doubt() {
    let mut directory = directory(&[A]);
    directory.on_timeout(after(1_500));
    commands(&mut directory);
    directory.on_heartbeat(A, after(1_600));
    assert_eq!(commands(&mut directory), [published(A, NodeState::Alive)]);
    directory.on_timeout(after(2_500));
    assert_eq!(commands(&mut directory), []);
}

#[test]
fn a_broken_connection_is_doubt_at_once_and_death_soon() {
    let mut directory = directory(&[A]);
    directory.on_connection_lost(A, after(10));
    assert_eq!(commands(&mut directory), [published(A, NodeState::Suspect)]);
    directory.on_timeout(after(509));
    assert_eq!(directory.state(A), Some(NodeState::Suspect));
    directory.on_timeout(after(510));
    let dead = NodeState::Dead(Cause::Disconnected);
    assert_eq!(directory.state(A), Some(dead));
}

#[test]
fn a_node_that_registers_again_in_time_goes_on() {
    let mut directory = directory(&[A]);
    directory.on_connection_lost(A, after(10));
    commands(&mut directory);
    directory
        .join(A, NodeInfo::default(), after(200))
        .expect("it lives");
    assert_eq!(commands(&mut directory), [published(A, NodeState::Alive)]);
    directory.on_timeout(after(900));
    assert_eq!(directory.state(A), Some(NodeState::Alive));
}

#[test]
fn a_node_that_others_reach_is_not_declared_dead() {
    let mut directory = directory(&[A, B]);
    for tick in 1..=50 {
        let now = after(tick * 100);
        directory.on_heartbeat(B, now);
        directory.on_timeout(now);
        let probes = commands(&mut directory);
        let probe = Command::Probe { via: B, target: A };
        if probes.contains(&probe) {
            directory.on_probe_reached(A, now);
        }
    }
    assert_eq!(directory.state(A), Some(NodeState::Suspect));
    assert_eq!(directory.state(B), Some(NodeState::Alive));
}

#[test]
fn a_dead_id_never_comes_back() {
    let mut directory = directory(&[A]);
    directory.on_timeout(after(3_000));
    commands(&mut directory);
    directory.on_heartbeat(A, after(3_001));
    assert_eq!(commands(&mut directory), [Command::Fence { node: A }]);
    let joined = directory.join(A, NodeInfo::default(), after(3_002));
    assert_eq!(joined, Err(Failure::NodeDied(A)));
    let joined = directory.join(B, NodeInfo::default(), after(3_002));
    assert_eq!(joined, Ok(()));
}

#[test]
fn a_busy_node_may_refuse_to_drain_for_idleness() {
    let mut directory = directory(&[A]);
    directory
        .drain(A, DrainReason::Idle, NOW)
        .expect("it lives");
    assert_eq!(
        commands(&mut directory),
        [Command::Drain {
            node: A,
            reason: DrainReason::Idle
        }]
    );
    directory.on_drain_refused(A, NOW);
    assert_eq!(directory.state(A), Some(NodeState::Alive));
    directory.on_drained(A, NOW);
    assert_eq!(directory.state(A), Some(NodeState::Alive));
}

#[test]
fn a_drained_node_is_gone_when_it_is_empty() {
    let mut directory = directory(&[A]);
    directory
        .drain(A, DrainReason::Idle, NOW)
        .expect("it lives");
    directory.on_drain_accepted(A, NOW);
    assert_eq!(directory.state(A), Some(NodeState::Draining));
    commands(&mut directory);
    directory.on_drained(A, NOW);
    let dead = NodeState::Dead(Cause::Drained);
    assert_eq!(
        commands(&mut directory),
        [published(A, dead), Command::Fence { node: A }]
    );
}

#[test]
fn a_preempted_node_drains_at_once_and_is_gone_at_its_deadline() {
    let mut directory = directory(&[A]);
    let deadline = after(700);
    let reason = DrainReason::Preemption { deadline };
    directory.drain(A, reason, NOW).expect("it lives");
    directory.on_drain_refused(A, NOW);
    assert_eq!(directory.state(A), Some(NodeState::Draining));
    assert_eq!(directory.poll_timeout(), Some(deadline));
    directory.on_timeout(deadline);
    let dead = NodeState::Dead(Cause::DeadlinePassed);
    assert_eq!(directory.state(A), Some(dead));
}

#[test]
fn draining_a_node_that_does_not_live_is_an_error() {
    let mut directory = directory(&[]);
    let drained = directory.drain(A, DrainReason::Idle, NOW);
    assert!(matches!(drained, Err(Failure::NotFound(_))));
}

#[test]
fn the_dead_are_listed_up_to_a_limit_and_fenced_without_one() {
    let config = NodesConfig {
        dead_listed: 1,
        ..NodesConfig::default()
    };
    let mut directory = NodeDirectory::new(config);
    for node in [A, B] {
        directory
            .join(node, NodeInfo::default(), NOW)
            .expect("a new id");
        directory.on_left(node, NOW);
    }
    let listed = directory.list().map(|(node, ..)| node).collect::<Vec<_>>();
    assert_eq!(listed, [B]);
    assert!(directory.join(A, NodeInfo::default(), NOW).is_err());
}
