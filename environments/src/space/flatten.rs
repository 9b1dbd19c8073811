//! Members as flat arrays of numbers, choices in one-hot form, and back.

use std::collections::BTreeMap;

use super::{BoxSpace, Dict, GraphSpace, Sequence, Space, SpaceError, Tuple};
use crate::{Array, ArrayData, Dtype, GraphInstance, Value};

impl Space {
    /// Returns how many numbers a flat member has; `None` where that differs by member.
    pub fn flatdim(&self) -> Option<usize> {
        match self {
            Space::Box(space) => Some(space.len()),
            Space::Discrete(choice) => Some(choice.n as usize),
            Space::MultiDiscrete(space) => Some(space.nvec.iter().sum::<i64>() as usize),
            Space::MultiBinary(space) => Some(space.len()),
            Space::Text(space) => Some(space.max_length),
            Space::Dict(space) => space.iter().map(|(_, part)| part.flatdim()).sum(),
            Space::Tuple(space) => space.spaces.iter().map(Space::flatdim).sum(),
            Space::OneOf(space) => {
                let dims = space.spaces.iter().map(Space::flatdim);
                let dims = dims.collect::<Option<Vec<_>>>()?;
                dims.into_iter().max().map(|most| most + 1)
            }
            Space::Sequence(_) | Space::Graph(_) => None,
        }
    }

    /// Returns the space of flat members: a `Box` of one dimension where they have a fixed length.
    ///
    /// Spaces with a `Sequence` or `Graph` in them keep their form, with their parts flat.
    pub fn flatten_space(&self) -> Space {
        match self {
            Space::Dict(space) if self.flatdim().is_none() => Space::Dict(Dict::new(
                space
                    .iter()
                    .map(|(name, part)| (name, part.flatten_space())),
            )),
            Space::Tuple(space) if self.flatdim().is_none() => {
                Tuple::new(space.spaces.iter().map(Space::flatten_space).collect()).into()
            }
            Space::OneOf(space) if self.flatdim().is_none() => {
                super::OneOf::new(space.spaces.iter().map(Space::flatten_space).collect()).into()
            }
            Space::Sequence(space) => Sequence::new(space.space.flatten_space()).into(),
            Space::Graph(space) => {
                let edges = space.edge_space.as_ref();
                let edges = edges.map(|edges| edges.flatten_space());
                GraphSpace::new(space.node_space.flatten_space(), edges).into()
            }
            fixed => {
                let mut bounds = Vec::new();
                flat_bounds(fixed, &mut bounds);
                let (low, high): (Vec<_>, Vec<_>) = bounds.into_iter().unzip();
                BoxSpace::with_bounds(low.clone(), high, &[low.len()], flat_dtype(fixed)).into()
            }
        }
    }

    /// Returns a member in flat form: an array where it has a fixed length.
    ///
    /// # Errors
    /// A value that is not a member.
    pub fn flatten(&self, value: &Value) -> Result<Value, SpaceError> {
        if !self.contains(value) {
            return Err(SpaceError::NotContained(self.to_string()));
        }
        Ok(flat(self, value))
    }

    /// Returns the member that a flat form stands for.
    ///
    /// # Errors
    /// A value that is not in the flat space, or a choice that is not in one-hot form.
    pub fn unflatten(&self, value: &Value) -> Result<Value, SpaceError> {
        if !self.flatten_space().contains(value) {
            return Err(SpaceError::NotContained(self.flatten_space().to_string()));
        }
        unflat(self, value).ok_or_else(|| SpaceError::NotContained(self.to_string()))
    }
}

