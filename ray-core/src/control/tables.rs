//! The cluster's state as tables: what `ray list`, `ray get` and `ray summary` choose and count.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::rows::{
    ActorState, JobState, NodeState, ObjectState, PlacementGroupState, TaskState, WorkerState,
};
use crate::{Error, Result};

/// What can be listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Table {
    /// Machines.
    Nodes,
    /// Worker processes.
    Workers,
    /// Actors, dead ones included.
    Actors,
    /// Calls that run or wait, and the last that ended.
    Tasks,
    /// Objects that are referred to.
    Objects,
    /// Placement groups.
    PlacementGroups,
    /// Driver programs.
    Jobs,
}

impl Table {
    /// All tables.
    pub const ALL: [Table; 7] = [
        Table::Nodes,
        Table::Workers,
        Table::Actors,
        Table::Tasks,
        Table::Objects,
        Table::PlacementGroups,
        Table::Jobs,
    ];

    /// Returns its name.
    pub fn name(self) -> &'static str {
        match self {
            Table::Nodes => "nodes",
            Table::Workers => "workers",
            Table::Actors => "actors",
            Table::Tasks => "tasks",
            Table::Objects => "objects",
            Table::PlacementGroups => "placement-groups",
            Table::Jobs => "jobs",
        }
    }

    /// Returns its columns in the order in which they are shown; the first names the row.
    pub fn columns(self) -> &'static [&'static str] {
        match self {
            Table::Nodes => NodeState::COLUMNS,
            Table::Workers => WorkerState::COLUMNS,
            Table::Actors => ActorState::COLUMNS,
            Table::Tasks => TaskState::COLUMNS,
            Table::Objects => ObjectState::COLUMNS,
            Table::PlacementGroups => PlacementGroupState::COLUMNS,
            Table::Jobs => JobState::COLUMNS,
        }
    }

    /// Returns the columns by which `ray summary` counts.
    fn summary_columns(self) -> &'static [&'static str] {
        match self {
            Table::Nodes | Table::PlacementGroups => &["state"],
            Table::Workers => &["worker_type", "is_alive", "exit_type"],
            Table::Actors => &["class_name", "state"],
            Table::Tasks => &["func_or_class_name", "type", "state"],
            Table::Objects => &["reference_type", "task_status"],
            Table::Jobs => &["type", "status"],
        }
    }

    /// Returns the name of the column that says how a row is doing.
    pub fn state_column(self) -> &'static str {
        match self {
            Table::Workers => "is_alive",
            Table::Objects => "task_status",
            Table::Jobs => "status",
            _ => "state",
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Table {
    type Err = Error;

    fn from_str(text: &str) -> Result<Table> {
        let found = Table::ALL.into_iter().find(|table| table.name() == text);
        found.ok_or_else(|| Error::InvalidOption {
            option: "table".into(),
            reason: format!(
                "`{text}` is none of {}",
                Table::ALL.map(Table::name).join(", ")
            ),
        })
    }
}

/// One row: a value for each column.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Row(BTreeMap<String, Value>);

impl Row {
    /// Returns the value of a column, null when the row has none.
    pub fn value(&self, column: &str) -> &Value {
        self.0.get(column).unwrap_or(&Value::Null)
    }

    /// Returns the text of a column as a table shows it; empty for null.
    pub fn text(&self, column: &str) -> String {
        match self.value(column) {
            Value::Object(fields) => {
                let fields = fields
                    .iter()
                    .map(|(name, value)| format!("{name}={}", text_of(value)));
                fields.collect::<Vec<_>>().join(", ")
            }
            other => text_of(other),
        }
    }

    /// Returns the row as one JSON object.
    pub fn to_json(&self) -> Value {
        Value::Object(self.0.clone().into_iter().collect())
    }
}

fn text_of(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        // Whole amounts without the point that JSON gives them.
        Value::Number(number) => match number.as_f64() {
            Some(amount) if number.is_f64() => amount.to_string(),
            _ => number.to_string(),
        },
        other => other.to_string(),
    }
}

/// A struct that is a row of a table.
pub(crate) trait TableRow: Serialize {
    /// The table.
    #[allow(
        dead_code,
        reason = "rows of one table have one type, and tests look it up"
    )]
    const TABLE: Table;

    /// Returns it with its columns' names.
    fn row(&self) -> Row {
        match serde_json::to_value(self) {
            Ok(Value::Object(fields)) => Row(fields.into_iter().collect()),
            _ => Row::default(),
        }
    }
}

/// A condition on a column: `state=ALIVE` or `state!=DEAD`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    column: String,
    equal: bool,
    value: String,
}

impl Filter {
    fn admits(&self, row: &Row) -> bool {
        row.text(&self.column).eq_ignore_ascii_case(&self.value) == self.equal
    }
}

impl FromStr for Filter {
    type Err = Error;

    fn from_str(text: &str) -> Result<Filter> {
        let unequal = text.split_once("!=").map(|parts| (parts, false));
        let parts = unequal.or_else(|| text.split_once('=').map(|parts| (parts, true)));
        match parts {
            Some(((column, value), equal)) if !column.is_empty() => Ok(Filter {
                column: column.trim().to_owned(),
                equal,
                value: value.trim().to_owned(),
            }),
            _ => Err(Error::InvalidOption {
                option: "filter".into(),
                reason: format!("`{text}` is not of the form column=value or column!=value"),
            }),
        }
    }
}

