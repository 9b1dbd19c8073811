//! Pictures and videos of environments: a small software canvas, and what writes frames into files.
//!
//! Every environment that renders [`RenderMode::RgbArray`](crate::RenderMode) draws on a [`Canvas`], so a picture
//! needs no window, no graphics driver and no font file. [`RecordVideo`](crate::wrappers::RecordVideo) records
//! episodes.

mod canvas;
mod font;
mod video;

pub use canvas::{Canvas, Color};
pub use video::{VideoError, VideoFormat, VideoWriter};
