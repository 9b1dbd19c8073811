//! Playing a transition table: what FrozenLake, CliffWalking and Taxi share.

use std::sync::Arc;

use super::{Transition, TransitionTable};
use crate::{Discrete, EnvError, Info, Outcome, Space, State, Step, Value, rng::Rng};

/// A table, where one is in it, and what was done last.
#[derive(Clone, Debug)]
pub(super) struct Play {
    table: Arc<TransitionTable>,
    state: usize,
    last_action: Option<usize>,
    is_started: bool,
    pub(super) rng: Rng,
}

impl Play {
    /// Returns a play that no reset has begun.
    pub(super) fn new(table: Arc<TransitionTable>) -> Play {
        Play {
            table,
            state: 0,
            last_action: None,
            is_started: false,
            rng: Rng::from_entropy(),
        }
    }

    /// Returns a play of the same table that no reset has begun.
    pub(super) fn another(&self) -> Play {
        Play::new(self.table.clone())
    }

    pub(super) fn table(&self) -> &TransitionTable {
        &self.table
    }

    pub(super) fn observation_space(&self) -> Space {
        Space::Discrete(Discrete::new(self.table.states() as i64))
    }

    pub(super) fn action_space(&self) -> Space {
        Space::Discrete(Discrete::new(self.table.actions() as i64))
    }

    pub(super) fn state(&self) -> usize {
        self.state
    }

    pub(super) fn last_action(&self) -> Option<usize> {
        self.last_action
    }

    /// Begins an episode; returns the state.
    pub(super) fn reset(&mut self, seed: Option<u64>) -> usize {
        if let Some(seed) = seed {
            self.rng = Rng::new(seed);
        }
        self.state = self.table.sample_initial(&mut self.rng);
        self.last_action = None;
        self.is_started = true;
        self.state
    }

    /// Does one action; returns what it led to.
    #[inline]
    pub(super) fn step(&mut self, action: i64) -> Result<Transition, EnvError> {
        if !self.is_started {
            return Err(EnvError::ResetNeeded);
        }
        let Some(index) = usize::try_from(action)
            .ok()
            .filter(|index| *index < self.table.actions())
        else {
            return Err(EnvError::invalid_action(
                action,
                format_args!("Discrete({})", self.table.actions()),
            ));
        };
        let outcome = self.table.sample(self.state, index, &mut self.rng);
        self.state = outcome.next;
        self.last_action = Some(index);
        Ok(outcome)
    }

    /// Moves to another state within a step.
    pub(super) fn divert(&mut self, state: usize) {
        self.state = state;
    }

    /// Returns everything that the next steps depend on.
    pub(super) fn save(&self) -> State {
        let mut saved = State {
            values: vec![self.state as f64],
            rng: self.rng.save(),
            ..State::default()
        };
        if let Some(action) = self.last_action {
            saved
                .extra
                .insert("last_action".into(), Value::Int(action as i64));
        }
        saved
    }

    /// Goes on from a saved state.
    pub(super) fn restore(&mut self, saved: &State) -> Result<(), EnvError> {
        let [state] = saved.numbers()?;
        if state.fract() != 0.0 || !(0.0..self.table.states() as f64).contains(&state) {
            return Err(EnvError::InvalidState(format!(
                "{state} is not one of {} states",
                self.table.states()
            )));
        }
        self.state = state as usize;
        self.last_action = match saved.extra.get("last_action") {
            Some(Value::Int(action)) => usize::try_from(*action)
                .ok()
                .filter(|action| *action < self.table.actions()),
            _ => None,
        };
        saved.restore_rng(&mut self.rng);
        self.is_started = true;
        Ok(())
    }
}

/// Returns what a transition means to the agent, with an info.
pub(super) fn step_of(state: usize, transition: Transition, info: Info) -> Step<i64> {
    Step {
        observation: state as i64,
        reward: transition.reward,
        terminated: transition.terminated,
        truncated: false,
        info,
    }
}

/// Returns what a transition means to the agent.
pub(super) fn outcome_of(transition: Transition) -> Outcome {
    Outcome {
        reward: transition.reward,
        terminated: transition.terminated,
        truncated: false,
    }
}

/// Returns the info that says how likely something was.
pub(super) fn probability_info(probability: f64) -> Info {
    Info::from([("prob".to_owned(), Value::Float(probability))])
}

/// Writes the methods of an environment that does nothing but play its table.
macro_rules! plays_its_table {
    () => {
        fn observation_space(&self) -> $crate::Space {
            self.play.observation_space()
        }

        fn action_space(&self) -> $crate::Space {
            self.play.action_space()
        }

        fn reset(
            &mut self,
            seed: Option<u64>,
            _: &$crate::Options,
        ) -> Result<(i64, $crate::Info), $crate::EnvError> {
            let state = self.play.reset(seed);
            Ok((state as i64, $crate::envs::toy::play::probability_info(1.0)))
        }

        fn step(&mut self, action: &i64) -> Result<$crate::Step<i64>, $crate::EnvError> {
            let transition = self.play.step(*action)?;
            let info = $crate::envs::toy::play::probability_info(transition.probability);
            Ok($crate::envs::toy::play::step_of(
                self.play.state(),
                transition,
                info,
            ))
        }

        fn state(&self) -> $crate::State {
            self.play.save()
        }

        fn set_state(&mut self, state: &$crate::State) -> Result<(), $crate::EnvError> {
            self.play.restore(state)
        }

        fn reset_into(
            &mut self,
            seed: Option<u64>,
            _: &$crate::Options,
            row: &mut [f32],
        ) -> Result<(), $crate::EnvError> {
            row[0] = self.play.reset(seed) as f32;
            Ok(())
        }

        #[inline]
        fn step_into(
            &mut self,
            action: &i64,
            row: &mut [f32],
        ) -> Result<$crate::Outcome, $crate::EnvError> {
            let transition = self.play.step(*action)?;
            row[0] = transition.next as f32;
            Ok($crate::envs::toy::play::outcome_of(transition))
        }

        fn metadata(&self) -> $crate::Metadata {
            $crate::Metadata::new(&[$crate::RenderMode::Ansi, $crate::RenderMode::RgbArray], 4)
        }

        fn rng_mut(&mut self) -> Option<&mut $crate::rng::Rng> {
            Some(&mut self.play.rng)
        }
    };
}

pub(super) use plays_its_table;
