//! Shows what happens on a terminal, while it happens.

use crate::{
    Env, EnvError, Frame, Info, Metadata, Options, RenderMode, Step, dynamic::forward,
    render::Terminal,
};

/// An environment that is shown on the terminal after each reset and step, at its own speed.
///
/// `make` with [`RenderMode::Human`] puts it around everything else. It shows the text of an environment that
/// draws one, and else the picture as half blocks.
///
/// ```no_run
/// use environments::{Env as _, EnvBuilder, Options, RenderMode};
///
/// let mut env = EnvBuilder::new("CartPole-v1").render_mode(RenderMode::Human).build()?;
/// env.reset(Some(0), &Options::new())?;
/// while !env.step(&1.into())?.terminated {}
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct HumanRendering<E> {
    inner: E,
    /// What is drawn of the inner environment.
    mode: RenderMode,
    terminal: Terminal,
}

impl<E: Env> HumanRendering<E> {
    /// Shows the environment on standard output.
    ///
    /// # Errors
    /// An environment that draws neither texts nor pictures.
    pub fn new(inner: E) -> Result<HumanRendering<E>, EnvError> {
        let Metadata {
            render_modes,
            render_fps,
        } = inner.metadata();
        let made_for = inner.render_mode().into_iter();
        let mut wanted = made_for.chain([RenderMode::Ansi, RenderMode::RgbArray]);
        let mode = wanted.find(|mode| {
            matches!(mode, RenderMode::Ansi | RenderMode::RgbArray) && render_modes.contains(mode)
        });
        let Some(mode) = mode else {
            return Err(EnvError::NotSupported(
                "an environment that draws neither `ansi` nor `rgb_array` cannot be shown".into(),
            ));
        };
        Ok(HumanRendering {
            inner,
            mode,
            terminal: Terminal::stdout().fps(render_fps),
        })
    }

    /// Shows the picture, though there is a text.
    ///
    /// # Errors
    /// An environment that draws no pictures.
    pub fn pictures(mut self) -> Result<HumanRendering<E>, EnvError> {
        self.mode = RenderMode::RgbArray;
        let modes = self.inner.metadata().render_modes;
        match modes.contains(&self.mode) {
            true => Ok(self),
            false => Err(EnvError::not_drawn("the environment", self.mode)),
        }
    }

    /// Shows it on another terminal.
    pub fn terminal(mut self, terminal: Terminal) -> HumanRendering<E> {
        self.terminal = terminal;
        self
    }

    fn show(&mut self) -> Result<(), EnvError> {
        let frame = self.inner.render(self.mode)?;
        self.terminal.show(&frame).map_err(cannot_show)
    }
}

/// Says that a terminal takes no frame.
pub(crate) fn cannot_show(error: std::io::Error) -> EnvError {
    EnvError::NotSupported(format!("the terminal cannot be written: {error}"))
}

impl<E: Env> Env for HumanRendering<E> {
    type Observation = E::Observation;
    type Action = E::Action;

    forward!(inner: spaces, state, limit, mask, origin);

    fn reset(
        &mut self,
        seed: Option<u64>,
        options: &Options,
    ) -> Result<(E::Observation, Info), EnvError> {
        let first = self.inner.reset(seed, options)?;
        self.show()?;
        Ok(first)
    }

    fn step(&mut self, action: &E::Action) -> Result<Step<E::Observation>, EnvError> {
        let step = self.inner.step(action)?;
        self.show()?;
        Ok(step)
    }

    fn render(&mut self, mode: RenderMode) -> Result<Frame, EnvError> {
        match mode {
            // It was shown by the last reset or step.
            RenderMode::Human => Ok(Frame::Shown),
            mode => self.inner.render(mode),
        }
    }

    fn metadata(&self) -> Metadata {
        self.inner.metadata().with_mode(RenderMode::Human)
    }

    fn render_mode(&self) -> Option<RenderMode> {
        Some(RenderMode::Human)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        envs::{CartPole, FrozenLake},
        render::terminal_tests::Page,
    };

    #[test]
    fn each_reset_and_step_is_shown_as_a_text_where_there_is_one() {
        let page = Page::default();
        let mut env = HumanRendering::new(FrozenLake::new())
            .expect("it draws")
            .terminal(Terminal::new(page.clone()));
        env.reset(Some(0), &Options::new()).expect("a reset");
        let once = page.text();
        let Ok(Frame::Ansi(text)) = env.render(RenderMode::Ansi) else {
            panic!("it draws texts");
        };
        assert_eq!(once, format!("{}\n", text.trim_end_matches('\n')));
        env.step(&2).expect("a step");
        assert_eq!(page.text().lines().count(), 2 * once.lines().count());
        assert_eq!(env.render(RenderMode::Human), Ok(Frame::Shown));
        assert!(env.metadata().render_modes.contains(&RenderMode::Human));
    }

    #[test]
    fn pictures_are_shown_where_there_is_no_text_or_they_are_wanted() {
        let shown = |env: &mut dyn FnMut(Terminal)| {
            let page = Page::default();
            env(Terminal::new(page.clone()));
            page.text()
        };
        let pole = shown(&mut |terminal| {
            let env = HumanRendering::new(CartPole::new()).expect("it draws");
            let mut env = env.terminal(terminal);
            env.reset(Some(0), &Options::new()).expect("a reset");
        });
        let lake = shown(&mut |terminal| {
            let env = HumanRendering::new(FrozenLake::new()).expect("it draws");
            let env = env.pictures().expect("it draws pictures");
            let mut env = env.terminal(terminal);
            env.reset(Some(0), &Options::new()).expect("a reset");
        });
        assert!(pole.contains('▀') && lake.contains('▀'));
    }
}
