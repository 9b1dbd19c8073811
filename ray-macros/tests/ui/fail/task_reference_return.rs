use ray_core::prelude::*;

#[remote]
fn name() -> &'static str {
    "ray"
}

fn main() {
    let _ = name::remote();
}
