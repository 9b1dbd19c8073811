//! Boards of 10 by 10 cells as bits, and the observation that several of them make.

use crate::{Array, ArrayData, BoxSpace, Dtype, Observation, Space, Value};

/// One bit a cell: bit `10 * row + column`.
pub type Plane = u128;

/// Every cell.
pub(crate) const FULL: Plane = (1 << CELLS) - 1;

/// The cells of the first column.
pub(crate) const FIRST_COLUMN: Plane = {
    let (mut plane, mut row) = (0, 0);
    while row < SIDE {
        plane |= 1 << (row * SIDE);
        row += 1;
    }
    plane
};

/// Cells across and down.
pub(crate) const SIDE: usize = 10;

/// Cells of a board.
pub(crate) const CELLS: usize = SIDE * SIDE;

/// Returns the plane with one cell.
///
/// # Panics
/// When the cell is not on the board.
pub(crate) fn cell(row: i32, column: i32) -> Plane {
    assert!(is_on_board(row, column), "cell {row}, {column}");
    1 << (row as usize * SIDE + column as usize)
}

/// Returns whether there is such a cell.
pub(crate) fn is_on_board(row: i32, column: i32) -> bool {
    (0..SIDE as i32).contains(&row) && (0..SIDE as i32).contains(&column)
}

/// Returns the plane with the cell behind another that moves to the right or left; none beyond the edge.
pub(crate) fn behind(row: i32, column: i32, moves_right: bool) -> Plane {
    let column = if moves_right { column - 1 } else { column + 1 };
    if is_on_board(row, column) {
        cell(row, column)
    } else {
        0
    }
}

/// Returns the plane of one row.
pub(crate) fn row(at: usize) -> Plane {
    ((1 << SIDE) - 1) << (at * SIDE)
}

/// What a MinAtar agent sees: one board a channel, 10 by 10 by `C` truths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Board<const C: usize> {
    planes: [Plane; C],
}

impl<const C: usize> Board<C> {
    pub(crate) fn new(planes: [Plane; C]) -> Board<C> {
        Board { planes }
    }

    /// Returns whether a channel is set at a cell.
    ///
    /// # Panics
    /// When there is no such cell or channel.
    pub fn get(&self, row: usize, column: usize, channel: usize) -> bool {
        assert!(row < SIDE && column < SIDE, "cell {row}, {column}");
        self.planes[channel] >> (row * SIDE + column) & 1 == 1
    }
}

impl<const C: usize> Observation for Board<C> {
    fn space() -> Option<Space> {
        Some(Space::Box(BoxSpace::of_dtype(
            &[SIDE, SIDE, C],
            Dtype::Bool,
        )))
    }

    fn row_len(&self) -> usize {
        CELLS * C
    }

    #[inline]
    fn write(&self, row: &mut [f32]) {
        row.fill(0.0);
        for (channel, plane) in self.planes.iter().enumerate() {
            let mut rest = *plane;
            while rest != 0 {
                row[rest.trailing_zeros() as usize * C + channel] = 1.0;
                rest &= rest - 1;
            }
        }
    }

    fn to_value(&self) -> Value {
        let cells = (0..CELLS * C)
            .map(|at| self.planes[at % C] >> (at / C) & 1 == 1)
            .collect();
        let array = Array::new([SIDE, SIDE, C], ArrayData::Bool(cells));
        Value::Array(array.expect("as many as the shape says"))
    }

    fn from_value(value: &Value) -> Option<Board<C>> {
        let Value::Array(array) = value else {
            return None;
        };
        if array.shape() != [SIDE, SIDE, C] {
            return None;
        }
        let mut planes = [0; C];
        for at in 0..array.len() {
            planes[at % C] |= Plane::from(array.get(at) != 0.0) << (at / C);
        }
        Some(Board { planes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_board_writes_row_column_channel() {
        let board = Board::new([cell(0, 1), cell(9, 9) | cell(0, 1)]);
        let mut row = vec![7.0; 200];
        board.write(&mut row);
        let set = (0..200).filter(|at| row[*at] == 1.0).collect::<Vec<_>>();
        assert_eq!(set, [2, 3, 199]);
        assert!(row.iter().all(|value| *value == 0.0 || *value == 1.0));
        assert!(board.get(9, 9, 1) && !board.get(9, 9, 0));
        assert_eq!(Board::from_value(&board.to_value()), Some(board));
    }

    #[test]
    fn nothing_is_behind_the_edge() {
        assert_eq!(behind(3, 0, true), 0);
        assert_eq!(behind(3, 9, false), 0);
        assert_eq!(behind(3, 1, true), cell(3, 0));
    }
}
