//! Agents that all act at once.

use super::{AgentId, AgentMap};
use crate::{
    Action, EnvError, Frame, Info, Metadata, Observation, Options, RenderMode, Space, State, Step,
};

/// A problem in which every living agent acts in every step.
///
/// ```
/// use environments::{Options, multi::{AgentMap, ParallelEnv, SimpleSpread}};
///
/// let mut env = SimpleSpread::new();
/// env.reset(Some(1), &Options::new())?;
/// while !env.agents().is_empty() {
///     let actions = env.agents().iter().map(|agent| (*agent, 0)).collect::<AgentMap<_>>();
///     let steps = env.step(&actions)?;
///     assert_eq!(steps.len(), 3);
/// }
/// # Ok::<(), environments::EnvError>(())
/// ```
pub trait ParallelEnv: Send {
    /// What an agent sees.
    type Observation: Observation;
    /// What an agent does.
    type Action: Action;

    /// Returns the names of all agents that may ever take part; an [`AgentId`] is a place in it.
    fn possible_agents(&self) -> &[String];

    /// Returns the agents that act in the next step; none once the episode is over.
    fn agents(&self) -> &[AgentId];

    /// Returns the space of an agent's observations.
    fn observation_space(&self, agent: AgentId) -> Space;

    /// Returns the space of an agent's actions.
    fn action_space(&self, agent: AgentId) -> Space;

    /// Begins an episode; `seed` starts the random numbers anew, without one they go on.
    ///
    /// # Errors
    /// Options that the environment does not take, or out of range.
    fn reset(
        &mut self,
        seed: Option<u64>,
        options: &Options,
    ) -> Result<AgentMap<(Self::Observation, Info)>, EnvError>;

    /// Does the actions of all living agents; returns what each of them saw and earned.
    ///
    /// Agents whose flags are set are not among [`ParallelEnv::agents`] any more.
    ///
    /// # Errors
    /// An action that is missing or outside its space, or a step while there are no agents.
    fn step(
        &mut self,
        actions: &AgentMap<Self::Action>,
    ) -> Result<AgentMap<Step<Self::Observation>>, EnvError>;

    /// Returns everything that the next steps depend on, random numbers included.
    fn state(&self) -> State;

    /// Goes on from a state that [`ParallelEnv::state`] returned.
    ///
    /// # Errors
    /// A state of another shape.
    fn set_state(&mut self, state: &State) -> Result<(), EnvError>;

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
}

/// Returns the action of each agent in order.
///
/// # Errors
/// No agents, or one without an action.
pub(super) fn actions_of<'a, A: Action>(
    agents: &[AgentId],
    names: &[String],
    actions: &'a AgentMap<A>,
) -> Result<Vec<&'a A>, EnvError> {
    if agents.is_empty() {
        return Err(EnvError::ResetNeeded);
    }
    let action = |agent: &AgentId| {
        actions.get(agent).ok_or_else(|| {
            EnvError::invalid_action("none", format_args!("that of `{}`", names[agent.0]))
        })
    };
    agents.iter().map(action).collect()
}
