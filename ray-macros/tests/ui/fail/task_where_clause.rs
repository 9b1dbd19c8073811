use ray_core::prelude::*;

#[remote]
fn size(text: String) -> usize
where
    String: Clone,
{
    text.len()
}

fn main() {}
