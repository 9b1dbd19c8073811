//! Agents that act one after the other, and the bookkeeping of whose turn it is.

use super::AgentId;
use crate::{
    Action, Array, EnvError, Frame, Info, Metadata, Observation, Options, RenderMode, Space, State,
    Step, Value,
};

/// A problem in which one agent acts in each step: PettingZoo's agent environment cycle.
///
/// ```
/// use environments::{Options, board::TicTacToe, multi::{BoardEnv, TurnEnv}};
///
/// let mut env = BoardEnv::<TicTacToe>::new();
/// env.reset(Some(1), &Options::new())?;
/// while let Some(agent) = env.agent_selection() {
///     let last = env.last().expect("somebody's turn");
///     let mut mask = [false; 9];
///     env.action_mask(agent, &mut mask);
///     // Who has ended steps without an action, and leaves.
///     let has_ended = last.terminated || last.truncated;
///     let first_legal = mask.iter().position(|legal| *legal).map(|action| action as i64);
///     env.step(first_legal.filter(|_| !has_ended).as_ref())?;
/// }
/// # Ok::<(), environments::EnvError>(())
/// ```
pub trait TurnEnv: Send {
    /// What an agent sees.
    type Observation: Observation;
    /// What an agent does.
    type Action: Action;

    /// Returns the names of all agents that may ever take part; an [`AgentId`] is a place in it.
    fn possible_agents(&self) -> &[String];

    /// Returns the space of an agent's observations.
    fn observation_space(&self, agent: AgentId) -> Space;

    /// Returns the space of an agent's actions.
    fn action_space(&self, agent: AgentId) -> Space;

    /// Begins an episode; `seed` starts the random numbers anew, without one they go on.
    ///
    /// # Errors
    /// Options that the environment does not take, or out of range.
    fn reset(&mut self, seed: Option<u64>, options: &Options) -> Result<(), EnvError>;

    /// Does the action of the agent whose turn it is; `None` for one that has ended.
    ///
    /// # Errors
    /// An action outside the space, none of a living agent, one of an agent that has ended, or nobody's turn.
    fn step(&mut self, action: Option<&Self::Action>) -> Result<(), EnvError>;

    /// Returns what an agent sees now, whether or not it is its turn.
    fn observe(&self, agent: AgentId) -> Self::Observation;

    /// Returns whose turn it is, and everybody's rewards and flags.
    fn turns(&self) -> &Turns;

    /// Returns everything that the next steps depend on, random numbers included.
    fn state(&self) -> State;

    /// Goes on from a state that [`TurnEnv::state`] returned.
    ///
    /// # Errors
    /// A state of another shape.
    fn set_state(&mut self, state: &State) -> Result<(), EnvError>;

    /// Returns what else there is to know for an agent.
    fn info(&self, _agent: AgentId) -> Info {
        Info::new()
    }

    /// Writes which choices make sense for an agent, and returns `true`; `false` where it is not known.
    fn action_mask(&self, _agent: AgentId, _mask: &mut [bool]) -> bool {
        false
    }

    /// Draws the state.
    ///
    /// # Errors
    /// `NotSupported` for a mode that is not among the metadata's.
    fn render(&mut self, mode: RenderMode) -> Result<Frame, EnvError> {
        Err(EnvError::not_drawn("this environment", mode))
    }

    /// Returns how it can be drawn.
    fn metadata(&self) -> Metadata {
        Metadata::default()
    }

    /// Returns the agents that take part, those included that have ended and not yet left.
    fn agents(&self) -> &[AgentId] {
        self.turns().agents()
    }

    /// Returns whose turn it is; nobody's once all have left.
    fn agent_selection(&self) -> Option<AgentId> {
        self.turns().selection()
    }

