//! The ids of the levels, as in the Python package.

use super::{MiniGrid, WithMission, level::Level};
use crate::{EnvSpec, Kwargs, MakeError, vector::SyncVectorEnv};

pub(in crate::envs) fn specs() -> Vec<EnvSpec> {
    let specs = LEVELS.into_iter().map(|(id, level)| {
        let make = move |kwargs: &mut Kwargs| -> Result<MiniGrid, MakeError> {
            let env = MiniGrid::new(level)?;
            let Some(max_steps) = kwargs.take_int("max_steps")? else {
                return Ok(env);
            };
            match u32::try_from(max_steps) {
                Ok(max_steps @ 1..) => Ok(env.max_steps(max_steps)),
                _ => Err(MakeError::InvalidArgument {
                    argument: "max_steps".into(),
                    reason: format!("{max_steps} is not a number of steps"),
                }),
            }
        };
        EnvSpec::new(id, move |kwargs| Ok(WithMission(make(kwargs)?))).vector_entry_point(
            move |kwargs, config| {
                // Each environment has its own generator, so each is made.
                let given = kwargs.clone();
                let envs = (0..config.num_envs).map(|_| {
                    *kwargs = given.clone();
                    make(kwargs)
                });
                let envs = envs.collect::<Result<Vec<_>, _>>()?;
                let envs = SyncVectorEnv::from_envs(envs, config.autoreset_mode)?;
                Ok(envs.with_time_limit(config.max_episode_steps))
            },
        )
    });
    specs.collect()
}

/// Every id with its level.
pub const LEVELS: [(&str, Level); 48] = [
    (
        "MiniGrid-BlockedUnlockPickup-v0",
        Level::BlockedUnlockPickup,
    ),
    ("MiniGrid-DistShift1-v0", Level::DistShift { strip_row: 2 }),
    ("MiniGrid-DistShift2-v0", Level::DistShift { strip_row: 5 }),
    ("MiniGrid-DoorKey-5x5-v0", Level::DoorKey { size: 5 }),
    ("MiniGrid-DoorKey-6x6-v0", Level::DoorKey { size: 6 }),
    ("MiniGrid-DoorKey-8x8-v0", Level::DoorKey { size: 8 }),
    ("MiniGrid-DoorKey-16x16-v0", Level::DoorKey { size: 16 }),
    ("MiniGrid-Dynamic-Obstacles-5x5-v0", obstacles(5, 2, false)),
    (
        "MiniGrid-Dynamic-Obstacles-Random-5x5-v0",
        obstacles(5, 2, true),
    ),
    ("MiniGrid-Dynamic-Obstacles-6x6-v0", obstacles(6, 3, false)),
    (
        "MiniGrid-Dynamic-Obstacles-Random-6x6-v0",
        obstacles(6, 3, true),
    ),
    ("MiniGrid-Dynamic-Obstacles-8x8-v0", obstacles(8, 4, false)),
    (
        "MiniGrid-Dynamic-Obstacles-16x16-v0",
        obstacles(16, 8, false),
    ),
    ("MiniGrid-Empty-5x5-v0", empty(5, false)),
    ("MiniGrid-Empty-Random-5x5-v0", empty(5, true)),
    ("MiniGrid-Empty-6x6-v0", empty(6, false)),
    ("MiniGrid-Empty-Random-6x6-v0", empty(6, true)),
    ("MiniGrid-Empty-8x8-v0", empty(8, false)),
    ("MiniGrid-Empty-16x16-v0", empty(16, false)),
    ("MiniGrid-FourRooms-v0", Level::FourRooms),
    ("MiniGrid-GoToDoor-5x5-v0", Level::GoToDoor { size: 5 }),
    ("MiniGrid-GoToDoor-6x6-v0", Level::GoToDoor { size: 6 }),
    ("MiniGrid-GoToDoor-8x8-v0", Level::GoToDoor { size: 8 }),
    ("MiniGrid-KeyCorridorS3R1-v0", key_corridor(3, 1)),
    ("MiniGrid-KeyCorridorS3R2-v0", key_corridor(3, 2)),
    ("MiniGrid-KeyCorridorS3R3-v0", key_corridor(3, 3)),
    ("MiniGrid-KeyCorridorS4R3-v0", key_corridor(4, 3)),
    ("MiniGrid-KeyCorridorS5R3-v0", key_corridor(5, 3)),
    ("MiniGrid-KeyCorridorS6R3-v0", key_corridor(6, 3)),
    ("MiniGrid-LavaCrossingS9N1-v0", lava_crossing(9, 1)),
    ("MiniGrid-LavaCrossingS9N2-v0", lava_crossing(9, 2)),
    ("MiniGrid-LavaCrossingS9N3-v0", lava_crossing(9, 3)),
    ("MiniGrid-LavaCrossingS11N5-v0", lava_crossing(11, 5)),
    ("MiniGrid-LavaGapS5-v0", Level::LavaGap { size: 5 }),
    ("MiniGrid-LavaGapS6-v0", Level::LavaGap { size: 6 }),
    ("MiniGrid-LavaGapS7-v0", Level::LavaGap { size: 7 }),
    ("MiniGrid-MultiRoom-N2-S4-v0", multi_room(2, 4)),
    // Its name says four rooms and it has six, as in the package; v1 has four.
    ("MiniGrid-MultiRoom-N4-S5-v0", multi_room(6, 5)),
    ("MiniGrid-MultiRoom-N4-S5-v1", multi_room(4, 5)),
    ("MiniGrid-MultiRoom-N6-v0", multi_room(6, 10)),
    (
        "MiniGrid-RedBlueDoors-6x6-v0",
        Level::RedBlueDoors { size: 6 },
    ),
    (
        "MiniGrid-RedBlueDoors-8x8-v0",
        Level::RedBlueDoors { size: 8 },
    ),
    ("MiniGrid-SimpleCrossingS9N1-v0", simple_crossing(9, 1)),
    ("MiniGrid-SimpleCrossingS9N2-v0", simple_crossing(9, 2)),
    ("MiniGrid-SimpleCrossingS9N3-v0", simple_crossing(9, 3)),
    ("MiniGrid-SimpleCrossingS11N5-v0", simple_crossing(11, 5)),
    ("MiniGrid-Unlock-v0", Level::Unlock),
    ("MiniGrid-UnlockPickup-v0", Level::UnlockPickup),
];

const fn empty(size: u8, random_start: bool) -> Level {
    Level::Empty { size, random_start }
}

const fn obstacles(size: u8, obstacles: u8, random_start: bool) -> Level {
    Level::DynamicObstacles {
        size,
        obstacles,
        random_start,
    }
}

const fn key_corridor(room_size: u8, rows: u8) -> Level {
    Level::KeyCorridor { room_size, rows }
}

const fn lava_crossing(size: u8, crossings: u8) -> Level {
    Level::LavaCrossing { size, crossings }
}

const fn simple_crossing(size: u8, crossings: u8) -> Level {
    Level::SimpleCrossing { size, crossings }
}

const fn multi_room(rooms: u8, max_room_size: u8) -> Level {
    Level::MultiRoom {
        rooms,
        max_room_size,
    }
}
