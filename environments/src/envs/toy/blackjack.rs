//! Blackjack: come closer to 21 than the dealer, not beyond.
//!
//! # Description
//! Example 5.1 of Sutton and Barto's book. Cards come from an endless deck; pictures count 10, an ace 11 as
//! long as the hand is not beyond 21 by it ("usable"), else 1. The dealer shows the first of two cards, and
//! draws until 17 or more when the player sticks.
//!
//! # Action space
//! `Discrete(2)`: stick (0), hit (1).
//!
//! # Observation space
//! `Tuple(Discrete(32), Discrete(11), Discrete(2))`: the player's sum, the dealer's card (an ace is 1),
//! whether the player has a usable ace.
//!
//! # Rewards
//! 1 for a win, -1 for a loss, 0 for a draw; 1.5 for a win with a natural under `natural`.
//!
//! # Starting state
//! Two cards each.
//!
//! # Episode end
//! Terminated when the player sticks, or is beyond 21. Nothing truncates.
//!
//! # Arguments
//! `natural`: whether an ace and a ten at the start win 1.5, false; `sab`: whether the rules are exactly the
//! book's, where such a hand wins 1 unless the dealer has one too, true (`natural` is without effect then).
//!
//! # Version history
//! v1: naturals are right. v0 is not here.

use super::draw;
use crate::{
    Discrete, Env, EnvError, EnvSpec, Frame, Info, Kwargs, MakeError, Metadata, Observation as _,
    Options, Outcome, RenderMode, Space, State, Step, Tuple, rng::Rng,
};

/// Returns the spec of Blackjack-v1.
pub(super) fn specs() -> Vec<EnvSpec> {
    let make = |kwargs: &mut Kwargs| -> Result<Blackjack, MakeError> {
        let is_natural = kwargs.take_bool("natural")?.unwrap_or(false);
        let is_sab = kwargs.take_bool("sab")?.unwrap_or(false);
        Ok(Blackjack::new().rules(match (is_sab, is_natural) {
            (true, _) => Rules::SuttonBarto,
            (false, true) => Rules::Natural,
            (false, false) => Rules::Plain,
        }))
    };
    vec![
        EnvSpec::new("Blackjack-v1", make)
            .kwarg("sab", true)
            .kwarg("natural", false),
    ]
}

/// The environment; state order: sum, ace, cards of the player, the same of the dealer, the dealer's first card.
#[derive(Clone, Debug)]
pub struct Blackjack {
    player: Hand,
    dealer: Hand,
    /// The dealer's first card.
    shown: u8,
    rules: Rules,
    is_started: bool,
    rng: Rng,
}

/// What a natural, an ace and a ten at the start, is worth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rules {
    /// The book's: it wins 1, unless the dealer has one too.
    #[default]
    SuttonBarto,
    /// It wins 1.5, if the hand wins.
    Natural,
    /// Nothing but 21.
    Plain,
}

impl Default for Blackjack {
    fn default() -> Self {
        Blackjack::new()
    }
}

impl Blackjack {
    /// Returns Blackjack-v1, with the book's rules.
    pub fn new() -> Blackjack {
        Blackjack {
            player: Hand::default(),
            dealer: Hand::default(),
            shown: 0,
            rules: Rules::SuttonBarto,
            is_started: false,
            rng: Rng::from_entropy(),
        }
    }

    /// Sets what a natural is worth.
    pub fn rules(mut self, value: Rules) -> Self {
        self.rules = value;
        self
    }

    fn observation(&self) -> (i64, i64, i64) {
        (
            i64::from(self.player.score()),
            i64::from(self.shown),
            i64::from(self.player.has_usable_ace()),
        )
    }

    fn deal(&mut self, seed: Option<u64>) {
        if let Some(seed) = seed {
            self.rng = Rng::new(seed);
        }
        self.shown = card(&mut self.rng);
        self.dealer = Hand::default();
        self.dealer.take(self.shown);
        self.dealer.take(card(&mut self.rng));
        self.player = Hand::default();
        self.player.take(card(&mut self.rng));
        self.player.take(card(&mut self.rng));
        self.is_started = true;
    }

    #[inline]
    fn act(&mut self, action: i64) -> Result<Outcome, EnvError> {
        if !self.is_started {
            return Err(EnvError::ResetNeeded);
        }
        let (reward, terminated) = match action {
            0 => (self.showdown(), true),
            1 => {
                self.player.take(card(&mut self.rng));
                let is_bust = self.player.is_bust();
                (if is_bust { -1.0 } else { 0.0 }, is_bust)
            }
            _ => {
                return Err(EnvError::invalid_action(action, "Discrete(2)"));
            }
        };
        Ok(Outcome {
            reward,
            terminated,
            truncated: false,
        })
    }

