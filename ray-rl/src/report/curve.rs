//! The learning curve as a picture: return over steps, with its own small digits.

use std::{fs::File, io::BufWriter, path::Path};

const WIDTH: usize = 800;
const HEIGHT: usize = 480;
const LEFT: usize = 70;
const RIGHT: usize = 20;
const TOP: usize = 36;
const BOTTOM: usize = 50;

type Rgb = [u8; 3];
const INK: Rgb = [40, 44, 52];
const GRID: Rgb = [226, 229, 234];
const LINE: Rgb = [31, 119, 180];

struct Canvas(Vec<u8>);

impl Canvas {
    fn set(&mut self, x: usize, y: usize, color: Rgb) {
        if x < WIDTH && y < HEIGHT {
            self.0[(y * WIDTH + x) * 3..][..3].copy_from_slice(&color);
        }
    }

    /// Draws a line two pixels thick.
    fn line(&mut self, (x0, y0): (f64, f64), (x1, y1): (f64, f64), color: Rgb) {
        let steps = (x1 - x0).abs().max((y1 - y0).abs()).ceil().max(1.0) as usize;
        for step in 0..=steps {
            let part = step as f64 / steps as f64;
            let (x, y) = (x0 + (x1 - x0) * part, y0 + (y1 - y0) * part);
            for (dx, dy) in [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0)] {
                self.set((x + dx) as usize, (y + dy) as usize, color);
            }
        }
    }

    fn text(&mut self, text: &str, x: usize, y: usize) {
        for (at, letter) in text.chars().enumerate() {
            for (row, bits) in glyph(letter).iter().enumerate() {
                for column in 0..5 {
                    if bits >> (4 - column) & 1 == 1 {
                        for (dx, dy) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
                            self.set(x + at * 12 + column * 2 + dx, y + row * 2 + dy, INK);
                        }
                    }
                }
            }
        }
    }
}

/// Draws the points `(steps, return)` into a PNG file.
pub(super) fn draw(points: &[(f64, f64)], path: &Path) -> std::io::Result<()> {
    let mut canvas = Canvas(vec![255; WIDTH * HEIGHT * 3]);
    let x_max = points.iter().map(|point| point.0).fold(1.0, f64::max);
    let y_low = points.iter().map(|point| point.1).fold(0.0, f64::min);
    let y_high = points
        .iter()
        .map(|point| point.1)
        .fold(y_low + 1.0, f64::max);
    let to_x = |x: f64| LEFT as f64 + x / x_max * (WIDTH - LEFT - RIGHT) as f64;
    let to_y =
        |y: f64| TOP as f64 + (y_high - y) / (y_high - y_low) * (HEIGHT - TOP - BOTTOM) as f64;
    for tick in ticks(y_low, y_high) {
        canvas.line(
            (LEFT as f64, to_y(tick)),
            ((WIDTH - RIGHT) as f64, to_y(tick)),
            GRID,
        );
        let label = label(tick);
        canvas.text(
            &label,
            LEFT.saturating_sub(10 + label.len() * 12),
            to_y(tick) as usize - 6,
        );
    }
    for tick in ticks(0.0, x_max) {
        canvas.line(
            (to_x(tick), TOP as f64),
            (to_x(tick), (HEIGHT - BOTTOM) as f64),
            GRID,
        );
        let label = label(tick);
        canvas.text(
            &label,
            (to_x(tick) as usize).saturating_sub(label.len() * 6),
            HEIGHT - BOTTOM + 8,
        );
    }
    canvas.line(
        (LEFT as f64, TOP as f64),
        (LEFT as f64, (HEIGHT - BOTTOM) as f64),
        INK,
    );
    let bottom = (HEIGHT - BOTTOM) as f64;
    canvas.line((LEFT as f64, bottom), ((WIDTH - RIGHT) as f64, bottom), INK);
    for pair in points.windows(2) {
        canvas.line(
            (to_x(pair[0].0), to_y(pair[0].1)),
            (to_x(pair[1].0), to_y(pair[1].1)),
            LINE,
        );
    }
    canvas.text("MEAN RETURN OF 100 EPISODES", LEFT, 12);
    canvas.text("STEPS", WIDTH - RIGHT - 60, HEIGHT - 20);

    let mut encoder = png::Encoder::new(
        BufWriter::new(File::create(path)?),
        WIDTH as u32,
        HEIGHT as u32,
    );
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().map_err(std::io::Error::other)?;
    writer
        .write_image_data(&canvas.0)
        .map_err(std::io::Error::other)?;
    writer.finish().map_err(std::io::Error::other)
}

/// Returns about five round numbers between two.
fn ticks(low: f64, high: f64) -> Vec<f64> {
    let rough = (high - low) / 5.0;
    let unit = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .map(|factor| factor * unit)
        .into_iter()
        .find(|step| *step >= rough);
    let step = step.unwrap_or(unit);
    let mut ticks = Vec::new();
    let mut tick = (low / step).ceil() * step;
    while tick <= high && ticks.len() < 12 {
        ticks.push(tick);
        tick += step;
    }
    ticks
}

fn label(value: f64) -> String {
    if value.abs() >= 1e6 {
        format!("{}M", (value / 1e5).round() / 10.0)
    } else if value.abs() >= 1e3 {
        format!("{}K", (value / 100.0).round() / 10.0)
    } else {
        format!("{}", (value * 100.0).round() / 100.0)
    }
}

/// Returns the seven rows of a letter, five bits each.
fn glyph(letter: char) -> [u8; 7] {
    match letter {
        '0' => [14, 17, 19, 21, 25, 17, 14],
        '1' => [4, 12, 4, 4, 4, 4, 14],
        '2' => [14, 17, 1, 2, 4, 8, 31],
        '3' => [31, 2, 4, 2, 1, 17, 14],
        '4' => [2, 6, 10, 18, 31, 2, 2],
        '5' => [31, 16, 30, 1, 1, 17, 14],
        '6' => [6, 8, 16, 30, 17, 17, 14],
        '7' => [31, 1, 2, 4, 8, 8, 8],
        '8' => [14, 17, 17, 14, 17, 17, 14],
        '9' => [14, 17, 17, 15, 1, 2, 12],
        '-' => [0, 0, 0, 31, 0, 0, 0],
        '.' => [0, 0, 0, 0, 0, 12, 12],
        'A' => [14, 17, 17, 31, 17, 17, 17],
        'D' => [30, 17, 17, 17, 17, 17, 30],
        'E' => [31, 16, 16, 30, 16, 16, 31],
        'F' => [31, 16, 16, 30, 16, 16, 16],
        'I' => [14, 4, 4, 4, 4, 4, 14],
        'K' => [17, 18, 20, 24, 20, 18, 17],
        'M' => [17, 27, 21, 21, 17, 17, 17],
        'N' => [17, 25, 21, 19, 17, 17, 17],
        'O' => [14, 17, 17, 17, 17, 17, 14],
        'P' => [30, 17, 17, 30, 16, 16, 16],
        'R' => [30, 17, 17, 30, 20, 18, 17],
        'S' => [15, 16, 16, 14, 1, 1, 30],
        'T' => [31, 4, 4, 4, 4, 4, 4],
        'U' => [17, 17, 17, 17, 17, 17, 14],
        _ => [0; 7],
    }
}
