//! Wrappers that pay other rewards than the environment does.
//!
//! A [`RewardMap`] says what is paid in place of a reward; [`MapReward`] is the environment that pays it.

use super::{
    observation::{statistics_of, statistics_value},
    saved,
};
use crate::{
    Env, EnvError, Info, Options, Outcome, State, Step, Value, dynamic::forward,
    vector::RunningMeanStd,
};

/// What is paid in place of a reward.
pub trait RewardMap: Send {
    /// The name under which a state keeps what the map remembers.
    const NAME: &'static str;

    /// Returns what is paid; `terminated` says whether the task ended with it.
    fn map(&mut self, reward: f64, terminated: bool) -> f64;

    /// Returns what it remembers; `None` where it never remembers anything.
    fn save(&self) -> Option<Value> {
        None
    }

    /// Remembers what [`RewardMap::save`] returned, and whether it could.
    fn load(&mut self, _saved: &Value) -> bool {
        true
    }
}

/// An environment whose rewards go through a map.
#[derive(Clone, Debug)]
pub struct MapReward<E, M> {
    inner: E,
    /// What they go through.
    pub map: M,
}

impl<E: Env, M: RewardMap> MapReward<E, M> {
    /// Returns an environment whose rewards go through a map of one's own.
    pub fn with_map(inner: E, map: M) -> MapReward<E, M> {
        MapReward { inner, map }
    }
}

impl<E: Env, M: RewardMap> Env for MapReward<E, M> {
    type Observation = E::Observation;
    type Action = E::Action;

    forward!(inner: spaces, limit, attributes);

    fn reset(
        &mut self,
        seed: Option<u64>,
        options: &Options,
    ) -> Result<(E::Observation, Info), EnvError> {
        self.inner.reset(seed, options)
    }

    fn step(&mut self, action: &E::Action) -> Result<Step<E::Observation>, EnvError> {
        let mut step = self.inner.step(action)?;
        step.reward = self.map.map(step.reward, step.terminated);
        Ok(step)
    }

    fn reset_into(
        &mut self,
        seed: Option<u64>,
        options: &Options,
        row: &mut [f32],
    ) -> Result<(), EnvError> {
        self.inner.reset_into(seed, options, row)
    }

    fn step_into(&mut self, action: &E::Action, row: &mut [f32]) -> Result<Outcome, EnvError> {
        let mut outcome = self.inner.step_into(action, row)?;
        outcome.reward = self.map.map(outcome.reward, outcome.terminated);
        Ok(outcome)
    }

    fn state(&self) -> State {
        let mut state = self.inner.state();
        if let Some(saved) = self.map.save() {
            saved::put(&mut state, M::NAME, saved);
        }
        state
    }

    fn set_state(&mut self, state: &State) -> Result<(), EnvError> {
        if self.map.save().is_none() {
            return self.inner.set_state(state);
        }
        let mut rest = state.clone();
        let saved = saved::take(&mut rest, M::NAME)?;
        self.inner.set_state(&rest)?;
        match self.map.load(&saved) {
            true => Ok(()),
            false => Err(saved::missing(M::NAME)),
        }
    }
}

/// Pays what a function makes of a reward.
pub struct RewardFunction(Box<dyn FnMut(f64) -> f64 + Send>);

/// An environment whose rewards go through a function.
pub type TransformReward<E> = MapReward<E, RewardFunction>;

impl<E: Env> TransformReward<E> {
    /// Pays what the function returns.
    pub fn new(inner: E, convert: impl FnMut(f64) -> f64 + Send + 'static) -> TransformReward<E> {
        let map = RewardFunction(Box::new(convert));
        MapReward { inner, map }
    }
}

impl RewardMap for RewardFunction {
    const NAME: &'static str = "transform_reward";

    fn map(&mut self, reward: f64, _: bool) -> f64 {
        (self.0)(reward)
    }
}

impl std::fmt::Debug for RewardFunction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RewardFunction")
    }
}

/// Moves rewards within bounds.
#[derive(Clone, Copy, Debug)]
pub struct RewardBounds {
    low: f64,
    high: f64,
}

/// An environment whose rewards are moved within bounds.
pub type ClipReward<E> = MapReward<E, RewardBounds>;

impl<E: Env> ClipReward<E> {
    /// Pays rewards from `low` to `high`; an infinite bound is none.
    ///
    /// # Errors
    /// Bounds that are no numbers or the wrong way round.
    pub fn new(inner: E, low: f64, high: f64) -> Result<ClipReward<E>, EnvError> {
        match low <= high {
            true => Ok(MapReward {
                inner,
                map: RewardBounds { low, high },
            }),
            false => Err(EnvError::NotSupported(format!(
                "`ClipReward` needs a low bound that is not above the high, not {low} and {high}"
            ))),
        }
    }
}

