//! Saving and restoring games as lists of numbers, each checked against its range.

use std::ops::RangeInclusive;

use super::board::{FULL, Plane};
use crate::EnvError;

/// The numbers of a game that is being saved.
#[derive(Default)]
pub struct Saver {
    pub(crate) values: Vec<f64>,
}

impl Saver {
    pub(crate) fn int(&mut self, value: i32) -> &mut Saver {
        self.values.push(f64::from(value));
        self
    }

    pub(crate) fn flag(&mut self, value: bool) -> &mut Saver {
        self.int(i32::from(value))
    }

    /// A plane takes two numbers of 50 bits, which f64 holds exactly.
    pub(crate) fn plane(&mut self, plane: Plane) -> &mut Saver {
        self.values.push((plane & HALF) as f64);
        self.values.push((plane >> 50) as f64);
        self
    }
}

/// The numbers of a saved game that are still to be read.
pub struct Reader<'a> {
    rest: std::slice::Iter<'a, f64>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(values: &'a [f64]) -> Reader<'a> {
        Reader {
            rest: values.iter(),
        }
    }

    fn next(&mut self, range: RangeInclusive<f64>) -> Result<f64, EnvError> {
        let value = *self
            .rest
            .next()
            .ok_or_else(|| EnvError::InvalidState("it has too few values".into()))?;
        if value.fract() == 0.0 && range.contains(&value) {
            Ok(value)
        } else {
            Err(EnvError::InvalidState(format!(
                "{value} is not a whole number in {range:?}"
            )))
        }
    }

    pub(crate) fn int(&mut self, range: RangeInclusive<i32>) -> Result<i32, EnvError> {
        let range = f64::from(*range.start())..=f64::from(*range.end());
        Ok(self.next(range)? as i32)
    }

    pub(crate) fn flag(&mut self) -> Result<bool, EnvError> {
        Ok(self.int(0..=1)? == 1)
    }

    pub(crate) fn plane(&mut self) -> Result<Plane, EnvError> {
        let low = self.next(0.0..=HALF as f64)? as Plane;
        let high = self.next(0.0..=HALF as f64)? as Plane;
        Ok((low | high << 50) & FULL)
    }

    /// Checks that nothing is left.
    pub(crate) fn end(mut self) -> Result<(), EnvError> {
        match self.rest.next() {
            None => Ok(()),
            Some(_) => Err(EnvError::InvalidState("it has too many values".into())),
        }
    }
}

const HALF: Plane = (1 << 50) - 1;
