//! A function as the macros see it; keeps the original syntax for spans.

use quote::{ToTokens, quote};
use syn::{Attribute, FnArg, Ident, Pat, ReturnType, Signature, Type};

use crate::{check::Errors, options::Options, types};

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
    /// The declared return type, `()` when there is none; the type of the items when it streams.
    pub(crate) output: Type,
    pub(crate) streams: Option<types::Streams>,
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
                // The stub's argument needs a name; nobody uses it.
                Pat::Wild(_) => quote::format_ident!("_arg{position}"),
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
        let declared = match &signature.output {
            ReturnType::Default => syn::parse_quote!(()),
            ReturnType::Type(_, output) => (**output).clone(),
        };
        let (streams, output) = match types::streamed(&declared) {
            Some(types::Streamed {
                kind,
                item: Some(item),
            }) => (Some(kind), item),
            _ => (None, declared.clone()),
        };
        let inputs = &signature.inputs;
        Function {
            name: signature.ident.clone(),
            parameters,
            signature: quote!((#inputs) -> #declared).to_string(),
            output,
            streams,
            is_async: signature.asyncness.is_some(),
            docs: named(attrs, &["doc"]),
            cfgs: named(attrs, &["cfg"]),
            options,
        }
    }

    /// Returns whether its body may wait without holding up its thread.
    pub(crate) fn runs_async(&self) -> bool {
        self.is_async || self.streams == Some(types::Streams::Stream)
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
            streams: self.streams,
            is_async: self.is_async,
            docs: self.docs.clone(),
            cfgs: self.cfgs.clone(),
            signature: self.signature.clone(),
            options: self.options.clone(),
        }
    }
}

/// Returns `T` of `&Archived<T>`, matched by its last path segment.
pub(crate) fn archived(ty: &Type) -> Option<Type> {
    let Type::Reference(reference) = types::bare(ty) else {
        return None;
    };
    if reference.mutability.is_some() {
        return None;
    }
    let Type::Path(path) = types::bare(&reference.elem) else {
        return None;
    };
    let last = path.path.segments.last()?;
    if last.ident != "Archived" {
        return None;
    }
    types::first_argument(last).cloned()
}

/// Returns the attributes of these names.
pub(crate) fn named(attrs: &[Attribute], names: &[&str]) -> Vec<Attribute> {
    attrs
        .iter()
        .filter(|attr| names.iter().any(|name| attr.path().is_ident(name)))
        .cloned()
        .collect()
}

/// Returns source text as a person would write it, for messages.
pub(crate) fn text_of(tokens: &impl ToTokens) -> String {
    let mut text = tokens.to_token_stream().to_string();
    for (spaced, close) in [
        (" :: ", "::"),
        (":: ", "::"),
        (" <", "<"),
        ("< ", "<"),
        (" >", ">"),
        ("& ", "&"),
        (" ,", ","),
        (" ;", ";"),
        ("( ", "("),
        (" )", ")"),
    ] {
        text = text.replace(spaced, close);
    }
    text
}
