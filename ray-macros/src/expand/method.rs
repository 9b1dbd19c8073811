//! The methods of an actor: one method of the handle each, and the body that runs them.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::Path;

use super::handle::{handle_of, name_of};
use crate::{check::Refused, model::Function};

/// A method of the handle with the right shape and no body, so that callers stay quiet.
pub(super) fn fallback(actor: &Path, function: &Function, refused: &Refused) -> TokenStream {
    let handle = handle_of(actor);
    let name = &function.name;
    let cfgs = &function.cfgs;
    let fallback = function.fallback(refused);
    let (parameters, reference, body) = (fallback.parameters, fallback.reference, fallback.body);
    quote! {
        #(#cfgs)*
        #[doc(hidden)]
        #[allow(dead_code, unused_variables, clippy::all)]
        const _: () = {
            #[allow(unused_imports)]
            use ::ray_core::__private::ProbeDefault as _;

            impl #handle {
                pub fn #name(&self, #parameters) -> #reference { #body }
            }
        };
    }
}

pub(super) fn stub(actor: &Path, function: &Function, is_exclusive: bool) -> TokenStream {
    let handle = handle_of(actor);
    let class = name_of(actor);
    let cfgs = &function.cfgs;
    let docs = &function.docs;
    let name = &function.name;
    let parameters = function.stub_parameters();
    let (collect, args) = function.collect_args();
    let reference = function.reference();
    let typed = function.typed(&quote! {
        ::ray_core::__private::submit_call(
            ::ray_core::__private::ActorHandle::actor_ref(self),
            &__METHOD,
            #args,
        )
    });
    let body = body(function, is_exclusive);
    let declared = function.options.concurrency_group.as_ref().map(|group| {
        quote_spanned! {group.span()=>
            const _: () = ::ray_core::__private::assert_group(
                <#handle as ::ray_core::__private::ActorHandle>::CLASS,
                #group,
            );
        }
    });
    let entry = function.entry(
        &format!("{class}::{name}"),
        &quote! {
            ::ray_core::__private::Invoke::Method(
                ::ray_core::__private::MethodForms::of::<__Body>(
                    ::ray_core::__private::ThreadedMethod::<__Body>::FORM,
                ),
                <#handle as ::ray_core::__private::ActorHandle>::CLASS,
            )
        },
    );
    quote! {
        #(#cfgs)*
        #[doc(hidden)]
        #[allow(dead_code, clippy::all)]
        const _: () = {
            #[allow(unused_imports)]
            use ::ray_core::__private::{ProbeDefault as _, ThreadedMethodDefault as _};

            impl #handle {
                #(#docs)*
                pub fn #name(&self, #parameters) -> #reference {
                    #collect
                    #typed
                }
            }

            #declared

            struct __Body;

            #[allow(unused_variables)]
            impl ::ray_core::__private::MethodBody for __Body {
                type Actor = #actor;
                #body
            }

            #entry
        };
    }
}

fn body(function: &Function, is_exclusive: bool) -> TokenStream {
    let name = &function.name;
    let decoded = function.decode_args();
    let (receiver, run, borrow) = match (function.runs_async(), is_exclusive) {
        (false, true) => (quote!(Exclusive), quote!(run_mut), quote!(&mut)),
        (false, false) => (quote!(Shared), quote!(run_ref), quote!(&)),
        (true, true) => (quote!(AsyncExclusive), quote!(start_mut), quote!(&'a mut)),
        (true, false) => (quote!(AsyncShared), quote!(start_ref), quote!(&'a)),
    };
    let result = quote!(::core::result::Result<(), ::ray_core::__private::CallError>);
    let run = if function.runs_async() {
        let awaited = function.is_async.then(|| quote!(.await));
        let finish = function.finish(&quote!(__actor.#name(#(#decoded),*) #awaited));
        quote! {
            fn #run<'a>(
                __actor: #borrow Self::Actor,
                __call: &'a ::ray_core::__private::Call,
                __results: &'a mut ::ray_core::__private::Results<'_>,
            ) -> ::ray_core::__private::LocalFuture<'a, #result> {
                ::std::boxed::Box::pin(async move { #finish })
            }
        }
    } else {
        let finish = function.finish(&quote!(__actor.#name(#(#decoded),*)));
        quote! {
            fn #run(
                __actor: #borrow Self::Actor,
                __call: &::ray_core::__private::Call,
                __results: &mut ::ray_core::__private::Results<'_>,
            ) -> #result {
                #finish
            }
        }
    };
    quote! {
        const RECEIVER: ::ray_core::__private::Receiver = ::ray_core::__private::Receiver::#receiver;
        #run
    }
}
