//! What the five games share: sticky actions, action sets, and the environment around a game.

use super::{
    board::{Board, Plane, SIDE},
    saved::{Reader, Saver},
};
use crate::{
    BoxSpace, Discrete, Dtype, Env, EnvError, EnvSpec, Frame, Info, Kwargs, MakeError, Metadata,
    Observation as _, Options, Outcome, RenderMode, Space, State, Step, Value,
    render::{Canvas, Color},
    rng::Rng,
};

/// The rules of one game with `C` channels.
pub trait Game<const C: usize>: Clone + Send + 'static {
    /// The moves that have an effect.
    const MINIMAL: &'static [Move];

    /// What each channel shows.
    const CHANNELS: [&'static str; C];

    /// Returns the game before its first reset.
    fn new(is_ramping: bool) -> Self;

    /// Begins an episode.
    fn reset(&mut self, rng: &mut Rng);

    /// Does one move; returns the reward.
    fn act(&mut self, action: Move, rng: &mut Rng) -> i32;

    /// Returns whether the game is over.
    fn is_over(&self) -> bool;

    /// Returns the board of each channel.
    fn planes(&self) -> [Plane; C];

    /// Writes everything that the next moves depend on.
    fn save(&self, to: &mut Saver);

    /// Reads what [`Game::save`] wrote.
    fn restore(&mut self, from: &mut Reader<'_>) -> Result<(), EnvError>;
}

/// One of the six moves that all games take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// Nothing.
    None,
    /// To the left.
    Left,
    /// Up.
    Up,
    /// To the right.
    Right,
    /// Down.
    Down,
    /// Shoot.
    Fire,
}

impl Move {
    /// All of them, in MinAtar's order.
    pub const ALL: [Move; 6] = [
        Move::None,
        Move::Left,
        Move::Up,
        Move::Right,
        Move::Down,
        Move::Fire,
    ];
}

/// A MinAtar game as an environment; `C` is how many channels it shows.
#[derive(Clone, Debug)]
pub struct MinAtar<G, const C: usize> {
    game: G,
    actions: &'static [Move],
    sticky_action_prob: f64,
    /// What was done last, in this episode or the one before.
    last_action: Move,
    is_started: bool,
    rng: Rng,
}

impl<G: Game<C>, const C: usize> Default for MinAtar<G, C> {
    fn default() -> Self {
        MinAtar::new()
    }
}

impl<G: Game<C>, const C: usize> MinAtar<G, C> {
    /// Returns the game with six actions, a tenth of which repeat the last, and ramping difficulty.
    pub fn new() -> MinAtar<G, C> {
        MinAtar {
            game: G::new(true),
            actions: &Move::ALL,
            sticky_action_prob: 0.1,
            last_action: Move::None,
            is_started: false,
            rng: Rng::from_entropy(),
        }
    }

    /// Sets that actions choose among the moves that have an effect.
    pub fn minimal_actions(mut self) -> Self {
        self.actions = G::MINIMAL;
        self
    }

    /// Sets how likely the last action is repeated in place of the one asked for.
    ///
    /// # Errors
    /// A probability outside 0..=1.
    pub fn sticky_action_prob(mut self, value: f64) -> Result<Self, EnvError> {
        if !(0.0..=1.0).contains(&value) {
            return Err(EnvError::InvalidOption {
                option: "sticky_action_prob".into(),
                reason: format!("{value} is not in 0..=1"),
            });
        }
        self.sticky_action_prob = value;
        Ok(self)
    }

    /// Sets whether the game becomes harder by and by, where it can.
    pub fn difficulty_ramping(mut self, value: bool) -> Self {
        self.game = G::new(value);
        self
    }

    /// Returns what each channel of an observation shows.
    pub fn channels(&self) -> [&'static str; C] {
        G::CHANNELS
    }

    fn begin(&mut self, seed: Option<u64>) {
        if let Some(seed) = seed {
            self.rng = Rng::new(seed);
        }
        self.game.reset(&mut self.rng);
        self.is_started = true;
    }

    fn advance(&mut self, action: i64) -> Result<Outcome, EnvError> {
        if !self.is_started {
            return Err(EnvError::ResetNeeded);
        }
        let chosen = usize::try_from(action)
            .ok()
            .and_then(|index| self.actions.get(index))
            .ok_or_else(|| {
                EnvError::invalid_action(action, format_args!("Discrete({})", self.actions.len()))
            })?;
        let is_stuck = self.sticky_action_prob > 0.0 && self.rng.unit() < self.sticky_action_prob;
        if !is_stuck {
            self.last_action = *chosen;
        }
        let reward = if self.game.is_over() {
            0
        } else {
            self.game.act(self.last_action, &mut self.rng)
        };
        Ok(Outcome {
            reward: f64::from(reward),
            terminated: self.game.is_over(),
            truncated: false,
        })
    }
}

impl<G: Game<C>, const C: usize> Env for MinAtar<G, C> {
    type Observation = Board<C>;
    type Action = i64;

