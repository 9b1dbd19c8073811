use std::{rc::Rc, sync::Arc};

use ray_core::prelude::*;

#[derive(Data)]
struct Tree {
    left: Rc<i64>,
    right: Arc<i64>,
}

fn main() {}
