//! What cannot be remote, with a line of help each; all errors of an item at once.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::{FnArg, ReturnType, Signature, Type, visit::Visit};

use crate::model;

/// The errors of one item.
#[derive(Default)]
pub(crate) struct Errors(Option<syn::Error>);

impl Errors {
    /// Adds an error.
    pub(crate) fn push(&mut self, error: syn::Error) {
        match &mut self.0 {
            Some(errors) => errors.combine(error),
            None => self.0 = Some(error),
        }
    }

    /// Adds an error at the tokens that are wrong, with a line of help.
    pub(crate) fn at(&mut self, tokens: impl ToTokens, message: &str, help: &str) {
        self.push(syn::Error::new_spanned(
            tokens,
            format!("{message}\nhelp: {help}"),
        ));
    }

    /// Returns whether there is any.
    pub(crate) fn any(&self) -> bool {
        self.0.is_some()
    }

    /// Returns them one by one.
    pub(crate) fn into_parts(self) -> Vec<syn::Error> {
        self.0
            .map(|errors| errors.into_iter().collect())
            .unwrap_or_default()
    }

    /// Writes them as compile errors.
    pub(crate) fn into_tokens(self) -> TokenStream {
        self.0
            .map(syn::Error::into_compile_error)
            .unwrap_or_default()
    }
}

/// Checks what tasks, methods and constructors have in common.
pub(crate) fn signature(signature: &Signature, errors: &mut Errors) {
    if !signature.generics.params.is_empty() {
        errors.at(
            &signature.generics,
            "a remote function cannot be generic",
            "write one function for each type; workers run what was compiled in",
        );
    } else if let Some(clause) = &signature.generics.where_clause {
        errors.at(
            clause,
            "a remote function cannot have a `where` clause",
            "remove it; every type is concrete",
        );
    }
    if let Some(token) = &signature.constness {
        errors.at(
            token,
            "a remote function cannot be `const`",
            "remove `const`",
        );
    }
    if let syn::Safety::Unsafe(token) = &signature.safety {
        errors.at(
            token,
            "a remote function cannot be `unsafe`",
            "wrap the unsafe code in a safe function",
        );
    }
    if let Some(abi) = &signature.abi {
        errors.at(
            abi,
            "a remote function cannot be `extern`",
            "remove the ABI and call the extern function inside",
        );
    }
    if let Some(variadic) = &signature.variadic {
        errors.at(
            variadic,
            "a remote function cannot be variadic",
            "take a `Vec`",
        );
    }
    for input in &signature.inputs {
        if let FnArg::Typed(typed) = input {
            parameter(&typed.ty, errors);
        }
    }
    if let ReturnType::Type(_, output) = &signature.output {
        returned(output, errors);
    }
}

fn parameter(ty: &Type, errors: &mut Errors) {
    match ty {
        Type::ImplTrait(_) => {
            errors.at(
                ty,
                "a remote function cannot take `impl Trait`",
                "name the type that is sent",
            );
        }
        Type::Reference(reference) if !model::is_archived_borrow(ty) => {
            let inner = &reference.elem;
            let name = model::text_of(inner);
            let help = match name.as_str() {
                "str" => "take a `String`; callers may give a `&str`".to_owned(),
                _ if name.starts_with('[') => {
                    let element = name.trim_start_matches('[').trim_end_matches(']');
                    format!(
                        "take a `Vec<{element}>`, or `&Archived<Vec<{element}>>` to borrow it from shared memory"
                    )
                }
                _ => {
                    format!("take `{name}`, or `&Archived<{name}>` to borrow it from shared memory")
                }
            };
            errors.at(ty, "a remote function cannot borrow from its caller", &help);
        }
        // What is borrowed is checked like what is owned.
        Type::Reference(reference) => {
            if let Type::Path(path) = &*reference.elem {
                path.path
                    .segments
                    .iter()
                    .for_each(|segment| arguments(segment, errors))
            }
        }
        _ => nested(ty, errors),
    }
}

fn arguments(segment: &syn::PathSegment, errors: &mut Errors) {
    if let syn::PathArguments::AngleBracketed(arguments) = &segment.arguments {
        for argument in &arguments.args {
            if let syn::GenericArgument::Type(ty) = argument {
                nested(ty, errors);
            }
        }
    }
}

fn returned(ty: &Type, errors: &mut Errors) {
    match ty {
        Type::ImplTrait(_) => {
            let text = model::text_of(ty);
            if text.contains("Iterator") || text.contains("Stream") {
                errors.at(
                    ty,
                    "streaming generators are not supported yet",
                    "return a `Vec`, or one reference an item",
                );
            } else {
                errors.at(
                    ty,
                    "a remote function cannot return `impl Trait`",
                    "name the type that is sent",
                );
            }
        }
        Type::Reference(_) => {
            errors.at(
                ty,
                "a remote function cannot return a borrow",
                "return the value itself",
            );
        }
        Type::Never(_) => {
            errors.at(
                ty,
                "a remote function must return",
                "return `()`; an actor ends itself with `exit_actor()`",
            );
        }
        _ => nested(ty, errors),
    }
}

/// Finds what can be sent nowhere inside a type.
fn nested(ty: &Type, errors: &mut Errors) {
    struct Finder<'a>(&'a mut Errors);
    impl<'ast> Visit<'ast> for Finder<'_> {
        fn visit_type(&mut self, ty: &'ast Type) {
            match ty {
                Type::Reference(reference) => {
                    let is_static = reference
                        .lifetime
                        .as_ref()
                        .is_some_and(|lifetime| lifetime.ident == "static");
                    if !is_static {
                        self.0.at(
                            ty,
                            "a value that is sent cannot hold a borrow",
                            "own the value, for example as `String` or `Vec`",
                        );
                        return;
                    }
                    self.0.at(
                        ty,
                        "a value that is sent cannot hold a `&'static` borrow",
                        "own the value, for example as `String` or `Vec`",
                    );
                }
                Type::Ptr(_) => self.0.at(
                    ty,
                    "a pointer cannot be sent",
                    "send the value it points to",
                ),
                Type::FnPtr(_) => self.0.at(
                    ty,
                    "a function cannot be sent",
                    "send data, and choose the function by it",
                ),
                Type::TraitObject(_) => self.0.at(
                    ty,
                    "a trait object cannot be sent",
                    "send an enum of the types it can be",
                ),
                Type::ImplTrait(_) => self.0.at(
                    ty,
                    "`impl Trait` cannot be sent",
                    "name the type that is sent",
                ),
                Type::Path(path) => {
                    if let Some(last) = path.path.segments.last()
                        && (last.ident == "Rc" || last.ident == "Arc")
                        && !last.arguments.is_none()
                    {
                        self.0.at(ty, "shared pointers cannot be sent", "send the value; a value is a tree, and large ones are shared by `ObjectRef`");
                        return;
                    }
                    syn::visit::visit_type(self, ty);
                }
                _ => syn::visit::visit_type(self, ty),
            }
        }
    }
    Finder(errors).visit_type(ty);
}
