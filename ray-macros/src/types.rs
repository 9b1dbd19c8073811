//! Types that cannot be sent, as far as their syntax shows it; the rest is found by the trait `Data`.

use syn::{
    GenericArgument, PathArguments, PathSegment, Type, TypeParamBound, TypeReference, visit::Visit,
};

use crate::{
    check::Errors,
    model::{self, text_of},
};

/// Checks the type of a parameter.
pub(crate) fn parameter(ty: &Type, errors: &mut Errors) {
    match bare(ty) {
        Type::ImplTrait(_) => errors.at(
            ty,
            "a remote function cannot take `impl Trait`",
            "name the type that is sent",
        ),
        Type::Reference(reference) => match model::archived(ty) {
            Some(data) if reference.lifetime.is_none() => sent(&data, errors),
            Some(data) => errors.at(
                ty,
                "an archive is borrowed for the time of the call",
                &format!("write `&Archived<{}>`, without a lifetime", text_of(&data)),
            ),
            None => borrowed(ty, reference, errors),
        },
        Type::Path(path) if is_archived(path.path.segments.last()) => errors.at(
            ty,
            "an archive can only be borrowed",
            &archived_help(path.path.segments.last()),
        ),
        _ => sent(ty, errors),
    }
}

/// Checks a return type.
pub(crate) fn returned(ty: &Type, errors: &mut Errors) {
    match bare(ty) {
        Type::ImplTrait(_) => match streamed(ty) {
            Some(Streamed {
                item: Some(item), ..
            }) => yielded(&item, errors),
            Some(streamed) => {
                let example = match streamed.kind {
                    Streams::Iterator => "for example `impl Iterator<Item = u64>`",
                    Streams::Stream => "for example `impl Stream<Item = u64>`",
                };
                errors.at(ty, "the items of a stream need a type", example);
            }
            None => errors.at(
                ty,
                "a remote function cannot return `impl Trait`",
                "name the type that is sent; `impl Iterator<Item = ..>` streams its items",
            ),
        },
        Type::Reference(reference) => errors.at(
            ty,
            "a remote function cannot return a borrow",
            &format!("return `{}`", text_of(&owned(reference))),
        ),
        Type::Never(_) => errors.at(
            ty,
            "a remote function must return",
            "return `()`; an actor ends itself with `exit_actor()`",
        ),
        // An error needs no more than `Display`.
        Type::Path(path)
            if path
                .path
                .segments
                .last()
                .is_some_and(|s| s.ident == "Result") =>
        {
            if let Some(value) = path.path.segments.last().and_then(first_argument) {
                sent(value, errors);
            }
        }
        _ => sent(ty, errors),
    }
}

/// Checks the type of a stream's items.
fn yielded(item: &Type, errors: &mut Errors) {
    match bare(item) {
        Type::ImplTrait(_) => errors.at(
            item,
            "the items of a stream need a type with a name",
            "name the type that is sent",
        ),
        Type::Never(_) | Type::Reference(_) => sent(item, errors),
        _ => returned(item, errors),
    }
}

/// How a function streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Streams {
    /// `impl Iterator`.
    Iterator,
    /// `impl Stream`: it waits without holding up its thread.
    Stream,
}

/// A return type that streams.
#[derive(Debug)]
pub(crate) struct Streamed {
    pub(crate) kind: Streams,
    /// What each item is, when it is written.
    pub(crate) item: Option<Type>,
}

/// Returns how a return type streams: `impl Iterator` or `impl Stream`, matched by the last path segment.
pub(crate) fn streamed(ty: &Type) -> Option<Streamed> {
    let Type::ImplTrait(bounds) = bare(ty) else {
        return None;
    };
    bounds.bounds.iter().find_map(|bound| {
        let TypeParamBound::Trait(bound) = bound else {
            return None;
        };
        let last = bound.path.segments.last()?;
        let kind = match last.ident.to_string().as_str() {
            "Iterator" | "ExactSizeIterator" | "DoubleEndedIterator" => Streams::Iterator,
            "Stream" => Streams::Stream,
            _ => return None,
        };
        let item = match &last.arguments {
            PathArguments::AngleBracketed(arguments) => {
                arguments.args.iter().find_map(|argument| match argument {
                    GenericArgument::AssocType(assoc) if assoc.ident == "Item" => {
                        Some(assoc.ty.clone())
                    }
                    _ => None,
                })
            }
            _ => None,
        };
        Some(Streamed { kind, item })
    })
}

