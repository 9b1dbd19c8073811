//! `#[derive(Data)]`: rkyv's derives on a copy of the item that is discarded afterwards.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::{Attribute, DeriveInput, Field, parse_quote};

use crate::{
    check::{Errors, span_of},
    model::{named, text_of},
    types,
};

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
    copy.attrs = named(&copy.attrs, &["rkyv", "repr", "cfg"]);
    let mut own = Errors::default();
    for field in fields(&mut copy.data) {
        field.attrs = named(&field.attrs, &["rkyv", "cfg", "doc"]);
        if !has_own_way(field) {
            types::sent(&field.ty, &mut own);
        }
    }
    if errors.absorb(own) {
        return errors.into_tokens();
    }
    let layout = layout(&mut copy);
    let assertion = assertion(&mut copy);
    let bounds = bounds_of_recursion(&mut copy);
    quote! {
        #assertion
        #layout

        #[derive(
            ::ray_core::__private::rkyv::Archive,
            ::ray_core::__private::rkyv::Serialize,
            ::ray_core::__private::rkyv::Deserialize,
        )]
        #[rkyv(crate = ::ray_core::__private::rkyv)]
        #bounds
        #[allow(missing_docs)]
        #[::ray_core::__private::discard]
        #copy
    }
}

/// Returns the fields of a struct, or of all variants, without the attributes of the variants.
fn fields(data: &mut syn::Data) -> Vec<&mut Field> {
    match data {
        syn::Data::Struct(data) => data.fields.iter_mut().collect(),
        syn::Data::Enum(data) => data
            .variants
            .iter_mut()
            .flat_map(|variant| {
                variant.attrs = named(&variant.attrs, &["rkyv", "cfg", "doc"]);
                variant.fields.iter_mut()
            })
            .collect(),
        syn::Data::Union(_) => Vec::new(),
    }
}

/// Returns whether the user chose how a field is archived.
fn has_own_way(field: &Field) -> bool {
    field.attrs.iter().any(|attr| attr.path().is_ident("rkyv"))
}

/// Writes the entry of the list of types by which builds notice that they mean different things.
fn layout(copy: &mut DeriveInput) -> TokenStream {
    let mut bare = copy.clone();
    let mut held = Vec::new();
    let own = own_names(&bare);
    for field in fields(&mut bare.data) {
        field.attrs = named(&field.attrs, &["rkyv"]);
        // A static knows no `Self`, and a type that holds itself adds nothing.
        if !types::mentions(&field.ty, &own) {
            held.push(field.ty.clone());
        }
    }
    let (name, text) = (bare.ident.to_string(), quote!(#bare).to_string());
    // A static has no parameters; such a type is known by its own text.
    if !bare.generics.params.is_empty() {
        held.clear();
    }
    quote! {
        #[doc(hidden)]
        const _: () = {
            #[::ray_core::__private::linkme::distributed_slice(::ray_core::__private::LAYOUTS)]
            #[linkme(crate = ::ray_core::__private::linkme)]
            static __LAYOUT: ::ray_core::__private::TypeLayout = ::ray_core::__private::TypeLayout {
                module: ::core::module_path!(),
                name: #name,
                text: #text,
                fields: || ::std::vec![#(::core::any::type_name::<#held>()),*],
            };
        };
    }
}

/// Writes bounds that fail before rkyv's own, so that the first error says which field cannot be sent.
fn assertion(copy: &mut DeriveInput) -> TokenStream {
    let mut open = copy
        .generics
        .params
        .iter()
        .filter_map(|parameter| match parameter {
            syn::GenericParam::Type(ty) => Some(ty.ident.to_string()),
            syn::GenericParam::Const(constant) => Some(constant.ident.to_string()),
            syn::GenericParam::Lifetime(_) => None,
        })
        .collect::<Vec<_>>();
    open.extend(own_names(copy));
    let mut seen = Vec::new();
    let mut predicates = Vec::new();
    for field in fields(&mut copy.data) {
        let ty = &field.ty;
        let text = text_of(ty);
        if has_own_way(field) || types::mentions(ty, &open) || seen.contains(&text) {
            continue;
        }
        seen.push(text);
        predicates.push(quote_spanned!(span_of(ty)=> #ty: ::ray_core::Data));
    }
    if predicates.is_empty() {
        return TokenStream::new();
    }
    quote! {
        #[doc(hidden)]
        #[allow(trivial_bounds, dead_code)]
        const _: () = {
            struct __Fields where #(#predicates),*;
        };
    }
}

/// Takes the bounds off the fields that hold the type itself, and writes the bounds that replace them.
///
/// A bound on such a field would follow from itself.
fn bounds_of_recursion(copy: &mut DeriveInput) -> TokenStream {
    let names = own_names(copy);
    let mut is_recursive = false;
    for field in fields(&mut copy.data) {
        if has_own_way(field) {
            is_recursive |= named(&field.attrs, &["rkyv"])
                .iter()
                .any(|attr| types::mentions(attr, &["omit_bounds".to_owned()]));
        } else if types::mentions(&field.ty, &names) {
            let omit: Attribute = parse_quote!(#[rkyv(omit_bounds)]);
            field.attrs.push(omit);
            is_recursive = true;
        }
    }
    let chosen = ["serialize_bounds", "deserialize_bounds", "bytecheck"].map(str::to_owned);
    if !is_recursive || copy.attrs.iter().any(|attr| types::mentions(attr, &chosen)) {
        return TokenStream::new();
    }
    let rkyv = quote_spanned!(Span::call_site()=> ::ray_core::__private::rkyv);
    quote! {
        #[rkyv(
            serialize_bounds(
                __S: #rkyv::ser::Writer + #rkyv::ser::Allocator + ::ray_core::data::RefSink,
                __S::Error: #rkyv::rancor::Source,
            ),
            deserialize_bounds(
                __D: ::ray_core::data::RefSource,
                __D::Error: #rkyv::rancor::Source,
            ),
            bytecheck(bounds(
                __C: #rkyv::validation::ArchiveContext,
                <__C as #rkyv::rancor::Fallible>::Error: #rkyv::rancor::Source,
            )),
        )]
    }
}

fn own_names(input: &DeriveInput) -> Vec<String> {
    vec![input.ident.to_string(), "Self".to_owned()]
}
