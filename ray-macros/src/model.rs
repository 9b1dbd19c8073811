//! A function as the macros see it; keeps the original syntax for spans.

use proc_macro2::TokenStream;
use quote::{ToTokens as _, quote};
use syn::{Attribute, FnArg, Ident, Pat, PathArguments, ReturnType, Signature, Type};

use crate::{attr::Options, check::Errors};

/// A parameter.
pub(crate) struct Parameter {
    pub(crate) name: Ident,
    /// What is sent.
    pub(crate) data: Type,
    /// Whether the body borrows the archive.
    pub(crate) is_archived: bool,
}

/// A task, a method or a constructor.
pub(crate) struct Function {
    pub(crate) name: Ident,
    pub(crate) parameters: Vec<Parameter>,
    /// The declared return type, `()` when there is none.
    pub(crate) output: Type,
    pub(crate) is_async: bool,
    pub(crate) docs: Vec<Attribute>,
    /// Attributes that decide whether the item exists.
    pub(crate) cfgs: Vec<Attribute>,
    /// What the function looks like, for its id.
    pub(crate) signature: String,
    pub(crate) options: Options,
}

impl Function {
    /// Reads a signature without its receiver.
    pub(crate) fn read(
        signature: &Signature,
        attrs: &[Attribute],
        options: Options,
        errors: &mut Errors,
    ) -> Function {
        let mut parameters = Vec::new();
        for (position, input) in signature.inputs.iter().enumerate() {
            let FnArg::Typed(typed) = input else { continue };
            let name = match &*typed.pat {
                Pat::Ident(pattern) if pattern.subpat.is_none() => pattern.ident.clone(),
                other => {
                    errors.at(
                        other,
                        "a parameter of a remote function must be a plain name",
                        "take the value under a name and take it apart in the body",
                    );
                    quote::format_ident!("arg{position}")
                }
            };
            // Raw and hygienic names keep their span; `mut` is the body's own affair.
            let (data, is_archived) = match archived(&typed.ty) {
                Some(data) => (data, true),
                None => ((*typed.ty).clone(), false),
            };
            parameters.push(Parameter {
                name,
                data,
                is_archived,
            });
        }
        let output = match &signature.output {
            ReturnType::Default => syn::parse_quote!(()),
            ReturnType::Type(_, output) => (**output).clone(),
        };
        let inputs = &signature.inputs;
        Function {
            name: signature.ident.clone(),
            parameters,
            signature: quote!((#inputs) -> #output).to_string(),
            output,
            is_async: signature.asyncness.is_some(),
            docs: attrs
                .iter()
                .filter(|attr| attr.path().is_ident("doc"))
                .cloned()
                .collect(),
            cfgs: attrs
                .iter()
                .filter(|attr| attr.path().is_ident("cfg"))
                .cloned()
                .collect(),
            options,
        }
    }

    /// Returns the function with `Self` in its types replaced by the actor's name.
    pub(crate) fn with_self(&self, actor: &syn::Path) -> Function {
        struct Named<'a>(&'a syn::Path);
        impl syn::visit_mut::VisitMut for Named<'_> {
            fn visit_path_mut(&mut self, path: &mut syn::Path) {
                if path.is_ident("Self") {
                    *path = self.0.clone();
                }
                syn::visit_mut::visit_path_mut(self, path);
            }
        }
        let named = |ty: &Type| {
            let mut ty = ty.clone();
            syn::visit_mut::VisitMut::visit_type_mut(&mut Named(actor), &mut ty);
            ty
        };
        Function {
            name: self.name.clone(),
            parameters: self
                .parameters
                .iter()
                .map(|parameter| Parameter {
                    name: parameter.name.clone(),
                    data: named(&parameter.data),
                    is_archived: parameter.is_archived,
                })
                .collect(),
            output: named(&self.output),
            is_async: self.is_async,
            docs: self.docs.clone(),
            cfgs: self.cfgs.clone(),
            signature: self.signature.clone(),
            options: self.options.clone(),
        }
    }

