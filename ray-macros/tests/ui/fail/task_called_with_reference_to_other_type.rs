use ray_core::prelude::*;

#[remote]
fn square(x: i64) -> i64 {
    x * x
}

#[remote]
fn shout(text: String) -> String {
    text.to_uppercase()
}

fn main() {
    let nine = square::remote(3);
    let _ = shout::remote(nine);
}
