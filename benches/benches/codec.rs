//! Arguments into a call's body.

use divan::{Bencher, black_box};
use ray_core::{__private::Args, Data};

fn main() {
    divan::main();
}

/// What a small call carries.
#[derive(Data, Clone)]
struct Step {
    episode: u64,
    reward: f64,
    name: String,
    observation: Vec<f32>,
}

fn encoded<T: Data>(value: &T) -> Args {
    let mut args = Args::new();
    args.push::<T>(value);
    args
}

/// A number.
#[divan::bench]
fn encode_u64() -> Args {
    encoded(black_box(&7_u64))
}

/// A struct with a string and eight floats.
#[divan::bench]
fn encode_struct(bencher: Bencher<'_, '_>) {
    let step = Step {
        episode: 3,
        reward: 1.0,
        name: "cartpole".into(),
        observation: vec![0.5; 8],
    };
    bencher.bench_local(|| encoded(black_box(&step)));
}

/// Floats, inline below 100 KiB.
#[divan::bench(args = [1 << 10, 64 << 10])]
fn encode_floats(bencher: Bencher<'_, '_>, bytes: usize) {
    let floats = vec![0.5_f32; bytes / 4];
    bencher
        .counter(divan::counter::BytesCount::new(bytes))
        .bench_local(|| encoded(black_box(&floats)));
}
