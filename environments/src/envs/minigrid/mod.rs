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
//! A `Dict` of `image`, `direction` (`Discrete(4)`: right, down, left, up) and `mission` (a text). Vector environments
//! have the image alone. The image is `Box(0, 255, (7, 7, 3), uint8)`: by column, row and channel, what the cells hold: object, colour, state. The agent is in
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
//!
//! # Arguments
//! `max_steps` (the level's limit), which also scales the rewards.

mod draw;
mod grid;
mod ids;
mod level;
mod maze;
mod mission;
mod rooms;
mod world;

use world::{Task, World};

pub use grid::{Cell, DoorState, Image, Object, ObjectColor, Position, VIEW};
pub use ids::LEVELS;
pub(super) use ids::specs;
pub use level::Level;
pub use mission::WithMission;

use crate::{
    BoxSpace, Discrete, Dtype, Env, EnvError, Frame, Info, Metadata, Options, Outcome, RenderMode,
    Space, State, Step, Value, rng::Rng,
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
            rng: Rng::from_entropy(),
        })
    }

    /// Sets after how many steps an episode is cut; rewards count in parts of it.
    pub fn max_steps(mut self, value: u32) -> MiniGrid {
        self.world.max_steps = value.max(1);
        self
    }

    fn check(&self, action: i64) -> Result<(), EnvError> {
        if !self.is_started {
            return Err(EnvError::ResetNeeded);
        }
        if !(0..self.level.actions()).contains(&action) {
            return Err(EnvError::invalid_action(action, self.action_space()));
        }
        Ok(())
    }

    /// Lays out a new episode.
    fn restart(&mut self, seed: Option<u64>) -> Result<(), EnvError> {
        if let Some(seed) = seed {
            self.rng = Rng::new(seed);
        }
        for _ in 0..LAYOUT_TRIES {
            self.world.clear();
            let layout = self.level.generate(&mut self.world, &mut self.rng);
            if layout.is_some() {
                self.is_started = true;
                return Ok(());
            }
        }
        Err(EnvError::NotSupported(format!(
            "{:?} has no layout that {LAYOUT_TRIES} tries find",
            self.level
        )))
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
    type Observation = Image;
    type Action = i64;

    fn observation_space(&self) -> Space {
        Space::Box(BoxSpace::of_dtype(&[VIEW, VIEW, 3], Dtype::U8))
    }

    fn action_space(&self) -> Space {
        Space::Discrete(Discrete::new(self.level.actions()))
    }

    fn reset(&mut self, seed: Option<u64>, _options: &Options) -> Result<(Image, Info), EnvError> {
        self.restart(seed)?;
        Ok((self.world.image(), Info::new()))
    }

    fn step(&mut self, action: &i64) -> Result<Step<Image>, EnvError> {
        self.check(*action)?;
        let outcome = self.world.step(*action, &mut self.rng);
        Ok(Step {
            observation: self.world.image(),
            reward: outcome.reward,
            terminated: outcome.terminated,
            truncated: outcome.truncated,
            info: Info::new(),
        })
    }

    fn reset_into(
        &mut self,
        seed: Option<u64>,
        _options: &Options,
        row: &mut [f32],
    ) -> Result<(), EnvError> {
        self.restart(seed)?;
        write(&self.world.image(), row);
        Ok(())
    }

    fn step_into(&mut self, action: &i64, row: &mut [f32]) -> Result<Outcome, EnvError> {
        self.check(*action)?;
        let outcome = self.world.step(*action, &mut self.rng);
        write(&self.world.image(), row);
        Ok(outcome)
    }

    fn metadata(&self) -> Metadata {
        Metadata::new(&[RenderMode::Ansi, RenderMode::RgbArray], 10)
    }

    fn rng_mut(&mut self) -> Option<&mut Rng> {
        Some(&mut self.rng)
    }

    fn render(&mut self, mode: RenderMode) -> Result<Frame, EnvError> {
        if !self.is_started {
            return Err(EnvError::ResetNeeded);
        }
        Ok(match mode {
            RenderMode::Ansi => Frame::Ansi(draw::text(&self.world)),
            RenderMode::RgbArray => draw::draw(&self.world).into_frame(),
            _ => return Err(EnvError::not_drawn("MiniGrid", mode)),
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
        let max_steps = self.world.max_steps;
        self.world = read_world(self.level, state)
            .ok_or_else(|| EnvError::InvalidState(format!("it is none of {:?}", self.level)))?;
        self.world.max_steps = max_steps;
        state.restore_rng(&mut self.rng);
        self.is_started = true;
        Ok(())
    }

    fn max_episode_steps(&self) -> Option<u32> {
        Some(self.world.max_steps)
    }
}

/// Writes the numbers of an image; flat, so that many convert at once.
fn write(image: &Image, row: &mut [f32]) {
    let numbers = image.as_flattened().as_flattened();
    for (slot, number) in row.iter_mut().zip(numbers) {
        *slot = f32::from(*number);
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
