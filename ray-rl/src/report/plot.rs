//! Lines as a picture: learning curves, figures of benches.

use std::{
    fs::File,
    io::{self, BufWriter},
    path::Path,
};

const WIDTH: usize = 800;
const HEIGHT: usize = 480;
const LEFT: usize = 70;
const RIGHT: usize = 20;
const TOP: usize = 36;
const BOTTOM: usize = 50;

type Rgb = [u8; 3];
const INK: Rgb = [40, 44, 52];
const GRID: Rgb = [226, 229, 234];
const LINES: [Rgb; 6] = [
    [31, 119, 180],
    [214, 39, 40],
    [44, 130, 44],
    [148, 103, 189],
    [200, 110, 14],
    [80, 80, 80],
];
/// From one letter to the next; pixels.
const LETTER: usize = 12;

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

    fn text(&mut self, text: &str, x: usize, y: usize, color: Rgb) {
        for (at, letter) in text.chars().enumerate() {
            for (row, bits) in glyph(letter.to_ascii_uppercase()).iter().enumerate() {
                for column in 0..5 {
                    if bits >> (4 - column) & 1 == 1 {
                        for (dx, dy) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
                            self.set(x + at * LETTER + column * 2 + dx, y + row * 2 + dy, color);
                        }
                    }
                }
            }
        }
    }

    fn write(&self, path: &Path) -> io::Result<()> {
        let file = BufWriter::new(File::create(path)?);
        let mut encoder = png::Encoder::new(file, WIDTH as u32, HEIGHT as u32);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header().map_err(io::Error::other)?;
        writer.write_image_data(&self.0).map_err(io::Error::other)?;
        writer.finish().map_err(io::Error::other)
    }
}

/// Lines over common axes, drawn into a PNG file with its own small letters.
///
/// ```no_run
/// use ray_rl::report::Plot;
///
/// let plot = Plot::new("latency", "bytes", "ms").log(true, true);
/// plot.series("aware", &[(1e5, 0.2), (1e6, 0.3)]).save("latency.png".as_ref())?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Plot {
    title: String,
    x: Axis,
    y: Axis,
    series: Vec<(String, Vec<(f64, f64)>)>,
}

#[derive(Clone, Debug)]
struct Axis {
    name: String,
    is_log: bool,
}

