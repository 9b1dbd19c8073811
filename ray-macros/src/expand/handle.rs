//! `#[remote] impl`: the constructor and the methods of a handle.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{FnArg, ImplItem, ImplItemFn, ItemImpl, Path, ReceiverKind, Type, Visibility};

use super::task::check_returns;
use crate::{
    attr::{self, Options, Place},
    check::{self, Errors},
    model::Function,
};

pub(crate) fn expand(attr: TokenStream, mut block: ItemImpl) -> TokenStream {
    let mut errors = Errors::default();
    attr::parse(attr, Place::Impl, &mut errors);
    let Some(actor) = actor_path(&block, &mut errors) else {
        let errors = errors.into_tokens();
        return quote!(#block #errors);
    };
    let mut stubs = Vec::new();
    let mut has_constructor = false;
    for item in &mut block.items {
        let ImplItem::Fn(method) = item else { continue };
        let options = take_method_options(method, &mut errors);
        if !matches!(method.vis, Visibility::Public(_)) {
            if let Some((_, tokens)) = options {
                errors.at(
                    tokens,
                    "`#[method]` on a method that is not public",
                    "make it `pub`, or remove `#[method]`: only public methods are remote",
                );
            }
            continue;
        }
        let options = options.map(|(options, _)| options).unwrap_or_default();
        // What is wrong with a method leaves it without a stub; the others keep theirs.
        let mut own = Errors::default();
        check::signature(&method.sig, &mut own);
        check_returns(&method.sig, options.num_returns, &mut own);
        check_name(method, &mut own);
        let receiver = receiver_of(method, &mut own);
        let function = Function::read(&method.sig, &method.attrs, options, &mut own);
        match receiver {
            Some(Kind::Constructor) if has_constructor => own.at(
                &method.sig.ident,
                "an actor has one constructor",
                "keep one `new`, and let it choose by its arguments",
            ),
            Some(Kind::Constructor) => {
                has_constructor = true;
                if !own.any() {
                    stubs.push(constructor(&actor, &function));
                }
            }
            Some(Kind::Method { is_exclusive }) if !own.any() => {
                stubs.push(self::method(&actor, &function, is_exclusive));
            }
            _ => {}
        }
        for error in own.into_parts() {
            errors.push(error);
        }
    }
    let errors = errors.into_tokens();
    quote! {
        #block
        #errors
        #(#stubs)*
    }
}

enum Kind {
    Constructor,
    Method { is_exclusive: bool },
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
    match &*block.self_ty {
        Type::Path(path) if path.qself.is_none() => {
            let last = path.path.segments.last()?;
            if !last.arguments.is_none() {
                errors.at(
                    &block.self_ty,
                    "an actor cannot be generic",
                    "write one struct for each type",
                );
                return None;
            }
            Some(path.path.clone())
        }
        other => {
            errors.at(
                other,
                "`#[remote]` goes on the `impl` of a struct under `#[actor]`",
                "name the struct",
            );
            None
        }
    }
}

fn handle_of(actor: &Path) -> Path {
    let mut handle = actor.clone();
    if let Some(last) = handle.segments.last_mut() {
        last.ident = format_ident!("{}Handle", last.ident);
    }
    handle
}

fn take_method_options(
    method: &mut ImplItemFn,
    errors: &mut Errors,
) -> Option<(Options, syn::Attribute)> {
    let position = method
        .attrs
        .iter()
        .position(|attr| attr.path().is_ident("method"))?;
    let attr = method.attrs.remove(position);
    let tokens = match &attr.meta {
        syn::Meta::List(list) => list.tokens.clone(),
        syn::Meta::Path(_) => TokenStream::new(),
        syn::Meta::NameValue(pair) => {
            errors.at(
                pair,
                "`#[method]` takes a list of options",
                "write `#[method(max_retries = 2)]`",
            );
            TokenStream::new()
        }
    };
    Some((attr::parse(tokens, Place::Method, errors), attr))
}

fn check_name(method: &ImplItemFn, errors: &mut Errors) {
    let name = &method.sig.ident;
    if name == "remote" || name == "options" {
        errors.at(
            name,
            &format!("a remote method cannot be named `{name}`"),
            "the macro adds a function of that name; choose another",
        );
    }
}

fn receiver_of(method: &ImplItemFn, errors: &mut Errors) -> Option<Kind> {
    let receiver = method.sig.inputs.iter().find_map(|input| match input {
        FnArg::Receiver(receiver) => Some(receiver),
        FnArg::Typed(_) => None,
    });
    match receiver {
        Some(receiver) if !matches!(receiver.kind, ReceiverKind::Reference(..)) => {
            errors.at(
                receiver,
                "a remote method cannot take `self` by value",
                "take `&self` or `&mut self`; an actor ends itself with `exit_actor()`",
            );
            None
        }
        Some(receiver) => {
            let is_exclusive = matches!(receiver.kind, ReceiverKind::Reference(_, _, Some(_)));
            Some(Kind::Method { is_exclusive })
        }
        None if method.sig.ident == "new" => Some(Kind::Constructor),
        None => {
            errors.at(
                &method.sig.ident,
                "a public function of a remote `impl` needs `&self`, or is the constructor `new`",
                "add `&self`, make it private, or move it to an `impl` without `#[remote]`",
            );
            None
        }
    }
}

fn constructor(actor: &Path, function: &Function) -> TokenStream {
    let handle = handle_of(actor);
    let name = actor
        .segments
        .last()
        .map(|last| last.ident.to_string())
        .unwrap_or_default();
    let options = format_ident!("__{}Options", name);
    let cfgs = &function.cfgs;
    let docs = &function.docs;
    let parameters = function.stub_parameters();
    let names = function.parameters.iter().map(|parameter| &parameter.name);
    let collect = function.collect_args();
    let decoded = function.decode_args();
    // `Self` in the return type means the actor; outside its impl it has to be named.
    let function = function.with_self(actor);
    let entry = function.entry(
        &format!("{name}::new"),
        &quote! {
            ::ray_core::__private::Invoke::Create(::ray_core::__private::Create::of::<__New>(
                <#handle as ::ray_core::__private::ActorHandle>::CLASS,
                ::ray_core::__private::ThreadedConstructor::<__New>::FORM,
            ))
        },
    );
    let make = if function.is_async {
        let split = function.split(&quote!(#actor::new(#(#decoded),*).await));
        quote! {
            fn make(
                __call: &::ray_core::__private::Call,
            ) -> ::core::result::Result<Self::Actor, ::ray_core::__private::CallError> {
                ::ray_core::__private::block_on(Self::make_async(__call))
            }

            fn make_async<'a>(
                __call: &'a ::ray_core::__private::Call,
            ) -> ::ray_core::__private::LocalFuture<'a, ::core::result::Result<Self::Actor, ::ray_core::__private::CallError>> {
                ::std::boxed::Box::pin(async move { ::core::result::Result::Ok(#split) })
            }
        }
    } else {
        let split = function.split(&quote!(#actor::new(#(#decoded),*)));
        quote! {
            fn make(
                __call: &::ray_core::__private::Call,
            ) -> ::core::result::Result<Self::Actor, ::ray_core::__private::CallError> {
                ::core::result::Result::Ok(#split)
            }
        }
    };
    quote! {
        #(#cfgs)*
        #[doc(hidden)]
        #[allow(non_camel_case_types, dead_code, clippy::all)]
        const _: () = {
            #[allow(unused_imports)]
            use ::ray_core::__private::{ProbeDefault as _, ThreadedConstructorDefault as _};

            ::ray_core::__ray_actor_options!(pub #options);

            impl #actor {
                #(#docs)*
                pub fn remote(#parameters) -> #handle {
                    Self::options().remote(#(#names),*)
                }

                /// Returns options for one creation.
                pub fn options() -> #options {
                    ::core::default::Default::default()
                }
            }

            impl #options {
                #(#docs)*
                pub fn remote(self, #parameters) -> #handle {
                    #collect
                    ::ray_core::__private::ActorHandle::from_actor_ref(::ray_core::__private::create_actor(
                        <#handle as ::ray_core::__private::ActorHandle>::CLASS,
                        &__METHOD,
                        self.0,
                        __args,
                    ))
                }
            }

            struct __New;

            #[allow(unused_variables)]
            impl ::ray_core::__private::Constructor for __New {
                type Actor = #actor;
                #make
            }

            #entry
        };
    }
}

fn method(actor: &Path, function: &Function, is_exclusive: bool) -> TokenStream {
    let handle = handle_of(actor);
    let class = actor
        .segments
        .last()
        .map(|last| last.ident.to_string())
        .unwrap_or_default();
    let cfgs = &function.cfgs;
    let docs = &function.docs;
    let function = &function.with_self(actor);
    let name = &function.name;
    let parameters = function.stub_parameters();
    let collect = function.collect_args();
    let reference = function.reference();
    let typed = function.typed(&quote! {
        ::ray_core::__private::submit_call(
            ::ray_core::__private::ActorHandle::actor_ref(self),
            &__METHOD,
            ::core::default::Default::default(),
            __args,
        )
    });
    let decoded = function.decode_args();
    let (receiver, run, borrow) = match (function.is_async, is_exclusive) {
        (false, true) => (quote!(Exclusive), quote!(run_mut), quote!(&mut)),
        (false, false) => (quote!(Shared), quote!(run_ref), quote!(&)),
        (true, true) => (quote!(AsyncExclusive), quote!(start_mut), quote!(&'a mut)),
        (true, false) => (quote!(AsyncShared), quote!(start_ref), quote!(&'a)),
    };
    let result = quote!(::core::result::Result<(), ::ray_core::__private::CallError>);
    let body = if function.is_async {
        let finish = function.finish(&quote!(__actor.#name(#(#decoded),*).await));
        quote! {
            fn #run<'a>(
                __actor: #borrow Self::Actor,
                __call: &'a ::ray_core::__private::Call,
                __results: &'a mut ::ray_core::__private::Results<'_>,
            ) -> ::ray_core::__private::LocalFuture<'a, #result> {
                ::std::boxed::Box::pin(async move { #finish })
            }
        }
    } else {
        let finish = function.finish(&quote!(__actor.#name(#(#decoded),*)));
        quote! {
            fn #run(
                __actor: #borrow Self::Actor,
                __call: &::ray_core::__private::Call,
                __results: &mut ::ray_core::__private::Results<'_>,
            ) -> #result {
                #finish
            }
        }
    };
    let entry = function.entry(
        &format!("{class}::{name}"),
        &quote! {
            ::ray_core::__private::Invoke::Method(
                ::ray_core::__private::MethodForms::of::<__Body>(
                    ::ray_core::__private::ThreadedMethod::<__Body>::FORM,
                ),
                <#handle as ::ray_core::__private::ActorHandle>::CLASS,
            )
        },
    );
    quote! {
        #(#cfgs)*
        #[doc(hidden)]
        #[allow(dead_code, clippy::all)]
        const _: () = {
            #[allow(unused_imports)]
            use ::ray_core::__private::{ProbeDefault as _, ThreadedMethodDefault as _};

            impl #handle {
                #(#docs)*
                pub fn #name(&self, #parameters) -> #reference {
                    #collect
                    #typed
                }
            }

            struct __Body;

            #[allow(unused_variables)]
            impl ::ray_core::__private::MethodBody for __Body {
                type Actor = #actor;
                const RECEIVER: ::ray_core::__private::Receiver = ::ray_core::__private::Receiver::#receiver;
                #body
            }

            #entry
        };
    }
}
