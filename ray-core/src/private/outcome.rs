//! `Result` recognised by type, typed references of what was submitted.

use std::{convert::Infallible, fmt::Display, marker::PhantomData};

use ray_engine::failure::TypedCause;
use smallvec::SmallVec;

use super::{CallError, Results};
use crate::{AnyRef, Data, ObjectRef, ObjectRefStream, data};

/// Asks whether a type is a `Result`.
pub struct Probe<T>(PhantomData<fn() -> T>);

impl<T, E> Probe<Result<T, E>> {
    /// It is.
    pub const FALLIBLE: bool = true;
}

/// Every other type.
pub trait ProbeDefault {
    /// It is not.
    const FALLIBLE: bool = false;
}

impl<T> ProbeDefault for Probe<T> {}

/// What a function's return type means.
pub struct Outcome<const FALLIBLE: bool>;

/// Splits a return type into value and error.
pub trait OutcomeOf<R> {
    /// What `get` returns.
    type Value;
    /// What can go wrong.
    type Error;

    /// Splits a returned value.
    ///
    /// # Errors
    /// The `Err` of a `Result`.
    fn split(returned: R) -> Result<Self::Value, Self::Error>;
}

impl<R> OutcomeOf<R> for Outcome<false> {
    type Value = R;
    type Error = Infallible;

    fn split(returned: R) -> Result<R, Infallible> {
        Ok(returned)
    }
}

impl<T, E> OutcomeOf<Result<T, E>> for Outcome<true> {
    type Value = T;
    type Error = E;

    fn split(returned: Result<T, E>) -> Result<T, E> {
        returned
    }
}

/// A user's error on its way into a [`CallError`].
pub struct Cause<E>(pub E);

/// Errors that are `Data` keep their value.
pub trait CauseData {
    /// Wraps it.
    fn to_call_error(self) -> CallError;
}

/// Other errors keep their text.
pub trait CauseDisplay<E> {
    /// Wraps it. The bound stands here and not on the `impl`, where a missing one would hide the method.
    fn to_call_error(self) -> CallError
    where
        E: ErrorText;
}

/// What every error of user code can do.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the error of a remote function",
    label = "not `Display`",
    note = "implement `std::fmt::Display` for it; with `#[derive(ray_core::Data)]` callers get its value too"
)]
pub trait ErrorText {
    /// Returns what it says.
    fn text(&self) -> String;
}

#[diagnostic::do_not_recommend]
impl<E: Display> ErrorText for E {
    fn text(&self) -> String {
        self.to_string()
    }
}

impl<E: Display + Data> CauseData for Cause<E> {
    fn to_call_error(self) -> CallError {
        let mut bytes = crate::store::AlignedBytes::new();
        let message = self.0.to_string();
        let appended = data::append(
            &self.0,
            &mut bytes,
            usize::MAX,
            crate::runtime::segment_source,
        );
        let cause = appended.is_ok().then(|| TypedCause {
            layout: data::layout::<E>(),
            bytes: bytes.to_vec(),
        });
        CallError::User { message, cause }
    }
}

impl<E> CauseDisplay<E> for &Cause<E> {
    fn to_call_error(self) -> CallError
    where
        E: ErrorText,
    {
        CallError::User {
            message: self.0.text(),
            cause: None,
        }
    }
}

/// References to the results of what was submitted.
pub struct Submitted(pub(crate) SmallVec<[AnyRef; 2]>);

impl Submitted {
    /// Returns the only one.
    pub fn one<T>(self) -> ObjectRef<T> {
        let reference = self
            .0
            .into_iter()
            .next()
            .expect("a call with one result has one reference");
        ObjectRef::from_any(reference)
    }

    /// Returns the stream of which they are the end and the token.
    pub fn stream<T>(self) -> ObjectRefStream<T> {
        let [completed, token] = self
            .0
            .into_inner()
            .unwrap_or_else(|_| unreachable!("a call that streams has an end and a token"));
        ObjectRefStream::new(completed, token)
    }

    /// Returns them as a tuple.
    pub fn tuple<T: TupleRefs>(self) -> T::Refs {
        T::refs(self.0.into_vec())
    }
}

/// A tuple of results and the tuple of references to them.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a tuple of 2 to 8 results",
    label = "`num_returns` needs a tuple",
    note = "return a tuple of `num_returns` values, or a `Result` of one; every value must be `Data`"
)]
pub trait TupleRefs {
    /// How many there are.
    const COUNT: usize;

    /// The references.
    type Refs;

    /// Gives references their types.
    fn refs(references: Vec<AnyRef>) -> Self::Refs;

    /// Encodes each part.
    ///
    /// # Errors
    /// When the store has no room.
    fn push_each(&self, results: &mut Results<'_>) -> Result<(), CallError>;
}

impl TupleRefs for () {
    const COUNT: usize = 0;

    type Refs = ();

    fn refs(_references: Vec<AnyRef>) {}

    fn push_each(&self, _results: &mut Results<'_>) -> Result<(), CallError> {
        Ok(())
    }
}

/// Fails to compile unless a tuple has as many parts as `num_returns` says.
pub const fn assert_returns<T: TupleRefs>(count: usize) {
    assert!(
        T::COUNT == count,
        "`num_returns` differs from the length of the tuple that the function returns"
    );
}

macro_rules! tuple_refs {
    ($($name:ident $at:tt),+) => {
        impl<$($name: Data),+> TupleRefs for ($($name,)+) {
            const COUNT: usize = [$($at),+].len();

            type Refs = ($(ObjectRef<$name>,)+);

            fn refs(references: Vec<AnyRef>) -> Self::Refs {
                let mut references = references.into_iter();
                let mut next = || references.next().expect("one reference a result");
                ($(ObjectRef::<$name>::from_any(next()),)+)
            }

            fn push_each(&self, results: &mut Results<'_>) -> Result<(), CallError> {
                $(results.push(&self.$at)?;)+
                Ok(())
            }
        }
    };
}

tuple_refs!(A 0, B 1);
tuple_refs!(A 0, B 1, C 2);
tuple_refs!(A 0, B 1, C 2, D 3);
tuple_refs!(A 0, B 1, C 2, D 3, E 4);
tuple_refs!(A 0, B 1, C 2, D 3, E 4, F 5);
tuple_refs!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
tuple_refs!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);
