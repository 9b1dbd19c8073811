//! Pictures and text of a grid.

use super::{
    grid::{Cell, DIRECTIONS, DoorState, Object, ObjectColor, VIEW},
    world::World,
};
use crate::render::{Canvas, Color};

/// Draws the grid with what the agent sees lit up.
pub(super) fn draw(world: &World) -> Canvas {
    let (width, height) = (world.grid.width(), world.grid.height());
    let mut canvas = Canvas::new(width as u32 * TILE, height as u32 * TILE, Color::BLACK);
    for y in 0..height {
        for x in 0..width {
            let mut tile = Tile {
                canvas: &mut canvas,
                left: f64::from(x) * f64::from(TILE),
                top: f64::from(y) * f64::from(TILE),
            };
            tile.rect(0.0, 0.0, 1.0, 0.03, Color(100, 100, 100));
            tile.rect(0.0, 0.0, 0.03, 1.0, Color(100, 100, 100));
            tile.cell(world.grid.get((x, y)));
            if (x, y) == world.agent {
                tile.agent(world.direction);
            }
        }
    }
    light_up(world, &mut canvas);
    canvas
}

/// Writes the grid with two letters a cell: object and colour; doors tell their state.
pub(super) fn text(world: &World) -> String {
    let mut text = String::new();
    for y in 0..world.grid.height() {
        for x in 0..world.grid.width() {
            let cell = world.grid.get((x, y));
            let color = cell.color.name().as_bytes()[0].to_ascii_uppercase() as char;
            let pair = match (cell.object, cell.state) {
                _ if (x, y) == world.agent => [">>", "VV", "<<", "^^"][world.direction].to_owned(),
                (Object::Unseen | Object::Empty, _) => "  ".to_owned(),
                (Object::Door, DoorState::Open) => "__".to_owned(),
                (Object::Door, DoorState::Closed) => format!("D{color}"),
                (Object::Door, DoorState::Locked) => format!("L{color}"),
                (Object::Wall, _) => format!("W{color}"),
                (Object::Floor, _) => format!("F{color}"),
                (Object::Key, _) => format!("K{color}"),
                (Object::Ball, _) => format!("A{color}"),
                (Object::Box, _) => format!("B{color}"),
                (Object::Goal, _) => format!("G{color}"),
                (Object::Lava, _) => format!("V{color}"),
            };
            text.push_str(&pair);
        }
        if y + 1 < world.grid.height() {
            text.push('\n');
        }
    }
    text
}

/// Lightens every cell that the agent's image shows.
fn light_up(world: &World, canvas: &mut Canvas) {
    let image = world.image();
    let (dx, dy) = DIRECTIONS[world.direction];
    let (last, middle) = (VIEW as i32 - 1, VIEW as i32 / 2);
    for at in 0..VIEW * VIEW {
        let (column, row) = (at / VIEW, at % VIEW);
        if image[column][row][0] == Object::Unseen as u8 {
            continue;
        }
        let (column, row) = (column as i32, row as i32);
        let (ahead, right) = (last - row, column - middle);
        let x = world.agent.0 + dx * ahead - dy * right;
        let y = world.agent.1 + dy * ahead + dx * right;
        if world.grid.contains((x, y)) {
            let (left, top) = (x as u32 * TILE, y as u32 * TILE);
            for (x, y) in (0..TILE * TILE).map(|at| (left + at % TILE, top + at / TILE)) {
                if let Some(color) = canvas.pixel(x, y) {
                    canvas.set(x, y, color.mix(Color::WHITE, 0.3));
                }
            }
        }
    }
}

/// One cell's square; lengths are parts of its side.
struct Tile<'a> {
    canvas: &'a mut Canvas,
    left: f64,
    top: f64,
}

