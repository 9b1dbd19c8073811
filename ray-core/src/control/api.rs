//! The front desk: lets newcomers in, answers questions about the cluster, takes commands.
//!
//! Every request shows a token; what each request takes is [`Request::needs`]. The desk decides who
//! may ask; what the answer is comes from the control role behind [`Desk`]. A join spends a use of its
//! token before the control role admits it and gives the use back when that fails.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use ray_engine::ids::ProcessId;
use ray_net::tls::{desk::DeskIdentity, fingerprint_of};

use super::{
    audit::{Audit, Event},
    jobs::{Arriving, JobOffice},
    listener::{Attendant, Limits, Listener, Upload},
    logs,
    protocol::{
        Answer, Command, Join, Joined, NODE_NAME_BYTES_MAX, Query, RefusalCode, Refused, Reply,
        Request, StopRequest,
    },
    tables::{self, TableRow as _},
    token::Role,
    token_book::{TokenId, TokenRefusal},
    token_office::{TokenOffice, wall_now},
};
use crate::{Error, Result, config::CLOCK_SKEW_MAX, wire::WIRE_VERSION};

/// What the control role does for those who ask at the desk; each call may come from any thread.
pub(crate) trait Desk: Send + Sync + 'static {
    /// Admits a process: picks its id and lets its key, a point of P-256, speak for its node. A key that comes twice is one process
    /// whose first answer was lost.
    ///
    /// # Errors
    /// A text for the person who started the process.
    fn admit(&self, newcomer: &Newcomer<'_>) -> Result<Admission, String>;

    /// Answers [`Query::Status`] with [`Answer::Status`], [`Query::List`] with all rows of the table
    /// ([`Answer::Rows`]; filters and limits are the desk's), and those about logs of nodes. No other
    /// query comes here.
    ///
    /// # Errors
    /// A text for the person who asked.
    fn query(&self, query: Query) -> Result<Answer, String>;

    /// Begins to end what is named; must return before it has, so that the answer still goes out.
    ///
    /// # Errors
    /// A text for the person who asked.
    fn stop(&self, what: StopRequest) -> Result<(), String>;

    /// Sends everybody away who was let in by a token; returns how many there were.
    ///
    /// # Errors
    /// A text for the person who asked.
    fn on_revoked(&self, token_id: &str) -> Result<usize, String>;

    /// Begins to empty a node.
    ///
    /// # Errors
    /// A text for the person who asked.
    fn drain(&self, node: &str, deadline: Option<Duration>) -> Result<(), String>;

    /// Returns who takes jobs on, if somebody does.
    fn jobs(&self) -> Option<&JobOffice>;
}

/// Somebody whose token was good.
pub(crate) struct Newcomer<'a> {
    pub role: Role,
    pub public_key: &'a [u8],
    pub from: SocketAddr,
    pub name: &'a str,
    /// What it was let in by.
    pub token: TokenId,
}

/// What the control role grants to a newcomer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Admission {
    pub(crate) cluster: u64,
    pub(crate) process: ProcessId,
    /// Lets the newcomer's key issue certificates for its own processes; DER.
    pub(crate) delegation: Vec<u8>,
    /// The certificate of the cluster's authority; DER.
    pub(crate) root: Vec<u8>,
    /// Who has the control role, and where its data connections arrive; an unspecified address stands
    /// for that of the desk.
    pub(crate) control: (ProcessId, SocketAddr),
    /// How long certificates are good.
    pub(crate) certificate_life: Duration,
    /// The job that the newcomer is the driver of.
    pub(crate) job: Option<u64>,
}

/// Where the desk stands and how it shows itself.
pub(crate) struct FrontDeskConfig {
    pub bind: SocketAddr,
    pub identity: DeskIdentity,
    /// The folder whose files are shown as logs, and where who did what is written down.
    pub logs: PathBuf,
}

/// A running front desk; dropping it closes it.
pub(crate) struct FrontDesk {
    listener: Listener,
}

