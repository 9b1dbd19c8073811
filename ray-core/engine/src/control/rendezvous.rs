//! Where the members of collective groups find each other, and hear that one is gone.
//!
//! A group is formed when all its ranks have joined under one name; it gets a number that no group had
//! before, so messages of a former group of that name reach nobody. A group whose member dies is over.

use std::collections::{BTreeMap, VecDeque};

use crate::{
    failure::Failure,
    ids::{JobId, ProcessId},
};

/// What a process says to take part in a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Join<A> {
    /// Who joins.
    pub process: ProcessId,
    /// Pairs the answer with the question.
    pub request: u64,
    /// Groups of different jobs do not meet.
    pub job: JobId,
    /// The group's name within the job.
    pub name: String,
    /// The place that it takes, from 0.
    pub rank: u32,
    /// How many members the group has.
    pub world: u32,
    /// Where the others reach it.
    pub addr: A,
}

/// What the rendezvous wants said.
#[allow(
    missing_docs,
    reason = "the fields are named after the types that say what they are"
)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command<A> {
    /// The group is complete: its number, and its members by rank.
    Formed {
        to: ProcessId,
        request: u64,
        group: u64,
        members: Vec<(ProcessId, A)>,
    },
    /// The process does not take part.
    Refuse {
        to: ProcessId,
        request: u64,
        failure: Failure,
    },
    /// A member of the group is gone, and so the group is over.
    Broken {
        to: ProcessId,
        group: u64,
        rank: u32,
        reason: String,
    },
    /// A member left that had said nothing to this one.
    Left {
        to: ProcessId,
        group: u64,
        rank: u32,
    },
}

/// The groups of all jobs: those that gather and those that are at work.
#[derive(Debug)]
pub struct Rendezvous<A> {
    forming: BTreeMap<(JobId, String), Forming<A>>,
    working: BTreeMap<u64, Working>,
    next: u64,
    commands: VecDeque<Command<A>>,
}

#[derive(Debug)]
struct Forming<A> {
    world: u32,
    joined: BTreeMap<u32, Join<A>>,
}

#[derive(Debug)]
struct Working {
    job: JobId,
    name: String,
    /// By rank; those that left are gone from it.
    members: BTreeMap<u32, ProcessId>,
}

impl<A> Default for Rendezvous<A> {
    fn default() -> Rendezvous<A> {
        Rendezvous {
            forming: BTreeMap::new(),
            working: BTreeMap::new(),
            next: 1,
            commands: VecDeque::new(),
        }
    }
}

impl<A: Clone> Rendezvous<A> {
    /// Takes a process into a group; the answer comes when all are there.
    pub fn join(&mut self, join: Join<A>) {
        if let Err(failure) = self.check(&join) {
            self.commands.push_back(Command::Refuse {
                to: join.process,
                request: join.request,
                failure,
            });
            return;
        }
        self.end_former(&join);
        let key = (join.job, join.name.clone());
        let forming = self.forming.entry(key.clone()).or_insert_with(|| Forming {
            world: join.world,
            joined: BTreeMap::new(),
        });
        forming.joined.insert(join.rank, join);
        if forming.joined.len() < forming.world as usize {
            return;
        }
        let forming = self.forming.remove(&key).expect("it was just there");
        let group = self.next;
        self.next += 1;
        let members: Vec<(ProcessId, A)> = forming
            .joined
            .values()
            .map(|join| (join.process, join.addr.clone()))
            .collect();
        for join in forming.joined.values() {
            self.commands.push_back(Command::Formed {
                to: join.process,
                request: join.request,
                group,
                members: members.clone(),
            });
        }
        let members = members.iter().map(|(process, _)| *process);
        let (job, name) = key;
        self.working.insert(
            group,
            Working {
                job,
                name,
                members: (0..).zip(members).collect(),
            },
        );
    }

    fn check(&self, join: &Join<A>) -> Result<(), Failure> {
        let refuse = |option: &str, reason: String| {
            Err(Failure::InvalidOption {
                option: option.into(),
                reason,
            })
        };
        let Join {
            name, rank, world, ..
        } = join;
        if *world == 0 || *world > WORLD_MAX {
            let reason = format!("a group has 1 to {WORLD_MAX} members, not {world}");
            return refuse("world_size", reason);
        }
        if rank >= world {
            let reason = format!("{rank} is not below the number of members, {world}");
            return refuse("rank", reason);
        }
        if name.len() > NAME_BYTES_MAX {
            let reason = format!("a group's name has at most {NAME_BYTES_MAX} bytes");
            return refuse("name", reason);
        }
        let Some(forming) = self.forming.get(&(join.job, name.clone())) else {
            if self.forming.len() >= FORMING_MAX {
                let reason = format!("{FORMING_MAX} groups already wait for members");
                return refuse("name", reason);
            }
            return Ok(());
        };
        if forming.world != *world {
            let reason = format!(
                "others join `{name}` as a group of {}, not of {world}",
                forming.world
            );
            return refuse("world_size", reason);
        }
        if let Some(other) = forming.joined.get(rank) {
            let reason = format!("rank {rank} of `{name}` is taken by {}", other.process);
            return refuse("rank", reason);
        }
        let own = |other: &&Join<A>| other.process == join.process;
        if let Some(other) = forming.joined.values().find(own) {
            let reason = format!(
                "this process joins `{name}` as rank {} already; a group has one member a process",
                other.rank
            );
            return refuse("rank", reason);
        }
        Ok(())
    }

