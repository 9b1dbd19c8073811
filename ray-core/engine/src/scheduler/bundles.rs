//! A node's side of placement groups: bundles set aside in two phases, and leases that draw from them.
//!
//! What was prepared and not committed in time is given up, so that a control process that is gone
//! holds nothing for long. An attempt that was returned is fenced: a late prepare of it is stale.

use std::time::Duration;

use super::{Command, NodeScheduler, pool::Pool};
use crate::{
    ids::GroupId,
    planted::{Bug, is_planted},
    resources::Resources,
    spec::{BundleRef, DeviceShare},
    time::Time,
};

/// Why a node does not do what an attempt asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BundleRefusal {
    /// Not all of the bundles are free.
    NoRoom,
    /// A newer attempt was here, or this one was returned.
    Stale,
    /// Nothing is prepared; it was given up, or never was.
    NotPrepared,
    /// The node takes no new work.
    Draining,
}

/// A bundle by group and index.
pub(super) type BundleKey = (GroupId, u32);

pub(super) struct Bundle {
    attempt: u64,
    pub(super) pool: Pool,
    /// When it is given up; `None` once it is committed.
    expires: Option<Time>,
}

/// What a node knows of the bundle that a request draws from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// It is here and large enough.
    Here,
    /// It is here and the request is larger.
    TooSmall,
    /// It is not here.
    Absent,
}

impl NodeScheduler {
    /// The control process asks for all of these bundles or none; asking again changes nothing.
    ///
    /// # Errors
    /// The reason, when nothing was set aside.
    pub fn prepare_bundles(
        &mut self,
        group: GroupId,
        attempt: u64,
        bundles: &[(u32, Resources)],
        now: Time,
    ) -> Result<(), BundleRefusal> {
        self.force_report();
        if self
            .fences
            .get(&group)
            .is_some_and(|fence| attempt <= *fence)
        {
            return Err(BundleRefusal::Stale);
        }
        let newest = |(index, _): &(u32, Resources)| self.bundles.get(&(group, *index));
        if bundles
            .iter()
            .filter_map(newest)
            .any(|held| held.attempt > attempt)
        {
            return Err(BundleRefusal::Stale);
        }
        let is_held =
            |bundle: &(u32, Resources)| newest(bundle).is_some_and(|held| held.attempt == attempt);
        if bundles.iter().all(is_held) && !is_planted(Bug::PreparedTwice) {
            return Ok(());
        }
        if self.is_draining() {
            return Err(BundleRefusal::Draining);
        }
        // A word that an older attempt is over was lost: this one says the same.
        let held = bundles.iter().filter_map(newest).map(|held| held.attempt);
        let old = held.filter(|held| *held != attempt);
        for old in old.collect::<Vec<_>>() {
            self.return_bundles(group, old, now);
        }
        let mut pool = self.pool.clone();
        let mut parts: Vec<(u32, Resources, Vec<DeviceShare>)> = Vec::new();
        for (index, shape) in bundles {
            if !pool.fits(shape) {
                return Err(BundleRefusal::NoRoom);
            }
            let devices = pool.take(shape);
            parts.push((*index, shape.clone(), devices));
        }
        self.pool = pool;
        let expires = Some(now + self.bundle_lease());
        for (index, shape, devices) in parts {
            let bundle = Bundle {
                attempt,
                pool: Pool::new(shape, &devices),
                expires,
            };
            self.bundles.insert((group, index), bundle);
        }
        Ok(())
    }

    /// A placement group waits for room: leases of tasks go back as soon as nothing runs under them, which is at
    /// once when their holders only keep them for what comes next.
    pub fn make_room(&mut self, bundles: &[Resources], _now: Time) {
        let mut left = self.pool.clone();
        let mut leases = self.leases.iter_mut().filter(|(_, lease)| {
            lease.actor.is_none() && lease.source.bundle.is_none() && !lease.held.is_empty()
        });
        for bundle in bundles {
            while !left.fits(bundle) {
                let Some((id, lease)) = leases.next() else {
                    return;
                };
                left.give(&lease.held, &lease.source.devices);
                if !lease.is_recalled {
                    lease.is_recalled = true;
                    self.commands.push_back(Command::RecallLease {
                        requester: lease.requester,
                        lease: *id,
                    });
                }
            }
            left.take(bundle);
        }
    }

