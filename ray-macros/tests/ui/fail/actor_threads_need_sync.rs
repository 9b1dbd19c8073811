use std::{cell::Cell, rc::Rc};

use ray_core::prelude::*;

#[actor(max_concurrency = 2)]
struct Counter {
    value: Cell<i64>,
}

#[remote]
impl Counter {
    pub fn new() -> Self {
        Self {
            value: Cell::new(0),
        }
    }

    pub fn value(&self) -> i64 {
        self.value.get()
    }
}

#[actor(max_concurrency = 8)]
struct Tree {
    root: Rc<i64>,
}

#[remote]
impl Tree {
    pub fn new() -> Self {
        Self { root: Rc::new(1) }
    }

    pub fn root(&self) -> i64 {
        *self.root
    }
}

fn main() {}
