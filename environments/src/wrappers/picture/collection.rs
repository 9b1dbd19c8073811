//! Keeps every frame of an episode.

use crate::{Env, EnvError, Frame, Info, Metadata, Options, RenderMode, Step, dynamic::forward};

/// An environment that is drawn after each reset and step, and hands out the frames as a list.
///
/// `make` with a mode such as [`RenderMode::RgbArrayList`] puts it around everything else. A call of `render` in
/// that mode hands out the frames since the last one; a reset forgets those before it.
///
/// ```
/// use environments::{Env as _, EnvBuilder, Frame, Options, RenderMode};
///
/// let mode = RenderMode::RgbArrayList;
/// let mut env = EnvBuilder::new("CartPole-v1").render_mode(mode).build()?;
/// env.reset(Some(0), &Options::new())?;
/// env.step(&1.into())?;
/// assert!(matches!(env.render(mode)?, Frame::List(frames) if frames.len() == 2));
/// assert_eq!(env.render(mode)?, Frame::List(vec![]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct RenderCollection<E> {
    inner: E,
    mode: RenderMode,
    frames: Vec<Frame>,
    keeps_over_renders: bool,
    keeps_over_resets: bool,
}

impl<E: Env> RenderCollection<E> {
    /// Draws in this mode, or in the one that a list of frames is of.
    ///
    /// # Errors
    /// A mode that the environment does not have, or that makes no list.
    pub fn new(inner: E, mode: RenderMode) -> Result<RenderCollection<E>, EnvError> {
        let mode = mode.of_each().unwrap_or(mode);
        let modes = inner.metadata().render_modes;
        match modes.contains(&mode) && mode.list().is_some() {
            true => Ok(RenderCollection {
                inner,
                mode,
                frames: Vec::new(),
                keeps_over_renders: false,
                keeps_over_resets: false,
            }),
            false => Err(EnvError::NotSupported(format!(
                "`{}` is not among its modes",
                mode.name()
            ))),
        }
    }

    /// Hands out frames again in later calls of `render`, Gymnasium's `pop_frames=False`.
    pub fn keep_over_renders(mut self) -> RenderCollection<E> {
        self.keeps_over_renders = true;
        self
    }

    /// Keeps frames over resets, Gymnasium's `reset_clean=False`.
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

    forward!(inner: spaces, state, limit, mask, origin);

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

    fn render(&mut self, mode: RenderMode) -> Result<Frame, EnvError> {
        if mode.of_each() != Some(self.mode) {
            return self.inner.render(mode);
        }
        Ok(Frame::List(match self.keeps_over_renders {
            true => self.frames.clone(),
            false => self.take_frames(),
        }))
    }

    fn metadata(&self) -> Metadata {
        let metadata = self.inner.metadata();
        self.mode
            .list()
            .map_or(metadata, |list| metadata.with_mode(list))
    }

    fn render_mode(&self) -> Option<RenderMode> {
        self.mode.list()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envs::CartPole;

    const LIST: RenderMode = RenderMode::RgbArrayList;

    fn collection() -> RenderCollection<CartPole> {
        RenderCollection::new(CartPole::new(), LIST).expect("it is drawn")
    }

    /// Plays two episodes of a reset and a step each.
    fn play(env: &mut impl Env<Action = i64>) {
        for _ in 0..2 {
            env.reset(Some(1), &Options::new()).expect("a reset");
            env.step(&1).expect("a step");
        }
    }

    fn count(env: &mut impl Env) -> usize {
        match env.render(LIST) {
            Ok(Frame::List(frames)) => frames.len(),
            other => panic!("{other:?} is no list"),
        }
    }

    #[test]
    fn frames_are_handed_out_once_and_a_reset_forgets_them() {
        let mut env = collection();
        play(&mut env);
        let last = env.render(RenderMode::RgbArray).expect("a picture");
        assert_eq!(env.frames().len(), 2, "the reset forgot the first episode");
        assert_eq!(env.frames().last(), Some(&last));
        assert_eq!((count(&mut env), count(&mut env)), (2, 0));
        env.step(&1).expect("a step");
        assert_eq!(count(&mut env), 1, "those since the last call");
        assert_eq!(env.render_mode(), Some(LIST));
        assert!(env.metadata().render_modes.contains(&LIST));
    }

    #[test]
    fn frames_are_kept_over_renders_and_resets_where_that_is_wanted() {
        let mut env = collection().keep_over_renders();
        play(&mut env);
        assert_eq!((count(&mut env), count(&mut env)), (2, 2));
        let mut env = collection().keep_over_renders().keep_over_resets();
        play(&mut env);
        assert_eq!((count(&mut env), count(&mut env)), (4, 4));
    }

    #[test]
    fn what_is_not_drawn_makes_no_list() {
        for mode in [RenderMode::Ansi, RenderMode::AnsiList, RenderMode::Human] {
            assert!(RenderCollection::new(CartPole::new(), mode).is_err());
        }
    }
}