    fn observation_space(&self) -> Space {
        Space::Box(BoxSpace::of_dtype(&[SIDE, SIDE, C], Dtype::Bool))
    }

    fn action_space(&self) -> Space {
        Space::Discrete(Discrete::new(self.actions.len() as i64))
    }

    fn reset(
        &mut self,
        seed: Option<u64>,
        _options: &Options,
    ) -> Result<(Board<C>, Info), EnvError> {
        self.begin(seed);
        Ok((Board::new(self.game.planes()), Info::new()))
    }

    fn step(&mut self, action: &i64) -> Result<Step<Board<C>>, EnvError> {
        let outcome = self.advance(*action)?;
        Ok(Step {
            observation: Board::new(self.game.planes()),
            reward: outcome.reward,
            terminated: outcome.terminated,
            truncated: false,
            info: Info::new(),
        })
    }

    fn state(&self) -> State {
        let mut saver = Saver::default();
        self.game.save(&mut saver);
        State {
            values: saver.values,
            rng: self.rng.save(),
            extra: [(
                "last_action".to_owned(),
                Value::Int(self.last_action as i64),
            )]
            .into(),
            ..State::default()
        }
    }

    fn set_state(&mut self, state: &State) -> Result<(), EnvError> {
        let mut game = self.game.clone();
        let mut reader = Reader::new(&state.values);
        game.restore(&mut reader)?;
        reader.end()?;
        self.game = game;
        self.last_action = match state.extra.get("last_action") {
            Some(Value::Int(action)) => usize::try_from(*action)
                .ok()
                .and_then(|index| Move::ALL.get(index).copied())
                .ok_or_else(|| EnvError::InvalidState(format!("{action} is no action")))?,
            _ => Move::None,
        };
        state.restore_rng(&mut self.rng);
        self.is_started = true;
        Ok(())
    }

    fn reset_into(
        &mut self,
        seed: Option<u64>,
        _options: &Options,
        row: &mut [f32],
    ) -> Result<(), EnvError> {
        self.begin(seed);
        Board::new(self.game.planes()).write(row);
        Ok(())
    }

    #[inline]
    fn step_into(&mut self, action: &i64, row: &mut [f32]) -> Result<Outcome, EnvError> {
        let outcome = self.advance(*action)?;
        Board::new(self.game.planes()).write(row);
        Ok(outcome)
    }

    fn render(&mut self, mode: RenderMode) -> Result<Frame, EnvError> {
        match mode {
            RenderMode::RgbArray => Ok(draw(&self.game.planes()).into_frame()),
            _ => Err(EnvError::not_drawn("MinAtar", mode)),
        }
    }

    fn metadata(&self) -> Metadata {
        Metadata::new(&[RenderMode::RgbArray], 10)
    }

    fn rng_mut(&mut self) -> Option<&mut Rng> {
        Some(&mut self.rng)
    }
}

/// Draws each cell in the colour of the last channel that is set there, as the package does.
fn draw(planes: &[Plane]) -> Canvas {
    let mut canvas = Canvas::new(400, 400, Color::BLACK);
    for (plane, color) in planes.iter().zip(COLORS) {
        for at in (0..SIDE * SIDE).filter(|at| plane >> at & 1 == 1) {
            let (x, y) = ((at % SIDE) as f64 * 40.0, (at / SIDE) as f64 * 40.0);
            canvas.rect(x, y, 40.0, 40.0, color);
        }
    }
    canvas
}

/// One colour a channel.
const COLORS: [Color; 10] = [
    Color(240, 240, 240),
    Color(230, 80, 70),
    Color(120, 120, 190),
    Color(240, 200, 70),
    Color(90, 200, 120),
    Color(230, 130, 200),
    Color(80, 140, 240),
    Color(60, 200, 220),
    Color(160, 110, 230),
    Color(240, 150, 60),
];

/// Returns the two specs of a game: with six actions, and with the minimal set.
pub(super) fn specs<G: Game<C>, const C: usize>(name: &str) -> Vec<EnvSpec> {
    let make = |kwargs: &mut Kwargs| -> Result<MinAtar<G, C>, MakeError> {
        let is_ramping = kwargs.take_bool("difficulty_ramping")?.unwrap_or(true);
        let sticky = kwargs.take_float("sticky_action_prob")?.unwrap_or(0.1);
        let env = MinAtar::new()
            .difficulty_ramping(is_ramping)
            .sticky_action_prob(sticky)?;
        Ok(match kwargs.take_bool("use_minimal_action_set")? {
            Some(true) => env.minimal_actions(),
            _ => env,
        })
    };
    vec![
        EnvSpec::new(&format!("MinAtar/{name}-v0"), make).kwarg("use_minimal_action_set", false),
        EnvSpec::new(&format!("MinAtar/{name}-v1"), make).kwarg("use_minimal_action_set", true),
    ]
}
