//! Records episodes as videos.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use crate::{
    Env, EnvError, Info, Options, RenderMode, Step,
    dynamic::forward,
    render::{VideoError, VideoFormat, VideoWriter},
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
pub struct RecordVideo<E> {
    inner: E,
    folder: PathBuf,
    name_prefix: String,
    format: VideoFormat,
    fps: u32,
    /// Steps of a video; `None` for to the end of the episode.
    video_length: Option<usize>,
    episode_trigger: Option<Trigger>,
    step_trigger: Option<Trigger>,
    /// The number of the next episode.
    episode: u64,
    /// The number of the next step, over all episodes.
    step: u64,
    recording: Option<VideoWriter>,
    videos: Vec<PathBuf>,
}

type Trigger = Box<dyn FnMut(u64) -> bool + Send>;

impl<E: Env> RecordVideo<E> {
    /// Returns an environment whose videos go into `folder`, which is made if it is not there.
    ///
    /// Frames are as fast as the environment's metadata says, else 30 a second.
    ///
    /// # Errors
    /// An environment that draws no pictures, or a folder that cannot be made.
    pub fn new(inner: E, folder: impl Into<PathBuf>) -> Result<RecordVideo<E>, EnvError> {
        let metadata = inner.metadata();
        if !metadata.render_modes.contains(&RenderMode::RgbArray) {
            return Err(EnvError::NotSupported(
                "an environment that does not render `rgb_array` cannot be recorded".into(),
            ));
        }
        let folder = folder.into();
        std::fs::create_dir_all(&folder).map_err(|error| {
            EnvError::NotSupported(format!("`{}` cannot be made: {error}", folder.display()))
        })?;
        Ok(RecordVideo {
            inner,
            folder,
            name_prefix: "rl-video".into(),
            format: VideoFormat::Gif,
            fps: match metadata.render_fps {
                0 => 30,
                fps => fps,
            },
            video_length: None,
            episode_trigger: None,
            step_trigger: None,
            episode: 0,
            step: 0,
            recording: None,
            videos: Vec::new(),
        })
    }

    /// Records the episodes, counted from 0, for which the function says so.
    pub fn episode_trigger(mut self, trigger: impl FnMut(u64) -> bool + Send + 'static) -> Self {
        self.episode_trigger = Some(Box::new(trigger));
        self
    }

    /// Begins a video at the steps, counted from 0 over all episodes, for which the function says so.
    pub fn step_trigger(mut self, trigger: impl FnMut(u64) -> bool + Send + 'static) -> Self {
        self.step_trigger = Some(Box::new(trigger));
        self
    }

    /// Ends a video after this many steps, and not with its episode.
    pub fn video_length(mut self, steps: usize) -> Self {
        self.video_length = Some(steps);
        self
    }

    /// Sets what the files' names begin with.
    pub fn name_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.name_prefix = prefix.into();
        self
    }

    /// Sets the kind of the files.
    pub fn format(mut self, format: VideoFormat) -> Self {
        self.format = format;
        self
    }

    /// Sets how many frames are shown a second.
    pub fn fps(mut self, fps: u32) -> Self {
        self.fps = fps;
        self
    }

    /// Returns the videos that are finished.
    pub fn videos(&self) -> &[PathBuf] {
        &self.videos
    }

    /// Ends the video that is being recorded, and returns all.
    ///
    /// Dropping the environment ends it too, without telling whether that went well.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn finish(mut self) -> Result<Vec<PathBuf>, EnvError> {
        self.stop()?;
        Ok(std::mem::take(&mut self.videos))
    }

    fn start(&mut self, name: String) -> Result<(), EnvError> {
        self.stop()?;
        let path = self.path(&name);
        self.recording = Some(VideoWriter::new(path, self.fps).map_err(cannot_record)?);
        Ok(())
    }

    fn path(&self, name: &str) -> PathBuf {
        let (prefix, ending) = (&self.name_prefix, self.format.extension());
        Path::new(&self.folder).join(format!("{prefix}-{name}.{ending}"))
    }

    fn stop(&mut self) -> Result<(), EnvError> {
        if let Some(video) = self.recording.take() {
            let path = video.path().to_owned();
            if video.finish().map_err(cannot_record)? > 0 {
                self.videos.push(path);
            }
        }
        Ok(())
    }

    /// Adds a frame of what is now, and ends a video that is long enough.
    fn capture(&mut self) -> Result<(), EnvError> {
        let Some(video) = &mut self.recording else {
            return Ok(());
        };
        let frame = self.inner.render(RenderMode::RgbArray)?;
        video.add(&frame).map_err(cannot_record)?;
        // The first frame is before the first step.
        if self
            .video_length
            .is_some_and(|steps| video.frames() > steps)
        {
            self.stop()?;
        }
        Ok(())
    }

    fn begins_episode(&mut self, episode: u64) -> bool {
        match (&mut self.episode_trigger, &self.step_trigger) {
            (Some(trigger), _) => trigger(episode),
            (None, Some(_)) => false,
            (None, None) => capped_cubic(episode),
        }
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
        if self.video_length.is_none() {
            self.stop()?;
        }
        let episode = self.episode;
        self.episode += 1;
        if self.begins_episode(episode) {
            self.start(format!("episode-{episode}"))?;
        }
        self.capture()?;
        Ok(first)
    }

    fn step(&mut self, action: &E::Action) -> Result<Step<E::Observation>, EnvError> {
        let step = self.inner.step(action)?;
        let number = self.step;
        self.step += 1;
        let begins = match &mut self.step_trigger {
            Some(trigger) => trigger(number),
            None => false,
        };
        if begins {
            self.start(format!("step-{number}"))?;
        }
        self.capture()?;
        Ok(step)
    }
}

impl<E> fmt::Debug for RecordVideo<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordVideo")
            .field("folder", &self.folder)
            .field("episode", &self.episode)
            .field("recording", &self.recording)
            .finish_non_exhaustive()
    }
}

/// Returns whether an episode is a cube below 1000, or a multiple of 1000.
fn capped_cubic(episode: u64) -> bool {
    if episode < 1000 {
        (0..10).any(|root: u64| root.pow(3) == episode)
    } else {
        episode.is_multiple_of(1000)
    }
}

fn cannot_record(error: VideoError) -> EnvError {
    EnvError::NotSupported(format!("the video cannot be recorded: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envs::{CartPole, Pendulum};

    fn names(videos: &[PathBuf]) -> Vec<String> {
        let name = |path: &PathBuf| path.file_name().expect("a name").display().to_string();
        videos.iter().map(name).collect()
    }

    fn frames(path: &Path) -> usize {
        let file = std::fs::File::open(path).expect("the file");
        let mut decoder = gif::DecodeOptions::new().read_info(file).expect("a GIF");
        let mut count = 0;
        while decoder.read_next_frame().expect("a frame").is_some() {
            count += 1;
        }
        count
    }

    #[test]
    fn without_triggers_cubes_and_thousands_are_recorded() {
        let recorded = (0..4001).filter(|episode| capped_cubic(*episode));
        assert_eq!(
            recorded.collect::<Vec<_>>(),
            [
                0, 1, 8, 27, 64, 125, 216, 343, 512, 729, 1000, 2000, 3000, 4000
            ]
        );
    }

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
