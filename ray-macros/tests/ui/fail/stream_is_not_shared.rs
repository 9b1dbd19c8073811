use ray_core::prelude::*;

#[remote]
fn rows(n: u64) -> impl Iterator<Item = u64> {
    0..n
}

#[remote]
fn total(rows: ObjectRefStream<u64>) -> u64 {
    rows.map(|row| row.get().unwrap_or(0)).sum()
}

fn main() {
    let stream = rows::remote(3);
    let _twice = (stream.clone(), total::remote(stream));
}
