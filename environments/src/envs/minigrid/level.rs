//! The levels: their sizes and limits, and the layouts that consist of one room.
//!
//! Random numbers are drawn in the order of the Python package `minigrid`, so that equal draws give equal layouts.

use super::{
    grid::{Cell, DoorState, Object, ObjectColor, Position},
    maze, rooms,
    world::{Area, MANY_TRIES, OBSTACLE_TRIES, Task, World, between},
};
use crate::{EnvError, rng::Rng};

/// A family of layouts, and its sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Level {
    /// An empty room with the goal in the far corner.
    Empty {
        /// Cells across and down, walls included.
        size: u8,
        /// Whether the agent starts anywhere rather than in the first corner.
        random_start: bool,
    },
    /// A key on this side of a wall, its locked door, and the goal on the other side.
    DoorKey {
        /// Cells across and down, walls included.
        size: u8,
    },
    /// A locked door to be opened with its key.
    Unlock,
    /// A box behind a locked door.
    UnlockPickup,
    /// A box behind a locked door that a ball blocks.
    BlockedUnlockPickup,
    /// Four rooms joined by gaps.
    FourRooms,
    /// A corridor between rooms, one of them locked, with a ball to fetch.
    KeyCorridor {
        /// Cells across and down a room, walls included.
        room_size: u8,
        /// Rows of three rooms.
        rows: u8,
    },
    /// A river of lava with one gap.
    LavaGap {
        /// Cells across and down, walls included.
        size: u8,
    },
    /// Rivers of lava, each with a gap.
    LavaCrossing {
        /// Cells across and down, walls included; odd.
        size: u8,
        /// How many rivers.
        crossings: u8,
    },
    /// Walls across the room, each with a gap.
    SimpleCrossing {
        /// Cells across and down, walls included; odd.
        size: u8,
        /// How many walls.
        crossings: u8,
    },
    /// Two strips of lava; the second may be in another row.
    DistShift {
        /// The row of the second strip.
        strip_row: u8,
    },
    /// Four doors of different colours, one of them to be found.
    GoToDoor {
        /// The most cells across and down, walls included.
        size: u8,
    },
    /// Rooms in a chain, joined by doors.
    MultiRoom {
        /// How many rooms.
        rooms: u8,
        /// The most cells across and down a room, walls included.
        max_room_size: u8,
    },
    /// A red door to be opened before a blue one.
    RedBlueDoors {
        /// Cells down, walls included; across it is twice as many.
        size: u8,
    },
    /// Balls that move, and must not be touched.
    DynamicObstacles {
        /// Cells across and down, walls included.
        size: u8,
        /// How many balls.
        obstacles: u8,
        /// Whether the agent starts anywhere rather than in the first corner.
        random_start: bool,
    },
}

impl Level {
    /// Checks that every layout of the level can exist.
    ///
    /// # Errors
    /// Sizes out of range.
    pub(super) fn check(self) -> Result<(), EnvError> {
        let within = |option: &str, value: u8, low: u8, high: u8| {
            if (low..=high).contains(&value) {
                Ok(())
            } else {
                Err(EnvError::InvalidOption {
                    option: option.to_owned(),
                    reason: format!("{value} is not in {low}..={high}"),
                })
            }
        };
        match self {
            Level::Empty { size, .. } => within("size", size, 4, MAX_SIZE),
            Level::DoorKey { size } | Level::LavaGap { size } | Level::GoToDoor { size } => {
                within("size", size, 5, MAX_SIZE)
            }
            Level::RedBlueDoors { size } => within("size", size, 4, MAX_SIZE / 2),
            Level::KeyCorridor { room_size, rows } => {
                within("room_size", room_size, 3, 32)?;
                within("rows", rows, 1, rooms::MAX_ROWS)
            }
            Level::LavaCrossing { size, crossings } | Level::SimpleCrossing { size, crossings } => {
                within("size", size, 5, maze::MAX_CROSSING_SIZE)?;
                within("crossings", crossings, 0, 2 * ((size - 3) / 2))?;
                within("size modulo 2", size % 2, 1, 1)
            }
            Level::DistShift { strip_row } => within("strip_row", strip_row, 1, 5),
            Level::MultiRoom {
                rooms,
                max_room_size,
            } => {
                within("rooms", rooms, 1, maze::MAX_CHAIN as u8)?;
                within("max_room_size", max_room_size, 4, 10)
            }
            Level::DynamicObstacles {
                size, obstacles, ..
            } => {
                within("size", size, 5, MAX_SIZE)?;
                within("obstacles", obstacles, 0, size / 2 + 1)
            }
            Level::Unlock | Level::UnlockPickup | Level::BlockedUnlockPickup | Level::FourRooms => {
                Ok(())
            }
        }
    }