impl FrontDesk {
    /// Listens for newcomers.
    ///
    /// # Errors
    /// A port that is taken, an address that is not this machine's.
    pub(crate) fn start(
        config: FrontDeskConfig,
        tokens: Arc<TokenOffice>,
        desk: Arc<dyn Desk>,
    ) -> Result<FrontDesk> {
        FrontDesk::start_with(config, tokens, desk, Limits::default())
    }

    fn start_with(
        config: FrontDeskConfig,
        tokens: Arc<TokenOffice>,
        desk: Arc<dyn Desk>,
        limits: Limits,
    ) -> Result<FrontDesk> {
        let clerk = Clerk {
            audit: Audit::new(&config.logs),
            logs: config.logs,
            tokens,
            desk,
        };
        Ok(FrontDesk {
            listener: Listener::start(config.bind, &config.identity, limits, Arc::new(clerk))?,
        })
    }

    /// Returns where it listens.
    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.listener.local_addr()
    }

    /// Sends the answers that are under way, then closes.
    pub(crate) fn stop(self) {
        drop(self);
    }
}

/// Judges requests, one at a time a thread.
struct Clerk {
    audit: Audit,
    logs: PathBuf,
    tokens: Arc<TokenOffice>,
    desk: Arc<dyn Desk>,
}

impl Attendant for Clerk {
    fn answer(&self, bytes: &[u8], from: SocketAddr) -> Vec<u8> {
        let reply = match serde_json::from_slice::<Request>(bytes) {
            Ok(request) => self.judge(request, from).unwrap_or_else(Reply::Refused),
            Err(error) => Reply::Refused(Refused::new(
                RefusalCode::Request,
                format!("the request makes no sense here: {error}"),
            )),
        };
        self.encode(&reply, from)
    }

    fn begin_upload(&self, bytes: &[u8], from: SocketAddr) -> Result<Box<dyn Upload>, Vec<u8>> {
        let refuse = |refused| self.encode(&Reply::Refused(refused), from);
        let request = serde_json::from_slice::<Request>(bytes).map_err(|error| {
            let text = format!("the request makes no sense here: {error}");
            refuse(Refused::new(RefusalCode::Request, text))
        })?;
        let needed = request.needs();
        let Request::Upload {
            secret,
            hash,
            bytes,
        } = request
        else {
            let text = "the request makes no sense here: it goes on after its end";
            return Err(refuse(Refused::new(RefusalCode::Request, text)));
        };
        let token = self.tokens.check(&secret, needed);
        let token = token.map_err(|refusal| refuse(refuse_token(refusal)))?;
        let failed = |text: String| refuse(Refused::new(RefusalCode::Failed, text));
        let office = self.desk.jobs().ok_or_else(|| failed(NO_JOBS.into()))?;
        tracing::info!(%from, %token, hash, bytes, "a program arrives at the front desk");
        let arriving = Arriving::begin(&office.cache(), &hash, bytes).map_err(failed)?;
        Ok(Box::new(arriving))
    }
}

impl Upload for Arriving {
    fn take(&mut self, bytes: &[u8]) -> Result<(), Vec<u8>> {
        Arriving::take(self, bytes).map_err(upload_failed)
    }

    fn finish(self: Box<Self>) -> Vec<u8> {
        match Arriving::finish(*self) {
            Ok(()) => serde_json::to_vec(&Reply::Answer(Answer::Done)).unwrap_or_default(),
            Err(text) => upload_failed(text),
        }
    }
}

fn upload_failed(text: String) -> Vec<u8> {
    let refused = Refused::new(RefusalCode::Failed, text);
    serde_json::to_vec(&Reply::Refused(refused)).unwrap_or_default()
}

/// What a desk without an office says.
const NO_JOBS: &str = "this cluster takes no jobs";

