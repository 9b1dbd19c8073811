//! Which GPUs a worker process sees: what `CUDA_VISIBLE_DEVICES` says when it starts.
//!
//! The variable of a running process cannot be changed safely, so a worker sees the same GPUs for its
//! whole life, and the scheduler keeps workers apart by what they see. Libraries that open devices read
//! it at their first use; nothing else keeps a process off a device.

use ray_engine::resources::Amount;

use crate::{Error, Result};

/// The variable that CUDA reads.
const VARIABLE: &str = "CUDA_VISIBLE_DEVICES";
/// Set to 0 where work without GPUs is to see what the node sees.
const HIDE_VARIABLE: &str = "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO";

/// The GPUs of a node, by the names under which its workers see them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct VisibleGpus {
    /// What the node itself was told to see; `None` for everything.
    preset: Option<Vec<String>>,
    /// Whether work without GPUs sees what the node sees.
    shows_all_to_others: bool,
}

impl VisibleGpus {
    /// Returns what this process was told to see.
    pub(crate) fn of_this_process() -> VisibleGpus {
        VisibleGpus {
            preset: std::env::var(VARIABLE).ok().map(|value| names(&value)),
            shows_all_to_others: std::env::var(HIDE_VARIABLE).is_ok_and(|value| value == "0"),
        }
    }

    /// Returns an error when the node would offer more GPUs than it was told to see.
    pub(crate) fn check(&self, gpus: Amount) -> Result<()> {
        let offered = gpus.0.div_ceil(Amount::ONE.0);
        match &self.preset {
            Some(names) if (names.len() as u64) < offered => Err(Error::InvalidOption {
                option: "num_gpus".into(),
                reason: format!(
                    "{offered} are more than the {} that {VARIABLE} names; name more there, or offer fewer",
                    names.len()
                ),
            }),
            _ => Ok(()),
        }
    }

    /// Returns what the variable says in a worker that sees these GPUs; `None` leaves it as the node has it.
    pub(super) fn variable(&self, gpus: &[u32]) -> Option<(&'static str, String)> {
        if gpus.is_empty() && self.shows_all_to_others {
            return None;
        }
        let name = |index: &u32| {
            let preset = self.preset.as_ref();
            let named = preset.and_then(|names| names.get(*index as usize).cloned());
            named.unwrap_or_else(|| index.to_string())
        };
        let names = gpus.iter().map(name).collect::<Vec<_>>();
        Some((VARIABLE, names.join(",")))
    }
}

/// Returns the devices that a value of the variable names; as for CUDA, -1 ends the list.
fn names(value: &str) -> Vec<String> {
    let names = value.split(',').map(str::trim);
    let valid = names.take_while(|name| !name.is_empty() && *name != "-1");
    valid.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn preset(value: &str) -> VisibleGpus {
        VisibleGpus {
            preset: Some(names(value)),
            shows_all_to_others: false,
        }
    }

    fn value(gpus: &VisibleGpus, granted: &[u32]) -> Option<String> {
        gpus.variable(granted).map(|(_, value)| value)
    }

    #[test]
    fn a_worker_sees_just_what_it_was_granted() {
        let all = VisibleGpus::default();
        assert_eq!(value(&all, &[0, 2]).as_deref(), Some("0,2"));
        assert_eq!(value(&all, &[]).as_deref(), Some(""), "no GPU is none");
    }

    #[test]
    fn a_preset_gives_the_names_and_the_most() {
        let some = preset("3, GPU-8f1,7,-1,9");
        assert_eq!(value(&some, &[1, 2]).as_deref(), Some("GPU-8f1,7"));
        assert!(some.check(Amount(3 * Amount::ONE.0)).is_ok());
        let refused = some.check(Amount(3 * Amount::ONE.0 + 1));
        assert!(
            matches!(&refused, Err(Error::InvalidOption { option, .. }) if option == "num_gpus"),
            "{refused:?}"
        );
        assert!(preset("").check(Amount(0)).is_ok());
        assert!(preset("-1").check(Amount(1)).is_err());
    }

    #[test]
    fn what_works_without_gpus_may_be_left_as_it_is() {
        let shown = VisibleGpus {
            shows_all_to_others: true,
            ..preset("4,5")
        };
        assert_eq!(value(&shown, &[]), None);
        assert_eq!(value(&shown, &[1]).as_deref(), Some("5"));
    }
}
