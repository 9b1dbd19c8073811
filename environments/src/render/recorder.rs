//! When videos begin and end, for environments of every form.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use super::{VideoError, VideoFormat, VideoWriter};
use crate::{EnvError, Frame, Metadata, RenderMode};

/// Records some episodes, or some stretches of steps, as files.
///
/// Without a trigger it records episodes 0, 1, 8, 27, … 1000 and then every 1000th. A video ends with its episode,
/// or after `video_length` steps where that is given, and then runs across episodes.
pub(crate) struct Recorder {
    folder: PathBuf,
    pub(crate) name_prefix: String,
    pub(crate) format: VideoFormat,
    pub(crate) fps: u32,
    /// Steps of a video; `None` for to the end of the episode.
    pub(crate) video_length: Option<usize>,
    pub(crate) episode_trigger: Option<Trigger>,
    pub(crate) step_trigger: Option<Trigger>,
    /// The number of the next episode.
    episode: u64,
    /// The number of the next step, over all episodes.
    step: u64,
    recording: Option<VideoWriter>,
    videos: Vec<PathBuf>,
}

pub(crate) type Trigger = Box<dyn FnMut(u64) -> bool + Send>;

impl Recorder {
    /// Records into a folder, which is made if it is not there; as fast as the metadata says, else 30 frames a second.
    ///
    /// # Errors
    /// Metadata without pictures, or a folder that cannot be made.
    pub(crate) fn new(
        metadata: Metadata,
        folder: impl Into<PathBuf>,
    ) -> Result<Recorder, EnvError> {
        if !metadata.render_modes.contains(&RenderMode::RgbArray) {
            return Err(EnvError::NotSupported(
                "an environment that does not render `rgb_array` cannot be recorded".into(),
            ));
        }
        let folder = folder.into();
        std::fs::create_dir_all(&folder).map_err(|error| {
            EnvError::NotSupported(format!("`{}` cannot be made: {error}", folder.display()))
        })?;
        Ok(Recorder {
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

    pub(crate) fn videos(&self) -> &[PathBuf] {
        &self.videos
    }

    /// Ends the video that is being recorded, and returns all.
    pub(crate) fn finish(&mut self) -> Result<Vec<PathBuf>, EnvError> {
        self.stop()?;
        Ok(std::mem::take(&mut self.videos))
    }

    /// Ends the last episode and begins another, whose first frame can be drawn if it is to be recorded.
    pub(crate) fn begin_episode(&mut self) -> Result<(), EnvError> {
        if self.video_length.is_none() {
            self.stop()?;
        }
        let episode = self.episode;
        self.episode += 1;
        let begins = match (&mut self.episode_trigger, &self.step_trigger) {
            (Some(trigger), _) => trigger(episode),
            (None, Some(_)) => false,
            (None, None) => capped_cubic(episode),
        };
        if begins {
            self.start(format!("episode-{episode}"))?;
        }
        Ok(())
    }

    /// Counts a step, which may begin a video.
    pub(crate) fn count_step(&mut self) -> Result<(), EnvError> {
        let number = self.step;
        self.step += 1;
        let begins = match &mut self.step_trigger {
            Some(trigger) => trigger(number),
            None => false,
        };
        if begins {
            self.start(format!("step-{number}"))?;
        }
        Ok(())
    }

    /// Adds a frame of what is now, if a video is being recorded, and ends one that is long enough.
    pub(crate) fn capture(
        &mut self,
        draw: impl FnOnce() -> Result<Frame, EnvError>,
    ) -> Result<(), EnvError> {
        let Some(video) = &mut self.recording else {
            return Ok(());
        };
        video.add(&draw()?).map_err(cannot_record)?;
        // The first frame is before the first step.
        if self
            .video_length
            .is_some_and(|steps| video.frames() > steps)
        {
            self.stop()?;
        }
        Ok(())
    }

    fn start(&mut self, name: String) -> Result<(), EnvError> {
        self.stop()?;
        let (prefix, ending) = (&self.name_prefix, self.format.extension());
        let path = Path::new(&self.folder).join(format!("{prefix}-{name}.{ending}"));
        self.recording = Some(VideoWriter::new(path, self.fps).map_err(cannot_record)?);
        Ok(())
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
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder")
            .field("folder", &self.folder)
            .field("episode", &self.episode)
            .field("recording", &self.recording)
            .finish_non_exhaustive()
    }
}

/// Writes the methods by which a wrapper with a `recorder` is told what to record.
macro_rules! recorder_settings {
    () => {
        /// Records the episodes, counted from 0, for which the function says so.
        pub fn episode_trigger(
            mut self,
            trigger: impl FnMut(u64) -> bool + Send + 'static,
        ) -> Self {
            self.recorder.episode_trigger = Some(Box::new(trigger));
            self
        }

        /// Begins a video at the steps, counted from 0 over all episodes, for which the function says so.
        pub fn step_trigger(mut self, trigger: impl FnMut(u64) -> bool + Send + 'static) -> Self {
            self.recorder.step_trigger = Some(Box::new(trigger));
            self
        }

        /// Ends a video after this many steps, and not with its episode.
        pub fn video_length(mut self, steps: usize) -> Self {
            self.recorder.video_length = Some(steps);
            self
        }

        /// Sets what the files' names begin with.
        pub fn name_prefix(mut self, prefix: impl Into<String>) -> Self {
            self.recorder.name_prefix = prefix.into();
            self
        }

        /// Sets the kind of the files.
        pub fn format(mut self, format: $crate::render::VideoFormat) -> Self {
            self.recorder.format = format;
            self
        }

        /// Sets how many frames are shown a second.
        pub fn fps(mut self, fps: u32) -> Self {
            self.recorder.fps = fps;
            self
        }

        /// Returns the videos that are finished.
        pub fn videos(&self) -> &[std::path::PathBuf] {
            self.recorder.videos()
        }

        /// Ends the video that is being recorded, and returns all.
        ///
        /// Dropping the environment ends it too, without telling whether that went well.
        ///
        /// # Errors
        /// A file that cannot be written.
        pub fn finish(mut self) -> Result<Vec<std::path::PathBuf>, $crate::EnvError> {
            self.recorder.finish()
        }
    };
}

pub(crate) use recorder_settings;

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
pub(crate) mod tests {
    use super::*;

    /// Returns how many frames a GIF file has.
    pub(crate) fn frames(path: &Path) -> usize {
        let file = std::fs::File::open(path).expect("the file");
        let mut decoder = gif::DecodeOptions::new().read_info(file).expect("a GIF");
        let mut count = 0;
        while decoder.read_next_frame().expect("a frame").is_some() {
            count += 1;
        }
        count
    }

    /// Returns the names of files.
    pub(crate) fn names(videos: &[PathBuf]) -> Vec<String> {
        let name = |path: &PathBuf| path.file_name().expect("a name").display().to_string();
        videos.iter().map(name).collect()
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
}
