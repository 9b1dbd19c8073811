//! What an agent is told to do, and the observation that says so.

use std::collections::BTreeMap;

use super::{
    MiniGrid,
    grid::{Image, Object, ObjectColor},
    level::Level,
    world::Task,
};
use crate::{
    BoxSpace, Dict, Discrete, Dtype, Env, EnvError, Info, Observation as _, Options, Space, Step,
    TextSpace, Value, dynamic::forward,
};

impl MiniGrid {
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
}

/// A [`MiniGrid`] whose observations are a `Dict` of image, direction and mission, as in the Python package.
#[derive(Clone, Debug)]
pub struct WithMission(
    /// The environment.
    pub MiniGrid,
);

impl WithMission {
    fn observation(&self, image: &Image) -> Value {
        let direction = self.0.direction() as i64;
        Value::Map(BTreeMap::from([
            ("image".to_owned(), image.to_value()),
            ("direction".to_owned(), Value::Int(direction)),
            ("mission".to_owned(), Value::Text(self.0.mission())),
        ]))
    }
}

impl Env for WithMission {
    type Observation = Value;
    type Action = i64;

    forward!(0: state, limit, attributes);

    fn observation_space(&self) -> Space {
        let letters = ('a'..='z').chain([' ']);
        let image = BoxSpace::of_dtype(&[super::VIEW, super::VIEW, 3], Dtype::U8);
        Space::Dict(Dict::new([
            ("image", Space::Box(image)),
            ("direction", Space::Discrete(Discrete::new(4))),
            (
                "mission",
                Space::Text(TextSpace::with_letters(1, LONGEST_MISSION, letters)),
            ),
        ]))
    }

    fn action_space(&self) -> Space {
        self.0.action_space()
    }

    fn reset(&mut self, seed: Option<u64>, options: &Options) -> Result<(Value, Info), EnvError> {
        let (image, info) = self.0.reset(seed, options)?;
        Ok((self.observation(&image), info))
    }

    fn step(&mut self, action: &i64) -> Result<Step<Value>, EnvError> {
        let step = self.0.step(action)?;
        Ok(step.map(|image| self.observation(&image)))
    }
}

/// Letters of the longest mission.
const LONGEST_MISSION: usize = 54;
