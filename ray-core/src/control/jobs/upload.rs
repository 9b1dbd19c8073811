//! A program on its way from a submitter to the head's cache, kept only when it is what its hash says.

use std::{
    fs::{self, File, OpenOptions},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use super::request::EXECUTABLE_BYTES_MAX;

/// A program of which a part has arrived; what is left of it when it is dropped early is removed.
pub(crate) struct Arriving {
    file: File,
    partial: PathBuf,
    done: PathBuf,
    hash: blake3::Hash,
    hasher: Box<blake3::Hasher>,
    bytes_left: u64,
}

impl Arriving {
    /// Begins to receive a program.
    ///
    /// # Errors
    /// A text for the person who sends it.
    pub(crate) fn begin(cache: &Path, hash: &str, bytes: u64) -> Result<Arriving, String> {
        let hash = blake3::Hash::from_hex(hash)
            .map_err(|_| "the program's hash is not one of BLAKE3 in hexadecimal".to_owned())?;
        if bytes == 0 || bytes > EXECUTABLE_BYTES_MAX {
            return Err(format!(
                "a program of {bytes} bytes: it must have from 1 to {EXECUTABLE_BYTES_MAX}"
            ));
        }
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let done = path_of(cache, &hash);
        let partial = done.with_extension(format!("{}-{number}.part", std::process::id()));
        let file = fs::create_dir_all(cache).and_then(|()| {
            OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o700)
                .open(&partial)
        });
        Ok(Arriving {
            file: file.map_err(|error| refused(&partial, &error))?,
            partial,
            done,
            hash,
            hasher: Box::new(blake3::Hasher::new()),
            bytes_left: bytes,
        })
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// More than was announced, or what the file system refused.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.bytes_left = self
            .bytes_left
            .checked_sub(bytes.len() as u64)
            .ok_or("the program is longer than was announced")?;
        self.hasher.update(bytes);
        self.file
            .write_all(bytes)
            .map_err(|error| refused(&self.partial, &error))
    }

    /// Checks what has arrived and puts it into the cache.
    ///
    /// # Errors
    /// Another content than was announced, or what the file system refused.
    pub(crate) fn finish(self) -> Result<(), String> {
        if self.bytes_left > 0 {
            return Err("the program is shorter than was announced: was it changed?".into());
        }
        if self.hasher.finalize() != self.hash {
            return Err("the program is not what its hash says: was it changed?".into());
        }
        self.file
            .sync_all()
            .and_then(|()| fs::rename(&self.partial, &self.done))
            .map_err(|error| refused(&self.done, &error))
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        // It is gone already when it was finished.
        fs::remove_file(&self.partial).ok();
    }
}

/// Returns the program of a hash, if the cache has all of it.
pub(super) fn find(cache: &Path, hash: &str, bytes: u64) -> Option<PathBuf> {
    let hash = blake3::Hash::from_hex(hash).ok()?;
    let path = path_of(cache, &hash);
    let mut file = File::open(&path).ok()?;
    if file.metadata().ok()?.len() != bytes {
        return None;
    }
    let mut hasher = blake3::Hasher::new();
    std::io::copy(&mut file, &mut hasher).ok()?;
    (hasher.finalize() == hash).then_some(path)
}

fn path_of(cache: &Path, hash: &blake3::Hash) -> PathBuf {
    cache.join(hash.to_hex().as_str())
}

fn refused(path: &Path, error: &std::io::Error) -> String {
    format!("the head cannot write {}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_kept_when_it_is_what_its_hash_says() {
        let dir = tempfile::tempdir().expect("a folder");
        let cache = dir.path().join("executables");
        let hash = blake3::hash(b"a program").to_hex();
        let mut good = Arriving::begin(&cache, &hash, 9).expect("room");
        good.take(b"a pro").expect("it fits");
        assert_eq!(find(&cache, &hash, 9), None, "not all of it is there");
        good.take(b"gram").expect("it fits");
        good.finish().expect("it is whole");
        let kept = find(&cache, &hash, 9).expect("it is there");
        assert_eq!(fs::read(kept).expect("a file"), b"a program");
    }

    #[test]
    fn another_content_leaves_nothing_behind() {
        let dir = tempfile::tempdir().expect("a folder");
        let hash = blake3::hash(b"a program").to_hex();
        for bytes in [&b"a progra"[..], b"a prograM", b"a program!"] {
            let mut bad = Arriving::begin(dir.path(), &hash, 9).expect("room");
            let taken = bad.take(bytes);
            assert!(taken.is_err() || bad.finish().is_err(), "{bytes:?}");
        }
        assert!(Arriving::begin(dir.path(), "../x", 9).is_err());
        assert!(Arriving::begin(dir.path(), &hash, 0).is_err());
        assert_eq!(fs::read_dir(dir.path()).expect("a folder").count(), 0);
    }
}
