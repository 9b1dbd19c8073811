//! Actions, options and arguments as Python takes them.

use numpy::{Element as NumpyElement, PyArray1, PyArrayMethods};
use pyo3::{
    IntoPyObjectExt,
    prelude::*,
    types::{PyDict, PyTuple},
};

use super::fault::Fault;
use crate::{Array, ArrayData, Dtype, EnvError, GraphInstance, Space, Value};

/// Returns an action as a member of a space; a row of numbers is one too.
///
/// # Errors
/// `InvalidAction` for a value of another kind or size, and for a choice that is not there.
pub(super) fn action<'py>(
    py: Python<'py>,
    space: &Space,
    action: &Value,
) -> Result<Bound<'py, PyAny>, Fault> {
    let member = match (space, action) {
        (Space::Dict(_) | Space::Tuple(_) | Space::Text(_), Value::Array(row)) => {
            let mut numbers = (0..row.len()).map(|at| row.get(at));
            let is_whole = row.len() == space.flat_len();
            match is_whole {
                true => from_row(py, space, &mut numbers)?,
                false => None,
            }
        }
        _ => member(py, space, action)?,
    };
    member.ok_or_else(|| {
        Fault::Env(EnvError::InvalidAction {
            action: format!("{action:?}"),
            space: space.to_string(),
        })
    })
}

/// Returns a value as a member of a space; `None` where it is none.
fn member<'py>(
    py: Python<'py>,
    space: &Space,
    value: &Value,
) -> Result<Option<Bound<'py, PyAny>>, Fault> {
    let parts = |spaces: &[Space], values: &[Value]| -> Result<Option<Bound<'py, PyAny>>, Fault> {
        if spaces.len() != values.len() {
            return Ok(None);
        }
        let members = spaces.iter().zip(values);
        let members = members.map(|(space, value)| member(py, space, value));
        tuple(py, members)
    };
    Ok(match (space, value) {
        (Space::Box(space), Value::Array(array)) if array.len() == space.len() => {
            let elements = as_dtype(array, space.dtype);
            Some(numpy(py, &elements, &space.shape)?)
        }
        (Space::Box(space), value) if space.len() == 1 => match value.as_float() {
            Some(number) => {
                let elements = ArrayData::from_f64(space.dtype, [number]);
                Some(numpy(py, &elements, &space.shape)?)
            }
            None => None,
        },
        (Space::Discrete(choice), value) => match value.as_int() {
            Some(number) if choice.contains(number) => Some(number.into_bound_py_any(py)?),
            _ => None,
        },
        (Space::MultiDiscrete(several), value) => {
            let numbers = match value {
                Value::Array(array) => array.to_f64(),
                other => other
                    .as_int()
                    .map(|number| number as f64)
                    .into_iter()
                    .collect(),
            };
            let fits = numbers.len() == several.nvec.len()
                && several
                    .choices()
                    .zip(&numbers)
                    .all(|(choice, number)| choice.contains(*number as i64));
            let elements = ArrayData::from_f64(Dtype::I64, numbers);
            match fits {
                true => Some(numpy(py, &elements, &several.shape)?),
                false => None,
            }
        }
        (Space::MultiBinary(space), Value::Array(array)) if array.len() == space.len() => {
            Some(numpy(py, &as_dtype(array, Dtype::I8), &space.shape)?)
        }
        (Space::Text(space), Value::Text(text)) if space.contains(text) => {
            Some(text.into_bound_py_any(py)?)
        }
        (Space::Dict(space), Value::Map(values)) if space.len() == values.len() => {
            let dict = PyDict::new(py);
            for (name, part) in space.iter() {
                let value = values.get(name);
                let value = value.map(|value| member(py, part, value)).transpose()?;
                let Some(value) = value.flatten() else {
                    return Ok(None);
                };
                dict.set_item(name, value)?;
            }
            Some(dict.into_any())
        }
        (Space::Tuple(space), Value::List(values)) => parts(&space.spaces, values)?,
        (Space::Sequence(space), Value::List(values)) => {
            let members = values.iter().map(|value| member(py, &space.space, value));
            tuple(py, members)?
        }
        (Space::OneOf(space), Value::List(values)) => {
            let [index, value] = &values[..] else {
                return Ok(None);
            };
            let at = index.as_int().and_then(|index| usize::try_from(index).ok());
            match at.and_then(|at| Some((at, space.spaces.get(at)?))) {
                Some((at, part)) => match member(py, part, value)? {
                    Some(value) => Some((at, value).into_bound_py_any(py)?),
                    None => None,
                },
                None => None,
            }
        }
        (Space::Graph(_), Value::Graph(graph)) => Some(instance(py, graph)?),
        _ => None,
    })
}