    /// Returns what the agent whose turn it is sees, and what it earned since its last action.
    fn last(&self) -> Option<Step<Self::Observation>> {
        let agent = self.agent_selection()?;
        let turns = self.turns();
        Some(Step {
            observation: self.observe(agent),
            reward: turns.cumulative_reward(agent),
            terminated: turns.is_terminated(agent),
            truncated: turns.is_truncated(agent),
            info: self.info(agent),
        })
    }
}

/// Whose turn it is, and each agent's rewards and flags.
///
/// A [`TurnEnv`] owns one. Its `step` calls [`Turns::begin`], sets rewards and flags, and calls [`Turns::end`].
#[derive(Clone, Debug, PartialEq)]
pub struct Turns {
    seats: Vec<Seat>,
    agents: Vec<AgentId>,
    selection: Option<AgentId>,
    /// Whose turn it is once those who have ended have left.
    after_ended: Option<AgentId>,
    is_started: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Seat {
    reward: f64,
    cumulative_reward: f64,
    terminated: bool,
    truncated: bool,
}

impl Turns {
    /// Returns the turns of `count` agents, none of whom takes part before [`Turns::restart`].
    pub fn new(count: usize) -> Turns {
        Turns {
            seats: vec![Seat::default(); count],
            agents: Vec::new(),
            selection: None,
            after_ended: None,
            is_started: false,
        }
    }

    /// Lets all agents take part, the first one first.
    pub fn restart(&mut self) {
        self.seats.fill(Seat::default());
        self.agents = (0..self.seats.len()).map(AgentId).collect();
        self.selection = self.agents.first().copied();
        self.after_ended = None;
        self.is_started = true;
    }

    /// Returns the agents that take part, those included that have ended and not yet left.
    pub fn agents(&self) -> &[AgentId] {
        &self.agents
    }

    /// Returns whose turn it is.
    pub fn selection(&self) -> Option<AgentId> {
        self.selection
    }

    /// Returns what an agent earned in the last step, whoever's it was.
    pub fn reward(&self, agent: AgentId) -> f64 {
        self.seat(agent).reward
    }

    /// Returns what an agent earned since its last action.
    pub fn cumulative_reward(&self, agent: AgentId) -> f64 {
        self.seat(agent).cumulative_reward
    }

    /// Returns whether the task has ended for an agent.
    pub fn is_terminated(&self, agent: AgentId) -> bool {
        self.seat(agent).terminated
    }

    /// Returns whether the episode was cut for an agent.
    pub fn is_truncated(&self, agent: AgentId) -> bool {
        self.seat(agent).truncated
    }

    /// Returns whether an agent has ended, one way or the other.
    pub fn has_ended(&self, agent: AgentId) -> bool {
        self.is_terminated(agent) || self.is_truncated(agent)
    }

    /// Begins a step: returns who acts, and how; `None` when an agent that had ended has left by it.
    ///
    /// # Errors
    /// Nobody's turn, an action of an agent that has ended, or none of one that has not.
    pub fn begin<'a, A: Action>(
        &mut self,
        action: Option<&'a A>,
    ) -> Result<Option<(AgentId, &'a A)>, EnvError> {
        let Some(agent) = self.selection else {
            return Err(if self.is_started {
                EnvError::NotSupported("all agents have left: call `reset`".into())
            } else {
                EnvError::ResetNeeded
            });
        };
        let refuse = |action: String, space: &str| {
            Err(EnvError::InvalidAction {
                action,
                space: space.to_owned(),
            })
        };
        match (self.has_ended(agent), action) {
            (false, Some(action)) => {
                self.clear_rewards();
                Ok(Some((agent, action)))
            }
            (true, None) => {
                self.leave(agent);
                Ok(None)
            }
            (true, Some(action)) => refuse(
                format!("{:?}", action.to_value()),
                "of an agent that has ended, which steps without one",
            ),
            (false, None) => refuse("none".into(), "of an agent that goes on"),
        }
    }

