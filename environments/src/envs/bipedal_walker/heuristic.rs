//! A policy by hand: one leg swings while the other carries, then they change.

/// A policy for [`BipedalWalker`](super::BipedalWalker) that walks, badly balanced; one for each episode.
#[derive(Clone, Debug, PartialEq)]
pub struct BipedalWalkerHeuristic {
    phase: Phase,
    /// 0 or 1; the other one carries.
    moving_leg: usize,
    supporting_knee_angle: f32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    StayOnOneLeg,
    PutOtherDown,
    PushOff,
}

impl Default for BipedalWalkerHeuristic {
    fn default() -> Self {
        BipedalWalkerHeuristic::new()
    }
}

impl BipedalWalkerHeuristic {
    /// Returns the policy at the start of an episode.
    pub fn new() -> BipedalWalkerHeuristic {
        BipedalWalkerHeuristic {
            phase: Phase::StayOnOneLeg,
            moving_leg: 0,
            supporting_knee_angle: SUPPORT_KNEE_ANGLE,
        }
    }

    /// Returns the action for an observation, and goes on to the next phase when it is time.
    pub fn act(&mut self, observation: &[f32; 24]) -> [f32; 4] {
        let s = observation;
        let (moving, supporting) = (self.moving_leg, 1 - self.moving_leg);
        let (moving_base, supporting_base) = (4 + 5 * moving, 4 + 5 * supporting);
        let mut hip_target = [None; 2];
        let mut knee_target = [None; 2];
        if self.phase == Phase::StayOnOneLeg {
            hip_target[moving] = Some(1.1);
            knee_target[moving] = Some(-0.6);
            self.supporting_knee_angle += 0.03;
            if s[2] > SPEED {
                self.supporting_knee_angle += 0.03;
            }
            self.supporting_knee_angle = self.supporting_knee_angle.min(SUPPORT_KNEE_ANGLE);
            knee_target[supporting] = Some(self.supporting_knee_angle);
            if s[supporting_base] < 0.1 {
                self.phase = Phase::PutOtherDown;
            }
        }
        if self.phase == Phase::PutOtherDown {
            hip_target[moving] = Some(0.1);
            knee_target[moving] = Some(SUPPORT_KNEE_ANGLE);
            knee_target[supporting] = Some(self.supporting_knee_angle);
            if s[moving_base + 4] != 0.0 {
                self.phase = Phase::PushOff;
                self.supporting_knee_angle = s[moving_base + 2].min(SUPPORT_KNEE_ANGLE);
            }
        }
        if self.phase == Phase::PushOff {
            knee_target[moving] = Some(self.supporting_knee_angle);
            knee_target[supporting] = Some(1.0);
            if s[supporting_base + 2] > 0.88 || s[2] > 1.2 * SPEED {
                self.phase = Phase::StayOnOneLeg;
                self.moving_leg = supporting;
            }
        }
        let mut action = [0.0; 4];
        for leg in 0..2 {
            let base = 4 + 5 * leg;
            let drive = |target: Option<f32>, gain: f32, at: usize| {
                target.map_or(0.0, |target| gain * (target - s[at]) - 0.25 * s[at + 1])
            };
            // The hull is to stay level, and not to bounce.
            let hip = drive(hip_target[leg], 0.9, base) - (0.9 * -s[0] - 1.5 * s[1]);
            let knee = drive(knee_target[leg], 4.0, base + 2) - 15.0 * s[3];
            action[2 * leg] = (0.5 * hip).clamp(-1.0, 1.0);
            action[2 * leg + 1] = (0.5 * knee).clamp(-1.0, 1.0);
        }
        action
    }
}

/// The horizontal speed, as observed, above which it would fall forward.
const SPEED: f32 = 0.29;
const SUPPORT_KNEE_ANGLE: f32 = 0.1;
