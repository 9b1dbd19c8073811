//! Two environments side by side.

use super::{
    Finding, Promise,
    finding::Report,
    play::{divergence, play},
};
use crate::Env;

/// Plays two environments with the same seed and actions, and returns where they first differ.
///
/// They may be of different types: a port and its original, or one wrapped and one not.
///
/// ```
/// use environments::{check::check_environments_match, envs::CartPole, make};
///
/// let mut made = make("CartPole-v1")?;
/// assert!(check_environments_match(&mut CartPole::new(), &mut made).is_empty());
/// # Ok::<(), environments::MakeError>(())
/// ```
pub fn check_environments_match<A: Env, B: Env>(a: &mut A, b: &mut B) -> Vec<Finding> {
    EnvMatch::default().run(a, b)
}

/// How two environments are compared.
#[derive(Clone, Copy, Debug)]
pub struct EnvMatch {
    steps: usize,
    seed: u64,
    tolerance: f64,
    ignores_infos: bool,
}

impl Default for EnvMatch {
    /// Plays 200 steps from seed 42, and wants everything exactly equal.
    fn default() -> EnvMatch {
        EnvMatch {
            steps: 200,
            seed: 42,
            tolerance: 0.0,
            ignores_infos: false,
        }
    }
}

impl EnvMatch {
    /// Sets how many steps are compared.
    pub fn steps(mut self, steps: usize) -> EnvMatch {
        self.steps = steps;
        self
    }

    /// Sets the seed of the episodes and the actions.
    pub fn seed(mut self, seed: u64) -> EnvMatch {
        self.seed = seed;
        self
    }

    /// Sets how far numbers may be from each other.
    pub fn tolerance(mut self, tolerance: f64) -> EnvMatch {
        self.tolerance = tolerance;
        self
    }

    /// Leaves infos out.
    pub fn ignore_infos(mut self) -> EnvMatch {
        self.ignores_infos = true;
        self
    }

    /// Compares two environments.
    pub fn run<A: Env, B: Env>(&self, a: &mut A, b: &mut B) -> Vec<Finding> {
        let mut report = Report::default();
        let pairs = [
            (
                "observation_space",
                a.observation_space(),
                b.observation_space(),
            ),
            ("action_space", a.action_space(), b.action_space()),
        ];
        for (name, left, right) in pairs {
            if left != right {
                report.find(Promise::SameSpaces, name, format!("{left} and {right}"));
            }
        }
        if report.has(Promise::SameSpaces) {
            return report.finish();
        }
        // What either breaks by itself is not what is asked here.
        let mut alone = Report::default();
        let mut left = play(a, self.seed, self.steps, &mut alone);
        let mut right = play(b, self.seed, self.steps, &mut alone);
        if self.ignores_infos {
            left.iter_mut().for_each(|seen| seen.info.clear());
            right.iter_mut().for_each(|seen| seen.info.clear());
        }
        if let Some(found) = divergence(&left, &right, self.tolerance) {
            let promise = match found.is_reset {
                true => Promise::SameResets,
                false => Promise::SameSteps,
            };
            report.find(promise, found.place, found.problem);
        }
        report.finish()
    }
}
