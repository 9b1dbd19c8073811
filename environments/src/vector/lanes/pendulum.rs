//! Pendulum in lanes.

use std::f64::consts::PI;

use super::{Block, Dynamics, LANES, trig};
use crate::{
    Env as _, EnvError, Options, Space,
    envs::{
        Pendulum,
        pendulum::{DT, SPEED_MAX, TORQUE_MAX, observe, start},
    },
    rng::Rng,
    vector::Actions,
};

/// How pendulums swing; [`Pendulum`] says it for one.
pub(crate) struct PendulumLanes {
    /// m/s².
    pub(crate) gravity: f64,
}

impl Dynamics<2, 3> for PendulumLanes {
    type Action = f32;

    fn observation_space(&self) -> Space {
        Pendulum::new().observation_space()
    }

    fn action_space(&self) -> Space {
        Pendulum::new().action_space()
    }

    fn actions<'a>(actions: Actions<'a>) -> Option<&'a [f32]> {
        actions.continuous()
    }

    #[inline(always)]
    fn is_valid(action: f32) -> bool {
        !action.is_nan()
    }

    #[inline(always)]
    fn advance(
        &self,
        state: &mut Block<2>,
        actions: &[f32; LANES],
        rewards: &mut [f64; LANES],
        terminated: &mut [bool; LANES],
    ) {
        let [angle, velocity] = state;
        let (sines, _) = trig::sin_cos(angle);
        for lane in 0..LANES {
            let torque = f64::from(actions[lane]).clamp(-TORQUE_MAX, TORQUE_MAX);
            // The remainder lies in 0..2π but for rounding, which the cost does not feel.
            let turned = angle[lane] + PI;
            let upright = turned - (turned / (2.0 * PI)).floor() * (2.0 * PI) - PI;
            let speed = velocity[lane];
            let cost = upright * upright + 0.1 * (speed * speed) + 0.001 * (torque * torque);
            let acceleration = 3.0 * self.gravity / 2.0 * sines[lane] + 3.0 * torque;
            velocity[lane] = (speed + acceleration * DT).clamp(-SPEED_MAX, SPEED_MAX);
            angle[lane] += velocity[lane] * DT;
            rewards[lane] = -cost;
        }
        *terminated = [false; LANES];
    }

    #[inline(always)]
    fn observe(state: &Block<2>, obs: &mut [[f32; 3]; LANES]) {
        let [angle, velocity] = state;
        let (sines, cosines) = trig::sin_cos(angle);
        for (lane, row) in obs.iter_mut().enumerate() {
            *row = [cosines[lane], sines[lane], velocity[lane]].map(|value| value as f32);
        }
    }

    fn start(&self, rng: &mut Rng, options: &Options) -> Result<([f64; 2], [f32; 3]), EnvError> {
        let state = start(rng, options)?;
        Ok((state, observe(state)))
    }
}
