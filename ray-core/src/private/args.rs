//! Arguments on their way out.

use ray_engine::failure::Failure;

use crate::{
    AnyRef, Data, ObjectRef,
    data::{self, EncodedValue},
    runtime,
    store::AlignedBytes,
};

/// Everything that a call is given.
#[derive(Default)]
pub struct Args {
    /// The archives of the small arguments, each at a multiple of 16.
    pub body: AlignedBytes,
    /// One a parameter.
    pub slots: Vec<ArgSlot>,
    /// Why they cannot be sent, if they cannot.
    pub error: Option<Failure>,
}

/// One argument.
pub enum ArgSlot {
    /// In the body.
    Inline {
        /// Where it begins.
        offset: u32,
        /// Its bytes.
        len: u32,
        /// The references inside.
        contained: Vec<AnyRef>,
        /// Hash of its type's layout: another job may mean another type by the same name.
        layout: u64,
    },
    /// The value of an object, resolved before the call runs.
    Object(AnyRef),
}

impl Args {
    /// Returns no arguments.
    pub fn new() -> Args {
        Args::default()
    }

    /// Adds what was given for a parameter of type `T`.
    pub fn push<T>(&mut self, value: impl IntoArg<T>) {
        if self.error.is_none() {
            value.add_to(self);
        }
    }

    fn push_value<T: Data>(&mut self, value: &T) {
        let room = CALL_BYTES_MAX.saturating_sub(self.body.len());
        let limit = crate::config::INLINE_RESULT_BYTES_MAX.min(room);
        match data::append(value, &mut self.body, limit, runtime::segment_source) {
            Ok(data::Appended::Inline {
                offset,
                len,
                contained,
            }) => {
                self.slots.push(ArgSlot::Inline {
                    offset,
                    len,
                    contained,
                    layout: data::layout::<T>(),
                });
            }
            Ok(data::Appended::Apart(encoded)) => match put(encoded) {
                Ok(reference) => self.slots.push(ArgSlot::Object(reference)),
                Err(failure) => self.error = Some(failure),
            },
            Err(failure) => self.error = Some(failure),
        }
    }
}

fn put(encoded: EncodedValue) -> Result<AnyRef, Failure> {
    runtime::segment_source()?.put_encoded(encoded)
}

/// What may be given for a parameter of type `T`: a value, a borrow of one, or a reference to one.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be given for a parameter of type `{T}`",
    label = "give a `{T}`, a `&{T}` or an `ObjectRef<{T}>`"
)]
pub trait IntoArg<T> {
    /// Adds it to the arguments.
    #[doc(hidden)]
    fn add_to(self, args: &mut Args);
}

impl<T: Data> IntoArg<T> for T {
    fn add_to(self, args: &mut Args) {
        args.push_value(&self);
    }
}

impl<T: Data> IntoArg<T> for &T {
    fn add_to(self, args: &mut Args) {
        args.push_value(self);
    }
}

impl<T: Data> IntoArg<T> for ObjectRef<T> {
    fn add_to(self, args: &mut Args) {
        args.slots.push(ArgSlot::Object(self.erase()));
    }
}

impl<T: Data> IntoArg<T> for &ObjectRef<T> {
    fn add_to(self, args: &mut Args) {
        args.slots.push(ArgSlot::Object(self.erase()));
    }
}

impl IntoArg<String> for &str {
    fn add_to(self, args: &mut Args) {
        args.push_value(&self.to_owned());
    }
}

/// The small arguments of one call together; more go by reference. Bytes.
const CALL_BYTES_MAX: usize = 10 << 20;
