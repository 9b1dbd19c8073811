use std::{rc::Rc, sync::Arc};

use ray_core::prelude::*;

#[remote]
fn shared(a: Rc<i64>, b: Vec<Arc<String>>) {
    let _ = (a, b);
}

#[remote]
fn pointer(a: *const u8) {
    let _ = a;
}

#[remote]
fn function(a: fn(i64) -> i64) {
    let _ = a;
}

#[remote]
fn boxed(a: Box<dyn Fn(i64) -> i64>) {
    let _ = a;
}

#[remote]
fn inner_borrow(a: Option<&'static str>) -> Vec<&'static str> {
    a.into_iter().collect()
}

#[remote]
fn borrowed_parts(a: &Archived<Vec<Rc<i64>>>) {
    let _ = a;
}

fn main() {}
