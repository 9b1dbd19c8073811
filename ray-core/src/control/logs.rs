//! The log files of a run, as the front desk shows them: names and pieces, nothing outside the folder.

use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    path::Path,
};

use rustix::fs::{CWD, Mode, OFlags, openat};

use super::protocol::{LOG_BYTES_MAX, LogFile};

/// Log files listed at most.
const FILES_MAX: usize = 10_000;

/// Returns the files of the folder, by name.
pub(crate) fn list(folder: &Path) -> Result<Vec<LogFile>, String> {
    let entries = folder
        .read_dir()
        .map_err(|error| format!("the log folder: {error}"))?;
    let mut files: Vec<LogFile> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let name = entry.file_name().into_string().ok()?;
            let facts = entry.metadata().ok()?;
            (is_name(&name) && facts.is_file()).then_some(LogFile {
                name,
                bytes: facts.len(),
            })
        })
        .take(FILES_MAX)
        .collect();
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(files)
}

/// Returns a piece of a file that ends with a whole character, and where the next begins.
pub(crate) fn read(folder: &Path, name: &str, offset: u64) -> Result<(String, u64), String> {
    if !is_name(name) {
        return Err(format!("`{name}` is not the name of a log file"));
    }
    let failed = |error: std::io::Error| {
        let see = match error.kind() {
            std::io::ErrorKind::NotFound => "; see `ray logs` for the files that there are",
            _ => "",
        };
        format!("log file `{name}`: {error}{see}")
    };
    // A link would lead out of the folder; a FIFO would block.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = openat(CWD, folder.join(name), flags, Mode::empty());
    let mut file = File::from(file.map_err(|error| failed(error.into()))?);
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(format!("`{name}` is not a file"));
    }
    file.seek(SeekFrom::Start(offset)).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(LOG_BYTES_MAX as u64)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    // A character that is cut in two waits for its rest.
    if let Err(error) = std::str::from_utf8(&bytes)
        && error.error_len().is_none()
        && error.valid_up_to() > 0
    {
        bytes.truncate(error.valid_up_to());
    }
    let next = offset + bytes.len() as u64;
    Ok((String::from_utf8_lossy(&bytes).into_owned(), next))
}

fn is_name(name: &str) -> bool {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    !name.is_empty() && !name.starts_with('.') && name.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_read_in_pieces_without_cutting_a_character() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut text = "x".repeat(LOG_BYTES_MAX - 1);
        text.push_str("é end");
        std::fs::write(dir.path().join("driver-1.log"), &text).expect("written");
        let files = list(dir.path()).expect("a folder");
        assert_eq!(
            (files[0].name.as_str(), files[0].bytes),
            ("driver-1.log", text.len() as u64)
        );
        let (first, next) = read(dir.path(), "driver-1.log", 0).expect("text");
        let (second, end) = read(dir.path(), "driver-1.log", next).expect("text");
        assert_eq!(first + &second, text);
        assert_eq!(end, text.len() as u64);
        assert_eq!(
            read(dir.path(), "driver-1.log", end),
            Ok((String::new(), end))
        );
    }

    #[test]
    fn nothing_outside_the_folder_is_shown() {
        let dir = tempfile::tempdir().expect("a folder");
        let logs = dir.path().join("logs");
        std::fs::create_dir(&logs).expect("made");
        std::fs::write(dir.path().join("secret"), "key").expect("written");
        std::os::unix::fs::symlink("../secret", logs.join("link.log")).expect("linked");
        for name in [
            "../secret",
            "/etc/passwd",
            "link.log",
            "",
            "..",
            ".hidden",
            "a/b",
        ] {
            assert!(read(&logs, name, 0).is_err(), "{name}");
        }
        assert_eq!(list(&logs), Ok(Vec::new()));
    }
}
