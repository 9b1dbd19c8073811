//! Vector environments around vector environments, each changing one thing.

mod normalize;
mod pictures;
mod ready_made;
mod statistics;
mod transform;

pub use normalize::{NormalizeObservation, NormalizeReward, RunningMeanStd};
pub use pictures::{HumanRendering, RecordVideo};
pub use ready_made::{
    ClipAction, ClipReward, FilterObservation, FlattenObservation, GrayscaleObservation,
    RescaleAction, RescaleObservation, ResizeObservation,
};
pub use statistics::{Episode, RecordEpisodeStatistics};
pub use transform::{TransformAction, TransformObservation, TransformReward};

use crate::EnvError;

/// Passes the methods on that a wrapper leaves as they are.
macro_rules! forward_vector {
    () => {
        $crate::vector::wrappers::forward_vector!(inner: actions, observation_len, masks, rest);
    };
    ($inner:tt: $($method:ident),*) => {
        $($crate::vector::wrappers::forward_vector!(@ $inner $method);)*
    };
    (@ $inner:tt actions) => {
        fn single_action_space(&self) -> $crate::Space {
            self.$inner.single_action_space()
        }
    };
    (@ $inner:tt observations) => {
        fn single_observation_space(&self) -> $crate::Space {
            self.$inner.single_observation_space()
        }
    };
    (@ $inner:tt observation_len) => {
        fn observation_len(&self) -> usize {
            self.$inner.observation_len()
        }
    };
    (@ $inner:tt masks) => {
        fn action_masks(&self, masks: &mut [bool]) -> bool {
            self.$inner.action_masks(masks)
        }
    };
    (@ $inner:tt resets) => {
        fn reset(&mut self, seed: Option<u64>, obs: &mut [f32]) -> Result<(), $crate::EnvError> {
            self.$inner.reset(seed, obs)
        }

        fn reset_with(
            &mut self,
            seeds: &[Option<u64>],
            options: &$crate::Options,
            obs: &mut [f32],
        ) -> Result<(), $crate::EnvError> {
            self.$inner.reset_with(seeds, options, obs)
        }

        fn reset_where(
            &mut self,
            mask: &[bool],
            obs: &mut [f32],
        ) -> Result<(), $crate::EnvError> {
            self.$inner.reset_where(mask, obs)
        }
    };
    (@ $inner:tt step) => {
        fn step(
            &mut self,
            actions: $crate::vector::Actions<'_>,
            out: &mut $crate::vector::StepBuffers,
        ) -> Result<(), $crate::EnvError> {
            self.$inner.step(actions, out)
        }
    };
    (@ $inner:tt rest) => {
        fn num_envs(&self) -> usize {
            self.$inner.num_envs()
        }

        fn autoreset_mode(&self) -> $crate::vector::AutoresetMode {
            self.$inner.autoreset_mode()
        }

        fn lost(&self) -> Option<&[bool]> {
            self.$inner.lost()
        }

        fn render(
            &mut self,
            mode: $crate::RenderMode,
        ) -> Result<Vec<$crate::Frame>, $crate::EnvError> {
            self.$inner.render(mode)
        }

        fn metadata(&self) -> $crate::Metadata {
            self.$inner.metadata()
        }

        fn states(&self) -> Vec<$crate::State> {
            self.$inner.states()
        }

        fn set_states(&mut self, states: &[$crate::State]) -> Result<(), $crate::EnvError> {
            self.$inner.set_states(states)
        }
    };
}

/// Makes vector environments of wrappers that only hold another.
macro_rules! delegate_vector {
    ($($wrapper:ident),*) => {
        $(impl<V: VectorEnv> VectorEnv for $wrapper<V> {
            super::forward_vector!(
                0: actions, observations, observation_len, masks, resets, step, rest
            );
        })*
    };
}

use delegate_vector;
pub(crate) use forward_vector;

fn refused(wrapper: &str, needs: &str) -> EnvError {
    EnvError::NotSupported(format!("the vector form of `{wrapper}` needs {needs}"))
}
