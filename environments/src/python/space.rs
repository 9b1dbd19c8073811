//! Gymnasium's spaces as this crate's.

use pyo3::{prelude::*, types::PyDict};

use super::{fault::Fault, interpreter::bridge};
use crate::{
    BoxSpace, Dict, Discrete, Dtype, GraphSpace, MultiBinary, MultiDiscrete, OneOf, Sequence,
    Space, TextSpace, Tuple,
};

/// Returns the space that has the same members.
///
/// # Errors
/// A space without a counterpart, by name.
pub(super) fn convert(space: &Bound<'_, PyAny>) -> Result<Space, Fault> {
    let kinds = space.py().import("gymnasium.spaces")?;
    for (name, read) in KINDS {
        if space.is_instance(&kinds.getattr(*name)?)? {
            return read(space);
        }
    }
    let like_text = bridge(space.py())?.call_method1("text_space", (space,))?;
    match like_text.extract::<Option<(usize, usize, String)>>()? {
        Some((least, most, letters)) => {
            Ok(TextSpace::with_letters(least, most, letters.chars()).into())
        }
        None => Err(unsupported(space, "it is none of Gymnasium's own")),
    }
}

type Read = fn(&Bound<'_, PyAny>) -> Result<Space, Fault>;

const KINDS: &[(&str, Read)] = &[
    ("Box", boxes),
    ("Discrete", discrete),
    ("MultiDiscrete", multi_discrete),
    ("MultiBinary", multi_binary),
    ("Text", text),
    ("Dict", dict),
    ("Tuple", tuple),
    ("Sequence", sequence),
    ("Graph", graph),
    ("OneOf", one_of),
];

fn unsupported(space: &Bound<'_, PyAny>, reason: &str) -> Fault {
    Fault::unsupported(format!(
        "the space {space} of Python has no counterpart: {reason}"
    ))
}

/// Returns the type that holds every element of one of NumPy's.
pub(super) fn dtype(name: &str) -> Option<Dtype> {
    Dtype::from_name(name).or(match name {
        "float16" => Some(Dtype::F32),
        "int16" | "uint16" => Some(Dtype::I32),
        "uint32" => Some(Dtype::I64),
        _ => None,
    })
}

/// Returns the elements of an array of any shape and type.
fn elements<T: for<'a, 'py> FromPyObject<'a, 'py, Error = PyErr>>(
    array: &Bound<'_, PyAny>,
    kind: &str,
) -> Result<Vec<T>, Fault> {
    let flat = array.call_method1("astype", (kind,))?;
    let list = flat.call_method0("ravel")?.call_method0("tolist")?;
    Ok(list.extract()?)
}

fn boxes(space: &Bound<'_, PyAny>) -> Result<Space, Fault> {
    let name: String = space.getattr("dtype")?.getattr("name")?.extract()?;
    let Some(dtype) = dtype(&name) else {
        return Err(unsupported(space, "no array has elements of the type"));
    };
    let low = elements::<f64>(&space.getattr("low")?, "float64")?;
    let high = elements::<f64>(&space.getattr("high")?, "float64")?;
    let shape: Vec<usize> = space.getattr("shape")?.extract()?;
    if low
        .iter()
        .zip(&high)
        .any(|(low, high)| !matches!(low.partial_cmp(high), Some(order) if order.is_le()))
    {
        return Err(unsupported(space, "a low bound is above its high one"));
    }
    Ok(BoxSpace::with_bounds(low, high, &shape, dtype).into())
}

fn discrete(space: &Bound<'_, PyAny>) -> Result<Space, Fault> {
    let n: i64 = space.getattr("n")?.extract()?;
    let start: i64 = space.getattr("start")?.extract()?;
    if n <= 0 || start.checked_add(n).is_none() {
        return Err(unsupported(space, "its choices do not fit 64 bits"));
    }
    Ok(Discrete::starting_at(n, start).into())
}

fn multi_discrete(space: &Bound<'_, PyAny>) -> Result<Space, Fault> {
    let nvec = elements::<i64>(&space.getattr("nvec")?, "int64")?;
    let start = elements::<i64>(&space.getattr("start")?, "int64")?;
    let shape: Vec<usize> = space.getattr("shape")?.extract()?;
    if nvec.iter().any(|n| *n <= 0) {
        return Err(unsupported(space, "a choice has nothing to choose"));
    }
    Ok(MultiDiscrete::with_shape(nvec, start, &shape).into())
}

fn multi_binary(space: &Bound<'_, PyAny>) -> Result<Space, Fault> {
    let shape: Vec<usize> = space.getattr("shape")?.extract()?;
    Ok(MultiBinary::new(shape).into())
}

fn text(space: &Bound<'_, PyAny>) -> Result<Space, Fault> {
    let least: usize = space.getattr("min_length")?.extract()?;
    let most: usize = space.getattr("max_length")?.extract()?;
    let letters: String = space.getattr("characters")?.extract()?;
    if letters.is_empty() || most == 0 || least > most {
        return Err(unsupported(space, "it has no text of a letter"));
    }
    Ok(TextSpace::with_letters(least, most, letters.chars()).into())
}

fn dict(space: &Bound<'_, PyAny>) -> Result<Space, Fault> {
    let parts = space.getattr("spaces")?;
    let parts = parts.cast::<PyDict>().map_err(PyErr::from)?;
    let mut named = Vec::new();
    for (name, part) in parts {
        let Ok(name) = name.extract::<String>() else {
            return Err(unsupported(space, "a key is no text"));
        };
        named.push((name, convert(&part)?));
    }
    Ok(Dict::new(named).into())
}

fn all(space: &Bound<'_, PyAny>) -> Result<Vec<Space>, Fault> {
    let parts = space.getattr("spaces")?;
    parts.try_iter()?.map(|part| convert(&part?)).collect()
}

fn tuple(space: &Bound<'_, PyAny>) -> Result<Space, Fault> {
    Ok(Tuple::new(all(space)?).into())
}

fn one_of(space: &Bound<'_, PyAny>) -> Result<Space, Fault> {
    let parts = all(space)?;
    if parts.is_empty() {
        return Err(unsupported(space, "there is nothing to choose"));
    }
    Ok(OneOf::new(parts).into())
}

fn sequence(space: &Bound<'_, PyAny>) -> Result<Space, Fault> {
    if space.getattr("stack")?.is_truthy()? {
        return Err(unsupported(space, "its members are stacked"));
    }
    Ok(Sequence::new(convert(&space.getattr("feature_space")?)?).into())
}

fn graph(space: &Bound<'_, PyAny>) -> Result<Space, Fault> {
    let nodes = convert(&space.getattr("node_space")?)?;
    let edges = space.getattr("edge_space")?;
    let edges = match edges.is_none() {
        true => None,
        false => Some(convert(&edges)?),
    };
    Ok(GraphSpace::new(nodes, edges).into())
}
