//! Networks with analytic gradients; all parameters of a model lie in one flat slice.

mod adam;
mod kernel;
mod mlp;

pub use adam::{Adam, clip_grad_norm};
pub use mlp::{Cache, Mlp};
