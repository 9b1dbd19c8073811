//! Layouts of several rooms of their own shapes: crossings, four rooms, chains of rooms.

use super::{
    grid::{Cell, DoorState, ObjectColor, Position},
    level::room_with_goal,
    world::{Area, MANY_TRIES, Task, World, between},
};
use crate::rng::Rng;

/// Rivers of `obstacle` across the room, with a gap in each on the way to the goal.
pub(super) fn crossing(
    world: &mut World,
    count: usize,
    obstacle: Cell,
    rng: &mut Rng,
) -> Option<()> {
    room_with_goal(world);
    let size = world.grid.width();
    world.agent = (1, 1);
    let lines = || (2..size - 2).step_by(2);
    let mut rivers = lines()
        .map(|at| (true, at))
        .chain(lines().map(|at| (false, at)))
        .collect::<Vec<_>>();
    shuffle(&mut rivers, rng);
    rivers.truncate(count);
    let sorted = |wanted: bool| {
        let mut lines = rivers
            .iter()
            .filter(|(is_vertical, _)| *is_vertical == wanted)
            .map(|(_, at)| *at)
            .collect::<Vec<_>>();
        lines.sort_unstable();
        lines
    };
    let (vertical, horizontal) = (sorted(true), sorted(false));
    for y in &horizontal {
        world.grid.horizontal((1, *y), size - 2, obstacle);
    }
    for x in &vertical {
        world.grid.vertical((*x, 1), size - 2, obstacle);
    }
    // The path crosses each vertical river going right, each horizontal one going down.
    let mut path = vec![true; vertical.len()];
    path.extend(vec![false; horizontal.len()]);
    shuffle(&mut path, rng);
    let limits = |lines: &[i32]| [&[0], lines, &[size - 1]].concat();
    let (columns, rows) = (limits(&vertical), limits(&horizontal));
    let (mut column, mut row) = (0, 0);
    for goes_right in path {
        let gap = if goes_right {
            let y = between(rng, rows[row] + 1, rows[row + 1]);
            column += 1;
            (columns[column], y)
        } else {
            let x = between(rng, columns[column] + 1, columns[column + 1]);
            row += 1;
            (x, rows[row])
        };
        world.grid.set(gap, Cell::EMPTY);
    }
    Some(())
}

/// Four rooms with a gap in each of the walls between.
pub(super) fn four_rooms(world: &mut World, rng: &mut Rng) -> Option<()> {
    let (width, height) = (world.grid.width(), world.grid.height());
    world.grid.wall_rect((0, 0), width, height);
    let (across, down) = (width / 2, height / 2);
    for row in 0..2 {
        for column in 0..2 {
            let (left, top) = (column * across, row * down);
            let (right, bottom) = (left + across, top + down);
            if column == 0 {
                world.grid.vertical((right, top), down, Cell::WALL);
                let gap = (right, between(rng, top + 1, bottom));
                world.grid.set(gap, Cell::EMPTY);
            }
            if row == 0 {
                world.grid.horizontal((left, bottom), across, Cell::WALL);
                let gap = (between(rng, left + 1, right), bottom);
                world.grid.set(gap, Cell::EMPTY);
            }
        }
    }
    world.place_agent(world.everywhere(), MANY_TRIES, rng)?;
    world.place(Cell::GOAL, world.everywhere(), MANY_TRIES, rng, |_| false)?;
    world.task = Task::ReachGoal;
    Some(())
}

