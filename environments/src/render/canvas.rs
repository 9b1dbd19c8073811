//! Shapes and text on rows of red, green, blue bytes.
//!
//! Coordinates are pixels from the top left corner, as fractions: pixel (0, 0) covers 0 to 1 on both axes.
//! Edges are antialiased by coverage. What lies outside the canvas is cut off, and a shape with a coordinate
//! that is not finite is left out.

use std::ops::Range;

use super::font;
use crate::Frame;

/// A colour: red, green and blue from 0 to 255.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Color(pub u8, pub u8, pub u8);

impl Color {
    /// No light.
    pub const BLACK: Color = Color(0, 0, 0);
    /// All light.
    pub const WHITE: Color = Color(255, 255, 255);
    /// A middle gray.
    pub const GRAY: Color = Color(128, 128, 128);
    /// Pure red.
    pub const RED: Color = Color(255, 0, 0);
    /// Pure green.
    pub const GREEN: Color = Color(0, 255, 0);
    /// Pure blue.
    pub const BLUE: Color = Color(0, 0, 255);
    /// Red and green.
    pub const YELLOW: Color = Color(255, 255, 0);

    /// Returns the colour `part` of the way to `other`; 0 is this one, 1 the other.
    pub fn mix(self, other: Color, part: f64) -> Color {
        let part = part.clamp(0.0, 1.0);
        let between =
            |a: u8, b: u8| (f64::from(a) + (f64::from(b) - f64::from(a)) * part).round() as u8;
        Color(
            between(self.0, other.0),
            between(self.1, other.1),
            between(self.2, other.2),
        )
    }
}

/// A picture to draw on.
///
/// ```
/// use environments::render::{Canvas, Color};
///
/// let mut canvas = Canvas::new(40, 20, Color::WHITE);
/// canvas.rect(5.0, 5.0, 30.0, 10.0, Color::BLUE);
/// canvas.text(8.0, 6.0, 1, "GO", Color::YELLOW);
/// assert_eq!(canvas.pixel(6, 5), Some(Color::BLUE));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Canvas {
    width: u32,
    height: u32,
    /// `[height, width, 3]`.
    pixels: Vec<u8>,
}

impl Canvas {
    /// Makes a canvas of one colour; a side of 0 is an empty picture.
    pub fn new(width: u32, height: u32, background: Color) -> Canvas {
        let mut canvas = Canvas {
            width,
            height,
            pixels: vec![0; width as usize * height as usize * 3],
        };
        canvas.fill(background);
        canvas
    }

    /// Returns how many pixels it is across.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Returns how many pixels it is down.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Returns the bytes: `[height, width, 3]`.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// Returns the colour of a pixel; `None` outside.
    pub fn pixel(&self, x: u32, y: u32) -> Option<Color> {
        let at = self.offset(x, y)?;
        Some(Color(
            self.pixels[at],
            self.pixels[at + 1],
            self.pixels[at + 2],
        ))
    }

    /// Colours one pixel; outside it does nothing.
    pub fn set(&mut self, x: u32, y: u32, color: Color) {
        if let Some(at) = self.offset(x, y) {
            self.pixels[at..at + 3].copy_from_slice(&[color.0, color.1, color.2]);
        }
    }

    /// Colours everything.
    pub fn fill(&mut self, color: Color) {
        for pixel in self.pixels.chunks_exact_mut(3) {
            pixel.copy_from_slice(&[color.0, color.1, color.2]);
        }
    }

    /// Fills a rectangle given by its top left corner and its size.
    pub fn rect(&mut self, x: f64, y: f64, width: f64, height: f64, color: Color) {
        let (right, bottom) = (x + width, y + height);
        self.polygon(&[(x, y), (right, y), (right, bottom), (x, bottom)], color);
    }

    /// Fills a closed polygon; where it crosses itself, by the even-odd rule.
    pub fn polygon(&mut self, corners: &[(f64, f64)], color: Color) {
        if corners
            .iter()
            .any(|(x, y)| !x.is_finite() || !y.is_finite())
        {
            return;
        }
        let (columns, rows) = self.extent(corners);
        let mut coverage = vec![0.0; columns.len()];
        let mut crossings = Vec::new();
        for y in rows {
            coverage.fill(0.0);
            for part in 0..SUBLINES {
                let level = f64::from(y) + (f64::from(part) + 0.5) / f64::from(SUBLINES);
                find_crossings(corners, level, &mut crossings);
                for pair in crossings.chunks_exact(2) {
                    let start = f64::from(columns.start);
                    cover(&mut coverage, pair[0] - start, pair[1] - start);
                }
            }
            for (x, covered) in columns.clone().zip(&coverage) {
                self.blend(x, y, color, covered / f64::from(SUBLINES));
            }
        }
    }

