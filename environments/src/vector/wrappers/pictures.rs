//! Shows or records several environments side by side.

use std::path::PathBuf;

use super::forward_vector;
use crate::{
    EnvError, Frame, Metadata, Options, RenderMode,
    render::{Recorder, Terminal, mosaic, recorder_settings},
    vector::{Actions, AutoresetMode, StepBuffers, VectorEnv},
    wrappers::cannot_show,
};

/// A vector environment of which some episodes, or some stretches of steps, are recorded as files.
///
/// A frame has the pictures of all environments side by side. Episodes are those of the first environment, and are
/// recorded as [`wrappers::RecordVideo`](crate::wrappers::RecordVideo) says; under `SameStep` a video has no last
/// frame of the first environment's episode, since the step that ends it begins the next.
///
/// ```
/// use environments::{EnvBuilder, RenderMode, vector::*};
///
/// # let folder = tempfile::tempdir()?;
/// # let folder = folder.path();
/// let envs = EnvBuilder::new("FrozenLake-v1").render_mode(RenderMode::RgbArray);
/// let envs = envs.build_vec(4, AutoresetMode::NextStep)?;
/// let mut envs = RecordVideo::new(envs, folder)?.video_length(5);
/// let mut out = StepBuffers::for_env(&envs);
/// envs.reset(Some(0), &mut out.obs)?;
/// for _ in 0..9 {
///     envs.step(Actions::Discrete(&[0, 1, 2, 3]), &mut out)?;
/// }
/// assert_eq!(envs.finish()?, [folder.join("rl-video-episode-0.gif")]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct RecordVideo<V> {
    inner: V,
    recorder: Recorder,
    aspect: f64,
    only_first: bool,
    /// Whether the next step begins an episode of the first environment.
    begins_next: bool,
}

impl<V: VectorEnv> RecordVideo<V> {
    /// Returns environments whose videos go into `folder`, which is made if it is not there.
    ///
    /// Frames are as fast as the environments' metadata says, else 30 a second, and about as wide as high.
    ///
    /// # Errors
    /// Environments that draw no pictures, as those built without
    /// [`EnvBuilder::render_mode`](crate::EnvBuilder::render_mode) may do, or a folder that cannot be made.
    pub fn new(inner: V, folder: impl Into<PathBuf>) -> Result<RecordVideo<V>, EnvError> {
        let recorder = Recorder::new(inner.metadata(), folder)?;
        Ok(RecordVideo {
            inner,
            recorder,
            aspect: 1.0,
            only_first: false,
            begins_next: false,
        })
    }

    /// Sets how wide a frame is for its height; a mosaic comes as near as full rows allow.
    pub fn aspect(mut self, width_by_height: f64) -> RecordVideo<V> {
        self.aspect = width_by_height;
        self
    }

    /// Records the first environment alone.
    pub fn first_only(mut self) -> RecordVideo<V> {
        self.only_first = true;
        self
    }

    recorder_settings!();

    fn capture(&mut self) -> Result<(), EnvError> {
        let (inner, aspect, only_first) = (&mut self.inner, self.aspect, self.only_first);
        self.recorder.capture(|| {
            let mut frames = inner.render(RenderMode::RgbArray)?;
            if only_first {
                frames.truncate(1);
            }
            mosaic(&frames, aspect)
        })
    }

    fn begin(&mut self, result: Result<(), EnvError>) -> Result<(), EnvError> {
        result?;
        self.begins_next = false;
        self.recorder.begin_episode()?;
        self.capture()
    }
}

impl<V: VectorEnv> VectorEnv for RecordVideo<V> {
    forward_vector!(inner: actions, observations, observation_len, masks, rest);

    fn reset(&mut self, seed: Option<u64>, obs: &mut [f32]) -> Result<(), EnvError> {
        let result = self.inner.reset(seed, obs);
        self.begin(result)
    }

    fn reset_with(
        &mut self,
        seeds: &[Option<u64>],
        options: &Options,
        obs: &mut [f32],
    ) -> Result<(), EnvError> {
        let result = self.inner.reset_with(seeds, options, obs);
        self.begin(result)
    }

    fn reset_where(&mut self, mask: &[bool], obs: &mut [f32]) -> Result<(), EnvError> {
        let result = self.inner.reset_where(mask, obs);
        match mask.first() {
            Some(true) => self.begin(result),
            _ => result.and_then(|()| self.capture()),
        }
    }

    fn step(&mut self, actions: Actions<'_>, out: &mut StepBuffers) -> Result<(), EnvError> {
        self.inner.step(actions, out)?;
        let is_over = out.terminated[0] || out.truncated[0];
        let begins = match self.inner.autoreset_mode() {
            AutoresetMode::SameStep => is_over,
            AutoresetMode::NextStep => std::mem::replace(&mut self.begins_next, is_over),
            AutoresetMode::Disabled => false,
        };
        if begins {
            self.recorder.begin_episode()?;
        }
        self.recorder.count_step()?;
        self.capture()
    }
}

/// A vector environment that is shown on the terminal after each reset and step, at its own speed.
///
/// The pictures of all environments lie side by side; where there are none, their texts follow each other.
#[derive(Debug)]
pub struct HumanRendering<V> {
    inner: V,
    mode: RenderMode,
    terminal: Terminal,
}

impl<V: VectorEnv> HumanRendering<V> {
    /// Shows the environments on standard output.
    ///
    /// # Errors
    /// Environments that draw neither pictures nor texts, as those built without
    /// [`EnvBuilder::render_mode`](crate::EnvBuilder::render_mode) may do.
    pub fn new(inner: V) -> Result<HumanRendering<V>, EnvError> {
        let Metadata {
            render_modes,
            render_fps,
        } = inner.metadata();
        let wanted = [RenderMode::RgbArray, RenderMode::Ansi];
        let mode = wanted.into_iter().find(|mode| render_modes.contains(mode));
        let Some(mode) = mode else {
            return Err(EnvError::NotSupported(
                "environments that draw neither `rgb_array` nor `ansi` cannot be shown".into(),
            ));
        };
        Ok(HumanRendering {
            inner,
            mode,
            terminal: Terminal::stdout().fps(render_fps),
        })
    }

