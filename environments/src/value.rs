//! Values whose type is known only at run time: members of spaces, infos, options, arguments.
//!
//! A [`Value`] is to [`Env`](crate::Env) what a JSON value is to a struct: every observation and action can
//! become one and be read back. Numbers in bulk are [`Array`]s, flat and row-major with a shape.

use std::collections::BTreeMap;

/// A value of a space, an info, options, arguments, or a state.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// A truth.
    Bool(bool),
    /// A whole number; a member of `Discrete`.
    Int(i64),
    /// A number.
    Float(f64),
    /// A text; a member of `Text`.
    Text(String),
    /// Several values; a member of `Tuple` or `Sequence`, and `[index, value]` of `OneOf`.
    List(Vec<Value>),
    /// Numbers of one type; a member of `Box`, `MultiDiscrete` or `MultiBinary`.
    Array(Array),
    /// Named values; a member of `Dict`.
    Map(BTreeMap<String, Value>),
    /// Nodes and edges; a member of `Graph`.
    Graph(Box<GraphInstance>),
}

/// Numbers of one type in row-major order, with a shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    shape: Vec<usize>,
    data: ArrayData,
}

/// The numbers of an [`Array`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ArrayData {
    /// Truths.
    Bool(Vec<bool>),
    /// Bytes.
    U8(Vec<u8>),
    /// Signed bytes.
    I8(Vec<i8>),
    /// Whole numbers of 32 bits.
    I32(Vec<i32>),
    /// Whole numbers of 64 bits.
    I64(Vec<i64>),
    /// Numbers of 32 bits.
    F32(Vec<f32>),
    /// Numbers of 64 bits.
    F64(Vec<f64>),
}

/// The type of the numbers of an array.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dtype {
    /// Truths.
    Bool,
    /// Bytes.
    U8,
    /// Signed bytes.
    I8,
    /// Whole numbers of 32 bits.
    I32,
    /// Whole numbers of 64 bits.
    I64,
    /// Numbers of 32 bits.
    #[default]
    F32,
    /// Numbers of 64 bits.
    F64,
}

/// A member of a `Graph` space.
#[derive(Clone, Debug, PartialEq)]
pub struct GraphInstance {
    /// `[n, …]`: one member of the node space each.
    pub nodes: Array,
    /// `[m, …]`: one member of the edge space each; `None` where the space has none.
    pub edges: Option<Array>,
    /// `[m, 2]`: from which node to which, as I64; `None` where there are no edges.
    pub edge_links: Option<Array>,
}

impl Array {
    /// Returns an array of numbers in row-major order; `None` when they do not fill the shape.
    pub fn new(shape: impl Into<Vec<usize>>, data: ArrayData) -> Option<Array> {
        let shape = shape.into();
        (shape.iter().product::<usize>() == data.len()).then_some(Array { shape, data })
    }

    /// Returns the sizes of the dimensions; none for a single number.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Returns the numbers.
    pub fn data(&self) -> &ArrayData {
        &self.data
    }

    /// Returns the type of the numbers.
    pub fn dtype(&self) -> Dtype {
        self.data.dtype()
    }

