//! Calls that wait for each other in a circle are told, and everybody goes on.

use ray_core::{Config, Error, prelude::*};
use ray_tests::{Tokens, add_token, take_token};

/// Waits for others.
#[actor(num_cpus = 0)]
struct Friend {
    value: u32,
}

#[remote]
impl Friend {
    pub fn new(value: u32) -> Self {
        Friend { value }
    }

    pub fn value(&self) -> u32 {
        self.value
    }

    /// Returns the other's value, who is told to ask this one first.
    pub fn of_other_who_asks(
        &mut self,
        other: FriendHandle,
        me: FriendHandle,
    ) -> Result<u32, Error> {
        other.of_other(&me).get()
    }

    pub fn of_other(&mut self, other: FriendHandle) -> Result<u32, Error> {
        other.value().get()
    }

    /// Returns the other's value, once it may ask.
    pub fn of_other_later(
        &mut self,
        other: FriendHandle,
        arrived: String,
        leave: String,
    ) -> Result<u32, Error> {
        add_token(&arrived);
        take_token(&leave);
        other.value().get()
    }

    pub fn of_me_by_a_task(&mut self, me: FriendHandle) -> Result<Vec<u32>, Error> {
        ray_core::get_all(&[asks::remote(&me), asks::remote(&me)])
    }

    pub fn value_later(&self, arrived: String, leave: String) -> u32 {
        add_token(&arrived);
        take_token(&leave);
        self.value
    }
}

#[remote]
fn asks(friend: FriendHandle) -> Result<u32, Error> {
    friend.value().get()
}

fn is_told<T: std::fmt::Debug>(outcome: &Result<T, Error>) -> bool {
    let text = outcome.as_ref().err().map(ToString::to_string);
    text.is_some_and(|text| text.contains("each waits for the next"))
}

fn friends() -> (FriendHandle, FriendHandle) {
    (Friend::remote(1), Friend::remote(2))
}

/// Both take calls again.
fn go_on(friends: &[&FriendHandle]) -> ray_core::Result<()> {
    for friend in friends {
        assert!([1, 2].contains(&friend.value().get()?));
    }
    Ok(())
}

#[ray_core::test]
fn a_call_that_comes_back_to_its_first_actor_is_told() -> ray_core::Result<()> {
    let _ray = Config::new().num_cpus(2.0).init()?;
    let (left, right) = friends();
    let outcome = left.of_other_who_asks(&right, &left).get();
    assert!(is_told(&outcome), "{outcome:?}");
    let text = outcome.expect_err("it is an error").to_string();
    assert!(
        text.contains("of_other_who_asks") && text.contains(" -> "),
        "{text}"
    );
    go_on(&[&left, &right])?;
    Ok(())
}

#[ray_core::test]
fn two_actors_that_wait_for_each_other_are_told() -> ray_core::Result<()> {
    let _ray = Config::new().num_cpus(2.0).init()?;
    let (left, right) = friends();
    let (arrived, leave) = (Tokens::new(), Tokens::new());
    let calls = [
        left.of_other_later(&right, arrived.path(), leave.path()),
        right.of_other_later(&left, arrived.path(), leave.path()),
    ];
    arrived.take();
    arrived.take();
    // Each runs a call, and asks for one that waits behind the other's.
    leave.add(2);
    let outcomes = calls.map(|call| call.get());
    assert!(outcomes.iter().any(is_told), "{outcomes:?}");
    go_on(&[&left, &right])?;
    Ok(())
}

#[ray_core::test]
fn a_circle_may_go_through_tasks() -> ray_core::Result<()> {
    let _ray = Config::new().num_cpus(2.0).init()?;
    let (left, right) = friends();
    let outcome = left.of_me_by_a_task(&left).get();
    assert!(is_told(&outcome), "{outcome:?}");
    go_on(&[&left, &right])?;
    Ok(())
}

#[ray_core::test]
fn who_waits_for_somebody_that_waits_for_others_is_not_told() -> ray_core::Result<()> {
    let _ray = Config::new().num_cpus(2.0).init()?;
    let (left, right) = friends();
    let (arrived, leave) = (Tokens::new(), Tokens::new());
    let slow = right.value_later(arrived.path(), leave.path());
    arrived.take();
    // Behind the slow call, and behind each other.
    let waiting = [
        left.of_other(&right),
        left.of_other_who_asks(&right, Friend::remote(2)),
    ];
    let (ready, _) = ray_core::wait(&waiting, 1, std::time::Duration::from_secs(1))?;
    assert!(ready.is_empty(), "they wait, and nobody is told");
    leave.add(1);
    assert_eq!(slow.get()?, 2);
    assert_eq!(ray_core::get_all(&waiting)?, [2, 2]);
    Ok(())
}