    /// Sets what an agent earned by the step.
    pub fn set_reward(&mut self, agent: AgentId, reward: f64) {
        if let Some(seat) = self.seats.get_mut(agent.0) {
            seat.reward = reward;
        }
    }

    /// Sets that the task has ended for an agent.
    pub fn terminate(&mut self, agent: AgentId) {
        if let Some(seat) = self.seats.get_mut(agent.0) {
            seat.terminated = true;
        }
    }

    /// Sets that the episode was cut for an agent.
    pub fn truncate(&mut self, agent: AgentId) {
        if let Some(seat) = self.seats.get_mut(agent.0) {
            seat.truncated = true;
        }
    }

    /// Ends the step of `agent`: adds rewards up, and gives the turn to `next` after those who have ended.
    pub fn end(&mut self, agent: AgentId, next: AgentId) {
        if let Some(seat) = self.seats.get_mut(agent.0) {
            seat.cumulative_reward = 0.0;
        }
        for agent in &self.agents {
            let seat = &mut self.seats[agent.0];
            seat.cumulative_reward += seat.reward;
        }
        self.selection = Some(next);
        if let Some(ended) = self.first_ended() {
            self.after_ended = Some(next);
            self.selection = Some(ended);
        }
    }

    /// Returns the agent that takes part after another, round the circle; the same when it is alone.
    pub fn next_after(&self, agent: AgentId) -> AgentId {
        let at = self.agents.iter().position(|other| *other == agent);
        let next = at.map_or(0, |at| at + 1);
        match self.agents.get(next).or(self.agents.first()) {
            Some(next) => *next,
            None => agent,
        }
    }

    /// Writes the turns into a state.
    pub fn save(&self, state: &mut State) {
        let place = |agent: Option<AgentId>| agent.map_or(-1.0, |agent| agent.0 as f64);
        let mut numbers = vec![
            place(self.selection),
            place(self.after_ended),
            f64::from(u8::from(self.is_started)),
        ];
        for (at, seat) in self.seats.iter().enumerate() {
            let takes_part = self.agents.contains(&AgentId(at));
            let flags = [takes_part, seat.terminated, seat.truncated];
            numbers.extend([seat.reward, seat.cumulative_reward]);
            numbers.extend(flags.map(|flag| f64::from(u8::from(flag))));
        }
        let numbers = Value::Array(Array::from(numbers));
        state.extra.insert(TURNS.to_owned(), numbers);
    }

    /// Reads the turns of a state.
    ///
    /// # Errors
    /// Turns of another number of agents, or none.
    pub fn load(&mut self, state: &State) -> Result<(), EnvError> {
        let numbers = state.extra.get(TURNS).and_then(Value::as_array);
        let numbers = numbers.map(Array::to_f64).unwrap_or_default();
        let malformed = || EnvError::InvalidState("its turns are of other agents".into());
        let count = self.seats.len();
        let (head, seats) = numbers.split_at_checked(HEAD).ok_or_else(malformed)?;
        let is_place = |number: &f64| *number == -1.0 || (0..count).any(|at| at as f64 == *number);
        if seats.len() != SEAT * count || !head[..2].iter().all(is_place) {
            return Err(malformed());
        }
        let agent = |number: f64| (number >= 0.0).then_some(AgentId(number as usize));
        let mut turns = Turns::new(count);
        (turns.selection, turns.after_ended) = (agent(head[0]), agent(head[1]));
        turns.is_started = head[2] == 1.0;
        for (at, numbers) in seats.chunks_exact(SEAT).enumerate() {
            turns.seats[at] = Seat {
                reward: numbers[0],
                cumulative_reward: numbers[1],
                terminated: numbers[3] == 1.0,
                truncated: numbers[4] == 1.0,
            };
            if numbers[2] == 1.0 {
                turns.agents.push(AgentId(at));
            }
        }
        *self = turns;
        Ok(())
    }

    fn seat(&self, agent: AgentId) -> Seat {
        self.seats.get(agent.0).copied().unwrap_or_default()
    }

