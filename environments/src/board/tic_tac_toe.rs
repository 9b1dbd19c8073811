//! Tic-tac-toe: three in a row on a board of three by three.

use std::fmt;

use super::{ActionSet, BoardGame, IllegalMove, Outcome, Player, check_legal};
use crate::render::{Canvas, Color};

/// A position. Action `i` is the square in row `i / 3`, column `i % 3`; the first player is X.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TicTacToe {
    /// The squares of each player; bit `i` is square `i`.
    squares: [u16; 2],
}

impl TicTacToe {
    fn has_line(&self, player: Player) -> bool {
        let own = self.squares[player.index()];
        LINES.iter().any(|line| own & line == *line)
    }

    fn occupied(&self) -> u16 {
        self.squares[0] | self.squares[1]
    }
}

impl BoardGame for TicTacToe {
    const NAME: &'static str = "TicTacToe";
    const ACTIONS: usize = 9;
    const SHAPE: [usize; 3] = [2, 3, 3];

    fn to_move(&self) -> Player {
        if self.occupied().count_ones().is_multiple_of(2) {
            Player::First
        } else {
            Player::Second
        }
    }

    fn legal_actions(&self) -> ActionSet {
        if self.outcome().is_some() {
            return ActionSet::default();
        }
        ActionSet::from_bits(u128::from(ALL & !self.occupied()))
    }

    fn apply(&mut self, action: usize) -> Result<(), IllegalMove> {
        check_legal(action, self.legal_actions())?;
        self.squares[self.to_move().index()] |= 1 << action;
        Ok(())
    }

    fn outcome(&self) -> Option<Outcome> {
        [Player::First, Player::Second]
            .into_iter()
            .find(|player| self.has_line(*player))
            .map(Outcome::Win)
            .or_else(|| (self.occupied() == ALL).then_some(Outcome::Draw))
    }

    fn encode(&self, viewer: Player, planes: &mut [f32]) {
        for (plane, player) in planes.chunks_exact_mut(9).zip([viewer, viewer.other()]) {
            for (at, number) in plane.iter_mut().enumerate() {
                *number = f32::from(self.squares[player.index()] >> at & 1);
            }
        }
    }

    fn draw(&self) -> Canvas {
        let mut canvas = Canvas::new(300, 300, Color::WHITE);
        for line in [100.0, 200.0] {
            canvas.line((line, 10.0), (line, 290.0), 4.0, Color::BLACK);
            canvas.line((10.0, line), (290.0, line), 4.0, Color::BLACK);
        }
        for square in 0..9 {
            let (x, y) = (
                50.0 + 100.0 * f64::from(square % 3),
                50.0 + 100.0 * f64::from(square / 3),
            );
            if self.squares[0] >> square & 1 == 1 {
                let color = Color(190, 50, 50);
                canvas.line((x - 28.0, y - 28.0), (x + 28.0, y + 28.0), 8.0, color);
                canvas.line((x - 28.0, y + 28.0), (x + 28.0, y - 28.0), 8.0, color);
            } else if self.squares[1] >> square & 1 == 1 {
                canvas.ring((x, y), 24.0, 32.0, Color(50, 80, 180));
            }
        }
        canvas
    }
}

impl fmt::Display for TicTacToe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for row in 0..3 {
            for square in 3 * row..3 * row + 3 {
                let sign = match (self.squares[0] >> square & 1, self.squares[1] >> square & 1) {
                    (1, _) => 'X',
                    (_, 1) => 'O',
                    _ => '.',
                };
                write!(f, "{sign}")?;
            }
            if row < 2 {
                writeln!(f)?;
            }
        }
        Ok(())
    }
}

const ALL: u16 = 0b111_111_111;

/// Rows, columns, diagonals.
const LINES: [u16; 8] = [
    0b000_000_111,
    0b000_111_000,
    0b111_000_000,
    0b001_001_001,
    0b010_010_010,
    0b100_100_100,
    0b100_010_001,
    0b001_010_100,
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn games(game: TicTacToe, seen: &mut HashSet<TicTacToe>, ends: &mut [u32; 3]) {
        seen.insert(game);
        if let Some(outcome) = game.outcome() {
            ends[(outcome.value(Player::First) + 1.0) as usize] += 1;
            return;
        }
        for action in game.legal_actions().iter() {
            let mut next = game;
            next.apply(action).expect("a legal action");
            games(next, seen, ends);
        }
    }

    #[test]
    fn there_are_as_many_games_and_positions_as_known() {
        let (mut seen, mut ends) = (HashSet::new(), [0; 3]);
        games(TicTacToe::default(), &mut seen, &mut ends);
        // Won by the second player, drawn, won by the first.
        assert_eq!(ends, [77_904, 46_080, 131_184]);
        assert_eq!(ends.iter().sum::<u32>(), 255_168);
        assert_eq!(seen.len(), 5_478);
    }

    #[test]
    fn a_taken_square_and_a_move_after_the_end_are_refused() {
        let mut game = TicTacToe::default();
        game.apply(4).expect("a legal action");
        let before = game;
        assert_eq!(
            game.apply(4).map_err(|error| error.to_string()),
            Err("action 4 is not legal here; legal are {0, 1, 2, 3, 5, 6, 7, 8}".to_owned())
        );
        assert!(game.apply(9).is_err());
        assert_eq!(game, before);
        for action in [0, 3, 1, 5] {
            game.apply(action).expect("a legal action");
        }
        assert_eq!(game.to_string(), "OO.\nXXX\n...");
        assert_eq!(game.outcome(), Some(Outcome::Win(Player::First)));
        assert!(game.legal_actions().is_empty() && game.apply(2).is_err());
    }

    #[test]
    fn each_player_sees_its_own_pieces_first() {
        let mut game = TicTacToe::default();
        game.apply(2).expect("a legal action");
        game.apply(6).expect("a legal action");
        let mut planes = [0.0; 18];
        game.encode(Player::First, &mut planes);
        assert_eq!((planes[2], planes[9 + 6]), (1.0, 1.0));
        game.encode(Player::Second, &mut planes);
        assert_eq!((planes[6], planes[9 + 2]), (1.0, 1.0));
        assert_eq!(planes.iter().sum::<f32>(), 2.0);
    }
}
