//! Vector environments around vector environments, each changing one thing.

mod normalize;
mod statistics;
mod transform;

pub use normalize::{NormalizeObservation, NormalizeReward, RunningMeanStd};
pub use statistics::{Episode, RecordEpisodeStatistics};
pub use transform::{TransformAction, TransformObservation, TransformReward};

/// Passes the methods on that a wrapper leaves as they are.
macro_rules! forward_vector {
    () => {
        fn num_envs(&self) -> usize {
            self.inner.num_envs()
        }

        fn single_action_space(&self) -> $crate::Space {
            self.inner.single_action_space()
        }

        fn observation_len(&self) -> usize {
            self.inner.observation_len()
        }

        fn autoreset_mode(&self) -> $crate::vector::AutoresetMode {
            self.inner.autoreset_mode()
        }

        fn action_masks(&self, masks: &mut [bool]) -> bool {
            self.inner.action_masks(masks)
        }

        fn lost(&self) -> Option<&[bool]> {
            self.inner.lost()
        }

        fn states(&self) -> Vec<$crate::State> {
            self.inner.states()
        }

        fn set_states(&mut self, states: &[$crate::State]) -> Result<(), $crate::EnvError> {
            self.inner.set_states(states)
        }
    };
}

use forward_vector;
