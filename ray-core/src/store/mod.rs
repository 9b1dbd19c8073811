//! Values as this process holds them, and the making of large ones.

mod local;
mod value;

pub use value::{AlignedBytes, Value};
pub(crate) use value::{Doom, HeldValue, WriterLive};
