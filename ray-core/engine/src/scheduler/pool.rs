//! What can be given out: amounts by name, and the devices that GPUs lie on.

use std::collections::BTreeMap;

use crate::{
    resources::{Amount, Resources},
    spec::DeviceShare,
};

/// The resources of a node, or those that a bundle set aside.
#[derive(Clone, Debug)]
pub(super) struct Pool {
    total: Resources,
    /// What nobody holds; below zero for a moment when a blocked worker wakes.
    free: BTreeMap<String, i64>,
    /// How many steps of each device nobody holds.
    devices: BTreeMap<u32, u64>,
    /// Counts the changes of `free`.
    version: u64,
}

impl Pool {
    /// Returns a node's pool: its GPUs are devices 0, 1, …; the last may be a part of one.
    pub(super) fn of_node(total: Resources) -> Pool {
        let mut left = total.amount(Resources::GPU).0;
        let mut devices = Vec::new();
        while left > 0 {
            let amount = Amount(left.min(Amount::ONE.0));
            left -= amount.0;
            devices.push(DeviceShare {
                index: devices.len() as u32,
                amount,
            });
        }
        Pool::new(total, &devices)
    }

    /// Returns a pool of these amounts, with the GPUs among them on these devices.
    pub(super) fn new(total: Resources, devices: &[DeviceShare]) -> Pool {
        let free = total
            .0
            .iter()
            .map(|(name, amount)| (name.clone(), amount.0 as i64))
            .collect();
        let devices = devices.iter().map(|share| (share.index, share.amount.0));
        Pool {
            free,
            devices: devices.collect(),
            version: 0,
            total,
        }
    }

    pub(super) fn total(&self) -> &Resources {
        &self.total
    }

    pub(super) fn version(&self) -> u64 {
        self.version
    }

    pub(super) fn free(&self, name: &str) -> i64 {
        self.free.get(name).copied().unwrap_or(0)
    }

    /// Returns what nobody holds.
    pub(super) fn available(&self) -> Resources {
        let mut available = Resources::new();
        for (name, amount) in &self.free {
            available.set(name, Amount((*amount).max(0) as u64));
        }
        available
    }

    /// Returns whether the shape is free, its GPUs on devices that can hold them.
    pub(super) fn fits(&self, shape: &Resources) -> bool {
        let has_amounts = shape
            .0
            .iter()
            .all(|(name, amount)| self.free(name) >= amount.0 as i64);
        has_amounts && self.devices_for(shape).is_some()
    }

    /// Chooses devices: whole ones for one GPU and more, else the fullest that still has the fraction.
    pub(super) fn devices_for(&self, shape: &Resources) -> Option<Vec<DeviceShare>> {
        let gpus = shape.amount(Resources::GPU);
        if gpus < Amount::ONE {
            if gpus == Amount(0) {
                return Some(Vec::new());
            }
            let (_, index) = self
                .devices
                .iter()
                .filter(|(_, free)| **free >= gpus.0)
                .map(|(index, free)| (*free, *index))
                .min()?;
            return Some(vec![DeviceShare {
                index,
                amount: gpus,
            }]);
        }
        let count = usize::try_from(gpus.0 / Amount::ONE.0).ok()?;
        let whole = self
            .devices
            .iter()
            .filter(|(_, free)| **free == Amount::ONE.0)
            .map(|(index, _)| DeviceShare {
                index: *index,
                amount: Amount::ONE,
            })
            .take(count)
            .collect::<Vec<_>>();
        (whole.len() == count).then_some(whole)
    }

    /// Returns what a shape would hold of just these devices, if they can hold it now.
    pub(super) fn shares_on(&self, shape: &Resources, devices: &[u32]) -> Option<Vec<DeviceShare>> {
        let gpus = shape.amount(Resources::GPU);
        let amount = gpus.min(Amount::ONE);
        let count = usize::try_from(gpus.0.div_ceil(Amount::ONE.0)).ok()?;
        let is_free = |index: &u32| {
            let free = self.devices.get(index);
            free.is_some_and(|free| *free >= amount.0)
        };
        (devices.len() == count && devices.iter().all(is_free)).then(|| {
            let share = |index: &u32| DeviceShare {
                index: *index,
                amount,
            };
            devices.iter().map(share).collect()
        })
    }

