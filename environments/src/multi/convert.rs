//! Turns made of parallel steps, and parallel steps made of turns.

use super::{AgentId, AgentMap, ParallelEnv, TurnEnv, Turns, parallel::actions_of};
use crate::{
    Action as _, EnvError, Frame, Info, Metadata, Options, RenderMode, Space, State, Step, Value,
};

/// A [`ParallelEnv`] whose agents act in turns: the step happens once the last has chosen.
#[derive(Clone, Debug)]
pub struct ParallelToTurn<P: ParallelEnv> {
    env: P,
    turns: Turns,
    /// What was chosen so far in this cycle.
    actions: AgentMap<P::Action>,
    /// What each agent last saw.
    seen: AgentMap<(P::Observation, Info)>,
}

impl<P: ParallelEnv> ParallelToTurn<P> {
    /// Returns the environment in turns.
    pub fn new(env: P) -> ParallelToTurn<P> {
        ParallelToTurn {
            turns: Turns::new(env.possible_agents().len()),
            env,
            actions: AgentMap::new(),
            seen: AgentMap::new(),
        }
    }

    /// Returns the environment inside.
    pub fn into_inner(self) -> P {
        self.env
    }
}

impl<P: ParallelEnv> TurnEnv for ParallelToTurn<P> {
    type Observation = P::Observation;
    type Action = P::Action;

    fn possible_agents(&self) -> &[String] {
        self.env.possible_agents()
    }

    fn observation_space(&self, agent: AgentId) -> Space {
        self.env.observation_space(agent)
    }

    fn action_space(&self, agent: AgentId) -> Space {
        self.env.action_space(agent)
    }

    fn reset(&mut self, seed: Option<u64>, options: &Options) -> Result<(), EnvError> {
        self.seen = self.env.reset(seed, options)?;
        self.actions.clear();
        self.turns.restart();
        Ok(())
    }

    fn step(&mut self, action: Option<&P::Action>) -> Result<(), EnvError> {
        let Some((agent, action)) = self.turns.begin(action)? else {
            return Ok(());
        };
        // The step comes later, so what it would refuse is refused here, to whom it concerns.
        let space = self.env.action_space(agent);
        if !space.contains(&action.to_value()) {
            return Err(EnvError::invalid_action(
                format!("{:?}", action.to_value()),
                space,
            ));
        }
        self.actions.insert(agent, action.clone());
        if self.env.agents().last() != Some(&agent) {
            self.turns.end(agent, self.turns.next_after(agent));
            return Ok(());
        }
        let steps = self.env.step(&self.actions)?;
        self.actions.clear();
        for (agent, step) in steps {
            self.turns.set_reward(agent, step.reward);
            if step.terminated {
                self.turns.terminate(agent);
            }
            if step.truncated {
                self.turns.truncate(agent);
            }
            self.seen.insert(agent, (step.observation, step.info));
        }
        let next = self.env.agents().first().copied().unwrap_or(agent);
        self.turns.end(agent, next);
        Ok(())
    }

    fn observe(&self, agent: AgentId) -> P::Observation {
        let (observation, _) = self.seen.get(&agent).expect("agents have seen the reset");
        observation.clone()
    }

    fn turns(&self) -> &Turns {
        &self.turns
    }

    /// Returns the environment's state; one in the middle of a cycle cannot be restored.
    fn state(&self) -> State {
        let mut state = self.env.state();
        self.turns.save(&mut state);
        let chosen = Value::Int(self.actions.len() as i64);
        state.extra.insert(CHOSEN.to_owned(), chosen);
        let seen = self.seen.iter().map(|(agent, (observation, info))| {
            let agent = Value::Int(agent.0 as i64);
            let observation = crate::Observation::to_value(observation);
            Value::List(vec![agent, observation, Value::Map(info.clone())])
        });
        let seen = Value::List(seen.collect());
        state.extra.insert(SEEN.to_owned(), seen);
        state
    }

    fn set_state(&mut self, state: &State) -> Result<(), EnvError> {
        let malformed = |reason: &str| EnvError::InvalidState(reason.to_owned());
        if state.extra.get(CHOSEN) != Some(&Value::Int(0)) {
            return Err(malformed("it is from the middle of a cycle"));
        }
        let read = |entry: &Value| {
            let [agent, observation, info] = entry.as_list()? else {
                return None;
            };
            let agent = AgentId(usize::try_from(agent.as_int()?).ok()?);
            let observation = crate::Observation::from_value(observation)?;
            Some((agent, (observation, info.as_map()?.clone())))
        };
        let seen = state.extra.get(SEEN).and_then(Value::as_list);
        let seen = seen.and_then(|seen| seen.iter().map(read).collect());
        let seen = seen.ok_or_else(|| malformed("it lacks what the agents saw"))?;
        let mut turns = self.turns.clone();
        turns.load(state)?;
        self.env.set_state(state)?;
        (self.turns, self.seen) = (turns, seen);
        self.actions.clear();
        Ok(())
    }

    fn info(&self, agent: AgentId) -> Info {
        self.seen
            .get(&agent)
            .map(|(_, info)| info.clone())
            .unwrap_or_default()
    }

    fn action_mask(&self, agent: AgentId, mask: &mut [bool]) -> bool {
        self.env.action_mask(agent, mask)
    }

    fn render(&mut self, mode: RenderMode) -> Result<Frame, EnvError> {
        self.env.render(mode)
    }

    fn metadata(&self) -> Metadata {
        self.env.metadata()
    }
}