    /// Writes the parameters of a stub.
    pub(crate) fn stub_parameters(&self) -> TokenStream {
        let names = self.parameters.iter().map(|parameter| &parameter.name);
        let types = self.parameters.iter().map(|parameter| &parameter.data);
        quote!(#(#names: impl ::ray_core::__private::IntoArg<#types>),*)
    }

    /// Writes the statements that collect a stub's parameters.
    pub(crate) fn collect_args(&self) -> TokenStream {
        let names = self.parameters.iter().map(|parameter| &parameter.name);
        let types = self.parameters.iter().map(|parameter| &parameter.data);
        quote! {
            #[allow(unused_mut)]
            let mut __args = ::ray_core::__private::Args::new();
            #(__args.push::<#types>(#names);)*
        }
    }

    /// Writes the expressions that decode the arguments of a call.
    pub(crate) fn decode_args(&self) -> Vec<TokenStream> {
        self.parameters
            .iter()
            .enumerate()
            .map(|(position, parameter)| {
                let data = &parameter.data;
                if parameter.is_archived {
                    quote!(__call.archived::<#data>(#position)?)
                } else {
                    quote!(__call.value::<#data>(#position)?)
                }
            })
            .collect()
    }

    /// Writes the type that says what the return type means.
    pub(crate) fn outcome(&self) -> TokenStream {
        let output = &self.output;
        quote!(::ray_core::__private::Outcome<{ ::ray_core::__private::Probe::<#output>::FALLIBLE }>)
    }

    /// Writes what `get` returns.
    pub(crate) fn value(&self) -> TokenStream {
        let (output, outcome) = (&self.output, self.outcome());
        quote!(<#outcome as ::ray_core::__private::OutcomeOf<#output>>::Value)
    }

    /// Writes the type of the reference or references that a stub returns.
    pub(crate) fn reference(&self) -> TokenStream {
        let value = self.value();
        match self.options.num_returns.unwrap_or(1) {
            1 => quote!(::ray_core::__private::ObjectRef<#value>),
            _ => quote!(<#value as ::ray_core::__private::TupleRefs>::Refs),
        }
    }

    /// Writes how references get their types.
    pub(crate) fn typed(&self, submitted: &TokenStream) -> TokenStream {
        let value = self.value();
        match self.options.num_returns.unwrap_or(1) {
            1 => quote!(#submitted.one::<#value>()),
            _ => quote!(#submitted.tuple::<#value>()),
        }
    }

    /// Writes how a returned value becomes a result or an error.
    pub(crate) fn finish(&self, returned: &TokenStream) -> TokenStream {
        let split = self.split(returned);
        match self.options.num_returns.unwrap_or(1) {
            1 => quote!(__results.push(&#split)),
            _ => quote!(::ray_core::__private::TupleRefs::push_each(&#split, __results)),
        }
    }

    /// Writes how a returned value is taken out of its `Result`, if it is one.
    pub(crate) fn split(&self, returned: &TokenStream) -> TokenStream {
        let (output, outcome) = (&self.output, self.outcome());
        quote! {
            match <#outcome as ::ray_core::__private::OutcomeOf<#output>>::split(#returned) {
                ::core::result::Result::Ok(__value) => __value,
                #[allow(unreachable_code)]
                ::core::result::Result::Err(__error) => {
                    use ::ray_core::__private::{CauseData as _, CauseDisplay as _};
                    return ::core::result::Result::Err(::ray_core::__private::Cause(__error).to_call_error());
                }
            }
        }
    }

    /// Writes the entry of the function table.
    pub(crate) fn entry(&self, name: &str, invoke: &TokenStream) -> TokenStream {
        let signature = &self.signature;
        let returns =
            u16::try_from(self.options.num_returns.unwrap_or(1)).expect("checked to be at most 8");
        let defaults = self.options.task_defaults();
        quote! {
            #[allow(unsafe_code)]
            #[::ray_core::__private::linkme::distributed_slice(::ray_core::__private::METHODS)]
            #[linkme(crate = ::ray_core::__private::linkme)]
            static __METHOD: ::ray_core::__private::Method = ::ray_core::__private::Method {
                id: ::ray_core::__private::method_id(
                    &[
                        ::core::env!("CARGO_PKG_NAME"),
                        ::core::env!("CARGO_PKG_VERSION"),
                        ::core::env!("CARGO_CRATE_NAME"),
                        ::core::module_path!(),
                        #name,
                        ::core::file!(),
                        #signature,
                    ],
                    ::core::line!(),
                    ::core::column!(),
                ),
                name: #name,
                package: ::core::env!("CARGO_PKG_NAME"),
                version: ::core::env!("CARGO_PKG_VERSION"),
                module: ::core::module_path!(),
                file: ::core::file!(),
                line: ::core::line!(),
                column: ::core::column!(),
                signature: #signature,
                returns: #returns,
                defaults: #defaults,
                invoke: #invoke,
            };
        }
    }
}

/// Returns `T` of `&Archived<T>`, matched by its last path segment.
fn archived(ty: &Type) -> Option<Type> {
    let Type::Reference(reference) = ty else {
        return None;
    };
    if reference.mutability.is_some() {
        return None;
    }
    let Type::Path(path) = &*reference.elem else {
        return None;
    };
    let last = path.path.segments.last()?;
    if last.ident != "Archived" {
        return None;
    }
    let PathArguments::AngleBracketed(arguments) = &last.arguments else {
        return None;
    };
    match arguments.args.first() {
        Some(syn::GenericArgument::Type(inner)) if arguments.args.len() == 1 => Some(inner.clone()),
        _ => None,
    }
}

/// Returns whether a type is a borrow that can be taken by a remote function.
pub(crate) fn is_archived_borrow(ty: &Type) -> bool {
    archived(ty).is_some()
}

/// Returns a type's text without spaces, for messages.
pub(crate) fn text_of(ty: &Type) -> String {
    ty.to_token_stream().to_string().replace(' ', "")
}
