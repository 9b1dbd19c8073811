//! Values of environments in a form that can be sent: a tree as the list of its nodes, parents first.

use std::collections::BTreeMap;

use environments::{Array, ArrayData, Dtype, EnvError, GraphInstance, State, Value};
use ray_core::prelude::*;

/// A value's node; the nodes of its parts follow it.
#[derive(Data, Clone, Debug, PartialEq)]
pub enum Node {
    /// A truth.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// A text.
    Text(String),
    /// This many values follow.
    List(u32),
    /// A value for each name follows.
    Map(Vec<String>),
    /// An array of whole numbers of 64 bits.
    Whole {
        /// Sizes of the dimensions.
        shape: Vec<u64>,
        /// Row-major.
        numbers: Vec<i64>,
    },
    /// An array of another type, whose numbers are exact in 64 bits of floating point.
    Numbers {
        /// NumPy's name of the type.
        dtype: String,
        /// Sizes of the dimensions.
        shape: Vec<u64>,
        /// Row-major.
        numbers: Vec<f64>,
    },
    /// Nodes, edges and links of a graph follow, as far as it has them.
    Graph {
        /// Whether edges follow.
        has_edges: bool,
        /// Whether links follow.
        has_links: bool,
    },
}

/// A state in a form that can be sent.
#[derive(Data, Clone, Debug, PartialEq)]
pub struct PackedState {
    values: Vec<f64>,
    elapsed: u64,
    rng: Vec<u64>,
    extra: Vec<Node>,
}

/// Returns the nodes of named values.
///
/// # Errors
/// A kind of value that is not known here.
pub fn pack_map(values: &BTreeMap<String, Value>) -> Result<Vec<Node>, EnvError> {
    let mut nodes = vec![Node::Map(values.keys().cloned().collect())];
    for value in values.values() {
        pack(value, &mut nodes)?;
    }
    Ok(nodes)
}

/// Returns the named values of nodes.
///
/// # Errors
/// Nodes that [`pack_map`] does not write.
pub fn unpack_map(nodes: Vec<Node>) -> Result<BTreeMap<String, Value>, EnvError> {
    match unpack(&mut nodes.into_iter()) {
        Some(Value::Map(values)) => Ok(values),
        _ => Err(EnvError::InvalidState("no named values".into())),
    }
}

impl PackedState {
    /// Packs a state.
    ///
    /// # Errors
    /// As [`pack_map`].
    pub fn new(state: &State) -> Result<PackedState, EnvError> {
        Ok(PackedState {
            values: state.values.clone(),
            elapsed: state.elapsed,
            rng: state.rng.clone(),
            extra: pack_map(&state.extra)?,
        })
    }

    /// Returns the state.
    ///
    /// # Errors
    /// As [`unpack_map`].
    pub fn unpack(self) -> Result<State, EnvError> {
        Ok(State {
            values: self.values,
            elapsed: self.elapsed,
            rng: self.rng,
            extra: unpack_map(self.extra)?,
        })
    }
}

fn pack(value: &Value, nodes: &mut Vec<Node>) -> Result<(), EnvError> {
    match value {
        Value::Bool(value) => nodes.push(Node::Bool(*value)),
        Value::Int(value) => nodes.push(Node::Int(*value)),
        Value::Float(value) => nodes.push(Node::Float(*value)),
        Value::Text(value) => nodes.push(Node::Text(value.clone())),
        Value::List(values) => {
            nodes.push(Node::List(values.len() as u32));
            for value in values {
                pack(value, nodes)?;
            }
        }
        Value::Map(values) => nodes.extend(pack_map(values)?),
        Value::Array(array) => nodes.push(pack_array(array)),
        Value::Graph(graph) => {
            nodes.push(Node::Graph {
                has_edges: graph.edges.is_some(),
                has_links: graph.edge_links.is_some(),
            });
            nodes.push(pack_array(&graph.nodes));
            nodes.extend(graph.edges.iter().map(pack_array));
            nodes.extend(graph.edge_links.iter().map(pack_array));
        }
        other => {
            let reason = format!("{other:?} cannot be sent to another process");
            return Err(EnvError::NotSupported(reason));
        }
    }
    Ok(())
}

fn pack_array(array: &Array) -> Node {
    let shape = array.shape().iter().map(|size| *size as u64).collect();
    match array.data() {
        ArrayData::I64(numbers) => Node::Whole {
            shape,
            numbers: numbers.clone(),
        },
        _ => Node::Numbers {
            dtype: array.dtype().name().to_owned(),
            shape,
            numbers: array.to_f64(),
        },
    }
}

fn unpack(nodes: &mut impl Iterator<Item = Node>) -> Option<Value> {
    Some(match nodes.next()? {
        Node::Bool(value) => Value::Bool(value),
        Node::Int(value) => Value::Int(value),
        Node::Float(value) => Value::Float(value),
        Node::Text(value) => Value::Text(value),
        Node::List(len) => Value::List((0..len).map(|_| unpack(nodes)).collect::<Option<_>>()?),
        Node::Map(names) => {
            let values = names.into_iter().map(|name| Some((name, unpack(nodes)?)));
            Value::Map(values.collect::<Option<_>>()?)
        }
        Node::Graph {
            has_edges,
            has_links,
        } => {
            let numbers = unpack_array(nodes.next()?)?;
            let edges = match has_edges {
                true => Some(unpack_array(nodes.next()?)?),
                false => None,
            };
            let edge_links = match has_links {
                true => Some(unpack_array(nodes.next()?)?),
                false => None,
            };
            Value::Graph(Box::new(GraphInstance {
                nodes: numbers,
                edges,
                edge_links,
            }))
        }
        array => Value::Array(unpack_array(array)?),
    })
}

fn unpack_array(node: Node) -> Option<Array> {
    let sizes = |shape: Vec<u64>| shape.iter().map(|size| *size as usize).collect::<Vec<_>>();
    match node {
        Node::Whole { shape, numbers } => Array::new(sizes(shape), ArrayData::I64(numbers)),
        Node::Numbers {
            dtype,
            shape,
            numbers,
        } => {
            let data = ArrayData::from_f64(Dtype::from_name(&dtype)?, numbers);
            Array::new(sizes(shape), data)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packed_value_comes_back_as_it_was() {
        let array = |shape: &[usize], data| Array::new(shape, data).expect("it fills the shape");
        let graph = GraphInstance {
            nodes: array(&[2, 1], ArrayData::F32(vec![0.5, -1.0])),
            edges: None,
            edge_links: Some(array(&[1, 2], ArrayData::I64(vec![0, 1]))),
        };
        let inner = BTreeMap::from([("graph".to_owned(), Value::from(graph))]);
        let values = BTreeMap::from([
            (
                "bytes".to_owned(),
                array(&[2], ArrayData::U8(vec![0, 255])).into(),
            ),
            (
                "list".to_owned(),
                vec![Value::Bool(true), "text".into()].into(),
            ),
            ("map".to_owned(), inner.into()),
            ("number".to_owned(), 0.1_f64.into()),
            (
                "whole".to_owned(),
                array(&[1], ArrayData::I64(vec![i64::MAX])).into(),
            ),
        ]);
        let nodes = pack_map(&values).expect("known kinds");
        assert_eq!(unpack_map(nodes.clone()), Ok(values));
        let cut = nodes[..nodes.len() - 1].to_vec();
        assert!(matches!(unpack_map(cut), Err(EnvError::InvalidState(_))));
    }
}
