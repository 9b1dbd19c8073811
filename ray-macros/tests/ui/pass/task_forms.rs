//! Every form of a task: options, results, borrows, references, several results, async.
use std::{collections::BTreeMap, fmt};

use ray_core::prelude::*;

/// Squares a number.
#[remote]
fn square(x: i64) -> i64 {
    x * x
}

#[remote]
fn nothing() {}

#[remote(
    num_cpus = 2,
    num_gpus = 0.5,
    memory = 1_000_000,
    resources("camera" = 1, "arm" = 0.5),
    max_retries = -1,
    retry_exceptions = true,
    name = "average",
)]
fn mean(batch: &Archived<Vec<f32>>, mut scale: f32) -> f32 {
    scale *= 2.0;
    batch.iter().map(|x| x.to_native()).sum::<f32>() * scale / batch.len() as f32
}

#[derive(Data, Debug, Clone, PartialEq)]
struct Config {
    rate: f64,
}

/// An error of the user's own that arrives with its value.
#[derive(Data, Debug, Clone, PartialEq)]
enum ParseError {
    Empty,
    Other(String),
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

#[remote(retry_exceptions = [ParseError, String])]
fn parse(text: String) -> Result<Config, ParseError> {
    match text.parse() {
        Ok(rate) => Ok(Config { rate }),
        Err(_) if text.is_empty() => Err(ParseError::Empty),
        Err(_) => Err(ParseError::Other(text)),
    }
}

/// An error that is only text, behind an alias of `Result`.
type IoResult<T> = std::io::Result<T>;

#[remote]
fn size(path: String) -> IoResult<u64> {
    Ok(std::fs::metadata(path)?.len())
}

#[remote]
fn boxed(fails: bool) -> Result<u8, Box<dyn std::error::Error>> {
    if fails {
        Err("it failed".into())
    } else {
        Ok(1)
    }
}

#[remote]
fn checked(values: Vec<i64>) -> Result<(), String> {
    values
        .is_empty()
        .then_some(())
        .ok_or_else(|| "values are left".to_owned())
}

#[remote]
fn forwards(inner: ObjectRef<i64>, all: Vec<ObjectRef<i64>>) -> ObjectRef<i64> {
    all.into_iter().next().unwrap_or(inner)
}

#[remote(num_returns = 2)]
fn split(text: String) -> (String, usize) {
    let length = text.len();
    (text, length)
}

#[remote(num_returns = 3)]
fn split_or_fail(text: String) -> Result<(String, usize, bool), ParseError> {
    let length = text.len();
    Ok((text, length, true))
}

#[remote(num_returns = 0)]
fn forget(_text: String) {}

#[remote(num_returns = 1)]
fn pair() -> (i64, i64) {
    (1, 2)
}

#[remote]
async fn fetch(url: String, tries: &Archived<Vec<u32>>) -> Result<String, String> {
    std::future::ready(()).await;
    Ok(format!("{url} {}", tries.len()))
}

#[remote]
fn nested(by_name: BTreeMap<String, Vec<Option<(u8, [f32; 4])>>>) -> Vec<Config> {
    by_name.into_keys().map(|_| Config { rate: 0.0 }).collect()
}

#[remote]
fn r#match(r#type: i64) -> i64 {
    r#type
}

#[remote(stub = clash_task)]
fn clash(x: i64) -> i64 {
    x
}

mod clash {}

#[allow(dead_code)]
fn types_of_stubs() {
    let nine: ObjectRef<i64> = square::remote(3);
    let _: ObjectRef<i64> = square::remote(&3);
    let _: ObjectRef<i64> = square::remote(&nine);
    let _: ObjectRef<i64> = square::remote(nine.clone());
    let _: ObjectRef<()> = nothing::remote();
    let _: ObjectRef<f32> = mean::remote(vec![1.0], 2.0);
    let _: ObjectRef<f32> = mean::options()
        .num_cpus(1.0)
        .num_gpus(0.0)
        .memory(10)
        .resource("camera", 2.0)
        .name("other")
        .max_retries(3)
        .retry_exceptions(false)
        .remote(&vec![1.0], &2.0);
    let _: ObjectRef<Config> = parse::options()
        .retry_exceptions_of::<ParseError>()
        .retry_exceptions_of::<String>()
        .remote("0.5");
    let config: ObjectRef<Config> = parse::remote("0.5");
    let _: ObjectRef<Config> = parse::remote(String::new());
    let _: ray_core::Result<Config> = config.get();
    let _: ObjectRef<u64> = size::remote("/");
    let _: ObjectRef<u8> = boxed::remote(true);
    let _: ObjectRef<()> = checked::remote(vec![1]);
    // A parameter that is a reference takes the reference, not what it stands for.
    let _: ObjectRef<ObjectRef<i64>> = forwards::remote(&nine, vec![nine.clone()]);
    let (_, _): (ObjectRef<String>, ObjectRef<usize>) = split::remote("ab");
    let (_, _, _): (ObjectRef<String>, ObjectRef<usize>, ObjectRef<bool>) =
        split_or_fail::options().max_retries(0).remote("ab");
    let () = forget::remote("ab");
    let _: ObjectRef<(i64, i64)> = pair::remote();
    let _: ObjectRef<String> = fetch::remote("url", vec![1]);
    let _: ObjectRef<Vec<Config>> = nested::remote(BTreeMap::new());
    let _: ObjectRef<i64> = r#match::remote(1);
    let _: ObjectRef<i64> = clash_task::remote(1);
}

fn main() {
    // Marked functions are still ordinary functions.
    assert_eq!(square(3), 9);
    assert_eq!(parse(String::new()), Err(ParseError::Empty));
    assert_eq!(split("ab".to_owned()), ("ab".to_owned(), 2));
    assert_eq!(clash(2), 2);
    nothing();
}
