use ray_core::prelude::*;

#[derive(Data)]
struct Names {
    first: &'static str,
    others: Vec<&'static str>,
}

#[derive(Data)]
enum Choice {
    Named(&'static str),
    Pointed { at: *const u8 },
}

fn main() {}
