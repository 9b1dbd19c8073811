//! Plays an environment with random actions, and writes down what it shows.

use super::{
    Promise,
    finding::Report,
    member::{are_near, difference, fault},
};
use crate::{Action as _, Env, Info, Observation as _, Options, Space, Value, rng::Rng};

/// What a reset or a step showed.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) is_reset: bool,
    pub(super) observation: Value,
    pub(super) reward: f64,
    pub(super) flags: (bool, bool),
    pub(super) info: Info,
}

/// How two environments that were played alike came to differ.
pub(super) struct Divergence {
    /// Whether a reset did it.
    pub(super) is_reset: bool,
    /// Whether it is only infos that differ.
    pub(super) is_info: bool,
    pub(super) place: String,
    pub(super) problem: String,
}

/// Draws an action that the mask allows.
pub(super) fn draw<E: Env>(env: &E, space: &Space, rng: &mut Rng) -> Value {
    if let Space::Discrete(choice) = space {
        let mut mask = vec![true; choice.n as usize];
        if env.action_mask(&mut mask) && mask.contains(&true) {
            return Value::Int(choice.sample_masked(&mask, rng));
        }
    }
    space.sample(rng)
}

/// Plays from a seed, and checks everything that is seen against what was promised.
pub(super) fn play<E: Env>(env: &mut E, seed: u64, steps: usize, report: &mut Report) -> Vec<Seen> {
    let (observations, actions) = (env.observation_space(), env.action_space());
    let mut rng = Rng::stream(seed, 0, 1);
    let mut log: Vec<Seen> = Vec::new();
    let (mut next_seed, mut needs_reset, mut length) = (Some(seed), true, 0_u32);
    for at in 0..steps {
        if needs_reset {
            match env.reset(next_seed.take(), &Options::new()) {
                Ok((observation, info)) => log.push(Seen {
                    is_reset: true,
                    observation: observation.to_value(),
                    reward: 0.0,
                    flags: (false, false),
                    info,
                }),
                Err(error) => {
                    report.find(Promise::ResetAccepted, "reset", error.to_string());
                    return log;
                }
            }
            length = 0;
        } else {
            check_mask(env, &actions, at, report);
            let action = draw(env, &actions, &mut rng);
            let Some(read) = E::Action::from_value(&action) else {
                let problem = format!("the type of actions does not read {action:?}");
                report.find(Promise::ActionAccepted, "action_space", problem);
                return log;
            };
            match env.step(&read) {
                Ok(step) => log.push(Seen {
                    is_reset: false,
                    observation: step.observation.to_value(),
                    reward: step.reward,
                    flags: (step.terminated, step.truncated),
                    info: step.info,
                }),
                Err(error) => {
                    let problem = format!("{action:?} of the action space: {error}");
                    report.find(Promise::ActionAccepted, format!("step {at}"), problem);
                    return log;
                }
            }
            length += 1;
        }
        let seen = log.last().expect("it was pushed above");
        check_seen(seen, &observations, at, report);
        if seen.flags == (true, true) && env.max_episode_steps() != Some(length) {
            let problem = "`terminated` and `truncated` are both set, and no limit was reached";
            report.find(Promise::SeparateFlags, format!("step {at}"), problem);
        }
        needs_reset = seen.flags.0 || seen.flags.1;
    }
    if env.observation_space() != observations || env.action_space() != actions {
        let place = format!("after {steps} steps");
        report.find(
            Promise::ConstantSpace,
            place,
            "a space is another than before",
        );
    }
    log
}

fn check_mask<E: Env>(env: &E, actions: &Space, at: usize, report: &mut Report) {
    if let Space::Discrete(choice) = actions {
        let mut mask = vec![true; choice.n as usize];
        if env.action_mask(&mut mask) && !mask.contains(&true) {
            let problem = "it allows no choice, and the episode goes on";
            report.find(
                Promise::ActionMask,
                format!("action_mask at step {at}"),
                problem,
            );
        }
    }
}

fn check_seen(seen: &Seen, observations: &Space, at: usize, report: &mut Report) {
    let place = match seen.is_reset {
        true => format!("reset at step {at}"),
        false => format!("step {at}"),
    };
    if let Some((promise, problem)) = fault(observations, &seen.observation, "the observation") {
        report.find(promise, place.as_str(), problem);
    }
    if !seen.reward.is_finite() {
        let problem = format!("the reward is {}", seen.reward);
        report.find(Promise::FiniteReward, place, problem);
    }
}

/// Returns where two logs first differ.
pub(super) fn divergence(a: &[Seen], b: &[Seen], tolerance: f64) -> Option<Divergence> {
    let differs = |(at, (a, b)): (usize, (&Seen, &Seen))| {
        let place = match a.is_reset {
            true => format!("reset at step {at}"),
            false => format!("step {at}"),
        };
        let found = |is_info, problem| {
            Some(Divergence {
                is_reset: a.is_reset,
                is_info,
                place,
                problem,
            })
        };
        let (x, y) = (&a.observation, &b.observation);
        if let Some(problem) = difference(x, y, tolerance, "the observations") {
            return found(false, problem);
        }
        if !are_near(a.reward, b.reward, tolerance) {
            return found(false, format!("the rewards: {} and {}", a.reward, b.reward));
        }
        if a.flags != b.flags {
            let problem = format!("the flags: {:?} and {:?}", a.flags, b.flags);
            return found(false, problem);
        }
        let infos = (Value::Map(a.info.clone()), Value::Map(b.info.clone()));
        let problem = difference(&infos.0, &infos.1, tolerance, "the infos")?;
        found(true, problem)
    };
    let found = a.iter().zip(b).enumerate().find_map(differs);
    found.or_else(|| {
        (a.len() != b.len()).then(|| Divergence {
            is_reset: false,
            is_info: false,
            place: format!("step {}", a.len().min(b.len())),
            problem: "one goes on and the other does not".into(),
        })
    })
}

/// Returns the finding of a divergence of one environment from itself.
pub(super) fn report_divergence(found: Divergence, report: &mut Report) {
    let promise = match (found.is_info, found.is_reset) {
        (true, _) => Promise::InfoDeterminism,
        (false, true) => Promise::ResetDeterminism,
        (false, false) => Promise::StepDeterminism,
    };
    let problem = format!("equal seeds and actions, and yet {}", found.problem);
    report.find(promise, found.place, problem);
}
