#[ray_core::test]
async fn waits() {}

#[ray_core::test]
fn takes(x: i64) {
    let _ = x;
}

#[ray_core::test(workers = 2)]
fn configured() {}

#[ray_core::test]
fn generic<T>() {}

fn main() {}