    /// Shows them on another terminal.
    pub fn terminal(mut self, terminal: Terminal) -> HumanRendering<V> {
        self.terminal = terminal;
        self
    }

    fn show(&mut self) -> Result<(), EnvError> {
        let frames = self.inner.render(self.mode)?;
        let frame = match self.mode {
            RenderMode::RgbArray => mosaic(&frames, TERMINAL_ASPECT)?,
            _ => {
                let texts = frames.iter().map(|frame| match frame {
                    Frame::Ansi(text) => text.as_str(),
                    _ => "",
                });
                Frame::Ansi(texts.collect::<Vec<_>>().join("\n"))
            }
        };
        self.terminal.show(&frame).map_err(cannot_show)
    }
}

impl<V: VectorEnv> VectorEnv for HumanRendering<V> {
    forward_vector!(inner: actions, observations, observation_len, masks, rest);

    fn reset(&mut self, seed: Option<u64>, obs: &mut [f32]) -> Result<(), EnvError> {
        self.inner.reset(seed, obs)?;
        self.show()
    }

    fn reset_with(
        &mut self,
        seeds: &[Option<u64>],
        options: &Options,
        obs: &mut [f32],
    ) -> Result<(), EnvError> {
        self.inner.reset_with(seeds, options, obs)?;
        self.show()
    }

    fn reset_where(&mut self, mask: &[bool], obs: &mut [f32]) -> Result<(), EnvError> {
        self.inner.reset_where(mask, obs)?;
        self.show()
    }

    fn step(&mut self, actions: Actions<'_>, out: &mut StepBuffers) -> Result<(), EnvError> {
        self.inner.step(actions, out)?;
        self.show()
    }
}

/// How wide a terminal usually is for its height, in pixels that are half a character high.
const TERMINAL_ASPECT: f64 = 1.7;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        EnvBuilder,
        render::{
            recorder_tests::{frames, names},
            terminal_tests::Page,
        },
    };

    /// Two lakes that nobody slips on.
    fn lakes(mode: AutoresetMode) -> Box<dyn VectorEnv> {
        let builder = EnvBuilder::new("FrozenLake-v1").kwarg("is_slippery", false);
        let builder = builder.render_mode(RenderMode::RgbArray);
        builder.build_vec(2, mode).expect("it is there")
    }

    /// Plays some steps, in each third of which the first environment's walker reaches a hole.
    fn play(envs: &mut impl VectorEnv, steps: usize) {
        let mut out = StepBuffers::for_env(envs);
        envs.reset(Some(3), &mut out.obs).expect("a reset");
        for _ in 0..steps {
            let (down, left) = (1, 0);
            let actions = Actions::Discrete(&[down, left]);
            envs.step(actions, &mut out).expect("a step");
        }
    }

    #[test]
    fn videos_are_of_the_first_environments_episodes() {
        for (mode, frames_more) in [(AutoresetMode::NextStep, 1), (AutoresetMode::SameStep, 0)] {
            let folder = tempfile::tempdir().expect("a folder");
            let envs = RecordVideo::new(lakes(mode), folder.path()).expect("they draw");
            let mut envs = envs.episode_trigger(|episode| episode < 2);
            play(&mut envs, 9);
            let videos = envs.finish().expect("files");
            assert_eq!(
                names(&videos),
                ["rl-video-episode-0.gif", "rl-video-episode-1.gif"]
            );
            for video in &videos {
                assert_eq!(frames(video), 3 + frames_more, "{mode:?}");
            }
        }
    }

    #[test]
    fn a_step_begins_a_video_of_all_or_of_the_first() {
        let folder = tempfile::tempdir().expect("a folder");
        for (first_only, width) in [(false, 512), (true, 256)] {
            let envs = RecordVideo::new(lakes(AutoresetMode::NextStep), folder.path());
            let envs = envs.expect("they draw").step_trigger(|step| step == 3);
            let mut envs = envs.video_length(5).aspect(3.0);
            envs.only_first = first_only;
            play(&mut envs, 20);
            let videos = envs.finish().expect("files");
            assert_eq!(names(&videos), ["rl-video-step-3.gif"]);
            assert_eq!(frames(&videos[0]), 6);
            let file = std::fs::File::open(&videos[0]).expect("the file");
            let video = gif::DecodeOptions::new().read_info(file).expect("a GIF");
            assert_eq!(video.width(), width);
        }
    }

    #[test]
    fn all_are_shown_after_each_reset_and_step() {
        let page = Page::default();
        let envs = HumanRendering::new(lakes(AutoresetMode::NextStep)).expect("they draw");
        let mut envs = envs.terminal(Terminal::new(page.clone()));
        play(&mut envs, 0);
        let once = page.text().lines().count();
        assert!(once > 5 && page.text().contains('▀'));
        play(&mut envs, 3);
        assert_eq!(page.text().lines().count(), 5 * once);
    }

    #[test]
    fn a_form_that_draws_nothing_says_how_to_build_one_that_does() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut fast = crate::make_vec("CartPole-v1", 2, AutoresetMode::SameStep).expect("made");
        let error = fast.render(RenderMode::RgbArray).expect_err("it is fast");
        assert!(
            error.to_string().contains("EnvBuilder::render_mode"),
            "{error}"
        );
        assert!(RecordVideo::new(fast, folder.path()).is_err());
    }
}
