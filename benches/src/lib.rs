//! Micro-benchmarks: `cargo bench -p ray-benches`. The whole system is measured by `ray bench`.
