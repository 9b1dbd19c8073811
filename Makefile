.PHONY: verify fix soak bench

# Checks everything and writes nothing.
verify:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo test --workspace
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

# Mends what a tool can mend.
fix:
	cargo fmt --all
	cargo clippy --workspace --all-targets --fix --allow-dirty

# The same harnesses with larger numbers.
soak:
	SIM_SEEDS=10000 cargo test --release -p ray-sim --test seeds --test cluster_seeds --test object_seeds -- --nocapture
	ENV_SOAK_STEPS=1000000 cargo test --release -p environments --test soak -- --nocapture

bench:
	cargo run --release -p ray-cli -- bench
