//! What Python returns, as rows of numbers and as values.

use numpy::{
    Element as NumpyElement, PyArrayDyn, PyArrayMethods, PyUntypedArray, PyUntypedArrayMethods,
};
use pyo3::{
    prelude::*,
    types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple},
};

use super::{fault::Fault, space::dtype};
use crate::{Array, BoxSpace, Dtype, Element, GraphInstance, Info, Space, Value};

/// Writes an array with elements of one of several types into a row; `None` where it is of another.
macro_rules! copy_any {
    ($value:expr, $row:expr, $($type:ty),*) => {
        'copied: {
            $(if let Ok(array) = $value.cast::<PyArrayDyn<$type>>() {
                break 'copied Some(copy(array, $row));
            })*
            None
        }
    };
}

/// Writes a member of a space into a row of its flat length.
///
/// # Errors
/// Something that is no member, by its size.
pub(super) fn row(value: &Bound<'_, PyAny>, space: &Space, row: &mut [f32]) -> Result<(), Fault> {
    match space {
        Space::Box(_) | Space::MultiDiscrete(_) | Space::MultiBinary(_) => numbers(value, row),
        Space::Discrete(_) => {
            row[0] = value.extract::<i64>()? as f32;
            Ok(())
        }
        Space::Text(_) => {
            let text = value.extract::<String>()?;
            row.fill(0.0);
            for (slot, letter) in row.iter_mut().zip(text.chars()) {
                *slot = letter as u32 as f32;
            }
            Ok(())
        }
        Space::Dict(parts) => {
            let mut rest = row;
            for (name, part) in parts.iter() {
                rest = front(&value.get_item(name)?, part, rest)?;
            }
            Ok(())
        }
        Space::Tuple(parts) => {
            let mut rest = row;
            for (at, part) in parts.spaces.iter().enumerate() {
                rest = front(&value.get_item(at)?, part, rest)?;
            }
            Ok(())
        }
        Space::Sequence(_) | Space::Graph(_) | Space::OneOf(_) => Err(Fault::unsupported(format!(
            "members of {space} have no fixed length"
        ))),
    }
}

/// Writes a member into the front of a row; returns what follows.
fn front<'a>(
    value: &Bound<'_, PyAny>,
    space: &Space,
    numbers: &'a mut [f32],
) -> Result<&'a mut [f32], Fault> {
    let (front, rest) = numbers.split_at_mut(space.flat_len());
    row(value, space, front)?;
    Ok(rest)
}

fn numbers(value: &Bound<'_, PyAny>, row: &mut [f32]) -> Result<(), Fault> {
    let written = copy_any!(value, row, f32, u8, f64, i64, i32, i8, bool);
    match written {
        Some(written) => written,
        None => {
            let array = as_array(value, Dtype::F32)?;
            copy(array.cast::<PyArrayDyn<f32>>().map_err(PyErr::from)?, row)
        }
    }
}

/// Writes an array's elements in row-major order.
fn copy<T: NumpyElement + Element>(
    array: &Bound<'_, PyArrayDyn<T>>,
    row: &mut [f32],
) -> Result<(), Fault> {
    if array.len() != row.len() {
        return Err(wrong_size(array, row.len()));
    }
    let array = array
        .try_readonly()
        .map_err(|error| Fault::broken(error.to_string()))?;
    // A slice is in the order of the memory, which is the right one in C's order alone.
    match array.as_slice() {
        Ok(elements) if array.is_c_contiguous() => {
            for (slot, element) in row.iter_mut().zip(elements) {
                *slot = element.to_f32();
            }
        }
        _ => {
            for (slot, element) in row.iter_mut().zip(array.as_array()) {
                *slot = element.to_f32();
            }
        }
    }
    Ok(())
}

fn wrong_size(array: &Bound<'_, PyAny>, needed: usize) -> Fault {
    let shape = array.getattr("shape").map(|shape| shape.to_string());
    Fault::broken(format!(
        "an array of shape {} is in a space of {needed} elements",
        shape.unwrap_or_default()
    ))
}

/// Returns what NumPy makes of something, with elements of a type.
fn as_array<'py>(value: &Bound<'py, PyAny>, dtype: Dtype) -> Result<Bound<'py, PyAny>, Fault> {
    let numpy = value.py().import("numpy")?;
    Ok(numpy.call_method1("asarray", (value, dtype.name()))?)
}

