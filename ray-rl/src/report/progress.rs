//! What a run has reached, counted while it goes on.

use std::{collections::VecDeque, time::Instant};

use super::TrainReport;
use crate::{algo::ppo::Losses, rollout::Rollout};

/// Counts over a run, shared by the single-process and the distributed loop.
pub(crate) struct Progress {
    started: Instant,
    iterations: u64,
    episodes: u64,
    returns: VecDeque<f64>,
    lengths: VecDeque<u32>,
}

impl Progress {
    pub(crate) fn new() -> Progress {
        Progress {
            started: Instant::now(),
            iterations: 0,
            episodes: 0,
            returns: VecDeque::new(),
            lengths: VecDeque::new(),
        }
    }

    pub(crate) fn report(
        &mut self,
        rollouts: &[&Rollout],
        losses: Losses,
        timesteps: u64,
    ) -> TrainReport {
        self.iterations += 1;
        for rollout in rollouts {
            self.episodes += rollout.episode_returns.len() as u64;
            self.returns.extend(&rollout.episode_returns);
            self.lengths.extend(&rollout.episode_lengths);
        }
        while self.returns.len() > EPISODES_AVERAGED {
            self.returns.pop_front();
            self.lengths.pop_front();
        }
        let mean = |sum: f64, count: usize| {
            if count == 0 {
                f64::NAN
            } else {
                sum / count as f64
            }
        };
        let seconds = self.started.elapsed().as_secs_f64();
        TrainReport {
            iterations: self.iterations,
            total_timesteps: timesteps,
            seconds,
            fps: timesteps as f64 / seconds.max(1e-9),
            episodes: self.episodes,
            averaged_episodes: self.returns.len(),
            ep_rew_mean: mean(self.returns.iter().sum(), self.returns.len()),
            ep_len_mean: mean(
                self.lengths.iter().map(|length| f64::from(*length)).sum(),
                self.lengths.len(),
            ),
            losses,
        }
    }
}

/// Episodes of the rolling means.
pub const EPISODES_AVERAGED: usize = 100;
