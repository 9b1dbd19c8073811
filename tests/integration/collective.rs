//! Collective calls among actors: what each member ends with, and what all hear when one fails.

use std::time::Duration;

use ray_core::{
    Error,
    collective::{
        Group, ReduceOp, allgather, allreduce, barrier, broadcast, recv, reduce_scatter, send,
    },
    get_all, init,
    prelude::*,
};
use ray_tests::{PATIENCE, Tokens, add_token, kill9, take_token};

/// A member of a group.
#[actor(num_cpus = 0)]
struct Member {
    group: Option<Group>,
}

#[remote]
impl Member {
    pub fn new() -> Self {
        Member { group: None }
    }

    pub fn join(&mut self, name: String, rank: u32, world: u32) -> Result<(), Error> {
        self.group = None;
        self.group = Some(Group::join_timeout(&name, rank, world, PATIENCE)?);
        Ok(())
    }

    /// Waits for the others in vain.
    pub fn join_hastily(&mut self, rank: u32, world: u32) -> Result<(), Error> {
        let limit = Duration::from_millis(50);
        self.group = Some(Group::join_timeout("hasty", rank, world, limit)?);
        Ok(())
    }

    pub fn be_impatient(&mut self) {
        let group = self.group.take().expect("the test joined first");
        self.group = Some(group.with_timeout(Duration::from_millis(50)));
    }

    pub fn leave(&mut self) {
        self.group = None;
    }

    pub fn pid(&self) -> u32 {
        std::process::id()
    }

    pub fn sum(&self, mut values: Vec<i32>) -> Result<Vec<i32>, Error> {
        allreduce(self.group(), &mut values, ReduceOp::Sum)?;
        Ok(values)
    }

    /// As `sum`, and says before that it begins.
    pub fn tell_and_sum(&self, told: String, len: u64) -> Result<(), Error> {
        add_token(&told);
        let mut values = vec![1; len as usize];
        allreduce(self.group(), &mut values, ReduceOp::Sum)
    }

    pub fn reduce(&self, mut values: Vec<f64>, op: u8) -> Result<Vec<f64>, Error> {
        let ops = [
            ReduceOp::Sum,
            ReduceOp::Product,
            ReduceOp::Min,
            ReduceOp::Max,
            ReduceOp::Mean,
        ];
        allreduce(self.group(), &mut values, ops[usize::from(op)])?;
        Ok(values)
    }

    pub fn sum_floats(&self, mut values: Vec<f32>) -> Result<Vec<u32>, Error> {
        allreduce(self.group(), &mut values, ReduceOp::Sum)?;
        Ok(values.into_iter().map(f32::to_bits).collect())
    }

    pub fn mean_of_integers(&self) -> Result<(), Error> {
        allreduce(self.group(), &mut [1_i32], ReduceOp::Mean)
    }

    pub fn scatter(&self, mut values: Vec<i32>) -> Result<Vec<i32>, Error> {
        Ok(reduce_scatter(self.group(), &mut values, ReduceOp::Sum)?.to_vec())
    }

    pub fn gather(&self, values: Vec<i32>, room: u64) -> Result<Vec<i32>, Error> {
        let mut all = vec![0; room as usize];
        allgather(self.group(), &values, &mut all)?;
        Ok(all)
    }

    pub fn spread(&self, mut values: Vec<f32>, root: u32) -> Result<Vec<f32>, Error> {
        broadcast(self.group(), &mut values, root)?;
        Ok(values)
    }

    pub fn meet(&self) -> Result<(), Error> {
        barrier(self.group())
    }

    /// Passes values on around the ring, `times` times; even ranks send first.
    pub fn pass_on(&self, mut values: Vec<i32>, times: u32) -> Result<Vec<i32>, Error> {
        let group = self.group();
        let next = (group.rank() + 1) % group.world_size();
        let before = (group.rank() + group.world_size() - 1) % group.world_size();
        for _ in 0..times {
            let own = values.clone();
            if group.rank().is_multiple_of(2) {
                send(group, &own, next)?;
                recv(group, &mut values, before)?;
            } else {
                recv(group, &mut values, before)?;
                send(group, &own, next)?;
            }
        }
        Ok(values)
    }

    pub fn send_to(&self, rank: u32) -> Result<(), Error> {
        send(self.group(), &[1_i32], rank)
    }
}

