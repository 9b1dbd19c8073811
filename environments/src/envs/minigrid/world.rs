//! The rules: what an action does to the grid and the agent, and what it earns.

use super::{
    grid::{Cell, DIRECTIONS, DoorState, Grid, Image, Object, Position},
    level::Level,
};
use crate::{Outcome, rng::Rng};

/// What ends an episode well.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Task {
    /// Stand on the goal.
    ReachGoal,
    /// Stand on the goal and walk into nothing that moves.
    AvoidObstacles,
    /// Open the door.
    OpenDoor(Position),
    /// Carry the object.
    PickUp(Cell),
    /// Say `done` beside the door, and open none.
    GoToDoor(Position),
    /// Open the first door, then the second.
    OpenInOrder(Position, Position),
}

/// One episode's grid and agent.
#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) grid: Grid,
    pub(super) agent: Position,
    /// 0 to 3: right, down, left, up.
    pub(super) direction: usize,
    pub(super) carrying: Option<Cell>,
    pub(super) task: Task,
    /// Where the balls are that move by themselves.
    pub(super) obstacles: Vec<Position>,
    pub(super) elapsed: u32,
    pub(super) max_steps: u32,
    pub(super) sees_through_walls: bool,
}

impl World {
    /// Makes the empty world of a level.
    pub(super) fn new(level: Level) -> World {
        let (width, height) = level.size();
        World {
            grid: Grid::new(width, height),
            agent: NOWHERE,
            direction: 0,
            carrying: None,
            task: Task::ReachGoal,
            obstacles: Vec::new(),
            elapsed: 0,
            max_steps: level.max_steps(),
            sees_through_walls: level.sees_through_walls(),
        }
    }

    /// Empties everything for a new layout.
    pub(super) fn clear(&mut self) {
        self.grid.clear();
        self.agent = NOWHERE;
        self.direction = 0;
        self.carrying = None;
        self.obstacles.clear();
        self.elapsed = 0;
    }

    /// Returns what the agent sees.
    pub(super) fn image(&self) -> Image {
        self.grid.view(
            self.agent,
            self.direction,
            self.carrying,
            self.sees_through_walls,
        )
    }

    /// Returns the position in front of the agent.
    pub(super) fn front(&self) -> Position {
        let (dx, dy) = DIRECTIONS[self.direction];
        (self.agent.0 + dx, self.agent.1 + dy)
    }

    /// Does an action from 0 to 6.
    pub(super) fn step(&mut self, action: i64, rng: &mut Rng) -> Outcome {
        match self.task {
            Task::AvoidObstacles => {
                let ahead = self.grid.get(self.front()).object;
                let is_blocked = !matches!(ahead, Object::Empty | Object::Goal);
                self.move_obstacles(rng);
                let mut outcome = self.act(action);
                if action == FORWARD && is_blocked {
                    outcome.reward = -1.0;
                    outcome.terminated = true;
                }
                outcome
            }
            Task::OpenInOrder(first, second) => {
                let was_first_open = self.is_open(first);
                let mut outcome = self.act(action);
                if self.is_open(second) {
                    outcome.terminated = true;
                    outcome.reward = if was_first_open { self.success() } else { 0.0 };
                }
                outcome
            }
            Task::ReachGoal | Task::OpenDoor(_) | Task::PickUp(_) | Task::GoToDoor(_) => {
                let mut outcome = self.act(action);
                if let Some(reward) = self.judge(action) {
                    outcome.reward = reward;
                    outcome.terminated = true;
                }
                outcome
            }
        }
    }

    /// Turns, moves, or handles what is in front.
    fn act(&mut self, action: i64) -> Outcome {
        self.elapsed += 1;
        let mut outcome = Outcome {
            truncated: self.elapsed >= self.max_steps,
            ..Outcome::default()
        };
        let front = self.front();
        let ahead = self.grid.get(front);
        match action {
            LEFT => self.direction = (self.direction + 3) % 4,
            RIGHT => self.direction = (self.direction + 1) % 4,
            FORWARD => {
                if ahead.can_overlap() {
                    self.agent = front;
                }
                if ahead.object == Object::Goal {
                    outcome.reward = self.success();
                }
                outcome.terminated = matches!(ahead.object, Object::Goal | Object::Lava);
            }
            PICKUP if ahead.can_pickup() && self.carrying.is_none() => {
                self.carrying = Some(ahead);
                self.grid.set(front, Cell::EMPTY);
            }
            DROP if ahead.object == Object::Empty => {
                if let Some(carried) = self.carrying.take() {
                    self.grid.set(front, carried);
                }
            }
            TOGGLE => self.toggle(front, ahead),
            // Nothing to handle, or `done`, which only some tasks listen to.
            _ => {}
        }
        outcome
    }

