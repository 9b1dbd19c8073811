//! A task, its error and an actor through worker processes, as generated code calls them.
use ray_core::prelude::*;

#[remote]
fn square(x: i64) -> i64 {
    x * x
}

#[remote]
fn refuse(why: String) -> Result<i64, String> {
    Err(why)
}

#[remote(num_returns = 2)]
fn halves(values: &Archived<Vec<i64>>) -> (Vec<i64>, usize) {
    let half = values.len() / 2;
    (
        values.iter().take(half).map(|x| x.to_native()).collect(),
        half,
    )
}

#[derive(Data, Clone, Debug, PartialEq)]
enum Tree {
    Leaf(i64),
    Node(Vec<Tree>),
}

#[remote]
fn grow(tree: Tree) -> Tree {
    Tree::Node(vec![tree.clone(), tree])
}

#[actor(max_concurrency = 2)]
struct Counter {
    value: std::cell::RefCell<i64>,
}

#[remote]
impl Counter {
    pub fn new(start: i64) -> Result<Self, String> {
        Ok(Self {
            value: start.into(),
        })
    }

    pub async fn add(&self, by: i64) -> i64 {
        *self.value.borrow_mut() += by;
        *self.value.borrow()
    }
}

fn main() -> ray_core::Result<()> {
    let ray = ray_core::init()?;
    let nine = square::remote(3);
    assert_eq!(square::remote(&nine).get()?, 81);
    let error = refuse::remote("because").get().expect_err("it is refused");
    assert!(error.to_string().contains("because"), "{error}");
    let (values, half) = halves::remote(vec![1, 2, 3, 4]);
    assert_eq!((values.get()?, half.get()?), (vec![1, 2], 2));
    let leaf = Tree::Node(vec![Tree::Leaf(1)]);
    assert_eq!(
        grow::remote(&leaf).get()?,
        Tree::Node(vec![leaf.clone(), leaf])
    );
    let counter = Counter::remote(10);
    assert_eq!(counter.add(5).get()?, 15);
    ray.shutdown()
}