/// A [`TurnEnv`] whose agents choose at once.
#[derive(Clone, Debug)]
pub struct TurnToParallel<T> {
    env: T,
    schedule: Schedule,
    agents: Vec<AgentId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Schedule {
    /// A step is one action of everybody, in order.
    Cycle,
    /// A step is one action of whoever's turn it is.
    Turn,
}

impl<T: TurnEnv> TurnToParallel<T> {
    /// Returns an environment whose step is one turn of every agent, in the order of its agents.
    ///
    /// The agents must act in a circle, and end only with the circle's last turn.
    pub fn for_cycles(env: T) -> TurnToParallel<T> {
        TurnToParallel::new(env, Schedule::Cycle)
    }

    /// Returns an environment whose step is one turn; the actions of the others do nothing.
    ///
    /// The info `active_agent` names whose turn it is.
    pub fn for_turns(env: T) -> TurnToParallel<T> {
        TurnToParallel::new(env, Schedule::Turn)
    }

    fn new(env: T, schedule: Schedule) -> TurnToParallel<T> {
        TurnToParallel {
            agents: env.agents().to_vec(),
            env,
            schedule,
        }
    }

    /// Returns the environment inside.
    pub fn into_inner(self) -> T {
        self.env
    }

    /// Does one turn and adds up what it earned everybody.
    fn turn(&mut self, action: &T::Action, rewards: &mut AgentMap<f64>) -> Result<(), EnvError> {
        self.env.step(Some(action))?;
        for (agent, reward) in rewards {
            *reward += self.env.turns().reward(*agent);
        }
        Ok(())
    }

    fn info(&self, agent: AgentId) -> Info {
        let mut info = self.env.info(agent);
        if self.schedule == Schedule::Turn
            && let Some(active) = self.env.agent_selection()
        {
            let name = self.env.possible_agents()[active.0].as_str();
            info.insert("active_agent".to_owned(), name.into());
        }
        info
    }
}

impl<T: TurnEnv> ParallelEnv for TurnToParallel<T> {
    type Observation = T::Observation;
    type Action = T::Action;

    fn possible_agents(&self) -> &[String] {
        self.env.possible_agents()
    }

    fn agents(&self) -> &[AgentId] {
        &self.agents
    }

    fn observation_space(&self, agent: AgentId) -> Space {
        self.env.observation_space(agent)
    }

    fn action_space(&self, agent: AgentId) -> Space {
        self.env.action_space(agent)
    }

    fn reset(
        &mut self,
        seed: Option<u64>,
        options: &Options,
    ) -> Result<AgentMap<(T::Observation, Info)>, EnvError> {
        self.env.reset(seed, options)?;
        self.agents = self.env.agents().to_vec();
        let first = |agent: &AgentId| (*agent, (self.env.observe(*agent), self.info(*agent)));
        Ok(self.agents.iter().map(first).collect())
    }

    fn step(
        &mut self,
        actions: &AgentMap<T::Action>,
    ) -> Result<AgentMap<Step<T::Observation>>, EnvError> {
        let chosen = actions_of(&self.agents, self.env.possible_agents(), actions)?;
        let agents = self.agents.clone();
        let mut rewards = agents
            .iter()
            .map(|agent| (*agent, 0.0))
            .collect::<AgentMap<_>>();
        for (agent, action) in agents.iter().zip(chosen) {
            let is_its_turn = self.env.agent_selection() == Some(*agent);
            match self.schedule {
                Schedule::Turn if !is_its_turn => continue,
                Schedule::Cycle if !is_its_turn || self.env.turns().has_ended(*agent) => {
                    return Err(EnvError::NotSupported(
                        "the agents do not act in a circle: use `TurnToParallel::for_turns`".into(),
                    ));
                }
                Schedule::Cycle | Schedule::Turn => self.turn(action, &mut rewards)?,
            }
            if self.schedule == Schedule::Turn {
                break;
            }
        }
        let ended = |agent: AgentId| {
            let turns = self.env.turns();
            (turns.is_terminated(agent), turns.is_truncated(agent))
        };
        let flags = agents.iter().map(|agent| ended(*agent)).collect::<Vec<_>>();
        let seen = agents.iter().map(|agent| self.env.observe(*agent));
        let seen = seen.collect::<Vec<_>>();
        while let Some(agent) = self.env.agent_selection()
            && self.env.turns().has_ended(agent)
        {
            self.env.step(None)?;
        }
        self.agents = self.env.agents().to_vec();
        let steps = agents.iter().zip(flags).zip(seen);
        let steps = steps.map(|((agent, (terminated, truncated)), observation)| {
            let step = Step {
                observation,
                reward: rewards[agent],
                terminated,
                truncated,
                info: self.info(*agent),
            };
            (*agent, step)
        });
        Ok(steps.collect())
    }

    fn state(&self) -> State {
        self.env.state()
    }

    fn set_state(&mut self, state: &State) -> Result<(), EnvError> {
        self.env.set_state(state)?;
        self.agents = self.env.agents().to_vec();
        Ok(())
    }

    fn action_mask(&self, agent: AgentId, mask: &mut [bool]) -> bool {
        self.env.action_mask(agent, mask)
    }

    fn render(&mut self, mode: RenderMode) -> Result<Frame, EnvError> {
        self.env.render(mode)
    }

    fn metadata(&self) -> Metadata {
        self.env.metadata()
    }
}

/// The name under which a state holds how many have chosen in the cycle.
const CHOSEN: &str = "chosen";
/// The name under which a state holds what the agents saw.
const SEEN: &str = "seen";
