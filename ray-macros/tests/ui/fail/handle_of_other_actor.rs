use ray_core::prelude::*;

#[actor]
struct Left;

#[remote]
impl Left {
    pub fn new() -> Self {
        Self
    }
}

#[actor]
struct Right;

#[remote]
impl Right {
    pub fn new(left: LeftHandle) -> Self {
        let _ = left;
        Self
    }
}

fn main() {
    let right = Right::remote(Left::remote());
    let _ = Right::remote(&right);
}