    /// Draws a straight line with flat ends.
    pub fn line(&mut self, from: (f64, f64), to: (f64, f64), thickness: f64, color: Color) {
        let (dx, dy) = (to.0 - from.0, to.1 - from.1);
        let length = dx.hypot(dy);
        if length == 0.0 {
            return;
        }
        let (nx, ny) = (
            -dy / length * thickness / 2.0,
            dx / length * thickness / 2.0,
        );
        self.polygon(
            &[
                (from.0 + nx, from.1 + ny),
                (to.0 + nx, to.1 + ny),
                (to.0 - nx, to.1 - ny),
                (from.0 - nx, from.1 - ny),
            ],
            color,
        );
    }

    /// Draws the lines from each point to the next.
    pub fn polyline(&mut self, points: &[(f64, f64)], thickness: f64, color: Color) {
        for pair in points.windows(2) {
            self.line(pair[0], pair[1], thickness, color);
        }
    }

    /// Fills a disc.
    pub fn circle(&mut self, center: (f64, f64), radius: f64, color: Color) {
        self.ring(center, 0.0, radius, color);
    }

    /// Fills what is between two circles.
    pub fn ring(&mut self, center: (f64, f64), inner: f64, outer: f64, color: Color) {
        let (x, y) = center;
        if ![x, y, inner, outer].iter().all(|value| value.is_finite()) {
            return;
        }
        let across = clamped((x - outer - 1.0).floor(), self.width)
            ..clamped((x + outer + 1.0).ceil(), self.width);
        for row in clamped((y - outer - 1.0).floor(), self.height)
            ..clamped((y + outer + 1.0).ceil(), self.height)
        {
            for column in across.clone() {
                let distance = (f64::from(column) + 0.5 - x).hypot(f64::from(row) + 0.5 - y);
                // The pixel is about one unit wide across the edge.
                let inside = (outer - distance + 0.5).clamp(0.0, 1.0);
                let outside_inner = if inner > 0.0 {
                    (distance - inner + 0.5).clamp(0.0, 1.0)
                } else {
                    1.0
                };
                self.blend(column, row, color, inside * outside_inner);
            }
        }
    }

    /// Writes one line of text; `x` and `y` are its top left corner, a dot of the font is `scale` pixels.
    ///
    /// Glyphs are 5 dots by 7 with a dot between them. Small letters look like capital ones.
    pub fn text(&mut self, x: f64, y: f64, scale: u32, text: &str, color: Color) {
        let dot = f64::from(scale);
        for (at, character) in text.chars().enumerate() {
            let left = x + (at * font::ADVANCE) as f64 * dot;
            for (column, row) in font::dots(character) {
                self.rect(
                    left + column as f64 * dot,
                    y + row as f64 * dot,
                    dot,
                    dot,
                    color,
                );
            }
        }
    }

    /// Returns the pixels across and down that [`Canvas::text`] would take.
    pub fn text_size(text: &str, scale: u32) -> (u32, u32) {
        let dots = (text.chars().count() * font::ADVANCE).saturating_sub(1) as u32;
        (dots * scale, font::GLYPH_HEIGHT as u32 * scale)
    }

    /// Returns the picture as what `render` hands out.
    pub fn into_frame(self) -> Frame {
        Frame::Rgb {
            width: self.width,
            height: self.height,
            pixels: self.pixels,
        }
    }

    /// Lays `color` over a pixel; `opacity` from 0 to 1.
    fn blend(&mut self, x: u32, y: u32, color: Color, opacity: f64) {
        if opacity <= 0.0 {
            return;
        }
        if let Some(below) = self.pixel(x, y) {
            self.set(x, y, below.mix(color, opacity));
        }
    }

    /// Returns the columns and rows of the canvas that a polygon can touch.
    fn extent(&self, corners: &[(f64, f64)]) -> (Range<u32>, Range<u32>) {
        let range = |limit: u32, axis: fn(&(f64, f64)) -> f64| {
            let least = corners.iter().map(axis).fold(f64::INFINITY, f64::min);
            let greatest = corners.iter().map(axis).fold(f64::NEG_INFINITY, f64::max);
            clamped(least.floor(), limit)..clamped(greatest.ceil(), limit)
        };
        (
            range(self.width, |corner| corner.0),
            range(self.height, |corner| corner.1),
        )
    }

    fn offset(&self, x: u32, y: u32) -> Option<usize> {
        (x < self.width && y < self.height)
            .then(|| (y as usize * self.width as usize + x as usize) * 3)
    }
}

fn clamped(value: f64, limit: u32) -> u32 {
    value.clamp(0.0, f64::from(limit)) as u32
}