impl Tile<'_> {
    fn at(&self, x: f64, y: f64) -> (f64, f64) {
        (
            self.left + x * f64::from(TILE),
            self.top + y * f64::from(TILE),
        )
    }

    fn rect(&mut self, left: f64, top: f64, right: f64, bottom: f64, color: Color) {
        let ((x0, y0), (x1, y1)) = (self.at(left, top), self.at(right, bottom));
        self.canvas.rect(x0, y0, x1 - x0, y1 - y0, color);
    }

    fn circle(&mut self, x: f64, y: f64, radius: f64, color: Color) {
        let center = self.at(x, y);
        self.canvas.circle(center, radius * f64::from(TILE), color);
    }

    fn cell(&mut self, cell: Cell) {
        let color = rgb(cell.color);
        match cell.object {
            Object::Unseen | Object::Empty => {}
            Object::Wall | Object::Goal => self.rect(0.0, 0.0, 1.0, 1.0, color),
            Object::Floor => self.rect(0.03, 0.03, 1.0, 1.0, color.mix(Color::BLACK, 0.5)),
            Object::Lava => self.lava(),
            Object::Door => self.door(color, cell.state),
            Object::Key => {
                self.rect(0.5, 0.3, 0.62, 0.88, color);
                self.rect(0.36, 0.58, 0.5, 0.66, color);
                self.rect(0.36, 0.8, 0.5, 0.88, color);
                self.circle(0.56, 0.28, 0.19, color);
                self.circle(0.56, 0.28, 0.07, Color::BLACK);
            }
            Object::Ball => self.circle(0.5, 0.5, 0.31, color),
            Object::Box => {
                self.rect(0.12, 0.12, 0.88, 0.88, color);
                self.rect(0.18, 0.18, 0.82, 0.82, Color::BLACK);
                self.rect(0.18, 0.47, 0.82, 0.53, color);
            }
        }
    }

    fn lava(&mut self) {
        self.rect(0.0, 0.0, 1.0, 1.0, Color(255, 128, 0));
        for wave in [0.3, 0.5, 0.7] {
            let points = [
                self.at(0.1, wave),
                self.at(0.3, wave + 0.1),
                self.at(0.5, wave),
                self.at(0.7, wave + 0.1),
                self.at(0.9, wave),
            ];
            self.canvas.polyline(&points, 2.0, Color::BLACK);
        }
    }

    fn door(&mut self, color: Color, state: DoorState) {
        match state {
            DoorState::Open => {
                self.rect(0.88, 0.0, 1.0, 1.0, color);
                self.rect(0.92, 0.04, 0.96, 0.96, Color::BLACK);
            }
            DoorState::Closed => {
                self.rect(0.0, 0.0, 1.0, 1.0, color);
                self.rect(0.05, 0.05, 0.95, 0.95, Color::BLACK);
                self.rect(0.1, 0.1, 0.9, 0.9, color);
                self.rect(0.15, 0.15, 0.85, 0.85, Color::BLACK);
                self.circle(0.74, 0.5, 0.08, color);
            }
            DoorState::Locked => {
                self.rect(0.0, 0.0, 1.0, 1.0, color);
                self.rect(0.06, 0.06, 0.94, 0.94, color.mix(Color::BLACK, 0.55));
                self.rect(0.52, 0.5, 0.76, 0.57, color);
            }
        }
    }

    /// A triangle whose tip is in front.
    fn agent(&mut self, direction: usize) {
        let (dx, dy) = DIRECTIONS[direction];
        let (dx, dy) = (f64::from(dx), f64::from(dy));
        let corner = |ahead: f64, right: f64| {
            self.at(0.5 + dx * ahead - dy * right, 0.5 + dy * ahead + dx * right)
        };
        let corners = [corner(0.37, 0.0), corner(-0.38, 0.31), corner(-0.38, -0.31)];
        self.canvas.polygon(&corners, Color::RED);
    }
}

fn rgb(color: ObjectColor) -> Color {
    match color {
        ObjectColor::Red => Color::RED,
        ObjectColor::Green => Color::GREEN,
        ObjectColor::Blue => Color::BLUE,
        ObjectColor::Purple => Color(112, 39, 195),
        ObjectColor::Yellow => Color::YELLOW,
        ObjectColor::Grey => Color(100, 100, 100),
    }
}

/// Pixels across a cell.
const TILE: u32 = 32;
