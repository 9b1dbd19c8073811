//! What a run tells people: tables, TensorBoard, CSV, learning curves.

mod files;
mod plot;
mod progress;
mod tensorboard;

use std::fmt;

pub use files::RunFiles;
pub use plot::Plot;
pub use progress::EPISODES_AVERAGED;
pub(crate) use progress::Progress;

use crate::algo::ppo::Losses;

/// One iteration of training, under the metric names of Stable-Baselines3.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrainReport {
    /// Iterations so far.
    pub iterations: u64,
    /// Environment steps so far.
    pub total_timesteps: u64,
    /// Seconds since the start.
    pub seconds: f64,
    /// Environment steps a second since the start.
    pub fps: f64,
    /// Episodes so far.
    pub episodes: u64,
    /// Over how many episodes the means go.
    pub averaged_episodes: usize,
    /// Mean return of the last 100 episodes; not a number before the first.
    pub ep_rew_mean: f64,
    /// Their mean length; steps.
    pub ep_len_mean: f64,
    /// What the update said.
    pub losses: Losses,
}

impl TrainReport {
    /// Returns names and values, in the order of the table.
    pub fn metrics(&self) -> [(&'static str, f64); 15] {
        let losses = &self.losses;
        [
            ("rollout/ep_len_mean", self.ep_len_mean),
            ("rollout/ep_rew_mean", self.ep_rew_mean),
            ("time/fps", self.fps),
            ("time/iterations", self.iterations as f64),
            ("time/time_elapsed", self.seconds),
            ("time/total_timesteps", self.total_timesteps as f64),
            ("train/approx_kl", f64::from(losses.approx_kl)),
            ("train/clip_fraction", f64::from(losses.clip_fraction)),
            ("train/clip_range", f64::from(losses.clip_range)),
            ("train/entropy_loss", -f64::from(losses.entropy)),
            (
                "train/explained_variance",
                f64::from(losses.explained_variance),
            ),
            ("train/learning_rate", f64::from(losses.learning_rate)),
            ("train/n_updates", f64::from(losses.n_updates)),
            ("train/policy_gradient_loss", f64::from(losses.policy)),
            ("train/value_loss", f64::from(losses.value)),
        ]
    }
}

impl fmt::Display for TrainReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = "-".repeat(46);
        writeln!(f, "{line}")?;
        let mut group = "";
        for (name, value) in self.metrics() {
            let (head, tail) = name.split_once('/').unwrap_or(("", name));
            if head != group {
                writeln!(f, "| {:<26} | {:>13} |", format!("{head}/"), "")?;
                group = head;
            }
            writeln!(f, "|    {tail:<23} | {:>13} |", short(value))?;
        }
        write!(f, "{line}")
    }
}

fn short(value: f64) -> String {
    if value.is_nan() {
        "-".to_owned()
    } else if value == value.trunc() && value.abs() < 1e9 {
        format!("{value}")
    } else if value.abs() >= 100.0 {
        format!("{value:.1}")
    } else if value.abs() >= 1e-3 {
        format!("{value:.4}")
    } else {
        format!("{value:.2e}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_every_metric_and_even_lines() {
        let report = TrainReport {
            ep_rew_mean: f64::NAN,
            fps: 123_456.7,
            ..TrainReport::default()
        };
        let text = report.to_string();
        for (name, _) in report.metrics() {
            assert!(
                text.contains(name.split_once('/').expect("a group").1),
                "{name}"
            );
        }
        let widths = text
            .lines()
            .map(str::len)
            .collect::<std::collections::BTreeSet<_>>();
        assert_eq!(widths.len(), 1, "{text}");
        assert!(text.contains("123456.7") && text.contains("| -") || text.contains(" - |"));
    }
}
