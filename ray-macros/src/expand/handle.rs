//! `#[remote] impl`: reads the block, checks each method, and leaves the stubs to their files.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{
    FnArg, ImplItem, ImplItemFn, ItemImpl, Path, ReceiverKind, ReturnType, Signature, Type,
    Visibility,
};

use super::{constructor, method};
use crate::{
    attr::{self, Place},
    check::{self, Errors},
    model::Function,
    types::{self, Streams},
};

pub(crate) fn expand(attr: TokenStream, mut block: ItemImpl) -> TokenStream {
    let mut errors = Errors::default();
    attr::parse(attr, Place::Impl, &mut errors);
    let actor = actor_path(&block, &mut errors);
    let mut stubs = Vec::new();
    let mut seen = Seen {
        any_async: any_async(&block),
        constructor: false,
    };
    let mut kept = Vec::new();
    for mut item in std::mem::take(&mut block.items) {
        if let ImplItem::Fn(method) = &mut item {
            let attrs = take_method_attrs(method);
            if let Some(actor) = &actor {
                stubs.push(stub(actor, method, attrs, &mut seen, &mut errors));
                // A second function of the name would only repeat the error.
                if is_taken(method) {
                    continue;
                }
            }
        }
        kept.push(item);
    }
    block.items = kept;
    let errors = errors.into_tokens();
    quote! {
        #block
        #errors
        #(#stubs)*
    }
}

/// What is known of a block besides the method at hand.
struct Seen {
    any_async: bool,
    constructor: bool,
}

/// Checks one function and writes its stub: nothing for a private one.
fn stub(
    actor: &Path,
    item: &ImplItemFn,
    attrs: Vec<syn::Attribute>,
    seen: &mut Seen,
    errors: &mut Errors,
) -> TokenStream {
    if is_taken(item) {
        let name = &item.sig.ident;
        errors.at(
            name,
            &format!("a remote method cannot be named `{name}`"),
            "the macro adds a function of that name; choose another",
        );
        return TokenStream::new();
    }
    let has_receiver = item.sig.inputs.iter().any(is_receiver);
    let is_constructor = !has_receiver && item.sig.ident == "new";
    if !matches!(item.vis, Visibility::Public(_)) && !is_constructor {
        if let Some(attr) = attrs.first() {
            errors.at(
                attr,
                "`#[method]` on a method that is not public",
                "make it `pub`, or remove `#[method]`: only public methods are remote",
            );
        }
        return TokenStream::new();
    }
    let place = if is_constructor {
        Place::Constructor
    } else {
        Place::Method
    };
    let mut options = method_options(attrs, place, errors);
    let mut refused = check::signature(&item.sig, errors);
    check::returns(&item.sig, &mut options, errors);
    let mut own = Errors::default();
    let receiver = receiver_of(item, &mut own);
    let function = Function::read(&item.sig, &item.attrs, options, &mut own).with_self(actor);
    let stub = if is_constructor {
        check_constructor(item, &function, seen, &mut own);
        refused.function |= errors.absorb(own);
        if refused.any() {
            constructor::fallback(actor, &function, &refused, seen.any_async)
        } else {
            constructor::stub(actor, &function, seen.any_async)
        }
    } else {
        refused.function |= errors.absorb(own);
        match receiver {
            Some(is_exclusive) if !refused.any() => method::stub(actor, &function, is_exclusive),
            _ if has_receiver => method::fallback(actor, &function, &refused),
            _ => TokenStream::new(),
        }
    };
    seen.constructor |= is_constructor && function.cfgs.is_empty();
    stub
}

fn actor_path(block: &ItemImpl, errors: &mut Errors) -> Option<Path> {
    if let Some((path, _)) = &block.trait_ {
        errors.at(
            path,
            "the methods of a trait cannot be made remote",
            "put the methods into an `impl` of the actor itself and call the trait's from there",
        );
        return None;
    }
    if !block.generics.params.is_empty() {
        errors.at(
            &block.generics,
            "an actor cannot be generic",
            "write one struct for each type",
        );
        return None;
    }
    let Type::Path(path) = &*block.self_ty else {
        errors.at(
            &block.self_ty,
            "`#[remote]` goes on the `impl` of a struct under `#[actor]`",
            "name the struct",
        );
        return None;
    };
    let last = path.path.segments.last().filter(|_| path.qself.is_none());
    if last.is_none_or(|last| !last.arguments.is_none()) {
        errors.at(
            &block.self_ty,
            "an actor cannot be generic",
            "write one struct for each type",
        );
        return None;
    }
    Some(path.path.clone())
}

