//! Pictures of the toy text environments.

use super::taxi_streets::{IN_TAXI, Place, SIDE, STANDS, opens_east};
use crate::render::{Canvas, Color};

/// Draws a frozen lake with the walker on a tile.
pub(super) fn lake(desc: &[String], state: usize) -> Canvas {
    let (rows, columns) = (desc.len(), desc[0].len());
    let side = (512 / rows.max(columns)).clamp(4, 64);
    let mut canvas = Canvas::new((columns * side) as u32, (rows * side) as u32, ICE);
    let size = side as f64;
    for (row, line) in desc.iter().enumerate() {
        for (column, tile) in line.chars().enumerate() {
            let (x, y) = (column as f64 * size, row as f64 * size);
            frame(&mut canvas, (x, y), size, Color(180, 200, 230));
            let middle = (x + size / 2.0, y + size / 2.0);
            match tile {
                'H' => canvas.circle(middle, size * 0.4, Color(40, 70, 120)),
                'G' => flag(&mut canvas, (x, y), size, Color(220, 60, 50)),
                'S' => canvas.text(
                    x + size * 0.1,
                    y + size * 0.1,
                    scale(size),
                    "S",
                    Color::GRAY,
                ),
                _ => {}
            }
        }
    }
    let is_in_hole = desc[state / columns].as_bytes()[state % columns] == b'H';
    let color = if is_in_hole {
        Color(90, 110, 150)
    } else {
        WALKER
    };
    walker(&mut canvas, (state / columns, state % columns), size, color);
    canvas
}

/// Draws the cliff with the walker on a cell.
pub(super) fn cliff(state: usize, start: usize, goal: usize, columns: usize) -> Canvas {
    let size = 64.0;
    let rows = goal / columns + 1;
    let mut canvas = Canvas::new(columns as u32 * 64, rows as u32 * 64, Color(150, 190, 110));
    for cell in 0..rows * columns {
        let (x, y) = (
            (cell % columns) as f64 * size,
            (cell / columns) as f64 * size,
        );
        if cell > start && cell < goal {
            canvas.rect(x, y, size, size, Color(70, 50, 40));
            canvas.rect(x, y, size, size * 0.2, Color(120, 90, 60));
        }
        frame(&mut canvas, (x, y), size, Color(120, 160, 90));
        if cell == start {
            canvas.text(x + 8.0, y + 8.0, scale(size), "S", Color::WHITE);
        } else if cell == goal {
            flag(&mut canvas, (x, y), size, Color(220, 60, 50));
        }
    }
    walker(
        &mut canvas,
        (state / columns, state % columns),
        size,
        WALKER,
    );
    canvas
}

/// Draws Taxi's streets, with the taxi looking where it last went.
pub(super) fn taxi(at: Place, last_action: Option<usize>) -> Canvas {
    let size = 80.0;
    let margin = 20.0;
    let side = (SIDE as f64 * size + 2.0 * margin) as u32;
    let mut canvas = Canvas::new(side, side, Color(90, 90, 95));
    let corner =
        |row: usize, column: usize| (margin + column as f64 * size, margin + row as f64 * size);
    for (index, (row, column)) in STANDS.into_iter().enumerate() {
        let (x, y) = corner(row, column);
        canvas.rect(
            x + 4.0,
            y + 4.0,
            size - 8.0,
            size - 8.0,
            STAND_COLORS[index],
        );
        if index == at.destination {
            flag(&mut canvas, (x, y), size, Color::WHITE);
        }
    }
    for row in 0..SIDE {
        for column in 0..SIDE {
            let (x, y) = corner(row, column);
            frame(&mut canvas, (x, y), size, Color(110, 110, 115));
            if column + 1 < SIDE && !opens_east(row, column) {
                canvas.rect(x + size - 3.0, y, 6.0, size, Color(30, 30, 30));
            }
        }
    }
    if at.passenger < IN_TAXI {
        let (row, column) = STANDS[at.passenger];
        let (x, y) = corner(row, column);
        canvas.circle(
            (x + size * 0.25, y + size * 0.25),
            size * 0.12,
            Color::BLACK,
        );
    }
    let (x, y) = corner(at.row, at.column);
    let (x, y) = (x + size / 2.0, y + size / 2.0);
    // South and north are driven upright, east and west lying.
    let (width, height) = if matches!(last_action, Some(2 | 3)) {
        (50.0, 28.0)
    } else {
        (28.0, 50.0)
    };
    canvas.rect(
        x - width / 2.0,
        y - height / 2.0,
        width,
        height,
        Color(245, 200, 50),
    );
    canvas.rect(x - 9.0, y - 9.0, 18.0, 18.0, Color(60, 60, 60));
    if at.passenger == IN_TAXI {
        canvas.circle((x, y), size * 0.09, Color(250, 240, 230));
    }
    canvas
}