    /// Takes a shape that fits out; returns its devices.
    pub(super) fn take(&mut self, shape: &Resources) -> Vec<DeviceShare> {
        let devices = self.devices_for(shape).unwrap_or_default();
        self.take_on(shape, &devices);
        devices
    }

    /// Takes a shape out, its GPUs on these devices.
    pub(super) fn take_on(&mut self, shape: &Resources, devices: &[DeviceShare]) {
        for share in devices {
            let free = self.devices.entry(share.index).or_default();
            *free -= share.amount.0;
        }
        self.take_amounts(shape);
    }

    /// Takes amounts out whether or not they are free; devices stay as they are.
    pub(super) fn take_amounts(&mut self, shape: &Resources) {
        self.version += 1;
        for (name, amount) in &shape.0 {
            *self.free.entry(name.clone()).or_default() -= amount.0 as i64;
        }
    }

    /// Puts amounts and devices back.
    pub(super) fn give(&mut self, shape: &Resources, devices: &[DeviceShare]) {
        self.version += 1;
        for (name, amount) in &shape.0 {
            *self.free.entry(name.clone()).or_default() += amount.0 as i64;
        }
        for share in devices {
            *self.devices.entry(share.index).or_default() += share.amount.0;
        }
    }

    /// Puts what is left of a pool that was cut out of this one back.
    pub(super) fn absorb(&mut self, part: Pool) {
        self.version += 1;
        for (name, amount) in part.free {
            *self.free.entry(name).or_default() += amount;
        }
        for (index, free) in part.devices {
            *self.devices.entry(index).or_default() += free;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gpus(steps: u64) -> Resources {
        Resources::new().with(Resources::GPU, Amount(steps))
    }

    fn indexes(devices: &[DeviceShare]) -> Vec<u32> {
        devices.iter().map(|share| share.index).collect()
    }

    #[test]
    fn fractions_share_a_device_and_never_span_two() {
        let mut pool = Pool::of_node(gpus(20_000));
        assert_eq!(indexes(&pool.take(&gpus(6_000))), [0]);
        assert_eq!(indexes(&pool.take(&gpus(6_000))), [1]);
        // 0.8 is free in all, and 0.4 on each.
        assert!(!pool.fits(&gpus(5_000)));
        assert_eq!(indexes(&pool.take(&gpus(4_000))), [0]);
    }

    #[test]
    fn whole_gpus_take_untouched_devices() {
        let mut pool = Pool::of_node(gpus(30_000));
        let half = pool.take(&gpus(5_000));
        let two = pool.take(&gpus(20_000));
        assert_eq!((indexes(&half), indexes(&two)), (vec![0], vec![1, 2]));
        assert!(!pool.fits(&gpus(10_000)));
        pool.give(&gpus(5_000), &half);
        assert_eq!(indexes(&pool.take(&gpus(10_000))), [0]);
    }

    #[test]
    fn a_fraction_goes_to_the_fullest_device_that_has_it() {
        let mut pool = Pool::of_node(gpus(20_000));
        pool.take(&gpus(2_000));
        pool.take(&gpus(9_000));
        assert_eq!(indexes(&pool.take(&gpus(1_000))), [1]);
        assert_eq!(indexes(&pool.take(&gpus(1_000))), [0]);
    }

    #[test]
    fn a_part_goes_back_with_what_is_left_in_it() {
        let mut pool = Pool::of_node(gpus(20_000));
        let devices = pool.take(&gpus(10_000));
        let mut part = Pool::new(gpus(10_000), &devices);
        let held = part.take(&gpus(2_500));
        pool.absorb(part);
        assert_eq!(pool.free(Resources::GPU), 17_500);
        pool.give(&gpus(2_500), &held);
        assert!(pool.fits(&gpus(20_000)));
    }
}
