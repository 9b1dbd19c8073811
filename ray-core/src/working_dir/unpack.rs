//! An archive into a directory: whatever it holds, nothing is written outside.

use std::{
    collections::BTreeSet,
    fs::{self, File, OpenOptions},
    io::{self, BufReader},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Component, Path, PathBuf},
};

use super::{BYTES_MAX, ENTRIES_MAX, pack::stays_inside};

/// Unpacks an archive into a directory that is made for it; it is all there or not at all.
///
/// # Errors
/// A text that names the archive's entry, or what the file system refused.
pub(crate) fn unpack(archive: &Path, directory: &Path) -> Result<(), String> {
    let partial = directory.with_extension("part");
    let unpacked = begin(&partial)
        .and_then(|()| unpack_into(archive, &partial))
        .and_then(|()| fs::rename(&partial, directory).map_err(|error| refused(directory, &error)));
    if unpacked.is_err() {
        // It may never have been made.
        let _gone = fs::remove_dir_all(&partial);
    }
    unpacked
}

fn begin(partial: &Path) -> Result<(), String> {
    match fs::remove_dir_all(partial) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => directories().recursive(true).create(partial),
    }
    .map_err(|error| refused(partial, &error))
}

fn unpack_into(archive: &Path, directory: &Path) -> Result<(), String> {
    let unreadable = |error: io::Error| format!("the archive cannot be read: {error}");
    let file = File::open(archive).map_err(unreadable)?;
    let mut archive = tar::Archive::new(BufReader::new(file));
    let mut links = Vec::new();
    let mut made = BTreeSet::new();
    let mut bytes_left = BYTES_MAX;
    for (count, entry) in archive.entries().map_err(unreadable)?.enumerate() {
        let mut entry = entry.map_err(unreadable)?;
        let path = entry.path().map_err(unreadable)?.into_owned();
        let wrong = |why: &str| format!("`{}` in the archive {why}", path.display());
        if count >= ENTRIES_MAX {
            return Err(wrong("is one file too many"));
        }
        let is_inside = path
            .components()
            .all(|step| matches!(step, Component::Normal(_)));
        if !is_inside || path.as_os_str().is_empty() {
            return Err(wrong("leads outside"));
        }
        let at = directory.join(&path);
        let failed = |error: io::Error| refused(&at, &error);
        match entry.header().entry_type() {
            tar::EntryType::Directory => {
                make_all(directory, &path, &mut made).map_err(failed)?;
            }
            tar::EntryType::Regular => {
                let above = path.parent().unwrap_or(Path::new(""));
                make_all(directory, above, &mut made).map_err(failed)?;
                bytes_left = bytes_left
                    .checked_sub(entry.size())
                    .ok_or_else(|| wrong("is more than may be sent"))?;
                let can_be_run = entry.header().mode().map_err(failed)? & 0o111 != 0;
                let mut file = OpenOptions::new()
                    .write(true)
                    .create_new(true)
                    .mode(if can_be_run { 0o700 } else { 0o600 })
                    .open(&at)
                    .map_err(failed)?;
                io::copy(&mut entry, &mut file).map_err(failed)?;
            }
            tar::EntryType::Symlink => {
                let target = entry.link_name().map_err(failed)?;
                let target = target.map(|target| target.into_owned()).unwrap_or_default();
                if !stays_inside(&path, &target) {
                    return Err(wrong("is a link that leads outside"));
                }
                let above = path.parent().unwrap_or(Path::new(""));
                make_all(directory, above, &mut made).map_err(failed)?;
                links.push((at, target));
            }
            _ => return Err(wrong("is no file, directory or link")),
        }
    }
    // Last: nothing was written through one of them.
    for (at, target) in links {
        std::os::unix::fs::symlink(target, &at).map_err(|error| refused(&at, &error))?;
    }
    Ok(())
}

/// Makes a directory and those above it that are inside.
fn make_all(directory: &Path, path: &Path, made: &mut BTreeSet<PathBuf>) -> io::Result<()> {
    let mut at = PathBuf::new();
    for step in path.components() {
        at.push(step);
        if made.insert(at.clone()) {
            directories().create(directory.join(&at))?;
        }
    }
    Ok(())
}

