//! Spaces and their members as JSON.
//!
//! A space is an object with its kind under `type`. A member is the JSON value of its form; numbers that JSON
//! has no word for are the texts `"inf"`, `"-inf"` and `"nan"`.

use serde_json::{Map, Value as Json, json};

use super::{
    BoxSpace, Dict, Discrete, GraphSpace, MultiBinary, MultiDiscrete, OneOf, Sequence, Space,
    SpaceError, TextSpace, Tuple,
};
use crate::{Array, ArrayData, Dtype, GraphInstance, Value};

impl Space {
    /// Returns the space as JSON.
    pub fn to_json(&self) -> String {
        write_space(self).to_string()
    }

    /// Reads a space from JSON.
    ///
    /// # Errors
    /// A text that [`Space::to_json`] does not write.
    pub fn from_json(text: &str) -> Result<Space, SpaceError> {
        let json =
            serde_json::from_str(text).map_err(|error| SpaceError::Json(error.to_string()))?;
        read_space(&json).ok_or_else(|| SpaceError::Json("it is no space".into()))
    }

    /// Returns a member as JSON.
    ///
    /// # Errors
    /// A value that is not a member.
    pub fn value_to_json(&self, value: &Value) -> Result<String, SpaceError> {
        if !self.contains(value) {
            return Err(SpaceError::NotContained(self.to_string()));
        }
        Ok(write_value(value).to_string())
    }

    /// Reads a member from JSON.
    ///
    /// # Errors
    /// A text that stands for no member.
    pub fn value_from_json(&self, text: &str) -> Result<Value, SpaceError> {
        let json =
            serde_json::from_str(text).map_err(|error| SpaceError::Json(error.to_string()))?;
        read_value(self, &json)
            .filter(|value| self.contains(value))
            .ok_or_else(|| SpaceError::NotContained(self.to_string()))
    }
}

pub(crate) fn write_number(number: f64) -> Json {
    match number {
        number if number.is_nan() => json!("nan"),
        f64::INFINITY => json!("inf"),
        f64::NEG_INFINITY => json!("-inf"),
        number => json!(number),
    }
}

pub(crate) fn read_number(json: &Json) -> Option<f64> {
    match json.as_str() {
        None => json.as_f64(),
        Some("inf") => Some(f64::INFINITY),
        Some("-inf") => Some(f64::NEG_INFINITY),
        Some("nan") => Some(f64::NAN),
        Some(_) => None,
    }
}

fn write_spaces<'a>(spaces: impl IntoIterator<Item = &'a Space>) -> Json {
    spaces.into_iter().map(write_space).collect()
}

fn write_space(space: &Space) -> Json {
    match space {
        Space::Box(space) => {
            let bounds = || (0..space.len()).map(|at| space.bounds(at));
            json!({
                "type": "Box",
                "low": bounds().map(|(low, _)| write_number(low)).collect::<Json>(),
                "high": bounds().map(|(_, high)| write_number(high)).collect::<Json>(),
                "shape": space.shape,
                "dtype": space.dtype.name(),
            })
        }
        Space::Discrete(space) => json!({"type": "Discrete", "n": space.n, "start": space.start}),
        Space::MultiDiscrete(space) => json!({
            "type": "MultiDiscrete",
            "nvec": space.nvec,
            "start": space.start,
            "shape": space.shape,
        }),
        Space::MultiBinary(space) => json!({"type": "MultiBinary", "shape": space.shape}),
        Space::Text(space) => json!({
            "type": "Text",
            "min_length": space.min_length,
            "max_length": space.max_length,
            "charset": space.letters.iter().collect::<String>(),
        }),
        Space::Dict(space) => {
            let parts = space
                .iter()
                .map(|(name, part)| (name.to_owned(), write_space(part)));
            json!({"type": "Dict", "spaces": parts.collect::<Map<_, _>>()})
        }
        Space::Tuple(space) => json!({"type": "Tuple", "spaces": write_spaces(&space.spaces)}),
        Space::OneOf(space) => json!({"type": "OneOf", "spaces": write_spaces(&space.spaces)}),
        Space::Sequence(space) => json!({"type": "Sequence", "space": write_space(&space.space)}),
        Space::Graph(space) => json!({
            "type": "Graph",
            "node_space": write_space(&space.node_space),
            "edge_space": space.edge_space.as_deref().map(write_space),
        }),
    }
}

