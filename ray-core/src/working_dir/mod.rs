//! Working directories that travel: packed where somebody names one, unpacked once for each job on each node.
//!
//! An archive is known by its content, as executables are. Whoever names a local directory packs it into the cache
//! of its own node and has the control role's node take a copy, from where every other node fetches it. What is said
//! in environments from then on is the archive's name, `ray://HASH-BYTES`.

mod pack;
mod settle;
mod unpack;

use std::path::PathBuf;

pub(crate) use self::{
    pack::pack_aside,
    settle::{of_job, of_work, offer},
    unpack::unpack,
};
use crate::wire::Content;

/// The most bytes of files in a directory that is sent.
pub(crate) const BYTES_MAX: u64 = 100 << 20;
/// The most files, directories and links in it.
const ENTRIES_MAX: usize = 50_000;
/// The most bytes of its archive: each entry has a header, is padded, and may have a long name.
pub(crate) const ARCHIVE_BYTES_MAX: u64 = BYTES_MAX + (ENTRIES_MAX as u64) * 4096;
/// Begins the name of an archive.
const SCHEME: &str = "ray://";
/// Begins the path of a directory that every node has.
const IN_PLACE: &str = "file://";
/// Tells a submitted program which archive it runs in.
pub(crate) const VARIABLE: &str = "RAY_WORKING_DIR";

/// Returns the name of an archive, as environments have it.
pub(crate) fn name_of(archive: &Content) -> String {
    let hash = blake3::Hash::from_bytes(archive.hash).to_hex();
    format!("{SCHEME}{hash}-{}", archive.len)
}

/// Returns the archive of a name; `None` for a folder that is there already.
///
/// # Errors
/// A text for whoever wrote a name that no archive has.
pub(crate) fn named(folder: &str) -> Result<Option<Content>, String> {
    let Some(rest) = folder.strip_prefix(SCHEME) else {
        return Ok(None);
    };
    let parsed = rest.split_once('-').and_then(|(hash, len)| {
        let hash = *blake3::Hash::from_hex(hash).ok()?.as_bytes();
        let len = len.parse().ok()?;
        Some(Content { hash, len })
    });
    match parsed {
        Some(archive) if archive.len > 0 && archive.len <= ARCHIVE_BYTES_MAX => Ok(Some(archive)),
        _ => Err(format!(
            "field `working_dir`: {folder:?} is not the name of a directory that was sent, {SCHEME}HASH-BYTES"
        )),
    }
}

/// Returns where a node keeps the directories that it unpacks.
pub(crate) fn unpacked_in(run_dir: &std::path::Path) -> PathBuf {
    run_dir.join("working_dirs")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_has_a_name_and_a_folder_has_none() {
        let archive = Content {
            hash: *blake3::hash(b"x").as_bytes(),
            len: 1024,
        };
        assert_eq!(named(&name_of(&archive)), Ok(Some(archive)));
        assert_eq!(named("/data"), Ok(None));
        let digits = "ab".repeat(32);
        for wrong in [
            "ray://".to_owned(),
            "ray://xy-1".into(),
            format!("ray://{digits}"),
            format!("ray://{digits}-0"),
            format!("ray://{digits}-{}", u64::MAX),
            format!("ray://{digits}-../1"),
        ] {
            let refused = named(&wrong).expect_err("it is no name");
            assert!(refused.contains("`working_dir`"), "{refused}");
        }
    }
}
