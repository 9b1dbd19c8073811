#[ray_core::test]
struct Counter;

fn main() {}
