//! Logical resources: fixed-point amounts that admit work, never measured use.

use std::{collections::BTreeMap, fmt};

use rkyv::{Archive, Deserialize, Serialize};

use crate::failure::Failure;

/// An amount of one resource in steps of 1/10,000.
#[derive(
    Archive,
    Serialize,
    Deserialize,
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
)]
pub struct Amount(pub u64);

impl Amount {
    /// Steps in one whole unit.
    pub const ONE: Amount = Amount(10_000);

    /// What stands for a number that is no amount; whoever is given it refuses it.
    pub const INVALID: Amount = Amount(u64::MAX);

    /// Rounds `value` to the nearest step; `None` when it is negative, not finite or too large.
    pub fn from_f64(value: f64) -> Option<Amount> {
        let steps = (value * 10_000.0).round();
        (steps.is_finite() && (0.0..=9.0e15).contains(&steps)).then_some(Amount(steps as u64))
    }

    /// Returns the amount in whole units.
    pub fn to_f64(self) -> f64 {
        self.0 as f64 / 10_000.0
    }
}

/// A set of named amounts; a name that is absent has none.
///
/// `CPU`, `GPU` and `memory` (bytes) are the names that the runtime knows; others are the user's.
#[derive(
    Archive, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash,
)]
pub struct Resources(pub BTreeMap<String, Amount>);

impl<const N: usize> From<[(&str, f64); N]> for Resources {
    fn from(amounts: [(&str, f64); N]) -> Resources {
        let empty = Resources::new();
        amounts
            .into_iter()
            .fold(empty, |set, (name, amount)| set.resource(name, amount))
    }
}

impl Resources {
    /// The name of the CPU resource.
    pub const CPU: &str = "CPU";
    /// The name of the GPU resource.
    pub const GPU: &str = "GPU";
    /// The name of the memory resource, counted in bytes.
    pub const MEMORY: &str = "memory";

    /// Returns an empty set.
    pub fn new() -> Resources {
        Resources::default()
    }

    /// Returns the set with so many CPUs.
    pub fn num_cpus(self, cpus: f64) -> Resources {
        self.resource(Resources::CPU, cpus)
    }

    /// Returns the set with so many GPUs.
    pub fn num_gpus(self, gpus: f64) -> Resources {
        self.resource(Resources::GPU, gpus)
    }

    /// Returns the set with so much memory; bytes.
    pub fn memory(self, bytes: u64) -> Resources {
        self.resource(Resources::MEMORY, bytes as f64)
    }

    /// Returns the set with so much of `name`; a number below zero, or none at all, is refused where the set is used.
    pub fn resource(self, name: &str, amount: f64) -> Resources {
        self.with(name, Amount::from_f64(amount).unwrap_or(Amount::INVALID))
    }

    /// Returns the name of an amount that is none.
    pub fn invalid(&self) -> Option<&str> {
        let mut amounts = self.0.iter();
        let found = amounts.find(|(_, amount)| **amount == Amount::INVALID);
        found.map(|(name, _)| name.as_str())
    }

    /// Returns the set with `name` set to `amount`; an amount of zero removes the name.
    pub fn with(mut self, name: &str, amount: Amount) -> Resources {
        self.set(name, amount);
        self
    }

    /// Sets `name` to `amount`; an amount of zero removes the name.
    pub fn set(&mut self, name: &str, amount: Amount) {
        if amount.0 == 0 {
            self.0.remove(name);
        } else {
            self.0.insert(name.to_owned(), amount);
        }
    }

    /// Returns how much there is of `name`; 0 when it is not named.
    pub fn get(&self, name: &str) -> f64 {
        self.amount(name).to_f64()
    }

    /// Returns how much there is of `name`, exactly; zero when it is not named.
    pub fn amount(&self, name: &str) -> Amount {
        self.0.get(name).copied().unwrap_or_default()
    }

    /// Returns whether every amount of `needed` is there.
    pub fn covers(&self, needed: &Resources) -> bool {
        needed
            .0
            .iter()
            .all(|(name, amount)| self.amount(name) >= *amount)
    }

    /// Takes `needed` out when all of it is there; returns whether it did.
    pub fn take(&mut self, needed: &Resources) -> bool {
        if !self.covers(needed) {
            return false;
        }
        for (name, amount) in &needed.0 {
            let left = Amount(self.amount(name).0 - amount.0);
            self.set(name, left);
        }
        true
    }

    /// Puts `given` back.
    pub fn give(&mut self, given: &Resources) {
        for (name, amount) in &given.0 {
            let sum = Amount(self.amount(name).0 + amount.0);
            self.set(name, sum);
        }
    }

    /// Checks that what lies on devices can lie on them.
    ///
    /// # Errors
    /// `InvalidOption` when more than one GPU is asked for and not a whole number of them.
    pub fn check_devices(&self) -> Result<(), Failure> {
        let gpus = self.amount(Resources::GPU);
        if gpus <= Amount::ONE || gpus.0.is_multiple_of(Amount::ONE.0) {
            return Ok(());
        }
        let reason = format!(
            "{} is neither at most 1 nor a whole number: a fraction lies on one device",
            gpus.to_f64()
        );
        Err(Failure::InvalidOption {
            option: "num_gpus".into(),
            reason,
        })
    }

    /// Returns whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("nothing");
        }
        for (position, (name, amount)) in self.0.iter().enumerate() {
            let separator = if position == 0 { "" } else { ", " };
            write!(f, "{separator}{} {name}", amount.to_f64())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn take_is_all_or_nothing() {
        let mut free = Resources::new()
            .with("CPU", Amount::ONE)
            .with("GPU", Amount(5_000));
        let too_much = Resources::new()
            .with("CPU", Amount::ONE)
            .with("GPU", Amount(5_001));
        assert!(!free.take(&too_much));
        assert_eq!(free.amount("CPU"), Amount::ONE);
        let fits = Resources::new().with("GPU", Amount(5_000));
        assert!(free.take(&fits));
        assert_eq!(free, Resources::new().with("CPU", Amount::ONE));
        free.give(&fits);
        assert_eq!(free.amount("GPU"), Amount(5_000));
    }

    #[test]
    fn amounts_round_to_a_ten_thousandth_and_refuse_nonsense() {
        assert_eq!(Amount::from_f64(0.00005), Some(Amount(1)));
        assert_eq!(Amount::from_f64(-0.1), None);
        assert_eq!(Amount::from_f64(f64::NAN), None);
        assert_eq!(Amount::from_f64(f64::INFINITY), None);
    }

    #[test]
    fn more_than_one_gpu_must_be_whole() {
        let check = |steps| {
            let shape = Resources::new().with(Resources::GPU, Amount(steps));
            shape.check_devices()
        };
        assert_eq!(check(2_500), Ok(()));
        assert_eq!(check(20_000), Ok(()));
        assert!(matches!(check(15_000), Err(Failure::InvalidOption { .. })));
    }
}
