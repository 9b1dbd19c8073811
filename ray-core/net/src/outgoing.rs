//! What was pushed to a peer and QUIC has not taken: frames, and long bodies that stay where they are.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// The bytes of a peer that wait to be sent, in order.
#[derive(Default)]
pub(crate) struct Outgoing {
    /// Pieces that stand before what is gathered.
    pieces: VecDeque<Bytes>,
    gathered: BytesMut,
}

impl Outgoing {
    /// Returns the buffer that frames are appended to.
    pub(crate) fn gathered(&mut self) -> &mut BytesMut {
        &mut self.gathered
    }

    /// Appends bytes without copying them.
    pub(crate) fn append_whole(&mut self, bytes: Bytes) {
        if !self.gathered.is_empty() {
            self.pieces.push_back(self.gathered.split().freeze());
        }
        self.pieces.push_back(bytes);
    }

    /// Takes what stands first; empty when there is nothing.
    pub(crate) fn take(&mut self) -> Bytes {
        match self.pieces.pop_front() {
            Some(bytes) => bytes,
            None => self.gathered.split().freeze(),
        }
    }

    /// Returns whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.pieces.is_empty() && self.gathered.is_empty()
    }

    /// Drops everything.
    pub(crate) fn clear(&mut self) {
        self.pieces.clear();
        self.gathered.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_pieces_keep_their_place_among_what_is_gathered() {
        let mut out = Outgoing::default();
        out.gathered().extend_from_slice(b"a");
        out.append_whole(Bytes::from_static(b"bc"));
        out.append_whole(Bytes::from_static(b"d"));
        out.gathered().extend_from_slice(b"e");
        let all: Vec<Bytes> =
            std::iter::from_fn(|| Some(out.take()).filter(|b| !b.is_empty())).collect();
        assert_eq!(all, ["a", "bc", "d", "e"]);
        assert!(out.is_empty());
    }
}
