//! Values to archives and back: counted first and built in place when large and flat.

use std::fmt;

use ray_engine::failure::Failure;
use rkyv::{
    rancor::{self, Strategy},
    ser::{Positional, Serializer, Writer},
    util::with_arena,
};

use super::{Data, De, RefSink, layout::layout};
use crate::{
    object_ref::AnyRef,
    store::{AlignedBytes, Value},
};

/// An archive in the heap or in the node's arena.
#[derive(Debug)]
pub enum Encoded {
    /// Small enough to travel inside a frame.
    Inline(AlignedBytes),
    /// Sealed in the arena.
    Shared(ray_shm::Slot),
}

/// An archive and the references inside it.
#[derive(Debug)]
pub struct EncodedValue {
    /// Where the archive is.
    pub data: Encoded,
    /// Stands for its type.
    pub layout: u64,
    /// What it contains, held until somebody else does.
    pub contained: Vec<AnyRef>,
}

/// Gives room in the arena.
pub trait SegmentSource {
    /// Takes room for `len` bytes, waiting for it if need be.
    ///
    /// # Errors
    /// `ObjectStoreFull`, `OutOfDisk`.
    fn alloc(&self, len: usize) -> Result<ray_shm::WriteGuard, Failure>;
}

/// Where an archive is written; collects the references that pass.
pub struct Sink {
    target: Target,
    references: Vec<AnyRef>,
}

enum Target {
    Buffer(AlignedBytes),
    /// Only counts, and gives up on values of many pieces.
    Count {
        len: usize,
        writes: u32,
    },
    Segment {
        guard: ray_shm::WriteGuard,
        len: usize,
    },
}

impl Sink {
    fn new(target: Target) -> Sink {
        Sink {
            target,
            references: Vec::new(),
        }
    }
}

impl RefSink for Sink {
    fn add_reference(&mut self, reference: &AnyRef) {
        if !matches!(self.target, Target::Count { .. }) {
            self.references.push(reference.clone());
        }
    }
}

impl Positional for Sink {
    fn pos(&self) -> usize {
        match &self.target {
            Target::Buffer(buffer) => buffer.len(),
            Target::Count { len, .. } | Target::Segment { len, .. } => *len,
        }
    }
}

/// An archive would be over what its 32-bit offsets can span.
#[derive(Debug)]
struct TooLarge(usize);

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the archive has {} bytes or more", self.0)
    }
}

impl std::error::Error for TooLarge {}

/// The value has too many pieces to be built in place.
#[derive(Debug)]
struct Nested;

impl fmt::Display for Nested {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the value has many pieces")
    }
}

impl std::error::Error for Nested {}

impl<E: rancor::Source> Writer<E> for Sink {
    fn write(&mut self, bytes: &[u8]) -> Result<(), E> {
        let end = self.pos() + bytes.len();
        if end > ARCHIVE_BYTES_MAX {
            return Err(E::new(TooLarge(end)));
        }
        match &mut self.target {
            Target::Buffer(buffer) => buffer.extend_from_slice(bytes),
            Target::Count { len, writes } => {
                *writes += 1;
                if *writes > FLAT_WRITES_MAX {
                    return Err(E::new(Nested));
                }
                *len = end;
            }
            Target::Segment { guard, len } => {
                guard[*len..end].copy_from_slice(bytes);
                *len = end;
            }
        }
        Ok(())
    }
}

fn run<T: Data>(value: &T, sink: Sink) -> Result<Sink, rancor::Error> {
    with_arena(|arena| {
        let mut serializer = Serializer::new(sink, arena.acquire(), ());
        let strategy = Strategy::<_, rancor::Error>::wrap(&mut serializer);
        rkyv::api::serialize_using(value, strategy)?;
        Ok(serializer.into_writer())
    })
}

/// Returns the archive's length when the value is made of few pieces.
fn flat_len<T: Data>(value: &T) -> Option<usize> {
    let sink = run(value, Sink::new(Target::Count { len: 0, writes: 0 })).ok()?;
    Some(sink.pos())
}

fn failure(error: &rancor::Error) -> Failure {
    // The error type hides its source; only one of ours comes from writing.
    tracing::debug!(%error, "a value could not be archived");
    Failure::ObjectTooLarge {
        bytes: ARCHIVE_BYTES_MAX as u64 + 1,
        limit: ARCHIVE_BYTES_MAX as u64,
    }
}

fn is_surely_small<T>() -> bool {
    // A type without anything that could point elsewhere has no pieces to count.
    !std::mem::needs_drop::<T>() && size_of::<T>() <= 1024
}

