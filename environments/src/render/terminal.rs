//! Frames on a terminal: texts as they are, pictures as colored half blocks.

use std::{
    fmt,
    fmt::Write as _,
    io::{self, IsTerminal as _, Write},
    time::{Duration, Instant},
};

use super::AreaResize;
use crate::Frame;

/// A terminal that frames are shown on, one in the place of the other.
///
/// A character shows two pixels, one above the other, in 24-bit colors; a picture is made as large as the terminal
/// allows and no larger than it is. Where the output is no terminal, frames follow each other.
///
/// ```
/// use environments::{Env, Options, RenderMode, envs::CartPole, render::Terminal};
///
/// let mut env = CartPole::new();
/// env.reset(Some(0), &Options::new())?;
/// let mut terminal = Terminal::stdout().fps(50);
/// terminal.show(&env.render(RenderMode::RgbArray)?)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Terminal {
    output: Box<dyn Write + Send>,
    /// Whether a frame takes the place of the last one.
    is_terminal: bool,
    /// Columns and lines; asked of the system for each frame unless given.
    size: Option<(usize, usize)>,
    fps: u32,
    /// When the next frame is due.
    due: Option<Instant>,
    has_shown: bool,
    text: String,
}

impl Terminal {
    /// Shows frames on this process's standard output, as fast as they come.
    pub fn stdout() -> Terminal {
        let mut terminal = Terminal::new(io::stdout());
        terminal.is_terminal = io::stdout().is_terminal();
        terminal
    }

    /// Writes frames one after the other, for 80 columns and 24 lines.
    pub fn new(output: impl Write + Send + 'static) -> Terminal {
        Terminal {
            output: Box::new(output),
            is_terminal: false,
            size: None,
            fps: 0,
            due: None,
            has_shown: false,
            text: String::new(),
        }
    }

    /// Waits before a frame until it is due, that many being shown a second; 0 for never.
    pub fn fps(mut self, fps: u32) -> Terminal {
        self.fps = fps;
        self
    }

    /// Sets how many columns and lines there are, in place of what the system says.
    pub fn size(mut self, columns: usize, lines: usize) -> Terminal {
        self.size = Some((columns.max(1), lines.max(2)));
        self
    }

    /// Shows a frame; of several the last.
    ///
    /// # Errors
    /// An output that cannot be written.
    pub fn show(&mut self, frame: &Frame) -> io::Result<()> {
        self.text.clear();
        if self.is_terminal {
            self.text += if self.has_shown { HOME } else { CLEAR };
        }
        match frame {
            Frame::Ansi(text) => self.put_text(text),
            Frame::Rgb {
                width,
                height,
                pixels,
            } => self.put_picture([*height as usize, *width as usize], pixels),
            Frame::List(frames) => {
                return frames.last().map_or(Ok(()), |frame| self.show(frame));
            }
            Frame::Shown => return Ok(()),
        }
        if self.is_terminal {
            self.text += CLEAR_BELOW;
        }
        self.wait();
        self.has_shown = true;
        self.output.write_all(self.text.as_bytes())?;
        self.output.flush()
    }

    fn put_text(&mut self, text: &str) {
        for line in text.lines() {
            self.text += line;
            self.end_line();
        }
    }

    fn put_picture(&mut self, from: [usize; 2], pixels: &[u8]) {
        if pixels.is_empty() || pixels.len() != from[0] * from[1] * 3 {
            return;
        }
        let (columns, lines) = self.size.unwrap_or_else(|| self.measured());
        // The cursor stays on the last line.
        let room = [(lines - 1).max(1) * 2, columns];
        let scale = (room[0] as f64 / from[0] as f64).min(room[1] as f64 / from[1] as f64);
        let to = from.map(|size| ((size as f64 * scale.min(1.0)) as usize).max(1));
        let resized = AreaResize::new(from, to, 3).bytes(pixels);
        let (resized, _) = resized.as_chunks::<3>();
        for pair in resized.chunks(to[1] * 2) {
            let (above, below) = pair.split_at(to[1]);
            for (at, [red, green, blue]) in above.iter().enumerate() {
                let _ = write!(self.text, "\x1b[38;2;{red};{green};{blue}m");
                if let Some([red, green, blue]) = below.get(at) {
                    let _ = write!(self.text, "\x1b[48;2;{red};{green};{blue}m");
                }
                self.text.push('▀');
            }
            self.text += PLAIN;
            self.end_line();
        }
    }

