//! Keeps every frame of an episode.

use crate::{Env, EnvError, Frame, Info, Options, RenderMode, Step, dynamic::forward};

/// An environment that is drawn after each reset and step, and keeps the frames.
#[derive(Clone, Debug)]
pub struct RenderCollection<E> {
    inner: E,
    mode: RenderMode,
    frames: Vec<Frame>,
    keeps_over_resets: bool,
}

impl<E: Env> RenderCollection<E> {
    /// Draws in this mode; a reset forgets the frames before it.
    ///
    /// # Errors
    /// A mode that the environment does not have.
    pub fn new(inner: E, mode: RenderMode) -> Result<RenderCollection<E>, EnvError> {
        match inner.metadata().render_modes.contains(&mode) {
            true => Ok(RenderCollection {
                inner,
                mode,
                frames: Vec::new(),
                keeps_over_resets: false,
            }),
            false => Err(EnvError::NotSupported(format!(
                "`{}` is not among its modes",
                mode.name()
            ))),
        }
    }

    /// Keeps frames over resets.
    pub fn keep_over_resets(mut self) -> RenderCollection<E> {
        self.keeps_over_resets = true;
        self
    }

    /// Returns the frames that are kept.
    pub fn frames(&self) -> &[Frame] {
        &self.frames
    }

    /// Returns the frames that are kept, and keeps them no longer.
    pub fn take_frames(&mut self) -> Vec<Frame> {
        std::mem::take(&mut self.frames)
    }

    fn draw(&mut self) -> Result<(), EnvError> {
        self.frames.push(self.inner.render(self.mode)?);
        Ok(())
    }
}

impl<E: Env> Env for RenderCollection<E> {
    type Observation = E::Observation;
    type Action = E::Action;

    forward!(inner: spaces, state, limit, attributes);

    fn reset(
        &mut self,
        seed: Option<u64>,
        options: &Options,
    ) -> Result<(E::Observation, Info), EnvError> {
        let first = self.inner.reset(seed, options)?;
        if !self.keeps_over_resets {
            self.frames.clear();
        }
        self.draw()?;
        Ok(first)
    }

    fn step(&mut self, action: &E::Action) -> Result<Step<E::Observation>, EnvError> {
        let step = self.inner.step(action)?;
        self.draw()?;
        Ok(step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envs::CartPole;

    #[test]
    fn a_frame_is_kept_for_the_reset_and_each_step() {
        let mode = RenderMode::RgbArray;
        let mut env = RenderCollection::new(CartPole::new(), mode).expect("it is drawn");
        for _ in 0..2 {
            env.reset(Some(1), &Options::new()).expect("a reset");
            env.step(&1).expect("a step");
        }
        assert_eq!(env.frames().len(), 2, "the reset forgot the first episode");
        let last = env.render(mode).expect("a picture");
        assert_eq!(env.take_frames().last(), Some(&last));
        assert!(env.frames().is_empty());
        let mut env = env.keep_over_resets();
        for _ in 0..2 {
            env.reset(Some(1), &Options::new()).expect("a reset");
        }
        assert_eq!(env.frames().len(), 2);
        assert!(RenderCollection::new(CartPole::new(), RenderMode::Ansi).is_err());
    }
}
