//! A page of atomic words that two processes share: what a futex needs.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::atomic::AtomicU32,
};

use rustix::fs::{MemfdFlags, SealFlags};

use crate::arena::Mapping;

/// Words of a page.
const WORDS: usize = 4096 / size_of::<AtomicU32>();

/// One page of atomic words, zero at first, behind a descriptor that can be given to another process.
pub struct SharedWords {
    fd: OwnedFd,
    map: Mapping,
}

impl SharedWords {
    /// Makes a page.
    ///
    /// # Errors
    /// What the system refused.
    pub fn create() -> io::Result<SharedWords> {
        let fd =
            rustix::fs::memfd_create("ray-words", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        rustix::fs::ftruncate(&fd, 4096)?;
        rustix::fs::fcntl_add_seals(&fd, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
        SharedWords::map(fd)
    }

    /// Maps a page that another process made.
    ///
    /// # Errors
    /// What the system refused, or a file that can shrink or is shorter than a page.
    pub fn map(fd: OwnedFd) -> io::Result<SharedWords> {
        let sealed = rustix::fs::fcntl_get_seals(&fd)?.contains(SealFlags::SHRINK);
        if !sealed || rustix::fs::fstat(&fd)?.st_size < 4096 {
            return Err(io::Error::other(
                "the file is not a page that is sealed against shrinking",
            ));
        }
        let map = Mapping::new(fd.as_fd(), 0, 4096, true)?;
        Ok(SharedWords { fd, map })
    }

    /// Returns the descriptor to give to the other process.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Returns a word.
    ///
    /// # Panics
    /// When `index` is not below 1024.
    pub fn word(&self, index: usize) -> &AtomicU32 {
        assert!(index < WORDS, "a page has {WORDS} words");
        // SAFETY: the page is mapped, aligned and zeroed by the kernel, lives as long as `self`, and
        // every process reaches it through atomics only.
        unsafe {
            self.map
                .at(index * size_of::<AtomicU32>())
                .cast::<AtomicU32>()
                .as_ref()
        }
    }
}
