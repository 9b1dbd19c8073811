//! What cannot be remote, with a line of help each; all errors of an item at once.

use proc_macro2::{Span, TokenStream};
use quote::ToTokens;
use syn::{FnArg, ReturnType, Signature, Type};

use crate::{options::Options, types};

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

    /// Adds the errors of a part, and returns whether there are any.
    pub(crate) fn absorb(&mut self, part: Errors) -> bool {
        let Some(error) = part.0 else { return false };
        self.push(error);
        true
    }

    /// Returns whether there is any.
    pub(crate) fn any(&self) -> bool {
        self.0.is_some()
    }

    /// Returns them one by one.
    #[cfg(test)]
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

/// Which parts of a signature a stub cannot repeat.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Refused {
    /// Whether the function itself is refused, whatever its types.
    pub(crate) function: bool,
    /// One a parameter, without the receiver.
    pub(crate) parameters: Vec<bool>,
    pub(crate) output: bool,
}

impl Refused {
    /// Returns whether anything is.
    pub(crate) fn any(&self) -> bool {
        self.function || self.output || self.parameters.contains(&true)
    }
}

/// Checks what tasks, methods and constructors have in common.
pub(crate) fn signature(signature: &Signature, errors: &mut Errors) -> Refused {
    let mut own = Errors::default();
    modifiers(signature, &mut own);
    let mut refused = Refused {
        function: errors.absorb(own),
        ..Refused::default()
    };
    let generics = signature
        .generics
        .params
        .iter()
        .map(|parameter| match parameter {
            syn::GenericParam::Lifetime(lifetime) => lifetime.lifetime.ident.to_string(),
            syn::GenericParam::Type(ty) => ty.ident.to_string(),
            syn::GenericParam::Const(constant) => constant.ident.to_string(),
        })
        .collect::<Vec<_>>();
    for input in &signature.inputs {
        let FnArg::Typed(typed) = input else { continue };
        let mut own = Errors::default();
        // The error at the generics says it all.
        if !types::mentions(&typed.ty, &generics) {
            types::parameter(&typed.ty, &mut own);
        }
        let is_refused = errors.absorb(own) || types::mentions(&typed.ty, &generics);
        refused.parameters.push(is_refused);
    }
    if let ReturnType::Type(_, output) = &signature.output {
        let mut own = Errors::default();
        types::returned(output, &mut own);
        refused.output = errors.absorb(own) || types::mentions(output, &generics);
    }
    refused
}

fn modifiers(signature: &Signature, errors: &mut Errors) {
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
}

/// Checks how many results a function says it has, and corrects the number where the type shows it.
pub(crate) fn returns(signature: &Signature, options: &mut Options, errors: &mut Errors) {
    let streams = match &signature.output {
        ReturnType::Type(_, output) => types::streamed(output).is_some(),
        ReturnType::Default => false,
    };
    if let Some((_, span)) = options.backpressure.filter(|_| !streams) {
        errors.push(syn::Error::new(
            span,
            "`backpressure` on a function that does not stream\nhelp: return `impl Iterator<Item = ..>`, or remove it",
        ));
        options.backpressure = None;
    }
    let Some((count, span)) = options.num_returns else {
        return;
    };
    if streams {
        errors.push(syn::Error::new(
            span,
            "`num_returns` on a function that streams\nhelp: remove it; a call gives one stream, whatever its length",
        ));
        options.num_returns = None;
        return;
    }
    let found = match value_of(&signature.output) {
        Found::Tuple(found) => found,
        Found::Single if count != 1 => 1,
        Found::Single | Found::Unknown => return,
    };
    // One reference to a whole tuple is always possible.
    if found == count || count == 1 {
        return;
    }
    let what = match found {
        0 => "no value".to_owned(),
        1 => "one value".to_owned(),
        _ => format!("a tuple of {found}"),
    };
    let help = match count {
        0 => "leave `num_returns` out".to_owned(),
        _ => format!("return a tuple of {count} values, or a `Result` of one"),
    };
    let message = format!("`num_returns = {count}`, but the function returns {what}\nhelp: {help}");
    errors.push(match &signature.output {
        ReturnType::Type(_, output) => syn::Error::new_spanned(output, message),
        ReturnType::Default => syn::Error::new(span, message),
    });
    options.num_returns = (found >= 2).then_some((found, span));
}

/// What the syntax shows of a return value.
enum Found {
    /// A tuple of that many; 0 for `()`.
    Tuple(usize),
    /// Certainly no tuple.
    Single,
    /// It may be an alias of a tuple.
    Unknown,
}

fn value_of(output: &ReturnType) -> Found {
    match output {
        ReturnType::Default => Found::Tuple(0),
        ReturnType::Type(_, ty) => shape(ty),
    }
}

fn shape(ty: &Type) -> Found {
    match types::bare(ty) {
        Type::Tuple(tuple) => Found::Tuple(tuple.elems.len()),
        Type::Array(_) => Found::Single,
        Type::Path(path) => match path.path.segments.last() {
            Some(last) if last.ident == "Result" => match types::first_argument(last) {
                Some(value) => shape(value),
                None => Found::Unknown,
            },
            Some(last) if SINGLE.iter().any(|name| last.ident == name) => Found::Single,
            _ => Found::Unknown,
        },
        _ => Found::Unknown,
    }
}

/// Checks what a constructor returns, as far as its syntax shows it.
pub(crate) fn constructed(signature: &Signature, errors: &mut Errors) {
    let help = "return `Self`, or `Result<Self, E>` where it can fail";
    match &signature.output {
        ReturnType::Default => errors.at(
            &signature.ident,
            "a constructor must return the actor",
            help,
        ),
        ReturnType::Type(_, output) => {
            let streams = types::streamed(output).is_some();
            if streams || !matches!(value_of(&signature.output), Found::Unknown) {
                errors.at(output, "a constructor must return the actor", help);
            }
        }
    }
}

/// Returns where the type is written, resolving names as the macro's own code does.
pub(crate) fn span_of(ty: &Type) -> Span {
    syn::spanned::Spanned::span(ty).resolved_at(Span::call_site())
}

/// Types that are never a tuple or a `Result`.
const SINGLE: [&str; 26] = [
    "u8",
    "u16",
    "u32",
    "u64",
    "u128",
    "usize",
    "i8",
    "i16",
    "i32",
    "i64",
    "i128",
    "isize",
    "f32",
    "f64",
    "bool",
    "char",
    "String",
    "Vec",
    "VecDeque",
    "Option",
    "Box",
    "HashMap",
    "HashSet",
    "BTreeMap",
    "BTreeSet",
    "ObjectRef",
];
