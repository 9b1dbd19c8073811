//! Actors: the struct and its handle.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::ItemStruct;

use crate::{
    attr::{self, Place},
    check::Errors,
};

pub(crate) fn expand(attr: TokenStream, item: &ItemStruct) -> TokenStream {
    let mut errors = Errors::default();
    let options = attr::parse(attr, Place::Actor, &mut errors);
    if !item.generics.params.is_empty() {
        errors.at(
            &item.generics,
            "an actor cannot be generic",
            "write one struct for each type; workers run what was compiled in",
        );
        let errors = errors.into_tokens();
        return quote!(#item #errors);
    }
    let name = &item.ident;
    let visibility = &item.vis;
    let handle = format_ident!("{}Handle", name);
    let text = name.to_string();
    let docs = format!("A handle of a [`{name}`] actor: counted, cloneable, sendable.");
    let defaults = options.actor_defaults();
    let threaded = options.max_concurrency.filter(|(limit, _)| *limit > 1).map(|(_, span)| {
        quote_spanned!(span=> const _: () = ::ray_core::__private::assert_threaded::<#name>();)
    });
    let errors = errors.into_tokens();
    quote! {
        #item
        #errors

        #[doc = #docs]
        #[derive(Clone, Debug, ::ray_core::Data)]
        #visibility struct #handle {
            __actor: ::ray_core::__private::ActorRef,
        }

        #[doc(hidden)]
        const _: () = {
            static __CLASS: ::ray_core::__private::ActorClass = ::ray_core::__private::ActorClass {
                id: ::ray_core::__private::method_id(
                    &[::core::env!("CARGO_PKG_NAME"), ::core::module_path!(), ::core::file!(), #text],
                    ::core::line!(),
                    ::core::column!(),
                ),
                name: #text,
                defaults: #defaults,
            };

            impl ::ray_core::__private::ActorHandle for #handle {
                fn actor_ref(&self) -> &::ray_core::__private::ActorRef {
                    &self.__actor
                }

                fn from_actor_ref(actor: ::ray_core::__private::ActorRef) -> Self {
                    Self { __actor: actor }
                }

                const CLASS: &'static ::ray_core::__private::ActorClass = &__CLASS;
            }
        };

        #threaded
    }
}
