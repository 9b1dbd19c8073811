//! Frames: a header of 64 bytes, metadata, a body; each part begins at a multiple of 16.
//!
//! ```text
//!  0  magic u16 | version u8 | kind u8 | flags u16 | body padding u8 | 0
//!  8  length u32 (all after the header) | metadata length u32
//! 16  request u64                24  source process u64
//! 32  target process u64         40  target incarnation u64
//! 48  trace id u128
//! 64  metadata, padded to 16     ..  body, padded to 16
//! ```
//! All numbers are little endian.

use bytes::BytesMut;
use rkyv::util::AlignedVec;

/// First bytes of each frame.
pub const MAGIC: u16 = 0x5259;
/// The version of this layout.
pub const VERSION: u8 = 1;
/// Bytes of a header.
pub const HEADER_BYTES: usize = 64;
/// What outgoing frames are gathered in, at least; bytes.
const OUT_SLAB_BYTES: usize = 32 << 10;
/// The kind of the first frame each way.
pub const KIND_HELLO: u8 = 1;
/// What stands behind metadata and bodies.
pub(crate) const PADDING: [u8; 16] = [0; 16];
/// The most bytes that a hello may have.
pub const HELLO_BYTES_MAX: u32 = 1 << 20;

/// What the sender says about a frame; the rest of the header follows from the peer and the sizes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeaderFields {
    /// Which sort of frame it is.
    pub kind: u8,
    /// Pairs an answer with its question.
    pub request: u64,
    /// The incarnation of the target for which the frame is meant; a stale one is refused there.
    pub incarnation: u64,
    /// Ties together what belongs to one call.
    pub trace: u128,
}

/// A header as it arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Which sort of frame it is.
    pub kind: u8,
    /// Free bits, 0 in this version.
    pub flags: u16,
    /// Bytes after the header, padding counted.
    pub len: u32,
    /// Bytes of metadata, without padding.
    pub meta_len: u32,
    /// Bytes of padding after the body.
    pub body_padding: u8,
    /// Pairs an answer with its question.
    pub request: u64,
    /// Who sent it.
    pub source: u64,
    /// For whom it is.
    pub target: u64,
    /// The incarnation of the target for which the frame is meant.
    pub incarnation: u64,
    /// Ties together what belongs to one call.
    pub trace: u128,
}

/// A frame inside the receive buffer; metadata and body begin at multiples of 16.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// Its header.
    pub header: Header,
    /// Its metadata.
    pub meta: &'a [u8],
    /// Its body.
    pub body: &'a [u8],
}

pub(crate) fn padded(len: usize) -> usize {
    len.next_multiple_of(16)
}

/// Appends a frame to `out`.
pub(crate) fn append(
    out: &mut BytesMut,
    source: u64,
    target: u64,
    fields: &HeaderFields,
    meta: &[u8],
    body: &[&[u8]],
) {
    let body_len: usize = body.iter().map(|part| part.len()).sum();
    let body_padding = append_head(out, (source, target), fields, meta, body_len, body_len);
    for part in body {
        out.extend_from_slice(part);
    }
    out.extend_from_slice(&PADDING[..body_padding]);
}

/// Appends header and metadata of a frame to `out`, where `room` bytes of its body will follow; returns the
/// length of the body's padding.
pub(crate) fn append_head(
    out: &mut BytesMut,
    (source, target): (u64, u64),
    fields: &HeaderFields,
    meta: &[u8],
    body_len: usize,
    room: usize,
) -> usize {
    let len = padded(meta.len()) + padded(body_len);
    let body_padding = padded(body_len) - body_len;
    let mut header = [0; HEADER_BYTES];
    header[0..2].copy_from_slice(&MAGIC.to_le_bytes());
    header[2] = VERSION;
    header[3] = fields.kind;
    header[6] = body_padding as u8;
    header[8..12].copy_from_slice(&u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes());
    header[12..16].copy_from_slice(&u32::try_from(meta.len()).unwrap_or(u32::MAX).to_le_bytes());
    header[16..24].copy_from_slice(&fields.request.to_le_bytes());
    header[24..32].copy_from_slice(&source.to_le_bytes());
    header[32..40].copy_from_slice(&target.to_le_bytes());
    header[40..48].copy_from_slice(&fields.incarnation.to_le_bytes());
    header[48..64].copy_from_slice(&fields.trace.to_le_bytes());
    let here = HEADER_BYTES + padded(meta.len()) + padded(room);
    if out.capacity() - out.len() < here {
        out.reserve(here.max(OUT_SLAB_BYTES));
    }
    out.extend_from_slice(&header);
    out.extend_from_slice(meta);
    out.extend_from_slice(&PADDING[..padded(meta.len()) - meta.len()]);
    body_padding
}

