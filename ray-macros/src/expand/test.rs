//! `#[ray_core::test]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::ItemFn;

use crate::check::Errors;

pub(crate) fn expand(attr: &TokenStream, item: &ItemFn) -> TokenStream {
    let mut errors = Errors::default();
    if !attr.is_empty() {
        errors.at(
            attr,
            "`#[ray_core::test]` has no options",
            "configure the runtime in the test, with `Config`",
        );
    }
    if let Some(token) = &item.sig.asyncness {
        errors.at(
            token,
            "a `#[ray_core::test]` cannot be `async`",
            "get results with `.get()`",
        );
    }
    if !item.sig.inputs.is_empty() {
        errors.at(&item.sig.inputs, "a test takes no arguments", "remove them");
    }
    if !item.sig.generics.params.is_empty() {
        errors.at(
            &item.sig.generics,
            "a test cannot be generic",
            "remove the parameters",
        );
    }
    if errors.any() {
        let errors = errors.into_tokens();
        return quote!(#errors #[allow(dead_code)] #item);
    }
    let attrs = &item.attrs;
    let visibility = &item.vis;
    let name = &item.sig.ident;
    let text = name.to_string();
    let output = &item.sig.output;
    let block = &item.block;
    quote! {
        #[::core::prelude::v1::test]
        #(#attrs)*
        #visibility fn #name() {
            fn __body() #output #block
            ::ray_core::__private::test::run(::core::module_path!(), #text, __body);
        }
    }
}
