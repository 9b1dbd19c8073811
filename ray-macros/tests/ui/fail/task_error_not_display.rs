use ray_core::prelude::*;

struct ParseError;

#[remote]
fn parse(text: String) -> Result<i64, ParseError> {
    text.parse().map_err(|_| ParseError)
}

fn main() {}