    /// Returns how many numbers there are.
    pub fn len(&self) -> usize {
        self.data.len()
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns one number, whatever its type.
    ///
    /// # Panics
    /// When `at` is past the end.
    pub fn get(&self, at: usize) -> f64 {
        self.data.get(at)
    }

    /// Returns the numbers, whatever their type.
    pub fn to_f64(&self) -> Vec<f64> {
        (0..self.len()).map(|at| self.get(at)).collect()
    }
}

/// Does the same with the numbers of each type.
macro_rules! each {
    ($data:expr, $numbers:ident => $result:expr) => {
        match $data {
            ArrayData::Bool($numbers) => $result,
            ArrayData::U8($numbers) => $result,
            ArrayData::I8($numbers) => $result,
            ArrayData::I32($numbers) => $result,
            ArrayData::I64($numbers) => $result,
            ArrayData::F32($numbers) => $result,
            ArrayData::F64($numbers) => $result,
        }
    };
}

impl ArrayData {
    /// Returns how many numbers there are.
    pub fn len(&self) -> usize {
        each!(self, numbers => numbers.len())
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns one number, whatever its type.
    ///
    /// # Panics
    /// When `at` is past the end.
    pub fn get(&self, at: usize) -> f64 {
        each!(self, numbers => numbers[at].to_f64())
    }

    /// Returns the type of the numbers.
    pub fn dtype(&self) -> Dtype {
        match self {
            ArrayData::Bool(_) => Dtype::Bool,
            ArrayData::U8(_) => Dtype::U8,
            ArrayData::I8(_) => Dtype::I8,
            ArrayData::I32(_) => Dtype::I32,
            ArrayData::I64(_) => Dtype::I64,
            ArrayData::F32(_) => Dtype::F32,
            ArrayData::F64(_) => Dtype::F64,
        }
    }

    /// Returns numbers as this type; those outside its range become its nearest.
    pub fn from_f64(dtype: Dtype, numbers: impl IntoIterator<Item = f64>) -> ArrayData {
        fn all<T: Element>(numbers: impl IntoIterator<Item = f64>) -> Vec<T> {
            numbers.into_iter().map(T::from_f64).collect()
        }
        match dtype {
            Dtype::Bool => ArrayData::Bool(all(numbers)),
            Dtype::U8 => ArrayData::U8(all(numbers)),
            Dtype::I8 => ArrayData::I8(all(numbers)),
            Dtype::I32 => ArrayData::I32(all(numbers)),
            Dtype::I64 => ArrayData::I64(all(numbers)),
            Dtype::F32 => ArrayData::F32(all(numbers)),
            Dtype::F64 => ArrayData::F64(all(numbers)),
        }
    }

    /// Writes the numbers into the beginning of a row.
    pub(crate) fn write(&self, row: &mut [f32]) {
        each!(self, numbers => for (slot, number) in row.iter_mut().zip(numbers) {
            *slot = number.to_f32();
        });
    }
}

impl Dtype {
    /// Returns the name that NumPy has for it.
    pub fn name(self) -> &'static str {
        match self {
            Dtype::Bool => "bool",
            Dtype::U8 => "uint8",
            Dtype::I8 => "int8",
            Dtype::I32 => "int32",
            Dtype::I64 => "int64",
            Dtype::F32 => "float32",
            Dtype::F64 => "float64",
        }
    }

    /// Returns the type of a NumPy name.
    pub fn from_name(name: &str) -> Option<Dtype> {
        [
            Dtype::Bool,
            Dtype::U8,
            Dtype::I8,
            Dtype::I32,
            Dtype::I64,
            Dtype::F32,
            Dtype::F64,
        ]
        .into_iter()
        .find(|dtype| dtype.name() == name)
    }

