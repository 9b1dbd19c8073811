//! Tasks: the function, the type of its name, its entry in the table.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{FnArg, ItemFn};

use crate::{
    attr::{self, Place},
    check::{self, Errors, Refused},
    model::Function,
    types::Streams,
};

pub(crate) fn expand(attr: TokenStream, item: &ItemFn) -> TokenStream {
    let mut errors = Errors::default();
    if let Some(receiver) = item
        .sig
        .inputs
        .iter()
        .find(|input| matches!(input, FnArg::Receiver(_)))
    {
        errors.at(
            receiver,
            "a method is made remote by `#[remote]` on its `impl` block",
            "move `#[remote]` to the `impl`, and put `#[actor]` on the struct",
        );
        // No stub: a type cannot stand in an `impl`.
        let errors = errors.into_tokens();
        return quote!(#item #errors);
    }
    let mut options = attr::parse(attr, Place::Task, &mut errors);
    let mut refused = check::signature(&item.sig, &mut errors);
    check::returns(&item.sig, &mut options, &mut errors);
    let mut own = Errors::default();
    let function = Function::read(&item.sig, &item.attrs, options, &mut own);
    refused.function |= errors.absorb(own);
    let stub = if refused.any() {
        fallback(item, &function, &refused)
    } else {
        stub(item, &function)
    };
    let errors = errors.into_tokens();
    quote!(#item #errors #stub)
}

/// Stubs with the right shape and no body, after an error, so that callers stay quiet.
fn fallback(item: &ItemFn, function: &Function, refused: &Refused) -> TokenStream {
    let visibility = &item.vis;
    let cfgs = &function.cfgs;
    let name = function.options.stub.as_ref().unwrap_or(&function.name);
    let options = format_ident!("__{}Options", name, span = name.span());
    let fallback = function.fallback(refused);
    let (parameters, reference, body) = (fallback.parameters, fallback.reference, fallback.body);
    quote! {
        #(#cfgs)*
        #[doc(hidden)]
        #[allow(non_camel_case_types, dead_code)]
        #visibility struct #name {}

        #(#cfgs)*
        #[doc(hidden)]
        #[allow(non_camel_case_types, dead_code, unused_variables, clippy::all)]
        const _: () = {
            #[allow(unused_imports)]
            use ::ray_core::__private::ProbeDefault as _;

            ::ray_core::__ray_task_options!(pub #options);

            impl #name {
                pub fn remote(#parameters) -> #reference { #body }
                pub fn options() -> #options { #body }
            }

            impl #options {
                pub fn remote(self, #parameters) -> #reference { #body }
            }
        };
    }
}

fn stub(item: &ItemFn, function: &Function) -> TokenStream {
    let visibility = &item.vis;
    let cfgs = &function.cfgs;
    let original = &function.name;
    let name = function.options.stub.as_ref().unwrap_or(original);
    let options = format_ident!("__{}Options", name, span = name.span());
    let docs = &function.docs;
    let parameters = function.stub_parameters();
    let names = function.parameters.iter().map(|parameter| &parameter.name);
    let (collect, args) = function.collect_args();
    let reference = function.reference();
    let typed = function.typed(&quote!(::ray_core::__private::submit_task(
        &__METHOD, self.0, #args
    )));
    let decoded = function.decode_args();
    let called = quote!(#original(#(#decoded),*));
    let finish = match (function.is_async, function.streams) {
        (false, None | Some(Streams::Iterator)) => function.finish(&called),
        (true, None) => function.finish(&quote!(::ray_core::__private::block_on(#called))),
        (is_async, Some(_)) => {
            let awaited = is_async.then(|| quote!(.await));
            let finish = function.finish(&quote!(#called #awaited));
            quote!(::ray_core::__private::block_on(async { #finish }))
        }
    };
    let entry = function.entry(
        &original.to_string(),
        &quote!(::ray_core::__private::Invoke::Task(__invoke)),
    );
    quote! {
        #(#cfgs)*
        #[doc(hidden)]
        #[allow(non_camel_case_types, dead_code)]
        #visibility struct #name {}

        #(#cfgs)*
        #[doc(hidden)]
        #[allow(non_camel_case_types, non_upper_case_globals, dead_code, clippy::all)]
        const _: () = {
            #[allow(unused_imports)]
            use ::ray_core::__private::ProbeDefault as _;

            ::ray_core::__ray_task_options!(pub #options);

            impl #name {
                #(#docs)*
                pub fn remote(#parameters) -> #reference {
                    #options::remote(::core::default::Default::default(), #(#names),*)
                }

                /// Returns options for one submission.
                pub fn options() -> #options {
                    ::core::default::Default::default()
                }
            }

            impl #options {
                #(#docs)*
                pub fn remote(self, #parameters) -> #reference {
                    #collect
                    #typed
                }
            }

            #[allow(unused_variables)]
            fn __invoke(
                __call: &::ray_core::__private::Call,
                __results: &mut ::ray_core::__private::Results<'_>,
            ) -> ::core::result::Result<(), ::ray_core::__private::CallError> {
                #finish
            }

            #entry
        };
    }
}