    /// Returns the columns and rows of the grid.
    pub(super) fn size(self) -> (i32, i32) {
        match self {
            Level::Empty { size, .. }
            | Level::DoorKey { size }
            | Level::LavaGap { size }
            | Level::LavaCrossing { size, .. }
            | Level::SimpleCrossing { size, .. }
            | Level::GoToDoor { size }
            | Level::DynamicObstacles { size, .. } => (i32::from(size), i32::from(size)),
            Level::Unlock | Level::UnlockPickup | Level::BlockedUnlockPickup => (11, 6),
            Level::FourRooms => (19, 19),
            Level::KeyCorridor { room_size, rows } => {
                let inner = i32::from(room_size) - 1;
                (3 * inner + 1, i32::from(rows) * inner + 1)
            }
            Level::DistShift { .. } => (9, 7),
            Level::MultiRoom { .. } => (25, 25),
            Level::RedBlueDoors { size } => (2 * i32::from(size), i32::from(size)),
        }
    }

    /// Returns after how many steps an episode is cut.
    pub(super) fn max_steps(self) -> u32 {
        let square = |side: u8| u32::from(side) * u32::from(side);
        match self {
            Level::Empty { size, .. }
            | Level::LavaGap { size }
            | Level::LavaCrossing { size, .. }
            | Level::SimpleCrossing { size, .. }
            | Level::GoToDoor { size }
            | Level::DynamicObstacles { size, .. } => 4 * square(size),
            Level::DoorKey { size } => 10 * square(size),
            Level::RedBlueDoors { size } => 20 * square(size),
            Level::Unlock | Level::UnlockPickup => 288,
            Level::BlockedUnlockPickup => 576,
            Level::FourRooms => 100,
            Level::KeyCorridor { room_size, .. } => 30 * square(room_size),
            Level::DistShift { .. } => 252,
            Level::MultiRoom { rooms, .. } => 20 * u32::from(rooms),
        }
    }

    /// Returns whether walls hide nothing.
    pub(super) fn sees_through_walls(self) -> bool {
        matches!(
            self,
            Level::Empty { .. }
                | Level::DistShift { .. }
                | Level::GoToDoor { .. }
                | Level::DynamicObstacles { .. }
        )
    }

    /// Returns how many of the seven actions there are.
    pub(super) fn actions(self) -> i64 {
        match self {
            Level::DynamicObstacles { .. } => 3,
            _ => 7,
        }
    }

    /// Lays out an empty world; `None` when random places ran out, and another try is due.
    pub(super) fn generate(self, world: &mut World, rng: &mut Rng) -> Option<()> {
        match self {
            Level::Empty { random_start, .. } => empty(world, random_start, rng),
            Level::DoorKey { .. } => door_key(world, rng),
            Level::LavaGap { .. } => lava_gap(world, rng),
            Level::DistShift { strip_row } => {
                dist_shift(world, i32::from(strip_row));
                Some(())
            }
            Level::GoToDoor { .. } => go_to_door(world, rng),
            Level::RedBlueDoors { size } => red_blue_doors(world, i32::from(size), rng),
            Level::DynamicObstacles {
                obstacles,
                random_start,
                ..
            } => dynamic_obstacles(world, obstacles, random_start, rng),
            Level::LavaCrossing { crossings, .. } => {
                maze::crossing(world, usize::from(crossings), Cell::LAVA, rng)
            }
            Level::SimpleCrossing { crossings, .. } => {
                maze::crossing(world, usize::from(crossings), Cell::WALL, rng)
            }
            Level::FourRooms => maze::four_rooms(world, rng),
            Level::MultiRoom {
                rooms,
                max_room_size,
            } => maze::multi_room(world, usize::from(rooms), i32::from(max_room_size), rng),
            Level::Unlock => rooms::unlock(world, rng),
            Level::UnlockPickup => rooms::unlock_pickup(world, false, rng),
            Level::BlockedUnlockPickup => rooms::unlock_pickup(world, true, rng),
            Level::KeyCorridor { room_size, rows } => {
                rooms::key_corridor(world, i32::from(room_size), i32::from(rows), rng)
            }
        }
    }
}

/// Surrounds the grid with walls and puts the goal into the last corner.
pub(super) fn room_with_goal(world: &mut World) {
    let (width, height) = (world.grid.width(), world.grid.height());
    world.grid.wall_rect((0, 0), width, height);
    world.grid.set((width - 2, height - 2), Cell::GOAL);
    world.task = Task::ReachGoal;
}

/// Draws one of the colours.
pub(super) fn draw_color(rng: &mut Rng) -> ObjectColor {
    ObjectColor::BY_NAME[between(rng, 0, ObjectColor::BY_NAME.len() as i32) as usize]
}

