//! Frames into a file: GIF by itself, MP4 through an `ffmpeg` process.

use std::{
    collections::HashMap,
    fmt,
    fs::File,
    io::{self, BufWriter, Read as _, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    thread::JoinHandle,
};

use crate::Frame;

/// The kind of a video file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum VideoFormat {
    /// An animation of at most 256 colours a frame; needs nothing installed.
    #[default]
    Gif,
    /// H.264; needs `ffmpeg` on the `PATH`.
    Mp4,
}

impl VideoFormat {
    /// Returns the ending of its files' names.
    pub fn extension(self) -> &'static str {
        match self {
            VideoFormat::Gif => "gif",
            VideoFormat::Mp4 => "mp4",
        }
    }

    /// Returns the format that a file's name ends in.
    ///
    /// # Errors
    /// Another ending, or none.
    pub fn of_path(path: &Path) -> Result<VideoFormat, VideoError> {
        let ending = path.extension().unwrap_or_default().to_string_lossy();
        [VideoFormat::Gif, VideoFormat::Mp4]
            .into_iter()
            .find(|format| ending.eq_ignore_ascii_case(format.extension()))
            .ok_or_else(|| VideoError::UnknownFormat(path.display().to_string()))
    }
}

/// Why a video was not written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VideoError {
    /// The file's name does not say a format.
    #[error("`{0}` ends neither in .gif nor in .mp4")]
    UnknownFormat(String),
    /// A frame is a text, or its sides do not fit into a file.
    #[error("a frame is not a picture that a video can hold")]
    NotAPicture,
    /// The frames of a video all have the size of its first.
    #[error("a frame has {found:?} pixels in a video of {expected:?}")]
    WrongSize {
        /// Across and down, of the first.
        expected: (u32, u32),
        /// Across and down, of this one.
        found: (u32, u32),
    },
    /// The program that makes MP4 files is not there.
    #[error("MP4 needs `{program}` on the PATH; a name that ends in .gif needs nothing ({error})")]
    NoFfmpeg {
        /// What was started.
        program: String,
        /// What the operating system said.
        error: io::Error,
    },
    /// The program that makes MP4 files gave up.
    #[error("ffmpeg failed: {0}")]
    Ffmpeg(String),
    /// The file cannot be written.
    #[error("`{path}` cannot be written: {error}")]
    Io {
        /// Which.
        path: String,
        /// What the operating system said.
        error: io::Error,
    },
}

/// A video that is being written; the file begins with the first frame.
///
/// ```
/// use environments::{Env, Options, RenderMode, envs::CartPole, render::VideoWriter};
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("cartpole.gif");
/// let mut env = CartPole::new();
/// env.reset(Some(1), &Options::new())?;
/// let mut video = VideoWriter::new(&path, 50)?;
/// for _ in 0..10 {
///     env.step(&1)?;
///     video.add(&env.render(RenderMode::RgbArray)?)?;
/// }
/// assert_eq!(video.finish()?, 10);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct VideoWriter {
    path: PathBuf,
    format: VideoFormat,
    fps: u32,
    frames: usize,
    size: (u32, u32),
    /// What writes; made by the first frame.
    sink: Option<Sink>,
}

enum Sink {
    Gif(Box<gif::Encoder<BufWriter<File>>>),
    Ffmpeg(Ffmpeg),
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Sink::Gif(_) => "Gif",
            Sink::Ffmpeg(_) => "Ffmpeg",
        })
    }
}

impl VideoWriter {
    /// Begins a video of the format that the file's name ends in; `fps`: frames a second, at least 1.
    ///
    /// A GIF shows at most 50 frames a second; above that it plays slower.
    ///
    /// # Errors
    /// A name that does not say a format.
    pub fn new(path: impl Into<PathBuf>, fps: u32) -> Result<VideoWriter, VideoError> {
        let path = path.into();
        Ok(VideoWriter {
            format: VideoFormat::of_path(&path)?,
            path,
            fps: fps.max(1),
            frames: 0,
            size: (0, 0),
            sink: None,
        })
    }

