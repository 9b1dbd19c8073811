//! The values of options, and the tables of defaults written from them.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::{
    Expr, ExprLit, ExprPath, ExprUnary, Lit, LitStr, Meta, MetaNameValue, Token, UnOp,
    parse::Parser as _, spanned::Spanned as _,
};

use crate::check::Errors;

/// Options by name; `None` where nothing, or nothing sensible, was written.
#[derive(Clone, Default)]
pub(crate) struct Options {
    pub(crate) num_cpus: Option<f64>,
    pub(crate) num_gpus: Option<f64>,
    pub(crate) memory: Option<u64>,
    pub(crate) resources: Vec<(LitStr, f64)>,
    pub(crate) max_retries: Option<i32>,
    pub(crate) retry_exceptions: Option<RetryExceptions>,
    pub(crate) max_calls: Option<u32>,
    pub(crate) num_returns: Option<(usize, Span)>,
    pub(crate) name: Option<LitStr>,
    pub(crate) stub: Option<syn::Ident>,
    pub(crate) max_restarts: Option<i32>,
    pub(crate) max_task_retries: Option<i32>,
    pub(crate) max_concurrency: Option<(u32, Span)>,
    pub(crate) max_pending_calls: Option<u64>,
    pub(crate) on_panic_restart: bool,
    pub(crate) concurrency_group: Option<LitStr>,
    pub(crate) concurrency_groups: Vec<(LitStr, u32)>,
    /// Where the groups are written, when there are any.
    pub(crate) groups_span: Option<Span>,
    pub(crate) backpressure: Option<(u32, Span)>,
}

impl Options {
    /// Reads the value of one option that may stand where it does.
    pub(crate) fn take(&mut self, name: &str, meta: &Meta, errors: &mut Errors) {
        if name == "resources" {
            return self.take_resources(meta, errors);
        }
        if name == "concurrency_groups" {
            return self.take_groups(meta, errors);
        }
        let Meta::NameValue(pair) = meta else {
            errors.at(
                meta,
                &format!("option `{name}` needs a value"),
                &format!("write `{name} = ..`"),
            );
            return;
        };
        let value = &pair.value;
        match name {
            "num_cpus" => self.num_cpus = amount(name, value, errors),
            "num_gpus" => {
                self.num_gpus = amount(name, value, errors);
                if self.num_gpus.is_some_and(|n| n > 1.0 && n.fract() != 0.0) {
                    errors.at(
                        value,
                        "`num_gpus` over 1 must be whole",
                        "one call never gets parts of two devices",
                    );
                }
            }
            "memory" => {
                let range = (0, u64::MAX);
                self.memory = whole(name, value, range, "for example `1_000_000` bytes", errors);
            }
            "max_retries" => self.max_retries = tries(name, value, errors),
            "max_calls" => {
                let range = (0, u64::from(u32::MAX));
                let help =
                    "with 0 a worker never leaves; leave it out for that, or with GPUs for 1";
                self.max_calls = whole(name, value, range, help, errors);
            }
            "max_restarts" => self.max_restarts = tries(name, value, errors),
            "max_task_retries" => self.max_task_retries = tries(name, value, errors),
            "max_pending_calls" => {
                let range = (1, u64::MAX);
                let help = "leave it out for no limit";
                self.max_pending_calls = whole(name, value, range, help, errors);
            }
            "max_concurrency" => {
                let help = "for example `max_concurrency = 4`";
                self.max_concurrency = whole(name, value, (1, 10_000), help, errors)
                    .map(|limit: u32| (limit, value.span()));
            }
            "backpressure" => {
                let help = "leave it out to let the function run ahead as far as it can";
                let range = (1, u64::from(u32::MAX));
                self.backpressure =
                    whole(name, value, range, help, errors).map(|items: u32| (items, value.span()));
            }
            "num_returns" => {
                let help = "return a tuple of that many values";
                self.num_returns = whole(name, value, (0, RETURNS_MAX), help, errors)
                    .map(|count: usize| (count, value.span()));
            }
            "retry_exceptions" => self.retry_exceptions = retry_exceptions(value, errors),
            "on_panic" => match literal_text(value).map(LitStr::value) {
                Some(word) if word == "restart" => self.on_panic_restart = true,
                Some(word) if word == "keep" => {}
                _ => errors.at(
                    value,
                    "`on_panic` must be \"restart\" or \"keep\"",
                    "\"keep\", the default, fails the call and keeps the actor",
                ),
            },
            "name" => self.name = text(name, "loader", value, errors),
            "concurrency_group" => self.concurrency_group = text(name, "io", value, errors),
            "stub" => match value {
                Expr::Path(path) if path.path.get_ident().is_some() => {
                    self.stub = path.path.get_ident().cloned();
                }
                _ => errors.at(
                    value,
                    "`stub` must be a name",
                    "for example `stub = square_task`",
                ),
            },
            other => unreachable!("`{other}` is allowed somewhere and read nowhere"),
        }
    }

