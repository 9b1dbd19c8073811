//! Actors: the struct and its handle.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::ItemStruct;

use crate::{
    attr::{self, Place},
    check::Errors,
    model,
    options::Options,
};

pub(crate) fn expand(attr: TokenStream, item: &ItemStruct) -> TokenStream {
    let mut errors = Errors::default();
    let options = attr::parse(attr, Place::Actor, &mut errors);
    let is_generic = !item.generics.params.is_empty();
    if is_generic {
        errors.at(
            &item.generics,
            "an actor cannot be generic",
            "write one struct for each type; workers run what was compiled in",
        );
    }
    let handle = handle(item, &options);
    let assertions = if is_generic {
        TokenStream::new()
    } else {
        assertions(item, &options)
    };
    let errors = errors.into_tokens();
    quote! {
        #item
        #errors
        #handle
        #assertions
    }
}

fn handle_of(item: &ItemStruct) -> Ident {
    format_ident!("{}Handle", item.ident)
}

fn handle(item: &ItemStruct, options: &Options) -> TokenStream {
    let name = &item.ident;
    let visibility = &item.vis;
    let cfgs = model::named(&item.attrs, &["cfg"]);
    let handle = handle_of(item);
    let text = name.to_string();
    let docs = format!("A handle of a [`{name}`] actor: counted, cloneable, sendable.");
    let defaults = options.actor_defaults();
    quote! {
        #(#cfgs)*
        #[doc = #docs]
        #[derive(Clone, Debug, ::ray_core::Data)]
        #visibility struct #handle {
            __actor: ::ray_core::__private::ActorRef,
        }

        #(#cfgs)*
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
    }
}

/// Writes what only the types can tell: that there is a constructor, that threads can share the actor.
fn assertions(item: &ItemStruct, options: &Options) -> TokenStream {
    let cfgs = model::named(&item.attrs, &["cfg"]);
    let at =
        |name: &Ident, span: Span| Ident::new(&name.to_string(), span.resolved_at(name.span()));
    let name = &item.ident;
    let handle = at(&handle_of(item), name.span());
    let constructed = quote! {
        #(#cfgs)*
        const _: () = ::ray_core::__private::assert_constructed::<#handle>();
    };
    let several = options.max_concurrency.filter(|(limit, _)| *limit > 1);
    let threaded = several
        .map(|(_, span)| span)
        .or(options.groups_span)
        .map(|span| {
            let (name, handle) = (at(name, span), at(&handle, span));
            quote_spanned! {span.resolved_at(Span::call_site())=>
                #(#cfgs)*
                const _: () = ::ray_core::__private::assert_threaded::<#name, #handle>();
            }
        });
    quote!(#constructed #threaded)
}
