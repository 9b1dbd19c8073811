//! Pictures of environments: a small software canvas.
//!
//! Every environment that renders [`RenderMode::RgbArray`](crate::RenderMode) draws on a [`Canvas`], so a picture
//! needs no window, no graphics driver and no font file.

mod canvas;
mod font;

pub use canvas::{Canvas, Color};
