//! Derives the `Observation` and `Action` of `environments`.

mod expand;
mod model;

use expand::Role;
use proc_macro::TokenStream;

/// Implements `Observation` for a struct, or for an enum without fields.
///
/// A struct with named fields is in a `Dict` of its fields' spaces, with the fields in the order of their names
/// in rows too; a tuple struct is in a `Tuple`, one with a single field in that field's space. An enum is in a
/// `Discrete`. `#[space(low = …, high = …)]` on a field narrows its `Box`, `#[space(n = …)]` makes it a
/// `Discrete`.
///
/// For `struct Ball { speed: f32 }` it writes
///
/// ```text
/// impl Observation for Ball {
///     fn space() -> Option<Space> { Dict::new([("speed", <f32 as Observation>::space()?)]) … }
///     fn row_len(&self) -> usize { self.speed.row_len() }
///     fn write(&self, row: &mut [f32]) { self.speed.write(…) }
///     fn to_value(&self) -> Value { Value::Map({"speed": self.speed.to_value()}) }
///     fn from_value(value: &Value) -> Option<Ball> { Some(Ball { speed: f32::from_value(…)? }) }
/// }
/// ```
#[proc_macro_derive(Observation, attributes(space))]
pub fn observation(input: TokenStream) -> TokenStream {
    derive(input, Role::Observation)
}

/// Implements `Action` for a struct, or for an enum without fields.
///
/// The spaces are those that `#[derive(Observation)]` documents; an enum is a discrete choice.
#[proc_macro_derive(Action, attributes(space))]
pub fn action(input: TokenStream) -> TokenStream {
    derive(input, Role::Action)
}

fn derive(input: TokenStream, role: Role) -> TokenStream {
    let input = syn::parse_macro_input!(input as syn::DeriveInput);
    model::read(&input)
        .map(|model| expand::expand(&model, role))
        .unwrap_or_else(|error| error.to_compile_error())
        .into()
}
