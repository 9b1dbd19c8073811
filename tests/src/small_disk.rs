//! A disk that is soon full.

use std::{path::Path, process::Command};

use tempfile::TempDir;

/// A small file system in memory, gone when dropped.
pub struct SmallDisk(TempDir);

impl SmallDisk {
    /// Mounts one of `mib` MiB; `None` where that is not allowed.
    ///
    /// # Panics
    /// When no folder can be made for it.
    pub fn mount(mib: usize) -> Option<SmallDisk> {
        let dir = TempDir::new().expect("a folder");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={mib}m"), "tmpfs"])
            .arg(dir.path())
            .status();
        let is_mounted = mounted.is_ok_and(|status| status.success());
        is_mounted.then_some(SmallDisk(dir))
    }

    /// Returns where it is mounted.
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: descriptors may still be open.
        let unmounted = Command::new("umount").arg("-l").arg(self.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()));
    }
}
