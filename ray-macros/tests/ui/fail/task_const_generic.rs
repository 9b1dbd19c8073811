use ray_core::prelude::*;

#[remote]
fn zeros<const N: usize>() -> Vec<f32> {
    vec![0.0; N]
}

fn main() {}
