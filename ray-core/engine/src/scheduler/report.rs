//! What a node says about itself to the control process, and when.

use super::NodeScheduler;
use crate::{resources::Amount, spec::NodeReport, time::Time};

/// What was said last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Reports {
    last: NodeReport,
    at: Option<Time>,
    /// Whether the next report goes out although nothing may have changed.
    is_forced: bool,
    /// Whether the control process has taken work that it forwarded off what was said.
    is_guessed: bool,
}

impl Reports {
    /// Returns the reports to a control process that may know nothing; versions go on.
    pub(super) fn again(self) -> Reports {
        Reports { at: None, ..self }
    }
}

impl NodeScheduler {
    /// Has the next report go out although nothing may have changed.
    ///
    /// Whoever guessed what an attempt or a forwarded request takes must hear that it does not.
    pub(super) fn force_report(&mut self) {
        if let Some(member) = &mut self.member {
            member.reports.is_forced = true;
        }
    }

    /// Notes that forwarded work came: what it took is over-written in time, also when it is back by then.
    pub(super) fn note_guess(&mut self) {
        if let Some(member) = &mut self.member {
            member.reports.is_guessed = true;
        }
    }

    fn has_changed(&self, reports: &Reports) -> bool {
        reports.is_guessed
            || reports.last.queue_len as usize != self.requests.len()
            || reports.last.available != self.pool.available()
    }

    /// Returns when a small change is due to be reported.
    pub(super) fn next_report(&self) -> Option<Time> {
        let member = self.member.as_ref()?;
        let at = member.reports.at?;
        self.has_changed(&member.reports)
            .then(|| at + member.config.report_interval)
    }

    /// Returns what the control process should hear now, if that has changed enough.
    ///
    /// At once: that something was rejected, set aside or given up, and a resource or the queue that
    /// went to or from nothing. Everything else at most once an interval.
    pub fn poll_report(&mut self, now: Time) -> Option<NodeReport> {
        let member = self.member.as_ref()?;
        let reports = &member.reports;
        let available = self.pool.available();
        if let Some(at) = reports.at
            && !reports.is_forced
        {
            let is_due = at + member.config.report_interval <= now;
            let turned = (reports.last.queue_len == 0) != self.requests.is_empty()
                || self.pool.total().0.keys().any(|name| {
                    let was_gone = reports.last.available.amount(name) == Amount(0);
                    was_gone != (available.amount(name) == Amount(0))
                });
            if !self.has_changed(reports) || !(is_due || turned) {
                return None;
            }
        }
        let queue_len = u32::try_from(self.requests.len()).unwrap_or(u32::MAX);
        let report = NodeReport {
            version: reports.last.version + 1,
            available,
            queue_len,
            overdue: 0,
        };
        let member = self.member.as_mut()?;
        member.reports = Reports {
            last: report.clone(),
            at: Some(now),
            is_forced: false,
            is_guessed: false,
        };
        Some(report)
    }
}