fn read_list<T>(json: &Json, read: impl Fn(&Json) -> Option<T>) -> Option<Vec<T>> {
    json.as_array()?.iter().map(read).collect()
}

fn read_sizes(json: &Json) -> Option<Vec<usize>> {
    read_list(json, |size| usize::try_from(size.as_u64()?).ok())
}

/// Returns the product of sizes, if it can be the length of something.
fn product(sizes: &[usize]) -> Option<usize> {
    sizes
        .iter()
        .try_fold(1_usize, |product, size| product.checked_mul(*size))
}

fn read_space(json: &Json) -> Option<Space> {
    let spaces = || read_list(&json["spaces"], read_space);
    let positive = |numbers: &[i64]| numbers.iter().all(|number| *number > 0);
    Some(match json["type"].as_str()? {
        "Box" => {
            let (low, high) = (
                read_list(&json["low"], read_number)?,
                read_list(&json["high"], read_number)?,
            );
            let (shape, dtype) = (
                read_sizes(&json["shape"])?,
                Dtype::from_name(json["dtype"].as_str()?)?,
            );
            let are_bounds = low.len() == high.len()
                && product(&shape) == Some(low.len())
                && low.iter().zip(&high).all(|(low, high)| low <= high);
            are_bounds
                .then(|| BoxSpace::with_bounds(low, high, &shape, dtype))?
                .into()
        }
        "Discrete" => {
            let (n, start) = (json["n"].as_i64()?, json["start"].as_i64()?);
            (n > 0).then(|| Discrete::starting_at(n, start))?.into()
        }
        "MultiDiscrete" => {
            let nvec = read_list(&json["nvec"], Json::as_i64)?;
            let start = read_list(&json["start"], Json::as_i64)?;
            let shape = read_sizes(&json["shape"])?;
            let fits =
                positive(&nvec) && nvec.len() == start.len() && product(&shape) == Some(nvec.len());
            fits.then(|| MultiDiscrete::with_shape(nvec, start, &shape))?
                .into()
        }
        "MultiBinary" => {
            let shape = read_sizes(&json["shape"])?;
            product(&shape)?;
            MultiBinary::new(shape).into()
        }
        "Text" => {
            let min_length = usize::try_from(json["min_length"].as_u64()?).ok()?;
            let max_length = usize::try_from(json["max_length"].as_u64()?).ok()?;
            let letters = json["charset"].as_str()?;
            (min_length <= max_length && max_length > 0 && !letters.is_empty())
                .then(|| TextSpace::with_letters(min_length, max_length, letters.chars()))?
                .into()
        }
        "Dict" => {
            let parts = json["spaces"].as_object()?.iter();
            let parts = parts.map(|(name, part)| Some((name.clone(), read_space(part)?)));
            Dict::new(parts.collect::<Option<Vec<_>>>()?).into()
        }
        "Tuple" => Tuple::new(spaces()?).into(),
        "OneOf" => {
            let spaces = spaces()?;
            (!spaces.is_empty()).then(|| OneOf::new(spaces))?.into()
        }
        "Sequence" => Sequence::new(read_space(&json["space"])?).into(),
        "Graph" => {
            let nodes = read_space(&json["node_space"])?;
            let edges = match &json["edge_space"] {
                Json::Null => None,
                edges => Some(read_space(edges)?),
            };
            let is_flat = |space: &Space| matches!(space, Space::Box(_) | Space::Discrete(_));
            (is_flat(&nodes) && edges.as_ref().is_none_or(is_flat))
                .then(|| GraphSpace::new(nodes, edges))?
                .into()
        }
        _ => return None,
    })
}