impl Member {
    fn group(&self) -> &Group {
        self.group.as_ref().expect("the test joined first")
    }
}

fn group_of(world: u32, name: &str) -> ray_core::Result<Vec<MemberHandle>> {
    let members: Vec<_> = (0..world).map(|_| Member::remote()).collect();
    join_all(&members, name)?;
    Ok(members)
}

fn join_all(members: &[MemberHandle], name: &str) -> ray_core::Result<()> {
    let world = members.len() as u32;
    let joined: Vec<_> = (0..world)
        .zip(members)
        .map(|(rank, member)| member.join(name, rank, world))
        .collect();
    get_all(&joined).map(drop)
}

/// Calls every member and returns all results.
fn each<R: Data>(
    members: &[MemberHandle],
    call: impl Fn(u32, &MemberHandle) -> ObjectRef<R>,
) -> Vec<Result<R, Error>> {
    let results: Vec<_> = (0..)
        .zip(members)
        .map(|(rank, member)| call(rank, member))
        .collect();
    results
        .iter()
        .map(|result| result.get_timeout(PATIENCE))
        .collect()
}

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

/// The error that a member's method returned.
fn cause<R: std::fmt::Debug>(result: Result<R, Error>) -> String {
    match result {
        Err(Error::Task { message, .. }) => message,
        other => panic!("{other:?}"),
    }
}

#[ray_core::test]
fn sums_equal_those_made_in_sequence_at_every_size() -> ray_core::Result<()> {
    let _ray = init()?;
    for world in [1, 2, 3] {
        let members = group_of(world, &format!("sums of {world}"))?;
        // Nothing, one, one fewer than members, odd, below and above what the arena carries, several chunks.
        for len in [0, 1, world as usize - 1, 7, 1_001, 9_000, 700_001] {
            let sums = each(&members, |rank, member| member.sum(values(rank, len)));
            let expected = total(world, len);
            assert!(
                sums.into_iter().all(|sum| sum.as_ref() == Ok(&expected)),
                "{world} x {len}"
            );
        }
    }
    Ok(())
}

#[ray_core::test]
fn sums_of_floats_are_the_same_bits_for_all_and_again() -> ray_core::Result<()> {
    let _ray = init()?;
    let members = group_of(3, "floats")?;
    let float = |rank: u32, at: u32| 1.0 / (1.0 + (at * 7 + rank) as f32);
    let call = |rank, member: &MemberHandle| {
        member.sum_floats((0..5_000).map(|at| float(rank, at)).collect::<Vec<_>>())
    };
    let first = each(&members, call);
    assert!(first[0].is_ok() && first.iter().all(|bits| bits == &first[0]));
    assert_eq!(each(&members, call), first);
    Ok(())
}

#[ray_core::test]
fn every_operation_does_what_its_name_says() -> ray_core::Result<()> {
    let _ray = init()?;
    let members = group_of(2, "operations")?;
    let given = [vec![1.5, -2.0, f64::NAN], vec![4.0, 3.0, 1.0]];
    let expected = [
        [5.5, 1.0],
        [6.0, -6.0],
        [1.5, -2.0],
        [4.0, 3.0],
        [2.75, 0.5],
    ];
    for (op, expected) in (0..).zip(expected) {
        let got = each(&members, |rank, member| {
            member.reduce(&given[rank as usize], op)
        });
        for values in got {
            let values = values?;
            assert_eq!(values[..2], expected);
            assert!(values[2].is_nan());
        }
    }
    let refused = cause(members[0].mean_of_integers().get());
    assert!(refused.contains("i32 has no mean"), "{refused}");
    Ok(())
}

