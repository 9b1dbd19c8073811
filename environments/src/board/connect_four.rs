//! Connect four: four in a row on six rows and seven columns, discs fall to the bottom.

use std::fmt;

use super::{ActionSet, BoardGame, IllegalMove, Outcome, Player, check_legal};
use crate::render::{Canvas, Color};

/// A position. An action is a column from the left; the first player is X.
///
/// A bit is a square, seven bits a column from the bottom up; the seventh stays free, so that no line that is found
/// by shifting runs from one column's top into the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ConnectFour {
    discs: [u64; 2],
}

impl ConnectFour {
    fn occupied(&self) -> u64 {
        self.discs[0] | self.discs[1]
    }

    fn at(&self, row_from_top: usize, column: usize) -> Option<Player> {
        let bit = column * COLUMN_BITS + ROWS - 1 - row_from_top;
        [Player::First, Player::Second]
            .into_iter()
            .find(|player| self.discs[player.index()] >> bit & 1 == 1)
    }
}

impl BoardGame for ConnectFour {
    const NAME: &'static str = "ConnectFour";
    const ACTIONS: usize = COLUMNS;
    const SHAPE: [usize; 3] = [2, ROWS, COLUMNS];

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
        let free_tops = TOPS & !self.occupied();
        let columns = (0..COLUMNS)
            .filter(|column| free_tops >> (column * COLUMN_BITS + ROWS - 1) & 1 == 1)
            .fold(0, |set, column| set | 1 << column);
        ActionSet::from_bits(columns)
    }

    fn apply(&mut self, action: usize) -> Result<(), IllegalMove> {
        check_legal(action, self.legal_actions())?;
        let column = COLUMN << (action * COLUMN_BITS);
        // Adding the column's lowest bit carries to its lowest free square.
        let lowest = 1 << (action * COLUMN_BITS);
        let square = (self.occupied() & column) + lowest;
        self.discs[self.to_move().index()] |= square;
        Ok(())
    }

    fn outcome(&self) -> Option<Outcome> {
        [Player::First, Player::Second]
            .into_iter()
            .find(|player| has_four(self.discs[player.index()]))
            .map(Outcome::Win)
            .or_else(|| (self.occupied() & TOPS == TOPS).then_some(Outcome::Draw))
    }

    fn encode(&self, viewer: Player, planes: &mut [f32]) {
        for (plane, player) in planes
            .chunks_exact_mut(ROWS * COLUMNS)
            .zip([viewer, viewer.other()])
        {
            for (at, number) in plane.iter_mut().enumerate() {
                let found = self.at(at / COLUMNS, at % COLUMNS);
                *number = f32::from(u8::from(found == Some(player)));
            }
        }
    }

    fn draw(&self) -> Canvas {
        let mut canvas = Canvas::new(70 * COLUMNS as u32, 70 * ROWS as u32, Color(40, 70, 170));
        for row in 0..ROWS {
            for column in 0..COLUMNS {
                let color = match self.at(row, column) {
                    Some(Player::First) => Color(220, 60, 50),
                    Some(Player::Second) => Color(240, 210, 60),
                    None => Color::WHITE,
                };
                let center = (35.0 + 70.0 * column as f64, 35.0 + 70.0 * row as f64);
                canvas.circle(center, 28.0, color);
            }
        }
        canvas
    }
}

impl fmt::Display for ConnectFour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for row in 0..ROWS {
            for column in 0..COLUMNS {
                let sign = match self.at(row, column) {
                    Some(Player::First) => 'X',
                    Some(Player::Second) => 'O',
                    None => '.',
                };
                write!(f, "{sign}")?;
            }
            if row + 1 < ROWS {
                writeln!(f)?;
            }
        }
        Ok(())
    }
}

/// Finds four in a row: up, right, and along both diagonals.
fn has_four(discs: u64) -> bool {
    [1, COLUMN_BITS, COLUMN_BITS - 1, COLUMN_BITS + 1]
        .into_iter()
        .any(|shift| {
            let pairs = discs & discs >> shift;
            pairs & pairs >> (2 * shift) != 0
        })
}

const ROWS: usize = 6;
const COLUMNS: usize = 7;
const COLUMN_BITS: usize = ROWS + 1;
/// The squares of the first column.
const COLUMN: u64 = (1 << ROWS) - 1;
/// The top square of every column.
const TOPS: u64 = {
    let (mut tops, mut column) = (0, 0);
    while column < COLUMNS {
        tops |= 1 << (column * COLUMN_BITS + ROWS - 1);
        column += 1;
    }
    tops
};

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::rng::Rng;

    /// Finds four in a row by looking at every line of the board.
    fn wins_by_looking(game: &ConnectFour) -> Option<Player> {
        let at = |row: i32, column: i32| {
            let is_inside =
                (0..ROWS as i32).contains(&row) && (0..COLUMNS as i32).contains(&column);
            is_inside
                .then(|| game.at(row as usize, column as usize))
                .flatten()
        };
        for row in 0..ROWS as i32 {
            for column in 0..COLUMNS as i32 {
                for (down, right) in [(0, 1), (1, 0), (1, 1), (1, -1)] {
                    let first = at(row, column);
                    let is_line =
                        (1..4).all(|step| at(row + step * down, column + step * right) == first);
                    if first.is_some() && is_line {
                        return first;
                    }
                }
            }
        }
        None
    }

    #[test]
    fn there_are_as_many_positions_per_ply_as_known() {
        let mut positions = HashSet::from([ConnectFour::default()]);
        // The sequence A212693 of the On-Line Encyclopedia of Integer Sequences.
        for known in [
            1, 7, 49, 238, 1_120, 4_263, 16_422, 54_859, 184_275, 558_186,
        ] {
            assert_eq!(positions.len(), known);
            positions = positions
                .iter()
                .flat_map(|game| {
                    game.legal_actions().iter().map(|action| {
                        let mut next = *game;
                        next.apply(action).expect("a legal action");
                        next
                    })
                })
                .collect();
        }
    }

    #[test]
    fn shifts_find_the_lines_that_looking_finds() {
        let mut rng = Rng::new(4);
        let (mut wins, mut draws) = ([0; 2], 0);
        for _ in 0..3_000 {
            let mut game = ConnectFour::default();
            while game.outcome().is_none() {
                assert_eq!(wins_by_looking(&game), None);
                let legal = game.legal_actions();
                let chosen = rng.below(legal.len() as u64) as usize;
                let action = legal.iter().nth(chosen).expect("within the set");
                game.apply(action).expect("a legal action");
            }
            match game.outcome() {
                Some(Outcome::Win(player)) => {
                    assert_eq!(wins_by_looking(&game), Some(player));
                    wins[player.index()] += 1;
                }
                _ => {
                    assert_eq!(wins_by_looking(&game), None);
                    assert_eq!(game.occupied().count_ones(), 42);
                    draws += 1;
                }
            }
        }
        assert!(wins.iter().all(|count| *count > 0) && draws > 0);
    }

    #[test]
    fn a_full_column_is_refused_and_discs_fall() {
        let mut game = ConnectFour::default();
        for _ in 0..6 {
            game.apply(3).expect("a legal action");
        }
        assert!(!game.legal_actions().contains(3) && game.apply(3).is_err());
        assert!(game.apply(7).is_err());
        assert_eq!(game.at(5, 3), Some(Player::First));
        assert_eq!(game.at(0, 3), Some(Player::Second));
        let mut planes = vec![0.0; 84];
        game.encode(Player::First, &mut planes);
        assert_eq!((planes[5 * 7 + 3], planes[42 + 3]), (1.0, 1.0));
    }
}
