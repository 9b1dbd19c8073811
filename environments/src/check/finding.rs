//! What a check finds.

use std::fmt;

/// A promise that an environment breaks, where, how, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// The promise.
    pub promise: Promise,
    /// Where: the call, and how many steps in.
    pub place: String,
    /// What was found there.
    pub problem: String,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It works, and may not be what was meant.
    Warning,
    /// Learning on it, or replaying it, goes wrong.
    Error,
}

macro_rules! promises {
    ($($(#[doc = $doc:literal])* $name:ident, $severity:ident, $help:literal;)*) => {
        /// What an environment promises.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Promise {
            $($(#[doc = $doc])* $name,)*
        }

        impl Promise {
            /// Returns how bad it is to break it.
            pub fn severity(self) -> Severity {
                match self {
                    $(Promise::$name => Severity::$severity,)*
                }
            }

            /// Returns how a broken one is mended.
            pub fn help(self) -> &'static str {
                match self {
                    $(Promise::$name => $help,)*
                }
            }
        }
    };
}

promises! {
    /// Bounds have a low that is not above the high, and there is something to choose from.
    UsableSpace, Error, "make the bounds of the space ones that a number can be between, and counts 1 or more";
    /// Numbers that agents see or do are bounded.
    BoundedSpace, Warning, "give bounds where there are some; networks learn better from numbers of a known range";
    /// Spaces stay as they are.
    ConstantSpace, Error, "return the same space from every call: agents are built for it once";
    /// Observations are of the space's kind and shape.
    ObservationShape, Error, "return observations of the space's kind and shape, or correct `observation_space`";
    /// Observations have the space's type of numbers.
    ObservationDtype, Error, "convert observations to the space's type, or give the space theirs";
    /// Observations are numbers.
    ObservationNumber, Error, "look for a division by 0 or an overflow in the dynamics";
    /// Observations are within the space's bounds.
    ObservationBounds, Error, "clip observations, or widen the bounds of `observation_space`";
    /// Rows that vector environments take are what the observation writes.
    ObservationRow, Error, "let `reset_into` and `step_into` write what `Observation::write` does, and earn what `step` does";
    /// Rewards are finite numbers.
    FiniteReward, Error, "look for a division by 0 or an overflow in the reward";
    /// Ending and being cut are told apart.
    SeparateFlags, Warning, "set `truncated` only where the task would go on; `TimeLimit` cuts by itself";
    /// An action from the space can be read, and is done.
    ActionAccepted, Error, "let `step` take every member of `action_space`, or make the space smaller";
    /// An action from outside the space is refused, and changes nothing.
    ActionRefused, Error, "return `EnvError::InvalidAction` before anything is changed";
    /// While an episode goes on, some choice makes sense.
    ActionMask, Error, "let the mask allow a choice until the episode has ended, or end it";
    /// A step before the first reset is refused.
    ResetNeeded, Error, "return `EnvError::ResetNeeded` until `reset` or `set_state` was called";
    /// A reset works.
    ResetAccepted, Error, "let `reset` work without options, with a seed and without, at any time";
    /// Equal seeds begin equal episodes.
    ResetDeterminism, Error, "draw everything from a generator that `reset` makes anew from the seed";
    /// Equal seeds and actions go through equal episodes.
    StepDeterminism, Error, "draw everything from that generator: no clock, no other generator, no iteration in random order";
    /// Equal seeds and actions give equal infos.
    InfoDeterminism, Error, "leave times and addresses out of infos, or say that the spec is nondeterministic";
    /// An option that is not known is refused or does nothing.
    UnknownOption, Error, "read options by their names, and return `EnvError::InvalidOption` for what is out of range";
    /// A restored state goes on exactly.
    ExactState, Error, "put everything into `state` that later steps depend on, random numbers included";
    /// A state of another shape is refused.
    ForeignState, Warning, "return `EnvError::InvalidState` for a state that `state` does not return";
    /// Every mode of the metadata draws a frame of its kind.
    Rendering, Error, "draw what the metadata names, with as many bytes as the picture has, or take the mode out";
    /// Drawing changes nothing.
    RenderingIsPassive, Error, "let `render` only look: no draws from the generator, no counting";
    /// Nothing panics.
    NoPanic, Error, "return an `EnvError` in place of the panic";
    /// Two environments have the same spaces.
    SameSpaces, Error, "compare environments of the same observations and actions";
    /// Two environments begin alike.
    SameResets, Error, "compare their generators and starting states";
    /// Two environments go on alike.
    SameSteps, Error, "compare their dynamics from the state before this step";
}

impl Finding {
    /// Returns how bad it is.
    pub fn severity(&self) -> Severity {
        self.promise.severity()
    }

    /// Returns how it is mended.
    pub fn help(&self) -> &'static str {
        self.promise.help()
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity() {
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        write!(
            f,
            "{severity}: {}: {}\n  help: {}",
            self.place,
            self.problem,
            self.help()
        )
    }
}

/// Gathers findings, the first of each promise.
#[derive(Debug, Default)]
pub(super) struct Report {
    findings: Vec<Finding>,
}

impl Report {
    pub(super) fn find(
        &mut self,
        promise: Promise,
        place: impl Into<String>,
        problem: impl Into<String>,
    ) {
        if self.has(promise) {
            return;
        }
        self.findings.push(Finding {
            promise,
            place: place.into(),
            problem: shortened(problem.into()),
        });
    }

    pub(super) fn has(&self, promise: Promise) -> bool {
        self.findings.iter().any(|found| found.promise == promise)
    }

    /// Returns what was found, the worst first.
    pub(super) fn finish(mut self) -> Vec<Finding> {
        let severity = |found: &Finding| std::cmp::Reverse(found.severity());
        self.findings.sort_by_key(severity);
        self.findings
    }
}

/// Cuts what would fill a screen: observations can be pictures.
fn shortened(problem: String) -> String {
    match problem.char_indices().nth(LETTERS) {
        Some((end, _)) => format!("{} …", &problem[..end]),
        None => problem,
    }
}

const LETTERS: usize = 400;
