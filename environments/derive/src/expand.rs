//! What a derive writes.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::Ident;

use crate::model::{Field, Model, Shape};

/// Which trait is implemented.
#[derive(Clone, Copy, PartialEq)]
pub enum Role {
    /// What an agent sees: written into rows.
    Observation,
    /// What an agent does: read from rows.
    Action,
}

/// Writes the implementation.
pub fn expand(model: &Model<'_>, role: Role) -> TokenStream {
    let name = model.name;
    let (before, arguments, bounds) = model.generics.split_for_impl();
    let target = role.path();
    let body = match &model.shape {
        Shape::Choice(variants) => choice(variants, role),
        Shape::Named(fields) | Shape::Unnamed(fields) => record(fields, role),
    };
    quote! {
        #[automatically_derived]
        impl #before #target for #name #arguments #bounds {
            #body
        }
    }
}

impl Role {
    fn path(self) -> TokenStream {
        match self {
            Role::Observation => quote!(::environments::Observation),
            Role::Action => quote!(::environments::Action),
        }
    }
}

fn choice(variants: &[&Ident], role: Role) -> TokenStream {
    let count = variants.len() as i64;
    let indices = 0..count;
    let again = indices.clone();
    let index_of = quote!(match self { #(Self::#variants => #indices,)* });
    let from_index = quote!(match index { #(#again => Some(Self::#variants),)* _ => None });
    let rows = match role {
        Role::Observation => quote! {
            fn row_len(&self) -> usize {
                1
            }

            fn write(&self, row: &mut [f32]) {
                let index: i64 = #index_of;
                ::environments::Observation::write(&index, row);
            }
        },
        Role::Action => quote! {
            fn take(row: &mut &[f32]) -> Option<Self> {
                let index = <i64 as ::environments::Action>::take(row)?;
                <Self as ::environments::Action>::from_index(index)
            }

            fn from_index(index: i64) -> Option<Self> {
                #from_index
            }

            fn from_values(_values: &[f32]) -> Option<Self> {
                None
            }
        },
    };
    quote! {
        fn space() -> Option<::environments::Space> {
            Some(::environments::Discrete::new(#count).into())
        }

        #rows

        fn to_value(&self) -> ::environments::Value {
            ::environments::Value::Int(#index_of)
        }

        fn from_value(value: &::environments::Value) -> Option<Self> {
            let index = value.as_int()?;
            #from_index
        }
    }
}

fn record(fields: &[Field<'_>], role: Role) -> TokenStream {
    let target = role.path();
    let kinds = fields.iter().map(|field| field.kind).collect::<Vec<_>>();
    let locals = (0..fields.len())
        .map(|at| format_ident!("field_{at}"))
        .collect::<Vec<_>>();
    let members = fields
        .iter()
        .enumerate()
        .map(|(at, field)| match field.name {
            Some(name) => quote!(#name),
            None => {
                let index = syn::Index::from(at);
                quote!(#index)
            }
        })
        .collect::<Vec<_>>();
    let build = quote!(Self { #(#members: #locals),* });
    let rows = match role {
        Role::Observation => quote! {
            fn row_len(&self) -> usize {
                0 #(+ #target::row_len(&self.#members))*
            }

            fn write(&self, row: &mut [f32]) {
                #(
                    let (front, row) = row.split_at_mut(#target::row_len(&self.#members));
                    #target::write(&self.#members, front);
                )*
                debug_assert!(row.is_empty(), "the row has the observation's length");
            }
        },
        Role::Action => quote! {
            fn take(row: &mut &[f32]) -> Option<Self> {
                #(let #locals = <#kinds as #target>::take(row)?;)*
                Some(#build)
            }
        },
    };
    let spaces = fields
        .iter()
        .map(|field| space(field, role))
        .collect::<Vec<_>>();
    let values = quote!(#(#target::to_value(&self.#members)),*);
    let count = fields.len();
    let (space, to_value, read) = match fields[0].name {
        Some(_) => {
            let names = members.iter().map(ToString::to_string).collect::<Vec<_>>();
            (
                quote!(Some(::environments::Dict::new([#((#names, #spaces?)),*]).into())),
                quote!(::environments::Value::Map(
                    [#((#names.to_owned(), #target::to_value(&self.#members))),*].into()
                )),
                quote! {
                    let values = value.as_map().filter(|values| values.len() == #count)?;
                    #(let #locals = <#kinds as #target>::from_value(values.get(#names)?)?;)*
                },
            )
        }
        None if count == 1 => (
            quote!(#(#spaces)*),
            values,
            quote!(#(let #locals = <#kinds as #target>::from_value(value)?;)*),
        ),
        None => {
            let indices = 0..count;
            (
                quote!(Some(::environments::Tuple::new(vec![#(#spaces?),*]).into())),
                quote!(::environments::Value::List(vec![#values])),
                quote! {
                    let values = value.as_list().filter(|values| values.len() == #count)?;
                    #(let #locals = <#kinds as #target>::from_value(&values[#indices])?;)*
                },
            )
        }
    };
    quote! {
        fn space() -> Option<::environments::Space> {
            #space
        }

        #rows

        fn to_value(&self) -> ::environments::Value {
            #to_value
        }

        fn from_value(value: &::environments::Value) -> Option<Self> {
            #read
            Some(#build)
        }
    }
}

/// Writes the space of a field, as an option.
fn space(field: &Field<'_>, role: Role) -> TokenStream {
    let (target, kind) = (role.path(), field.kind);
    if let Some(n) = &field.space.n {
        return quote!(Some(::environments::Space::from(::environments::Discrete::new(#n))));
    }
    let own = quote!(<#kind as #target>::space());
    if field.space.low.is_none() && field.space.high.is_none() {
        return own;
    }
    let low = field.space.low.iter();
    let high = field.space.high.iter();
    quote! {
        #own.map(|space| space.narrowed(
            None #(.or(Some(f64::from(#low))))*,
            None #(.or(Some(f64::from(#high))))*,
        ))
    }
}