    fn clear_rewards(&mut self) {
        for seat in &mut self.seats {
            seat.reward = 0.0;
        }
    }

    fn first_ended(&self) -> Option<AgentId> {
        self.agents
            .iter()
            .copied()
            .find(|agent| self.has_ended(*agent))
    }

    /// Removes an agent that has ended; the next of those, or whoever was to follow, has the turn.
    fn leave(&mut self, agent: AgentId) {
        self.agents.retain(|other| *other != agent);
        self.clear_rewards();
        self.selection = self.first_ended();
        if self.selection.is_none() {
            let follows = self.after_ended.take();
            self.selection = follows
                .filter(|agent| self.agents.contains(agent))
                .or(self.agents.first().copied());
        }
    }
}

/// The name under which a state holds the turns.
const TURNS: &str = "turns";
/// Numbers of saved turns before the seats.
const HEAD: usize = 3;
/// Numbers of a saved seat.
const SEAT: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    const ZERO: i64 = 0;

    #[test]
    fn rewards_add_up_until_an_agent_acts() {
        let mut turns = Turns::new(2);
        assert!(matches!(
            turns.begin(Some(&ZERO)),
            Err(EnvError::ResetNeeded)
        ));
        turns.restart();
        let (first, second) = (AgentId(0), AgentId(1));
        for (agent, next, reward) in [(first, second, 1.0), (second, first, 2.0)] {
            let begun = turns.begin(Some(&ZERO)).expect("a turn");
            assert_eq!(begun, Some((agent, &0)));
            turns.set_reward(first, reward);
            turns.end(agent, next);
        }
        // The first agent acted before both rewards, the second before the last.
        assert_eq!(turns.cumulative_reward(first), 3.0);
        assert_eq!(turns.cumulative_reward(second), 0.0);
        turns.begin(Some(&ZERO)).expect("a turn");
        turns.end(first, second);
        assert_eq!(turns.cumulative_reward(first), 0.0);
    }

    #[test]
    fn who_has_ended_leaves_before_the_others_go_on() {
        let mut turns = Turns::new(3);
        turns.restart();
        turns.begin(Some(&ZERO)).expect("a turn");
        turns.terminate(AgentId(2));
        turns.truncate(AgentId(0));
        turns.end(AgentId(0), AgentId(1));
        for ended in [0, 2] {
            assert_eq!(turns.selection(), Some(AgentId(ended)));
            assert!(matches!(
                turns.begin(Some(&ZERO)),
                Err(EnvError::InvalidAction { .. })
            ));
            assert_eq!(turns.begin::<i64>(None).expect("it leaves"), None);
        }
        assert_eq!(turns.selection(), Some(AgentId(1)));
        assert_eq!(turns.agents(), [AgentId(1)]);
        assert_eq!(turns.next_after(AgentId(1)), AgentId(1));
        assert!(turns.begin::<i64>(None).is_err(), "it goes on and must act");
        turns.terminate(AgentId(1));
        turns.begin::<i64>(None).expect("it leaves");
        assert_eq!(turns.selection(), None);
        assert!(matches!(
            turns.begin(Some(&ZERO)),
            Err(EnvError::NotSupported(_))
        ));
    }

    #[test]
    fn turns_go_through_a_state() {
        let mut turns = Turns::new(3);
        turns.restart();
        turns.begin(Some(&ZERO)).expect("a turn");
        turns.set_reward(AgentId(1), -0.5);
        turns.terminate(AgentId(2));
        turns.end(AgentId(0), AgentId(1));
        let mut state = State::default();
        turns.save(&mut state);
        let mut again = Turns::new(3);
        again.load(&state).expect("its own state");
        assert_eq!(again, turns);
        assert!(Turns::new(2).load(&state).is_err());
        assert!(Turns::new(3).load(&State::default()).is_err());
    }
}
