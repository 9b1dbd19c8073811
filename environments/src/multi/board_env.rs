//! Board games as environments of two agents.
//!
//! # Description
//! Any [`BoardGame`]; agent 0, `player_0`, begins.
//!
//! # Action space
//! `Discrete(n)`: the game's actions. An action that the rules forbid is an error and changes nothing; the action
//! mask tells which are legal, all `false` for the agent whose turn it is not.
//!
//! # Observation space
//! `Box(0, 1, [2, rows, columns])`: the plane of the agent's own pieces, then that of the other's.
//!
//! # Rewards
//! At the end 1 for who won, -1 for who lost, 0 for a draw; 0 before.
//!
//! # Starting state
//! The game's start; nothing is random.
//!
//! # Episode end
//! Terminated for both when the game is over.

use super::{AgentId, TurnEnv, Turns};
use crate::{
    Array, ArrayData, BoxSpace, Discrete, Dtype, EnvError, Frame, Metadata, Observation, Options,
    RenderMode, Space, State, Value,
    board::{BoardGame, Player},
};

/// A board game played in turns; state order: the actions from the start.
#[derive(Clone, Debug)]
pub struct BoardEnv<G> {
    game: G,
    played: Vec<usize>,
    turns: Turns,
    names: [String; 2],
}

/// A position as an agent sees it: planes of zeros and ones.
#[derive(Clone, Debug, PartialEq)]
pub struct Planes {
    /// Planes, rows and columns.
    pub shape: [usize; 3],
    /// Row-major.
    pub numbers: Vec<f32>,
}

impl Observation for Planes {
    fn row_len(&self) -> usize {
        self.numbers.len()
    }

    fn write(&self, row: &mut [f32]) {
        row.copy_from_slice(&self.numbers);
    }

    fn to_value(&self) -> Value {
        let numbers = ArrayData::F32(self.numbers.clone());
        Array::new(self.shape, numbers)
            .expect("the numbers fill the planes")
            .into()
    }

    fn from_value(value: &Value) -> Option<Planes> {
        let array = value.as_array()?;
        Some(Planes {
            shape: array.shape().try_into().ok()?,
            numbers: array.to_f64().into_iter().map(|at| at as f32).collect(),
        })
    }
}

impl<G: BoardGame> Default for BoardEnv<G> {
    fn default() -> Self {
        BoardEnv::new()
    }
}

impl<G: BoardGame> BoardEnv<G> {
    /// Returns the game, to be begun by a reset.
    pub fn new() -> BoardEnv<G> {
        BoardEnv {
            game: G::default(),
            played: Vec::new(),
            turns: Turns::new(2),
            names: [0, 1].map(|at| format!("player_{at}")),
        }
    }

    /// Returns the position.
    pub fn game(&self) -> &G {
        &self.game
    }

    fn invalid(action: i64, legal: impl std::fmt::Display) -> EnvError {
        EnvError::invalid_action(
            action,
            format_args!("Discrete({}); legal are {legal}", G::ACTIONS),
        )
    }
}

/// Returns who sits where; agents past the second see as the second does.
fn player(agent: AgentId) -> Player {
    match agent.0 {
        0 => Player::First,
        _ => Player::Second,
    }
}

impl<G: BoardGame> TurnEnv for BoardEnv<G> {
    type Observation = Planes;
    type Action = i64;

    fn possible_agents(&self) -> &[String] {
        &self.names
    }

    fn observation_space(&self, _agent: AgentId) -> Space {
        Space::Box(BoxSpace::uniform(0.0, 1.0, &G::SHAPE, Dtype::F32))
    }

    fn action_space(&self, _agent: AgentId) -> Space {
        Space::Discrete(Discrete::new(G::ACTIONS as i64))
    }

    fn reset(&mut self, _seed: Option<u64>, _options: &Options) -> Result<(), EnvError> {
        self.game = G::default();
        self.played.clear();
        self.turns.restart();
        Ok(())
    }

    fn step(&mut self, action: Option<&i64>) -> Result<(), EnvError> {
        let Some((agent, action)) = self.turns.begin(action)? else {
            return Ok(());
        };
        let legal = self.game.legal_actions();
        let place = usize::try_from(*action).map_err(|_| Self::invalid(*action, legal))?;
        self.game
            .apply(place)
            .map_err(|_| Self::invalid(*action, legal))?;
        self.played.push(place);
        if let Some(outcome) = self.game.outcome() {
            for agent in [AgentId(0), AgentId(1)] {
                self.turns.set_reward(agent, outcome.value(player(agent)));
                self.turns.terminate(agent);
            }
        }
        self.turns.end(agent, AgentId(self.game.to_move().index()));
        Ok(())
    }

    fn observe(&self, agent: AgentId) -> Planes {
        let mut numbers = vec![0.0; G::SHAPE.iter().product()];
        self.game.encode(player(agent), &mut numbers);
        Planes {
            shape: G::SHAPE,
            numbers,
        }
    }

    fn turns(&self) -> &Turns {
        &self.turns
    }

    fn state(&self) -> State {
        let mut state = State {
            values: self.played.iter().map(|action| *action as f64).collect(),
            elapsed: self.played.len() as u64,
            ..State::default()
        };
        self.turns.save(&mut state);
        state
    }

    fn set_state(&mut self, state: &State) -> Result<(), EnvError> {
        let mut env = BoardEnv::<G>::new();
        for number in &state.values {
            let action = *number as usize;
            let is_played = action as f64 == *number && env.game.apply(action).is_ok();
            if !is_played {
                return Err(EnvError::InvalidState(format!(
                    "{number} is no move of {} here",
                    G::NAME
                )));
            }
            env.played.push(action);
        }
        env.turns.load(state)?;
        *self = env;
        Ok(())
    }

    fn action_mask(&self, agent: AgentId, mask: &mut [bool]) -> bool {
        let has_turn = self.agent_selection() == Some(agent);
        let legal = self.game.legal_actions();
        for (action, is_legal) in mask.iter_mut().enumerate() {
            *is_legal = has_turn && legal.contains(action);
        }
        true
    }

    fn render(&mut self, mode: RenderMode) -> Result<Frame, EnvError> {
        Ok(match mode {
            RenderMode::Ansi => Frame::Ansi(self.game.to_string()),
            RenderMode::RgbArray => self.game.draw().into_frame(),
            _ => return Err(EnvError::not_drawn("a board game", mode)),
        })
    }

    fn metadata(&self) -> Metadata {
        Metadata::new(&[RenderMode::Ansi, RenderMode::RgbArray], 2)
    }
}
