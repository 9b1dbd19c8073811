//! The parts that the code of tasks, constructors and methods has in common.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::{Ident, Type};

use crate::{
    check::{self, Refused},
    model::Function,
    types::{self, Streams},
};

impl Function {
    /// Writes the parameters of a stub.
    pub(crate) fn stub_parameters(&self) -> TokenStream {
        let names = self.parameters.iter().map(|parameter| &parameter.name);
        let types = self.parameters.iter().map(|parameter| &parameter.data);
        quote!(#(#names: impl ::ray_core::__private::IntoArg<#types>),*)
    }

    /// Writes the statements that collect a stub's parameters, and the name that they collect under.
    pub(crate) fn collect_args(&self) -> (TokenStream, Ident) {
        let names = self.parameters.iter().map(|parameter| &parameter.name);
        let types = self.parameters.iter().map(|parameter| &parameter.data);
        // A parameter of the user's own may have any name.
        let args = Ident::new("args", Span::mixed_site());
        let collect = quote! {
            #[allow(unused_mut)]
            let mut #args = ::ray_core::__private::Args::new();
            #(#args.push::<#types>(#names);)*
        };
        (collect, args)
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
    fn outcome(&self) -> TokenStream {
        let output = &self.output;
        quote_spanned!(self.span()=>
            ::ray_core::__private::Outcome<{ ::ray_core::__private::Probe::<#output>::FALLIBLE }>)
    }

    /// Writes what `get` returns.
    fn value(&self) -> TokenStream {
        let (output, outcome) = (&self.output, self.outcome());
        quote_spanned!(self.span()=> <#outcome as ::ray_core::__private::OutcomeOf<#output>>::Value)
    }

    /// Where the return type is written: errors about results belong there.
    fn span(&self) -> Span {
        check::span_of(&self.output)
    }

    /// Returns whether a call gives one reference.
    fn is_single(&self) -> bool {
        matches!(self.options.num_returns, None | Some((1, _)))
    }

    /// Writes the type of the reference or references that a stub returns.
    pub(crate) fn reference(&self) -> TokenStream {
        let value = self.value();
        if self.streams.is_some() {
            quote!(::ray_core::__private::ObjectRefStream<#value>)
        } else if self.is_single() {
            quote!(::ray_core::__private::ObjectRef<#value>)
        } else {
            quote_spanned!(self.span()=> <#value as ::ray_core::__private::TupleRefs>::Refs)
        }
    }

    /// Writes how references get their types.
    pub(crate) fn typed(&self, submitted: &TokenStream) -> TokenStream {
        let value = self.value();
        if self.streams.is_some() {
            quote!(#submitted.stream::<#value>())
        } else if self.is_single() {
            quote!(#submitted.one::<#value>())
        } else {
            let span = self.span();
            let tuple = quote_spanned!(span=> tuple::<#value>);
            quote!(#submitted.#tuple())
        }
    }

    /// Writes how a returned value becomes a result or an error.
    pub(crate) fn finish(&self, returned: &TokenStream) -> TokenStream {
        if let Some(streams) = self.streams {
            return self.send_items(streams, returned);
        }
        let split = self.split(returned);
        let span = self.span();
        let results = quote!(__results);
        let Some((count, _)) = self.options.num_returns.filter(|(count, _)| *count != 1) else {
            return quote_spanned!(span=> #results.push(&#split));
        };
        let value = self.value();
        let push = quote_spanned!(span=> ::ray_core::__private::TupleRefs::push_each);
        let check = quote_spanned!(span=> ::ray_core::__private::assert_returns::<#value>(#count));
        quote!({
            const _: () = #check;
            #push(&#split, #results)
        })
    }

    /// Writes how the items of a stream are sent one by one; its end is the call's result.
    fn send_items(&self, streams: Streams, returned: &TokenStream) -> TokenStream {
        let split = self.split(&quote!(__item));
        let send = if self.runs_async() {
            quote_spanned!(self.span()=> __results.item_async(#split).await?)
        } else {
            quote_spanned!(self.span()=> __results.item(&#split)?)
        };
        match streams {
            Streams::Iterator => quote!({
                for __item in #returned {
                    #send;
                }
                __results.push(&())
            }),
            Streams::Stream => quote!({
                let mut __items = ::core::pin::pin!(#returned);
                while let ::core::option::Option::Some(__item) =
                    ::ray_core::__private::next_of(&mut __items).await
                {
                    #send;
                }
                __results.push(&())
            }),
        }
    }

    /// Writes how a returned value is taken out of its `Result`, if it is one.
    fn split(&self, returned: &TokenStream) -> TokenStream {
        let (output, outcome) = (&self.output, self.outcome());
        quote_spanned! {self.span()=>
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

    /// Writes how what a constructor returned becomes the actor or an error.
    pub(crate) fn made(&self, returned: &TokenStream) -> TokenStream {
        let split = self.split(returned);
        quote_spanned!(self.span()=> ::core::result::Result::Ok(#split))
    }

    /// Writes a stub for what was refused: same name, every type that can be kept, nothing inside.
    pub(crate) fn fallback(&self, refused: &Refused) -> Fallback {
        let parameters = self
            .parameters
            .iter()
            .zip(refused.parameters.iter().chain(std::iter::repeat(&false)))
            .map(|(parameter, is_refused)| {
                let (name, data) = (&parameter.name, &parameter.data);
                if *is_refused {
                    quote!(#name: impl ::core::marker::Sized)
                } else {
                    quote!(#name: impl ::ray_core::__private::IntoArg<#data>)
                }
            });
        let reference = match &self.output {
            _ if !refused.output => self.reference(),
            Type::Reference(reference) => {
                let owned = types::owned(reference);
                quote!(::ray_core::__private::ObjectRef<#owned>)
            }
            _ => quote!(::ray_core::__private::ObjectRef<()>),
        };
        Fallback {
            parameters: quote!(#(#parameters),*),
            reference,
            body: quote!(::core::unreachable!("the macro reported an error")),
        }
    }

    /// Writes the entry of the function table.
    pub(crate) fn entry(&self, name: &str, invoke: &TokenStream) -> TokenStream {
        let signature = &self.signature;
        let count = self.options.num_returns.map_or(1, |(count, _)| count);
        let returns = u16::try_from(count).expect("checked to be at most 8");
        let streams = self.streams.is_some();
        let defaults = self.options.task_defaults();
        quote! {
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
                streams: #streams,
                defaults: #defaults,
                invoke: #invoke,
            };
        }
    }
}

/// The parts of a stub after an error, so that its callers stay quiet.
pub(crate) struct Fallback {
    pub(crate) parameters: TokenStream,
    pub(crate) reference: TokenStream,
    pub(crate) body: TokenStream,
}