    /// Returns the file's name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns how many frames there are.
    pub fn frames(&self) -> usize {
        self.frames
    }

    /// Adds a frame.
    ///
    /// # Errors
    /// A frame that is a text or of another size than the first; a file that cannot be written.
    pub fn add(&mut self, frame: &Frame) -> Result<(), VideoError> {
        let Frame::Rgb {
            width,
            height,
            pixels,
        } = frame
        else {
            return Err(VideoError::NotAPicture);
        };
        let size = (*width, *height);
        let expected = *width as usize * *height as usize * 3;
        if pixels.len() != expected || expected == 0 {
            return Err(VideoError::NotAPicture);
        }
        if self.sink.is_none() {
            self.size = size;
            self.sink = Some(self.start()?);
        }
        if size != self.size {
            return Err(VideoError::WrongSize {
                expected: self.size,
                found: size,
            });
        }
        let delay = self.delay();
        match &mut self.sink {
            Some(Sink::Gif(encoder)) => {
                let (across, down) = gif_size(size)?;
                let mut frame = gif_frame(across, down, pixels);
                frame.delay = delay;
                encoder
                    .write_frame(&frame)
                    .map_err(|error| io_error(&self.path, io::Error::other(error)))?;
            }
            Some(Sink::Ffmpeg(process)) => process.write(pixels)?,
            None => {}
        }
        self.frames += 1;
        Ok(())
    }

    /// Ends the video; returns how many frames it has. Without any there is no file.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn finish(mut self) -> Result<usize, VideoError> {
        match self.sink.take() {
            Some(Sink::Gif(encoder)) => {
                let file = encoder
                    .into_inner()
                    .map_err(|error| io_error(&self.path, io::Error::other(error)))?;
                file.into_inner()
                    .map_err(|error| io_error(&self.path, error.into_error()))?;
            }
            Some(Sink::Ffmpeg(process)) => process.finish()?,
            None => {}
        }
        Ok(self.frames)
    }

    fn start(&self) -> Result<Sink, VideoError> {
        match self.format {
            VideoFormat::Gif => {
                let (width, height) = gif_size(self.size)?;
                let begin = || -> Result<_, io::Error> {
                    let file = BufWriter::new(File::create(&self.path)?);
                    let mut encoder =
                        gif::Encoder::new(file, width, height, &[]).map_err(io::Error::other)?;
                    encoder
                        .set_repeat(gif::Repeat::Infinite)
                        .map_err(io::Error::other)?;
                    Ok(encoder)
                };
                let encoder = begin().map_err(|error| io_error(&self.path, error))?;
                Ok(Sink::Gif(Box::new(encoder)))
            }
            VideoFormat::Mp4 => {
                let command = ffmpeg("ffmpeg", &self.path, self.size, self.fps);
                Ffmpeg::start(command).map(Sink::Ffmpeg)
            }
        }
    }

    /// Returns how long the next frame is shown, in hundredths of a second; roundings do not add up.
    fn delay(&self) -> u16 {
        let until = |frame: usize| (frame as u64 * 100 + 50) / u64::from(self.fps);
        let delay = until(self.frames + 1) - until(self.frames);
        delay.clamp(2, 1_000) as u16
    }
}

/// A running `ffmpeg` that takes raw frames.
#[derive(Debug)]
struct Ffmpeg {
    process: Child,
    /// Closed when the frames end.
    frames: Option<ChildStdin>,
    /// Collects what it complains of, so that it never waits for a reader.
    complaints: Option<JoinHandle<String>>,
}