/// Draws a Blackjack table: the dealer's card, the player's sum, and whether an ace is usable.
pub(super) fn table((sum, shown, usable_ace): (i64, i64, i64)) -> Canvas {
    let mut canvas = Canvas::new(384, 376, Color(40, 110, 70));
    canvas.text(40.0, 32.0, 3, &format!("DEALER {shown}"), Color::WHITE);
    let face = if shown == 1 {
        "A".to_owned()
    } else {
        shown.to_string()
    };
    for (x, color) in [(96.0, Color::WHITE), (208.0, Color(150, 40, 40))] {
        canvas.rect(x, 72.0, 80.0, 112.0, Color(20, 60, 40));
        canvas.rect(x + 3.0, 75.0, 74.0, 106.0, color);
    }
    let (width, _) = Canvas::text_size(&face, 6);
    canvas.text(
        136.0 - f64::from(width) / 2.0,
        107.0,
        6,
        &face,
        Color::BLACK,
    );
    canvas.text(40.0, 208.0, 3, "PLAYER", Color::WHITE);
    let sum = sum.to_string();
    let (width, _) = Canvas::text_size(&sum, 9);
    canvas.text(
        192.0 - f64::from(width) / 2.0,
        245.0,
        9,
        &sum,
        Color(250, 240, 200),
    );
    if usable_ace == 1 {
        canvas.text(118.0, 332.0, 2, "USABLE ACE", Color::WHITE);
    }
    canvas
}

/// Draws the four edges of a cell.
fn frame(canvas: &mut Canvas, (x, y): (f64, f64), size: f64, color: Color) {
    canvas.rect(x, y, size, 1.0, color);
    canvas.rect(x, y, 1.0, size, color);
    canvas.rect(x, y + size - 1.0, size, 1.0, color);
    canvas.rect(x + size - 1.0, y, 1.0, size, color);
}

/// Draws a flag in a cell: the goal.
fn flag(canvas: &mut Canvas, (x, y): (f64, f64), size: f64, color: Color) {
    let at = |right: f64, down: f64| (x + right * size, y + down * size);
    canvas.line(at(0.4, 0.2), at(0.4, 0.85), size * 0.06, Color(80, 60, 40));
    canvas.polygon(&[at(0.42, 0.2), at(0.8, 0.33), at(0.42, 0.48)], color);
}

/// Draws who walks, head and body.
fn walker(canvas: &mut Canvas, (row, column): (usize, usize), size: f64, color: Color) {
    let (x, y) = (column as f64 * size, row as f64 * size);
    canvas.polygon(
        &[
            (x + size * 0.5, y + size * 0.35),
            (x + size * 0.72, y + size * 0.85),
            (x + size * 0.28, y + size * 0.85),
        ],
        color,
    );
    canvas.circle((x + size * 0.5, y + size * 0.3), size * 0.15, color);
}

fn scale(size: f64) -> u32 {
    ((size / 32.0) as u32).max(1)
}

const ICE: Color = Color(220, 235, 250);
const WALKER: Color = Color(200, 90, 40);
/// Red, green, yellow, blue.
const STAND_COLORS: [Color; 4] = [
    Color(200, 70, 70),
    Color(70, 170, 90),
    Color(200, 190, 80),
    Color(80, 110, 200),
];
