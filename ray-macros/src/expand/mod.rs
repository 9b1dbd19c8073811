//! Generated code, one kind a file.

mod actor;
mod constructor;
pub(crate) mod data;
mod handle;
mod method;
mod parts;
mod task;
mod test;
#[cfg(test)]
mod tests;

use proc_macro2::TokenStream;
use quote::{ToTokens as _, quote};
use syn::Item;

use crate::check::Errors;

/// Expands `#[remote]` on whatever it stands.
pub(crate) fn remote(attr: TokenStream, item: Item) -> TokenStream {
    match item {
        Item::Fn(function) => task::expand(attr, &function),
        Item::Impl(block) => handle::expand(attr, block),
        other => {
            let help = match &other {
                Item::Struct(_) => "write `#[actor]` on a struct, and `#[remote]` on its `impl`",
                Item::Mod(_) => "write `#[remote]` on each function inside",
                Item::Trait(_) => "write `#[remote]` on an `impl` of the actor itself",
                _ => "put what is called into a function or the `impl` of an actor",
            };
            misplaced(
                &other,
                "`#[remote]` goes on a function or on the `impl` block of an actor",
                help,
            )
        }
    }
}

/// Expands `#[actor]` on whatever it stands.
pub(crate) fn actor(attr: TokenStream, item: &Item) -> TokenStream {
    match item {
        Item::Struct(item) => actor::expand(attr, item),
        other => {
            let help = match other {
                Item::Fn(_) | Item::Impl(_) => "write `#[remote]` here",
                _ => "put the state into a struct; it may hold the enum as a field",
            };
            misplaced(other, "`#[actor]` goes on a struct", help)
        }
    }
}

/// Expands `#[ray_core::test]` on whatever it stands.
pub(crate) fn test(attr: TokenStream, item: &Item) -> TokenStream {
    match item {
        Item::Fn(function) => test::expand(&attr, function),
        other => misplaced(
            other,
            "`#[ray_core::test]` goes on a function",
            "write it on `fn name() { .. }`",
        ),
    }
}

/// Points at an item's first words, and leaves the item as it is.
fn misplaced(item: &Item, message: &str, help: &str) -> TokenStream {
    let mut errors = Errors::default();
    errors.at(head(item), message, help);
    let errors = errors.into_tokens();
    quote!(#item #errors)
}

/// Returns what of an item a message points at: its name, or else its first line's worth.
fn head(item: &Item) -> TokenStream {
    match item {
        Item::Const(item) => item.ident.to_token_stream(),
        Item::Enum(item) => item.ident.to_token_stream(),
        Item::Fn(item) => item.sig.ident.to_token_stream(),
        Item::Impl(item) => item.self_ty.to_token_stream(),
        Item::Mod(item) => item.ident.to_token_stream(),
        Item::Static(item) => item.ident.to_token_stream(),
        Item::Struct(item) => item.ident.to_token_stream(),
        Item::Trait(item) => item.ident.to_token_stream(),
        Item::Type(item) => item.ident.to_token_stream(),
        Item::Union(item) => item.ident.to_token_stream(),
        Item::ForeignMod(item) => item.abi.to_token_stream(),
        other => other.to_token_stream(),
    }
}
