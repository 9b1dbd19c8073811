//! MiniGrid: small worlds of rooms, doors, keys and goals, seen through a window of 7 by 7 cells.
//!
//! # Description
//! The grid worlds of Chevalier-Boisvert et al. (2023). The agent turns, walks, carries one object, and opens doors;
//! it sees what is in front of it, and by most levels' rules not what is behind walls and closed doors.
//!
//! # Action space
//! `Discrete(7)`: turn left (0), turn right (1), forward (2), pick up (3), drop (4), toggle (5), done (6).
//! Levels with moving obstacles take the first three.
//!
//! # Observation space
//! `Box(0, 255, (7, 7, 3))`: by column, row and channel, what the cells hold: object, colour, state. The agent is in
//! the middle of the last row and looks towards row 0; that cell shows what it carries. Objects: 0 unseen, 1 empty,
//! 2 wall, 3 floor, 4 door, 5 key, 6 ball, 7 box, 8 goal, 9 lava. Colours: red, green, blue, purple, yellow, grey.
//! States of doors: 0 open, 1 closed, 2 locked.
//!
//! # Rewards
//! 1 - 0.9 steps / limit for success, else 0; -1 for walking into a moving obstacle.
//!
//! # Starting state
//! A new layout for each episode, drawn by the rules of the level.
//!
//! # Episode end
//! Terminated by success, by lava, or by a mistake that the level names; truncated after the level's limit.

mod draw;
mod grid;
mod ids;
mod level;
mod maze;
mod rooms;
#[cfg(test)]
mod tests;
mod world;

use world::{Task, World};

pub use grid::{Cell, DoorState, IMAGE_LEN, Object, ObjectColor, Position, VIEW};
pub use ids::LEVELS;
pub use level::Level;

use crate::{
    BoxSpace, Discrete, Env, EnvError, Frame, Info, Observation, Options, RenderMode, Space, State,
    Step, Value, rng::Rng,
};

/// The environment.
///
/// State order: agent's column, row and direction, code of what it carries, four numbers of the task (positions, or
/// the code of an object), then the code of each cell, row by row. A code is object + 16 colour + 128 state.
#[derive(Clone, Debug)]
pub struct MiniGrid {
    level: Level,
    world: World,
    is_started: bool,
    rng: Rng,
}

/// What an agent sees: `[7, 7, 3]` by column, row, channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GridImage(pub [u8; IMAGE_LEN]);

impl Observation for GridImage {
    fn write(&self, row: &mut [f32]) {
        for (number, code) in row.iter_mut().zip(self.0) {
            *number = f32::from(code);
        }
    }
}

impl MiniGrid {
    /// Makes the environment of a level.
    ///
    /// # Errors
    /// Sizes of the level that allow no layout.
    pub fn new(level: Level) -> Result<MiniGrid, EnvError> {
        level.check()?;
        Ok(MiniGrid {
            level,
            world: World::new(level),
            is_started: false,
            rng: Rng::new(0),
        })
    }

    /// Returns what the agent is told to do in this episode.
    pub fn mission(&self) -> String {
        let named = |verb: &str, color: ObjectColor, noun: &str| {
            format!("{verb} the {} {noun}", color.name())
        };
        match (self.world.task, self.level) {
            (Task::OpenDoor(_), _) => "open the door".into(),
            (Task::OpenInOrder(..), _) => "open the red door then the blue door".into(),
            (Task::PickUp(cell), _) if cell.object == Object::Ball => {
                named("pick up", cell.color, "ball")
            }
            (Task::PickUp(cell), _) => named("pick up", cell.color, "box"),
            (Task::GoToDoor(at), _) => named("go to", self.world.grid.get(at).color, "door"),
            (_, Level::DoorKey { .. }) => {
                "use the key to open the door and then get to the goal".into()
            }
            (_, Level::FourRooms) => "reach the goal".into(),
            (_, Level::MultiRoom { .. }) => "traverse the rooms to get to the goal".into(),
            (_, Level::LavaGap { .. } | Level::LavaCrossing { .. }) => {
                "avoid the lava and get to the green goal square".into()
            }
            (_, Level::SimpleCrossing { .. }) => {
                "find the opening and get to the green goal square".into()
            }
            _ => "get to the green goal square".into(),
        }
    }

    /// Returns which way the agent looks: 0 to 3 for right, down, left, up.
    pub fn direction(&self) -> usize {
        self.world.direction
    }

    /// Returns the agent's column and row.
    pub fn position(&self) -> Position {
        self.world.agent
    }

    /// Returns a cell of the grid; outside it is a wall.
    pub fn cell(&self, at: Position) -> Cell {
        self.world.grid.get(at)
    }
}

impl Env for MiniGrid {
    type Observation = GridImage;
    type Action = i64;

    fn observation_space(&self) -> Space {
        let mut space = BoxSpace::new(vec![0.0; IMAGE_LEN], vec![255.0; IMAGE_LEN]);
        space.shape = vec![VIEW, VIEW, 3];
        Space::Box(space)
    }

    fn action_space(&self) -> Space {
        Space::Discrete(Discrete::new(self.level.actions()))
    }

    fn reset(
        &mut self,
        seed: Option<u64>,
        _options: &Options,
    ) -> Result<(GridImage, Info), EnvError> {
        if let Some(seed) = seed {
            self.rng = Rng::new(seed);
        }
        for _ in 0..LAYOUT_TRIES {
            self.world.clear();
            if self
                .level
                .generate(&mut self.world, &mut self.rng)
                .is_some()
            {
                self.is_started = true;
                return Ok((GridImage(self.world.image()), Info::new()));
            }
        }
        Err(EnvError::NotSupported(format!(
            "{:?} has no layout that {LAYOUT_TRIES} tries find",
            self.level
        )))
    }

