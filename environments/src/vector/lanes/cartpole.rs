//! CartPole in lanes.

use super::{Block, Dynamics, LANES, trig};
use crate::{
    Env as _, EnvError, Options, Space,
    envs::{CartPole, cartpole::*},
    rng::Rng,
    vector::Actions,
};

/// How carts and poles move; [`CartPole`] says it for one.
pub(crate) struct CartPoleLanes {
    /// Whether rewards are those of Sutton and Barto.
    pub(crate) sutton_barto_reward: bool,
}

impl Dynamics<4, 4> for CartPoleLanes {
    type Action = i64;

    fn observation_space(&self) -> Space {
        CartPole::new().observation_space()
    }

    fn action_space(&self) -> Space {
        CartPole::new().action_space()
    }

    fn actions<'a>(actions: Actions<'a>) -> Option<&'a [i64]> {
        actions.discrete()
    }

    #[inline(always)]
    fn is_valid(action: i64) -> bool {
        (0..2).contains(&action)
    }

    #[inline(always)]
    fn advance(
        &self,
        state: &mut Block<4>,
        actions: &[i64; LANES],
        rewards: &mut [f64; LANES],
        terminated: &mut [bool; LANES],
    ) {
        let [x, x_dot, theta, theta_dot] = state;
        let (sines, cosines) = trig::sin_cos(theta);
        for lane in 0..LANES {
            let force = if actions[lane] == 1 { FORCE } else { -FORCE };
            let (sin, cos) = (sines[lane], cosines[lane]);
            let (x_acc, theta_acc) = accelerations(theta_dot[lane], force, sin, cos);
            x[lane] += TAU * x_dot[lane];
            x_dot[lane] += TAU * x_acc;
            theta[lane] += TAU * theta_dot[lane];
            theta_dot[lane] += TAU * theta_acc;
            let has_failed = (x[lane].abs() > X_LIMIT) | (theta[lane].abs() > THETA_LIMIT);
            terminated[lane] = has_failed;
        }
        let (while_upright, at_failure) = match self.sutton_barto_reward {
            true => (0.0, -1.0),
            false => (1.0, 1.0),
        };
        for lane in 0..LANES {
            rewards[lane] = if terminated[lane] {
                at_failure
            } else {
                while_upright
            };
        }
    }

    #[inline(always)]
    fn observe(state: &Block<4>, obs: &mut [[f32; 4]; LANES]) {
        for (lane, row) in obs.iter_mut().enumerate() {
            *row = std::array::from_fn(|at| state[at][lane] as f32);
        }
    }

    fn start(&self, rng: &mut Rng, options: &Options) -> Result<([f64; 4], [f32; 4]), EnvError> {
        let (low, high) = bounds(options, -0.05, 0.05)?;
        let state = std::array::from_fn(|_| rng.uniform(low, high));
        Ok((state, state.map(|value| value as f32)))
    }
}
