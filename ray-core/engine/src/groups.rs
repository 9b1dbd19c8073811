//! Concurrency groups: what waits at an executor, and how much of each kind may run at once.

use std::collections::VecDeque;

/// Calls that wait for their turn, in groups with limits of their own.
///
/// Within a group calls keep their order. A group that is full, or blocked for ever, holds up no other.
#[derive(Debug)]
pub struct GroupQueue<T> {
    /// The default group, the declared ones, and the system's last once limits were set.
    groups: Vec<Group<T>>,
    has_system: bool,
    arrivals: u64,
}

#[derive(Debug)]
struct Group<T> {
    /// With the number of the arrival, so that groups are served in the order of arrival.
    waiting: VecDeque<(u64, T)>,
    running: u32,
    limit: u32,
}

impl<T> Group<T> {
    fn new(limit: u32) -> Group<T> {
        Group {
            waiting: VecDeque::new(),
            running: 0,
            limit,
        }
    }
}

impl<T> GroupQueue<T> {
    /// Returns a queue with one group, the default, in which `limit` calls may run at once.
    pub fn new(limit: u32) -> GroupQueue<T> {
        GroupQueue {
            groups: vec![Group::new(limit)],
            has_system: false,
            arrivals: 0,
        }
    }

    /// Sets the limit of the default group, and adds the others, numbered from 1, and the system's own.
    pub fn set_limits(&mut self, default: u32, others: impl IntoIterator<Item = u32>) {
        self.groups[0].limit = default;
        self.groups.truncate(1);
        self.groups.extend(others.into_iter().map(Group::new));
        self.groups.push(Group::new(1));
        self.has_system = true;
    }

    /// Queues a call; a group that does not exist is the default.
    pub fn push(&mut self, group: usize, call: T) {
        let declared = self.groups.len() - usize::from(self.has_system);
        self.push_to(if group < declared { group } else { 0 }, call);
    }

    /// Queues a call of the system's own, which no call of the user's holds up once limits were set.
    pub fn push_system(&mut self, call: T) {
        self.push_to(self.groups.len() - 1, call);
    }

    fn push_to(&mut self, group: usize, call: T) {
        self.groups[group].waiting.push_back((self.arrivals, call));
        self.arrivals += 1;
    }

    /// Takes the call that arrived first of those whose group has room, and counts it as running.
    pub fn pop(&mut self) -> Option<(usize, T)> {
        let (group, _) = self
            .groups
            .iter()
            .enumerate()
            .filter(|(_, group)| group.running < group.limit)
            .filter_map(|(at, group)| Some((at, group.waiting.front()?.0)))
            .min_by_key(|(_, arrival)| *arrival)?;
        let found = &mut self.groups[group];
        found.running += 1;
        let (_, call) = found.waiting.pop_front()?;
        Some((group, call))
    }

    /// A running call of the group has ended.
    pub fn on_ended(&mut self, group: usize) {
        if let Some(group) = self.groups.get_mut(group) {
            group.running = group.running.saturating_sub(1);
        }
    }

    /// Returns whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.groups.iter().all(|group| group.waiting.is_empty())
    }

    /// Returns what waits, group by group.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.groups
            .iter()
            .flat_map(|group| group.waiting.iter().map(|(_, call)| call))
    }

    /// Takes every waiting call that `is_wanted` out, group by group.
    pub fn take_where(&mut self, mut is_wanted: impl FnMut(&T) -> bool) -> Vec<T> {
        let mut taken = Vec::new();
        for group in &mut self.groups {
            if !group.waiting.iter().any(|(_, call)| is_wanted(call)) {
                continue;
            }
            for (arrival, call) in std::mem::take(&mut group.waiting) {
                if is_wanted(&call) {
                    taken.push(call);
                } else {
                    group.waiting.push_back((arrival, call));
                }
            }
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue() -> GroupQueue<&'static str> {
        let mut queue = GroupQueue::new(1);
        queue.set_limits(1, [2]);
        queue
    }

    #[test]
    fn calls_with_room_go_in_the_order_of_arrival() {
        let mut queue = queue();
        queue.push(1, "a");
        queue.push(0, "b");
        queue.push(1, "c");
        assert_eq!(queue.pop(), Some((1, "a")));
        assert_eq!(queue.pop(), Some((0, "b")));
        assert_eq!(queue.pop(), Some((1, "c")));
        assert_eq!(queue.pop(), None);
    }

    #[test]
    fn a_full_group_holds_up_no_other() {
        let mut queue = queue();
        queue.push(0, "blocks");
        queue.push(0, "waits");
        queue.push(1, "passes");
        assert_eq!(queue.pop(), Some((0, "blocks")));
        assert_eq!(queue.pop(), Some((1, "passes")));
        assert_eq!(queue.pop(), None);
        queue.on_ended(0);
        assert_eq!(queue.pop(), Some((0, "waits")));
    }

    #[test]
    fn never_more_of_a_group_run_than_may() {
        let mut queue = queue();
        for _ in 0..3 {
            queue.push(1, "call");
        }
        assert!(queue.pop().is_some());
        assert!(queue.pop().is_some());
        assert_eq!(queue.pop(), None);
        queue.on_ended(1);
        assert!(queue.pop().is_some());
    }

    #[test]
    fn a_group_that_nobody_declared_is_the_default() {
        for group in [2, 7] {
            let mut queue = queue();
            queue.push(group, "call");
            assert_eq!(queue.pop(), Some((0, "call")));
        }
    }

    #[test]
    fn calls_of_the_system_pass_where_every_group_is_full() {
        let mut queue = queue();
        for (group, call) in [(0, "a"), (0, "b"), (1, "c"), (1, "d"), (1, "e")] {
            queue.push(group, call);
        }
        queue.push_system("ready");
        let passed: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(passed, [(0, "a"), (1, "c"), (1, "d"), (2, "ready")]);
    }

    #[test]
    fn without_limits_calls_of_the_system_keep_their_place() {
        let mut queue = GroupQueue::new(1);
        queue.push(0, "a");
        queue.push_system("ready");
        assert_eq!(queue.pop(), Some((0, "a")));
        assert_eq!(queue.pop(), None);
    }

    #[test]
    fn what_is_taken_out_leaves_the_order_of_the_rest() {
        let mut queue = queue();
        for call in ["a", "b", "c"] {
            queue.push(0, call);
        }
        assert_eq!(queue.take_where(|call| *call == "b"), ["b"]);
        assert_eq!(queue.iter().copied().collect::<Vec<_>>(), ["a", "c"]);
        assert!(!queue.is_empty());
    }
}
