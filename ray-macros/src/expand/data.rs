//! `#[derive(Data)]`: rkyv's derives on a copy of the item that is discarded afterwards.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Attribute, DeriveInput};

use crate::check::Errors;

pub(crate) fn expand(input: &DeriveInput) -> TokenStream {
    let mut errors = Errors::default();
    if let syn::Data::Union(union) = &input.data {
        errors.at(union.union_token, "a union cannot be sent", "send an enum");
        return errors.into_tokens();
    }
    if let Some(lifetime) = input.generics.lifetimes().next() {
        errors.at(
            lifetime,
            "a type that borrows cannot be sent",
            "own the values, for example as `String` or `Vec`",
        );
        return errors.into_tokens();
    }
    let mut copy = input.clone();
    // Other derives' helper attributes are not known on the copy.
    let keep = |attrs: &mut Vec<Attribute>| {
        attrs.retain(|attr| {
            ["rkyv", "repr", "cfg", "doc"]
                .iter()
                .any(|name| attr.path().is_ident(name))
        });
    };
    keep(&mut copy.attrs);
    match &mut copy.data {
        syn::Data::Struct(data) => data
            .fields
            .iter_mut()
            .for_each(|field| keep(&mut field.attrs)),
        syn::Data::Enum(data) => {
            for variant in &mut data.variants {
                keep(&mut variant.attrs);
                variant
                    .fields
                    .iter_mut()
                    .for_each(|field| keep(&mut field.attrs));
            }
        }
        syn::Data::Union(_) => {}
    }
    copy.attrs.retain(|attr| !attr.path().is_ident("doc"));
    quote! {
        #[derive(
            ::ray_core::__private::rkyv::Archive,
            ::ray_core::__private::rkyv::Serialize,
            ::ray_core::__private::rkyv::Deserialize,
        )]
        #[rkyv(crate = ::ray_core::__private::rkyv)]
        #[allow(missing_docs)]
        #[::ray_core::__private::discard]
        #copy
    }
}
