//! Board games for self-play: the rules alone, small enough to copy for every node of a search tree.
//!
//! [`BoardGame`] is what a tree search needs: whose turn it is, which actions are legal, what follows, who won, and
//! how a position looks to a network. [`BoardEnv`](crate::multi::BoardEnv) plays one as a multi-agent
//! environment.

mod connect_four;
mod tic_tac_toe;

use std::{fmt, hash::Hash};

pub use connect_four::ConnectFour;
pub use tic_tac_toe::TicTacToe;

use crate::render::Canvas;

/// A game of two players who move in turn, know everything, and of whom one wins what the other loses.
///
/// The default is the position at the start.
///
/// ```
/// use environments::board::{BoardGame, Outcome, Player, TicTacToe};
///
/// let mut game = TicTacToe::default();
/// for action in [0, 3, 1, 4, 2] {
///     game.apply(action)?;
/// }
/// assert_eq!(game.outcome(), Some(Outcome::Win(Player::First)));
/// # Ok::<(), environments::board::IllegalMove>(())
/// ```
pub trait BoardGame:
    Clone + Default + Eq + Hash + fmt::Debug + fmt::Display + Send + Sync + 'static
{
    /// The game's name, as in ids.
    const NAME: &'static str;
    /// How many actions there are, legal or not; at most 128.
    const ACTIONS: usize;
    /// Planes, rows and columns of an encoded position.
    const SHAPE: [usize; 3];

    /// Returns who moves next; after the end, who would.
    fn to_move(&self) -> Player;

    /// Returns the actions that may be played; none after the end.
    fn legal_actions(&self) -> ActionSet;

    /// Plays an action.
    ///
    /// # Errors
    /// An action that is not legal; the position stays.
    fn apply(&mut self, action: usize) -> Result<(), IllegalMove>;

    /// Returns how the game ended, if it has.
    fn outcome(&self) -> Option<Outcome>;

    /// Writes the position as `viewer` sees it: the plane of its own pieces, then the other's; 1 for a piece.
    ///
    /// `planes`: `SHAPE` flat, row 0 on top.
    fn encode(&self, viewer: Player, planes: &mut [f32]);

    /// Draws the position.
    fn draw(&self) -> Canvas;
}

/// One of the two players.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Player {
    /// Who begins.
    First,
    /// Who answers.
    Second,
}

impl Player {
    /// Returns the other player.
    pub fn other(self) -> Player {
        match self {
            Player::First => Player::Second,
            Player::Second => Player::First,
        }
    }

    /// Returns 0 for who begins, else 1.
    pub fn index(self) -> usize {
        match self {
            Player::First => 0,
            Player::Second => 1,
        }
    }
}

/// How a game ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// One player won.
    Win(Player),
    /// Nobody won.
    Draw,
}

impl Outcome {
    /// Returns 1 for a player who won, -1 for one who lost, 0 for a draw.
    pub fn value(self, player: Player) -> f64 {
        match self {
            Outcome::Win(winner) if winner == player => 1.0,
            Outcome::Win(_) => -1.0,
            Outcome::Draw => 0.0,
        }
    }
}

/// An action that the rules forbid in this position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("action {action} is not legal here; legal are {legal}")]
pub struct IllegalMove {
    /// What was tried.
    pub action: usize,
    /// What may be played.
    pub legal: ActionSet,
}

/// A set of actions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ActionSet(u128);

impl ActionSet {
    /// Returns the set of the actions whose bits are set; bit 0 is action 0.
    pub fn from_bits(bits: u128) -> ActionSet {
        ActionSet(bits)
    }

    /// Returns whether an action is in the set.
    pub fn contains(self, action: usize) -> bool {
        action < 128 && self.0 >> action & 1 == 1
    }

    /// Returns how many actions there are.
    pub fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Returns whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns the actions in ascending order.
    pub fn iter(self) -> impl Iterator<Item = usize> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let action = rest.trailing_zeros() as usize;
            rest &= rest.wrapping_sub(1);
            (action < 128).then_some(action)
        })
    }

    /// Returns a flag for each of `count` actions.
    pub fn to_mask(self, count: usize) -> Vec<bool> {
        (0..count).map(|action| self.contains(action)).collect()
    }
}

impl fmt::Display for ActionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// Refuses what is not legal.
fn check_legal(action: usize, legal: ActionSet) -> Result<(), IllegalMove> {
    if legal.contains(action) {
        Ok(())
    } else {
        Err(IllegalMove { action, legal })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_its_bits_say() {
        let set = ActionSet::from_bits(1 << 127 | 0b101);
        assert_eq!(set.iter().collect::<Vec<_>>(), [0, 2, 127]);
        assert_eq!((set.len(), set.is_empty()), (3, false));
        assert!(set.contains(127) && !set.contains(1) && !set.contains(128));
        assert_eq!(set.to_mask(3), [true, false, true]);
        assert_eq!(set.to_string(), "{0, 2, 127}");
        assert_eq!(ActionSet::default().iter().next(), None);
    }

    #[test]
    fn one_wins_what_the_other_loses() {
        let win = Outcome::Win(Player::Second);
        assert_eq!(win.value(Player::Second), 1.0);
        assert_eq!(win.value(Player::First), -1.0);
        assert_eq!(Outcome::Draw.value(Player::First), 0.0);
    }
}