/// Archives a value: in the heap up to `inline_limit` bytes, in the arena above.
pub(crate) fn encode<T: Data>(
    value: &T,
    inline_limit: usize,
    store: &dyn SegmentSource,
) -> Result<EncodedValue, Failure> {
    if !is_surely_small::<T>() || inline_limit == 0 {
        match flat_len(value) {
            Some(len) if len > inline_limit => {
                let guard = store.alloc(len)?;
                let sink = run(value, Sink::new(Target::Segment { guard, len: 0 }))
                    .map_err(|error| failure(&error))?;
                let Target::Segment { guard, .. } = sink.target else {
                    unreachable!("the target does not change")
                };
                return Ok(EncodedValue {
                    data: Encoded::Shared(guard.seal()),
                    layout: layout::<T>(),
                    contained: sink.references,
                });
            }
            _ => {}
        }
    }
    let sink = run(value, Sink::new(Target::Buffer(AlignedBytes::new())))
        .map_err(|error| failure(&error))?;
    let Target::Buffer(bytes) = sink.target else {
        unreachable!("the target does not change")
    };
    if bytes.len() <= inline_limit {
        return Ok(EncodedValue {
            data: Encoded::Inline(bytes),
            layout: layout::<T>(),
            contained: sink.references,
        });
    }
    let mut guard = store.alloc(bytes.len())?;
    guard.copy_from_slice(&bytes);
    Ok(EncodedValue {
        data: Encoded::Shared(guard.seal()),
        layout: layout::<T>(),
        contained: sink.references,
    })
}

/// An argument as it was appended to a body, or on its own because it is large.
pub(crate) enum Appended {
    Inline {
        offset: u32,
        len: u32,
        contained: Vec<AnyRef>,
    },
    Apart(EncodedValue),
}

/// Archives an argument behind those that `body` has, or apart when it is over `limit` bytes.
pub(crate) fn append<T: Data>(
    value: &T,
    body: &mut AlignedBytes,
    limit: usize,
    store: impl FnOnce() -> Result<std::sync::Arc<crate::runtime::Runtime>, Failure>,
) -> Result<Appended, Failure> {
    if !is_surely_small::<T>() && flat_len(value).is_none_or(|len| len > limit) {
        let encoded = encode(value, limit, &store()?)?;
        let Encoded::Inline(bytes) = &encoded.data else {
            return Ok(Appended::Apart(encoded));
        };
        let offset = pad(body);
        body.extend_from_slice(bytes);
        return Ok(Appended::Inline {
            offset,
            len: bytes.len() as u32,
            contained: encoded.contained,
        });
    }
    let offset = pad(body);
    let sink = Sink::new(Target::Buffer(std::mem::take(body)));
    let sink = run(value, sink).map_err(|error| failure(&error))?;
    let Target::Buffer(bytes) = sink.target else {
        unreachable!("the target does not change")
    };
    *body = bytes;
    Ok(Appended::Inline {
        offset,
        len: body.len() as u32 - offset,
        contained: sink.references,
    })
}

fn pad(body: &mut AlignedBytes) -> u32 {
    let offset = body.len().next_multiple_of(16);
    body.resize(offset, 0);
    offset as u32
}

/// Borrows an archive; its bytes are checked each time, which for numbers is a bounds check.
pub(crate) fn access_bytes<T: Data>(bytes: &[u8]) -> Result<&T::Archived, Failure> {
    rkyv::access::<T::Archived, rancor::Error>(bytes).map_err(|error| Failure::TypeMismatch {
        expected: std::any::type_name::<T>().to_owned(),
        found: format!("{} bytes that are none ({error})", bytes.len()),
    })
}

/// Decodes an archive.
pub(crate) fn decode_bytes<T: Data>(bytes: &[u8]) -> Result<T, Failure> {
    let archived = access_bytes::<T>(bytes)?;
    rkyv::api::deserialize_using::<T, _, rancor::Error>(archived, &mut De).map_err(|error| {
        Failure::TypeMismatch {
            expected: std::any::type_name::<T>().to_owned(),
            found: error.to_string(),
        }
    })
}

/// Checks that who made a value means the type `T` by it; 0 says nothing.
pub(crate) fn check_layout<T: Data>(made: u64) -> Result<(), Failure> {
    if made == 0 || made == layout::<T>() {
        return Ok(());
    }
    Err(Failure::TypeMismatch {
        expected: std::any::type_name::<T>().to_owned(),
        found: "a value of another type, or of the same type with other fields in the build that made it"
            .to_owned(),
    })
}

/// Borrows a value's archive.
pub(crate) fn access<T: Data>(value: &Value) -> Result<&T::Archived, Failure> {
    check_layout::<T>(value.layout())?;
    access_bytes::<T>(value.bytes())
}

/// Decodes a value.
pub(crate) fn decode<T: Data>(value: &Value) -> Result<T, Failure> {
    check_layout::<T>(value.layout())?;
    decode_bytes::<T>(value.bytes())
}

/// Offsets in an archive are signed 32-bit; bytes.
const ARCHIVE_BYTES_MAX: usize = (1 << 31) - 1024;
/// A value of more pieces is built in a buffer and copied, which is faster for those.
const FLAT_WRITES_MAX: u32 = 64;