/// Checks a type that is sent as a whole: finds the parts of it that cannot be.
pub(crate) fn sent(ty: &Type, errors: &mut Errors) {
    struct Finder<'a>(&'a mut Errors);
    impl<'ast> Visit<'ast> for Finder<'_> {
        fn visit_type(&mut self, ty: &'ast Type) {
            match ty {
                Type::Reference(reference) => self.0.at(
                    ty,
                    "a value that is sent cannot hold a borrow",
                    &format!("own it: `{}`", text_of(&owned(reference))),
                ),
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
                    match streamed(ty) {
                        Some(_) => "return it by itself; the items of a stream may be `Result`s",
                        None => "name the type that is sent",
                    },
                ),
                Type::Path(path) => {
                    if let Some(last) = path.path.segments.last()
                        && (last.ident == "Rc" || last.ident == "Arc")
                        && !last.arguments.is_none()
                    {
                        self.0.at(
                            ty,
                            "shared pointers cannot be sent",
                            "send the value; large ones are shared by `ObjectRef`",
                        );
                    } else {
                        syn::visit::visit_type(self, ty);
                    }
                }
                _ => syn::visit::visit_type(self, ty),
            }
        }
    }
    Finder(errors).visit_type(ty);
}

/// Returns the owned type that stands for a borrow: `String` for `&str`, `Vec<T>` for `&[T]`.
pub(crate) fn owned(reference: &TypeReference) -> Type {
    match bare(&reference.elem) {
        Type::Path(path) if path.path.is_ident("str") => syn::parse_quote!(String),
        Type::Slice(slice) => {
            let element = &slice.elem;
            syn::parse_quote!(Vec<#element>)
        }
        Type::Reference(inner) => owned(inner),
        other => other.clone(),
    }
}

fn borrowed(ty: &Type, reference: &TypeReference, errors: &mut Errors) {
    let message = if reference.mutability.is_some() {
        "a remote function cannot change what its caller holds"
    } else {
        "a remote function cannot borrow from its caller"
    };
    let help = match bare(&reference.elem) {
        Type::TraitObject(_) | Type::ImplTrait(_) => {
            "a trait object cannot be sent; take an enum of the types it can be".to_owned()
        }
        Type::Path(path) if path.path.is_ident("str") => {
            "take a `String`; callers may give a `&str`".to_owned()
        }
        Type::Path(path) if is_archived(path.path.segments.last()) => {
            archived_help(path.path.segments.last())
        }
        Type::Path(path)
            if path
                .path
                .segments
                .last()
                .is_some_and(|segment| segment.ident == "ObjectRef") =>
        {
            format!(
                "take `{}`; callers may give a borrow",
                text_of(&reference.elem)
            )
        }
        inner if model::archived(inner).is_some() => format!("take `{}`", text_of(inner)),
        _ => {
            let owned = text_of(&owned(reference));
            format!("take `{owned}`, or `&Archived<{owned}>` to borrow it from shared memory")
        }
    };
    errors.at(ty, message, &help);
}

fn is_archived(segment: Option<&PathSegment>) -> bool {
    segment.is_some_and(|segment| segment.ident == "Archived")
}

fn archived_help(segment: Option<&PathSegment>) -> String {
    match segment.and_then(first_argument) {
        Some(data) => {
            let data = text_of(data);
            format!("take `&Archived<{data}>` to read it, or `{data}` to own it")
        }
        None => "name what is archived, for example `&Archived<Vec<f32>>`".to_owned(),
    }
}

/// Returns `T` of `Name<T, ..>`.
pub(crate) fn first_argument(segment: &PathSegment) -> Option<&Type> {
    let PathArguments::AngleBracketed(arguments) = &segment.arguments else {
        return None;
    };
    arguments.args.iter().find_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    })
}