impl Ffmpeg {
    fn start(mut command: Command) -> Result<Ffmpeg, VideoError> {
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| VideoError::NoFfmpeg {
                program: command.get_program().display().to_string(),
                error,
            })?;
        let complaints = process.stderr.take().map(|mut stderr| {
            std::thread::spawn(move || {
                let mut text = Vec::new();
                // What was read before an error is what there is to tell.
                let _incomplete = stderr.read_to_end(&mut text);
                String::from_utf8_lossy(&text).trim().to_owned()
            })
        });
        Ok(Ffmpeg {
            frames: process.stdin.take(),
            process,
            complaints,
        })
    }

    fn write(&mut self, pixels: &[u8]) -> Result<(), VideoError> {
        let written = match &mut self.frames {
            Some(frames) => frames.write_all(pixels),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        };
        written.map_err(|error| match self.end() {
            Err(failure) => failure,
            Ok(()) => VideoError::Ffmpeg(error.to_string()),
        })
    }

    fn finish(mut self) -> Result<(), VideoError> {
        self.end()
    }

    /// Closes the frames and waits for the file.
    fn end(&mut self) -> Result<(), VideoError> {
        self.frames = None;
        let status = self.process.wait();
        let complaints = self.complaints.take().map(JoinHandle::join);
        let complaints = complaints.and_then(Result::ok).unwrap_or_default();
        match status {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(VideoError::Ffmpeg(format!("{status}: {complaints}"))),
            Err(error) => Err(VideoError::Ffmpeg(error.to_string())),
        }
    }
}

/// Returns the command that makes an MP4 file of raw frames.
fn ffmpeg(program: &str, path: &Path, (width, height): (u32, u32), fps: u32) -> Command {
    let mut command = Command::new(program);
    command
        .args(["-loglevel", "error", "-y", "-f", "rawvideo"])
        .args(["-pixel_format", "rgb24", "-framerate", &fps.to_string()])
        .args(["-video_size", &format!("{width}x{height}"), "-i", "-"])
        // The codec wants even sides.
        .args(["-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2", "-an"])
        .args(["-pix_fmt", "yuv420p"])
        .arg(path);
    command
}

impl Drop for Ffmpeg {
    fn drop(&mut self) {
        // Whoever drops a video without finishing it does not ask how it went.
        let _ended = self.end();
    }
}

fn gif_size((width, height): (u32, u32)) -> Result<(u16, u16), VideoError> {
    match (u16::try_from(width), u16::try_from(height)) {
        (Ok(width), Ok(height)) => Ok((width, height)),
        _ => Err(VideoError::NotAPicture),
    }
}

/// Makes a frame of the exact colours where they are few, of the nearest ones else.
fn gif_frame(width: u16, height: u16, pixels: &[u8]) -> gif::Frame<'static> {
    match indexed(pixels) {
        Some((indexes, palette)) => {
            gif::Frame::from_palette_pixels(width, height, indexes, palette, None)
        }
        None => gif::Frame::from_rgb_speed(width, height, pixels, QUANTISING_SPEED),
    }
}

/// Returns the colours of pixels, and each pixel's place among them; `None` for more than 256.
fn indexed(pixels: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let (pixels, _) = pixels.as_chunks::<3>();
    let (mut places, mut palette) = (HashMap::new(), Vec::new());
    let mut indexes = Vec::with_capacity(pixels.len());
    let mut last = None;
    for pixel in pixels {
        // Most pixels are like their neighbour.
        let place = match last {
            Some((color, place)) if color == pixel => place,
            _ => match places.get(pixel) {
                Some(place) => *place,
                None => {
                    let place = u8::try_from(places.len()).ok()?;
                    places.insert(*pixel, place);
                    palette.extend_from_slice(pixel);
                    place
                }
            },
        };
        last = Some((pixel, place));
        indexes.push(place);
    }
    Some((indexes, palette))
}

fn io_error(path: &Path, error: io::Error) -> VideoError {
    VideoError::Io {
        path: path.display().to_string(),
        error,
    }
}

