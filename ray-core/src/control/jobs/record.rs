//! What is kept of a submitted job in the store: its command, how it is, its times; no secrets.

use ray_engine::{control::jobs::JobState, ids::JobId};
use serde::{Deserialize, Serialize};

use super::{super::rows::JobState as JobRow, role::job_state};

/// One submitted job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct JobRecord {
    pub job: u64,
    pub name: Option<String>,
    pub executable: String,
    pub command_line: String,
    pub working_dir: Option<String>,
    /// Whether its own folder has what was sent with it, and goes with it.
    pub has_archive: bool,
    /// A name of [`JobState`], in capitals.
    pub state: String,
    pub message: String,
    pub exit_code: Option<i32>,
    pub signal: Option<i32>,
    pub submitted_s: u64,
    pub started_s: Option<u64>,
    pub ended_s: Option<u64>,
    pub pid: Option<u32>,
    /// When the system started that process; tells it from a later one of the same number.
    pub pid_since: Option<u64>,
    /// The id of the token that its driver has.
    pub token_id: Option<String>,
}

impl JobRecord {
    pub(super) fn id(&self) -> JobId {
        JobId(self.job)
    }

    pub(super) fn is_ended(&self) -> bool {
        ![JobState::Pending, JobState::Running]
            .map(job_state)
            .contains(&self.state.as_str())
    }

    /// Returns the name of its file in the log folder.
    pub(crate) fn log_file(&self) -> String {
        format!("job-{:x}.log", self.job)
    }

    /// Returns its row; where its driver runs is known elsewhere.
    pub(crate) fn row(&self) -> JobRow {
        JobRow {
            job_id: self.id().to_string(),
            submission_id: self.name.clone(),
            entrypoint: self.command_line.clone(),
            r#type: "SUBMISSION".into(),
            status: self.state.clone(),
            message: (!self.message.is_empty()).then(|| self.message.clone()),
            exit_code: self.exit_code,
            driver_pid: self.pid,
            start_time_s: Some(self.started_s.unwrap_or(self.submitted_s)),
            end_time_s: self.ended_s,
            log_file: Some(self.log_file()),
            ..JobRow::default()
        }
    }
}
