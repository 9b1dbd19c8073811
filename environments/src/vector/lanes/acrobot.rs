//! Acrobot in lanes.

use std::f64::consts::PI;

use super::{Block, Dynamics, LANES, trig};
use crate::{
    Env as _, EnvError, Options, Space,
    envs::{
        Acrobot, Equations,
        acrobot::{DT, FIRST_SPEED_MAX, SECOND_SPEED_MAX, Trig, accelerations, observe, start},
        cartpole::bounds,
    },
    rng::Rng,
    vector::Actions,
};

/// How two links swing; [`Acrobot`] says it for one pair.
pub(crate) struct AcrobotLanes {
    /// Which equations of motion hold.
    pub(crate) equations: Equations,
}

impl AcrobotLanes {
    /// Returns the rates of change of a block.
    #[inline(always)]
    fn derivative(&self, state: &Block<4>, torque: &[f64; LANES]) -> Block<4> {
        let [theta1, theta2, dtheta1, dtheta2] = state;
        let (sin2, cos2) = trig::sin_cos(theta2);
        // The cosine of an angle less a quarter turn is its sine.
        let (across, _) = trig::sin_cos(theta1);
        let (across_both, _) = trig::sin_cos(&each(|lane| theta1[lane] + theta2[lane]));
        let mut rates = [*dtheta1, *dtheta2, [0.0; LANES], [0.0; LANES]];
        for lane in 0..LANES {
            let angles = Trig {
                sin2: sin2[lane],
                cos2: cos2[lane],
                across: across[lane],
                across_both: across_both[lane],
            };
            let (first, second) = (dtheta1[lane], dtheta2[lane]);
            let [first, second] =
                accelerations(first, second, torque[lane], self.equations, angles);
            rates[2][lane] = first;
            rates[3][lane] = second;
        }
        rates
    }
}

#[inline(always)]
fn each(compute: impl Fn(usize) -> f64) -> [f64; LANES] {
    let mut lanes = [0.0; LANES];
    for (lane, number) in lanes.iter_mut().enumerate() {
        *number = compute(lane);
    }
    lanes
}

/// Returns a state moved along a slope for some seconds.
#[inline(always)]
fn ahead(state: &Block<4>, seconds: f64, slope: &Block<4>) -> Block<4> {
    let mut moved = *state;
    for (numbers, rates) in moved.iter_mut().zip(slope) {
        for (number, rate) in numbers.iter_mut().zip(rates) {
            *number += seconds * rate;
        }
    }
    moved
}

/// Brings an angle into ±π by whole turns.
#[inline(always)]
fn wrapped(angle: f64) -> f64 {
    angle - (angle / (2.0 * PI)).round_ties_even() * (2.0 * PI)
}

impl Dynamics<4, 6> for AcrobotLanes {
    type Action = i64;

    fn observation_space(&self) -> Space {
        Acrobot::new().observation_space()
    }

    fn action_space(&self) -> Space {
        Acrobot::new().action_space()
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
        state: &mut Block<4>,
        actions: &[i64; LANES],
        rewards: &mut [f64; LANES],
        terminated: &mut [bool; LANES],
    ) {
        let torque = each(|lane| f64::from(actions[lane] as i32 - 1));
        let k1 = self.derivative(state, &torque);
        let k2 = self.derivative(&ahead(state, DT / 2.0, &k1), &torque);
        let k3 = self.derivative(&ahead(state, DT / 2.0, &k2), &torque);
        let k4 = self.derivative(&ahead(state, DT, &k3), &torque);
        for (at, numbers) in state.iter_mut().enumerate() {
            for (lane, number) in numbers.iter_mut().enumerate() {
                let slopes = k1[at][lane] + 2.0 * k2[at][lane] + 2.0 * k3[at][lane] + k4[at][lane];
                *number += DT / 6.0 * slopes;
            }
        }
        let [theta1, theta2, dtheta1, dtheta2] = state;
        *theta1 = each(|lane| wrapped(theta1[lane]));
        *theta2 = each(|lane| wrapped(theta2[lane]));
        *dtheta1 = each(|lane| dtheta1[lane].clamp(-FIRST_SPEED_MAX, FIRST_SPEED_MAX));
        *dtheta2 = each(|lane| dtheta2[lane].clamp(-SECOND_SPEED_MAX, SECOND_SPEED_MAX));
        let (_, cos1) = trig::sin_cos(theta1);
        let (_, cos_both) = trig::sin_cos(&each(|lane| theta2[lane] + theta1[lane]));
        for lane in 0..LANES {
            let is_high = -cos1[lane] - cos_both[lane] > 1.0;
            terminated[lane] = is_high;
            rewards[lane] = if is_high { 0.0 } else { -1.0 };
        }
    }

    #[inline(always)]
    fn observe(state: &Block<4>, obs: &mut [[f32; 6]; LANES]) {
        let [theta1, theta2, dtheta1, dtheta2] = state;
        let (sin1, cos1) = trig::sin_cos(theta1);
        let (sin2, cos2) = trig::sin_cos(theta2);
        for (lane, row) in obs.iter_mut().enumerate() {
            let (first, second) = (dtheta1[lane], dtheta2[lane]);
            *row = [
                cos1[lane], sin1[lane], cos2[lane], sin2[lane], first, second,
            ]
            .map(|value| value as f32);
        }
    }

    fn start(&self, rng: &mut Rng, options: &Options) -> Result<([f64; 4], [f32; 6]), EnvError> {
        let (low, high) = bounds(options, -0.1, 0.1)?;
        let state = start(rng, low, high);
        Ok((state, observe(state)))
    }
}
