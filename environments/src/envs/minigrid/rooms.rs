//! Layouts on a lattice of equal rooms that share their walls.

use super::{
    grid::{Cell, DIRECTIONS, DoorState, Object, ObjectColor, Position},
    level::draw_color,
    world::{Area, ROOM_TRIES, Task, World, between},
};
use crate::rng::Rng;

/// The rooms and their doors; directions are right, down, left, up.
struct Lattice {
    room_size: i32,
    columns: i32,
    rows: i32,
    /// By room, row by row: where a door in each of the four walls would be.
    door_at: [[Option<Position>; 4]; MAX_ROOMS],
    /// By room: which walls have a door or are gone.
    is_joined: [[bool; 4]; MAX_ROOMS],
    /// By room: whether its last door is locked.
    is_locked: [bool; MAX_ROOMS],
}

/// The key and the door of one colour, and the agent beside the key.
pub(super) fn unlock(world: &mut World, rng: &mut Rng) -> Option<()> {
    let mut lattice = Lattice::build(world, 6, 2, 1, rng);
    let (door, color) = lattice.add_locked_door(world, (0, 0), 0, rng);
    lattice.add(world, (0, 0), Cell::new(Object::Key, color), rng)?;
    lattice.place_agent(world, (0, 0), rng)?;
    world.task = Task::OpenDoor(door);
    Some(())
}

/// A box in the second room; a ball may block the door.
pub(super) fn unlock_pickup(world: &mut World, is_blocked: bool, rng: &mut Rng) -> Option<()> {
    let mut lattice = Lattice::build(world, 6, 2, 1, rng);
    let wanted = Cell::new(Object::Box, draw_color(rng));
    lattice.add(world, (1, 0), wanted, rng)?;
    let (door, color) = lattice.add_locked_door(world, (0, 0), 0, rng);
    if is_blocked {
        let ball = Cell::new(Object::Ball, draw_color(rng));
        world.grid.set((door.0 - 1, door.1), ball);
    }
    lattice.add(world, (0, 0), Cell::new(Object::Key, color), rng)?;
    lattice.place_agent(world, (0, 0), rng)?;
    world.task = Task::PickUp(wanted);
    Some(())
}

/// The middle column is the corridor; a room on its right is locked, the key is on its left.
pub(super) fn key_corridor(
    world: &mut World,
    room_size: i32,
    rows: i32,
    rng: &mut Rng,
) -> Option<()> {
    let mut lattice = Lattice::build(world, room_size, 3, rows, rng);
    for row in 1..rows {
        lattice.remove_wall_above(world, (1, row));
    }
    let row = between(rng, 0, rows);
    let (_, color) = lattice.add_locked_door(world, (2, row), 2, rng);
    let wanted = Cell::new(Object::Ball, draw_color(rng));
    lattice.add(world, (2, row), wanted, rng)?;
    let key_room = (0, between(rng, 0, rows));
    lattice.add(world, key_room, Cell::new(Object::Key, color), rng)?;
    lattice.place_agent(world, (1, rows / 2), rng)?;
    lattice.join_all(world, rng)?;
    world.task = Task::PickUp(wanted);
    Some(())
}

impl Lattice {
    /// Lays the walls, draws where doors may be, and puts the agent in the middle.
    fn build(world: &mut World, room_size: i32, columns: i32, rows: i32, rng: &mut Rng) -> Lattice {
        let mut lattice = Lattice {
            room_size,
            columns,
            rows,
            door_at: [[None; 4]; MAX_ROOMS],
            is_joined: [[false; 4]; MAX_ROOMS],
            is_locked: [false; MAX_ROOMS],
        };
        for row in 0..rows {
            for column in 0..columns {
                let top = lattice.top((column, row));
                world.grid.wall_rect(top, room_size, room_size);
            }
        }
        let inner = room_size - 1;
        for row in 0..rows {
            for column in 0..columns {
                let (left, top) = lattice.top((column, row));
                let at = lattice.index((column, row));
                if column + 1 < columns {
                    let door = (left + inner, between(rng, top + 1, top + inner));
                    lattice.door_at[at][0] = Some(door);
                    lattice.door_at[at + 1][2] = Some(door);
                }
                if row + 1 < rows {
                    let door = (between(rng, left + 1, left + inner), top + inner);
                    lattice.door_at[at][1] = Some(door);
                    lattice.door_at[at + columns as usize][3] = Some(door);
                }
            }
        }
        let middle = |rooms: i32| rooms / 2 * inner + room_size / 2;
        world.agent = (middle(columns), middle(rows));
        lattice
    }

