//! Wrappers that change or keep what is drawn; steps stay as they are.

mod collection;
mod noise;

pub use collection::RenderCollection;
pub use noise::{AddWhiteNoise, MapPicture, ObstructView, Obstruction, PictureMap, WhiteNoise};
