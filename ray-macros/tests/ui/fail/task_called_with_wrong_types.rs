use ray_core::prelude::*;

#[remote]
fn square(x: i64) -> i64 {
    x * x
}

fn main() {
    let _ = square::remote("three");
    let _ = square::remote(3, 4);
    let _: i64 = square::remote(3);
    let text = square::options().num_cpus("two").remote(3);
    let _ = text;
}