/// Writes an array as lists in lists.
fn write_array(array: &Array) -> Json {
    fn rows(numbers: &[Json], shape: &[usize]) -> Json {
        match shape {
            [] => numbers[0].clone(),
            [_] => Json::Array(numbers.to_vec()),
            [count, inner @ ..] => {
                let size = numbers.len() / count.max(&1);
                let rows = (0..*count).map(|row| rows(&numbers[row * size..][..size], inner));
                rows.collect()
            }
        }
    }
    let number = |at| match array.dtype() {
        Dtype::F32 | Dtype::F64 => write_number(array.get(at)),
        _ => json!(array.get(at) as i64),
    };
    let numbers = (0..array.len()).map(number).collect::<Vec<_>>();
    rows(&numbers, array.shape())
}

/// Reads lists in lists of a known shape.
fn read_array(json: &Json, shape: &[usize], dtype: Dtype) -> Option<Array> {
    fn numbers(json: &Json, into: &mut Vec<f64>) -> Option<()> {
        match json {
            Json::Array(rows) => rows.iter().try_for_each(|row| numbers(row, into)),
            number => {
                into.push(read_number(number)?);
                Some(())
            }
        }
    }
    let mut read = Vec::new();
    numbers(json, &mut read)?;
    Array::new(shape, ArrayData::from_f64(dtype, read))
}

pub(crate) fn write_value(value: &Value) -> Json {
    match value {
        Value::Bool(value) => json!(value),
        Value::Int(value) => json!(value),
        Value::Float(value) => write_number(*value),
        Value::Text(value) => json!(value),
        Value::List(values) => values.iter().map(write_value).collect(),
        Value::Array(array) => write_array(array),
        Value::Map(values) => {
            let values = values
                .iter()
                .map(|(name, value)| (name.clone(), write_value(value)));
            Json::Object(values.collect())
        }
        Value::Graph(graph) => json!({
            "nodes": write_array(&graph.nodes),
            "edges": graph.edges.as_ref().map(write_array),
            "edge_links": graph.edge_links.as_ref().map(write_array),
        }),
    }
}

fn read_value(space: &Space, json: &Json) -> Option<Value> {
    match space {
        Space::Box(space) => read_array(json, &space.shape, space.dtype).map(Value::Array),
        Space::Discrete(_) => json.as_i64().map(Value::Int),
        Space::MultiDiscrete(space) => read_array(json, &space.shape, Dtype::I64).map(Value::Array),
        Space::MultiBinary(space) => read_array(json, &space.shape, Dtype::I8).map(Value::Array),
        Space::Text(_) => json.as_str().map(Value::from),
        Space::Dict(space) => {
            let values = json.as_object()?;
            let parts = space
                .iter()
                .map(|(name, part)| Some((name.to_owned(), read_value(part, values.get(name)?)?)));
            parts.collect::<Option<_>>().map(Value::Map)
        }
        Space::Tuple(space) => {
            let parts = space.spaces.iter().zip(json.as_array()?);
            let parts = parts.map(|(part, value)| read_value(part, value));
            parts.collect::<Option<_>>().map(Value::List)
        }
        Space::OneOf(space) => {
            let index = json[0].as_i64()?;
            let part = space.spaces.get(usize::try_from(index).ok()?)?;
            Some(Value::List(vec![
                Value::Int(index),
                read_value(part, &json[1])?,
            ]))
        }
        Space::Sequence(space) => {
            read_list(json, |value| read_value(&space.space, value)).map(Value::List)
        }
        Space::Graph(space) => {
            let edges = match (&space.edge_space, &json["edges"]) {
                (_, Json::Null) => None,
                (Some(space), rows) => Some(read_rows(space, rows)?),
                (None, _) => return None,
            };
            let edge_links = match &json["edge_links"] {
                Json::Null => None,
                links => Some(read_array(
                    links,
                    &[links.as_array()?.len(), 2],
                    Dtype::I64,
                )?),
            };
            Some(Value::Graph(Box::new(GraphInstance {
                nodes: read_rows(&space.node_space, &json["nodes"])?,
                edges,
                edge_links,
            })))
        }
    }
}

/// Reads the values of nodes or edges.
fn read_rows(space: &Space, json: &Json) -> Option<Array> {
    let count = json.as_array()?.len();
    match space {
        Space::Box(space) => read_array(json, &[&[count], &space.shape[..]].concat(), space.dtype),
        _ => read_array(json, &[count], Dtype::I64),
    }
}