#[ray_core::test]
fn shares_parts_and_broadcasts_arrive_where_they_belong() -> ray_core::Result<()> {
    let _ray = init()?;
    let members = group_of(3, "others")?;
    let len = 20_000;
    let shares = each(&members, |rank, member| member.scatter(values(rank, len)));
    let shares: Vec<Vec<i32>> = shares.into_iter().collect::<Result<_, _>>()?;
    assert_eq!(shares.concat(), total(3, len));
    let sizes: Vec<usize> = shares.iter().map(Vec::len).collect();
    assert_eq!(sizes, [6_667, 6_667, 6_666]);
    let all = each(&members, |rank, member| member.gather(values(rank, 5), 15));
    let expected = [values(0, 5), values(1, 5), values(2, 5)].concat();
    assert!(all.into_iter().all(|all| all.as_ref() == Ok(&expected)));
    let refused = cause(members[0].gather(vec![1, 2], 5).get());
    assert!(refused.contains("do not make 5"), "{refused}");
    let spread = each(&members, |rank, member| {
        member.spread(vec![rank as f32; 4_000], 1)
    });
    assert!(
        spread
            .into_iter()
            .all(|values| values == Ok(vec![1.0; 4_000]))
    );
    let refused = cause(members[0].spread(vec![1.0], 3).get());
    assert!(refused.contains("no rank 3"), "{refused}");
    assert!(
        each(&members, |_, member| member.meet())
            .into_iter()
            .all(|met| met.is_ok())
    );
    Ok(())
}

#[ray_core::test]
fn what_members_send_each_other_arrives_in_order() -> ray_core::Result<()> {
    let _ray = init()?;
    let members = group_of(3, "direct")?;
    for len in [0, 3, 600_000] {
        let got = each(&members, |rank, member| {
            member.pass_on(values(rank, len), 4)
        });
        for (rank, got) in (0..3_u32).zip(got) {
            assert_eq!(got, Ok(values((rank + 2) % 3, len)));
        }
    }
    let own = cause(members[1].send_to(1).get());
    assert!(own.contains("itself"), "{own}");
    Ok(())
}

#[ray_core::test]
fn members_that_call_different_things_all_hear_of_it() -> ray_core::Result<()> {
    let _ray = init()?;
    let members = group_of(3, "mismatch")?;
    let heard = each(&members, |rank, member| {
        member.sum(vec![0; if rank == 1 { 11 } else { 12 }])
    });
    for heard in heard {
        let heard = cause(heard);
        assert!(
            heard.contains("of 11 i32") && heard.contains("of 12 i32"),
            "{heard}"
        );
    }
    // The group is of no use any more, and a new one of its name is whole.
    let again = cause(members[0].meet().get_timeout(PATIENCE));
    assert!(again.contains("of 11 i32"), "{again}");
    join_all(&members, "mismatch")?;
    let sums = each(&members, |_, member| member.sum(vec![1]));
    assert!(sums.into_iter().all(|sum| sum == Ok(vec![3])));
    Ok(())
}

#[ray_core::test]
fn the_death_of_a_member_is_told_to_all_others_by_its_rank() -> ray_core::Result<()> {
    let _ray = init()?;
    let members = group_of(4, "deaths")?;
    let pid = members[2].pid().get()?;
    let told = Tokens::new();
    let waiting: Vec<_> = [0, 1, 3]
        .iter()
        .map(|rank| members[*rank].tell_and_sum(told.path(), 1_000_000))
        .collect();
    (0..3).for_each(|_| take_token(told.path()));
    kill9(pid);
    for waiting in waiting {
        let heard = cause(waiting.get_timeout(PATIENCE));
        assert!(
            heard.contains("rank 2 of group `deaths` is lost"),
            "{heard}"
        );
    }
    // With another in its place they go on under the same name.
    let survivors: Vec<_> = [0, 1, 3].map(|rank| members[rank].clone()).into();
    let mut whole = survivors;
    whole.push(Member::remote());
    join_all(&whole, "deaths")?;
    let sums = each(&whole, |_, member| member.sum(vec![1; 100_000]));
    assert!(sums.into_iter().all(|sum| sum == Ok(vec![4; 100_000])));
    Ok(())
}

#[ray_core::test]
fn who_leaves_between_calls_is_missed_by_the_next_one_only() -> ray_core::Result<()> {
    let _ray = init()?;
    let members = group_of(2, "leaving")?;
    let first = each(&members, |_, member| member.sum(vec![1; 300_000]));
    assert!(first.into_iter().all(|sum| sum.is_ok()));
    members[1].leave().get()?;
    let heard = cause(members[0].sum(vec![1]).get_timeout(PATIENCE));
    assert!(
        heard.contains("rank 1 of group `leaving` is lost: it left"),
        "{heard}"
    );
    Ok(())
}

