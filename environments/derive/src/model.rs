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

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> String {
        let input: DeriveInput = syn::parse_str(text).expect("a type");
        let error = read(&input).err().expect("a fault");
        let faults = error.into_iter().map(|fault| fault.to_string());
        faults.collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn what_is_no_observation_or_action_is_refused_with_what_to_write() {
        for (text, expected) in [
            (
                "enum Move { Left, By(i64), To { x: i64 } }",
                "a choice has no fields: use a struct",
            ),
            ("enum Never {}", "a choice needs variants"),
            ("struct Nothing;", "give it a field"),
            ("union Bits { a: u8 }", "use a struct or an enum"),
            (
                "struct Seen { #[space(top = 1)] x: f32 }",
                "write `low = …`, `high = …` or `n = …`",
            ),
            (
                "struct Seen { #[space(n = 2, low = 0.0)] x: i64 }",
                "write one of them",
            ),
        ] {
            let fault = fault(text);
            assert!(fault.contains(expected), "{text}: {fault}");
        }
    }

    #[test]
    fn all_faults_come_at_once() {
        let both =
            fault("struct Seen { #[space(top = 1)] x: f32, #[space(n = 1, high = 2)] y: i64 }");
        assert_eq!(both.matches(';').count(), 1, "{both}");
        let both = fault("enum Move { By(i64), To(i64) }");
        assert_eq!(both.matches(';').count(), 1, "{both}");
    }

    #[test]
    fn fields_are_in_the_order_of_their_names() {
        let input: DeriveInput = syn::parse_str("struct Seen { b: f32, a: f32 }").expect("a type");
        let Shape::Named(fields) = read(&input).expect("a struct").shape else {
            panic!("it has names");
        };
        let names = fields
            .iter()
            .filter_map(|field| field.name)
            .map(ToString::to_string);
        assert_eq!(names.collect::<Vec<_>>(), ["a", "b"]);
    }
}