    fn end_line(&mut self) {
        if self.is_terminal {
            self.text += CLEAR_RIGHT;
        }
        self.text.push('\n');
    }

    fn measured(&self) -> (usize, usize) {
        let measured = match self.is_terminal {
            true => terminal_size::terminal_size(),
            false => None,
        };
        measured.map_or((80, 24), |(width, height)| {
            (usize::from(width.0).max(1), usize::from(height.0).max(2))
        })
    }

    /// Waits until the frame is due; one that is late moves those after it.
    fn wait(&mut self) {
        if self.fps == 0 {
            return;
        }
        let now = Instant::now();
        let due = self.due.unwrap_or(now).max(now);
        std::thread::sleep(due - now);
        self.due = Some(due + Duration::from_secs(1) / self.fps);
    }
}

impl fmt::Debug for Terminal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Terminal")
            .field("is_terminal", &self.is_terminal)
            .field("size", &self.size)
            .field("fps", &self.fps)
            .finish_non_exhaustive()
    }
}

const CLEAR: &str = "\x1b[2J\x1b[H";
const HOME: &str = "\x1b[H";
const CLEAR_RIGHT: &str = "\x1b[K";
const CLEAR_BELOW: &str = "\x1b[J";
const PLAIN: &str = "\x1b[0m";

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// An output that tests read.
    #[derive(Clone, Default)]
    pub(crate) struct Page(Arc<Mutex<Vec<u8>>>);

    impl Page {
        pub(crate) fn text(&self) -> String {
            let bytes = self.0.lock().expect("nobody panicked").clone();
            String::from_utf8(bytes).expect("it is text")
        }
    }

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("nobody panicked").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn picture(width: u32, height: u32, pixels: &[u8]) -> Frame {
        Frame::Rgb {
            width,
            height,
            pixels: pixels.to_vec(),
        }
    }

    #[test]
    fn a_character_shows_two_pixels_and_a_text_stays_one() {
        let page = Page::default();
        let mut terminal = Terminal::new(page.clone());
        let pixels = [1, 2, 3, 4, 5, 6, 7, 8, 9];
        terminal.show(&picture(1, 3, &pixels)).expect("it writes");
        let drawn = "\x1b[38;2;1;2;3m\x1b[48;2;4;5;6m▀\x1b[0m\n\x1b[38;2;7;8;9m▀\x1b[0m\n";
        assert_eq!(page.text(), drawn);
        terminal
            .show(&Frame::Ansi("a\nb".into()))
            .expect("it writes");
        assert_eq!(page.text(), format!("{drawn}a\nb\n"));
    }

    #[test]
    fn a_picture_is_no_larger_than_the_terminal() {
        let page = Page::default();
        let mut terminal = Terminal::new(page.clone()).size(10, 5);
        terminal
            .show(&picture(100, 40, &[9; 12_000]))
            .expect("it writes");
        let text = page.text();
        assert_eq!(text.lines().count(), 2, "4 pixels down");
        assert_eq!(text.matches('▀').count(), 20);
    }

    #[test]
    fn on_a_terminal_a_frame_takes_the_place_of_the_last() {
        let page = Page::default();
        let mut terminal = Terminal::new(page.clone());
        terminal.is_terminal = true;
        for _ in 0..2 {
            terminal.show(&Frame::Ansi("a".into())).expect("it writes");
        }
        assert_eq!(
            page.text(),
            "\x1b[2J\x1b[Ha\x1b[K\n\x1b[J\x1b[Ha\x1b[K\n\x1b[J"
        );
    }
}
