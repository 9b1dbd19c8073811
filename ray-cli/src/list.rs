//! `ray list`, `ray get` and `ray summary`: the cluster's state, row by row or counted.

use ray_core::control::{Answer, Filter, Query, Row, Table};

use crate::{
    Failed,
    connect::Connect,
    table::{Format, lines, note, print, printable},
};

/// The options of `ray list`.
#[derive(clap::Args)]
#[command(after_help = "Example: ray list actors --filter state=ALIVE --limit 20")]
pub struct ListOptions {
    /// nodes, workers, actors, tasks, objects, placement-groups or jobs.
    table: Table,
    #[command(flatten)]
    shown: Shown,
}

/// Which rows of a table are shown, and how.
#[derive(clap::Args)]
pub struct Shown {
    /// Show only rows with this value, or without it; may be given more than once.
    #[arg(long, value_name = "COLUMN=VALUE|COLUMN!=VALUE")]
    filter: Vec<Filter>,
    /// The most rows to show.
    #[arg(long, default_value_t = 100, value_name = "N")]
    limit: usize,
    /// How to print.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    #[command(flatten)]
    connect: Connect,
}

/// The options of `ray get`.
#[derive(clap::Args)]
#[command(after_help = "Example: ray get actors a1f3")]
pub struct GetOptions {
    /// nodes, workers, actors, tasks, objects, placement-groups or jobs.
    table: Table,
    /// The id, or a beginning of it that no other has.
    #[arg(value_parser = crate::options::text)]
    id: String,
    /// How to print.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    #[command(flatten)]
    connect: Connect,
}

/// The options of `ray summary`.
#[derive(clap::Args)]
#[command(after_help = "Example: ray summary tasks")]
pub struct SummaryOptions {
    /// nodes, workers, actors, tasks, objects, placement-groups or jobs.
    table: Table,
    /// How to print.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    #[command(flatten)]
    connect: Connect,
}

/// Runs `ray list`.
///
/// # Errors
/// What the head refused, or why it cannot be reached.
pub fn list(options: &ListOptions) -> Result<(), Failed> {
    print_rows(options.table, &options.shown)
}

/// Prints the rows of a table that the filters admit.
///
/// # Errors
/// What the head refused, or why it cannot be reached.
pub fn print_rows(table: Table, shown: &Shown) -> Result<(), Failed> {
    let answer = shown.connect.client()?.query(Query::List {
        table,
        filters: shown.filter.clone(),
        limit: shown.limit,
    })?;
    let Answer::Rows {
        rows,
        total,
        missing,
    } = answer
    else {
        return Err(crate::OTHER_ANSWER.into());
    };
    if shown.format == Format::Json {
        print(rows.iter().map(Row::to_json))?;
    } else {
        let columns = table.columns();
        let cells: Vec<Vec<String>> = rows.iter().map(|row| cells(row, columns)).collect();
        print(lines(columns, &cells))?;
    }
    if rows.len() < total {
        note(format_args!(
            "{} of {total} shown; raise --limit or add a --filter",
            rows.len()
        ));
    }
    complain(&missing);
    Ok(())
}

/// Runs `ray get`.
///
/// # Errors
/// No row of that id, what the head refused, or why it cannot be reached.
pub fn get(options: &GetOptions) -> Result<(), Failed> {
    let answer = options.connect.client()?.query(Query::Get {
        table: options.table,
        id: options.id.clone(),
    })?;
    let Answer::Row(row) = answer else {
        return Err(crate::OTHER_ANSWER.into());
    };
    print_row(&row, options.table, options.format)
}

/// Prints one row, a column a line.
pub fn print_row(row: &Row, table: Table, format: Format) -> Result<(), Failed> {
    if format == Format::Json {
        return Ok(print([row.to_json()])?);
    }
    let columns = table.columns().iter();
    let shown = columns.map(|column| format!("{column:24}{}", printable(&row.text(column))));
    Ok(print(shown)?)
}

/// Runs `ray summary`.
///
/// # Errors
/// What the head refused, or why it cannot be reached.
pub fn summary(options: &SummaryOptions) -> Result<(), Failed> {
    let answer = options.connect.client()?.query(Query::Summary {
        table: options.table,
    })?;
    let Answer::Summary(summary) = answer else {
        return Err(crate::OTHER_ANSWER.into());
    };
    complain(&summary.missing);
    if options.format == Format::Json {
        let objects = summary.lines.iter().map(|line| {
            let named = summary.columns.iter().zip(&line.values);
            let mut object: serde_json::Map<String, serde_json::Value> = named
                .map(|(column, value)| (column.clone(), value.as_str().into()))
                .collect();
            object.insert("count".into(), line.count.into());
            serde_json::Value::Object(object)
        });
        return Ok(print(objects)?);
    }
    let mut columns: Vec<&str> = summary.columns.iter().map(String::as_str).collect();
    columns.push("count");
    let rows: Vec<Vec<String>> = summary
        .lines
        .iter()
        .map(|line| {
            let mut cells = line.values.clone();
            cells.push(line.count.to_string());
            cells
        })
        .collect();
    print(lines(&columns, &rows))?;
    Ok(())
}

fn cells(row: &Row, columns: &[&str]) -> Vec<String> {
    columns.iter().map(|column| row.text(column)).collect()
}

/// Says what is not in what is shown.
pub fn complain(missing: &[String]) {
    const SHOWN: usize = 10;
    for line in missing.iter().take(SHOWN) {
        note(format_args!("missing: {}", printable(line)));
    }
    if missing.len() > SHOWN {
        let others = missing.len() - SHOWN;
        note(format_args!("missing: and {others} others"));
    }
}
