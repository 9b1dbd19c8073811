//! The picture: the moon, the pad between two flags, the lander and its flames.

use super::lander::{HEIGHT, Lander, PAD_Y, SCALE, Thrust, WIDTH};
use crate::render::{Canvas, Color};

/// Draws a state; `thrust` is what the engines did in the last step.
pub(super) fn draw(lander: &Lander, thrust: Thrust) -> Canvas {
    let (width, height) = (WIDTH * SCALE, HEIGHT * SCALE);
    let mut canvas = Canvas::new(width as u32, height as u32, Color::BLACK);
    let pixel = |(x, y): (f64, f64)| (x * SCALE, height - y * SCALE);
    let moon = lander.surface().map(pixel);
    let mut ground = moon.to_vec();
    ground.extend([(width, height), (0.0, height)]);
    canvas.polygon(&ground, Color::WHITE);
    for (x, y) in [moon[4], moon[6]] {
        // The pad is level, so its ends are as high as the flags' feet.
        let foot = y.min(pixel((0.0, PAD_Y)).1);
        let top = foot - 50.0;
        canvas.line((x, foot), (x, top), 1.5, Color::WHITE);
        canvas.polygon(&[(x, top), (x, top + 10.0), (x + 25.0, top + 5.0)], FLAG);
    }
    if thrust.main > 0.0 {
        let length = 0.4 + 0.9 * thrust.main;
        let flame = [(-0.25, -0.33), (0.25, -0.33), (0.0, -0.33 - length)];
        let flame = flame.map(|(x, y)| pixel(lander.in_world(x, y)));
        canvas.polygon(&flame, FLAME);
    }
    if thrust.side > 0.0 {
        // The push is in the direction, so the flame is on the other side.
        let (out, length) = (-thrust.direction, 0.3 + 0.4 * thrust.side);
        let flame = [(0.5, 0.5), (0.5, 0.3), (0.5 + length, 0.4)];
        let flame = flame.map(|(x, y)| pixel(lander.in_world(out * x, y)));
        canvas.polygon(&flame, FLAME);
    }
    for outline in lander.outlines() {
        let mut outline = outline.into_iter().map(pixel).collect::<Vec<_>>();
        canvas.polygon(&outline, BODY);
        outline.push(outline[0]);
        canvas.polyline(&outline, 1.0, OUTLINE);
    }
    canvas
}

const BODY: Color = Color(128, 102, 230);
const OUTLINE: Color = Color(77, 77, 128);
const FLAME: Color = Color(255, 150, 50);
const FLAG: Color = Color(204, 204, 0);