/// Returns the type that holds the flat numbers of a space.
fn flat_dtype(space: &Space) -> Dtype {
    let promoted = |spaces: &mut dyn Iterator<Item = &Space>| {
        let dtypes = spaces.map(flat_dtype);
        dtypes.reduce(promote).unwrap_or_default()
    };
    match space {
        Space::Box(space) => space.dtype,
        Space::Discrete(_) | Space::MultiDiscrete(_) => Dtype::I64,
        Space::MultiBinary(_) => Dtype::I8,
        Space::Text(_) => Dtype::I32,
        Space::Dict(space) => promoted(&mut space.iter().map(|(_, part)| part)),
        Space::Tuple(space) => promoted(&mut space.spaces.iter()),
        Space::OneOf(space) => promoted(&mut space.spaces.iter()),
        Space::Sequence(_) | Space::Graph(_) => Dtype::F32,
    }
}

/// Returns the least type that holds numbers of both.
fn promote(a: Dtype, b: Dtype) -> Dtype {
    use Dtype::{Bool, F32, F64, I8, I32, I64, U8};
    match (a, b) {
        _ if a == b => a,
        (F64, _) | (_, F64) | (F32, I32 | I64) | (I32 | I64, F32) => F64,
        (F32, _) | (_, F32) => F32,
        (I64, _) | (_, I64) => I64,
        (Bool, other) | (other, Bool) => other,
        (U8 | I8 | I32, _) => I32,
    }
}

fn flat_bounds(space: &Space, bounds: &mut Vec<(f64, f64)>) {
    let dim = space.flatdim().unwrap_or(0);
    match space {
        Space::Box(space) => bounds.extend((0..space.len()).map(|at| space.bounds(at))),
        Space::Text(space) => bounds.extend(vec![(0.0, space.letters.len() as f64); dim]),
        Space::Dict(space) => space.iter().for_each(|(_, part)| flat_bounds(part, bounds)),
        Space::Tuple(space) => space
            .spaces
            .iter()
            .for_each(|part| flat_bounds(part, bounds)),
        Space::OneOf(space) => {
            let mut all = Vec::new();
            space
                .spaces
                .iter()
                .for_each(|part| flat_bounds(part, &mut all));
            let low = all
                .iter()
                .fold(f64::INFINITY, |low, bound| low.min(bound.0));
            let high = all
                .iter()
                .fold(f64::NEG_INFINITY, |high, bound| high.max(bound.1));
            bounds.push((0.0, (space.spaces.len() - 1) as f64));
            bounds.extend(vec![(low, high); dim - 1]);
        }
        _ => bounds.extend(vec![(0.0, 1.0); dim]),
    }
}

/// Flattens a member.
fn flat(space: &Space, value: &Value) -> Value {
    if let Some(dim) = space.flatdim() {
        let mut numbers = Vec::with_capacity(dim);
        flat_numbers(space, value, &mut numbers);
        let data = ArrayData::from_f64(flat_dtype(space), numbers);
        return Value::Array(Array::new([dim], data).expect("one number a dimension"));
    }
    match (space, value) {
        (Space::Dict(space), Value::Map(values)) => {
            let parts = space.iter().zip(values.values());
            let parts = parts.map(|((name, part), value)| (name.to_owned(), flat(part, value)));
            Value::Map(parts.collect())
        }
        (Space::Tuple(space), Value::List(values)) => {
            let parts = space.spaces.iter().zip(values);
            Value::List(parts.map(|(part, value)| flat(part, value)).collect())
        }
        (Space::OneOf(space), Value::List(values)) => {
            let index = values[0].as_int().unwrap_or(0) as usize;
            Value::List(vec![
                values[0].clone(),
                flat(&space.spaces[index], &values[1]),
            ])
        }
        (Space::Sequence(space), Value::List(values)) => Value::List(
            values
                .iter()
                .map(|value| flat(&space.space, value))
                .collect(),
        ),
        (Space::Graph(space), Value::Graph(graph)) => {
            let edges = space.edge_space.as_deref().zip(graph.edges.as_ref());
            Value::Graph(Box::new(GraphInstance {
                nodes: flat_rows(&space.node_space, &graph.nodes),
                edges: edges.map(|(space, edges)| flat_rows(space, edges)),
                edge_links: graph.edge_links.clone(),
            }))
        }
        (_, value) => value.clone(),
    }
}

