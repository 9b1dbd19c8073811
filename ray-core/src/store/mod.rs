//! Values as this process holds them, and the making of large ones.

mod local;
mod value;

pub(crate) use value::WriterLive;
pub use value::{AlignedBytes, Value};
