//! What the control role does for those who ask at the front desk.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    sync::{Arc, Weak},
    time::Duration,
};

use parking_lot::Mutex;
use ray_engine::ids::{JobId, ProcessId};

use super::{
    api::{Admission, Desk, Newcomer},
    jobs::JobOffice,
    protocol::{Answer, LogFile, Query, StopRequest},
    roster::NodeOnRecord,
    tables::{Row, Table, TableRow as _},
    token::Role,
    token_office::wall_now,
};
use crate::{
    config::NODE_LOG_TIMEOUT,
    daemon::Stopper,
    runtime::{Runtime, membership::fresh_node_process, start::random_u64},
    wire::{LogPart, LookMessage, Message},
};

/// Who was let in.
#[derive(Clone, Copy)]
struct Admitted {
    process: ProcessId,
    /// The job of a driver.
    job: Option<JobId>,
    /// Whether that job was submitted.
    is_submitted: bool,
}

/// The head's side of the desk.
pub(crate) struct HeadDesk {
    runtime: Weak<Runtime>,
    stopper: Stopper,
    jobs: Arc<JobOffice>,
    /// Who was admitted with which key: an answer that was lost is given again.
    admitted: Mutex<BTreeMap<Vec<u8>, Admitted>>,
    /// Which token let whom in; those that earlier heads let in are on record.
    bearers: Mutex<BTreeMap<ProcessId, String>>,
}

impl HeadDesk {
    pub(crate) fn new(runtime: &Arc<Runtime>, stopper: Stopper, jobs: Arc<JobOffice>) -> HeadDesk {
        HeadDesk {
            runtime: Arc::downgrade(runtime),
            stopper,
            jobs,
            admitted: Mutex::default(),
            bearers: Mutex::default(),
        }
    }

    fn runtime(&self) -> Result<Arc<Runtime>, String> {
        self.runtime
            .upgrade()
            .ok_or_else(|| "the head is ending".to_owned())
    }

    /// Asks a node for its logs.
    fn read_log(
        &self,
        runtime: &Arc<Runtime>,
        node: &str,
        file: Option<(String, u64)>,
    ) -> Result<LogPart, String> {
        let control = runtime.control_role.as_ref();
        let to = control
            .ok_or("this process has no control role")?
            .find_node(node)?;
        let question = |request| (to, Message::Look(LookMessage::ReadLog { request, file }));
        match runtime.request_of(NODE_LOG_TIMEOUT, question) {
            Ok(Message::Look(LookMessage::LogRead { outcome, .. })) => outcome,
            Ok(other) => Err(format!("asked for a log and got {other:?}")),
            Err(_) => Err(format!(
                "node {node} did not answer within {NODE_LOG_TIMEOUT:?}; see `ray list nodes`"
            )),
        }
    }

    /// Returns the jobs: those that were submitted as the office has them, and the others.
    fn with_submitted(&self, known: Vec<Row>) -> Vec<Row> {
        let submitted = self.jobs.records();
        let mut rows: Vec<Row> = submitted.iter().map(|job| job.row().row()).collect();
        let ids: BTreeSet<String> = rows.iter().map(|row| row.text("job_id")).collect();
        let others = known
            .into_iter()
            .filter(|row| !ids.contains(&row.text("job_id")));
        rows.extend(others);
        rows
    }
}

impl Desk for HeadDesk {
    fn admit(&self, newcomer: &Newcomer<'_>) -> Result<Admission, String> {
        let runtime = self.runtime()?;
        let node = runtime.node_role.as_ref().ok_or("the head has no node")?;
        let Newcomer {
            role,
            public_key,
            from,
            name,
            token,
        } = *newcomer;
        let Admitted {
            process,
            job,
            is_submitted,
        } = match self.admitted.lock().entry(public_key.to_vec()) {
            Entry::Occupied(again) => *again.get(),
            Entry::Vacant(first) => {
                let is_driver = role == Role::Driver;
                let submitted = is_driver.then(|| self.jobs.claim(token)).flatten();
                *first.insert(Admitted {
                    process: fresh_node_process(),
                    job: submitted.or_else(|| is_driver.then(|| JobId(random_u64() >> 32))),
                    is_submitted: submitted.is_some(),
                })
            }
        };
        let authority = &node.start.ca;
        let delegation = authority
            .delegate(process.node().0, public_key)
            .map_err(|error| error.to_string())?;
        if let Some(control) = &runtime.control_role {
            control.on_admitted(process, role == Role::Driver);
        }
        // A submitted job ends with its head; everybody else may come back to the next one, and is on record
        // before it is let in.
        if !is_submitted {
            let node = NodeOnRecord {
                process: process.0,
                name: name.to_owned(),
                token_id: token.to_string(),
                job: job.map(|job| job.0),
            };
            let kept = self.jobs.roster().keep_node(&node);
            kept.map_err(|error| error.to_string())?;
        }
        self.bearers.lock().insert(process, token.to_string());
        tracing::info!(%role, %from, name, node = %process.node(), "admitted");
        Ok(Admission {
            cluster: authority.cluster(),
            process,
            delegation,
            root: authority.root().to_vec(),
            control: (runtime.process(), runtime.public_addr()),
            certificate_life: authority.life(),
            job: job.map(|job| job.0),
        })
    }

