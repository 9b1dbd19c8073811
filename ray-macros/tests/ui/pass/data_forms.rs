//! What `#[derive(Data)]` takes, in a crate without rkyv of its own.
use std::collections::{BTreeMap, HashMap};

use ray_core::prelude::*;

#[derive(Data, Clone, Debug, Default, PartialEq)]
struct Named {
    text: String,
    #[doc(hidden)]
    numbers: Vec<f32>,
}

#[derive(Data, Clone, Copy, Debug, PartialEq)]
struct Tuple(i64, (bool, f32));

#[derive(Data, Clone, Copy, Debug, PartialEq)]
struct Unit;

#[derive(Data, Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
#[repr(u8)]
enum Choice {
    #[default]
    Nothing,
    One(Named),
    Two {
        left: Tuple,
        right: Unit,
    } = 7,
}

#[derive(Data, Clone, Debug, PartialEq)]
struct Outer {
    named: Named,
    choices: Vec<Choice>,
    by_name: BTreeMap<String, Option<Choice>>,
    by_number: HashMap<u64, [f32; 3]>,
    boxed: Box<Tuple>,
    bytes: Box<[u8]>,
}

/// What holds a `T` can be sent when the `T` can.
#[derive(Data, Clone, Debug, PartialEq)]
struct Wrapped<T> {
    inner: Vec<T>,
}

#[derive(Data, Clone, Debug, PartialEq)]
enum Either<A, B: Clone>
where
    A: Clone,
{
    Left(A),
    Right(B),
}

#[derive(Data, Clone, Copy, Debug, PartialEq)]
struct Fixed<const N: usize>([u8; N]);

/// A type may hold itself.
#[derive(Data, Clone, Debug, PartialEq)]
enum Tree {
    Leaf(i64),
    Node(Vec<Tree>),
    Named { name: String, inner: Box<Tree> },
}

#[derive(Data, Clone, Debug, PartialEq)]
struct List {
    value: i64,
    next: Option<Box<Self>>,
}

/// What a node points at may be a node again, by value or by reference.
#[derive(Data, Clone, Debug)]
struct Node {
    parent: Option<ObjectRef<Self>>,
    by_name: HashMap<String, Node>,
    ordered: BTreeMap<u8, (Node, Choice)>,
    others: Box<[Node]>,
}

#[derive(Data, Clone, Debug)]
struct Grown<T> {
    value: T,
    children: Vec<Grown<T>>,
}

/// Two types that hold each other, with the circle cut at one field.
#[derive(Data, Clone, Debug)]
struct Left {
    rights: Vec<Right>,
}

#[derive(Data, Clone, Debug)]
struct Right {
    #[rkyv(omit_bounds)]
    left: Option<Box<Left>>,
}

fn is_data<T: Data>(_: &T) {}

fn holds_data<T: Data>(value: T) {
    is_data(&Wrapped { inner: vec![value] });
}

#[remote]
fn pass(
    outer: Outer,
    tree: Tree,
    list: List,
    wrapped: Wrapped<Named>,
    fixed: Fixed<3>,
) -> Either<Tree, Fixed<2>> {
    let _ = (outer, list, wrapped, fixed);
    Either::Left(tree)
}

#[remote]
fn look(trees: &Archived<Vec<Tree>>) -> usize {
    trees.len()
}

fn main() {
    fn local() {
        #[derive(Data)]
        struct Inside {
            value: i64,
        }
        is_data(&Inside { value: 1 });
    }
    local();
    holds_data(Unit);
    is_data(&Choice::default());
    is_data(&None::<(Node, Left, Right, Grown<String>)>);
    is_data(&Either::<Tree, String>::Left(Tree::Leaf(1)));
}
