//! Tables for people: aligned columns that fit the terminal, nothing of what is shown can steer it.

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
///
/// When standard output is a terminal no line is longer than it is wide; the widest columns are cut first.
pub fn lines(columns: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    lines_within(columns, rows, terminal_width())
}

/// Returns the lines of a table that is part of something else.
pub fn indented_lines(columns: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    let width = terminal_width().map(|width| width.saturating_sub(INDENT.len()));
    let lines = lines_within(columns, rows, width);
    lines.iter().map(|line| format!("{INDENT}{line}")).collect()
}

/// Returns how many letters a line of standard output has room for, when it is a terminal.
fn terminal_width() -> Option<usize> {
    let (terminal_size::Width(columns), _) = terminal_size::terminal_size_of(io::stdout())?;
    // One that does not know its width says 0.
    Some(usize::from(columns)).filter(|width| *width > 0)
}

fn lines_within(columns: &[&str], rows: &[Vec<String>], limit: Option<usize>) -> Vec<String> {
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
    let limit = limit.unwrap_or(usize::MAX);
    let widths = fitted(widths, limit);
    let line = |row: &Vec<String>| {
        let padded = row.iter().zip(&widths).map(|(text, width)| {
            let text = cut(text, *width);
            format!("{text:width$}")
        });
        let line = padded.collect::<Vec<_>>().join(GAP);
        cut(line.trim_end(), limit)
    };
    cells.iter().map(line).collect()
}

/// Before a line that is part of something else.
const INDENT: &str = "  ";
/// Between two columns.
const GAP: &str = "  ";
/// A column is cut to no less, so that ids still differ.
const COLUMN_CHARS_MIN: usize = 8;

/// Returns widths of columns of which a line has at most `limit` letters, if that can be: all that are wider than
/// some width get that width, and what is left goes to the first of them.
fn fitted(mut widths: Vec<usize>, limit: usize) -> Vec<usize> {
    let gaps = GAP.len() * widths.len().saturating_sub(1);
    let room = limit.saturating_sub(gaps);
    if widths.iter().sum::<usize>() <= room {
        return widths;
    }
    let with = |most: usize| widths.iter().map(|width| (*width).min(most)).sum::<usize>();
    let widest = widths.iter().copied().max().unwrap_or_default();
    let most = (COLUMN_CHARS_MIN..widest)
        .rev()
        .find(|most| with(*most) <= room);
    let most = most.unwrap_or(COLUMN_CHARS_MIN);
    let mut left = room.saturating_sub(with(most));
    for width in widths.iter_mut().filter(|width| **width > most) {
        let more = usize::from(left > 0);
        *width = most + more;
        left -= more;
    }
    widths
}

/// Returns a text of at most `most` letters, which says so when it was longer.
fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most.saturating_sub(1)).collect();
    kept + "…"
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
    cut(&printable(text), CELL_CHARS_MAX)
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
    fn a_table_is_as_wide_as_the_terminal_at_most() {
        let letters = ["abcdefghijklmnopqrst", "ALIVE", "abcdefghijklmnop"].map(str::to_owned);
        let (columns, rows) = (["id", "state", "name"], [letters.to_vec()]);
        let table = |limit| lines_within(&columns, &rows, limit);
        let whole = "abcdefghijklmnopqrst  ALIVE  abcdefghijklmnop";
        assert_eq!(table(None)[1], whole, "nobody looks");
        assert_eq!(table(Some(45))[1], whole);
        assert_eq!(
            table(Some(44))[1],
            "abcdefghijklmnopqr…  ALIVE  abcdefghijklmnop"
        );
        assert_eq!(table(Some(36))[1], "abcdefghijklm…  ALIVE  abcdefghijkl…");
        assert_eq!(table(Some(35))[0], "ID             STATE  NAME");
        assert_eq!(table(Some(35))[1], "abcdefghijkl…  ALIVE  abcdefghijkl…");
        for limit in 0..50 {
            let is_within = |line: &String| line.chars().count() <= limit.max(1);
            assert!(table(Some(limit)).iter().all(is_within), "{limit}");
        }
        assert_eq!(table(Some(20))[1], "abcdefg…  ALIVE  ab…");
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