fn directories() -> fs::DirBuilder {
    let mut builder = fs::DirBuilder::new();
    builder.mode(0o700);
    builder
}

fn refused(path: &Path, error: &io::Error) -> String {
    format!("{} cannot be written: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;
    use crate::working_dir::pack_aside;

    #[test]
    fn what_was_packed_is_there_again() {
        let dir = tempfile::tempdir().expect("a folder");
        let source = dir.path().join("source");
        let long = "x".repeat(120);
        fs::create_dir_all(source.join("empty")).expect("a folder");
        fs::create_dir_all(source.join("deep").join(&long)).expect("a folder");
        fs::write(source.join("deep").join(&long).join("data"), "data").expect("a file");
        fs::write(source.join("run"), "#!/bin/sh").expect("a file");
        fs::set_permissions(source.join("run"), fs::Permissions::from_mode(0o755)).expect("mine");
        symlink("../run", source.join("deep/link")).expect("a link");
        let packed = pack_aside(&source, dir.path()).expect("it can be sent");
        let target = dir.path().join("there/target");
        unpack(&packed.path, &target).expect("it is good");
        assert!(target.join("empty").is_dir());
        let data = fs::read(target.join("deep").join(&long).join("data"));
        assert_eq!(data.expect("a file"), b"data");
        assert_eq!(
            fs::read_link(target.join("deep/link")).expect("a link"),
            Path::new("../run")
        );
        let mode = |name: &str| {
            fs::metadata(target.join(name))
                .expect("a file")
                .permissions()
                .mode()
        };
        assert_eq!(mode("run") & 0o111, 0o100);
        assert_eq!(mode(&format!("deep/{long}/data")) & 0o111, 0);
        let packed_again = pack_aside(&target, dir.path()).expect("it can be sent");
        assert_eq!(packed_again.archive, packed.archive);
    }

    /// Writes an archive of one entry, whose name is not checked.
    fn archive_of(at: &Path, kind: tar::EntryType, name: &str, link: &str) {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_size(0);
        let gnu = header.as_gnu_mut().expect("it is one");
        gnu.name[..name.len()].copy_from_slice(name.as_bytes());
        gnu.linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_cksum();
        let mut builder = tar::Builder::new(File::create(at).expect("a file"));
        builder.append(&header, io::empty()).expect("a file");
        builder.finish().expect("a file");
    }

    #[test]
    fn nothing_leads_outside_and_nothing_is_left_of_what_would() {
        let dir = tempfile::tempdir().expect("a folder");
        let archive = dir.path().join("archive");
        let target = dir.path().join("target");
        use tar::EntryType as Type;
        for (kind, name, link) in [
            (Type::Regular, "../x", ""),
            (Type::Regular, "/tmp/x", ""),
            (Type::Directory, "a/../../x", ""),
            (Type::Symlink, "link", "/etc"),
            (Type::Symlink, "a/link", "../../x"),
            (Type::Link, "hard", "/etc/passwd"),
            (Type::Fifo, "pipe", ""),
            (Type::Char, "device", ""),
        ] {
            archive_of(&archive, kind, name, link);
            let text = unpack(&archive, &target).expect_err("it is bad");
            assert!(text.contains("in the archive"), "{text}");
            let left = fs::read_dir(dir.path()).expect("a folder").count();
            assert_eq!(left, 1, "{name}: only the archive");
        }
        fs::write(&archive, [7; 2048]).expect("a file");
        assert!(unpack(&archive, &target).is_err(), "it is no archive");
    }

    #[test]
    fn nothing_is_written_through_a_link() {
        let dir = tempfile::tempdir().expect("a folder");
        let archive = dir.path().join("archive");
        let mut builder = tar::Builder::new(File::create(&archive).expect("a file"));
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        builder.append_link(&mut header, "a", "b").expect("a file");
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(1);
        builder
            .append_data(&mut header, "a/x", &b"x"[..])
            .expect("a file");
        builder.finish().expect("a file");
        let target = dir.path().join("target");
        assert!(unpack(&archive, &target).is_err());
        assert!(!target.exists());
    }
}
