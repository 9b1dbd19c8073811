use ray_core::prelude::*;

#[derive(Debug)]
struct Local;

#[remote(retry_exceptions = [])]
fn none(x: i64) -> Result<i64, String> {
    Ok(x)
}

#[remote(retry_exceptions = ["Timeout", String, 3])]
fn no_types(x: i64) -> Result<i64, String> {
    Ok(x)
}

#[remote(retry_exceptions = String)]
fn no_list(x: i64) -> Result<i64, String> {
    Ok(x)
}

#[remote(retry_exceptions = [Local])]
fn not_data(x: i64) -> Result<i64, String> {
    Ok(x)
}

fn main() {
    no_list::options().retry_exceptions_of::<Local>();
}