impl Header {
    /// Reads a header and checks it against the limit of its kind; nothing is allocated before that.
    ///
    /// # Errors
    /// What is wrong with it, for the close reason.
    pub fn parse(bytes: &[u8; HEADER_BYTES], limit: fn(u8) -> u32) -> Result<Header, String> {
        let u16_at = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let u32_at =
            |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        let u64_at =
            |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        if u16_at(0) != MAGIC {
            return Err("a frame does not begin with the magic number".into());
        }
        if bytes[2] != VERSION {
            return Err(format!(
                "frame version {} meets version {VERSION}",
                bytes[2]
            ));
        }
        let header = Header {
            kind: bytes[3],
            flags: u16_at(4),
            body_padding: bytes[6],
            len: u32_at(8),
            meta_len: u32_at(12),
            request: u64_at(16),
            source: u64_at(24),
            target: u64_at(32),
            incarnation: u64_at(40),
            trace: u128::from_le_bytes(bytes[48..64].try_into().expect("sixteen bytes")),
        };
        let allowed = if header.kind == KIND_HELLO {
            HELLO_BYTES_MAX
        } else {
            limit(header.kind)
        };
        if allowed == 0 {
            return Err(format!("frame kind {} is unknown", header.kind));
        }
        if header.len > allowed {
            return Err(format!(
                "a frame of kind {} has {} bytes, over its limit of {allowed}",
                header.kind, header.len
            ));
        }
        let body = u64::from(header.len).checked_sub(padded(header.meta_len as usize) as u64);
        if !header.len.is_multiple_of(16)
            || header.body_padding >= 16
            || body.is_none_or(|body| body < u64::from(header.body_padding))
        {
            return Err("the lengths in a frame's header contradict each other".into());
        }
        Ok(header)
    }

    /// Returns the bytes of the body, without padding.
    pub fn body_bytes(&self) -> usize {
        let meta = padded(self.meta_len as usize);
        self.len as usize - meta - usize::from(self.body_padding)
    }

    /// Returns the bytes of the whole frame.
    pub fn frame_bytes(&self) -> usize {
        HEADER_BYTES + self.len as usize
    }
}

/// Whole frames of one peer, checked when they were received.
pub struct FrameBatch<'a> {
    rest: &'a [u8],
    limit: fn(u8) -> u32,
}

impl<'a> FrameBatch<'a> {
    pub(crate) fn new(bytes: &'a AlignedVec<16>, limit: fn(u8) -> u32) -> FrameBatch<'a> {
        FrameBatch { rest: bytes, limit }
    }
}

impl<'a> Iterator for FrameBatch<'a> {
    type Item = Frame<'a>;

    fn next(&mut self) -> Option<Frame<'a>> {
        let header = Header::parse(self.rest.first_chunk()?, self.limit).ok()?;
        let (frame, rest) = self.rest.split_at_checked(header.frame_bytes())?;
        self.rest = rest;
        let payload = &frame[HEADER_BYTES..];
        let (meta, body) = payload.split_at(padded(header.meta_len as usize));
        Some(Frame {
            header,
            meta: &meta[..header.meta_len as usize],
            body: &body[..body.len() - header.body_padding as usize],
        })
    }
}