/// Reads a member from the front of a row, choices as one number each.
fn from_row<'py>(
    py: Python<'py>,
    space: &Space,
    row: &mut dyn Iterator<Item = f64>,
) -> Result<Option<Bound<'py, PyAny>>, Fault> {
    Ok(match space {
        Space::Dict(parts) => {
            let dict = PyDict::new(py);
            for (name, part) in parts.iter() {
                let Some(value) = from_row(py, part, row)? else {
                    return Ok(None);
                };
                dict.set_item(name, value)?;
            }
            Some(dict.into_any())
        }
        Space::Tuple(parts) => {
            let members = parts.spaces.iter().map(|part| from_row(py, part, row));
            tuple(py, members)?
        }
        Space::Text(_) => {
            let letters = row.take(space.flat_len()).map(|code| code as u32);
            let letters = letters.take_while(|code| *code != 0);
            let text: Option<String> = letters.map(char::from_u32).collect();
            match text {
                Some(text) => member(py, space, &text.into())?,
                None => None,
            }
        }
        Space::Discrete(_) => match row.next() {
            Some(number) => member(py, space, &Value::Int(number as i64))?,
            None => None,
        },
        part => {
            let numbers = row.take(part.flat_len()).collect::<Vec<_>>();
            member(py, part, &Array::from(numbers).into())?
        }
    })
}

/// Returns a tuple; `None` where one of its members is none.
fn tuple<'py>(
    py: Python<'py>,
    members: impl Iterator<Item = Result<Option<Bound<'py, PyAny>>, Fault>>,
) -> Result<Option<Bound<'py, PyAny>>, Fault> {
    let members = members.collect::<Result<Option<Vec<_>>, Fault>>()?;
    Ok(match members {
        Some(members) => Some(PyTuple::new(py, members)?.into_any()),
        None => None,
    })
}

fn as_dtype(array: &Array, dtype: Dtype) -> ArrayData {
    match array.dtype() == dtype {
        true => array.data().clone(),
        false => ArrayData::from_f64(dtype, (0..array.len()).map(|at| array.get(at))),
    }
}

fn numpy<'py>(
    py: Python<'py>,
    elements: &ArrayData,
    shape: &[usize],
) -> Result<Bound<'py, PyAny>, Fault> {
    fn make<'py, T: NumpyElement>(
        py: Python<'py>,
        elements: &[T],
        shape: &[usize],
    ) -> Result<Bound<'py, PyAny>, Fault> {
        let array = PyArray1::from_slice(py, elements);
        match shape {
            [_] => Ok(array.into_any()),
            _ => Ok(array.reshape(shape.to_vec())?.into_any()),
        }
    }
    match elements {
        ArrayData::Bool(elements) => make(py, elements, shape),
        ArrayData::U8(elements) => make(py, elements, shape),
        ArrayData::I8(elements) => make(py, elements, shape),
        ArrayData::I32(elements) => make(py, elements, shape),
        ArrayData::I64(elements) => make(py, elements, shape),
        ArrayData::F32(elements) => make(py, elements, shape),
        ArrayData::F64(elements) => make(py, elements, shape),
    }
}

fn instance<'py>(py: Python<'py>, graph: &GraphInstance) -> Result<Bound<'py, PyAny>, Fault> {
    let rows = |array: Option<&Array>| -> Result<Bound<'py, PyAny>, Fault> {
        match array {
            Some(array) => numpy(py, array.data(), array.shape()),
            None => Ok(py.None().into_bound(py)),
        }
    };
    let class = py.import("gymnasium.spaces")?.getattr("GraphInstance")?;
    let (nodes, edges) = (rows(Some(&graph.nodes))?, rows(graph.edges.as_ref())?);
    Ok(class.call1((nodes, edges, rows(graph.edge_links.as_ref())?))?)
}

/// Returns a value whose space is not known: an option or an argument.
pub(super) fn any<'py>(py: Python<'py>, value: &Value) -> Result<Bound<'py, PyAny>, Fault> {
    Ok(match value {
        Value::Bool(value) => value.into_bound_py_any(py)?,
        Value::Int(value) => value.into_bound_py_any(py)?,
        Value::Float(value) => value.into_bound_py_any(py)?,
        Value::Text(value) => value.into_bound_py_any(py)?,
        Value::Array(array) => numpy(py, array.data(), array.shape())?,
        Value::Graph(graph) => instance(py, graph)?,
        Value::List(values) => {
            let values = values.iter().map(|value| any(py, value));
            values
                .collect::<Result<Vec<_>, _>>()?
                .into_bound_py_any(py)?
        }
        Value::Map(values) => {
            let dict = PyDict::new(py);
            for (name, value) in values {
                dict.set_item(name, any(py, value)?)?;
            }
            dict.into_any()
        }
    })
}