    fn step(&mut self, action: &i64) -> Result<Step<GridImage>, EnvError> {
        if !self.is_started {
            return Err(EnvError::ResetNeeded);
        }
        if !(0..self.level.actions()).contains(action) {
            return Err(EnvError::InvalidAction {
                action: action.to_string(),
                space: self.action_space().to_string(),
            });
        }
        let outcome = self.world.step(*action, &mut self.rng);
        Ok(Step {
            observation: GridImage(self.world.image()),
            reward: outcome.reward,
            terminated: outcome.terminated,
            truncated: self.world.elapsed >= self.world.max_steps,
            info: Info::new(),
        })
    }

    fn render(&mut self, mode: RenderMode) -> Result<Frame, EnvError> {
        if !self.is_started {
            return Err(EnvError::ResetNeeded);
        }
        Ok(match mode {
            RenderMode::Ansi => Frame::Ansi(draw::text(&self.world)),
            RenderMode::RgbArray => draw::draw(&self.world).into_frame(),
        })
    }

    fn state(&self) -> State {
        let world = &self.world;
        let task = match world.task {
            Task::ReachGoal | Task::AvoidObstacles => [0; 4],
            Task::OpenDoor((x, y)) | Task::GoToDoor((x, y)) => [x, y, 0, 0],
            Task::PickUp(cell) => [code(cell), 0, 0, 0],
            Task::OpenInOrder(first, second) => [first.0, first.1, second.0, second.1],
        };
        let mut numbers = vec![
            world.agent.0,
            world.agent.1,
            world.direction as i32,
            world.carrying.map_or(0, code),
        ];
        numbers.extend(task);
        for y in 0..world.grid.height() {
            numbers.extend((0..world.grid.width()).map(|x| code(world.grid.get((x, y)))));
        }
        let obstacles = world.obstacles.iter().flat_map(|(x, y)| [*x, *y]);
        let obstacles = obstacles.map(|number| Value::Int(i64::from(number)));
        let mut state = State {
            values: numbers.into_iter().map(f64::from).collect(),
            elapsed: u64::from(world.elapsed),
            rng: self.rng.save(),
            ..State::default()
        };
        state
            .extra
            .insert("obstacles".into(), Value::List(obstacles.collect()));
        state
    }

    fn set_state(&mut self, state: &State) -> Result<(), EnvError> {
        self.world = read_world(self.level, state)
            .ok_or_else(|| EnvError::InvalidState(format!("it is none of {:?}", self.level)))?;
        if let Some(rng) = Rng::restore(&state.rng) {
            self.rng = rng;
        }
        self.is_started = true;
        Ok(())
    }

    fn max_episode_steps(&self) -> Option<u32> {
        Some(self.level.max_steps())
    }
}

/// Reads a state of the level; `None` when it is malformed.
fn read_world(level: Level, state: &State) -> Option<World> {
    let mut world = World::new(level);
    let (width, height) = level.size();
    let [x, y, direction, carried, a, b, c, d, ref cells @ ..] = state.values[..] else {
        return None;
    };
    if cells.len() != (width * height) as usize {
        return None;
    }
    let whole = |number: f64| {
        let is_whole = number.fract() == 0.0 && (-1.0..f64::from(i32::MAX)).contains(&number);
        is_whole.then_some(number as i32)
    };
    let cell = |number: f64| from_code(whole(number)?);
    let position = |x: f64, y: f64| {
        let at = (whole(x)?, whole(y)?);
        ((0..width).contains(&at.0) && (0..height).contains(&at.1)).then_some(at)
    };
    for (at, number) in cells.iter().enumerate() {
        let at = at as i32;
        world.grid.set((at % width, at / width), cell(*number)?);
    }
    world.agent = position(x, y)?;
    world.direction = usize::try_from(whole(direction)?).ok()?;
    world.carrying = if carried == 0.0 {
        None
    } else {
        Some(cell(carried)?)
    };
    world.task = match level {
        Level::Unlock => Task::OpenDoor(position(a, b)?),
        Level::GoToDoor { .. } => Task::GoToDoor(position(a, b)?),
        Level::RedBlueDoors { .. } => Task::OpenInOrder(position(a, b)?, position(c, d)?),
        Level::UnlockPickup | Level::BlockedUnlockPickup | Level::KeyCorridor { .. } => {
            Task::PickUp(cell(a)?)
        }
        Level::DynamicObstacles { .. } => Task::AvoidObstacles,
        _ => Task::ReachGoal,
    };
    world.elapsed = u32::try_from(state.elapsed).ok()?;
    if let Some(Value::List(numbers)) = state.extra.get("obstacles") {
        for pair in numbers.chunks_exact(2) {
            let [Value::Int(x), Value::Int(y)] = pair else {
                return None;
            };
            world.obstacles.push(position(*x as f64, *y as f64)?);
        }
    }
    (world.direction < 4).then_some(world)
}

fn code(cell: Cell) -> i32 {
    let [object, color, state] = cell.encode().map(i32::from);
    object + 16 * color + 128 * state
}

fn from_code(code: i32) -> Option<Cell> {
    let state = u8::try_from(code >> 7).ok()?;
    Cell::decode([(code & 15) as u8, (code >> 4 & 7) as u8, state])
}

/// Layouts begun before a reset gives up.
const LAYOUT_TRIES: u32 = 1_000;