    fn toggle(&mut self, at: Position, cell: Cell) {
        let after = match (cell.object, cell.state) {
            (Object::Door, DoorState::Open) => Cell::door(cell.color, DoorState::Closed),
            (Object::Door, DoorState::Closed) => Cell::door(cell.color, DoorState::Open),
            (Object::Door, DoorState::Locked) => {
                if self.carrying != Some(Cell::new(Object::Key, cell.color)) {
                    return;
                }
                Cell::door(cell.color, DoorState::Open)
            }
            // These boxes hold nothing.
            (Object::Box, _) => Cell::EMPTY,
            _ => return,
        };
        self.grid.set(at, after);
    }

    /// Returns the reward of an action that was just done, where the task ends with it.
    fn judge(&self, action: i64) -> Option<f64> {
        match (self.task, action) {
            (Task::OpenDoor(door), TOGGLE) => self.is_open(door).then(|| self.success()),
            (Task::PickUp(wanted), PICKUP) => {
                (self.carrying == Some(wanted)).then(|| self.success())
            }
            (Task::GoToDoor(_), TOGGLE) => Some(0.0),
            (Task::GoToDoor((x, y)), DONE) => {
                let distance = (self.agent.0 - x).abs() + (self.agent.1 - y).abs();
                Some(if distance == 1 { self.success() } else { 0.0 })
            }
            _ => None,
        }
    }

    fn success(&self) -> f64 {
        1.0 - 0.9 * (f64::from(self.elapsed) / f64::from(self.max_steps))
    }

    fn is_open(&self, at: Position) -> bool {
        let cell = self.grid.get(at);
        cell.object == Object::Door && cell.state == DoorState::Open
    }

    /// Moves each obstacle to a free cell beside it, if a few tries find one.
    fn move_obstacles(&mut self, rng: &mut Rng) {
        for at in 0..self.obstacles.len() {
            let old = self.obstacles[at];
            let around = Area {
                top: (old.0 - 1, old.1 - 1),
                size: (3, 3),
            };
            let ball = self.grid.get(old);
            if let Some(new) = self.place(ball, around, OBSTACLE_TRIES, rng, |_| false) {
                self.grid.set(old, Cell::EMPTY);
                self.obstacles[at] = new;
            }
        }
    }

    /// Puts a cell at a random free position of an area; `None` when the tries are used up.
    pub(super) fn place(
        &mut self,
        cell: Cell,
        area: Area,
        tries: u32,
        rng: &mut Rng,
        rejects: impl Fn(Position) -> bool,
    ) -> Option<Position> {
        let (left, top) = (area.top.0.max(0), area.top.1.max(0));
        let right = (left + area.size.0).min(self.grid.width());
        let bottom = (top + area.size.1).min(self.grid.height());
        // The first try does not count.
        for _ in 0..=tries {
            let at = (between(rng, left, right), between(rng, top, bottom));
            if self.grid.get(at) == Cell::EMPTY && at != self.agent && !rejects(at) {
                self.grid.set(at, cell);
                return Some(at);
            }
        }
        None
    }

    /// Puts the agent at a random free position of an area, in a random direction.
    pub(super) fn place_agent(&mut self, area: Area, tries: u32, rng: &mut Rng) -> Option<()> {
        self.agent = NOWHERE;
        self.agent = self.place(Cell::EMPTY, area, tries, rng, |_| false)?;
        self.direction = between(rng, 0, 4) as usize;
        Some(())
    }

    /// Returns the area of the whole grid.
    pub(super) fn everywhere(&self) -> Area {
        Area {
            top: (0, 0),
            size: (self.grid.width(), self.grid.height()),
        }
    }
}

/// Draws from `low..high`; `low` where that is empty.
pub(super) fn between(rng: &mut Rng, low: i32, high: i32) -> i32 {
    low + rng.below((high - low).max(1) as u64) as i32
}

/// A rectangle of the grid.
#[derive(Clone, Copy, Debug)]
pub(super) struct Area {
    pub(super) top: Position,
    pub(super) size: Position,
}

/// Tries to place something where there surely is room; the odds of missing are nil.
pub(super) const MANY_TRIES: u32 = 100_000;
/// Tries to place something in a room, before the layout counts as failed.
pub(super) const ROOM_TRIES: u32 = 1_000;
/// Tries to move or place an obstacle.
pub(super) const OBSTACLE_TRIES: u32 = 100;

pub(super) const LEFT: i64 = 0;
pub(super) const RIGHT: i64 = 1;
pub(super) const FORWARD: i64 = 2;
pub(super) const PICKUP: i64 = 3;
pub(super) const DROP: i64 = 4;
pub(super) const TOGGLE: i64 = 5;
pub(super) const DONE: i64 = 6;

/// The agent's position while there is none.
const NOWHERE: Position = (-1, -1);