/// Rooms in a chain, the agent in the first and the goal in the last.
pub(super) fn multi_room(
    world: &mut World,
    count: usize,
    max_size: i32,
    rng: &mut Rng,
) -> Option<()> {
    let (width, height) = (world.grid.width(), world.grid.height());
    // The number of rooms is a draw from a range of one.
    between(rng, count as i32, count as i32 + 1);
    let mut plan = Plan {
        width,
        height,
        max_size,
        rooms: Vec::new(),
    };
    let mut rooms = Vec::new();
    for _ in 0..CHAIN_TRIES {
        plan.rooms.clear();
        let entry = (between(rng, 0, width - 2), between(rng, 0, width - 2));
        plan.add_rooms(count, 2, entry, rng);
        if plan.rooms.len() > rooms.len() {
            rooms.clone_from(&plan.rooms);
        }
        if rooms.len() >= count {
            break;
        }
    }
    if rooms.len() < count {
        return None;
    }
    let mut last_color = None;
    for (at, room) in rooms.iter().enumerate() {
        world
            .grid
            .wall_rect(room.area.top, room.area.size.0, room.area.size.1);
        if at > 0 {
            let colors = ObjectColor::BY_NAME
                .into_iter()
                .filter(|color| Some(*color) != last_color)
                .collect::<Vec<_>>();
            let color = colors[between(rng, 0, colors.len() as i32) as usize];
            world
                .grid
                .set(room.entry, Cell::door(color, DoorState::Closed));
            last_color = Some(color);
        }
    }
    let (first, last) = (rooms.first()?.area, rooms.last()?.area);
    world.place_agent(first, MANY_TRIES, rng)?;
    world.place(Cell::GOAL, last, MANY_TRIES, rng, |_| false)?;
    world.task = Task::ReachGoal;
    Some(())
}

#[derive(Clone, Copy)]
struct Room {
    area: Area,
    /// Where its door to the room before it is.
    entry: Position,
}

/// Rooms that are being chained.
struct Plan {
    width: i32,
    height: i32,
    max_size: i32,
    rooms: Vec<Room>,
}

impl Plan {
    /// Adds a room whose door is at `entry` in its wall `entry_wall`, and `left - 1` more after it.
    ///
    /// Walls are right, down, left, up. Returns whether this room found space.
    fn add_rooms(&mut self, left: usize, entry_wall: i32, entry: Position, rng: &mut Rng) -> bool {
        let size_x = between(rng, MIN_ROOM, self.max_size + 1);
        let size_y = between(rng, MIN_ROOM, self.max_size + 1);
        let (x, y) = entry;
        let top = match entry_wall {
            _ if self.rooms.is_empty() => entry,
            0 => (x - size_x + 1, between(rng, y - size_y + 2, y)),
            1 => (between(rng, x - size_x + 2, x), y - size_y + 1),
            2 => (x, between(rng, y - size_y + 2, y)),
            _ => (between(rng, x - size_x + 2, x), y),
        };
        let area = Area {
            top,
            size: (size_x, size_y),
        };
        if !self.has_space(area) {
            return false;
        }
        self.rooms.push(Room { area, entry });
        if left == 1 {
            return true;
        }
        for _ in 0..8 {
            let walls = [0, 1, 2, 3].map(|wall| (wall != entry_wall).then_some(wall));
            let walls = walls.into_iter().flatten().collect::<Vec<_>>();
            let wall = walls[between(rng, 0, 3) as usize];
            let exit = match wall {
                0 => (top.0 + size_x - 1, top.1 + between(rng, 1, size_y - 1)),
                1 => (top.0 + between(rng, 1, size_x - 1), top.1 + size_y - 1),
                2 => (top.0, top.1 + between(rng, 1, size_y - 1)),
                _ => (top.0 + between(rng, 1, size_x - 1), top.1),
            };
            if self.add_rooms(left - 1, (wall + 2) % 4, exit, rng) {
                break;
            }
        }
        true
    }

    fn has_space(&self, area: Area) -> bool {
        let ((x, y), (across, down)) = (area.top, area.size);
        // The last row stays free and the last column does not, as in the package.
        if x < 0 || y < 0 || x + across > self.width || y + down >= self.height {
            return false;
        }
        let older = self.rooms.len().saturating_sub(1);
        self.rooms[..older].iter().all(|room| {
            let (left, top) = room.area.top;
            let (width, height) = room.area.size;
            x + across < left || left + width <= x || y + down < top || top + height <= y
        })
    }
}

/// Puts items into random order (Fisher and Yates).
fn shuffle<T>(items: &mut [T], rng: &mut Rng) {
    for last in (1..items.len()).rev() {
        items.swap(last, between(rng, 0, last as i32 + 1) as usize);
    }
}

const MIN_ROOM: i32 = 4;

/// Chains tried before the layout counts as failed.
const CHAIN_TRIES: u32 = 10_000;
