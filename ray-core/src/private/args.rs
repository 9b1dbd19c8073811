//! Arguments on their way out.

use ray_engine::failure::Failure;

use crate::{
    AnyRef, Data, ObjectRef,
    data::{self, EncodedValue},
    runtime,
    store::AlignedBytes,
};

/// Everything that a call is given, while it is put together.
#[derive(Default)]
pub struct Args {
    body: AlignedBytes,
    slots: Vec<ArgSlot>,
    /// Why they cannot be sent, if they cannot.
    error: Option<Box<Failure>>,
}

/// Everything that a call was given, kept until its end.
pub(crate) struct Arguments {
    /// The archives of the small arguments, each at a multiple of 16.
    pub(crate) body: AlignedBytes,
    /// One a parameter.
    pub(crate) slots: Box<[ArgSlot]>,
}

/// One argument.
pub(crate) enum ArgSlot {
    /// In the body.
    Inline {
        /// Where it begins.
        offset: u32,
        /// Its bytes.
        len: u32,
        /// The references inside.
        contained: Box<[AnyRef]>,
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
            if self.slots.capacity() == 0 {
                // Most calls have one, and what is queued keeps all the room that was made.
                self.slots.reserve_exact(1);
            }
            value.add_to(self);
        }
    }

    /// Returns what is sent.
    ///
    /// # Errors
    /// Why it cannot be.
    pub(crate) fn finish(self) -> Result<Arguments, Failure> {
        match self.error {
            Some(failure) => Err(*failure),
            None => Ok(Arguments {
                body: self.body,
                slots: self.slots.into_boxed_slice(),
            }),
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
                    contained: contained.into(),
                    layout: data::layout::<T>(),
                });
            }
            Ok(data::Appended::Apart(encoded)) => match put(encoded) {
                Ok(reference) => self.slots.push(ArgSlot::Object(reference)),
                Err(failure) => self.error = Some(Box::new(failure)),
            },
            Err(failure) => self.error = Some(Box::new(failure)),
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