/// From 1, the best colours, to 30, the fastest; only frames of more than 256 colours are quantised.
const QUANTISING_SPEED: i32 = 5;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::{Canvas, Color};

    fn frame(number: u32) -> Frame {
        let mut canvas = Canvas::new(31, 20, Color::WHITE);
        canvas.rect(f64::from(number), 3.0, 5.0, 5.0, Color::BLUE);
        canvas.into_frame()
    }

    #[test]
    fn a_gif_holds_the_frames_and_their_times() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("video.gif");
        let mut video = VideoWriter::new(&path, 30).expect("a format");
        for number in 0..30 {
            video.add(&frame(number)).expect("a frame");
        }
        assert_eq!(video.finish().expect("a file"), 30);

        let mut options = gif::DecodeOptions::new();
        options.set_color_output(gif::ColorOutput::RGBA);
        let file = File::open(&path).expect("the file");
        let mut decoder = options.read_info(file).expect("a GIF");
        let (mut shown, mut count) = (0, 0);
        while let Some(read) = decoder.read_next_frame().expect("a frame") {
            let Frame::Rgb { pixels, .. } = frame(count) else {
                panic!("a picture");
            };
            let rgb = read.buffer.chunks_exact(4).flat_map(|rgba| &rgba[..3]);
            assert!(rgb.eq(&pixels), "few colours are kept exactly");
            shown += read.delay;
            count += 1;
        }
        assert_eq!(
            (count, shown),
            (30, 100),
            "30 frames at 30 Hz last a second"
        );
    }

    #[test]
    fn many_colours_become_the_nearest_few() {
        let mut canvas = Canvas::new(64, 64, Color::BLACK);
        for (x, y) in (0..64 * 64).map(|at| (at % 64, at / 64)) {
            canvas.set(x, y, Color(4 * x as u8, 4 * y as u8, 90));
        }
        assert!(indexed(canvas.pixels()).is_none());
        let frame = gif_frame(64, 64, canvas.pixels());
        let palette = frame.palette.expect("a palette");
        let missed = frame.buffer.iter().zip(canvas.pixels().chunks_exact(3));
        let missed = missed.flat_map(|(place, pixel)| {
            let near = &palette[usize::from(*place) * 3..][..3];
            near.iter()
                .zip(pixel)
                .map(|(a, b)| u32::from(a.abs_diff(*b)))
        });
        assert!(
            missed.sum::<u32>() / (64 * 64) < 20,
            "per pixel, over channels"
        );
    }

    #[test]
    fn what_is_no_video_is_an_error() {
        let folder = tempfile::tempdir().expect("a folder");
        let name = |name: &str| folder.path().join(name);
        for unknown in ["video", "video.avi"] {
            assert!(matches!(
                VideoWriter::new(name(unknown), 30),
                Err(VideoError::UnknownFormat(_))
            ));
        }
        let mut video = VideoWriter::new(name("video.gif"), 30).expect("a format");
        assert!(matches!(
            video.add(&Frame::Ansi("text".into())),
            Err(VideoError::NotAPicture)
        ));
        video.add(&frame(1)).expect("a frame");
        let small = Canvas::new(3, 3, Color::RED).into_frame();
        assert!(matches!(
            video.add(&small),
            Err(VideoError::WrongSize {
                expected: (31, 20),
                found: (3, 3)
            })
        ));
        let mut nowhere = VideoWriter::new(name("none/video.gif"), 30).expect("a format");
        assert!(matches!(nowhere.add(&frame(1)), Err(VideoError::Io { .. })));
        let missing = Ffmpeg::start(Command::new("no-such-ffmpeg"));
        let text = missing.expect_err("no such program").to_string();
        assert!(
            text.contains("needs `no-such-ffmpeg` on the PATH"),
            "{text}"
        );
    }

    #[cfg(unix)]
    #[test]
    fn ffmpeg_gets_every_byte_and_its_complaint_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let target = folder.path().join("video.mp4");
        let shell = |script: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", script, "sh"]).arg(&target);
            command
        };
        let mut process = Ffmpeg::start(shell("cat > \"$1\"")).expect("a process");
        process.write(&[1, 2, 3, 4, 5, 6]).expect("a frame");
        process.write(&[7; 6]).expect("a frame");
        process.finish().expect("a file");
        assert_eq!(
            std::fs::read(&target).expect("the file"),
            [1, 2, 3, 4, 5, 6, 7, 7, 7, 7, 7, 7]
        );
        let fails = shell("cat > /dev/null; echo 'no codec' >&2; exit 3");
        let process = Ffmpeg::start(fails).expect("a process");
        let text = process.finish().expect_err("a failure").to_string();
        assert!(text.contains("no codec"), "{text}");
    }
}
