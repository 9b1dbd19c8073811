//! Spaces made of spaces.

use std::{collections::BTreeMap, fmt};

use super::Space;
use crate::{Array, Value};

/// One value of each of several named spaces, in the order of their names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dict {
    spaces: BTreeMap<String, Space>,
}

/// One value of each of several spaces.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tuple {
    /// The spaces.
    pub spaces: Vec<Space>,
}

/// Any number of values of one space, none included.
#[derive(Clone, Debug, PartialEq)]
pub struct Sequence {
    /// The space of each.
    pub space: Box<Space>,
}

/// Graphs whose nodes hold values of one space, and whose edges those of another or none.
#[derive(Clone, Debug, PartialEq)]
pub struct GraphSpace {
    /// `Box` or `Discrete`: the space of a node.
    pub node_space: Box<Space>,
    /// `Box` or `Discrete`: the space of an edge, if edges hold something.
    pub edge_space: Option<Box<Space>>,
}

/// One value of one of several spaces, as `[index, value]`.
#[derive(Clone, Debug, PartialEq)]
pub struct OneOf {
    /// The spaces.
    pub spaces: Vec<Space>,
}

impl Dict {
    /// Returns the space of these names and spaces.
    pub fn new<K: Into<String>, S: Into<Space>>(spaces: impl IntoIterator<Item = (K, S)>) -> Dict {
        let spaces = spaces
            .into_iter()
            .map(|(name, space)| (name.into(), space.into()));
        Dict {
            spaces: spaces.collect(),
        }
    }

    /// Returns the names with their spaces, sorted.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Space)> {
        self.spaces
            .iter()
            .map(|(name, space)| (name.as_str(), space))
    }

    /// Returns the space of a name.
    pub fn get(&self, name: &str) -> Option<&Space> {
        self.spaces.get(name)
    }

    /// Returns how many names there are.
    pub fn len(&self) -> usize {
        self.spaces.len()
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.spaces.is_empty()
    }

    pub(super) fn contains(&self, value: &Value) -> bool {
        value.as_map().is_some_and(|values| {
            values.len() == self.spaces.len()
                && self.iter().all(|(name, space)| {
                    values.get(name).is_some_and(|value| space.contains(value))
                })
        })
    }
}

impl Tuple {
    /// Returns the space of these.
    pub fn new(spaces: Vec<Space>) -> Tuple {
        Tuple { spaces }
    }

    pub(super) fn contains(&self, value: &Value) -> bool {
        value.as_list().is_some_and(|values| {
            values.len() == self.spaces.len()
                && self
                    .spaces
                    .iter()
                    .zip(values)
                    .all(|(space, value)| space.contains(value))
        })
    }
}

impl Sequence {
    /// Returns the sequences over a space.
    pub fn new(space: impl Into<Space>) -> Sequence {
        Sequence {
            space: Box::new(space.into()),
        }
    }

    pub(super) fn contains(&self, value: &Value) -> bool {
        value
            .as_list()
            .is_some_and(|values| values.iter().all(|value| self.space.contains(value)))
    }
}

impl GraphSpace {
    /// Returns the graphs over a space of nodes and one of edges.
    ///
    /// # Panics
    /// When one is neither `Box` nor `Discrete`.
    pub fn new(node_space: impl Into<Space>, edge_space: Option<Space>) -> GraphSpace {
        let node_space = node_space.into();
        assert!(
            [Some(&node_space), edge_space.as_ref()]
                .into_iter()
                .flatten()
                .all(|space| matches!(space, Space::Box(_) | Space::Discrete(_))),
            "nodes and edges hold values of Box or Discrete"
        );
        GraphSpace {
            node_space: Box::new(node_space),
            edge_space: edge_space.map(Box::new),
        }
    }

    pub(super) fn contains(&self, value: &Value) -> bool {
        let Value::Graph(graph) = value else {
            return false;
        };
        let count = graph.nodes.shape().first().copied().unwrap_or(0);
        let links_are_nodes = |links: &Array| {
            matches!(links.shape(), [_, 2])
                && !links.dtype().is_float()
                && (0..links.len()).all(|at| (0.0..count as f64).contains(&links.get(at)))
        };
        all_in(&self.node_space, &graph.nodes)
            && match (&self.edge_space, &graph.edges, &graph.edge_links) {
                (Some(space), Some(edges), Some(links)) => {
                    all_in(space, edges)
                        && links.shape().first() == edges.shape().first()
                        && links_are_nodes(links)
                }
                (None, None, Some(links)) => links_are_nodes(links),
                (_, None, None) => true,
                _ => false,
            }
    }
}

/// Returns whether every row of an array is a member.
fn all_in(space: &Space, rows: &Array) -> bool {
    match space {
        Space::Discrete(choice) => {
            rows.shape().len() == 1
                && !rows.dtype().is_float()
                && (0..rows.len()).all(|at| choice.contains(rows.get(at) as i64))
        }
        Space::Box(space) => {
            rows.shape()
                .split_first()
                .is_some_and(|(_, shape)| shape == space.shape)
                && rows.dtype() == space.dtype
                && (0..rows.len()).all(|at| {
                    let (low, high) = space.bounds(at % space.len());
                    (low..=high).contains(&rows.get(at))
                })
        }
        _ => false,
    }
}

impl OneOf {
    /// Returns the choice among these spaces.
    ///
    /// # Panics
    /// When there are none.
    pub fn new(spaces: Vec<Space>) -> OneOf {
        assert!(!spaces.is_empty(), "a choice needs something to choose");
        OneOf { spaces }
    }

    pub(super) fn contains(&self, value: &Value) -> bool {
        let Some([index, value]) = value.as_list() else {
            return false;
        };
        index
            .as_int()
            .and_then(|index| usize::try_from(index).ok())
            .and_then(|index| self.spaces.get(index))
            .is_some_and(|space| space.contains(value))
    }
}

impl fmt::Display for Dict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = self
            .iter()
            .map(|(name, space)| format!("'{name}': {space}"));
        write!(f, "Dict({})", parts.collect::<Vec<_>>().join(", "))
    }
}

fn joined(spaces: &[Space]) -> String {
    let parts = spaces.iter().map(ToString::to_string);
    parts.collect::<Vec<_>>().join(", ")
}

impl fmt::Display for Tuple {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tuple({})", joined(&self.spaces))
    }
}

impl fmt::Display for OneOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OneOf({})", joined(&self.spaces))
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sequence({}, stack=False)", self.space)
    }
}

impl fmt::Display for GraphSpace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Graph({}, ", self.node_space)?;
        match &self.edge_space {
            Some(space) => write!(f, "{space})"),
            None => write!(f, "None)"),
        }
    }
}
