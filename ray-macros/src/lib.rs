//! The macros of ray-core: `#[remote]`, `#[actor]`, `#[derive(Data)]`, `#[test]`.
//!
//! Each reads its item into a model, checks the model and collects all errors, and expands. After an
//! error the item and well-typed stubs are still emitted, so that nothing else turns red. Generated
//! code is thin: it names things in `::ray_core::__private` and calls them.

mod attr;
mod check;
mod expand;
mod model;

use proc_macro::TokenStream;
use syn::parse_macro_input;

/// Makes a function a task, or the public methods of an `impl` callable from anywhere.
///
/// On `fn square(x: i64) -> i64` it leaves the function as it is and adds a type `square` with
/// `square::remote(x)`, which returns an `ObjectRef<i64>` at once, and `square::options()`.
/// On `impl Counter` it adds `Counter::remote(..)` for the constructor `new`, and a method of the same name
/// on `CounterHandle` for each public method.
///
/// Options: `num_cpus`, `num_gpus`, `memory`, `resources("name" = 1)`, `max_retries`,
/// `retry_exceptions`, `num_returns`, `name`, `stub`.
#[proc_macro_attribute]
pub fn remote(attr: TokenStream, item: TokenStream) -> TokenStream {
    let attr = proc_macro2::TokenStream::from(attr);
    match parse_macro_input!(item as syn::Item) {
        syn::Item::Fn(function) => expand::task::expand(attr, function).into(),
        syn::Item::Impl(block) => expand::handle::expand(attr, block).into(),
        other => {
            let error = syn::Error::new_spanned(
                &other,
                "`#[remote]` goes on a function or on the `impl` block of an actor\nhelp: on a struct write `#[actor]`",
            )
            .into_compile_error();
            quote::quote!(#error #other).into()
        }
    }
}

/// Makes a struct an actor and declares its handle, `NameHandle`.
///
/// Options: `num_cpus`, `num_gpus`, `memory`, `resources("name" = 1)`, `max_restarts`,
/// `max_task_retries`, `max_concurrency`, `max_pending_calls`, `on_panic = "restart"`.
#[proc_macro_attribute]
pub fn actor(attr: TokenStream, item: TokenStream) -> TokenStream {
    let attr = proc_macro2::TokenStream::from(attr);
    match parse_macro_input!(item as syn::Item) {
        syn::Item::Struct(item) => expand::actor::expand(attr, &item).into(),
        other => {
            let error = syn::Error::new_spanned(
                &other,
                "`#[actor]` goes on a struct\nhelp: put the state of the actor into a struct, and its methods into \
                 an `impl` under `#[remote]`",
            )
            .into_compile_error();
            quote::quote!(#error #other).into()
        }
    }
}

/// Lets values of the type be sent: arguments, results, objects of the store.
#[proc_macro_derive(Data, attributes(rkyv))]
pub fn derive_data(item: TokenStream) -> TokenStream {
    expand::data::expand(&parse_macro_input!(item as syn::DeriveInput)).into()
}

/// Runs a test as a driver in a process of its own, with worker processes of its own.
#[proc_macro_attribute]
pub fn test(attr: TokenStream, item: TokenStream) -> TokenStream {
    expand::test::expand(attr.into(), parse_macro_input!(item as syn::ItemFn)).into()
}

/// Discards the item it stands on, after the derives before it have read it.
#[doc(hidden)]
#[proc_macro_attribute]
pub fn discard(_attr: TokenStream, _item: TokenStream) -> TokenStream {
    TokenStream::new()
}
