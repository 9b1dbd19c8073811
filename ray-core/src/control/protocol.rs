//! What is said at the front desk: one request and one answer a stream, each a JSON object.
//!
//! JSON, because two builds whose wire differs must still understand each other's refusal. The names
//! of the fields are the protocol; new fields have defaults.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::{
    hex,
    jobs::JobRequest,
    tables::{Filter, Row, Summary, Table},
    token::Role,
    token_book::TokenInfo,
};

/// The most bytes of a request.
pub(crate) const REQUEST_BYTES_MAX: usize = 64 << 10;
/// The most bytes of an answer.
pub(crate) const ANSWER_BYTES_MAX: usize = 16 << 20;
/// The most bytes of a log that one answer carries.
pub(crate) const LOG_BYTES_MAX: usize = 256 << 10;
/// The most bytes of a node's name.
pub(crate) const NODE_NAME_BYTES_MAX: usize = 256;

/// What is asked at the desk.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    /// Let this process in.
    Join(Join),
    /// Takes a program of a job; its bytes follow the request's line.
    Upload {
        #[serde(with = "hex")]
        secret: Vec<u8>,
        /// BLAKE3, in hexadecimal.
        hash: String,
        bytes: u64,
    },
    /// Look something up.
    Query {
        #[serde(with = "hex")]
        secret: Vec<u8>,
        query: Query,
    },
    /// Change something.
    Command {
        #[serde(with = "hex")]
        secret: Vec<u8>,
        command: Command,
    },
}

impl Request {
    /// Returns the weakest role that may ask this: the one table of who may do what.
    pub(crate) fn needs(&self) -> Role {
        match self {
            Request::Join(join) => match join.role {
                Role::Driver => Role::Driver,
                _ => Role::Node,
            },
            Request::Upload { .. } => Role::Driver,
            Request::Query { query, .. } => match query {
                Query::Status
                | Query::List { .. }
                | Query::Job { .. }
                | Query::Timeline
                | Query::Get { .. }
                | Query::Summary { .. }
                | Query::LogFiles
                | Query::NodeLogFiles { .. }
                | Query::NodeLog { .. }
                | Query::Log { .. } => Role::Viewer,
            },
            Request::Command { command, .. } => match command {
                Command::SubmitJob(_) | Command::StopJob { .. } => Role::Driver,
                Command::Stop(_)
                | Command::DrainNode { .. }
                | Command::CreateToken { .. }
                | Command::ListTokens
                | Command::RevokeToken { .. } => Role::Admin,
            },
        }
    }

    pub(crate) fn secret(&self) -> &[u8] {
        match self {
            Request::Join(join) => &join.secret,
            Request::Upload { secret, .. }
            | Request::Query { secret, .. }
            | Request::Command { secret, .. } => secret,
        }
    }
}

/// A newcomer's request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Join {
    pub wire_version: u16,
    /// The version of the package, for people.
    pub build: String,
    /// `Node` or `Driver`.
    pub role: Role,
    #[serde(with = "hex")]
    pub secret: Vec<u8>,
    /// A point of P-256, uncompressed.
    #[serde(with = "hex")]
    pub public_key: Vec<u8>,
    /// The newcomer's clock, in seconds since 1970.
    pub clock_s: u64,
    pub node_name: String,
}

/// What a newcomer gets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Joined {
    pub cluster: u64,
    pub process: u64,
    #[serde(with = "hex")]
    pub delegation: Vec<u8>,
    #[serde(with = "hex")]
    pub root: Vec<u8>,
    pub control_process: u64,
    pub control_address: SocketAddr,
    /// How long what the newcomer's key signs is to be good; seconds, 0 for what it thinks.
    #[serde(default)]
    pub certificate_life_s: u64,
    /// The job that a driver with a job's own token belongs to.
    #[serde(default)]
    pub job: Option<u64>,
}

/// What can be looked up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Query {
    /// How the cluster is doing.
    Status,
    /// The rows of a table.
    List {
        /// Which table.
        table: Table,
        /// All of these must hold.
        filters: Vec<Filter>,
        /// The most rows to return.
        limit: usize,
    },
    /// One row.
    Get {
        /// Of which table.
        table: Table,
        /// Its id, or the beginning of it.
        id: String,
    },
    /// The rows of a table, counted.
    Summary {
        /// Which table.
        table: Table,
    },
    /// A submitted job.
    Job {
        /// Its id, the beginning of it, or its name.
        job: String,
    },
    /// The calls that have ended, as far as workers still know them.
    Timeline,
    /// The log files of the head's run.
    LogFiles,
    /// The log files of a node's run.
    NodeLogFiles {
        /// The beginning of its id, or its name.
        node: String,
    },
    /// A part of a log file of a node.
    NodeLog {
        /// The beginning of its id, or its name.
        node: String,
        /// Its name, as [`Query::NodeLogFiles`] gives it.
        file: String,
        /// Where to begin; bytes.
        offset: u64,
    },
    /// A part of a log file.
    Log {
        /// Its name, as [`Query::LogFiles`] gives it.
        file: String,
        /// Where to begin; bytes.
        offset: u64,
    },
}

