//! The descriptors behind a job's arena, as every process of the job gets them.

use std::{io, os::fd::OwnedFd};

use ray_engine::ids::ProcessId;
use ray_shm::{Arena, ArenaOwner};

/// The sealed file of memory, and the ordinary one where values go on when memory is full.
pub(crate) struct ArenaFiles {
    pub(crate) memory: OwnedFd,
    /// There is none where the node could make none.
    pub(crate) file: Option<OwnedFd>,
}

impl ArenaFiles {
    /// Returns the descriptors of an arena.
    pub(crate) fn of(arena: &ArenaOwner) -> io::Result<ArenaFiles> {
        Ok(ArenaFiles {
            memory: arena.fd().try_clone_to_owned()?,
            file: arena
                .file()
                .map(|file| file.try_clone_to_owned())
                .transpose()?,
        })
    }

    pub(crate) fn try_clone(&self) -> io::Result<ArenaFiles> {
        Ok(ArenaFiles {
            memory: self.memory.try_clone()?,
            file: self.file.as_ref().map(OwnedFd::try_clone).transpose()?,
        })
    }

    /// Maps the arena for a process of the job.
    pub(crate) fn map(self, process: ProcessId) -> io::Result<Arena> {
        match self.file {
            Some(file) => Arena::map_with_file(self.memory, file, process.0),
            None => Arena::map(self.memory, process.0),
        }
    }

    /// Maps the arena for the node, which serves other jobs too and must outlive whatever this one does to its file.
    pub(crate) fn map_for_node(self, node: ProcessId) -> io::Result<Arena> {
        match self.file {
            Some(file) => Arena::map_beside_file(self.memory, file, node.0),
            None => Arena::map(self.memory, node.0),
        }
    }
}
