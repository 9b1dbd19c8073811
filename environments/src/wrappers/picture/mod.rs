//! Wrappers that change or keep what is drawn; steps stay as they are.

mod collection;
mod human;
mod noise;

pub use collection::RenderCollection;
pub use human::HumanRendering;
pub(crate) use human::cannot_show;
pub use noise::{AddWhiteNoise, MapPicture, ObstructView, Obstruction, PictureMap, WhiteNoise};