/// Returns a member of a space.
///
/// # Errors
/// Something that is no member, by its kind or shape.
pub(super) fn member(value: &Bound<'_, PyAny>, space: &Space) -> Result<Value, Fault> {
    let each = |parts: &[Space]| -> Result<Value, Fault> {
        let values = parts.iter().enumerate();
        let values = values.map(|(at, part)| member(&value.get_item(at)?, part));
        Ok(Value::List(values.collect::<Result<_, Fault>>()?))
    };
    Ok(match space {
        Space::Box(space) => shaped(value, space.dtype, &space.shape)?.into(),
        Space::Discrete(_) => Value::Int(value.extract()?),
        Space::MultiDiscrete(space) => shaped(value, Dtype::I64, &space.shape)?.into(),
        Space::MultiBinary(space) => shaped(value, Dtype::I8, &space.shape)?.into(),
        Space::Text(_) => Value::Text(value.extract()?),
        Space::Dict(parts) => {
            let values = parts
                .iter()
                .map(|(name, part)| Ok((name.to_owned(), member(&value.get_item(name)?, part)?)));
            Value::Map(values.collect::<Result<_, Fault>>()?)
        }
        Space::Tuple(parts) => each(&parts.spaces)?,
        Space::Sequence(space) => {
            let values = value.try_iter()?.map(|value| member(&value?, &space.space));
            Value::List(values.collect::<Result<_, Fault>>()?)
        }
        Space::OneOf(parts) => {
            let index = value.get_item(0)?.extract::<i64>()?;
            let part = usize::try_from(index)
                .ok()
                .and_then(|at| parts.spaces.get(at));
            let Some(part) = part else {
                return Err(Fault::broken(format!("{index} is no index of {space}")));
            };
            Value::List(vec![Value::Int(index), member(&value.get_item(1)?, part)?])
        }
        Space::Graph(parts) => {
            let rows = |name: &str, space: &Space| -> Result<Option<Array>, Fault> {
                let rows = value.getattr(name)?;
                if rows.is_none() {
                    return Ok(None);
                }
                let dtype = space
                    .as_box()
                    .map_or(Dtype::I64, |space: &BoxSpace| space.dtype);
                array(&rows, dtype).map(Some)
            };
            let Some(nodes) = rows("nodes", &parts.node_space)? else {
                return Err(Fault::broken("a graph has no nodes"));
            };
            let edges = match &parts.edge_space {
                Some(space) => rows("edges", space)?,
                None => None,
            };
            let edge_links = rows("edge_links", &crate::Discrete::new(i64::MAX).into())?;
            GraphInstance {
                nodes,
                edges,
                edge_links,
            }
            .into()
        }
    })
}

/// Returns an array of a type and shape.
fn shaped(value: &Bound<'_, PyAny>, dtype: Dtype, shape: &[usize]) -> Result<Array, Fault> {
    let array = array(value, dtype)?;
    match array.shape() == shape {
        true => Ok(array),
        false => Err(Fault::broken(format!(
            "an array of shape {:?} is in a space of shape {shape:?}",
            array.shape()
        ))),
    }
}

fn array(value: &Bound<'_, PyAny>, dtype: Dtype) -> Result<Array, Fault> {
    fn read<T: NumpyElement + Element>(value: &Bound<'_, PyAny>) -> Result<Array, Fault> {
        let converted;
        let array = match value.cast::<PyArrayDyn<T>>() {
            Ok(array) => array,
            Err(_) => {
                converted = as_array(value, T::DTYPE)?;
                converted.cast::<PyArrayDyn<T>>().map_err(PyErr::from)?
            }
        };
        let array = array
            .try_readonly()
            .map_err(|error| Fault::broken(error.to_string()))?;
        let elements = T::wrap(array.as_array().iter().copied().collect());
        Ok(Array::new(array.shape(), elements).expect("one element each"))
    }
    match dtype {
        Dtype::Bool => read::<bool>(value),
        Dtype::U8 => read::<u8>(value),
        Dtype::I8 => read::<i8>(value),
        Dtype::I32 => read::<i32>(value),
        Dtype::I64 => read::<i64>(value),
        Dtype::F32 => read::<f32>(value),
        Dtype::F64 => read::<f64>(value),
    }
}

/// Returns the named values beside an observation.
pub(super) fn info(value: &Bound<'_, PyAny>) -> Result<Info, Fault> {
    let values = value.cast::<PyDict>().map_err(PyErr::from)?;
    let mut info = Info::new();
    for (name, value) in values {
        if let Some(value) = any(&value)? {
            info.insert(name.str()?.to_string(), value);
        }
    }
    Ok(info)
}

/// Returns something whose space is not known; `None` for None.
fn any(value: &Bound<'_, PyAny>) -> Result<Option<Value>, Fault> {
    let list = |values: Vec<Bound<'_, PyAny>>| -> Result<Value, Fault> {
        let values = values.iter().map(any);
        let values = values.collect::<Result<Vec<_>, _>>()?;
        Ok(Value::List(values.into_iter().flatten().collect()))
    };
    if value.is_none() {
        return Ok(None);
    }
    Ok(Some(if value.is_instance_of::<PyBool>() {
        Value::Bool(value.extract()?)
    } else if value.is_instance_of::<PyInt>() {
        match value.extract() {
            Ok(number) => Value::Int(number),
            Err(_) => Value::Text(value.str()?.to_string()),
        }
    } else if value.is_instance_of::<PyFloat>() {
        Value::Float(value.extract()?)
    } else if value.is_instance_of::<PyString>() {
        Value::Text(value.extract()?)
    } else if value.is_instance_of::<PyDict>() {
        Value::Map(info(value)?)
    } else if let Ok(values) = value.cast::<PyList>() {
        list(values.iter().collect())?
    } else if let Ok(values) = value.cast::<PyTuple>() {
        list(values.iter().collect())?
    } else if value.is_instance_of::<PyUntypedArray>() {
        let name: String = value.getattr("dtype")?.getattr("name")?.extract()?;
        match dtype(&name) {
            Some(dtype) => array(value, dtype)?.into(),
            None => return any(&value.call_method0("tolist")?),
        }
    } else if value.is_instance(&value.py().import("numpy")?.getattr("generic")?)? {
        return any(&value.call_method0("item")?);
    } else {
        Value::Text(value.repr()?.to_string())
    }))
}