    fn take_resources(&mut self, meta: &Meta, errors: &mut Errors) {
        let Meta::List(list) = meta else {
            errors.at(
                meta,
                "`resources` needs a list",
                "write `resources(\"my_resource\" = 1)`",
            );
            return;
        };
        let parser = |input: syn::parse::ParseStream<'_>| {
            let mut pairs = Vec::new();
            while !input.is_empty() {
                let name = input.parse::<LitStr>()?;
                input.parse::<Token![=]>()?;
                pairs.push((name, input.parse::<Expr>()?));
                if !input.is_empty() {
                    input.parse::<Token![,]>()?;
                }
            }
            Ok(pairs)
        };
        let pairs = match parser.parse2(list.tokens.clone()) {
            Ok(pairs) => pairs,
            Err(error) => {
                errors.push(syn::Error::new(
                    error.span(),
                    format!("{error}\nhelp: write `resources(\"my_resource\" = 1)`"),
                ));
                return;
            }
        };
        for (name, value) in pairs {
            let word = name.value();
            let own_option = match word.as_str() {
                "CPU" => Some("num_cpus"),
                "GPU" => Some("num_gpus"),
                "memory" => Some("memory"),
                _ => None,
            };
            if let Some(option) = own_option {
                errors.at(
                    &name,
                    &format!("\"{word}\" has an option of its own"),
                    &format!("write `{option} = ..`"),
                );
            } else if word.is_empty() {
                errors.at(&name, "a resource needs a name", "for example \"camera\"");
            } else if self
                .resources
                .iter()
                .any(|(other, _)| other.value() == word)
            {
                errors.at(
                    &name,
                    &format!("resource \"{word}\" is given twice"),
                    "keep one of them",
                );
            } else if let Some(amount) = amount("an amount", &value, errors) {
                self.resources.push((name, amount));
            }
        }
    }

    fn take_groups(&mut self, meta: &Meta, errors: &mut Errors) {
        let help = "write `concurrency_groups(io = 2, compute = 4)`";
        let Meta::List(list) = meta else {
            errors.at(meta, "`concurrency_groups` needs a list", help);
            return;
        };
        let parser = syn::punctuated::Punctuated::<MetaNameValue, Token![,]>::parse_terminated;
        let pairs = match parser.parse2(list.tokens.clone()) {
            Ok(pairs) => pairs,
            Err(error) => {
                errors.push(syn::Error::new(
                    error.span(),
                    format!("{error}\nhelp: {help}"),
                ));
                return;
            }
        };
        if pairs.is_empty() {
            errors.at(meta, "`concurrency_groups` names no group", help);
        }
        self.groups_span = Some(meta.span());
        for pair in pairs {
            let Some(name) = pair.path.get_ident() else {
                errors.at(&pair.path, "a concurrency group must be a plain name", help);
                continue;
            };
            let word = name.to_string();
            let is_twice = |(other, _): &(LitStr, u32)| other.value() == word;
            if self.concurrency_groups.iter().any(is_twice) {
                let message = format!("concurrency group `{word}` is given twice");
                errors.at(name, &message, "keep one of them");
                continue;
            }
            let example = format!("for example `{word} = 2`");
            if let Some(limit) = whole(&word, &pair.value, (1, 10_000), &example, errors) {
                let name = LitStr::new(&word, name.span());
                self.concurrency_groups.push((name, limit));
            }
        }
    }

    /// Writes the defaults of a task or method.
    pub(crate) fn task_defaults(&self) -> TokenStream {
        let num_cpus = optional(self.num_cpus.as_ref());
        let num_gpus = optional(self.num_gpus.as_ref());
        let memory = optional(self.memory.as_ref());
        let (names, amounts): (Vec<_>, Vec<_>) = self.resources.iter().cloned().unzip();
        let max_retries = optional(self.max_retries.as_ref());
        let retry_exceptions = optional(self.retry_exceptions.as_ref());
        let max_calls = optional(self.max_calls.as_ref());
        let name = optional(self.name.as_ref());
        let group = optional(self.concurrency_group.as_ref());
        let backpressure = optional(self.backpressure.map(|(items, _)| items));
        quote! {
            ::ray_core::__private::TaskDefaults {
                num_cpus: #num_cpus,
                num_gpus: #num_gpus,
                memory: #memory,
                resources: &[#((#names, #amounts)),*],
                max_retries: #max_retries,
                retry_exceptions: #retry_exceptions,
                max_calls: #max_calls,
                name: #name,
                concurrency_group: #group,
                backpressure: #backpressure,
            }
        }
    }

    /// Writes the defaults of an actor.
    pub(crate) fn actor_defaults(&self) -> TokenStream {
        let num_cpus = optional(self.num_cpus.as_ref());
        let num_gpus = optional(self.num_gpus.as_ref());
        let memory = optional(self.memory.as_ref());
        let (names, amounts): (Vec<_>, Vec<_>) = self.resources.iter().cloned().unzip();
        let max_restarts = optional(self.max_restarts.as_ref());
        let max_task_retries = optional(self.max_task_retries.as_ref());
        let max_concurrency = optional(self.max_concurrency.as_ref().map(|(limit, _)| limit));
        let (groups, limits): (Vec<_>, Vec<_>) = self.concurrency_groups.iter().cloned().unzip();
        let max_pending_calls = optional(self.max_pending_calls.as_ref());
        let on_panic_restart = self.on_panic_restart;
        quote! {
            ::ray_core::__private::ActorDefaults {
                num_cpus: #num_cpus,
                num_gpus: #num_gpus,
                memory: #memory,
                resources: &[#((#names, #amounts)),*],
                max_restarts: #max_restarts,
                max_task_retries: #max_task_retries,
                max_concurrency: #max_concurrency,
                concurrency_groups: &[#((#groups, #limits)),*],
                max_pending_calls: #max_pending_calls,
                on_panic_restart: #on_panic_restart,
            }
        }
    }
}

/// Which failures of user code are tried again.
#[derive(Clone)]
pub(crate) enum RetryExceptions {
    All(bool),
    /// Returned errors of these types.
    Of(Vec<ExprPath>),
}

impl ToTokens for RetryExceptions {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let path = quote!(::ray_core::__private::RetryExceptions);
        tokens.extend(match self {
            RetryExceptions::All(true) => quote!(#path::Always),
            RetryExceptions::All(false) => quote!(#path::Never),
            RetryExceptions::Of(types) => {
                let layouts = types.iter().map(|ty| {
                    let span = ty.span();
                    quote_spanned!(span=> ::ray_core::__private::cause_layout::<#ty>)
                });
                quote!(#path::Of(&[#(#layouts),*]))
            }
        });
    }
}

fn retry_exceptions(value: &Expr, errors: &mut Errors) -> Option<RetryExceptions> {
    let list = match value {
        Expr::Lit(ExprLit {
            lit: Lit::Bool(word),
            ..
        }) => return Some(RetryExceptions::All(word.value)),
        Expr::Group(group) => return retry_exceptions(&group.expr, errors),
        Expr::Array(list) => list,
        _ => {
            errors.at(
                value,
                "`retry_exceptions` must be `true`, `false` or a list of error types",
                "`true` tries again when the function returns `Err` or panics, `[Timeout]` when it returns a `Timeout`",
            );
            return None;
        }
    };
    if list.elems.is_empty() {
        errors.at(
            list,
            "`retry_exceptions` names no error type",
            "write `false`, or leave it out, to try no error again",
        );
        return None;
    }
    let mut types = Vec::new();
    for element in &list.elems {
        match element {
            Expr::Path(path) => types.push(path.clone()),
            other => errors.at(
                other,
                "an error type in `retry_exceptions` must be a name",
                "for example `retry_exceptions = [Timeout, net::Lost]`",
            ),
        }
    }
    (types.len() == list.elems.len()).then_some(RetryExceptions::Of(types))
}

/// A number as written: its value, and the value as an integer when it is written as one.
fn number(value: &Expr) -> Option<(f64, Option<i128>)> {
    match value {
        Expr::Lit(ExprLit {
            lit: Lit::Int(int), ..
        }) => {
            let whole = int.base10_parse::<i128>().ok()?;
            Some((whole as f64, Some(whole)))
        }
        Expr::Lit(ExprLit {
            lit: Lit::Float(float),
            ..
        }) => Some((float.base10_parse().ok()?, None)),
        Expr::Unary(ExprUnary {
            op: UnOp::Neg(_),
            expr,
            ..
        }) => number(expr).map(|(value, whole)| (-value, whole.map(|whole| -whole))),
        // What a `macro_rules!` macro passes on as `$x:literal` or `$x:expr`.
        Expr::Group(group) => number(&group.expr),
        _ => None,
    }
}

fn literal_text(value: &Expr) -> Option<&LitStr> {
    match value {
        Expr::Lit(ExprLit {
            lit: Lit::Str(text),
            ..
        }) => Some(text),
        Expr::Group(group) => literal_text(&group.expr),
        _ => None,
    }
}

fn is_literal(value: &Expr) -> bool {
    match value {
        Expr::Lit(_) => true,
        Expr::Group(group) => is_literal(&group.expr),
        Expr::Unary(unary) => is_literal(&unary.expr),
        _ => false,
    }
}

/// Adds the error of a wrong value; what is no literal is told that the macro only sees those.
fn wrong(value: &Expr, message: &str, help: &str, errors: &mut Errors) {
    if is_literal(value) {
        errors.at(value, message, help);
    } else {
        errors.at(
            value,
            message,
            "write the literal here; computed values go through `.options()` at the call",
        );
    }
}

fn amount(name: &str, value: &Expr, errors: &mut Errors) -> Option<f64> {
    match number(value) {
        Some((number, _)) if (0.0..AMOUNT_END).contains(&number) => Some(number),
        _ => {
            let name = if name.contains(' ') {
                name.to_owned()
            } else {
                format!("`{name}`")
            };
            let message = format!("{name} must be a number from 0 up");
            wrong(value, &message, "for example `1` or `0.5`", errors);
            None
        }
    }
}

fn whole<T: TryFrom<i128>>(
    name: &str,
    value: &Expr,
    range: (u64, u64),
    help: &str,
    errors: &mut Errors,
) -> Option<T> {
    let (first, last) = (i128::from(range.0), i128::from(range.1));
    let found = number(value)
        .and_then(|(_, whole)| whole)
        .filter(|whole| (first..=last).contains(whole))
        .and_then(|whole| T::try_from(whole).ok());
    if found.is_none() {
        let range = match range.1 {
            u64::MAX => format!("{first} up"),
            last => format!("{first} to {last}"),
        };
        let message = format!("`{name}` must be a whole number from {range}");
        wrong(value, &message, help, errors);
    }
    found
}

fn tries(name: &str, value: &Expr, errors: &mut Errors) -> Option<i32> {
    let found = number(value)
        .and_then(|(_, whole)| whole)
        .filter(|whole| *whole >= -1)
        .and_then(|whole| i32::try_from(whole).ok());
    if found.is_none() {
        let message = format!("`{name}` must be a whole number from -1 to {}", i32::MAX);
        wrong(value, &message, "-1 stands for no limit", errors);
    }
    found
}

fn text(name: &str, example: &str, value: &Expr, errors: &mut Errors) -> Option<LitStr> {
    let found = literal_text(value).filter(|word| !word.value().is_empty());
    if found.is_none() {
        errors.at(
            value,
            &format!("`{name}` must be a text that is not empty"),
            &format!("for example `{name} = \"{example}\"`"),
        );
    }
    found.cloned()
}

fn optional<T: ToTokens>(value: Option<T>) -> TokenStream {
    match value {
        Some(value) => quote!(::core::option::Option::Some(#value)),
        None => quote!(::core::option::Option::None),
    }
}

/// The most results of one call, one reference each.
const RETURNS_MAX: u64 = 8;

/// The scheduler counts amounts in ten-thousandths, in 64 bits. Exclusive.
const AMOUNT_END: f64 = 9e11;
