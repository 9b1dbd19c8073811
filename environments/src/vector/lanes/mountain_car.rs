//! MountainCar in lanes.

use super::{Block, Dynamics, LANES, trig};
use crate::{
    Env as _, EnvError, Options, Space,
    envs::{
        MountainCar,
        cartpole::bounds,
        mountain_car::{is_past, moved},
    },
    rng::Rng,
    vector::Actions,
};

/// How cars roll; [`MountainCar`] says it for one.
pub(crate) struct MountainCarLanes {
    /// The least velocity at the flag.
    pub(crate) goal_velocity: f64,
}

impl Dynamics<2, 2> for MountainCarLanes {
    type Action = i64;

    fn observation_space(&self) -> Space {
        MountainCar::new().observation_space()
    }

    fn action_space(&self) -> Space {
        MountainCar::new().action_space()
    }

    fn actions<'a>(actions: Actions<'a>) -> Option<&'a [i64]> {
        actions.discrete()
    }

    #[inline(always)]
    fn is_valid(action: i64) -> bool {
        (0..3).contains(&action)
    }

    #[inline(always)]
    fn advance(
        &self,
        state: &mut Block<2>,
        actions: &[i64; LANES],
        rewards: &mut [f64; LANES],
        terminated: &mut [bool; LANES],
    ) {
        let [positions, velocities] = state;
        let (_, slopes) = trig::sin_cos(&positions.map(|position| 3.0 * position));
        for lane in 0..LANES {
            // There is no instruction that makes a float of 64 bits of several lanes; one of 32 is enough.
            let action = f64::from(actions[lane] as i32);
            let [position, velocity] =
                moved(positions[lane], velocities[lane], action, slopes[lane]);
            positions[lane] = position;
            velocities[lane] = velocity;
            terminated[lane] = is_past(position, velocity, self.goal_velocity);
        }
        *rewards = [-1.0; LANES];
    }

    #[inline(always)]
    fn observe(state: &Block<2>, obs: &mut [[f32; 2]; LANES]) {
        for (lane, row) in obs.iter_mut().enumerate() {
            *row = std::array::from_fn(|at| state[at][lane] as f32);
        }
    }

    fn start(&self, rng: &mut Rng, options: &Options) -> Result<([f64; 2], [f32; 2]), EnvError> {
        let (low, high) = bounds(options, -0.6, -0.4)?;
        let state = [rng.uniform(low, high), 0.0];
        Ok((state, state.map(|value| value as f32)))
    }
}