#[ray_core::test]
fn who_does_not_come_is_named() -> ray_core::Result<()> {
    let _ray = init()?;
    let member = Member::remote();
    let alone = cause(member.join_hastily(1, 3).get_timeout(PATIENCE));
    assert!(alone.contains("ranks 0, 2 did not join"), "{alone}");
    let out = cause(member.join("g", 3, 3).get_timeout(PATIENCE));
    assert!(out.contains("rank"), "{out}");
    Ok(())
}

#[ray_core::test]
fn who_is_silent_for_too_long_is_named_to_all() -> ray_core::Result<()> {
    let _ray = init()?;
    let members = group_of(2, "silence")?;
    members[0].be_impatient().get()?;
    let silent = cause(members[0].meet().get_timeout(PATIENCE));
    assert!(silent.contains("heard nothing from rank 1"), "{silent}");
    let told = cause(members[1].meet().get_timeout(PATIENCE));
    assert!(told.contains("rank 0 heard nothing from rank 1"), "{told}");
    Ok(())
}

#[remote]
fn join_and_sum(rank: u32, world: u32) -> Result<Vec<i32>, Error> {
    let group = Group::join("tasks", rank, world)?;
    let mut values = values(rank, 10);
    allreduce(&group, &mut values, ReduceOp::Sum)?;
    Ok(values)
}

#[ray_core::test]
fn tasks_that_wait_for_each_other_give_their_cpus_back() -> ray_core::Result<()> {
    let _ray = ray_core::Config::new().num_cpus(1.0).init()?;
    // Four members on one CPU.
    let sums: Vec<_> = (0..4).map(|rank| join_and_sum::remote(rank, 4)).collect();
    for sum in sums {
        assert_eq!(sum.get_timeout(PATIENCE)?, total(4, 10));
    }
    Ok(())
}

#[ray_core::test]
fn a_driver_is_a_member_like_any_other() -> ray_core::Result<()> {
    let _ray = init()?;
    let member = Member::remote();
    let joined = member.join("mixed", 1, 2);
    let group = Group::join("mixed", 0, 2)?;
    joined.get()?;
    let sum = member.sum(vec![2; 50_000]);
    let mut values = vec![1; 50_000];
    allreduce(&group, &mut values, ReduceOp::Sum)?;
    assert!(values.iter().all(|value| *value == 3));
    assert_eq!(sum.get_timeout(PATIENCE)?, values);
    Ok(())
}

#[ray_core::test]
fn a_cancelled_member_is_missed_at_once() -> ray_core::Result<()> {
    let _ray = init()?;
    let waiting = join_and_sum::remote(0, 2);
    let member = Member::remote();
    member.join("tasks", 1, 2).get_timeout(PATIENCE)?;
    ray_core::cancel(&waiting)?;
    assert!(waiting.get_timeout(PATIENCE).is_err());
    let heard = cause(member.sum(vec![0; 10]).get_timeout(PATIENCE));
    assert!(heard.contains("rank 0 of group `tasks` is lost"), "{heard}");
    Ok(())
}

#[ray_core::test]
fn members_on_other_nodes_get_the_same() -> ray_core::Result<()> {
    let mut cluster = ray_tests::Cluster::start(env!("CARGO_BIN_EXE_drill"), &["0"]);
    cluster.join(&["2"]);
    cluster.join(&["2"]);
    let _ray = cluster.driver().init()?;
    let members: Vec<_> = (0..4)
        .map(|_| {
            Member::options()
                .num_cpus(1.0)
                .scheduling(ray_core::Strategy::Spread)
                .remote()
        })
        .collect();
    join_all(&members, "nodes")?;
    for len in [1, 50_000, 1_500_001] {
        let sums = each(&members, |rank, member| member.sum(values(rank, len)));
        let expected = total(4, len);
        assert!(
            sums.into_iter().all(|sum| sum.as_ref() == Ok(&expected)),
            "{len}"
        );
    }
    cluster.kill_node(0);
    let heard: Vec<_> = members
        .iter()
        .map(|member| member.meet().get_timeout(PATIENCE))
        .collect();
    assert!(heard.iter().all(|heard| heard.is_err()));
    let lost = heard.into_iter().filter_map(|heard| match heard {
        Err(Error::Task { message, .. }) => Some(message),
        _ => None,
    });
    let lost: Vec<_> = lost.collect();
    assert_eq!(lost.len(), 2, "two members live on");
    assert!(lost.iter().all(|text| text.contains("is lost")), "{lost:?}");
    Ok(())
}