/// Flattens each row of a graph's values.
fn flat_rows(space: &Space, rows: &Array) -> Array {
    let count = rows.shape().first().copied().unwrap_or(0);
    let mut numbers = Vec::new();
    for row in rows_of(space, rows) {
        flat_numbers(space, &row, &mut numbers);
    }
    let shape = [count, space.flatdim().unwrap_or(0)];
    let data = ArrayData::from_f64(flat_dtype(space), numbers);
    Array::new(shape, data).expect("one number a dimension")
}

/// Returns each row of a graph's values as a member.
fn rows_of<'a>(space: &'a Space, rows: &'a Array) -> impl Iterator<Item = Value> + 'a {
    let count = rows.shape().first().copied().unwrap_or(0);
    let size = rows.len() / count.max(1);
    (0..count).map(move |row| match space {
        Space::Discrete(_) => Value::Int(rows.get(row) as i64),
        _ => {
            let numbers = (0..size).map(|at| rows.get(row * size + at));
            let data = ArrayData::from_f64(rows.dtype(), numbers);
            Value::Array(Array::new(&rows.shape()[1..], data).expect("a row"))
        }
    })
}

/// Appends the numbers of a member that has a fixed number of them.
fn flat_numbers(space: &Space, value: &Value, numbers: &mut Vec<f64>) {
    let mut one_hot =
        |n: i64, at: i64| numbers.extend((0..n).map(|i| f64::from(u8::from(i == at))));
    match (space, value) {
        (Space::Discrete(choice), value) => {
            one_hot(
                choice.n,
                value.as_int().unwrap_or(choice.start) - choice.start,
            );
        }
        (Space::MultiDiscrete(space), Value::Array(array)) => {
            for (at, choice) in space.choices().enumerate() {
                one_hot(choice.n, array.get(at) as i64 - choice.start);
            }
        }
        (Space::Box(_) | Space::MultiBinary(_), Value::Array(array)) => {
            numbers.extend(array.to_f64());
        }
        (Space::Text(space), Value::Text(text)) => {
            let index = |letter| space.letters.binary_search(&letter).unwrap_or(0) as f64;
            let end = numbers.len() + space.max_length;
            numbers.extend(text.chars().map(index));
            numbers.resize(end, space.letters.len() as f64);
        }
        (Space::Dict(space), Value::Map(values)) => {
            for ((_, part), value) in space.iter().zip(values.values()) {
                flat_numbers(part, value, numbers);
            }
        }
        (Space::Tuple(space), Value::List(values)) => {
            for (part, value) in space.spaces.iter().zip(values) {
                flat_numbers(part, value, numbers);
            }
        }
        (Space::OneOf(one_of), Value::List(values)) => {
            let index = values[0].as_int().unwrap_or(0);
            numbers.push(index as f64);
            let first = numbers.len();
            let end = numbers.len() + space.flatdim().unwrap_or(1) - 1;
            flat_numbers(&one_of.spaces[index as usize], &values[1], numbers);
            // What fills the rest must be within the bounds, as its first number is.
            let filling = numbers.get(first).copied().unwrap_or(0.0);
            numbers.resize(end, filling);
        }
        _ => {}
    }
}

