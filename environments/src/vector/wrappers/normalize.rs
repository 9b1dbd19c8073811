//! Observations and rewards scaled by what was seen so far.

use super::forward_vector;
use crate::{
    BoxSpace, Dtype, EnvError, Options, Space,
    vector::{Actions, AutoresetMode, StepBuffers, VectorEnv},
};

/// A running mean and variance of each of several numbers.
///
/// Batches are joined by the parallel formula of Chan, Golub and LeVeque (1979).
#[derive(Clone, Debug, PartialEq)]
pub struct RunningMeanStd {
    /// `[d]`: the means.
    pub mean: Vec<f64>,
    /// `[d]`: the variances.
    pub var: Vec<f64>,
    /// How many were seen; it starts at 0.0001 with means of 0 and variances of 1.
    pub count: f64,
}

impl RunningMeanStd {
    /// Returns means and variances of `d` numbers before any were seen.
    pub fn new(d: usize) -> RunningMeanStd {
        RunningMeanStd {
            mean: vec![0.0; d],
            var: vec![1.0; d],
            count: 1e-4,
        }
    }

    /// Adds `count` rows, of which `number(row, at)` is a number.
    pub(crate) fn update(&mut self, count: usize, number: impl Fn(usize, usize) -> f64) {
        if count == 0 {
            return;
        }
        let n = count as f64;
        let total = self.count + n;
        for at in 0..self.mean.len() {
            let mean = (0..count).map(|row| number(row, at)).sum::<f64>() / n;
            let squares = (0..count).map(|row| (number(row, at) - mean).powi(2));
            let delta = mean - self.mean[at];
            let sum = self.var[at] * self.count
                + squares.sum::<f64>()
                + delta * delta * self.count * n / total;
            self.mean[at] += delta * n / total;
            self.var[at] = sum / total;
        }
        self.count = total;
    }
}

/// A vector environment whose observations have mean 0 and variance 1, by what was seen so far.
///
/// Last observations of episodes are scaled alike, without counting.
#[derive(Debug)]
pub struct NormalizeObservation<V> {
    inner: V,
    /// What was seen.
    pub statistics: RunningMeanStd,
    /// Whether further observations count.
    pub is_learning: bool,
    epsilon: f64,
}

impl<V: VectorEnv> NormalizeObservation<V> {
    /// Scales by `(observation - mean) / sqrt(variance + 1e-8)`.
    pub fn new(inner: V) -> NormalizeObservation<V> {
        NormalizeObservation {
            statistics: RunningMeanStd::new(inner.observation_len()),
            inner,
            is_learning: true,
            epsilon: 1e-8,
        }
    }

    fn scale(&self, row: &mut [f32]) {
        let both = self.statistics.mean.iter().zip(&self.statistics.var);
        for (number, (mean, var)) in row.iter_mut().zip(both) {
            *number = ((f64::from(*number) - mean) / (var + self.epsilon).sqrt()) as f32;
        }
    }

    fn learn_and_scale(&mut self, obs: &mut [f32]) {
        let d = self.statistics.mean.len();
        if self.is_learning {
            self.statistics
                .update(obs.len() / d, |row, at| f64::from(obs[row * d + at]));
        }
        obs.chunks_exact_mut(d).for_each(|row| self.scale(row));
    }
}

impl<V: VectorEnv> VectorEnv for NormalizeObservation<V> {
    forward_vector!();

    fn single_observation_space(&self) -> Space {
        BoxSpace::of_dtype(&[self.inner.observation_len()], Dtype::F32).into()
    }

    fn reset(&mut self, seed: Option<u64>, obs: &mut [f32]) -> Result<(), EnvError> {
        self.inner.reset(seed, obs)?;
        self.learn_and_scale(obs);
        Ok(())
    }

    fn reset_with(
        &mut self,
        seeds: &[Option<u64>],
        options: &Options,
        obs: &mut [f32],
    ) -> Result<(), EnvError> {
        self.inner.reset_with(seeds, options, obs)?;
        self.learn_and_scale(obs);
        Ok(())
    }

