//! Environments around environments, each changing one thing.
//!
//! A wrapper is an [`Env`](crate::Env) around any other, typed or dynamic. Those that leave observations or actions
//! as they are keep their types; the others show or take [`Value`](crate::Value)s, so that
//! `Box<dyn DynEnv>` in gives a [`DynEnv`](crate::DynEnv) out, which [`EnvSpec::wrapper`](crate::EnvSpec::wrapper)
//! puts into a spec. What a wrapper remembers goes with [`Env::state`](crate::Env::state), so a state is exact
//! however deep the wrapping; only what a caller's own function remembers does not.
//!
//! | changes | wrappers |
//! | --- | --- |
//! | observations | [`AddRenderObservation`], [`AtariPreprocessing`], [`ClipObservation`], [`DelayObservation`], [`DiscretizeObservation`], [`DtypeObservation`], [`FilterObservation`], [`FlattenObservation`], [`FrameStackObservation`], [`GrayscaleObservation`], [`MaxAndSkipObservation`], [`NormalizeObservation`], [`RescaleObservation`], [`ReshapeObservation`], [`ResizeObservation`], [`TimeAwareObservation`], [`TransformObservation`] |
//! | actions | [`ActionMasker`], [`ClipAction`], [`DiscretizeAction`], [`RepeatAction`], [`RescaleAction`], [`StickyAction`], [`TransformAction`] |
//! | rewards | [`ClipReward`], [`NormalizeReward`], [`TransformReward`] |
//! | episodes | [`Autoreset`], [`OrderEnforcing`], [`TimeLimit`] |
//! | pictures | [`AddWhiteNoise`], [`HumanRendering`], [`ObstructView`], [`RecordVideo`], [`RenderCollection`] |
//! | nothing | [`PassiveEnvChecker`], [`RecordEpisodeStatistics`] |

pub mod action;
mod autoreset;
mod bins;
mod checker;
pub mod observation;
mod order;
pub mod picture;
mod record_video;
pub mod reward;
mod saved;
#[cfg(test)]
mod scripted;
mod statistics;
mod time_limit;

pub use action::{
    ActionMasker, ClipAction, DiscretizeAction, RepeatAction, RescaleAction, StickyAction,
    TransformAction,
};
pub use autoreset::Autoreset;
pub use checker::PassiveEnvChecker;
pub use observation::{
    AddRenderObservation, AtariPreprocessing, ClipObservation, DelayObservation,
    DiscretizeObservation, DtypeObservation, FilterObservation, FlattenObservation,
    FrameStackObservation, GrayscaleObservation, MaxAndSkipObservation, NormalizeObservation,
    RescaleObservation, ReshapeObservation, ResizeObservation, TimeAwareObservation,
    TransformObservation,
};
pub use order::OrderEnforcing;
pub(crate) use picture::cannot_show;
pub use picture::{AddWhiteNoise, HumanRendering, ObstructView, RenderCollection};
pub use record_video::RecordVideo;
pub use reward::{ClipReward, NormalizeReward, TransformReward};
pub use statistics::RecordEpisodeStatistics;
pub use time_limit::TimeLimit;

/// Maps one range to another, and what is between in proportion; what is outside stays outside.
pub(crate) fn rescaled(number: f64, from: (f64, f64), to: (f64, f64)) -> f64 {
    let width = from.1 - from.0;
    if width <= 0.0 {
        return to.0;
    }
    let mapped = to.0 + (number - from.0) / width * (to.1 - to.0);
    match (from.0..=from.1).contains(&number) {
        // Rounding must not carry it out of the range.
        true => mapped.clamp(to.0, to.1),
        false => mapped,
    }
}
