//! A directory into an archive: the same files give the same bytes, whoever packs them and when.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Write},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Component, Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use ignore::{DirEntry, WalkBuilder};

use super::{BYTES_MAX, ENTRIES_MAX};
use crate::wire::Content;

/// Something in a directory that is packed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// From the directory on.
    path: PathBuf,
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Directory,
    File {
        bytes: u64,
        can_be_run: bool,
        changed: Option<std::time::SystemTime>,
    },
    Link(PathBuf),
}

/// An archive in a file that goes with it.
pub(crate) struct Packed {
    pub(crate) archive: Content,
    pub(crate) path: PathBuf,
}

impl Drop for Packed {
    fn drop(&mut self) {
        // It has another name when somebody keeps it.
        let _gone = fs::remove_file(&self.path);
    }
}

/// Packs a directory into a file in `folder` that nobody else writes.
///
/// # Errors
/// A text for whoever named the directory.
pub(crate) fn pack_aside(directory: &Path, folder: &Path) -> Result<Packed, String> {
    pack(directory, &list(directory)?, folder)
}

/// Packs what was listed.
///
/// # Errors
/// A text for whoever named the directory.
pub(super) fn pack(directory: &Path, entries: &[Entry], folder: &Path) -> Result<Packed, String> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = folder.join(format!("ray-packed-{}-{number}.part", std::process::id()));
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path);
    let refused = |error: io::Error| format!("{} cannot be written: {error}", path.display());
    let mut packed = Packed {
        archive: Content::default(),
        path: path.clone(),
    };
    let writer = Hashed {
        inner: BufWriter::new(file.map_err(refused)?),
        hasher: blake3::Hasher::new(),
        bytes: 0,
    };
    let mut builder = tar::Builder::new(writer);
    for entry in entries {
        append(&mut builder, directory, entry)?;
    }
    let mut written = builder.into_inner().map_err(refused)?;
    written.inner.flush().map_err(refused)?;
    packed.archive = Content {
        hash: *written.hasher.finalize().as_bytes(),
        len: written.bytes,
    };
    Ok(packed)
}

fn append(
    builder: &mut tar::Builder<Hashed>,
    directory: &Path,
    entry: &Entry,
) -> Result<(), String> {
    let at = directory.join(&entry.path);
    let failed = |error: io::Error| wrong(&at, &error.to_string());
    let mut header = tar::Header::new_gnu();
    match &entry.kind {
        Kind::Directory => {
            header.set_entry_type(tar::EntryType::Directory);
            header.set_mode(0o700);
            header.set_size(0);
            let nothing = io::empty();
            builder.append_data(&mut header, &entry.path, nothing)
        }
        Kind::File {
            bytes, can_be_run, ..
        } => {
            let file = File::open(&at).map_err(failed)?;
            if file.metadata().map_err(failed)?.len() != *bytes {
                return Err(wrong(&at, "it changed while it was packed"));
            }
            header.set_entry_type(tar::EntryType::Regular);
            header.set_mode(if *can_be_run { 0o700 } else { 0o600 });
            header.set_size(*bytes);
            let exactly = Exactly { file, left: *bytes };
            builder.append_data(&mut header, &entry.path, exactly)
        }
        Kind::Link(target) => {
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_mode(0o700);
            header.set_size(0);
            builder.append_link(&mut header, &entry.path, target)
        }
    }
    .map_err(failed)
}

/// Lists what of a directory is packed, in an order that depends on the names alone.
///
/// # Errors
/// A text for whoever named the directory: what cannot be read, what cannot be sent, or what makes it too large.
pub(super) fn list(directory: &Path) -> Result<Vec<Entry>, String> {
    let facts = fs::metadata(directory).map_err(|error| wrong(directory, &error.to_string()))?;
    if !facts.is_dir() {
        return Err(wrong(directory, "it is a file and no directory"));
    }
    let walk = WalkBuilder::new(directory)
        .standard_filters(false)
        .git_ignore(true)
        .require_git(false)
        .add_custom_ignore_filename(IGNORES)
        .follow_links(false)
        .sort_by_file_name(Ord::cmp)
        .filter_entry(|entry| !is_left_out(entry))
        .build();
    let mut entries = Vec::new();
    let mut bytes = 0;
    for found in walk {
        let found = found.map_err(|error| wrong(directory, &error.to_string()))?;
        let path = found.path().strip_prefix(directory).unwrap_or(found.path());
        if path.as_os_str().is_empty() {
            continue;
        }
        let kind = kind_of(found.path(), path)?;
        if let Kind::File { bytes: more, .. } = kind {
            bytes += more;
        }
        let path = path.to_owned();
        entries.push(Entry { path, kind });
        if entries.len() > ENTRIES_MAX {
            let much = format!("it has over {ENTRIES_MAX} files");
            return Err(too_much(directory, &much, &entries));
        }
    }
    if bytes > BYTES_MAX {
        let much = format!("its files have {}", mebibytes(bytes));
        return Err(too_much(directory, &much, &entries));
    }
    Ok(entries)
}