/// What an administrator can have done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Command {
    /// Run a program as a job.
    SubmitJob(JobRequest),
    /// End a submitted job.
    StopJob {
        /// Its id, the beginning of it, or its name.
        job: String,
    },
    /// End a part of the cluster or all of it.
    Stop(StopRequest),
    /// Empty a node: it takes no new work and ends once it has none.
    DrainNode {
        /// The beginning of its id, or its name.
        node: String,
        /// How long it may take, in seconds; then it is ended. `None` for as long as it takes.
        deadline_s: Option<u64>,
    },
    /// Make a token.
    CreateToken {
        /// What it allows.
        role: Role,
        /// How long it is good, in seconds; `None` for ever.
        ttl_s: Option<u64>,
        /// How many processes may join with it; `None` for any number.
        uses: Option<u32>,
    },
    /// Show which tokens there are.
    ListTokens,
    /// Make a token worthless.
    RevokeToken {
        /// Its id, which is no secret.
        token_id: String,
    },
}

impl Command {
    /// Returns it as it may be written down.
    pub(crate) fn without_secrets(&self) -> std::borrow::Cow<'_, Command> {
        match self {
            Command::SubmitJob(request) => {
                std::borrow::Cow::Owned(Command::SubmitJob(request.without_values()))
            }
            other => std::borrow::Cow::Borrowed(other),
        }
    }
}

/// What to end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum StopRequest {
    /// Every node, then the head.
    Cluster,
    /// One node, by its id.
    Node(String),
}

/// What was found or done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Answer {
    /// Of [`Query::Status`].
    Status(ClusterStatus),
    /// Of [`Query::List`]: the rows, and how many the filters admit.
    Rows {
        /// As many as the limit allows.
        rows: Vec<Row>,
        /// How many there are.
        total: usize,
        /// A line for each thing that could not be learnt in time.
        #[serde(default)]
        missing: Vec<String>,
    },
    /// Of [`Query::Get`].
    Row(Row),
    /// Of [`Query::Summary`].
    Summary(Summary),
    /// Of [`Query::Timeline`].
    Timeline {
        /// The oldest first.
        events: Vec<TaskEvent>,
        /// A line for each thing that could not be learnt.
        missing: Vec<String>,
    },
    /// Of [`Query::LogFiles`].
    LogFiles(Vec<LogFile>),
    /// Of [`Query::Log`]: text from the offset on, and the offset that follows.
    Log {
        /// The text; bytes that are not UTF-8 are replaced.
        text: String,
        /// Where to go on; bytes.
        next: u64,
    },
    /// Of [`Command::SubmitJob`]: it is taken on.
    Submitted {
        /// Its id.
        job_id: String,
    },
    /// Of [`Command::SubmitJob`]: the head has not the program; send it, then submit again.
    ExecutableWanted,
    /// The directory that goes with a job must be sent first.
    ArchiveWanted,
    /// A command was carried out.
    Done,
    /// Of [`Command::CreateToken`]: the token's text.
    Token(String),
    /// Of [`Command::ListTokens`].
    Tokens(Vec<TokenInfo>),
}

/// A call that ran in a worker and has ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskEvent {
    /// Its id.
    pub task_id: String,
    /// Which try it was, from 0.
    pub attempt_number: u32,
    /// The function or method.
    pub function: String,
    /// The actor whose method it was.
    pub actor_id: Option<String>,
    /// The job it belonged to.
    pub job_id: String,
    /// Where it ran.
    pub node_id: String,
    /// Who ran it.
    pub worker_id: String,
    /// That worker's system id.
    pub worker_pid: u32,
    /// When it began, by that machine's clock; nanoseconds since 1970.
    pub start_ns: u64,
    /// How long it ran.
    pub duration_ns: u64,
    /// Whether it ended without a value.
    pub has_failed: bool,
    /// How many calls it stands for: of a method that takes microseconds one of many is noted.
    pub stands_for: u32,
}

/// A file of the head's run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogFile {
    /// Its name.
    pub name: String,
    /// Its size in bytes.
    pub bytes: u64,
}

/// How the cluster is doing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClusterStatus {
    /// The cluster's number, in hexadecimal.
    pub cluster_id: String,
    /// The version of the head's package.
    pub version: String,
    /// How long the head has run; seconds.
    pub uptime_s: u64,
    /// The head's clock, in seconds since 1970.
    pub clock_s: u64,
    /// Which start of the head on its store this is.
    pub generation: u64,
    /// The nodes.
    pub nodes: Vec<super::rows::NodeState>,
    /// What waits for resources.
    pub demands: Vec<Demand>,
    /// What a person should know: a full disk, a node that is suspect.
    pub alarms: Vec<String>,
}

/// Work that waits because nothing that it needs is free.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Demand {
    /// What one of them asks for.
    pub shape: std::collections::BTreeMap<String, f64>,
    /// How many wait.
    pub count: usize,
    /// Why they wait.
    pub reason: String,
}

/// The desk's answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Reply {
    Joined(Joined),
    Answer(Answer),
    Refused(Refused),
}

/// Why the desk did not do it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Refused {
    pub code: RefusalCode,
    pub text: String,
}

impl Refused {
    pub(crate) fn new(code: RefusalCode, text: impl Into<String>) -> Refused {
        Refused {
            code,
            text: text.into(),
        }
    }
}

/// Kinds of refusals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum RefusalCode {
    /// The token is unknown, expired, used up or of a weaker role.
    Token,
    /// The two builds speak different wires.
    Version,
    /// The two clocks differ too much for certificates.
    Clock,
    /// The request is too long or makes no sense.
    Request,
    /// The cluster could not do it.
    Failed,
    /// A code of a later version.
    #[serde(other)]
    Other,
}