impl Clerk {
    /// Returns a reply's bytes; a refusal is written down.
    fn encode(&self, reply: &Reply, from: SocketAddr) -> Vec<u8> {
        if let Reply::Refused(Refused { code, text }) = reply
            && self.audit.refused(wall_now(), from, *code, text)
        {
            tracing::warn!(%from, ?code, reason = text, "refused at the front desk");
        }
        serde_json::to_vec(reply).unwrap_or_default()
    }

    fn judge(&self, request: Request, from: SocketAddr) -> Result<Reply, Refused> {
        let needed = request.needs();
        if let Request::Join(join) = request {
            return self.join(&join, needed, from).map(Reply::Joined);
        }
        let token = self.tokens.check(request.secret(), needed);
        let token = token.map_err(refuse_token)?;
        let answer = match request {
            Request::Query { query, .. } => self.query(query),
            Request::Command { command, .. } => {
                let shown = command.without_secrets();
                tracing::info!(%from, %token, command = ?shown, "command at the front desk");
                let answer = self.command(&command);
                let event = Event::Command {
                    command: &shown,
                    token_id: token.to_string(),
                    done: answer.is_ok(),
                };
                self.audit.note(wall_now(), from, event);
                answer
            }
            Request::Upload { .. } => Err("a program's bytes must follow the request".into()),
            Request::Join(_) => unreachable!("joins were judged above"),
        };
        answer
            .map(Reply::Answer)
            .map_err(|text| Refused::new(RefusalCode::Failed, text))
    }

    fn join(&self, join: &Join, needed: Role, from: SocketAddr) -> Result<Joined, Refused> {
        if join.wire_version != WIRE_VERSION {
            return Err(Refused::new(
                RefusalCode::Version,
                format!(
                    "the head speaks wire version {WIRE_VERSION} (build {}) and the newcomer {} (build {}); use one build for both",
                    env!("CARGO_PKG_VERSION"),
                    join.wire_version,
                    join.build
                ),
            ));
        }
        let now = wall_now().0;
        if now.abs_diff(join.clock_s) > CLOCK_SKEW_MAX.as_secs() {
            return Err(Refused::new(
                RefusalCode::Clock,
                format!(
                    "the head's clock shows {} and the newcomer's {}; they must agree within {} minutes: set them",
                    date(now),
                    date(join.clock_s),
                    CLOCK_SKEW_MAX.as_secs() / 60
                ),
            ));
        }
        let wrong = |text: &str| Err(Refused::new(RefusalCode::Request, text));
        if !matches!(join.role, Role::Node | Role::Driver) {
            return wrong("a process joins as a node or as a driver");
        }
        if join.node_name.len() > NODE_NAME_BYTES_MAX {
            return wrong("the node's name is too long");
        }
        let failed = |text: String| Refused::new(RefusalCode::Failed, text);
        let bearer = fingerprint_of(&join.public_key);
        let token = self
            .tokens
            .redeem(&join.secret, needed, &bearer)
            .map_err(|error| failed(error.to_string()))?
            .map_err(refuse_token)?;
        let admitted = self.desk.admit(&Newcomer {
            role: join.role,
            public_key: &join.public_key,
            from,
            name: &join.node_name,
            token,
        });
        let admission = admitted.map_err(|text| {
            self.tokens.give_back(token, &bearer);
            failed(text)
        })?;
        tracing::info!(%from, %token, role = %join.role, process = %admission.process, "admitted");
        let event = Event::Joined {
            role: join.role,
            node_name: &join.node_name,
            token_id: token.to_string(),
            process: admission.process.to_string(),
        };
        self.audit.note(wall_now(), from, event);
        Ok(Joined {
            cluster: admission.cluster,
            process: admission.process.0,
            delegation: admission.delegation,
            root: admission.root,
            control_process: admission.control.0.0,
            control_address: admission.control.1,
            certificate_life_s: admission.certificate_life.as_secs(),
            job: admission.job,
        })
    }