    /// The control process makes an attempt final; saying so again changes nothing.
    ///
    /// # Errors
    /// `NotPrepared` when the bundles are not here (any more).
    pub fn commit_bundles(
        &mut self,
        group: GroupId,
        attempt: u64,
        now: Time,
    ) -> Result<(), BundleRefusal> {
        let mut is_here = false;
        for (_, bundle) in self.bundles.range_mut((group, 0)..=(group, u32::MAX)) {
            if bundle.attempt == attempt {
                bundle.expires = None;
                is_here = true;
            }
        }
        if !is_here {
            return Err(BundleRefusal::NotPrepared);
        }
        self.schedule(now);
        Ok(())
    }

    /// The control process gives an attempt up: its bundles are free and the work in them ends.
    pub fn return_bundles(&mut self, group: GroupId, attempt: u64, now: Time) {
        self.force_report();
        let fence = self.fences.entry(group).or_default();
        *fence = (*fence).max(attempt);
        if self.fences.len() > FENCES_KEPT {
            // Attempts count up over all groups: the lowest is the oldest.
            let oldest = self.fences.iter().min_by_key(|(_, fence)| **fence);
            if let Some(oldest) = oldest.map(|(group, _)| *group) {
                self.fences.remove(&oldest);
            }
        }
        let ended = self
            .bundles
            .range((group, 0)..=(group, u32::MAX))
            .filter(|(_, bundle)| bundle.attempt == attempt)
            .map(|(key, _)| *key)
            .collect::<Vec<_>>();
        for key in ended {
            self.give_up(key);
        }
        self.readmit(
            |terms| terms.bundle.is_some_and(|bundle| bundle.group == group),
            now,
        );
        self.schedule(now);
    }

    /// Gives up what was prepared and not committed in time; returns whether there was any.
    pub(super) fn expire_bundles(&mut self, now: Time) -> bool {
        let due = self
            .bundles
            .iter()
            .filter(|(_, bundle)| bundle.expires.is_some_and(|expires| expires <= now))
            .map(|(key, _)| *key)
            .collect::<Vec<_>>();
        let any = !due.is_empty();
        for key in due {
            self.give_up(key);
        }
        if any {
            self.force_report();
        }
        any
    }

    /// Returns when the next prepared bundle is given up.
    pub(super) fn next_bundle_expiry(&self) -> Option<Time> {
        self.bundles
            .values()
            .filter_map(|bundle| bundle.expires)
            .min()
    }

    /// Returns which attempts of which groups this node holds, for the control process to compare.
    pub fn held_bundles(&self) -> Vec<(GroupId, u64)> {
        let mut held = self
            .bundles
            .iter()
            .map(|((group, _), bundle)| (*group, bundle.attempt))
            .collect::<Vec<_>>();
        held.dedup();
        held
    }

    /// Frees a bundle; what its leases hold stays theirs until their workers have ended.
    fn give_up(&mut self, key: BundleKey) {
        let Some(bundle) = self.bundles.remove(&key) else {
            return;
        };
        self.pool.absorb(bundle.pool);
        for lease in self.leases.values_mut() {
            if lease.source.bundle == Some(key) {
                lease.source.bundle = None;
                self.commands.push_back(Command::EvictWorker {
                    process: lease.worker,
                    group: key.0,
                });
            }
        }
    }

    /// Returns whether what a request draws from is here and could ever hold it.
    pub(super) fn find_bundle(&self, bundle: BundleRef, shape: &Resources) -> Found {
        let mut found = Found::Absent;
        for (_, held) in self.committed(bundle) {
            if held.pool.total().covers(shape) {
                return Found::Here;
            }
            found = Found::TooSmall;
        }
        found
    }

    /// Returns the bundle that can hold the shape now, the one with the lowest index first.
    pub(super) fn open_bundle(&self, bundle: BundleRef, shape: &Resources) -> Option<BundleKey> {
        self.committed(bundle)
            .find(|(_, held)| held.pool.fits(shape))
            .map(|(key, _)| key)
    }

    pub(super) fn committed(
        &self,
        bundle: BundleRef,
    ) -> impl Iterator<Item = (BundleKey, &Bundle)> {
        let indexes = match bundle.index {
            Some(index) => index..=index,
            None => 0..=u32::MAX,
        };
        self.bundles
            .range((bundle.group, *indexes.start())..=(bundle.group, *indexes.end()))
            .filter(|(_, held)| held.expires.is_none())
            .map(|(key, held)| (*key, held))
    }

    fn bundle_lease(&self) -> Duration {
        self.member
            .as_ref()
            .map_or(BUNDLE_LEASE, |member| member.config.bundle_lease)
    }
}

/// How long a prepared bundle waits for its commit, when nothing else is said.
pub(super) const BUNDLE_LEASE: Duration = Duration::from_secs(10);

/// Groups whose returned attempts are remembered.
const FENCES_KEPT: usize = 4_096;
