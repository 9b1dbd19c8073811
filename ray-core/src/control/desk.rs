//! What the control role does for those who ask at the front desk.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Weak},
};

use parking_lot::Mutex;
use ray_engine::ids::ProcessId;

use super::{
    api::{Admission, Desk, Newcomer},
    jobs::JobOffice,
    protocol::{Answer, Query, StopRequest},
    tables::{Row, Table, TableRow as _},
    token::Role,
};
use crate::{
    daemon::Stopper,
    runtime::{Runtime, membership::fresh_node_process},
    wire::Message,
};

/// The head's side of the desk.
pub(crate) struct HeadDesk {
    runtime: Weak<Runtime>,
    stopper: Stopper,
    jobs: Arc<JobOffice>,
    /// Who was admitted with which key: an answer that was lost is given again.
    admitted: Mutex<BTreeMap<Vec<u8>, ProcessId>>,
}

impl HeadDesk {
    pub(crate) fn new(runtime: &Arc<Runtime>, stopper: Stopper, jobs: Arc<JobOffice>) -> HeadDesk {
        HeadDesk {
            runtime: Arc::downgrade(runtime),
            stopper,
            jobs,
            admitted: Mutex::default(),
        }
    }

    fn runtime(&self) -> Result<Arc<Runtime>, String> {
        self.runtime
            .upgrade()
            .ok_or_else(|| "the head is ending".to_owned())
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
        let process = *self
            .admitted
            .lock()
            .entry(public_key.to_vec())
            .or_insert_with(fresh_node_process);
        let authority = &node.start.ca;
        let delegation = authority
            .delegate(process.node().0, public_key)
            .map_err(|error| error.to_string())?;
        if let Some(control) = &runtime.control_role {
            control.on_admitted(process, role == Role::Driver);
        }
        let job = match role {
            Role::Driver => self.jobs.claim(token),
            _ => None,
        };
        tracing::info!(%role, %from, name, node = %process.node(), "admitted");
        Ok(Admission {
            cluster: authority.cluster(),
            process,
            delegation,
            root: authority.root().to_vec(),
            control: (runtime.process(), runtime.public_addr()),
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
                let rows = self.with_submitted(known);
                let total = rows.len();
                Ok(Answer::Rows { rows, total })
            }
            Query::List { table, .. } => control.rows(table, &runtime).map(|rows| {
                let total = rows.len();
                Answer::Rows { rows, total }
            }),
            other => Err(format!("the control role has no answer to {other:?}")),
        }
    }

    fn stop(&self, what: StopRequest) -> Result<(), String> {
        let runtime = self.runtime()?;
        let control = runtime
            .control_role
            .as_ref()
            .ok_or("this process has no control role")?;
        let nodes = control.node_processes();
        match what {
            StopRequest::Cluster => {
                for node in nodes {
                    if node != runtime.process() {
                        runtime.send(node, Message::Shutdown);
                    }
                }
                self.stopper.stop();
            }
            StopRequest::Node(id) => {
                let mut found = nodes
                    .into_iter()
                    .filter(|node| node.node().to_string().starts_with(&id));
                match (found.next(), found.next()) {
                    (None, _) => return Err(format!("no node's id begins with `{id}`")),
                    (Some(_), Some(_)) => {
                        return Err(format!("the ids of several nodes begin with `{id}`"));
                    }
                    (Some(node), None) if node == runtime.process() => self.stopper.stop(),
                    (Some(node), None) => runtime.send(node, Message::Shutdown),
                }
            }
        }
        Ok(())
    }

    fn jobs(&self) -> Option<&JobOffice> {
        Some(&self.jobs)
    }
}
