use ray_core::prelude::*;

struct Opaque;

#[remote]
fn rows(n: u64) -> impl Iterator<Item = Opaque> {
    (0..n).map(|_| Opaque)
}

fn main() {
    let _ = rows::remote(1);
}