/// Where the values of an axis lie, in pixels.
struct Scale {
    is_log: bool,
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Axis {
    /// Fits the axis to some values; a linear one shows zero.
    fn scale(&self, values: impl Iterator<Item = f64>, from: usize, to: usize) -> Scale {
        let shown = values.filter(|value| value.is_finite() && (!self.is_log || *value > 0.0));
        let (mut low, mut high) = shown.fold((f64::MAX, f64::MIN), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        if low > high {
            (low, high) = (1.0, 1.0);
        }
        if self.is_log {
            low = 10_f64.powf(low.log10().floor());
            high = 10_f64.powf(high.log10().ceil()).max(low * 10.0);
        } else {
            low = low.min(0.0);
            high = high.max(low + 1.0);
        }
        Scale {
            is_log: self.is_log,
            low,
            high,
            from: from as f64,
            to: to as f64,
        }
    }
}

impl Scale {
    /// Returns the pixel of a value; `None` for one that the axis cannot show.
    fn at(&self, value: f64) -> Option<f64> {
        let part = if self.is_log {
            (value / self.low).log10() / (self.high / self.low).log10()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        part.is_finite()
            .then_some(self.from + part * (self.to - self.from))
    }

    fn ticks(&self) -> Vec<f64> {
        if !self.is_log {
            return ticks(self.low, self.high);
        }
        let decades = (self.high / self.low).log10().round() as i32;
        (0..=decades)
            .map(|decade| self.low * 10_f64.powi(decade))
            .collect()
    }
}

impl Plot {
    /// Begins a picture with a title and names of the axes.
    pub fn new(title: &str, x: &str, y: &str) -> Plot {
        let axis = |name: &str| Axis {
            name: name.to_owned(),
            is_log: false,
        };
        Plot {
            title: title.to_owned(),
            x: axis(x),
            y: axis(y),
            series: Vec::new(),
        }
    }

    /// Says which axes have equal steps for equal factors; those show only what is above zero.
    pub fn log(mut self, x: bool, y: bool) -> Plot {
        (self.x.is_log, self.y.is_log) = (x, y);
        self
    }

    /// Adds a line through points.
    pub fn series(mut self, name: &str, points: &[(f64, f64)]) -> Plot {
        self.series.push((name.to_owned(), points.to_vec()));
        self
    }

    /// Draws the picture into a PNG file.
    ///
    /// # Errors
    /// What the system refused.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        let mut canvas = Canvas(vec![255; WIDTH * HEIGHT * 3]);
        let points = || self.series.iter().flat_map(|(_, points)| points);
        let x = self
            .x
            .scale(points().map(|point| point.0), LEFT, WIDTH - RIGHT);
        let y = self
            .y
            .scale(points().map(|point| point.1), HEIGHT - BOTTOM, TOP);
        let (top, bottom) = (TOP as f64, (HEIGHT - BOTTOM) as f64);
        let (left, right) = (LEFT as f64, (WIDTH - RIGHT) as f64);
        for tick in y.ticks() {
            let at = y.at(tick).unwrap_or(bottom);
            canvas.line((left, at), (right, at), GRID);
            let label = label(tick);
            let start = LEFT.saturating_sub(10 + label.len() * LETTER);
            canvas.text(&label, start, at as usize - 6, INK);
        }
        for tick in x.ticks() {
            let at = x.at(tick).unwrap_or(left);
            canvas.line((at, top), (at, bottom), GRID);
            let label = label(tick);
            let start = (at as usize).saturating_sub(label.len() * LETTER / 2);
            canvas.text(&label, start, HEIGHT - BOTTOM + 8, INK);
        }
        canvas.line((left, top), (left, bottom), INK);
        canvas.line((left, bottom), (right, bottom), INK);
        for (at, (name, points)) in self.series.iter().enumerate() {
            let color = LINES[at % LINES.len()];
            let pixels = points
                .iter()
                .filter_map(|point| Some((x.at(point.0)?, y.at(point.1)?)))
                .collect::<Vec<_>>();
            for pair in pixels.windows(2) {
                canvas.line(pair[0], pair[1], color);
            }
            canvas.text(name, LEFT + 12, TOP + 8 + at * 18, color);
        }
        canvas.text(&self.title, LEFT, 12, INK);
        let name = &self.x.name;
        let start = (WIDTH - RIGHT).saturating_sub(name.len() * LETTER);
        canvas.text(name, start, HEIGHT - 20, INK);
        canvas.text(&self.y.name, 4, HEIGHT - 20, INK);
        canvas.write(path)
    }
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
    if value.abs() >= 1e9 {
        format!("{}G", (value / 1e8).round() / 10.0)
    } else if value.abs() >= 1e6 {
        format!("{}M", (value / 1e5).round() / 10.0)
    } else if value.abs() >= 1e3 {
        format!("{}K", (value / 100.0).round() / 10.0)
    } else {
        format!("{}", (value * 1e4).round() / 1e4)
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
        ',' => [0, 0, 0, 0, 12, 4, 8],
        ':' => [0, 12, 12, 0, 12, 12, 0],
        '/' => [1, 1, 2, 4, 8, 16, 16],
        '(' => [2, 4, 8, 8, 8, 4, 2],
        ')' => [8, 4, 2, 2, 2, 4, 8],
        'A' => [14, 17, 17, 31, 17, 17, 17],
        'B' => [30, 17, 17, 30, 17, 17, 30],
        'C' => [14, 17, 16, 16, 16, 17, 14],
        'D' => [30, 17, 17, 17, 17, 17, 30],
        'E' => [31, 16, 16, 30, 16, 16, 31],
        'F' => [31, 16, 16, 30, 16, 16, 16],
        'G' => [14, 17, 16, 23, 17, 17, 15],
        'H' => [17, 17, 17, 31, 17, 17, 17],
        'I' => [14, 4, 4, 4, 4, 4, 14],
        'J' => [7, 2, 2, 2, 2, 18, 12],
        'K' => [17, 18, 20, 24, 20, 18, 17],
        'L' => [16, 16, 16, 16, 16, 16, 31],
        'M' => [17, 27, 21, 21, 17, 17, 17],
        'N' => [17, 25, 21, 19, 17, 17, 17],
        'O' => [14, 17, 17, 17, 17, 17, 14],
        'P' => [30, 17, 17, 30, 16, 16, 16],
        'Q' => [14, 17, 17, 17, 21, 18, 13],
        'R' => [30, 17, 17, 30, 20, 18, 17],
        'S' => [15, 16, 16, 14, 1, 1, 30],
        'T' => [31, 4, 4, 4, 4, 4, 4],
        'U' => [17, 17, 17, 17, 17, 17, 14],
        'V' => [17, 17, 17, 17, 17, 10, 4],
        'W' => [17, 17, 17, 21, 21, 27, 17],
        'X' => [17, 17, 10, 4, 10, 17, 17],
        'Y' => [17, 17, 10, 4, 4, 4, 4],
        'Z' => [31, 1, 2, 4, 8, 16, 31],
        _ => [0; 7],
    }
}
