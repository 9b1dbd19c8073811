//! Finds promises that a multi-agent environment breaks.

use super::{AgentId, AgentMap, ParallelEnv, TurnEnv};
use crate::{Action, EnvError, Observation, Options, Space, Value, rng::Rng};

/// Plays a turn-based environment with random actions, twice, and checks what every one promises.
///
/// Spaces hold what is observed, rewards add up until an agent acts, who has ended steps without an action and
/// leaves for good, equal seeds give equal episodes, and a state goes on as the original. `steps`: how many.
///
/// # Errors
/// `Broken` with the promise; whatever the environment itself refuses.
pub fn check_turn_env<T: TurnEnv>(env: &mut T, steps: usize, seed: u64) -> Result<(), EnvError> {
    let first = play_turns(env, steps, seed)?;
    let again = play_turns(env, steps, seed)?;
    promise(first == again, "equal seeds give equal episodes")?;
    check_turn_state(env, seed)
}

/// Plays a parallel environment with random actions, twice, and checks what every one promises.
///
/// Spaces hold what is observed, every living agent gets a step, who has ended is gone for good, equal seeds give
/// equal episodes, and a state goes on as the original. `steps`: how many.
///
/// # Errors
/// `Broken` with the promise; whatever the environment itself refuses.
pub fn check_parallel_env<P: ParallelEnv>(
    env: &mut P,
    steps: usize,
    seed: u64,
) -> Result<(), EnvError> {
    let first = play_parallel(env, steps, seed)?;
    let again = play_parallel(env, steps, seed)?;
    promise(first == again, "equal seeds give equal episodes")?;
    check_parallel_state(env, seed)
}

/// What was seen and earned, in order.
type Log = Vec<(AgentId, Value, f64, bool, bool)>;

fn play_turns<T: TurnEnv>(env: &mut T, steps: usize, seed: u64) -> Result<Log, EnvError> {
    let mut rng = Rng::stream(seed, 0, 0);
    let mut log = Log::new();
    let mut episode = Some(seed);
    while log.len() < steps {
        env.reset(episode.take(), &Options::new())?;
        let count = env.possible_agents().len();
        let all = env.agents().to_vec();
        promise(!all.is_empty(), "an episode begins with agents")?;
        promise(
            all.iter().all(|agent| agent.0 < count),
            "agents are among the possible ones",
        )?;
        promise(
            all.iter().all(|agent| !env.turns().has_ended(*agent)),
            "nobody has ended before the first step",
        )?;
        let mut owed = vec![0.0; count];
        while let Some(agent) = env.agent_selection() {
            let entry = check_last(env, agent, owed[agent.0])?;
            log.push(entry);
            let before = env.agents().to_vec();
            if env.turns().has_ended(agent) {
                check_leaving(env, agent, &mut rng)?;
                continue;
            }
            promise(
                env.step(None).is_err(),
                "a living agent does not step without an action",
            )?;
            let action: T::Action = draw(
                &env.action_space(agent),
                |mask| env.action_mask(agent, mask),
                &mut rng,
            )?;
            env.step(Some(&action))?;
            owed[agent.0] = 0.0;
            for agent in &before {
                owed[agent.0] += env.turns().reward(*agent);
            }
            promise(
                env.agents() == before,
                "nobody leaves before stepping without an action",
            )?;
        }
        promise(env.agents().is_empty(), "without a turn nobody is left")?;
    }
    Ok(log)
}

/// Checks what the agent whose turn it is sees and is owed.
fn check_last<T: TurnEnv>(
    env: &T,
    agent: AgentId,
    owed: f64,
) -> Result<(AgentId, Value, f64, bool, bool), EnvError> {
    promise(env.agents().contains(&agent), "whose turn it is takes part")?;
    let last = env.last().ok_or_else(|| broken("a turn has a `last`"))?;
    let seen = last.observation.to_value();
    check_space(&env.observation_space(agent), &seen)?;
    promise(
        (last.reward - owed).abs() <= 1e-9 * owed.abs().max(1.0),
        "rewards add up until an agent acts",
    )?;
    let flags = (last.terminated, last.truncated);
    Ok((agent, seen, last.reward, flags.0, flags.1))
}

/// Lets an agent that has ended leave.
fn check_leaving<T: TurnEnv>(env: &mut T, agent: AgentId, rng: &mut Rng) -> Result<(), EnvError> {
    let action: T::Action = draw(&env.action_space(agent), |_| false, rng)?;
    promise(
        env.step(Some(&action)).is_err(),
        "who has ended does not act",
    )?;
    let mut others = env.agents().to_vec();
    others.retain(|other| *other != agent);
    env.step(None)?;
    promise(env.agents() == others, "who has ended leaves, alone")
}

