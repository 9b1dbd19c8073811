//! Records episodes as videos.

use std::path::PathBuf;

use crate::{
    Env, EnvError, Info, Options, RenderMode, Step,
    dynamic::forward,
    render::{Recorder, recorder_settings},
};

/// An environment of which some episodes, or some stretches of steps, are recorded as files.
///
/// Without a trigger it records episodes 0, 1, 8, 27, … 1000 and then every 1000th. A video ends with its episode,
/// or after `video_length` steps where that is given, and then runs across episodes.
///
/// ```
/// use environments::{Env, Options, envs::CartPole, wrappers::RecordVideo};
///
/// # let folder = tempfile::tempdir()?;
/// # let folder = folder.path();
/// let mut env = RecordVideo::new(CartPole::new(), folder)?.episode_trigger(|episode| episode % 2 == 0);
/// for _episode in 0..3 {
///     env.reset(None, &Options::new())?;
///     while !env.step(&0)?.terminated {}
/// }
/// let videos = env.finish()?;
/// assert_eq!(videos[1].file_name().and_then(|name| name.to_str()), Some("rl-video-episode-2.gif"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct RecordVideo<E> {
    inner: E,
    recorder: Recorder,
}

impl<E: Env> RecordVideo<E> {
    /// Returns an environment whose videos go into `folder`, which is made if it is not there.
    ///
    /// Frames are as fast as the environment's metadata says, else 30 a second.
    ///
    /// # Errors
    /// An environment that draws no pictures, or a folder that cannot be made.
    pub fn new(inner: E, folder: impl Into<PathBuf>) -> Result<RecordVideo<E>, EnvError> {
        let recorder = Recorder::new(inner.metadata(), folder)?;
        Ok(RecordVideo { inner, recorder })
    }

    recorder_settings!();

    fn capture(&mut self) -> Result<(), EnvError> {
        let inner = &mut self.inner;
        self.recorder.capture(|| inner.render(RenderMode::RgbArray))
    }
}

impl<E: Env> Env for RecordVideo<E> {
    type Observation = E::Observation;
    type Action = E::Action;

    forward!(inner: spaces, state, limit, attributes);

    fn reset(
        &mut self,
        seed: Option<u64>,
        options: &Options,
    ) -> Result<(E::Observation, Info), EnvError> {
        let first = self.inner.reset(seed, options)?;
        self.recorder.begin_episode()?;
        self.capture()?;
        Ok(first)
    }

    fn step(&mut self, action: &E::Action) -> Result<Step<E::Observation>, EnvError> {
        let step = self.inner.step(action)?;
        self.recorder.count_step()?;
        self.capture()?;
        Ok(step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        envs::{CartPole, Pendulum},
        render::recorder_tests::{frames, names},
    };

    #[test]
    fn an_episode_is_recorded_from_its_first_state_to_its_last() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut env = RecordVideo::new(CartPole::new(), folder.path().join("videos"))
            .expect("it draws")
            .name_prefix("pole");
        let mut lengths = Vec::new();
        for episode in 0..3 {
            env.reset(Some(episode), &Options::new()).expect("a reset");
            let mut length = 1;
            while !env.step(&1).expect("a step").terminated {
                length += 1;
            }
            lengths.push(length);
        }
        let videos = env.finish().expect("files");
        assert_eq!(names(&videos), ["pole-episode-0.gif", "pole-episode-1.gif"]);
        assert_eq!(
            [frames(&videos[0]), frames(&videos[1])],
            [lengths[0] + 1, lengths[1] + 1]
        );
    }

    #[test]
    fn a_length_runs_across_episodes_and_a_step_begins_a_video() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut env = RecordVideo::new(CartPole::new(), folder.path())
            .expect("it draws")
            .step_trigger(|step| step == 4)
            .video_length(20);
        env.reset(Some(0), &Options::new()).expect("a reset");
        for _ in 0..40 {
            if env.step(&1).expect("a step").terminated {
                env.reset(None, &Options::new()).expect("a reset");
            }
        }
        assert_eq!(names(env.videos()), ["rl-video-step-4.gif"]);
        assert_eq!(frames(&env.videos()[0]), 21);
    }

    #[test]
    fn what_cannot_be_recorded_is_an_error() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("file");
        std::fs::write(&file, "").expect("a file");
        assert!(matches!(
            RecordVideo::new(Pendulum::new(), file.join("below")),
            Err(EnvError::NotSupported(_))
        ));
        let mut env =
            RecordVideo::new(Pendulum::new(), folder.path().join("gone")).expect("it draws");
        std::fs::remove_dir(folder.path().join("gone")).expect("an empty folder");
        let error = env.reset(None, &Options::new()).expect_err("no folder");
        assert!(error.to_string().contains("cannot be recorded"), "{error}");
    }
}
