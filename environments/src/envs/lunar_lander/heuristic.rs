//! A policy by hand: keep the nose over the pad, fall more slowly the lower.

/// Returns an action for [`LunarLander`](super::LunarLander) that usually lands.
pub fn lunar_lander_heuristic(observation: &[f32; 8]) -> i64 {
    let [turn, hover] = wishes(observation);
    if hover > turn.abs() && hover > 0.05 {
        2
    } else if turn < -0.05 {
        3
    } else if turn > 0.05 {
        1
    } else {
        0
    }
}

/// Returns an action for [`LunarLanderContinuous`](super::LunarLanderContinuous) that usually lands.
pub fn lunar_lander_heuristic_continuous(observation: &[f32; 8]) -> [f32; 2] {
    let [turn, hover] = wishes(observation);
    [hover * 20.0 - 1.0, -turn * 20.0].map(|value| value.clamp(-1.0, 1.0))
}

/// Returns how much to turn and how much to push up.
fn wishes(observation: &[f32; 8]) -> [f32; 2] {
    let [x, y, vx, vy, angle, angular, left, right] = *observation;
    if left != 0.0 || right != 0.0 {
        return [0.0, -vy * 0.5];
    }
    let target = (x * 0.5 + vx).clamp(-0.4, 0.4);
    let height = 0.55 * x.abs();
    [
        (target - angle) * 0.5 - angular,
        (height - y) * 0.5 - vy * 0.5,
    ]
}
