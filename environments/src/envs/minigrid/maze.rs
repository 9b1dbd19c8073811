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
    let lines = (size as usize - 3) / 2;
    let mut rivers = [(false, 0); MAX_RIVERS];
    let rivers = &mut rivers[..2 * lines];
    for (at, river) in rivers.iter_mut().enumerate() {
        *river = (at < lines, 2 + 2 * (at % lines) as i32);
    }
    shuffle(rivers, rng);
    let rivers = &mut rivers[..count];
    rivers.sort_unstable();
    let horizontals = rivers.partition_point(|(is_vertical, _)| !is_vertical);
    let (horizontal, vertical) = rivers.split_at(horizontals);
    for (_, y) in horizontal {
        world.grid.horizontal((1, *y), size - 2, obstacle);
    }
    for (_, x) in vertical {
        world.grid.vertical((*x, 1), size - 2, obstacle);
    }
    // The path crosses each vertical river going right, each horizontal one going down.
    let mut path = [false; MAX_RIVERS];
    path[..vertical.len()].fill(true);
    let path = &mut path[..count];
    shuffle(path, rng);
    let limit = |rivers: &[(bool, i32)], at: usize| match at.checked_sub(1) {
        None => 0,
        Some(at) => rivers.get(at).map_or(size - 1, |(_, at)| *at),
    };
    let (mut column, mut row) = (0, 0);
    for goes_right in path {
        let gap = if *goes_right {
            let y = between(rng, limit(horizontal, row) + 1, limit(horizontal, row + 1));
            column += 1;
            (limit(vertical, column), y)
        } else {
            let x = between(
                rng,
                limit(vertical, column) + 1,
                limit(vertical, column + 1),
            );
            row += 1;
            (x, limit(horizontal, row))
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
        rooms: [Room::NONE; MAX_CHAIN],
        len: 0,
    };
    // The first longest chain counts, and only one of full length is long enough.
    let is_planned = (0..CHAIN_TRIES).any(|_| {
        plan.len = 0;
        let entry = (between(rng, 0, width - 2), between(rng, 0, width - 2));
        plan.add_rooms(count, 2, entry, rng);
        plan.len == count
    });
    if !is_planned {
        return None;
    }
    let rooms = &plan.rooms[..count];
    let mut last_color = None;
    for (at, room) in rooms.iter().enumerate() {
        world
            .grid
            .wall_rect(room.area.top, room.area.size.0, room.area.size.1);
        if at > 0 {
            let others = |color: &ObjectColor| Some(*color) != last_color;
            let colors = ObjectColor::BY_NAME.into_iter().filter(others);
            let drawn = between(rng, 0, colors.clone().count() as i32);
            let color = colors.clone().nth(drawn as usize)?;
            let door = Cell::door(color, DoorState::Closed);
            world.grid.set(room.entry, door);
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

impl Room {
    /// What stands in places of a chain that are not taken.
    const NONE: Room = Room {
        area: Area {
            top: (0, 0),
            size: (0, 0),
        },
        entry: (0, 0),
    };
}

/// Rooms that are being chained.
struct Plan {
    width: i32,
    height: i32,
    max_size: i32,
    rooms: [Room; MAX_CHAIN],
    /// How many of the rooms there are yet.
    len: usize,
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
            _ if self.len == 0 => entry,
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
        self.rooms[self.len] = Room { area, entry };
        self.len += 1;
        if left == 1 {
            return true;
        }
        for _ in 0..8 {
            // One of the three other walls.
            let drawn = between(rng, 0, 3);
            let wall = drawn + i32::from(drawn >= entry_wall);
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
        let older = self.len.saturating_sub(1);
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

/// The most cells across a crossing.
pub(super) const MAX_CROSSING_SIZE: u8 = 35;
/// The most rivers of a crossing.
const MAX_RIVERS: usize = MAX_CROSSING_SIZE as usize - 3;
/// The most rooms of a chain.
pub(super) const MAX_CHAIN: usize = 6;
const MIN_ROOM: i32 = 4;

/// Chains tried before the layout counts as failed.
const CHAIN_TRIES: u32 = 10_000;
