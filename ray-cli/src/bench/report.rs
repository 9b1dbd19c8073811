//! Medians of the repeats, as a table beside the floors or as JSON lines.

use super::Sample;
use crate::table::say;

#[derive(Default)]
pub struct Report(Vec<Row>);

struct Row {
    name: &'static str,
    unit: &'static str,
    samples: Vec<f64>,
}

/// Which floor a metric is read beside.
const BESIDE: &[(&str, &str)] = &[
    ("actor.sync_call.p50", "floor.futex_pingpong.p50"),
    ("task.sync_roundtrip.p50", "floor.futex_pingpong.p50"),
    ("quic.actor.sync_call.p50", "floor.quinn_call.p50"),
    ("quic.task.sync_roundtrip.p50", "floor.quinn_call.p50"),
    ("quic.actor.async_1_1_100k", "floor.quinn_pipelined"),
    ("quic.task.async_throughput_100k", "floor.quinn_pipelined"),
    ("actor.arg_1MB.shared_ref.p50", "floor.quinn_call.p50"),
    ("actor.async_1_1", "floor.quinn_pipelined"),
    ("task.async_throughput_10k", "floor.quinn_pipelined"),
    ("object.put_1MB", "floor.arena_put_1MB"),
];

impl Report {
    pub fn add(&mut self, sample: &Sample, unit: &'static str) {
        match self.0.iter_mut().find(|row| row.name == sample.name) {
            Some(row) => row.samples.push(sample.value),
            None => self.0.push(Row {
                name: sample.name,
                unit,
                samples: vec![sample.value],
            }),
        }
    }

    pub fn print(mut self, json: bool) {
        for row in &mut self.0 {
            row.samples.sort_by(f64::total_cmp);
        }
        if !json {
            say(format_args!(
                "{:<40} {:>14} {:>14} {:>14}  {:<8} of the floor",
                "metric", "median", "min", "max", "unit"
            ));
        }
        for row in &self.0 {
            let (low, high) = (row.samples[0], row.samples[row.samples.len() - 1]);
            let median = row.median();
            if json {
                let line = serde_json::json!({
                    "metric": row.name, "value": rounded(median), "unit": row.unit,
                    "min": rounded(low), "max": rounded(high), "n": row.samples.len(),
                });
                say(line);
            } else {
                say(format_args!(
                    "{:<40} {:>14} {:>14} {:>14}  {:<8} {}",
                    row.name,
                    shown(median),
                    shown(low),
                    shown(high),
                    row.unit,
                    self.ratio(row.name, median)
                ));
            }
        }
    }

    fn ratio(&self, name: &str, median: f64) -> String {
        BESIDE
            .iter()
            .find(|(ours, _)| *ours == name)
            .and_then(|(_, floor)| self.0.iter().find(|row| row.name == *floor))
            .map_or_else(String::new, |floor| {
                format!("{:.2}x", median / floor.median())
            })
    }
}

impl Row {
    fn median(&self) -> f64 {
        ray_floor::median(&mut self.samples.clone())
    }
}

fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

fn shown(value: f64) -> String {
    if value >= 1000.0 {
        let digits = format!("{value:.0}");
        let mut out = String::new();
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                out.push(',');
            }
            out.push(digit);
        }
        out
    } else {
        format!("{value:.3}")
    }
}
