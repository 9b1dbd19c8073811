//! What can be sent: the [`Data`] trait and the codec under it.

mod codec;
mod layout;
mod reference;

use rkyv::{
    Archive, Deserialize, Serialize,
    api::high::HighValidator,
    bytecheck::CheckBytes,
    rancor::{self, Strategy},
    ser::{Serializer, allocator::ArenaHandle},
};

pub(crate) use codec::{
    Appended, access, access_bytes, append, check_layout, decode, decode_bytes, encode,
};
pub use codec::{Encoded, EncodedValue, SegmentSource, Sink};
pub(crate) use layout::layout;
pub use layout::{LAYOUTS, TypeLayout};
pub use reference::{ArchivedObjectRef, RefSink, RefSource};

/// The serializer of everything that is sent.
pub type Ser<'a> = Serializer<Sink, ArenaHandle<'a>, ()>;

/// The deserializer of everything that arrives.
#[derive(Debug, Default)]
pub struct De;

/// A value that can be an argument, a result, or an object of the store.
///
/// `#[derive(Data)]` is the way to make a type of yours one; numbers, strings, vectors, maps, options,
/// tuples, [`crate::ObjectRef`] and actor handles are. `Rc` and `Arc` are not: a value is a tree.
///
/// ```
/// use ray_core::Data;
///
/// #[derive(Data, Clone, Debug, PartialEq)]
/// struct Step {
///     observation: Vec<f32>,
///     reward: f64,
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be sent to another process",
    label = "not `Data`",
    note = "write `#[derive(ray_core::Data)]` on the type; `Rc`, `Arc`, borrows and closures cannot be sent"
)]
pub trait Data:
    Sized
    + Send
    + 'static
    + Archive<
        Archived: for<'a> CheckBytes<HighValidator<'a, rancor::Error>>
                      + Deserialize<Self, Strategy<De, rancor::Error>>,
    >
    + for<'a> Serialize<Strategy<Ser<'a>, rancor::Error>>
{
}

#[diagnostic::do_not_recommend]
impl<T> Data for T where
    T: Sized
        + Send
        + 'static
        + Archive<
            Archived: for<'a> CheckBytes<HighValidator<'a, rancor::Error>>
                          + Deserialize<T, Strategy<De, rancor::Error>>,
        >
        + for<'a> Serialize<Strategy<Ser<'a>, rancor::Error>>
{
}
