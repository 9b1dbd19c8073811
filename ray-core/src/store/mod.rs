//! Values as this process holds them.

mod value;

pub use value::{AlignedBytes, Value};