    fn query(&self, query: Query) -> Result<Answer, String> {
        let runtime = self.runtime()?;
        let control = runtime
            .control_role
            .as_ref()
            .ok_or("this process has no control role")?;
        match query {
            Query::Status => Ok(Answer::Status(control.status(&runtime))),
            Query::List {
                table: Table::Jobs, ..
            } => {
                let known = control.rows(Table::Jobs, &runtime)?;
                Ok(all_of(self.with_submitted(known), Vec::new()))
            }
            Query::List {
                table: table @ (Table::Tasks | Table::Objects),
                ..
            } => {
                let gathered = control.gather_rows(&runtime, table);
                Ok(all_of(gathered.rows, gathered.missing))
            }
            Query::List { table, .. } => control
                .rows(table, &runtime)
                .map(|rows| all_of(rows, Vec::new())),
            Query::Timeline => {
                let (events, missing) = control.gather_events(&runtime);
                Ok(Answer::Timeline { events, missing })
            }
            Query::NodeLogFiles { node } => match self.read_log(&runtime, &node, None)? {
                LogPart::Files(files) => {
                    let files = files
                        .into_iter()
                        .map(|(name, bytes)| LogFile { name, bytes });
                    Ok(Answer::LogFiles(files.collect()))
                }
                LogPart::Text(..) => Err(format!("node {node} answered another question")),
            },
            Query::NodeLog { node, file, offset } => {
                match self.read_log(&runtime, &node, Some((file, offset)))? {
                    LogPart::Text(text, next) => Ok(Answer::Log { text, next }),
                    LogPart::Files(_) => Err(format!("node {node} answered another question")),
                }
            }
            other => Err(format!("the control role has no answer to {other:?}")),
        }
    }

    fn stop(&self, what: StopRequest) -> Result<(), String> {
        let runtime = self.runtime()?;
        let control = runtime
            .control_role
            .as_ref()
            .ok_or("this process has no control role")?;
        match what {
            StopRequest::Cluster => {
                for node in control.node_processes() {
                    if node != runtime.process() {
                        runtime.send(node, Message::Shutdown);
                    }
                }
                self.stopper.stop();
            }
            StopRequest::Node(id) => match control.find_node(&id)? {
                node if node == runtime.process() => self.stopper.stop(),
                node => runtime.send(node, Message::Shutdown),
            },
        }
        Ok(())
    }

    fn on_revoked(&self, token_id: &str) -> Result<usize, String> {
        let runtime = self.runtime()?;
        let control = runtime
            .control_role
            .as_ref()
            .ok_or("this process has no control role")?;
        let on_record = self
            .jobs
            .roster()
            .nodes()
            .map_err(|error| error.to_string())?;
        let mut bearers = self.bearers.lock();
        let mut expelled: BTreeSet<ProcessId> = on_record
            .iter()
            .filter(|node| node.token_id == token_id)
            .map(|node| ProcessId(node.process))
            .collect();
        for process in &expelled {
            let forgotten = self.jobs.roster().forget_node(*process);
            forgotten.map_err(|error| error.to_string())?;
        }
        let mine = bearers.iter().filter(|(_, token)| *token == token_id);
        expelled.extend(mine.map(|(process, _)| *process));
        bearers.retain(|process, _| !expelled.contains(process));
        drop(bearers);
        let life = runtime.node_role.as_ref().map(|node| node.start.ca.life());
        let until_s = wall_now().0 + life.unwrap_or_default().as_secs();
        for process in &expelled {
            // What a later head must refuse as well.
            let kept = self.jobs.roster().keep_revoked(*process, until_s);
            kept.map_err(|error| error.to_string())?;
        }
        for process in &expelled {
            control.expel(&runtime, *process);
        }
        Ok(expelled.len())
    }

    fn drain(&self, node: &str, deadline: Option<Duration>) -> Result<(), String> {
        let runtime = self.runtime()?;
        let control = runtime
            .control_role
            .as_ref()
            .ok_or("this process has no control role")?;
        let process = control.find_node(node)?;
        if process == runtime.process() {
            return Err(
                "the head's own node cannot be drained: `ray stop` ends the cluster".into(),
            );
        }
        control.drain(&runtime, process, deadline)
    }

    fn jobs(&self) -> Option<&JobOffice> {
        Some(&self.jobs)
    }
}

fn all_of(rows: Vec<Row>, missing: Vec<String>) -> Answer {
    let total = rows.len();
    Answer::Rows {
        rows,
        total,
        missing,
    }
}
