//! Actions that sometimes stick.

use std::ops::RangeInclusive;

use crate::{
    Action as _, Env, EnvError, Info, Options, Outcome, State, Step, Value, dynamic::forward,
    rng::Rng, wrappers::saved,
};

/// An environment that sometimes does its last action again in place of the one it is given.
///
/// It keeps an agent from playing a remembered sequence (Machado et al. 2018). The chance has a generator of its own,
/// which a seed of `reset` starts anew.
#[derive(Clone, Debug)]
pub struct StickyAction<E: Env> {
    pub(super) inner: E,
    probability: f64,
    duration: RangeInclusive<u32>,
    last: Option<E::Action>,
    /// How many times more the last action is done whatever is asked for.
    left: u32,
    rng: Rng,
}

impl<E: Env> StickyAction<E> {
    /// Does the last action again with this probability.
    ///
    /// # Errors
    /// A probability that is not from 0 to below 1.
    pub fn new(inner: E, probability: f64) -> Result<StickyAction<E>, EnvError> {
        if !(0.0..1.0).contains(&probability) {
            return Err(refused("a probability from 0 to below 1"));
        }
        Ok(StickyAction {
            inner,
            probability,
            duration: 1..=1,
            last: None,
            left: 0,
            rng: Rng::from_entropy(),
        })
    }

    /// Sets how many steps an action sticks for, drawn each time it does.
    ///
    /// # Errors
    /// A range that is empty or begins at 0.
    pub fn duration(mut self, steps: RangeInclusive<u32>) -> Result<StickyAction<E>, EnvError> {
        if steps.is_empty() || *steps.start() == 0 {
            return Err(refused("a duration of one step or more"));
        }
        self.duration = steps;
        Ok(self)
    }

    fn begin(&mut self, seed: Option<u64>) {
        if let Some(seed) = seed {
            self.rng = Rng::stream(seed, STREAM, 0);
        }
        (self.last, self.left) = (None, 0);
    }

    /// Remembers an action that was done, and takes back the chance of one that was refused.
    fn settle<T>(
        &mut self,
        before: (u32, Rng),
        chosen: E::Action,
        result: Result<T, EnvError>,
    ) -> Result<T, EnvError> {
        match &result {
            Ok(_) => self.last = Some(chosen),
            Err(_) => (self.left, self.rng) = before,
        }
        result
    }

    /// Returns the action that is done.
    fn chosen(&mut self, action: &E::Action) -> E::Action {
        if self.left == 0 && self.last.is_some() && self.rng.unit() < self.probability {
            let (least, most) = (*self.duration.start(), *self.duration.end());
            self.left = least + self.rng.below(u64::from(most - least) + 1) as u32;
        }
        let chosen = match &self.last {
            Some(last) if self.left > 0 => last.clone(),
            _ => action.clone(),
        };
        self.left = self.left.saturating_sub(1);
        chosen
    }
}

impl<E: Env> Env for StickyAction<E> {
    type Observation = E::Observation;
    type Action = E::Action;

    forward!(inner: spaces, limit, attributes);

    fn reset(
        &mut self,
        seed: Option<u64>,
        options: &Options,
    ) -> Result<(E::Observation, Info), EnvError> {
        let first = self.inner.reset(seed, options)?;
        self.begin(seed);
        Ok(first)
    }

    fn step(&mut self, action: &E::Action) -> Result<Step<E::Observation>, EnvError> {
        let before = (self.left, self.rng.clone());
        let chosen = self.chosen(action);
        let step = self.inner.step(&chosen);
        self.settle(before, chosen, step)
    }

    fn reset_into(
        &mut self,
        seed: Option<u64>,
        options: &Options,
        row: &mut [f32],
    ) -> Result<(), EnvError> {
        self.inner.reset_into(seed, options, row)?;
        self.begin(seed);
        Ok(())
    }

    fn step_into(&mut self, action: &E::Action, row: &mut [f32]) -> Result<Outcome, EnvError> {
        let before = (self.left, self.rng.clone());
        let chosen = self.chosen(action);
        let outcome = self.inner.step_into(&chosen, row);
        self.settle(before, chosen, outcome)
    }

    fn state(&self) -> State {
        let mut state = self.inner.state();
        let last = self.last.iter().map(|last| last.to_value());
        let saved = vec![
            Value::List(last.collect()),
            Value::Int(i64::from(self.left)),
            saved::rng_value(&self.rng),
        ];
        saved::put(&mut state, NAME, Value::List(saved));
        state
    }

    fn set_state(&mut self, state: &State) -> Result<(), EnvError> {
        let mut rest = state.clone();
        let saved = saved::take(&mut rest, NAME)?;
        let read = || {
            let [last, left, rng] = saved.as_list()? else {
                return None;
            };
            let last = match last.as_list()? {
                [] => None,
                [last, ..] => Some(E::Action::from_value(last)?),
            };
            let left = u32::try_from(left.as_int()?).ok()?;
            Some((last, left, saved::rng_of(rng)?))
        };
        let (last, left, rng) = read().ok_or_else(|| saved::missing(NAME))?;
        self.inner.set_state(&rest)?;
        (self.last, self.left, self.rng) = (last, left, rng);
        Ok(())
    }
}

fn refused(needs: &str) -> EnvError {
    EnvError::NotSupported(format!("`StickyAction` needs {needs}"))
}

const NAME: &str = "sticky_action";
/// Sets its draws apart from those of the environment, which has the same seed.
const STREAM: u64 = 0x571c;
