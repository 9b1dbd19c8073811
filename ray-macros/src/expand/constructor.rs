//! The constructor of an actor: `Counter::remote(..)` and `Counter::options()`.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::Path;

use super::handle::{handle_of, name_of};
use crate::{check::Refused, model::Function};

/// Tells `#[actor]` that there is a constructor, and how the methods beside it run.
fn constructed(actor: &Path, any_async: bool) -> TokenStream {
    let handle = handle_of(actor);
    let hosting = if any_async {
        quote!(OneThread)
    } else {
        quote!(SharedByThreads)
    };
    quote! {
        impl ::ray_core::__private::Constructed for #handle {
            type Hosting = ::ray_core::__private::#hosting;
        }
    }
}

/// Stubs with the right shape and no body, after an error, so that callers stay quiet.
pub(super) fn fallback(
    actor: &Path,
    function: &Function,
    refused: &Refused,
    any_async: bool,
) -> TokenStream {
    let handle = handle_of(actor);
    let options = format_ident!("__{}Options", name_of(actor));
    let cfgs = &function.cfgs;
    let fallback = function.fallback(refused);
    let (parameters, body) = (fallback.parameters, fallback.body);
    let constructed = constructed(actor, any_async);
    quote! {
        #(#cfgs)*
        #[doc(hidden)]
        #[allow(non_camel_case_types, dead_code, unused_variables, clippy::all)]
        const _: () = {
            ::ray_core::__ray_actor_options!(pub #options);

            impl #actor {
                pub fn remote(#parameters) -> #handle { #body }
                pub fn options() -> #options { #body }
            }

            impl #options {
                pub fn remote(self, #parameters) -> #handle { #body }
            }

            #constructed
        };
    }
}

pub(super) fn stub(actor: &Path, function: &Function, any_async: bool) -> TokenStream {
    let handle = handle_of(actor);
    let name = name_of(actor);
    let options = format_ident!("__{}Options", name);
    let cfgs = &function.cfgs;
    let docs = &function.docs;
    let parameters = function.stub_parameters();
    let names = function.parameters.iter().map(|parameter| &parameter.name);
    let (collect, args) = function.collect_args();
    let make = make(actor, function);
    let constructed = constructed(actor, any_async);
    let entry = function.entry(
        &format!("{name}::new"),
        &quote! {
            ::ray_core::__private::Invoke::Create(::ray_core::__private::Create::of::<__New>(
                <#handle as ::ray_core::__private::ActorHandle>::CLASS,
                ::ray_core::__private::ThreadedConstructor::<__New>::FORM,
            ))
        },
    );
    quote! {
        #(#cfgs)*
        #[doc(hidden)]
        #[allow(non_camel_case_types, dead_code, clippy::all)]
        const _: () = {
            #[allow(unused_imports)]
            use ::ray_core::__private::{ProbeDefault as _, ThreadedConstructorDefault as _};

            ::ray_core::__ray_actor_options!(pub #options);

            impl #actor {
                #(#docs)*
                pub fn remote(#parameters) -> #handle {
                    #options::remote(::core::default::Default::default(), #(#names),*)
                }

                /// Returns options for one creation.
                pub fn options() -> #options {
                    ::core::default::Default::default()
                }
            }

            impl #options {
                #(#docs)*
                pub fn remote(self, #parameters) -> #handle {
                    #collect
                    ::ray_core::__private::ActorHandle::from_actor_ref(::ray_core::__private::create_actor(
                        <#handle as ::ray_core::__private::ActorHandle>::CLASS,
                        &__METHOD,
                        self.0,
                        #args,
                    ))
                }
            }

            #constructed

            struct __New;

            #[allow(unused_variables)]
            impl ::ray_core::__private::Constructor for __New {
                type Actor = #actor;
                #make
            }

            #entry
        };
    }
}

fn make(actor: &Path, function: &Function) -> TokenStream {
    let decoded = function.decode_args();
    let result = quote!(::core::result::Result<Self::Actor, ::ray_core::__private::CallError>);
    if !function.is_async {
        let made = function.made(&quote!(#actor::new(#(#decoded),*)));
        return quote! {
            fn make(__call: &::ray_core::__private::Call) -> #result {
                #made
            }
        };
    }
    let made = function.made(&quote!(#actor::new(#(#decoded),*).await));
    quote! {
        fn make(__call: &::ray_core::__private::Call) -> #result {
            ::ray_core::__private::block_on(Self::make_async(__call))
        }

        fn make_async<'a>(
            __call: &'a ::ray_core::__private::Call,
        ) -> ::ray_core::__private::LocalFuture<'a, #result> {
            ::std::boxed::Box::pin(async move { #made })
        }
    }
}