    fn query(&self, query: Query) -> Result<Answer, String> {
        match query {
            Query::Status => self.desk.query(Query::Status),
            Query::List {
                table,
                filters,
                limit,
            } => {
                let (rows, missing) = self.rows(table)?;
                let (rows, total) = tables::select(table, rows, &filters, limit)?;
                Ok(Answer::Rows {
                    rows,
                    total,
                    missing,
                })
            }
            Query::Get { table, id } => {
                let (rows, missing) = self.rows(table)?;
                let found = tables::find(table, rows, &id);
                found.map(Answer::Row).map_err(|text| match missing.len() {
                    0 => text,
                    _ => format!("{text}; but {}", missing.join(", ")),
                })
            }
            Query::Summary { table } => {
                let (rows, missing) = self.rows(table)?;
                Ok(Answer::Summary(tables::Summary {
                    missing,
                    ..tables::summarize(table, &rows)
                }))
            }
            query @ (Query::NodeLogFiles { .. } | Query::NodeLog { .. } | Query::Timeline) => {
                self.desk.query(query)
            }
            Query::Job { job } => {
                let office = self.desk.jobs().ok_or(NO_JOBS)?;
                office
                    .find(&job)
                    .map(|found| Answer::Row(found.row().row()))
            }
            Query::LogFiles => logs::list(&self.logs).map(Answer::LogFiles),
            Query::Log { file, offset } => {
                let (text, next) = logs::read(&self.logs, &file, offset)?;
                Ok(Answer::Log { text, next })
            }
        }
    }

    /// Returns all rows of a table, unfiltered, and what is missing.
    fn rows(&self, table: tables::Table) -> Result<(Vec<tables::Row>, Vec<String>), String> {
        let query = Query::List {
            table,
            filters: Vec::new(),
            limit: usize::MAX,
        };
        match self.desk.query(query)? {
            Answer::Rows { rows, missing, .. } => Ok((rows, missing)),
            _ => Err(format!("the head has no table of {table}")),
        }
    }

    fn command(&self, command: &Command) -> Result<Answer, String> {
        let text = |error: Error| error.to_string();
        match command {
            Command::SubmitJob(request) => self.desk.jobs().ok_or(NO_JOBS)?.submit(request),
            Command::StopJob { job } => {
                let office = self.desk.jobs().ok_or(NO_JOBS)?;
                office.stop(job).map(|()| Answer::Done)
            }
            Command::DrainNode { node, deadline_s } => {
                let deadline = deadline_s.map(Duration::from_secs);
                self.desk.drain(node, deadline).map(|()| Answer::Done)
            }
            Command::Stop(what) => self.desk.stop(what.clone()).map(|()| Answer::Done),
            Command::CreateToken { role, ttl_s, uses } => {
                let ttl = ttl_s.map(Duration::from_secs);
                let token = self.tokens.create(*role, ttl, *uses).map_err(text)?;
                Ok(Answer::Token(token.expose()))
            }
            Command::ListTokens => Ok(Answer::Tokens(self.tokens.list())),
            Command::RevokeToken { token_id } => match self.tokens.revoke(token_id) {
                Ok(true) => {
                    let expelled = self.desk.on_revoked(token_id)?;
                    tracing::info!(token_id, expelled, "a token was revoked");
                    Ok(Answer::Done)
                }
                Ok(false) => Err(format!(
                    "no token has the id `{token_id}`; see `ray token list`"
                )),
                Err(error) => Err(text(error)),
            },
        }
    }
}

fn refuse_token(refusal: TokenRefusal) -> Refused {
    Refused::new(RefusalCode::Token, refusal.to_string())
}

fn date(seconds: u64) -> String {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    match time::OffsetDateTime::from_unix_timestamp(seconds) {
        Ok(date) => format!("{} {} UTC", date.date(), date.time()),
        Err(_) => format!("{seconds} s since 1970"),
    }
}

#[cfg(test)]
#[path = "api_tests/mod.rs"]
mod tests;
