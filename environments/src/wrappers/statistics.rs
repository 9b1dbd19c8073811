//! Remembers how the last episodes went.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Instant,
};

use super::saved;
use crate::{
    Env, EnvError, Info, Options, Outcome, State, Step, Value, dynamic::forward, vector::Episode,
};

/// An environment that remembers its last episodes, and tells of each in the info of its last step.
///
/// That info has `episode`: `r`, the undiscounted return; `l`, the length in steps; `t`, the seconds it took.
#[derive(Clone, Debug)]
pub struct RecordEpisodeStatistics<E> {
    inner: E,
    capacity: usize,
    episodes: VecDeque<Episode>,
    episode_count: u64,
    episode_return: f64,
    length: u32,
    start: Instant,
}

impl<E: Env> RecordEpisodeStatistics<E> {
    /// Remembers the last 100 episodes.
    pub fn new(inner: E) -> RecordEpisodeStatistics<E> {
        RecordEpisodeStatistics::with_capacity(inner, 100)
    }

    /// Remembers the last `capacity` episodes.
    pub fn with_capacity(inner: E, capacity: usize) -> RecordEpisodeStatistics<E> {
        RecordEpisodeStatistics {
            inner,
            capacity,
            episodes: VecDeque::new(),
            episode_count: 0,
            episode_return: 0.0,
            length: 0,
            start: Instant::now(),
        }
    }

    /// Returns the episodes that are remembered, the oldest first.
    pub fn episodes(&self) -> impl ExactSizeIterator<Item = &Episode> {
        self.episodes.iter()
    }

    /// Returns how many episodes have ended.
    pub fn episode_count(&self) -> u64 {
        self.episode_count
    }

    fn begin(&mut self) {
        (self.episode_return, self.length) = (0.0, 0);
        self.start = Instant::now();
    }

    /// Counts a step; returns the episode that it ended.
    fn count(&mut self, reward: f64, has_ended: bool) -> Option<Episode> {
        self.episode_return += reward;
        self.length = self.length.saturating_add(1);
        if !has_ended {
            return None;
        }
        let episode = Episode {
            episode_return: self.episode_return,
            length: self.length,
            seconds: self.start.elapsed().as_secs_f64(),
        };
        self.episode_count += 1;
        self.episodes.push_back(episode);
        if self.episodes.len() > self.capacity {
            self.episodes.pop_front();
        }
        self.start = Instant::now();
        Some(episode)
    }
}

impl<E: Env> Env for RecordEpisodeStatistics<E> {
    type Observation = E::Observation;
    type Action = E::Action;

    forward!(inner: spaces, limit, attributes);

    fn reset(
        &mut self,
        seed: Option<u64>,
        options: &Options,
    ) -> Result<(E::Observation, Info), EnvError> {
        let first = self.inner.reset(seed, options)?;
        self.begin();
        Ok(first)
    }

    fn step(&mut self, action: &E::Action) -> Result<Step<E::Observation>, EnvError> {
        let mut step = self.inner.step(action)?;
        let has_ended = step.terminated || step.truncated;
        if let Some(episode) = self.count(step.reward, has_ended) {
            let told = BTreeMap::from([
                ("r".to_owned(), Value::Float(episode.episode_return)),
                ("l".to_owned(), Value::Int(i64::from(episode.length))),
                ("t".to_owned(), Value::Float(episode.seconds)),
            ]);
            step.info.insert("episode".to_owned(), Value::Map(told));
        }
        Ok(step)
    }

    fn reset_into(
        &mut self,
        seed: Option<u64>,
        options: &Options,
        row: &mut [f32],
    ) -> Result<(), EnvError> {
        self.inner.reset_into(seed, options, row)?;
        self.begin();
        Ok(())
    }

    fn step_into(&mut self, action: &E::Action, row: &mut [f32]) -> Result<Outcome, EnvError> {
        let outcome = self.inner.step_into(action, row)?;
        self.count(outcome.reward, outcome.terminated || outcome.truncated);
        Ok(outcome)
    }

    fn state(&self) -> State {
        let mut state = self.inner.state();
        let so_far = vec![
            Value::Float(self.episode_return),
            Value::Int(i64::from(self.length)),
        ];
        saved::put(&mut state, NAME, Value::List(so_far));
        state
    }

    fn set_state(&mut self, state: &State) -> Result<(), EnvError> {
        let mut rest = state.clone();
        let saved = saved::take(&mut rest, NAME)?;
        let read = || {
            let [episode_return, length] = saved.as_list()? else {
                return None;
            };
            let length = u32::try_from(length.as_int()?).ok()?;
            Some((episode_return.as_float()?, length))
        };
        let (episode_return, length) = read().ok_or_else(|| saved::missing(NAME))?;
        self.inner.set_state(&rest)?;
        (self.episode_return, self.length) = (episode_return, length);
        self.start = Instant::now();
        Ok(())
    }
}

const NAME: &str = "episode_statistics";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wrappers::scripted::Scripted;

    #[test]
    fn the_last_step_tells_of_its_episode() {
        let inner = Scripted::paying(&[1.0, -2.0, 4.0]);
        let mut env = RecordEpisodeStatistics::with_capacity(inner, 2);
        for _ in 0..3 {
            env.reset(None, &Options::new()).expect("a reset");
            for is_last in [false, false, true] {
                let step = env.step(&Value::Int(0)).expect("a step");
                assert_eq!(step.info.contains_key("episode"), is_last);
                if let Some(told) = step.info.get("episode").and_then(Value::as_map) {
                    assert_eq!(
                        (&told["r"], &told["l"]),
                        (&Value::Float(3.0), &Value::Int(3))
                    );
                }
            }
        }
        assert_eq!((env.episode_count(), env.episodes().len()), (3, 2));
        assert!(env.episodes().all(|episode| episode.episode_return == 3.0));
    }
}
