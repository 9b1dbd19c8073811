use ray_core::prelude::*;

#[remote]
fn longest<'a>(names: &'a Archived<Vec<String>>) -> usize {
    names.len()
}

fn main() {}
