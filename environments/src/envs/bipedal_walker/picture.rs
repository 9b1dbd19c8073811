//! The picture: sky with clouds, terrain, the walker, its lidar and the flag at the start.

use super::{
    SCALE, VIEW_HEIGHT, VIEW_WIDTH,
    terrain::{HEIGHT, STEP},
    walker::Walker,
};
use crate::render::{Canvas, Color};

/// Draws a state: the window follows the hull, which stays at a fifth of the width.
pub(super) fn draw(walker: &Walker) -> Canvas {
    let (width, height) = (VIEW_WIDTH * SCALE, VIEW_HEIGHT * SCALE);
    let mut canvas = Canvas::new(width as u32, height as u32, SKY);
    let scroll = walker.x() - VIEW_WIDTH / 5.0;
    let pixel = |(x, y): (f64, f64)| ((x - scroll) * SCALE, height - y * SCALE);
    for cloud in &walker.terrain.clouds {
        // Clouds are far away: they move half as fast.
        let cloud = cloud.map(|(x, y)| pixel((x + scroll / 2.0, y)));
        canvas.polygon(&cloud, Color::WHITE);
    }
    let line = walker.terrain.heights.iter().enumerate();
    let mut line = line
        .map(|(at, y)| pixel((at as f64 * STEP, *y)))
        .collect::<Vec<_>>();
    let surface = line.clone();
    line.extend([(line[line.len() - 1].0, height), (line[0].0, height)]);
    canvas.polygon(&line, GROUND);
    for (at, ends) in surface.windows(2).enumerate() {
        let grass = if at % 2 == 0 { GRASS } else { DARK_GRASS };
        canvas.line(ends[0], ends[1], 1.5, grass);
    }
    for block in &walker.terrain.blocks {
        outlined(&mut canvas, &block.map(pixel), Color::WHITE, STONE);
    }
    for ray in 0..10 {
        let (from, to) = walker.ray_until_ground(ray);
        canvas.line(pixel(from), pixel(to), 0.5, Color::RED);
    }
    for (part, outline) in walker.outlines().enumerate() {
        let outline = outline.into_iter().map(pixel).collect::<Vec<_>>();
        let (fill, edge) = PARTS[part.min(PARTS.len() - 1)];
        outlined(&mut canvas, &outline, fill, edge);
    }
    let (x, foot) = pixel((STEP * 3.0, HEIGHT));
    let top = foot - 50.0;
    canvas.line((x, foot), (x, top), 1.0, Color::BLACK);
    let flag = [(x, top), (x, top + 10.0), (x + 25.0, top + 5.0)];
    outlined(&mut canvas, &flag, FLAG, Color::BLACK);
    canvas
}

fn outlined(canvas: &mut Canvas, corners: &[(f64, f64)], fill: Color, edge: Color) {
    canvas.polygon(corners, fill);
    let mut closed = corners.to_vec();
    closed.extend(corners.first());
    canvas.polyline(&closed, 1.0, edge);
}

/// Fill and edge of hull, first leg and second leg.
const PARTS: [(Color, Color); 5] = [
    (Color(127, 51, 229), Color(76, 76, 127)),
    (Color(178, 101, 152), Color(127, 76, 101)),
    (Color(178, 101, 152), Color(127, 76, 101)),
    (Color(128, 51, 102), Color(77, 26, 51)),
    (Color(128, 51, 102), Color(77, 26, 51)),
];
const SKY: Color = Color(215, 215, 255);
const GROUND: Color = Color(102, 153, 76);
const GRASS: Color = Color(76, 255, 76);
const DARK_GRASS: Color = Color(76, 204, 76);
const STONE: Color = Color(153, 153, 153);
const FLAG: Color = Color(230, 51, 0);