    /// Who joins a name anew has given up the group of that name that it was in.
    fn end_former(&mut self, join: &Join<A>) {
        let former = self.working.iter().find_map(|(group, working)| {
            let is_it = working.job == join.job && working.name == join.name;
            let mut members = working.members.iter();
            let rank = members.find(|(_, process)| **process == join.process);
            rank.filter(|_| is_it).map(|(rank, _)| (*group, *rank))
        });
        if let Some((group, rank)) = former {
            self.break_up(group, rank, "it joined the group anew");
        }
    }

    /// Takes back a join that was not answered; the answer says who was missing.
    pub fn withdraw(&mut self, process: ProcessId, request: u64) {
        let found = self.forming.iter().find_map(|(key, forming)| {
            let mut joined = forming.joined.values();
            let join = joined.find(|join| (join.process, join.request) == (process, request));
            join.map(|join| (key.clone(), join.rank))
        });
        // Who is not found has its answer on the way.
        let Some((key, rank)) = found else { return };
        let forming = &self.forming[&key];
        let missing: Vec<String> = (0..forming.world)
            .filter(|rank| !forming.joined.contains_key(rank))
            .map(|rank| rank.to_string())
            .collect();
        let failure = Failure::System(format!("ranks {} did not join", missing.join(", ")));
        self.leave_forming(&key, rank);
        self.commands.push_back(Command::Refuse {
            to: process,
            request,
            failure,
        });
    }

    fn leave_forming(&mut self, key: &(JobId, String), rank: u32) {
        if let Some(forming) = self.forming.get_mut(key) {
            forming.joined.remove(&rank);
            if forming.joined.is_empty() {
                self.forming.remove(key);
            }
        }
    }

    /// Notes that a process needs its group no more; it has told the others itself, but for these ranks.
    pub fn on_left(&mut self, process: ProcessId, group: u64, untold: &[u32]) {
        let Some(working) = self.working.get_mut(&group) else {
            return;
        };
        let mut members = working.members.iter();
        let Some((&rank, _)) = members.find(|(_, member)| **member == process) else {
            return;
        };
        working.members.remove(&rank);
        for (_, to) in untold
            .iter()
            .filter_map(|rank| working.members.get_key_value(rank))
        {
            self.commands.push_back(Command::Left {
                to: *to,
                group,
                rank,
            });
        }
        if working.members.is_empty() {
            self.working.remove(&group);
        }
    }

    /// Notes that a process is gone.
    pub fn on_process_died(&mut self, process: ProcessId, reason: &str) {
        self.on_gone(|member| member == process, reason);
    }

    /// Notes that a node is gone with all its processes.
    pub fn on_node_died(&mut self, node: ProcessId) {
        self.on_gone(|member| member.node_process() == node, "its node is gone");
    }

    fn on_gone(&mut self, is_gone: impl Fn(ProcessId) -> bool, reason: &str) {
        for forming in self.forming.values_mut() {
            forming.joined.retain(|_, join| !is_gone(join.process));
        }
        self.forming.retain(|_, forming| !forming.joined.is_empty());
        let broken = self.working.iter().filter_map(|(group, working)| {
            let mut members = working.members.iter();
            let rank = members.find(|(_, process)| is_gone(**process));
            rank.map(|(rank, _)| (*group, *rank))
        });
        for (group, rank) in broken.collect::<Vec<_>>() {
            self.break_up(group, rank, reason);
        }
    }

    fn break_up(&mut self, group: u64, rank: u32, reason: &str) {
        let Some(working) = self.working.remove(&group) else {
            return;
        };
        for (other, to) in working.members {
            if other != rank {
                self.commands.push_back(Command::Broken {
                    to,
                    group,
                    rank,
                    reason: reason.into(),
                });
            }
        }
    }

    /// Forgets the groups of a job that is over.
    pub fn on_job_ended(&mut self, job: JobId) {
        self.forming.retain(|(owner, _), _| *owner != job);
        self.working.retain(|_, working| working.job != job);
    }

    /// Returns what is to be said next.
    pub fn poll_command(&mut self) -> Option<Command<A>> {
        self.commands.pop_front()
    }
}

/// Members of a group at most.
pub const WORLD_MAX: u32 = 4096;
/// The longest name of a group; bytes.
pub const NAME_BYTES_MAX: usize = 256;
/// Groups that wait for members, of all jobs together.
const FORMING_MAX: usize = 10_000;