    /// Returns whether the numbers have fractions.
    pub fn is_float(self) -> bool {
        matches!(self, Dtype::F32 | Dtype::F64)
    }
}

/// A number that arrays hold: `bool`, `u8`, `i8`, `i32`, `i64`, `f32`, `f64`.
///
/// The trait is sealed.
pub trait Element:
    Copy + Send + Sync + PartialEq + std::fmt::Debug + 'static + sealed::Sealed
{
    /// Its type.
    const DTYPE: Dtype;

    /// Converts to f32, as `as` does.
    fn to_f32(self) -> f32;

    /// Converts to f64, as `as` does.
    fn to_f64(self) -> f64;

    /// Converts from f64, as `as` does; a truth is whatever is not 0.
    fn from_f64(number: f64) -> Self;

    /// Wraps numbers of this type.
    fn wrap(numbers: Vec<Self>) -> ArrayData;

    /// Returns the numbers where they are of this type.
    fn of(data: &ArrayData) -> Option<&[Self]>;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! element {
    ($($type:ty, $variant:ident);*) => {$(
        impl sealed::Sealed for $type {}

        impl Element for $type {
            const DTYPE: Dtype = Dtype::$variant;

            fn to_f32(self) -> f32 {
                self as f32
            }

            fn to_f64(self) -> f64 {
                self as f64
            }

            fn from_f64(number: f64) -> $type {
                number as $type
            }

            fn wrap(numbers: Vec<$type>) -> ArrayData {
                ArrayData::$variant(numbers)
            }

            fn of(data: &ArrayData) -> Option<&[$type]> {
                match data {
                    ArrayData::$variant(numbers) => Some(numbers),
                    _ => None,
                }
            }
        }
    )*};
}

element!(u8, U8; i8, I8; i32, I32; i64, I64; f32, F32; f64, F64);

impl sealed::Sealed for bool {}

impl Element for bool {
    const DTYPE: Dtype = Dtype::Bool;

    fn to_f32(self) -> f32 {
        f32::from(u8::from(self))
    }

    fn to_f64(self) -> f64 {
        f64::from(u8::from(self))
    }

    fn from_f64(number: f64) -> bool {
        number != 0.0
    }

    fn wrap(numbers: Vec<bool>) -> ArrayData {
        ArrayData::Bool(numbers)
    }

    fn of(data: &ArrayData) -> Option<&[bool]> {
        match data {
            ArrayData::Bool(numbers) => Some(numbers),
            _ => None,
        }
    }
}

impl<T: Element> From<Vec<T>> for Array {
    fn from(numbers: Vec<T>) -> Array {
        Array {
            shape: vec![numbers.len()],
            data: T::wrap(numbers),
        }
    }
}

impl Value {
    /// Returns the truth, if it is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// Returns the whole number, if it is one; an array of one whole number counts.
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Value::Int(value) => Some(*value),
            Value::Array(array) if array.len() == 1 && !array.dtype().is_float() => {
                Some(array.get(0) as i64)
            }
            _ => None,
        }
    }

    /// Returns the number, if it is one; whole numbers and arrays of one number count.
    pub fn as_float(&self) -> Option<f64> {
        match self {
            Value::Int(value) => Some(*value as f64),
            Value::Float(value) => Some(*value),
            Value::Array(array) if array.len() == 1 => Some(array.get(0)),
            _ => None,
        }
    }

    /// Returns the text, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Value::Text(value) => Some(value),
            _ => None,
        }
    }

    /// Returns the values, if they are a list.
    pub fn as_list(&self) -> Option<&[Value]> {
        match self {
            Value::List(values) => Some(values),
            _ => None,
        }
    }

    /// Returns the array, if it is one.
    pub fn as_array(&self) -> Option<&Array> {
        match self {
            Value::Array(array) => Some(array),
            _ => None,
        }
    }

    /// Returns the named values, if they are.
    pub fn as_map(&self) -> Option<&BTreeMap<String, Value>> {
        match self {
            Value::Map(values) => Some(values),
            _ => None,
        }
    }
}

macro_rules! from {
    ($($type:ty, $value:ident => $result:expr);*) => {$(
        impl From<$type> for Value {
            fn from($value: $type) -> Value {
                $result
            }
        }
    )*};
}

from! {
    bool, value => Value::Bool(value);
    i32, value => Value::Int(i64::from(value));
    u32, value => Value::Int(i64::from(value));
    i64, value => Value::Int(value);
    f32, value => Value::Float(f64::from(value));
    f64, value => Value::Float(value);
    &str, value => Value::Text(value.to_owned());
    String, value => Value::Text(value);
    Array, value => Value::Array(value);
    Vec<Value>, value => Value::List(value);
    BTreeMap<String, Value>, value => Value::Map(value);
    GraphInstance, value => Value::Graph(Box::new(value))
}
