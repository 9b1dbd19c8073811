use ray_core::prelude::*;

#[remote]
fn serve() -> ! {
    loop {}
}

fn main() {}
