//! What crosses the rows of Seaquest: enemies, divers and bullets.

use super::saved::{Reader, Saver};
use crate::EnvError;

/// A place: row and column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) row: i32,
    pub(super) column: i32,
}

/// Something that crosses a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Swimmer {
    pub(super) at: Cell,
    pub(super) moves_right: bool,
    /// Steps until it moves; bullets move every step.
    pub(super) move_timer: i32,
    /// Steps until it shoots; of submarines.
    pub(super) shot_timer: i32,
}

impl Swimmer {
    pub(super) fn advance(&mut self) {
        self.at.column += if self.moves_right { 1 } else { -1 };
    }

    pub(super) fn is_gone(&self) -> bool {
        !(0..=9).contains(&self.at.column)
    }

    pub(super) fn save(&self, to: &mut Saver) {
        to.int(self.at.row)
            .int(self.at.column)
            .flag(self.moves_right)
            .int(self.move_timer)
            .int(self.shot_timer);
    }

    pub(super) fn restore(from: &mut Reader<'_>) -> Result<Swimmer, EnvError> {
        Ok(Swimmer {
            at: Cell {
                row: from.int(0..=9)?,
                column: from.int(0..=9)?,
            },
            moves_right: from.flag()?,
            move_timer: from.int(0..=MOVE_INTERVAL)?,
            shot_timer: from.int(0..=SHOT_INTERVAL)?,
        })
    }
}

/// Removes the first that is in a cell; returns whether there was one.
pub(super) fn take_at(swimmers: &mut Vec<Swimmer>, at: Cell) -> bool {
    let found = swimmers.iter().position(|swimmer| swimmer.at == at);
    if let Some(index) = found {
        swimmers.remove(index);
    }
    found.is_some()
}

/// Steps from one move of what swims to the next, of enemies at first.
pub(super) const MOVE_INTERVAL: i32 = 5;
/// Steps from one shot of an enemy submarine to the next.
pub(super) const SHOT_INTERVAL: i32 = 10;
