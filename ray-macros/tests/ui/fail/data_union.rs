use ray_core::prelude::*;

#[derive(Data)]
union Bits {
    float: f32,
    word: u32,
}

fn main() {}