    fn reset_where(&mut self, mask: &[bool], obs: &mut [f32]) -> Result<(), EnvError> {
        self.inner.reset_where(mask, obs)?;
        let d = self.inner.observation_len();
        for (row, _) in obs.chunks_exact_mut(d).zip(mask).filter(|(_, mask)| **mask) {
            self.learn_and_scale(row);
        }
        Ok(())
    }

    fn step(&mut self, actions: Actions<'_>, out: &mut StepBuffers) -> Result<(), EnvError> {
        self.inner.step(actions, out)?;
        self.learn_and_scale(&mut out.obs);
        let rows = out.final_obs.chunks_exact_mut(self.inner.observation_len());
        for (row, _) in rows.zip(&out.has_final).filter(|(_, is_final)| **is_final) {
            self.scale(row);
        }
        Ok(())
    }
}

/// A vector environment whose rewards are divided by the deviation of the discounted return so far.
///
/// `episode_return` stays that of the rewards as they were.
#[derive(Debug)]
pub struct NormalizeReward<V> {
    inner: V,
    /// What discounted returns were seen.
    pub statistics: RunningMeanStd,
    /// Whether further rewards count.
    pub is_learning: bool,
    gamma: f64,
    epsilon: f64,
    returns: Vec<f64>,
    /// Whose last step ended an episode, so that this one only resets.
    had_ended: Vec<bool>,
}

impl<V: VectorEnv> NormalizeReward<V> {
    /// Divides by `sqrt(variance + 1e-8)` of the return that is discounted by `gamma`.
    ///
    /// # Panics
    /// When `gamma` is outside 0 to 1.
    pub fn new(inner: V, gamma: f64) -> NormalizeReward<V> {
        assert!((0.0..=1.0).contains(&gamma), "a discount is within 0 to 1");
        NormalizeReward {
            statistics: RunningMeanStd::new(1),
            is_learning: true,
            gamma,
            epsilon: 1e-8,
            returns: vec![0.0; inner.num_envs()],
            had_ended: vec![false; inner.num_envs()],
            inner,
        }
    }
}

impl<V: VectorEnv> VectorEnv for NormalizeReward<V> {
    forward_vector!();

    fn single_observation_space(&self) -> Space {
        self.inner.single_observation_space()
    }

    fn reset(&mut self, seed: Option<u64>, obs: &mut [f32]) -> Result<(), EnvError> {
        self.returns.fill(0.0);
        self.had_ended.fill(false);
        self.inner.reset(seed, obs)
    }

    fn reset_with(
        &mut self,
        seeds: &[Option<u64>],
        options: &Options,
        obs: &mut [f32],
    ) -> Result<(), EnvError> {
        self.returns.fill(0.0);
        self.had_ended.fill(false);
        self.inner.reset_with(seeds, options, obs)
    }

    fn reset_where(&mut self, mask: &[bool], obs: &mut [f32]) -> Result<(), EnvError> {
        self.inner.reset_where(mask, obs)?;
        for at in (0..mask.len()).filter(|at| mask[*at]) {
            self.returns[at] = 0.0;
            self.had_ended[at] = false;
        }
        Ok(())
    }

    fn step(&mut self, actions: Actions<'_>, out: &mut StepBuffers) -> Result<(), EnvError> {
        self.inner.step(actions, out)?;
        let mut active = 0;
        for at in 0..self.returns.len() {
            if self.had_ended[at] {
                continue;
            }
            let going_on = if out.terminated[at] { 0.0 } else { self.gamma };
            self.returns[at] = self.returns[at] * going_on + out.rewards[at];
            active += 1;
        }
        if self.is_learning && active == self.returns.len() {
            self.statistics.update(active, |row, _| self.returns[row]);
        } else if self.is_learning {
            for at in (0..self.returns.len()).filter(|at| !self.had_ended[*at]) {
                self.statistics.update(1, |_, _| self.returns[at]);
            }
        }
        let deviation = (self.statistics.var[0] + self.epsilon).sqrt();
        for at in 0..self.returns.len() {
            out.rewards[at] /= deviation;
            let ended = out.terminated[at] || out.truncated[at];
            if self.inner.autoreset_mode() == AutoresetMode::SameStep {
                if ended {
                    self.returns[at] = 0.0;
                }
            } else {
                self.had_ended[at] = ended;
            }
        }
        Ok(())
    }
}
