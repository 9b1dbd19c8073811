//! The folder of a run: an event file, a CSV, and the learning curve at the end.

use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use super::{
    Plot, TrainReport,
    tensorboard::{Event, Summary, SummaryValue, write_event},
};
use crate::RlError;

/// Writes what a run tells into its folder.
pub struct RunFiles {
    path: PathBuf,
    events: BufWriter<File>,
    csv: BufWriter<File>,
    curve: Vec<(f64, f64)>,
}

impl RunFiles {
    /// Makes `runs/<name>-<seconds>` under `root`, with another number when that is taken.
    ///
    /// # Errors
    /// What the system refused.
    pub fn create(root: &Path, name: &str) -> Result<RunFiles, RlError> {
        let now = now();
        let mut path = root.join(format!("{name}-{}", now as u64));
        let mut tries = 1;
        while let Err(error) = fs::create_dir_all(root).and_then(|()| fs::create_dir(&path)) {
            if error.kind() != std::io::ErrorKind::AlreadyExists {
                return Err(wrote(&path)(error));
            }
            tries += 1;
            path = root.join(format!("{name}-{}-{tries}", now as u64));
        }
        let open = |file: &str| {
            File::create(path.join(file))
                .map(BufWriter::new)
                .map_err(wrote(&path.join(file)))
        };
        let mut events = open(&format!("events.out.tfevents.{}.ray", now as u64))?;
        let mut csv = open("progress.csv")?;
        let version = Event {
            wall_time: now,
            step: 0,
            file_version: Some("brain.Event:2".into()),
            summary: None,
        };
        write_event(&mut events, &version).map_err(wrote(&path))?;
        let names = TrainReport::default()
            .metrics()
            .map(|(name, _)| name)
            .join(",");
        writeln!(csv, "{names}").map_err(wrote(&path))?;
        Ok(RunFiles {
            path,
            events,
            csv,
            curve: Vec::new(),
        })
    }

    /// Returns the folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds an iteration.
    ///
    /// # Errors
    /// What the system refused.
    pub fn add(&mut self, report: &TrainReport) -> Result<(), RlError> {
        let metrics = report.metrics();
        let values = metrics
            .iter()
            .filter(|(_, value)| value.is_finite())
            .map(|(tag, value)| SummaryValue {
                tag: (*tag).to_owned(),
                simple_value: *value as f32,
            })
            .collect();
        let event = Event {
            wall_time: now(),
            step: report.total_timesteps as i64,
            file_version: None,
            summary: Some(Summary { values }),
        };
        write_event(&mut self.events, &event).map_err(wrote(&self.path))?;
        let row = metrics
            .map(|(_, value)| {
                if value.is_nan() {
                    String::new()
                } else {
                    value.to_string()
                }
            })
            .join(",");
        writeln!(self.csv, "{row}").map_err(wrote(&self.path))?;
        if report.ep_rew_mean.is_finite() {
            self.curve
                .push((report.total_timesteps as f64, report.ep_rew_mean));
        }
        Ok(())
    }

    /// Writes everything out and draws the learning curve; returns the picture's path.
    ///
    /// # Errors
    /// What the system refused.
    pub fn finish(&mut self) -> Result<PathBuf, RlError> {
        self.events.flush().map_err(wrote(&self.path))?;
        self.csv.flush().map_err(wrote(&self.path))?;
        let picture = self.path.join("learning_curve.png");
        let half = self.path.join("learning_curve.png.part");
        Plot::new("mean return of 100 episodes", "steps", "")
            .series("", &self.curve)
            .save(&half)
            .map_err(wrote(&half))?;
        fs::rename(&half, &picture).map_err(wrote(&picture))?;
        Ok(picture)
    }
}

fn wrote(path: &Path) -> impl Fn(std::io::Error) -> RlError + use<> {
    let path = path.display().to_string();
    move |error| RlError::Write {
        path: path.clone(),
        error,
    }
}

fn now() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_leaves_its_files() {
        let root = std::env::temp_dir().join(format!("ray-rl-files-{}", std::process::id()));
        let mut first = RunFiles::create(&root, "test").expect("a folder");
        let second = RunFiles::create(&root, "test").expect("another folder");
        assert_ne!(first.path(), second.path());
        for at in 1..50_u64 {
            let report = TrainReport {
                total_timesteps: at * 100,
                ep_rew_mean: at as f64,
                ..TrainReport::default()
            };
            first.add(&report).expect("written");
        }
        let picture = first.finish().expect("written");
        let bytes = fs::read(&picture).expect("a picture");
        assert_eq!(&bytes[1..4], b"PNG");
        let csv = fs::read_to_string(first.path().join("progress.csv")).expect("a table");
        assert_eq!(csv.lines().count(), 50);
        assert!(
            csv.lines()
                .nth(49)
                .is_some_and(|line| line.contains("4900"))
        );
        fs::remove_dir_all(&root).expect("cleaned up");
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_an_error() {
        let error = RunFiles::create(Path::new("/proc/no/such"), "x")
            .err()
            .expect("refused");
        assert!(matches!(error, RlError::Write { .. }));
    }
}