impl RewardMap for RewardBounds {
    const NAME: &'static str = "clip_reward";

    fn map(&mut self, reward: f64, _: bool) -> f64 {
        reward.clamp(self.low, self.high)
    }
}

/// Divides rewards by the deviation of the discounted return so far.
#[derive(Clone, Debug)]
pub struct ReturnScale {
    gamma: f64,
    discounted: f64,
    /// What discounted returns were seen.
    pub statistics: RunningMeanStd,
    /// Whether further rewards count.
    pub is_learning: bool,
}

/// An environment whose rewards are divided by the deviation of the discounted return so far.
///
/// It pays `reward / sqrt(variance + 1e-8)`, where the variance counts the reward itself. The return starts anew with
/// the reward that ends a task, and goes on across a cut. The statistics go with the state.
pub type NormalizeReward<E> = MapReward<E, ReturnScale>;

impl<E: Env> NormalizeReward<E> {
    /// Scales by returns that are discounted by `gamma`.
    ///
    /// # Errors
    /// A `gamma` outside 0 to 1.
    pub fn new(inner: E, gamma: f64) -> Result<NormalizeReward<E>, EnvError> {
        if !(0.0..=1.0).contains(&gamma) {
            return Err(EnvError::NotSupported(format!(
                "`NormalizeReward` needs a discount from 0 to 1 and not {gamma}"
            )));
        }
        let map = ReturnScale {
            gamma,
            discounted: 0.0,
            statistics: RunningMeanStd::new(1),
            is_learning: true,
        };
        Ok(MapReward { inner, map })
    }
}

impl RewardMap for ReturnScale {
    const NAME: &'static str = "normalize_reward";

    fn map(&mut self, reward: f64, terminated: bool) -> f64 {
        let before = if terminated { 0.0 } else { self.discounted };
        self.discounted = before * self.gamma + reward;
        if self.is_learning {
            let discounted = self.discounted;
            self.statistics.update(1, |_, _| discounted);
        }
        reward / (self.statistics.var[0] + 1e-8).sqrt()
    }

    fn save(&self) -> Option<Value> {
        let discounted = Value::Float(self.discounted);
        Some(Value::List(vec![
            discounted,
            statistics_value(&self.statistics),
        ]))
    }

    fn load(&mut self, saved: &Value) -> bool {
        let read = || {
            let [discounted, statistics] = saved.as_list()? else {
                return None;
            };
            Some((discounted.as_float()?, statistics_of(statistics, 1)?))
        };
        let Some((discounted, statistics)) = read() else {
            return false;
        };
        (self.discounted, self.statistics) = (discounted, statistics);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wrappers::scripted::Scripted;

    fn paid<M: RewardMap>(env: &mut MapReward<Scripted, M>) -> Vec<f64> {
        env.reset(None, &Options::new()).expect("a reset");
        let count = env.inner.rewards.len();
        let steps = (0..count).map(|_| env.step(&Value::Int(0)).expect("a step").reward);
        steps.collect()
    }

    #[test]
    fn rewards_go_through_bounds_and_functions() {
        let inner = Scripted::paying(&[1.0, -2.0, 4.0]);
        let mut env = ClipReward::new(inner.clone(), -1.0, f64::INFINITY).expect("bounds");
        assert_eq!(paid(&mut env), [1.0, -1.0, 4.0]);
        let mut env = TransformReward::new(inner.clone(), |reward| reward * 0.5);
        assert_eq!(paid(&mut env), [0.5, -1.0, 2.0]);
        assert!(ClipReward::new(inner, 1.0, f64::NAN).is_err());
    }

    #[test]
    fn normalizing_divides_by_the_deviation_of_returns() {
        // Gymnasium's numbers; the last reward is one before the end.
        let mut env = NormalizeReward::new(Scripted::paying(&[1.0, -2.0, 4.0, 0.0]), 0.9)
            .expect("a discount");
        let expected = [70.71421321062337, -1.9047662151156022, 2.3837534646516554];
        for (paid, expected) in paid(&mut env).iter().zip(expected) {
            assert!((paid - expected).abs() < 1e-9, "{paid} is not {expected}");
        }
        assert_eq!(env.map.discounted, 0.0, "the end forgets what was before");
        let mut again = NormalizeReward::new(Scripted::paying(&[0.0]), 0.9).expect("a discount");
        again.set_state(&env.state()).expect("its state");
        assert_eq!(again.map.statistics, env.map.statistics);
        assert!(NormalizeReward::new(Scripted::paying(&[0.0]), 1.5).is_err());
    }
}
