//! Arrays of numbers within bounds.

use std::fmt;

use super::print;
use crate::{Array, ArrayData, Dtype, Value, rng::Rng};

/// An array of numbers, each within its bounds; infinite bounds are none.
#[derive(Clone, Debug, PartialEq)]
pub struct BoxSpace {
    /// The least value of each element, as f32.
    pub low: Vec<f32>,
    /// The greatest value of each element, as f32.
    pub high: Vec<f32>,
    /// The array's shape; its product is the length of the bounds.
    pub shape: Vec<usize>,
    /// The type of the elements.
    pub dtype: Dtype,
    /// The bounds in full where f32 would round them.
    wide: Option<(Vec<f64>, Vec<f64>)>,
}

impl BoxSpace {
    /// Returns the space of vectors of f32 within these bounds.
    ///
    /// # Panics
    /// When the bounds differ in length, or a low one is above its high one or not a number.
    pub fn new(low: Vec<f32>, high: Vec<f32>) -> BoxSpace {
        assert_eq!(low.len(), high.len(), "each element has two bounds");
        assert!(
            low.iter().zip(&high).all(|(low, high)| low <= high),
            "a low bound is no number or above its high bound"
        );
        let shape = vec![low.len()];
        BoxSpace {
            low,
            high,
            shape,
            dtype: Dtype::F32,
            wide: None,
        }
    }

    /// Returns the space of arrays whose elements all have the same bounds.
    ///
    /// # Panics
    /// When `low` is above `high` or one is not a number.
    pub fn uniform(low: f64, high: f64, shape: &[usize], dtype: Dtype) -> BoxSpace {
        let len = shape.iter().product();
        BoxSpace::with_bounds(vec![low; len], vec![high; len], shape, dtype)
    }

    /// Returns the space of arrays of any type and shape, with bounds for each element in row-major order.
    ///
    /// # Panics
    /// When the bounds do not fill the shape, or a low one is above its high one or not a number.
    pub fn with_bounds(low: Vec<f64>, high: Vec<f64>, shape: &[usize], dtype: Dtype) -> BoxSpace {
        assert_eq!(
            low.len(),
            shape.iter().product::<usize>(),
            "the bounds fill the shape"
        );
        let narrow = |bounds: &[f64]| bounds.iter().map(|bound| *bound as f32).collect::<Vec<_>>();
        let mut space = BoxSpace::new(narrow(&low), narrow(&high));
        assert!(
            low.iter().zip(&high).all(|(low, high)| low <= high),
            "a low bound is above its high bound"
        );
        space.shape = shape.to_vec();
        space.dtype = dtype;
        let is_exact = |wide: &[f64], narrow: &[f32]| {
            wide.iter()
                .zip(narrow)
                .all(|(wide, narrow)| *wide == f64::from(*narrow))
        };
        if dtype != Dtype::F32 && !(is_exact(&low, &space.low) && is_exact(&high, &space.high)) {
            space.wide = Some((low, high));
        }
        space
    }

    /// Returns the space of all arrays of a type.
    pub fn of_dtype(shape: &[usize], dtype: Dtype) -> BoxSpace {
        let (low, high) = match dtype {
            Dtype::Bool => (0.0, 1.0),
            Dtype::U8 => (0.0, 255.0),
            Dtype::I8 => (-128.0, 127.0),
            Dtype::I32 => (f64::from(i32::MIN), f64::from(i32::MAX)),
            Dtype::I64 => (i64::MIN as f64, i64::MAX as f64),
            Dtype::F32 | Dtype::F64 => (f64::NEG_INFINITY, f64::INFINITY),
        };
        BoxSpace::uniform(low, high, shape, dtype)
    }

    /// Returns how many elements an array has.
    pub fn len(&self) -> usize {
        self.low.len()
    }

    /// Returns whether an array has no elements.
    pub fn is_empty(&self) -> bool {
        self.low.is_empty()
    }

    /// Returns the bounds of an element in full.
    ///
    /// # Panics
    /// When `at` is past the end.
    pub fn bounds(&self, at: usize) -> (f64, f64) {
        match &self.wide {
            Some((low, high)) => (low[at], high[at]),
            None => (f64::from(self.low[at]), f64::from(self.high[at])),
        }
    }

    /// Returns whether every element has a least and a greatest value.
    pub fn is_bounded(&self) -> bool {
        self.low
            .iter()
            .chain(&self.high)
            .all(|bound| bound.is_finite())
    }

    /// Returns whether `values` has the length and every element is within its bounds.
    pub fn contains(&self, values: &[f32]) -> bool {
        values.len() == self.low.len()
            && values
                .iter()
                .zip(self.low.iter().zip(&self.high))
                .all(|(value, (low, high))| value >= low && value <= high)
    }

    /// Returns whether a value is an array of the type and shape, every element within its bounds.
    pub(super) fn contains_value(&self, value: &Value) -> bool {
        let Value::Array(array) = value else {
            return false;
        };
        array.dtype() == self.dtype
            && array.shape() == self.shape
            && match array.data() {
                ArrayData::F32(values) => self.contains(values),
                _ => (0..array.len()).all(|at| {
                    let (low, high) = self.bounds(at);
                    (low..=high).contains(&array.get(at))
                }),
            }
    }

    /// Draws values: uniform within two bounds, exponential beyond one, normal without any.
    pub fn sample(&self, rng: &mut Rng) -> Vec<f32> {
        self.low
            .iter()
            .zip(&self.high)
            .map(|(low, high)| draw(f64::from(*low), f64::from(*high), rng) as f32)
            .collect()
    }

    /// Draws an array of the type and shape.
    pub(super) fn sample_array(&self, rng: &mut Rng) -> Array {
        let data = if self.dtype.is_float() {
            let draws = (0..self.len()).map(|at| {
                let (low, high) = self.bounds(at);
                draw(low, high, rng)
            });
            ArrayData::from_f64(self.dtype, draws)
        } else {
            let draws = (0..self.len()).map(|at| {
                let (low, high) = self.bounds(at);
                // The upper bound is a member, so the interval to cut down is one longer.
                let above = if high.is_finite() { high + 1.0 } else { high };
                draw(low, above, rng).floor().clamp(low, high)
            });
            ArrayData::from_f64(self.dtype, draws)
        };
        Array::new(self.shape.clone(), data).expect("one draw an element")
    }
}

fn draw(low: f64, high: f64, rng: &mut Rng) -> f64 {
    match (low.is_finite(), high.is_finite()) {
        (true, true) => rng.uniform(low, high),
        (true, false) => low + rng.exponential(),
        (false, true) => high - rng.exponential(),
        (false, false) => rng.normal(),
    }
}

impl fmt::Display for BoxSpace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bounds = (0..self.len()).map(|at| self.bounds(at));
        let (low, high): (Vec<_>, Vec<_>) = bounds.unzip();
        let short = |numbers: &[f64]| match numbers {
            [first, rest @ ..] if rest.iter().all(|number| number == first) => {
                print::scalar(*first, self.dtype)
            }
            _ => print::array(numbers, &self.shape, self.dtype),
        };
        let sizes = self.shape.iter().map(ToString::to_string);
        let comma = if self.shape.len() == 1 { "," } else { "" };
        write!(
            f,
            "Box({}, {}, ({}{comma}), {})",
            short(&low),
            short(&high),
            sizes.collect::<Vec<_>>().join(", "),
            self.dtype.name()
        )
    }
}