/// Reads a flat member back; `None` when a choice is not in one-hot form.
fn unflat(space: &Space, value: &Value) -> Option<Value> {
    if space.flatdim().is_some() {
        return unflat_numbers(space, &value.as_array()?.to_f64());
    }
    Some(match (space, value) {
        (Space::Dict(space), Value::Map(values)) => {
            let mut read = BTreeMap::new();
            for ((name, part), value) in space.iter().zip(values.values()) {
                read.insert(name.to_owned(), unflat(part, value)?);
            }
            Value::Map(read)
        }
        (Space::Tuple(space), Value::List(values)) => {
            let parts = space.spaces.iter().zip(values);
            Value::List(
                parts
                    .map(|(part, value)| unflat(part, value))
                    .collect::<Option<_>>()?,
            )
        }
        (Space::OneOf(space), Value::List(values)) => {
            let part = space.spaces.get(values[0].as_int()? as usize)?;
            Value::List(vec![values[0].clone(), unflat(part, &values[1])?])
        }
        (Space::Sequence(space), Value::List(values)) => {
            let values = values.iter().map(|value| unflat(&space.space, value));
            Value::List(values.collect::<Option<_>>()?)
        }
        (Space::Graph(space), Value::Graph(graph)) => {
            let edges = space.edge_space.as_deref().zip(graph.edges.as_ref());
            Value::Graph(Box::new(GraphInstance {
                nodes: unflat_rows(&space.node_space, &graph.nodes)?,
                edges: match edges {
                    Some((space, edges)) => Some(unflat_rows(space, edges)?),
                    None => None,
                },
                edge_links: graph.edge_links.clone(),
            }))
        }
        _ => return None,
    })
}

fn unflat_rows(space: &Space, rows: &Array) -> Option<Array> {
    let count = *rows.shape().first()?;
    let size = space.flatdim()?;
    let (mut numbers, mut shape) = (Vec::new(), vec![count]);
    let dtype = match space {
        Space::Box(space) => {
            shape.extend(&space.shape);
            space.dtype
        }
        _ => Dtype::I64,
    };
    for row in rows.to_f64().chunks_exact(size.max(1)) {
        match unflat_numbers(space, row)? {
            Value::Array(array) => numbers.extend(array.to_f64()),
            other => numbers.push(other.as_float()?),
        }
    }
    Array::new(shape, ArrayData::from_f64(dtype, numbers))
}

fn unflat_numbers(space: &Space, numbers: &[f64]) -> Option<Value> {
    let choice = |numbers: &[f64]| Some(numbers.iter().position(|number| *number != 0.0)? as i64);
    let array = |shape: &[usize], dtype: Dtype, numbers: &[f64]| {
        let data = ArrayData::from_f64(dtype, numbers.iter().copied());
        Array::new(shape, data).map(Value::Array)
    };
    match space {
        Space::Box(space) => array(&space.shape, space.dtype, numbers),
        Space::MultiBinary(space) => array(&space.shape, Dtype::I8, numbers),
        Space::Discrete(space) => Some(Value::Int(space.start + choice(numbers)?)),
        Space::MultiDiscrete(space) => {
            let (mut rest, mut chosen) = (numbers, Vec::new());
            for one in space.choices() {
                let (front, after) = rest.split_at_checked(one.n as usize)?;
                chosen.push((one.start + choice(front)?) as f64);
                rest = after;
            }
            array(&space.shape, Dtype::I64, &chosen)
        }
        Space::Text(space) => {
            let letters = numbers
                .iter()
                .filter_map(|at| space.letters.get(*at as usize));
            Some(Value::Text(letters.collect()))
        }
        Space::Dict(space) => {
            let (mut rest, mut read) = (numbers, BTreeMap::new());
            for (name, part) in space.iter() {
                let (front, after) = rest.split_at_checked(part.flatdim()?)?;
                read.insert(name.to_owned(), unflat_numbers(part, front)?);
                rest = after;
            }
            Some(Value::Map(read))
        }
        Space::Tuple(space) => {
            let (mut rest, mut read) = (numbers, Vec::new());
            for part in &space.spaces {
                let (front, after) = rest.split_at_checked(part.flatdim()?)?;
                read.push(unflat_numbers(part, front)?);
                rest = after;
            }
            Some(Value::List(read))
        }
        Space::OneOf(space) => {
            let (index, rest) = numbers.split_first()?;
            let part = space.spaces.get(*index as usize)?;
            let value = unflat_numbers(part, rest.get(..part.flatdim()?)?)?;
            Some(Value::List(vec![Value::Int(*index as i64), value]))
        }
        Space::Sequence(_) | Space::Graph(_) => None,
    }
}