/// Collects, in order, where a horizontal line at `level` crosses the edges.
fn find_crossings(corners: &[(f64, f64)], level: f64, crossings: &mut Vec<f64>) {
    crossings.clear();
    for (at, &(x0, y0)) in corners.iter().enumerate() {
        let (x1, y1) = corners[(at + 1) % corners.len()];
        // A corner on the line belongs to the edge below it, so each is counted once.
        if (y0 <= level) != (y1 <= level) {
            crossings.push(x0 + (level - y0) / (y1 - y0) * (x1 - x0));
        }
    }
    crossings.sort_by(f64::total_cmp);
}

/// Adds to each pixel of a row the part of it between `left` and `right`.
fn cover(coverage: &mut [f64], left: f64, right: f64) {
    let width = coverage.len() as f64;
    let (left, right) = (left.clamp(0.0, width), right.clamp(0.0, width));
    for (at, covered) in coverage
        .iter_mut()
        .enumerate()
        .take(right.ceil() as usize)
        .skip(left as usize)
    {
        let start = at as f64;
        *covered += (right.min(start + 1.0) - left.max(start)).max(0.0);
    }
}

/// Levels at which a row of pixels is cut to find how much of it a polygon covers.
const SUBLINES: u32 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    /// Sums how much of the canvas is white, in pixels.
    fn area(canvas: &Canvas) -> f64 {
        canvas
            .pixels()
            .iter()
            .map(|byte| f64::from(*byte))
            .sum::<f64>()
            / 3.0
            / 255.0
    }

    #[test]
    fn shapes_cover_their_area() {
        let black = || Canvas::new(60, 50, Color::BLACK);
        let mut canvas = black();
        canvas.rect(10.25, 5.5, 20.5, 8.0, Color::WHITE);
        assert!((area(&canvas) - 164.0).abs() < 1.0, "{}", area(&canvas));

        let mut canvas = black();
        canvas.polygon(&[(5.0, 5.0), (45.0, 12.0), (20.0, 41.0)], Color::WHITE);
        // Half the cross product of two edges.
        assert!(
            (area(&canvas) - (40.0 * 36.0 - 15.0 * 7.0) / 2.0).abs() < 3.0,
            "{}",
            area(&canvas)
        );

        let mut canvas = black();
        canvas.line((7.0, 40.0), (50.0, 9.0), 3.0, Color::WHITE);
        let expected = 43.0_f64.hypot(31.0) * 3.0;
        assert!((area(&canvas) - expected).abs() < 2.0, "{}", area(&canvas));

        let mut canvas = black();
        canvas.circle((30.3, 24.6), 15.0, Color::WHITE);
        let expected = std::f64::consts::PI * 225.0;
        assert!((area(&canvas) - expected).abs() < 5.0, "{}", area(&canvas));

        let mut canvas = black();
        canvas.ring((30.0, 25.0), 10.0, 15.0, Color::WHITE);
        let expected = std::f64::consts::PI * 125.0;
        assert!((area(&canvas) - expected).abs() < 5.0, "{}", area(&canvas));
        assert_eq!(canvas.pixel(30, 25), Some(Color::BLACK));
    }

    #[test]
    fn what_is_outside_or_not_finite_is_left_out() {
        let mut canvas = Canvas::new(10, 10, Color::BLACK);
        canvas.rect(-50.0, 1e9, 10.0, 1e12, Color::WHITE);
        canvas.circle((f64::NAN, 3.0), 2.0, Color::WHITE);
        canvas.circle((-1e12, 3.0), 2.0, Color::WHITE);
        canvas.line((0.0, f64::INFINITY), (3.0, 3.0), 1.0, Color::WHITE);
        canvas.line((3.0, 3.0), (3.0, 3.0), 1.0, Color::WHITE);
        canvas.polygon(&[], Color::WHITE);
        canvas.text(100.0, -100.0, 3, "ABC", Color::WHITE);
        canvas.set(10, 0, Color::WHITE);
        assert_eq!(area(&canvas), 0.0);
        assert_eq!(canvas.pixel(0, 10), None);
        canvas.rect(-1e15, -1e15, 2e15, 2e15, Color::WHITE);
        assert_eq!(area(&canvas), 100.0);
        Canvas::new(0, 7, Color::WHITE).rect(0.0, 0.0, 5.0, 5.0, Color::RED);
    }

    #[test]
    fn text_is_as_large_as_announced_and_readable_by_dots() {
        let (width, height) = Canvas::text_size("L1", 2);
        assert_eq!((width, height), (22, 14));
        let mut canvas = Canvas::new(width, height, Color::BLACK);
        canvas.text(0.0, 0.0, 2, "l1", Color::WHITE);
        // An L is a column of 7 dots and 4 more below; a 1 has 10 dots; a dot is 4 pixels.
        assert_eq!(area(&canvas), f64::from((11 + 10) * 4));
        assert_eq!(canvas.pixel(0, 0), Some(Color::WHITE));
        assert_eq!(canvas.pixel(2, 0), Some(Color::BLACK));
    }
}
