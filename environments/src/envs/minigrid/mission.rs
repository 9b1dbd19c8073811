//! What an agent is told to do, and the observation that says so.

use std::collections::BTreeMap;

use super::{
    MiniGrid, VIEW,
    grid::{Image, Object},
    level::Level,
    world::Task,
};
use crate::{
    BoxSpace, Dict, Discrete, Dtype, Env, EnvError, Info, Observation as _, Options, Outcome,
    Space, Step, TextSpace, Value, dynamic::forward,
};

impl MiniGrid {
    /// Returns what the agent is told to do in this episode.
    pub fn mission(&self) -> String {
        self.mission_parts().concat()
    }

    /// Returns the mission as texts to be joined.
    fn mission_parts(&self) -> [&'static str; 3] {
        let whole = |text| [text, "", ""];
        match (self.world.task, self.level) {
            (Task::OpenDoor(_), _) => whole("open the door"),
            (Task::OpenInOrder(..), _) => whole("open the red door then the blue door"),
            (Task::PickUp(cell), _) if cell.object == Object::Ball => {
                ["pick up the ", cell.color.name(), " ball"]
            }
            (Task::PickUp(cell), _) => ["pick up the ", cell.color.name(), " box"],
            (Task::GoToDoor(at), _) => {
                ["go to the ", self.world.grid.get(at).color.name(), " door"]
            }
            (_, Level::DoorKey { .. }) => {
                whole("use the key to open the door and then get to the goal")
            }
            (_, Level::FourRooms) => whole("reach the goal"),
            (_, Level::MultiRoom { .. }) => whole("traverse the rooms to get to the goal"),
            (_, Level::LavaGap { .. } | Level::LavaCrossing { .. }) => {
                whole("avoid the lava and get to the green goal square")
            }
            (_, Level::SimpleCrossing { .. }) => {
                whole("find the opening and get to the green goal square")
            }
            _ => whole("get to the green goal square"),
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

impl WithMission {
    /// Writes direction, image and mission, as the dict is flattened.
    fn write(&self, row: &mut [f32]) {
        let (direction, rest) = row.split_at_mut(1);
        direction[0] = self.0.direction() as f32;
        let (image, mission) = rest.split_at_mut(VIEW * VIEW * 3);
        super::write(&self.0.world.image(), image);
        let letters = self.0.mission_parts().into_iter().flat_map(str::bytes);
        let padded = letters.map(f32::from).chain(std::iter::repeat(0.0));
        for (slot, letter) in mission.iter_mut().zip(padded) {
            *slot = letter;
        }
    }
}

impl Env for WithMission {
    type Observation = Value;
    type Action = i64;

    forward!(0: state, limit, attributes);

    fn observation_space(&self) -> Space {
        let letters = ('a'..='z').chain([' ']);
        let image = BoxSpace::of_dtype(&[VIEW, VIEW, 3], Dtype::U8);
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

    fn reset_into(
        &mut self,
        seed: Option<u64>,
        _options: &Options,
        row: &mut [f32],
    ) -> Result<(), EnvError> {
        self.0.restart(seed)?;
        self.write(row);
        Ok(())
    }

    fn step_into(&mut self, action: &i64, row: &mut [f32]) -> Result<Outcome, EnvError> {
        self.0.check(*action)?;
        let outcome = self.0.world.step(*action, &mut self.0.rng);
        self.write(row);
        Ok(outcome)
    }
}

/// Letters of the longest mission.
const LONGEST_MISSION: usize = 54;
