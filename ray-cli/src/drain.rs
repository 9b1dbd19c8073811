//! `ray drain`: empties a node before its machine goes.

use std::time::Duration;

use ray_core::control::{Answer, Client, Command, Filter, Query, Table};

use crate::{Failed, connect::Connect, options, table::print};

/// How often a waiting command looks how the node is.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// The options of `ray drain`.
#[derive(clap::Args)]
#[command(after_help = "Example: ray drain gpu-3 --deadline 10m")]
pub struct Options {
    /// The node, by its name or the beginning of its id.
    #[arg(value_parser = options::text)]
    node: String,
    /// End it after this long, empty or not, for example 90s or 10m [default: when it is empty].
    #[arg(long, value_name = "SPAN", value_parser = options::span)]
    deadline: Option<u64>,
    /// Return as soon as it takes no new work, instead of when it is gone.
    #[arg(long)]
    no_wait: bool,
    #[command(flatten)]
    connect: Connect,
}

/// Runs `ray drain`.
///
/// # Errors
/// No such node, what the head refused, or why it cannot be reached.
pub fn run(options: &Options) -> Result<(), Failed> {
    let client = options.connect.client()?;
    let node = node_id(&client, &options.node)?;
    client.command(Command::DrainNode {
        node: node.clone(),
        deadline_s: options.deadline,
    })?;
    if options.no_wait {
        return Ok(print([format!("node {node} takes no new work")])?);
    }
    loop {
        let (state, why) = state_of(&client, &node)?;
        if state == "DEAD" {
            return Ok(print([format!("node {node} is gone: {why}")])?);
        }
        std::thread::sleep(POLL_INTERVAL);
    }
}

/// Returns the whole id of a living node.
fn node_id(client: &Client, named: &str) -> Result<String, Failed> {
    let query = Query::List {
        table: Table::Nodes,
        filters: vec!["state!=DEAD".parse::<Filter>()?],
        limit: usize::MAX,
    };
    let Answer::Rows { rows, .. } = client.query(query)? else {
        return Err(crate::OTHER_ANSWER.into());
    };
    let named_so = |row: &&ray_core::control::Row| {
        row.text("node_name") == named || row.text("node_id").starts_with(named)
    };
    let mut found = rows.iter().filter(named_so);
    match (found.next(), found.next()) {
        (Some(row), None) => Ok(row.text("node_id")),
        (None, _) => Err(format!(
            "no living node has the name `{named}` or an id that begins so; see `ray list nodes`"
        )
        .into()),
        _ => Err(format!("`{named}` could be several nodes; give more of the id").into()),
    }
}

fn state_of(client: &Client, node: &str) -> Result<(String, String), Failed> {
    let query = Query::Get {
        table: Table::Nodes,
        id: node.to_owned(),
    };
    match client.query(query)? {
        Answer::Row(row) => Ok((row.text("state"), row.text("state_message"))),
        _ => Err(crate::OTHER_ANSWER.into()),
    }
}