    /// Plays out the dealer's hand; returns what the player earns.
    fn showdown(&mut self) -> f64 {
        while self.dealer.score() < 17 {
            self.dealer.take(card(&mut self.rng));
        }
        let reward = match self.player.rank().cmp(&self.dealer.rank()) {
            std::cmp::Ordering::Greater => 1.0,
            std::cmp::Ordering::Equal => 0.0,
            std::cmp::Ordering::Less => -1.0,
        };
        match self.rules {
            Rules::SuttonBarto if self.player.is_natural() && !self.dealer.is_natural() => 1.0,
            Rules::Natural if self.player.is_natural() && reward == 1.0 => 1.5,
            _ => reward,
        }
    }
}

impl Env for Blackjack {
    type Observation = (i64, i64, i64);
    type Action = i64;

    fn observation_space(&self) -> Space {
        let parts = [32, 11, 2].map(|n| Space::Discrete(Discrete::new(n)));
        Space::Tuple(Tuple::new(parts.to_vec()))
    }

    fn action_space(&self) -> Space {
        Space::Discrete(Discrete::new(2))
    }

    fn reset(
        &mut self,
        seed: Option<u64>,
        _options: &Options,
    ) -> Result<((i64, i64, i64), Info), EnvError> {
        self.deal(seed);
        Ok((self.observation(), Info::new()))
    }

    fn step(&mut self, action: &i64) -> Result<Step<(i64, i64, i64)>, EnvError> {
        let outcome = self.act(*action)?;
        Ok(Step {
            observation: self.observation(),
            reward: outcome.reward,
            terminated: outcome.terminated,
            truncated: false,
            info: Info::new(),
        })
    }

    fn state(&self) -> State {
        let hand = |hand: Hand| [hand.sum, u8::from(hand.has_ace), hand.cards];
        let hands = [hand(self.player), hand(self.dealer)].concat();
        State {
            values: hands
                .into_iter()
                .chain([self.shown])
                .map(f64::from)
                .collect(),
            rng: self.rng.save(),
            ..State::default()
        }
    }

    fn set_state(&mut self, state: &State) -> Result<(), EnvError> {
        let wrong = || EnvError::InvalidState(format!("{:?} are no two hands", state.values));
        let bytes = state
            .values
            .iter()
            .map(|value| (f64::from(*value as u8) == *value).then_some(*value as u8))
            .collect::<Option<Vec<_>>>()
            .ok_or_else(wrong)?;
        let [
            player_sum,
            player_ace,
            player_cards,
            dealer_sum,
            dealer_ace,
            dealer_cards,
            shown,
        ] = bytes[..]
        else {
            return Err(wrong());
        };
        if player_ace > 1 || dealer_ace > 1 || dealer_sum > 30 || shown > 10 {
            return Err(wrong());
        }
        let hand = |sum, ace, cards| Hand {
            sum,
            has_ace: ace == 1,
            cards,
        };
        self.player = hand(player_sum, player_ace, player_cards);
        self.dealer = hand(dealer_sum, dealer_ace, dealer_cards);
        self.shown = shown;
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
        self.deal(seed);
        self.observation().write(row);
        Ok(())
    }

    #[inline]
    fn step_into(&mut self, action: &i64, row: &mut [f32]) -> Result<Outcome, EnvError> {
        let outcome = self.act(*action)?;
        self.observation().write(row);
        Ok(outcome)
    }

    fn render(&mut self, mode: RenderMode) -> Result<Frame, EnvError> {
        match mode {
            RenderMode::RgbArray => Ok(draw::table(self.observation()).into_frame()),
            _ => Err(EnvError::not_drawn("Blackjack", mode)),
        }
    }

    fn metadata(&self) -> Metadata {
        Metadata::new(&[RenderMode::RgbArray], 4)
    }

    fn rng_mut(&mut self) -> Option<&mut Rng> {
        Some(&mut self.rng)
    }
}

/// What matters of the cards that somebody holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Hand {
    /// Every ace counted as 1.
    sum: u8,
    has_ace: bool,
    cards: u8,
}

impl Hand {
    fn take(&mut self, card: u8) {
        self.sum = self.sum.saturating_add(card);
        self.has_ace |= card == 1;
        self.cards = self.cards.saturating_add(1);
    }

    fn has_usable_ace(self) -> bool {
        self.has_ace && self.sum <= 11
    }

    fn score(self) -> u8 {
        self.sum + if self.has_usable_ace() { 10 } else { 0 }
    }

    fn is_bust(self) -> bool {
        self.sum > 21
    }

    /// Returns what decides between two hands: nothing when it is bust.
    fn rank(self) -> u8 {
        if self.is_bust() { 0 } else { self.score() }
    }

    fn is_natural(self) -> bool {
        self.cards == 2 && self.has_ace && self.sum == 11
    }
}

/// Draws a card: 1 is an ace, 10 a ten or a picture.
fn card(rng: &mut Rng) -> u8 {
    (rng.below(13) as u8 + 1).min(10)
}