/// Returns whether an entry is never sent: what version control and builds keep for themselves.
fn is_left_out(entry: &DirEntry) -> bool {
    let is_directory = entry.file_type().is_some_and(|kind| kind.is_dir());
    match entry.depth() {
        0 => false,
        depth if is_directory => {
            let is_target = depth == 1 && entry.file_name() == "target";
            is_target || entry.file_name() == ".git" || entry.path().join("CACHEDIR.TAG").is_file()
        }
        _ => entry.file_name() == ".git",
    }
}

fn kind_of(at: &Path, path: &Path) -> Result<Kind, String> {
    let facts = fs::symlink_metadata(at).map_err(|error| wrong(at, &error.to_string()))?;
    if facts.is_dir() {
        Ok(Kind::Directory)
    } else if facts.is_file() {
        Ok(Kind::File {
            bytes: facts.len(),
            can_be_run: facts.permissions().mode() & 0o111 != 0,
            changed: facts.modified().ok(),
        })
    } else if facts.is_symlink() {
        let target = fs::read_link(at).map_err(|error| wrong(at, &error.to_string()))?;
        if !stays_inside(path, &target) {
            let why = format!("it is a link that leads outside, to {}", target.display());
            return Err(wrong(at, &why));
        }
        Ok(Kind::Link(target))
    } else {
        let why = "it is a pipe, a socket or a device, which cannot be sent";
        Err(wrong(at, why))
    }
}

/// Returns whether a link at `path` leads to something inside, whatever other links there are that do.
pub(super) fn stays_inside(path: &Path, target: &Path) -> bool {
    let above = path.components().count().saturating_sub(1);
    let mut steps = target.components().peekable();
    let mut up = 0;
    while steps
        .next_if(|step| matches!(step, Component::ParentDir | Component::CurDir))
        .is_some_and(|step| {
            up += usize::from(step == Component::ParentDir);
            true
        })
    {}
    // `..` behind a name would be taken from where that name leads.
    up <= above && steps.all(|step| matches!(step, Component::Normal(_)))
}

