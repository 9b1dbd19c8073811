//! Remembers how the last episodes went.

use std::{collections::VecDeque, time::Instant};

use super::forward_vector;
use crate::{
    EnvError, Options, Space,
    vector::{Actions, StepBuffers, VectorEnv},
};

/// How an episode went.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Episode {
    /// The undiscounted sum of its rewards.
    pub episode_return: f64,
    /// Steps.
    pub length: u32,
    /// How long it took.
    pub seconds: f64,
}

/// A vector environment that remembers its last episodes.
#[derive(Debug)]
pub struct RecordEpisodeStatistics<V> {
    inner: V,
    capacity: usize,
    episodes: VecDeque<Episode>,
    episode_count: u64,
    starts: Vec<Instant>,
}

impl<V: VectorEnv> RecordEpisodeStatistics<V> {
    /// Remembers the last 100 episodes.
    pub fn new(inner: V) -> RecordEpisodeStatistics<V> {
        RecordEpisodeStatistics::with_capacity(inner, 100)
    }

    /// Remembers the last `capacity` episodes.
    pub fn with_capacity(inner: V, capacity: usize) -> RecordEpisodeStatistics<V> {
        RecordEpisodeStatistics {
            starts: vec![Instant::now(); inner.num_envs()],
            inner,
            capacity,
            episodes: VecDeque::with_capacity(capacity + 1),
            episode_count: 0,
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

    /// Returns the mean return of the episodes that are remembered; `None` before the first has ended.
    pub fn mean_return(&self) -> Option<f64> {
        let count = self.episodes.len();
        let sum: f64 = self.episodes().map(|episode| episode.episode_return).sum();
        (count > 0).then(|| sum / count as f64)
    }
}

impl<V: VectorEnv> VectorEnv for RecordEpisodeStatistics<V> {
    forward_vector!();

    fn single_observation_space(&self) -> Space {
        self.inner.single_observation_space()
    }

    fn reset(&mut self, seed: Option<u64>, obs: &mut [f32]) -> Result<(), EnvError> {
        self.starts.fill(Instant::now());
        self.inner.reset(seed, obs)
    }

    fn reset_with(
        &mut self,
        seeds: &[Option<u64>],
        options: &Options,
        obs: &mut [f32],
    ) -> Result<(), EnvError> {
        self.starts.fill(Instant::now());
        self.inner.reset_with(seeds, options, obs)
    }

    fn reset_where(&mut self, mask: &[bool], obs: &mut [f32]) -> Result<(), EnvError> {
        self.inner.reset_where(mask, obs)?;
        for (start, _) in self.starts.iter_mut().zip(mask).filter(|(_, mask)| **mask) {
            *start = Instant::now();
        }
        Ok(())
    }

    fn step(&mut self, actions: Actions<'_>, out: &mut StepBuffers) -> Result<(), EnvError> {
        self.inner.step(actions, out)?;
        for at in 0..self.starts.len() {
            if !(out.terminated[at] || out.truncated[at]) {
                continue;
            }
            self.episode_count += 1;
            self.episodes.push_back(Episode {
                episode_return: out.episode_return[at],
                length: out.episode_length[at],
                seconds: self.starts[at].elapsed().as_secs_f64(),
            });
            if self.episodes.len() > self.capacity {
                self.episodes.pop_front();
            }
            self.starts[at] = Instant::now();
        }
        Ok(())
    }
}
