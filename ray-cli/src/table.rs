//! Tables for people: aligned columns, nothing of what is shown can steer the terminal.

use std::{
    fmt::Display,
    io::{self, Write as _},
};

/// How to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Aligned columns; those without any value are left out.
    Table,
    /// One JSON object a line.
    Json,
}

/// The most letters of a value in a table.
const CELL_CHARS_MAX: usize = 48;

/// Returns the lines of a table: the columns' names in capitals, then the rows.
pub fn lines(columns: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    let shown: Vec<usize> = (0..columns.len())
        .filter(|at| rows.is_empty() || rows.iter().any(|row| !row[*at].is_empty()))
        .collect();
    let head: Vec<String> = columns.iter().map(|name| name.to_uppercase()).collect();
    let cells: Vec<Vec<String>> = std::iter::once(&head)
        .chain(rows)
        .map(|row| shown.iter().map(|at| cell(&row[*at])).collect())
        .collect();
    let widths: Vec<usize> = (0..shown.len())
        .map(|at| cells.iter().map(|row| row[at].chars().count()).max())
        .map(Option::unwrap_or_default)
        .collect();
    let line = |row: &Vec<String>| {
        let padded = row
            .iter()
            .zip(&widths)
            .map(|(text, width)| format!("{text:width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    cells.iter().map(line).collect()
}

/// Prints lines.
///
/// # Errors
/// What standard output refused; `main` takes a reader that has seen enough for no failure.
pub fn print(lines: impl IntoIterator<Item = impl Display>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for line in lines {
        writeln!(out, "{line}")?;
    }
    out.flush()
}

/// Prints what is said beside the work: a reader that is gone must not end it.
pub fn say(line: impl Display) {
    print([line]).ok();
}

/// Prints a line for people on standard error, whoever reads it.
pub fn note(line: impl Display) {
    writeln!(io::stderr(), "{line}").ok();
}

/// Returns a text that is safe to print: names come from programs, and escapes move the cursor.
pub fn printable(text: &str) -> String {
    let safe = |letter: char| {
        if letter.is_control() {
            '\u{fffd}'
        } else {
            letter
        }
    };
    text.chars().map(safe).collect()
}

/// Returns bytes as people read them.
pub fn size(bytes: f64) -> String {
    let mut value = bytes;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1024.0 {
            let digits = usize::from(unit != "B");
            return format!("{value:.digits$} {unit}");
        }
        value /= 1024.0;
    }
    format!("{value:.1} TiB")
}

/// Returns seconds as people read them.
pub fn span(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86400, seconds % 86400 / 3600),
    }
}

fn cell(text: &str) -> String {
    let safe = printable(text);
    if safe.chars().count() <= CELL_CHARS_MAX {
        return safe;
    }
    let kept: String = safe.chars().take(CELL_CHARS_MAX - 1).collect();
    kept + "…"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_empty_ones_left_out() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let rows = [row(["a1", "", "ALIVE"]), row(["actor-2", "", "DEAD"])];
        let table = lines(&["actor_id", "name", "state"], &rows);
        assert_eq!(
            table,
            ["ACTOR_ID  STATE", "a1        ALIVE", "actor-2   DEAD"]
        );
        assert_eq!(lines(&["a", "b"], &[]), ["A  B"]);
    }

    #[test]
    fn a_name_cannot_steer_the_terminal() {
        let rows = [vec!["\x1b[2Jgone\n".to_owned(), "x".repeat(100)]];
        let table = lines(&["name", "long"], &rows);
        assert!(!table[1].contains('\x1b') && !table[1].contains('\n'));
        assert!(table[1].ends_with('…'));
    }

    #[test]
    fn sizes_and_spans_are_short() {
        assert_eq!(size(512.0), "512 B");
        assert_eq!(size(1536.0), "1.5 KiB");
        assert_eq!(size(20.0 * 1024.0 * 1024.0 * 1024.0), "20.0 GiB");
        assert_eq!(span(59), "59 s");
        assert_eq!(span(3660), "1 h 1 min");
        assert_eq!(span(90_000), "1 d 1 h");
    }
}
