//! What a derive reads from a type, and what it refuses.

use syn::{
    Data, DeriveInput, Error, Expr, Fields, Generics, Ident, Result, Type, spanned::Spanned as _,
};

/// A type to implement a trait for.
pub struct Model<'a> {
    pub name: &'a Ident,
    pub generics: &'a Generics,
    pub shape: Shape<'a>,
}

/// What a type is made of.
pub enum Shape<'a> {
    /// Fields with names, in the order of their names.
    Named(Vec<Field<'a>>),
    /// Fields without names.
    Unnamed(Vec<Field<'a>>),
    /// Variants without fields.
    Choice(Vec<&'a Ident>),
}

/// A field of a struct.
pub struct Field<'a> {
    pub name: Option<&'a Ident>,
    pub kind: &'a Type,
    pub space: Bounds,
}

/// What `#[space(…)]` says.
#[derive(Default)]
pub struct Bounds {
    pub low: Option<Expr>,
    pub high: Option<Expr>,
    pub n: Option<Expr>,
}

/// Reads a type; all its faults come in one error.
pub fn read(input: &DeriveInput) -> Result<Model<'_>> {
    let shape = match &input.data {
        Data::Struct(data) => {
            let mut fields = read_fields(&data.fields)?;
            match &data.fields {
                Fields::Named(_) => {
                    fields.sort_by_key(|field| field.name.map(ToString::to_string));
                    Shape::Named(fields)
                }
                _ => Shape::Unnamed(fields),
            }
        }
        Data::Enum(data) => {
            let full = data
                .variants
                .iter()
                .filter(|variant| !variant.fields.is_empty());
            let faults = full.map(|variant| {
                Error::new_spanned(
                    variant,
                    "a choice has no fields: use a struct, or one variant for each choice",
                )
            });
            if let Some(error) = combined(faults) {
                return Err(error);
            }
            if data.variants.is_empty() {
                return Err(Error::new_spanned(&input.ident, "a choice needs variants"));
            }
            Shape::Choice(data.variants.iter().map(|variant| &variant.ident).collect())
        }
        Data::Union(data) => {
            return Err(Error::new(
                data.union_token.span(),
                "use a struct or an enum",
            ));
        }
    };
    Ok(Model {
        name: &input.ident,
        generics: &input.generics,
        shape,
    })
}

fn read_fields(fields: &Fields) -> Result<Vec<Field<'_>>> {
    if fields.is_empty() {
        return Err(Error::new(
            fields.span(),
            "there is nothing in it to see or do: give it a field",
        ));
    }
    let (mut read, mut faults) = (Vec::new(), Vec::new());
    for field in fields {
        match read_bounds(field) {
            Ok(space) => read.push(Field {
                name: field.ident.as_ref(),
                kind: &field.ty,
                space,
            }),
            Err(fault) => faults.push(fault),
        }
    }
    combined(faults).map_or(Ok(read), Err)
}

fn read_bounds(field: &syn::Field) -> Result<Bounds> {
    let mut bounds = Bounds::default();
    for attribute in &field.attrs {
        if !attribute.path().is_ident("space") {
            continue;
        }
        attribute.parse_nested_meta(|meta| {
            let slot = if meta.path.is_ident("low") {
                &mut bounds.low
            } else if meta.path.is_ident("high") {
                &mut bounds.high
            } else if meta.path.is_ident("n") {
                &mut bounds.n
            } else {
                return Err(meta.error("write `low = …`, `high = …` or `n = …`"));
            };
            *slot = Some(meta.value()?.parse()?);
            Ok(())
        })?;
        if bounds.n.is_some() && (bounds.low.is_some() || bounds.high.is_some()) {
            return Err(Error::new_spanned(
                attribute,
                "`n` makes a choice and `low` and `high` a range: write one of them",
            ));
        }
    }
    Ok(bounds)
}

fn combined(faults: impl IntoIterator<Item = Error>) -> Option<Error> {
    faults.into_iter().reduce(|mut all, fault| {
        all.combine(fault);
        all
    })
}