/// Returns the rows that all filters admit, at most `limit`, and how many there were.
pub(crate) fn select(
    table: Table,
    rows: Vec<Row>,
    filters: &[Filter],
    limit: usize,
) -> Result<(Vec<Row>, usize), String> {
    for filter in filters {
        if !table.columns().contains(&filter.column.as_str()) {
            return Err(format!(
                "{table} have no column `{}`; they have {}",
                filter.column,
                table.columns().join(", ")
            ));
        }
    }
    let admitted = |row: &Row| filters.iter().all(|filter| filter.admits(row));
    let mut rows: Vec<Row> = rows.into_iter().filter(admitted).collect();
    let total = rows.len();
    rows.truncate(limit);
    Ok((rows, total))
}

/// Returns the row whose first column is `id`, or the one row whose first column begins with it.
pub(crate) fn find(table: Table, rows: Vec<Row>, id: &str) -> Result<Row, String> {
    let key = table.columns()[0];
    let mut begin = Vec::new();
    for row in rows {
        let name = row.text(key);
        if name == id {
            return Ok(row);
        }
        if !id.is_empty() && name.starts_with(id) {
            begin.push(row);
        }
    }
    match begin.len() {
        1 => Ok(begin.remove(0)),
        0 => Err(format!(
            "no row of {table} has the {key} `{id}`; see `ray list {table}`"
        )),
        many => Err(format!(
            "{many} rows of {table} have a {key} that begins with `{id}`; give more of it"
        )),
    }
}

/// One line of a summary: the values that its rows share, and how many rows those are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SummaryLine {
    /// A text for each of the summary's columns.
    pub values: Vec<String>,
    /// How many rows have these values.
    pub count: usize,
}

/// The rows of a table counted by what they are and how they are doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// The columns counted by.
    pub columns: Vec<String>,
    /// The counts, the largest first.
    pub lines: Vec<SummaryLine>,
    /// A line for each thing that could not be counted.
    #[serde(default)]
    pub missing: Vec<String>,
}

pub(crate) fn summarize(table: Table, rows: &[Row]) -> Summary {
    let columns = table.summary_columns();
    let mut counts: BTreeMap<Vec<String>, usize> = BTreeMap::new();
    for row in rows {
        let values = columns.iter().map(|column| row.text(column)).collect();
        *counts.entry(values).or_default() += 1;
    }
    let mut lines: Vec<SummaryLine> = counts
        .into_iter()
        .map(|(values, count)| SummaryLine { values, count })
        .collect();
    lines.sort_by_key(|line| std::cmp::Reverse(line.count));
    Summary {
        columns: columns.iter().map(|column| (*column).to_owned()).collect(),
        lines,
        missing: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn actors() -> Vec<Row> {
        [
            ("a1", "Counter", "ALIVE"),
            ("a2", "Counter", "DEAD"),
            ("b1", "Timer", "ALIVE"),
        ]
        .map(|(id, class, state)| {
            ActorState {
                actor_id: id.into(),
                class_name: class.into(),
                state: state.into(),
                ..ActorState::default()
            }
            .row()
        })
        .to_vec()
    }

    fn filter(text: &str) -> Filter {
        text.parse().expect("a filter")
    }

    #[test]
    fn every_table_has_the_columns_that_it_counts_by() {
        for table in Table::ALL {
            let columns = table.columns();
            for column in table.summary_columns() {
                assert!(columns.contains(column), "{table}.{column}");
            }
            assert!(columns.contains(&table.state_column()));
            assert_eq!(table.name().parse::<Table>().ok(), Some(table));
        }
    }

    #[test]
    fn filters_choose_and_the_limit_says_how_many_there_were() {
        let names = |filters: &[Filter], limit| {
            let (rows, total) = select(Table::Actors, actors(), filters, limit).expect("columns");
            let names: Vec<String> = rows.iter().map(|row| row.text("actor_id")).collect();
            (names.join(" "), total)
        };
        assert_eq!(names(&[], 2), ("a1 a2".into(), 3));
        assert_eq!(names(&[filter("state=alive")], 9), ("a1 b1".into(), 2));
        let both = [filter("state!=DEAD"), filter("class_name=Counter")];
        assert_eq!(names(&both, 9), ("a1".into(), 1));
        let wrong = select(Table::Actors, actors(), &[filter("colour=red")], 9);
        let wrong = wrong.expect_err("no such column");
        assert!(wrong.contains("class_name"), "{wrong}");
        assert!("state".parse::<Filter>().is_err());
    }

    #[test]
    fn a_row_is_found_by_its_id_or_a_beginning_that_is_its_own() {
        let found = |id| find(Table::Actors, actors(), id).map(|row| row.text("actor_id"));
        assert_eq!(found("a2").as_deref(), Ok("a2"));
        assert_eq!(found("b").as_deref(), Ok("b1"));
        assert!(found("a").expect_err("two").contains("2 rows"));
        assert!(found("c").expect_err("none").contains("no row"));
        assert!(found("").expect_err("none").contains("no row"));
    }

    #[test]
    fn a_summary_counts_the_most_frequent_first() {
        let mut rows = actors();
        rows.extend(actors().drain(..1));
        let summary = summarize(Table::Actors, &rows);
        assert_eq!(summary.columns, ["class_name", "state"]);
        assert_eq!(summary.lines[0].values, ["Counter", "ALIVE"]);
        assert_eq!(summary.lines[0].count, 2);
        assert_eq!(summary.lines.len(), 3);
    }

    #[test]
    fn a_row_keeps_numbers_and_shows_them_as_text() {
        let row = NodeState {
            node_id: "n1".into(),
            resources_total: [("CPU".into(), 2.0)].into(),
            ..NodeState::default()
        }
        .row();
        assert_eq!(row.text("resources_total"), "CPU=2");
        assert_eq!(row.text("state_message"), "");
        assert_eq!(row.to_json()["resources_total"]["CPU"], 2.0);
        assert_eq!(row.to_json()["is_head_node"], false);
    }
}