/// Returns the path of an actor's handle, which stands beside the actor.
pub(super) fn handle_of(actor: &Path) -> Path {
    let mut handle = actor.clone();
    if let Some(last) = handle.segments.last_mut() {
        last.ident = format_ident!("{}Handle", last.ident);
    }
    handle
}

/// Returns an actor's name without its path.
pub(super) fn name_of(actor: &Path) -> String {
    actor
        .segments
        .last()
        .map(|last| last.ident.to_string())
        .unwrap_or_default()
}

fn any_async(block: &ItemImpl) -> bool {
    block.items.iter().any(|item| match item {
        ImplItem::Fn(method) => {
            matches!(method.vis, Visibility::Public(_))
                && runs_async(&method.sig)
                && method.sig.inputs.iter().any(is_receiver)
        }
        _ => false,
    })
}

fn runs_async(signature: &Signature) -> bool {
    let streams = match &signature.output {
        ReturnType::Type(_, output) => types::streamed(output),
        ReturnType::Default => None,
    };
    signature.asyncness.is_some() || streams.is_some_and(|found| found.kind == Streams::Stream)
}

fn is_receiver(input: &FnArg) -> bool {
    matches!(input, FnArg::Receiver(_))
}

/// Returns whether the macro adds a function of the same name to the actor.
fn is_taken(method: &ImplItemFn) -> bool {
    method.sig.ident == "remote" || method.sig.ident == "options"
}

/// Takes the `#[method]` attributes off, which mean nothing to the compiler.
fn take_method_attrs(method: &mut ImplItemFn) -> Vec<syn::Attribute> {
    let (taken, kept) = std::mem::take(&mut method.attrs)
        .into_iter()
        .partition(|attr| attr.path().is_ident("method"));
    method.attrs = kept;
    taken
}

fn method_options(
    attrs: Vec<syn::Attribute>,
    place: Place,
    errors: &mut Errors,
) -> crate::options::Options {
    let mut tokens = TokenStream::new();
    for attr in attrs {
        match attr.meta {
            syn::Meta::List(list) => {
                let list = list.tokens;
                tokens.extend(quote!(#list,));
            }
            syn::Meta::Path(_) => {}
            syn::Meta::NameValue(pair) => errors.at(
                pair,
                "`#[method]` takes a list of options",
                "write `#[method(max_retries = 2)]`",
            ),
        }
    }
    attr::parse(tokens, place, errors)
}

fn check_constructor(item: &ImplItemFn, function: &Function, seen: &Seen, errors: &mut Errors) {
    if !matches!(item.vis, Visibility::Public(_)) {
        errors.at(
            &item.sig.ident,
            "the constructor of an actor must be public",
            "write `pub fn new`; it is called wherever the struct can be seen",
        );
    }
    if seen.constructor && function.cfgs.is_empty() {
        errors.at(
            &item.sig.ident,
            "an actor has one constructor",
            "keep one `new`, and let it choose by its arguments",
        );
    }
    check::constructed(&item.sig, errors);
}

/// Returns whether a method borrows its actor alone; `None` for what is no method.
fn receiver_of(item: &ImplItemFn, errors: &mut Errors) -> Option<bool> {
    let receiver = item.sig.inputs.iter().find_map(|input| match input {
        FnArg::Receiver(receiver) => Some(receiver),
        FnArg::Typed(_) => None,
    });
    match receiver {
        Some(receiver) => match &receiver.kind {
            ReceiverKind::Reference(_, None, mutability) => Some(mutability.is_some()),
            ReceiverKind::Reference(_, Some(_), _) => {
                errors.at(
                    receiver,
                    "a remote method borrows its actor for the time of the call",
                    "write `&self` or `&mut self`, without a lifetime",
                );
                None
            }
            ReceiverKind::Typed(_, ty) if matches!(types::bare(ty), Type::Reference(_)) => {
                errors.at(
                    receiver,
                    "a remote method takes `self` in its short form",
                    "write `&self` or `&mut self`",
                );
                None
            }
            _ => {
                errors.at(
                    receiver,
                    "a remote method cannot take `self` by value",
                    "take `&self` or `&mut self`; an actor ends itself with `exit_actor()`",
                );
                None
            }
        },
        None if item.sig.ident == "new" => None,
        None => {
            errors.at(
                &item.sig.ident,
                "a public function of a remote `impl` needs `&self`, or is the constructor `new`",
                "add `&self`, make it private, or move it to an `impl` without `#[remote]`",
            );
            None
        }
    }
}
