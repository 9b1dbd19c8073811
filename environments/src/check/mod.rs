//! Finds promises that an environment breaks.
//!
//! [`check_env`] makes an environment some times, plays it with random actions and returns a list of [`Finding`]s:
//! what is wrong, where, and how it is mended. [`check_environments_match`] plays two side by side. Neither proves
//! anything: it tries. What Rust rules out is not tried, such as an observation that a later step changes.

mod finding;
mod matching;
mod member;
mod play;
mod promises;

pub use finding::{Finding, Promise, Severity};
pub use matching::{EnvMatch, check_environments_match};

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::{Env, Space};
use finding::Report;

/// Checks what every environment promises; `make` makes it anew each time.
///
/// An empty list is what an author wants; [`Severity::Warning`]s may be meant.
///
/// ```
/// use environments::{check::{check_env, passes}, envs::CartPole};
///
/// let findings = check_env(CartPole::new);
/// for finding in &findings {
///     println!("{finding}");
/// }
/// assert!(passes(&findings));
/// ```
pub fn check_env<E: Env>(make: impl FnMut() -> E) -> Vec<Finding> {
    EnvCheck::default().run(make)
}

/// Returns whether nothing was found that is an error.
pub fn passes(findings: &[Finding]) -> bool {
    let mut findings = findings.iter();
    findings.all(|finding| finding.severity() < Severity::Error)
}

/// How an environment is checked.
#[derive(Clone, Copy, Debug)]
pub struct EnvCheck {
    steps: usize,
    seed: u64,
}

impl Default for EnvCheck {
    /// Plays 200 steps from seed 42.
    fn default() -> EnvCheck {
        EnvCheck {
            steps: 200,
            seed: 42,
        }
    }
}

impl EnvCheck {
    /// Sets how many steps are played each time.
    pub fn steps(mut self, steps: usize) -> EnvCheck {
        self.steps = steps;
        self
    }

    /// Sets the seed of the episodes and the actions.
    pub fn seed(mut self, seed: u64) -> EnvCheck {
        self.seed = seed;
        self
    }

    /// Checks the environments that `make` makes.
    pub fn run<E: Env>(&self, mut make: impl FnMut() -> E) -> Vec<Finding> {
        let mut report = Report::default();
        self.try_all(&mut make, &mut report);
        report.finish()
    }

    fn try_all<E: Env>(&self, make: &mut impl FnMut() -> E, report: &mut Report) {
        guard("make", report, |report| {
            let env = make();
            check_space("observation_space", &env.observation_space(), report);
            check_space("action_space", &env.action_space(), report);
        });
        // Nothing can be drawn from such a space.
        if report.has(Promise::UsableSpace) || report.has(Promise::NoPanic) {
            return;
        }
        let (seed, steps) = (self.seed, self.steps);
        guard("a step before the first reset", report, |report| {
            promises::needs_reset(make(), report);
        });
        guard("an episode", report, |report| {
            promises::is_deterministic(make(), make(), seed, steps, report);
        });
        // What follows compares episodes, and would say the same again.
        let has_played = [
            Promise::ResetAccepted,
            Promise::ActionAccepted,
            Promise::NoPanic,
        ];
        if has_played.into_iter().any(|promise| report.has(promise)) {
            return;
        }
        guard("rows", report, |report| {
            promises::writes_rows(make(), make(), seed, steps, report);
        });
        guard("set_state", report, |report| {
            promises::restores_states(make(), make(), seed, steps, report);
        });
        guard("a wrong action", report, |report| {
            promises::refuses_actions(make(), seed, report);
        });
        guard("options", report, |report| {
            promises::ignores_unknown_options(make(), make(), seed, report);
        });
        guard("render", report, |report| {
            promises::renders(make(), seed, report);
        });
    }
}

/// Tries something; a panic is a finding.
fn guard(place: &str, report: &mut Report, check: impl FnOnce(&mut Report)) {
    let result = catch_unwind(AssertUnwindSafe(|| check(report)));
    if let Err(panic) = result {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        let problem = format!("it panics: {}", text.unwrap_or("no message"));
        report.find(Promise::NoPanic, place, problem);
    }
}

/// Checks that a space can be drawn from, and is bounded.
fn check_space(name: &str, space: &Space, report: &mut Report) {
    let mut unusable = |problem: String| report.find(Promise::UsableSpace, name, problem);
    match space {
        Space::Box(bounds) => {
            let len = bounds.shape.iter().product::<usize>();
            if bounds.low.len() != len || bounds.high.len() != len {
                return unusable(format!("the bounds do not fill shape {:?}", bounds.shape));
            }
            let inverted = (0..len).find(|at| {
                let (low, high) = (bounds.low[*at], bounds.high[*at]);
                low > high || low.is_nan() || high.is_nan()
            });
            if let Some(at) = inverted {
                let (low, high) = (bounds.low[at], bounds.high[at]);
                return unusable(format!("the bounds of element {at} are {low} to {high}"));
            }
            if !bounds.is_bounded() {
                report.find(Promise::BoundedSpace, name, "some bounds are infinite");
            }
        }
        Space::Discrete(choice) if choice.n < 1 => {
            unusable(format!("there are {} choices", choice.n));
        }
        Space::MultiDiscrete(choices) if choices.nvec.iter().any(|n| *n < 1) => {
            unusable(format!("there are {:?} choices", choices.nvec));
        }
        Space::Dict(parts) => {
            for (part, space) in parts.iter() {
                check_space(&format!("{name}.{part}"), space, report);
            }
        }
        Space::Tuple(parts) => {
            for (at, space) in parts.spaces.iter().enumerate() {
                check_space(&format!("{name}[{at}]"), space, report);
            }
        }
        _ => {}
    }
}