fn check_turn_state<T: TurnEnv>(env: &mut T, seed: u64) -> Result<(), EnvError> {
    let run = |env: &mut T| -> Result<Log, EnvError> {
        let mut rng = Rng::stream(seed, 1, 0);
        let mut log = Log::new();
        while let Some(agent) = env.agent_selection()
            && log.len() < 50
        {
            let last = env.last().ok_or_else(|| broken("a turn has a `last`"))?;
            let seen = last.observation.to_value();
            log.push((agent, seen, last.reward, last.terminated, last.truncated));
            if env.turns().has_ended(agent) {
                env.step(None)?;
                continue;
            }
            let mask = |mask: &mut [bool]| env.action_mask(agent, mask);
            let action: T::Action = draw(&env.action_space(agent), mask, &mut rng)?;
            env.step(Some(&action))?;
        }
        Ok(log)
    };
    env.reset(Some(seed), &Options::new())?;
    let state = env.state();
    let first = run(env)?;
    env.set_state(&state)?;
    promise(env.state() == state, "a state that was set is the state")?;
    promise(first == run(env)?, "a state goes on as the original")
}

fn play_parallel<P: ParallelEnv>(env: &mut P, steps: usize, seed: u64) -> Result<Log, EnvError> {
    let mut rng = Rng::stream(seed, 0, 0);
    let mut log = Log::new();
    let mut episode = Some(seed);
    while log.len() < steps {
        let first = env.reset(episode.take(), &Options::new())?;
        let begun = env.agents().to_vec();
        promise(!begun.is_empty(), "an episode begins with agents")?;
        promise(
            first.keys().eq(&begun),
            "every agent sees what the reset leads to",
        )?;
        for (agent, (observation, _)) in &first {
            check_space(&env.observation_space(*agent), &observation.to_value())?;
        }
        while !env.agents().is_empty() && log.len() < steps {
            let living = env.agents().to_vec();
            promise(
                env.step(&AgentMap::new()).is_err(),
                "a step needs an action of every agent",
            )?;
            let actions = draw_all(env, &mut rng)?;
            let results = env.step(&actions)?;
            promise(results.keys().eq(&living), "every agent gets a step")?;
            for (agent, step) in &results {
                let seen = step.observation.to_value();
                check_space(&env.observation_space(*agent), &seen)?;
                promise(step.reward.is_finite(), "rewards are finite")?;
                let has_ended = step.terminated || step.truncated;
                promise(
                    env.agents().contains(agent) != has_ended,
                    "who has ended is gone, and nobody else",
                )?;
                log.push((*agent, seen, step.reward, step.terminated, step.truncated));
            }
        }
    }
    Ok(log)
}

fn check_parallel_state<P: ParallelEnv>(env: &mut P, seed: u64) -> Result<(), EnvError> {
    let run = |env: &mut P| -> Result<Log, EnvError> {
        let mut rng = Rng::stream(seed, 1, 0);
        let mut log = Log::new();
        while !env.agents().is_empty() && log.len() < 50 {
            let actions = draw_all(env, &mut rng)?;
            for (agent, step) in env.step(&actions)? {
                let seen = step.observation.to_value();
                log.push((agent, seen, step.reward, step.terminated, step.truncated));
            }
        }
        Ok(log)
    };
    env.reset(Some(seed), &Options::new())?;
    let state = env.state();
    let first = run(env)?;
    env.set_state(&state)?;
    promise(env.state() == state, "a state that was set is the state")?;
    promise(first == run(env)?, "a state goes on as the original")
}

fn draw_all<P: ParallelEnv>(env: &P, rng: &mut Rng) -> Result<AgentMap<P::Action>, EnvError> {
    let draw_one = |agent: &AgentId| {
        let mask = |mask: &mut [bool]| env.action_mask(*agent, mask);
        let action = draw(&env.action_space(*agent), mask, rng)?;
        Ok((*agent, action))
    };
    env.agents().iter().map(draw_one).collect()
}

/// Draws an action, among the sensible ones where the environment tells some.
fn draw<A: Action>(
    space: &Space,
    write_mask: impl Fn(&mut [bool]) -> bool,
    rng: &mut Rng,
) -> Result<A, EnvError> {
    let mut drawn = space.sample(rng);
    if let Space::Discrete(choices) = space {
        let mut mask = vec![true; usize::try_from(choices.n).unwrap_or(0)];
        if write_mask(&mut mask) && mask.contains(&true) {
            drawn = Value::Int(choices.sample_masked(&mask, rng));
        }
    }
    A::from_value(&drawn).ok_or_else(|| broken("actions are read from their space"))
}

fn check_space(space: &Space, value: &Value) -> Result<(), EnvError> {
    if space.contains(value) {
        return Ok(());
    }
    Err(EnvError::Broken(format!(
        "the observation {value:?} is not in {space}"
    )))
}

fn promise(is_kept: bool, promise: &str) -> Result<(), EnvError> {
    if is_kept {
        Ok(())
    } else {
        Err(broken(promise))
    }
}

fn broken(promise: &str) -> EnvError {
    EnvError::Broken(format!("it does not hold that {promise}"))
}
