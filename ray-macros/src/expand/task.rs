//! Tasks: the function, the type of its name, its entry in the table.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{FnArg, ItemFn};

use crate::{
    attr::{self, Place},
    check::{self, Errors},
    model::Function,
};

pub(crate) fn expand(attr: TokenStream, item: ItemFn) -> TokenStream {
    let mut errors = Errors::default();
    let options = attr::parse(attr, Place::Task, &mut errors);
    check::signature(&item.sig, &mut errors);
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
    }
    check_returns(&item.sig, options.num_returns, &mut errors);
    let function = Function::read(&item.sig, &item.attrs, options, &mut errors);
    if errors.any() {
        let errors = errors.into_tokens();
        let stub = fallback(&item, &function);
        return quote!(#item #errors #stub);
    }
    let stub = stub(&item, &function);
    quote!(#item #stub)
}

/// Checks that a function that says how many results it has returns a tuple of that many.
pub(crate) fn check_returns(
    signature: &syn::Signature,
    num_returns: Option<usize>,
    errors: &mut Errors,
) {
    let Some(count @ 2..) = num_returns else {
        return;
    };
    if let syn::ReturnType::Type(_, output) = &signature.output
        && let syn::Type::Tuple(tuple) = &**output
        && tuple.elems.len() != count
    {
        errors.at(
            output,
            &format!(
                "`num_returns = {count}` and a tuple of {}",
                tuple.elems.len()
            ),
            &format!("return a tuple of {count} values, or `Result` of one"),
        );
    } else if matches!(signature.output, syn::ReturnType::Default) {
        errors.at(
            &signature.ident,
            &format!("`num_returns = {count}` and no return type"),
            &format!("return a tuple of {count} values"),
        );
    }
}

/// Stubs with the right shape and no body, after an error, so that callers stay quiet.
fn fallback(item: &ItemFn, function: &Function) -> TokenStream {
    let visibility = &item.vis;
    let name = function.options.stub.as_ref().unwrap_or(&function.name);
    quote! {
        #[doc(hidden)]
        #[allow(non_camel_case_types, dead_code)]
        #visibility struct #name {}
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
    let collect = function.collect_args();
    let reference = function.reference();
    let typed = function.typed(&quote!(::ray_core::__private::submit_task(
        &__METHOD, self.0, __args
    )));
    let decoded = function.decode_args();
    let called = if function.is_async {
        quote!(::ray_core::__private::block_on(#original(#(#decoded),*)))
    } else {
        quote!(#original(#(#decoded),*))
    };
    let finish = function.finish(&called);
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
                    Self::options().remote(#(#names),*)
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
