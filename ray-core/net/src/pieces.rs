//! Frames whose bodies are handed on as they come, for endpoints whose bodies are large.
//!
//! Header and metadata are gathered, since they are read as a whole. The body is what QUIC holds: nothing is copied
//! here, and nothing of a body waits for the rest of it.

use bytes::{Buf as _, Bytes};
use rkyv::util::AlignedVec;

use crate::frame::{HEADER_BYTES, Header, padded};

/// One step of a frame that arrives in pieces.
#[derive(Debug)]
pub enum Piece {
    /// A frame begins, with its metadata.
    Begin(Header, AlignedVec<16>),
    /// The next bytes of its body.
    Body(Bytes),
    /// All of it is there.
    End,
}

/// Cuts the bytes of a stream into pieces of frames.
pub(crate) struct Cutter {
    limit: fn(u8) -> u32,
    /// What has come of header and metadata.
    head: AlignedVec<16>,
    rest: Rest,
}

/// What is still missing of the frame that arrives.
enum Rest {
    Header,
    Meta(Header),
    Body { body: usize, padding: usize },
}

impl Cutter {
    /// Returns a cutter at the beginning of a frame.
    pub(crate) fn new(limit: fn(u8) -> u32) -> Cutter {
        Cutter {
            limit,
            head: AlignedVec::new(),
            rest: Rest::Header,
        }
    }

    /// Returns whether the last frame has ended.
    pub(crate) fn is_between_frames(&self) -> bool {
        matches!(self.rest, Rest::Header) && self.head.is_empty()
    }

    /// Takes the next bytes of the stream; the pieces that they make go to `out`.
    ///
    /// # Errors
    /// What is wrong with a header, for the close reason.
    pub(crate) fn take(&mut self, mut bytes: Bytes, out: &mut Vec<Piece>) -> Result<(), String> {
        while !bytes.is_empty() {
            match &mut self.rest {
                Rest::Header => {
                    self.gather(&mut bytes, HEADER_BYTES);
                    if let Some(header) = self.head.first_chunk() {
                        self.rest = Rest::Meta(Header::parse(header, self.limit)?);
                    }
                }
                Rest::Meta(_) => {}
                Rest::Body { body, padding } => {
                    if *body > 0 {
                        let piece = bytes.split_to(bytes.len().min(*body));
                        *body -= piece.len();
                        out.push(Piece::Body(piece));
                    } else {
                        let skipped = bytes.len().min(*padding);
                        bytes.advance(skipped);
                        *padding -= skipped;
                    }
                }
            }
            if let Rest::Meta(header) = self.rest {
                let meta_len = padded(header.meta_len as usize);
                self.gather(&mut bytes, HEADER_BYTES + meta_len);
                if self.head.len() == HEADER_BYTES + meta_len {
                    let mut meta = AlignedVec::new();
                    meta.extend_from_slice(&self.head[HEADER_BYTES..][..header.meta_len as usize]);
                    self.head.clear();
                    out.push(Piece::Begin(header, meta));
                    self.rest = Rest::Body {
                        body: header.body_bytes(),
                        padding: usize::from(header.body_padding),
                    };
                }
            }
            if matches!(
                self.rest,
                Rest::Body {
                    body: 0,
                    padding: 0
                }
            ) {
                out.push(Piece::End);
                self.rest = Rest::Header;
            }
        }
        Ok(())
    }

    /// Moves bytes to the head until it has `len` of them.
    fn gather(&mut self, bytes: &mut Bytes, len: usize) {
        let taken = bytes.len().min(len - self.head.len());
        self.head.extend_from_slice(&bytes[..taken]);
        bytes.advance(taken);
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;
    use crate::frame::{HeaderFields, append};

    fn limit(kind: u8) -> u32 {
        if kind == 20 { 1 << 16 } else { 0 }
    }

    fn stream() -> Bytes {
        let fields = HeaderFields {
            kind: 20,
            ..HeaderFields::default()
        };
        let mut out = BytesMut::new();
        for (meta_len, body_len) in [(0, 0), (1, 0), (16, 1), (17, 31), (100, 4096)] {
            append(
                &mut out,
                1,
                2,
                &fields,
                &vec![3; meta_len],
                &[&vec![4; body_len]],
            );
        }
        out.freeze()
    }

    #[test]
    fn frames_come_in_pieces_wherever_the_stream_is_cut() {
        let bytes = stream();
        for step in [1, 7, 64, 65, 1000, bytes.len()] {
            let (mut cutter, mut pieces) = (Cutter::new(limit), Vec::new());
            for at in (0..bytes.len()).step_by(step) {
                let piece = bytes.slice(at..bytes.len().min(at + step));
                cutter.take(piece, &mut pieces).expect("good frames");
            }
            assert!(cutter.is_between_frames());
            let mut frames = Vec::new();
            for piece in pieces {
                match piece {
                    Piece::Begin(_, meta) => frames.push((meta.to_vec(), Vec::new(), false)),
                    Piece::Body(bytes) => {
                        let (_, body, _) = frames.last_mut().expect("it has begun");
                        body.extend_from_slice(&bytes);
                    }
                    Piece::End => frames.last_mut().expect("it has begun").2 = true,
                }
            }
            let expected = [(0, 0), (1, 0), (16, 1), (17, 31), (100, 4096)]
                .map(|(meta, body)| (vec![3; meta], vec![4; body], true));
            assert_eq!(frames, expected, "in steps of {step}");
        }
    }

    #[test]
    fn a_bad_header_ends_the_stream_behind_a_good_frame() {
        let good = stream();
        let mut bad = BytesMut::from(&good[..]);
        bad[0] = 0;
        let (mut cutter, mut pieces) = (Cutter::new(limit), Vec::new());
        cutter.take(good, &mut pieces).expect("good frames");
        let error = cutter.take(bad.freeze(), &mut pieces).expect_err("refused");
        assert!(error.contains("magic"), "{error}");
    }

    #[test]
    fn a_cut_frame_is_not_over() {
        let bytes = stream();
        let (mut cutter, mut pieces) = (Cutter::new(limit), Vec::new());
        let cut = bytes.slice(..bytes.len() - 1);
        cutter.take(cut, &mut pieces).expect("good so far");
        assert!(!cutter.is_between_frames());
    }
}
