struct Config {
    rate: f64,
}

fn main() -> ray_core::Result<()> {
    ray_core::put(&Config { rate: 0.5 })?;
    Ok(())
}
