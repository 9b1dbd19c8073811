//! Transition tables: what each action in each state leads to, and how likely.

use crate::rng::Rng;

/// One thing that an action may lead to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Transition {
    /// How likely it is.
    pub probability: f64,
    /// The state that follows.
    pub next: usize,
    /// What it earns.
    pub reward: f64,
    /// Whether the task ends.
    pub terminated: bool,
}

/// The dynamics of an environment with few states, readable as `P[s][a]` of Gymnasium is.
#[derive(Clone, Debug, PartialEq)]
pub struct TransitionTable {
    actions: usize,
    outcomes: Vec<Transition>,
    /// Where the outcomes of each state and action begin, and where the last end.
    starts: Vec<u32>,
    initial: Vec<f64>,
    /// The state that every episode begins in, when it is one.
    certain_start: Option<usize>,
}

impl TransitionTable {
    /// Builds a table of `initial.len()` states from what `outcomes(state, action)` lists.
    pub(crate) fn build<I: IntoIterator<Item = Transition>>(
        initial: Vec<f64>,
        actions: usize,
        mut outcomes: impl FnMut(usize, usize) -> I,
    ) -> TransitionTable {
        let mut table = TransitionTable {
            actions,
            outcomes: Vec::new(),
            starts: vec![0],
            certain_start: initial.iter().position(|share| *share == 1.0),
            initial,
        };
        for state in 0..table.initial.len() {
            for action in 0..actions {
                table.outcomes.extend(outcomes(state, action));
                table.starts.push(table.outcomes.len() as u32);
            }
        }
        table
    }

    /// Returns how many states there are.
    pub fn states(&self) -> usize {
        self.initial.len()
    }

    /// Returns how many actions each state has.
    pub fn actions(&self) -> usize {
        self.actions
    }

    /// Returns how likely an episode begins in each state.
    pub fn initial(&self) -> &[f64] {
        &self.initial
    }

    /// Returns what an action in a state may lead to.
    ///
    /// # Panics
    /// When there is no such state or action.
    pub fn outcomes(&self, state: usize, action: usize) -> &[Transition] {
        assert!(action < self.actions, "action {action} is not in the table");
        let at = state * self.actions + action;
        &self.outcomes[self.starts[at] as usize..self.starts[at + 1] as usize]
    }

    /// Draws what an action leads to; a certain outcome takes no draw.
    #[inline]
    pub(crate) fn sample(&self, state: usize, action: usize, rng: &mut Rng) -> Transition {
        let outcomes = self.outcomes(state, action);
        if let [certain] = outcomes {
            return *certain;
        }
        let drawn = rng.unit();
        // Counts without branching, which could not be foretold: the outcomes that end at or below the draw.
        let (mut cumulative, mut below) = (0.0, 0);
        for outcome in outcomes {
            cumulative += outcome.probability;
            below += usize::from(cumulative <= drawn);
        }
        // Rounding can leave the sum just below the draw; Gymnasium takes the first then.
        *outcomes.get(below).unwrap_or(&outcomes[0])
    }

    /// Draws the state that an episode begins in; a certain one takes no draw.
    pub(crate) fn sample_initial(&self, rng: &mut Rng) -> usize {
        if let Some(certain) = self.certain_start {
            return certain;
        }
        let drawn = rng.unit();
        let mut cumulative = 0.0;
        for (state, share) in self.initial.iter().enumerate() {
            cumulative += share;
            if cumulative > drawn {
                return state;
            }
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(probability: f64, next: usize) -> Transition {
        Transition {
            probability,
            next,
            reward: 0.0,
            terminated: false,
        }
    }

    #[test]
    fn outcomes_come_as_often_as_they_are_likely() {
        let table = TransitionTable::build(vec![0.25, 0.75], 1, |state, _| match state {
            0 => vec![outcome(0.2, 0), outcome(0.8, 1)],
            _ => vec![outcome(1.0, 0)],
        });
        let mut rng = Rng::new(4);
        let ones = (0..10_000)
            .filter(|_| table.sample(0, 0, &mut rng).next == 1)
            .count();
        assert!((7_800..8_200).contains(&ones), "{ones}");
        let ones = (0..10_000)
            .filter(|_| table.sample_initial(&mut rng) == 1)
            .count();
        assert!((7_300..7_700).contains(&ones), "{ones}");
        assert_eq!(table.outcomes(1, 0), [outcome(1.0, 0)]);
    }

    #[test]
    fn a_certain_outcome_takes_no_draw() {
        let table = TransitionTable::build(vec![0.0, 1.0], 1, |_, _| [outcome(1.0, 0)]);
        let mut rng = Rng::new(4);
        assert_eq!(table.sample_initial(&mut rng), 1);
        assert_eq!(table.sample(1, 0, &mut rng).next, 0);
        assert_eq!(rng.bits(), Rng::new(4).bits());
    }
}