/// Returns a type without the brackets around it, written or left by a `macro_rules!` macro.
pub(crate) fn bare(ty: &Type) -> &Type {
    match ty {
        Type::Group(group) => bare(&group.elem),
        Type::Paren(paren) => bare(&paren.elem),
        _ => ty,
    }
}

/// Returns whether one of the names stands anywhere in the tokens.
pub(crate) fn mentions(tokens: &impl quote::ToTokens, names: &[String]) -> bool {
    fn any(tokens: proc_macro2::TokenStream, names: &[String]) -> bool {
        tokens.into_iter().any(|token| match token {
            proc_macro2::TokenTree::Group(group) => any(group.stream(), names),
            proc_macro2::TokenTree::Ident(ident) => names.iter().any(|name| ident == name.as_str()),
            _ => false,
        })
    }
    any(tokens.to_token_stream(), names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(check: fn(&Type, &mut Errors), ty: &str) -> String {
        let mut errors = Errors::default();
        check(&syn::parse_str(ty).expect("it is a type"), &mut errors);
        errors
            .into_parts()
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("; ")
    }

    #[test]
    fn plain_data_and_archives_pass() {
        for ty in [
            "Vec<f32>",
            "&Archived<Vec<f32>>",
            "&rkyv::Archived<(i64, [u8; 4])>",
            "ObjectRef<Vec<Option<CounterHandle>>>",
        ] {
            assert_eq!(message(parameter, ty), "", "{ty}");
        }
        for ty in [
            "()",
            "Result<u8, Box<dyn Error>>",
            "Result<(), &'static str>",
        ] {
            assert_eq!(message(returned, ty), "", "{ty}");
        }
    }

    #[test]
    fn the_items_of_iterators_and_streams_are_found() {
        for (ty, kind) in [
            ("impl Iterator<Item = Row> + '_", Streams::Iterator),
            (
                "impl Send + std::iter::Iterator<Item = Row>",
                Streams::Iterator,
            ),
            ("impl futures_core::Stream<Item = Row>", Streams::Stream),
        ] {
            let found = streamed(&syn::parse_str(ty).expect("it is a type")).expect("it streams");
            assert_eq!(found.kind, kind, "{ty}");
            assert_eq!(text_of(&found.item.expect("it is written")), "Row");
            assert_eq!(message(returned, ty), "", "{ty}");
        }
        assert!(message(returned, "impl Iterator").contains("need a type"));
        assert!(message(returned, "impl Iterator<Item = &'static str>").contains("`String`"));
        assert!(message(returned, "impl Display").contains("`impl Trait`"));
    }

    #[test]
    fn a_borrow_names_the_owned_type_to_write() {
        assert!(message(parameter, "&str").contains("take a `String`"));
        assert!(message(parameter, "&[Vec<u8>]").contains("take `Vec<Vec<u8>>`"));
        assert!(message(parameter, "&&Archived<u8>").contains("take `&Archived<u8>`"));
        assert!(message(returned, "&'static [u8]").contains("return `Vec<u8>`"));
        assert!(message(sent, "Option<&'static str>").contains("own it: `String`"));
    }

    #[test]
    fn each_bad_part_of_a_type_is_named() {
        let message = message(sent, "(Rc<u8>, Vec<*const u8>, fn(), Box<dyn Any>)");
        assert_eq!(message.matches("help:").count(), 4, "{message}");
    }

    #[test]
    fn names_are_found_at_any_depth() {
        let ty: Type = syn::parse_quote!(Vec<(u8, [Option<Box<Tree>>; 2])>);
        assert!(mentions(&ty, &["Tree".to_owned()]));
        assert!(!mentions(&ty, &["Tre".to_owned()]));
    }
}
