//! Points on their way from a driver to a table, a CSV file and a picture.

use std::{
    fmt::{self, Write as _},
    fs,
    path::Path,
    process::{Command, Stdio},
};

use ray_rl::report::Plot;

pub type Failed = Box<dyn std::error::Error + Send + Sync>;

/// One measured value.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    pub series: String,
    pub x: f64,
    pub y: f64,
}

/// All values of a figure.
pub struct Figure {
    pub title: &'static str,
    pub x: &'static str,
    pub y: &'static str,
    /// Whether each axis has equal steps for equal factors.
    pub log: (bool, bool),
    pub points: Vec<Point>,
}

impl Point {
    pub fn new(series: impl Into<String>, x: f64, y: f64) -> Point {
        let series = series.into();
        Point { series, x, y }
    }

    /// The line that a driver prints.
    pub fn line(&self) -> String {
        format!("{MARK}{}\t{}\t{}", self.series, self.x, self.y)
    }

    /// Reads such a line; `None` for anything else.
    pub fn parse(line: &str) -> Option<Point> {
        let mut parts = line.strip_prefix(MARK)?.split('\t');
        let series = parts.next()?.to_owned();
        let x = parts.next()?.parse().ok()?;
        let y = parts.next()?.parse().ok()?;
        Some(Point { series, x, y })
    }

    pub fn json(&self, figure: &str) -> String {
        let Point { series, x, y } = self;
        serde_json::json!({ "figure": figure, "series": series, "x": x, "y": y }).to_string()
    }
}

/// Runs this executable as the driver of a figure and returns what it measured.
pub fn drive(id: &str, variant: &str, env: &[(&str, &str)]) -> Result<Vec<Point>, Failed> {
    let output = Command::new(std::env::current_exe()?)
        .args(["drive", id, variant])
        .envs(env.iter().copied())
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    if !output.status.success() {
        return Err(format!("the driver of {id} {variant} ended with {}", output.status).into());
    }
    let points: Vec<Point> = text.lines().filter_map(Point::parse).collect();
    if points.is_empty() {
        return Err(format!("the driver of {id} {variant} measured nothing").into());
    }
    Ok(points)
}

impl Figure {
    fn series(&self) -> Vec<&str> {
        let mut series = Vec::new();
        for point in &self.points {
            if !series.contains(&point.series.as_str()) {
                series.push(&point.series);
            }
        }
        series
    }

    /// Writes `path.csv` and `path.png`.
    pub fn save(&self, path: &Path) -> Result<(), Failed> {
        fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
        let mut csv = format!("series,{},{}\n", self.x, self.y);
        for Point { series, x, y } in &self.points {
            writeln!(csv, "{series},{x},{y}")?;
        }
        fs::write(path.with_extension("csv"), csv)?;
        let mut plot = Plot::new(self.title, self.x, self.y).log(self.log.0, self.log.1);
        for name in self.series() {
            let own = self.points.iter().filter(|point| point.series == name);
            let points: Vec<(f64, f64)> = own.map(|point| (point.x, point.y)).collect();
            plot = plot.series(name, &points);
        }
        plot.save(&path.with_extension("png"))?;
        Ok(())
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.title)?;
        let series = self.series();
        let width = series.iter().map(|name| name.len()).max().unwrap_or(0);
        writeln!(f, "{:width$}  {:>14}  {:>14}", "", self.x, self.y)?;
        for Point { series, x, y } in &self.points {
            writeln!(f, "{series:width$}  {x:>14}  {y:>14.4}")?;
        }
        writeln!(f)
    }
}

/// The middle one of some measured values.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Begins the line of a point.
const MARK: &str = "point\t";