    fn index(&self, (column, row): Position) -> usize {
        (row * self.columns + column) as usize
    }

    fn top(&self, (column, row): Position) -> Position {
        (column * (self.room_size - 1), row * (self.room_size - 1))
    }

    fn area(&self, room: Position) -> Area {
        Area {
            top: self.top(room),
            size: (self.room_size, self.room_size),
        }
    }

    /// Puts an object at a random place of a room, not beside where the agent is.
    fn add(
        &self,
        world: &mut World,
        room: Position,
        cell: Cell,
        rng: &mut Rng,
    ) -> Option<Position> {
        let (x, y) = world.agent;
        let is_near = |at: Position| (at.0 - x).abs() + (at.1 - y).abs() < 2;
        world.place(cell, self.area(room), ROOM_TRIES, rng, is_near)
    }

    /// Adds a locked door of a random colour; returns where, and the colour.
    fn add_locked_door(
        &mut self,
        world: &mut World,
        room: Position,
        wall: usize,
        rng: &mut Rng,
    ) -> (Position, ObjectColor) {
        let color = draw_color(rng);
        let door = Cell::door(color, DoorState::Locked);
        let at = self.add_door(world, room, wall, door);
        let index = self.index(room);
        self.is_locked[index] = true;
        (at, color)
    }

    fn add_door(&mut self, world: &mut World, room: Position, wall: usize, door: Cell) -> Position {
        let at = self.door_at[self.index(room)][wall].expect("doors lead to a neighbouring room");
        world.grid.set(at, door);
        self.join(room, wall);
        at
    }

    /// Marks a room and its neighbour as joined.
    fn join(&mut self, room: Position, wall: usize) {
        let (index, next) = (self.index(room), self.index(neighbor(room, wall)));
        self.is_joined[index][wall] = true;
        self.is_joined[next][(wall + 2) % 4] = true;
    }

    fn remove_wall_above(&mut self, world: &mut World, room: Position) {
        let (left, top) = self.top(room);
        world
            .grid
            .horizontal((left + 1, top), self.room_size - 2, Cell::EMPTY);
        self.join(room, UP);
    }

    /// Puts the agent into a room, not in front of an object.
    fn place_agent(&self, world: &mut World, room: Position, rng: &mut Rng) -> Option<()> {
        for _ in 0..ROOM_TRIES {
            world.place_agent(self.area(room), ROOM_TRIES, rng)?;
            let ahead = world.grid.get(world.front()).object;
            if matches!(ahead, Object::Empty | Object::Wall) {
                return Some(());
            }
        }
        None
    }

    /// Adds doors until the agent can reach every room.
    fn join_all(&mut self, world: &mut World, rng: &mut Rng) -> Option<()> {
        for _ in 0..JOIN_TRIES {
            if self.reachable(world.agent) == self.columns * self.rows {
                return Some(());
            }
            let room = (between(rng, 0, self.columns), between(rng, 0, self.rows));
            let wall = between(rng, 0, 4) as usize;
            let index = self.index(room);
            if self.door_at[index][wall].is_none() || self.is_joined[index][wall] {
                continue;
            }
            let next = self.index(neighbor(room, wall));
            if self.is_locked[index] || self.is_locked[next] {
                continue;
            }
            let door = Cell::door(draw_color(rng), DoorState::Closed);
            self.add_door(world, room, wall, door);
        }
        None
    }

    /// Counts the rooms that doors join to the room of a position.
    fn reachable(&self, from: Position) -> i32 {
        let inner = self.room_size - 1;
        let mut is_reached = [false; MAX_ROOMS];
        let mut count = 0;
        self.reach(
            (from.0 / inner, from.1 / inner),
            &mut is_reached,
            &mut count,
        );
        count
    }

    fn reach(&self, room: Position, is_reached: &mut [bool; MAX_ROOMS], count: &mut i32) {
        let index = self.index(room);
        if std::mem::replace(&mut is_reached[index], true) {
            return;
        }
        *count += 1;
        for wall in (0..4).filter(|wall| self.is_joined[index][*wall]) {
            self.reach(neighbor(room, wall), is_reached, count);
        }
    }
}

fn neighbor((column, row): Position, wall: usize) -> Position {
    let (dx, dy) = DIRECTIONS[wall];
    (column + dx, row + dy)
}

const UP: usize = 3;

/// The most rows of rooms.
pub(super) const MAX_ROWS: u8 = 8;
/// The most rooms: three columns of them.
const MAX_ROOMS: usize = 3 * MAX_ROWS as usize;

/// Tries to add a door before the layout counts as failed.
const JOIN_TRIES: u32 = 5_000;
