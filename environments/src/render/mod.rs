//! Pictures and videos of environments: a small software canvas, and what writes frames into files.
//!
//! Every environment that renders [`RenderMode::RgbArray`](crate::RenderMode) draws on a [`Canvas`], so a picture
//! needs no window, no graphics driver and no font file. [`RecordVideo`](crate::wrappers::RecordVideo) records
//! episodes; a [`Terminal`] shows them while they are played.

mod area;
mod canvas;
mod font;
mod mosaic;
mod recorder;
mod terminal;
mod video;

pub(crate) use area::AreaResize;
pub use canvas::{Canvas, Color};
pub use mosaic::mosaic;
#[cfg(test)]
pub(crate) use recorder::tests as recorder_tests;
pub(crate) use recorder::{Recorder, recorder_settings};
pub use terminal::Terminal;
#[cfg(test)]
pub(crate) use terminal::tests as terminal_tests;
pub use video::{VideoError, VideoFormat, VideoWriter};