fn start(world: &mut World, is_random: bool, rng: &mut Rng) -> Option<()> {
    if is_random {
        return world.place_agent(world.everywhere(), MANY_TRIES, rng);
    }
    world.agent = (1, 1);
    Some(())
}

fn empty(world: &mut World, random_start: bool, rng: &mut Rng) -> Option<()> {
    room_with_goal(world);
    start(world, random_start, rng)
}

fn door_key(world: &mut World, rng: &mut Rng) -> Option<()> {
    room_with_goal(world);
    let (width, height) = (world.grid.width(), world.grid.height());
    let split = between(rng, 2, width - 2);
    world.grid.vertical((split, 0), height, Cell::WALL);
    let left = Area {
        top: (0, 0),
        size: (split, height),
    };
    world.place_agent(left, MANY_TRIES, rng)?;
    let door = Cell::door(ObjectColor::Yellow, DoorState::Locked);
    world.grid.set((split, between(rng, 1, height - 2)), door);
    let key = Cell::new(Object::Key, ObjectColor::Yellow);
    world.place(key, left, MANY_TRIES, rng, |_| false)?;
    Some(())
}

fn lava_gap(world: &mut World, rng: &mut Rng) -> Option<()> {
    room_with_goal(world);
    let (width, height) = (world.grid.width(), world.grid.height());
    world.agent = (1, 1);
    let gap = (between(rng, 2, width - 2), between(rng, 1, height - 1));
    world.grid.vertical((gap.0, 1), height - 2, Cell::LAVA);
    world.grid.set(gap, Cell::EMPTY);
    Some(())
}

fn dist_shift(world: &mut World, strip_row: i32) {
    let (width, height) = (world.grid.width(), world.grid.height());
    world.grid.wall_rect((0, 0), width, height);
    world.grid.set((width - 2, 1), Cell::GOAL);
    world.grid.horizontal((3, 1), width - 6, Cell::LAVA);
    world.grid.horizontal((3, strip_row), width - 6, Cell::LAVA);
    world.agent = (1, 1);
    world.task = Task::ReachGoal;
}

fn go_to_door(world: &mut World, rng: &mut Rng) -> Option<()> {
    let width = between(rng, 5, world.grid.width() + 1);
    let height = between(rng, 5, world.grid.height() + 1);
    world.grid.wall_rect((0, 0), width, height);
    let doors: [Position; 4] = [
        (between(rng, 2, width - 2), 0),
        (between(rng, 2, width - 2), height - 1),
        (0, between(rng, 2, height - 2)),
        (width - 1, between(rng, 2, height - 2)),
    ];
    let mut colors = [None; 4];
    for door in 0..doors.len() {
        let color = loop {
            let color = draw_color(rng);
            if !colors.contains(&Some(color)) {
                break color;
            }
        };
        colors[door] = Some(color);
        let closed = Cell::door(color, DoorState::Closed);
        world.grid.set(doors[door], closed);
    }
    let room = Area {
        top: (0, 0),
        size: (width, height),
    };
    world.place_agent(room, MANY_TRIES, rng)?;
    world.task = Task::GoToDoor(doors[between(rng, 0, 4) as usize]);
    Some(())
}

fn red_blue_doors(world: &mut World, size: i32, rng: &mut Rng) -> Option<()> {
    world.grid.wall_rect((0, 0), 2 * size, size);
    world.grid.wall_rect((size / 2, 0), size, size);
    let middle = Area {
        top: (size / 2, 0),
        size: (size, size),
    };
    world.place_agent(middle, MANY_TRIES, rng)?;
    let red = (size / 2, between(rng, 1, size - 1));
    let blue = (size / 2 + size - 1, between(rng, 1, size - 1));
    for (at, color) in [(red, ObjectColor::Red), (blue, ObjectColor::Blue)] {
        world.grid.set(at, Cell::door(color, DoorState::Closed));
    }
    world.task = Task::OpenInOrder(red, blue);
    Some(())
}

fn dynamic_obstacles(
    world: &mut World,
    obstacles: u8,
    random_start: bool,
    rng: &mut Rng,
) -> Option<()> {
    room_with_goal(world);
    world.task = Task::AvoidObstacles;
    start(world, random_start, rng)?;
    for _ in 0..obstacles {
        let ball = Cell::new(Object::Ball, ObjectColor::Blue);
        let at = world.place(ball, world.everywhere(), OBSTACLE_TRIES, rng, |_| false)?;
        world.obstacles.push(at);
    }
    Some(())
}

/// The most cells across or down.
const MAX_SIZE: u8 = 100;