fn too_much(directory: &Path, much: &str, entries: &[Entry]) -> String {
    let sizes = entries.iter().filter_map(|entry| match entry.kind {
        Kind::File { bytes, .. } => Some((bytes, &entry.path)),
        _ => None,
    });
    let mut sizes = sizes.collect::<Vec<_>>();
    sizes.sort_unstable_by(|one, other| other.cmp(one));
    let largest = sizes
        .iter()
        .take(LARGEST_NAMED)
        .map(|(bytes, path)| format!("{} ({})", path.display(), mebibytes(*bytes)));
    let largest = largest.collect::<Vec<_>>().join(", ");
    let limit = BYTES_MAX >> 20;
    let why = format!(
        "{much}, and at most {limit} MiB in {ENTRIES_MAX} files are sent; the largest: {largest}. Write what the \
         work does not need into its {IGNORES}, or name a directory that every node has as {}/PATH",
        super::IN_PLACE
    );
    wrong(directory, &why)
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

fn wrong(path: &Path, why: &str) -> String {
    format!(
        "field `working_dir`: {} cannot be sent: {why}",
        path.display()
    )
}

/// Counts and hashes what goes through.
struct Hashed {
    inner: BufWriter<File>,
    hasher: blake3::Hasher,
    bytes: u64,
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Reads as many bytes of a file as were announced; one that has fewer by now is an error.
struct Exactly {
    file: File,
    left: u64,
}

impl io::Read for Exactly {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer
            .len()
            .min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let count = self.file.read(&mut buffer[..most])?;
        if count == 0 && most > 0 {
            return Err(io::Error::other("it changed while it was packed"));
        }
        self.left -= count as u64;
        Ok(count)
    }
}

/// Says what is not sent, in the form of a `.gitignore`.
const IGNORES: &str = ".rayignore";
/// Files that are named when a directory is too large.
const LARGEST_NAMED: usize = 5;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn write(directory: &Path, path: &str, text: &str) {
        let path = directory.join(path);
        fs::create_dir_all(path.parent().expect("it is inside")).expect("a folder");
        fs::write(path, text).expect("a file");
    }

    fn packed(directory: &Path) -> Content {
        let aside = tempfile::tempdir().expect("a folder");
        let packed = pack_aside(directory, aside.path()).expect("it can be sent");
        packed.archive.clone()
    }

    #[test]
    fn the_same_files_give_the_same_archive() {
        let [one, other] = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
        for path in ["b/two", "a", "c"] {
            write(one.path(), path, path);
        }
        for path in ["c", "a", "b/two"] {
            write(other.path(), path, path);
        }
        fs::set_permissions(other.path().join("a"), fs::Permissions::from_mode(0o644))
            .expect("mine");
        assert_eq!(packed(one.path()), packed(other.path()));
        fs::set_permissions(other.path().join("a"), fs::Permissions::from_mode(0o755))
            .expect("mine");
        assert_ne!(packed(one.path()), packed(other.path()), "it can be run");
    }

    #[test]
    fn what_is_built_or_ignored_stays_behind() {
        let dir = tempfile::tempdir().expect("a folder");
        let at = dir.path();
        write(at, ".git/HEAD", "x");
        write(at, "target/debug/x", "x");
        write(
            at,
            "inner/target",
            "kept: a name alone says little further down",
        );
        write(at, "built/CACHEDIR.TAG", "x");
        write(at, ".gitignore", "*.log\n!kept.log\n");
        write(at, ".rayignore", "/data\n");
        write(at, "data/large", "x");
        write(at, "inner/data", "x");
        write(at, "a.log", "x");
        write(at, "kept.log", "x");
        write(at, ".hidden", "x");
        let entries = list(at).expect("it can be sent");
        let paths: Vec<_> = entries.iter().map(|entry| entry.path.to_str()).collect();
        let expected = [
            ".gitignore",
            ".hidden",
            ".rayignore",
            "inner",
            "inner/data",
            "inner/target",
            "kept.log",
        ];
        assert_eq!(paths, expected.map(Some));
    }

    #[test]
    fn what_cannot_be_sent_is_named() {
        let dir = tempfile::tempdir().expect("a folder");
        let at = dir.path();
        let refused = |path: &Path, parts: &[&str]| {
            let text = list(path).expect_err("it cannot be sent");
            for part in parts.iter().chain(&["field `working_dir`"]) {
                assert!(text.contains(part), "{part} is not in: {text}");
            }
        };
        refused(&at.join("none"), &["none", "No such file"]);
        write(at, "file", "x");
        refused(&at.join("file"), &["it is a file"]);
        for (name, bytes) in [("small", 1 << 10), ("huge", 90 << 20), ("large", 20 << 20)] {
            let file = File::create(at.join(name)).expect("a file");
            file.set_len(bytes).expect("a size");
        }
        refused(
            at,
            &[
                "110.0 MiB",
                "100 MiB",
                "huge (90.0 MiB), large (20.0 MiB), small",
            ],
        );
        fs::remove_file(at.join("huge")).expect("mine");
        assert!(list(at).is_ok());
        for target in ["/etc/passwd", "../x", "sub/../../x", "small/../.."] {
            symlink(target, at.join("link")).expect("a link");
            refused(at, &["link", "leads outside", target]);
            fs::remove_file(at.join("link")).expect("mine");
        }
        rustix::fs::mkfifoat(rustix::fs::CWD, at.join("pipe"), 0o600.into()).expect("a pipe");
        refused(at, &["pipe", "cannot be sent"]);
    }

    #[test]
    fn a_link_leads_no_higher_than_the_directory() {
        let inside = |path: &str, target: &str| stays_inside(Path::new(path), Path::new(target));
        assert!(inside("link", "a/b"));
        assert!(inside("a/link", "../b"));
        assert!(inside("a/link", ".././b"));
        assert!(inside("link", "."));
        assert!(!inside("link", ".."));
        assert!(!inside("a/link", "../../b"));
        assert!(!inside("link", "a/../b"), "a may be a link itself");
        assert!(!inside("link", "/b"));
    }
}
