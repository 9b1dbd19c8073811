use ray_core::prelude::*;

#[derive(Data)]
struct View<'a> {
    text: &'a str,
}

fn main() {}