/// Returns how many bytes at the start of `bytes` are whole frames, and what is wrong with the header
/// behind them, if something is.
pub(crate) fn whole_frames(bytes: &[u8], limit: fn(u8) -> u32) -> (usize, Option<String>) {
    let mut whole = 0;
    while let Some(header) = bytes[whole..].first_chunk() {
        let header = match Header::parse(header, limit) {
            Ok(header) => header,
            Err(reason) => return (whole, Some(reason)),
        };
        match whole.checked_add(header.frame_bytes()) {
            Some(end) if end <= bytes.len() => whole = end,
            _ => break,
        }
    }
    (whole, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(kind: u8) -> u32 {
        if kind == 20 { 1 << 16 } else { 0 }
    }

    fn frame(meta: &[u8], body: &[&[u8]]) -> Vec<u8> {
        let fields = HeaderFields {
            kind: 20,
            request: 5,
            incarnation: 6,
            trace: 7,
        };
        let mut out = BytesMut::new();
        append(&mut out, 1, 2, &fields, meta, body);
        out.into()
    }

    fn aligned(bytes: &[u8]) -> AlignedVec<16> {
        let mut out = AlignedVec::new();
        out.extend_from_slice(bytes);
        out
    }

    #[test]
    fn a_frame_comes_back_whole_and_aligned() {
        for (meta_len, body_len) in [(0, 0), (1, 0), (16, 1), (17, 31), (100, 4096)] {
            let meta = vec![3; meta_len];
            let body = vec![4; body_len];
            let bytes = aligned(
                &[
                    frame(&meta, &[&body[..body_len / 2], &body[body_len / 2..]]),
                    frame(&[], &[]),
                ]
                .concat(),
            );
            assert_eq!(whole_frames(&bytes, limit), (bytes.len(), None));
            let mut batch = FrameBatch::new(&bytes, limit);
            let first = batch.next().expect("a frame");
            assert_eq!((first.meta, first.body), (&meta[..], &body[..]));
            assert_eq!(first.meta.as_ptr() as usize % 16, 0);
            assert_eq!(first.body.as_ptr() as usize % 16, 0);
            assert_eq!(
                (
                    first.header.source,
                    first.header.target,
                    first.header.request
                ),
                (1, 2, 5)
            );
            assert_eq!((first.header.incarnation, first.header.trace), (6, 7));
            assert!(batch.next().is_some() && batch.next().is_none());
        }
    }

    #[test]
    fn an_incomplete_frame_waits() {
        let bytes = frame(&[1; 40], &[&[2; 50]]);
        for cut in 0..bytes.len() {
            assert_eq!(whole_frames(&bytes[..cut], limit), (0, None));
        }
    }

    #[test]
    fn bad_headers_are_refused_before_anything_is_allocated() {
        let good = frame(&[], &[]);
        let cases: [(usize, u8, &str); 5] = [
            (0, 0, "magic"),
            (2, 9, "version"),
            (3, 99, "unknown"),
            (10, 0xff, "limit"),
            (6, 5, "contradict"),
        ];
        for (at, byte, word) in cases {
            let mut bad = good.clone();
            bad[at] = byte;
            let behind_a_good_one = [good.clone(), bad].concat();
            let (whole, error) = whole_frames(&behind_a_good_one, limit);
            assert_eq!(whole, good.len(), "what came before is not lost");
            let error = error.expect("refused");
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn random_bytes_never_panic() {
        let mut state = 1_u64;
        for _ in 0..20_000 {
            let mut bytes = frame(&[1; 20], &[&[2; 20]]);
            for _ in 0..4 {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                let at = (state >> 33) as usize % bytes.len();
                bytes[at] = (state >> 20) as u8;
            }
            let bytes = aligned(&bytes);
            if whole_frames(&bytes, limit).1.is_none() {
                for frame in FrameBatch::new(&bytes, limit) {
                    assert!(frame.meta.len() + frame.body.len() <= bytes.len());
                }
            }
        }
    }
}
