//! `ray memory`: every reference to an object, who holds it and how often, the largest first.

use std::collections::{BTreeMap, BTreeSet};

use ray_core::control::{Answer, Filter, Query, Row, Table};

use crate::{
    Failed,
    connect::Connect,
    list::complain,
    table::{Format, lines, note, print, size},
};

/// The options of `ray memory`.
#[derive(clap::Args)]
#[command(
    after_help = "A reference is a line for each process that holds it. KIND is LOCAL_REFERENCE (handles), \
                  USED_BY_PENDING_TASK, HELD_BY_OTHERS (lent) or BORROWED (the owner is another process).\n\n\
                  Example: ray memory --filter kind=BORROWED --limit 20"
)]
pub struct Options {
    /// Show only references with this value, or without it; may be given more than once.
    #[arg(long, value_name = "COLUMN=VALUE|COLUMN!=VALUE", value_parser = filter)]
    filter: Vec<Filter>,
    /// The most references to show.
    #[arg(long, default_value_t = 100, value_name = "N")]
    limit: usize,
    /// How to print.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    #[command(flatten)]
    connect: Connect,
}

/// The columns, and what they are called in the table of objects.
const COLUMNS: [(&str, &str); 10] = [
    ("object_id", "object_id"),
    ("kind", "reference_type"),
    ("size", "object_size"),
    ("owner", "owner_id"),
    ("holder", "type"),
    ("pid", "pid"),
    ("node", "node_id"),
    ("handles", "handles"),
    ("tasks", "users"),
    ("lent", "lent"),
];

/// Reads a filter that may use this command's shorter names.
fn filter(text: &str) -> Result<Filter, String> {
    let end = text.find(['=', '!']).unwrap_or(text.len());
    let (column, rest) = text.split_at(end);
    let known = COLUMNS.iter().find(|(ours, _)| *ours == column.trim());
    let known = known.ok_or_else(|| {
        let names = COLUMNS.map(|(ours, _)| ours).join(", ");
        format!("`{text}` is no condition on one of {names}")
    })?;
    let renamed = format!("{}{rest}", known.1);
    renamed
        .parse()
        .map_err(|error: ray_core::Error| error.to_string())
}

/// Runs `ray memory`.
///
/// # Errors
/// What the head refused, or why it cannot be reached.
pub fn run(options: &Options) -> Result<(), Failed> {
    let answer = options.connect.client()?.query(Query::List {
        table: Table::Objects,
        filters: options.filter.clone(),
        limit: usize::MAX,
    })?;
    let Answer::Rows {
        mut rows, missing, ..
    } = answer
    else {
        return Err(crate::OTHER_ANSWER.into());
    };
    rows.sort_by_key(|row| (std::cmp::Reverse(bytes_of(row)), row.text("object_id")));
    let shown = &rows[..rows.len().min(options.limit)];
    if options.format == Format::Json {
        print(shown.iter().map(|row| {
            let named = COLUMNS.map(|(ours, theirs)| (ours.to_owned(), row.value(theirs).clone()));
            serde_json::Value::Object(named.into_iter().collect())
        }))?;
    } else {
        let cells: Vec<Vec<String>> = shown.iter().map(cells).collect();
        let names = COLUMNS.map(|(ours, _)| ours);
        print(lines(&names, &cells).into_iter().chain(sums(&rows)))?;
    }
    if shown.len() < rows.len() {
        note(format_args!(
            "{} of {} shown, the largest; raise --limit or add a --filter",
            shown.len(),
            rows.len()
        ));
    }
    complain(&missing);
    Ok(())
}

fn bytes_of(row: &Row) -> u64 {
    row.value("object_size").as_u64().unwrap_or(0)
}

fn cells(row: &Row) -> Vec<String> {
    let cell = |(ours, theirs): &(&str, &str)| match (*ours, row.value(theirs).as_u64()) {
        ("size", Some(bytes)) => size(bytes as f64),
        // It is not made yet.
        ("size", None) => "?".into(),
        _ => row.text(theirs),
    };
    COLUMNS.iter().map(cell).collect()
}

/// Returns a line a node and kind: an object counts once where several processes refer to it.
fn sums(rows: &[Row]) -> Vec<String> {
    let mut sums: BTreeMap<(String, String), (BTreeSet<String>, usize, u64)> = BTreeMap::new();
    for row in rows {
        let key = (row.text("node_id"), row.text("reference_type"));
        let (objects, references, bytes) = sums.entry(key).or_default();
        *references += 1;
        if objects.insert(row.text("object_id")) {
            *bytes += bytes_of(row);
        }
    }
    let line = |((node, kind), (objects, references, bytes)): (
        &(String, String),
        &(BTreeSet<String>, usize, u64),
    )| {
        format!(
            "node {node}: {references} {kind} to {} objects, {}",
            objects.len(),
            size(*bytes as f64)
        )
    };
    sums.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_uses_the_names_that_are_shown() {
        assert_eq!(
            filter("kind=BORROWED").ok(),
            "reference_type=BORROWED".parse().ok()
        );
        assert_eq!(filter("owner!=p1").ok(), "owner_id!=p1".parse().ok());
        assert!(filter("colour=red").is_err_and(|text| text.contains("kind")));
        assert!(filter("kind").is_err());
    }
}
