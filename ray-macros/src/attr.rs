//! Options in attributes: `name = literal`, `resources("name" = amount)`.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote};
use syn::{
    Expr, ExprLit, ExprUnary, Lit, LitStr, Meta, Token, UnOp, parse::Parser as _,
    punctuated::Punctuated, spanned::Spanned as _,
};

use crate::check::Errors;

/// Options by name, as written.
#[derive(Clone, Default)]
pub(crate) struct Options {
    pub(crate) num_cpus: Option<TokenStream>,
    pub(crate) num_gpus: Option<TokenStream>,
    pub(crate) memory: Option<TokenStream>,
    pub(crate) resources: Vec<(LitStr, TokenStream)>,
    pub(crate) max_retries: Option<TokenStream>,
    pub(crate) retry_exceptions: Option<TokenStream>,
    pub(crate) num_returns: Option<usize>,
    pub(crate) name: Option<LitStr>,
    pub(crate) stub: Option<syn::Ident>,
    pub(crate) max_restarts: Option<TokenStream>,
    pub(crate) max_task_retries: Option<TokenStream>,
    pub(crate) max_concurrency: Option<(u32, Span)>,
    pub(crate) max_pending_calls: Option<TokenStream>,
    pub(crate) on_panic_restart: bool,
    pub(crate) concurrency_group: Option<LitStr>,
}

/// Where the options stand, and which may stand there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Task,
    Actor,
    Impl,
    Method,
}

impl Place {
    fn allowed(self) -> &'static [&'static str] {
        match self {
            Place::Task => &[
                "num_cpus",
                "num_gpus",
                "memory",
                "resources",
                "max_retries",
                "retry_exceptions",
                "num_returns",
                "name",
                "stub",
            ],
            Place::Actor => &[
                "num_cpus",
                "num_gpus",
                "memory",
                "resources",
                "max_restarts",
                "max_task_retries",
                "max_concurrency",
                "max_pending_calls",
                "on_panic",
            ],
            Place::Impl => &[],
            Place::Method => &[
                "concurrency_group",
                "max_retries",
                "retry_exceptions",
                "num_returns",
            ],
        }
    }

    fn text(self) -> &'static str {
        match self {
            Place::Task => "a task",
            Place::Actor => "an actor",
            Place::Impl => "an `impl` block",
            Place::Method => "a method",
        }
    }
}

/// Reads the options of an attribute; what is wrong goes to `errors`.
pub(crate) fn parse(tokens: TokenStream, place: Place, errors: &mut Errors) -> Options {
    let mut options = Options::default();
    let metas = match Punctuated::<Meta, Token![,]>::parse_terminated.parse2(tokens) {
        Ok(metas) => metas,
        Err(error) => {
            errors.push(syn::Error::new(
                error.span(),
                format!("{error}\nhelp: write options as `name = value`"),
            ));
            return options;
        }
    };
    let mut seen = Vec::new();
    for meta in metas {
        let name = meta
            .path()
            .get_ident()
            .map(ToString::to_string)
            .unwrap_or_default();
        if !place.allowed().contains(&name.as_str()) {
            unknown(&meta, &name, place, errors);
            continue;
        }
        if seen.contains(&name) {
            errors.at(
                meta.path(),
                &format!("option `{name}` is given twice"),
                "keep one of them",
            );
            continue;
        }
        options.take(&name, &meta, errors);
        seen.push(name);
    }
    options
}

fn unknown(meta: &Meta, name: &str, place: Place, errors: &mut Errors) {
    let allowed = place.allowed();
    let help = if name == "checkpoint_every" {
        "checkpoints are not supported yet".to_owned()
    } else if allowed.is_empty() {
        "options of an actor stand on its struct, in `#[actor(..)]`".to_owned()
    } else if let Some(near) = allowed.iter().find(|other| distance(name, other) <= 2) {
        format!("did you mean `{near}`?")
    } else if place == Place::Task && Place::Actor.allowed().contains(&name) {
        format!("`{name}` is an option of actors; it stands in `#[actor(..)]` on a struct")
    } else if place == Place::Actor && Place::Task.allowed().contains(&name) {
        format!(
            "`{name}` is an option of tasks; an actor has {}",
            list(allowed)
        )
    } else {
        format!("there are {}", list(allowed))
    };
    errors.at(
        meta.path(),
        &format!("`{name}` is not an option of {}", place.text()),
        &help,
    );
}

fn list(names: &[&str]) -> String {
    names
        .iter()
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// Returns how many letters must change to get from one word to the other.
fn distance(from: &str, to: &str) -> usize {
    let to = to.chars().collect::<Vec<_>>();
    let mut row = (0..=to.len()).collect::<Vec<_>>();
    for (i, a) in from.chars().enumerate() {
        let mut before = row[0];
        row[0] = i + 1;
        for (j, b) in to.iter().enumerate() {
            let cost = before + usize::from(a != *b);
            before = row[j + 1];
            row[j + 1] = cost.min(row[j] + 1).min(before + 1);
        }
    }
    row[to.len()]
}

/// A number as written, with its sign.
fn number(value: &Expr) -> Option<(f64, bool)> {
    match value {
        Expr::Lit(ExprLit {
            lit: Lit::Int(int), ..
        }) => Some((int.base10_parse().ok()?, true)),
        Expr::Lit(ExprLit {
            lit: Lit::Float(float),
            ..
        }) => Some((float.base10_parse().ok()?, false)),
        Expr::Unary(ExprUnary {
            op: UnOp::Neg(_),
            expr,
            ..
        }) => number(expr).map(|(value, whole)| (-value, whole)),
        _ => None,
    }
}

impl Options {
    fn take(&mut self, name: &str, meta: &Meta, errors: &mut Errors) {
        if name == "resources" {
            return self.take_resources(meta, errors);
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
        let amount = |what: &str, errors: &mut Errors| match number(value) {
            Some((number, _)) if (0.0..9e11).contains(&number) => {
                let whole_above_one = name == "num_gpus" && number > 1.0 && number.fract() != 0.0;
                if whole_above_one {
                    errors.at(
                        value,
                        "`num_gpus` over 1 must be whole",
                        "one call never gets parts of two devices",
                    );
                }
                Some(quote!(#number))
            }
            _ => {
                errors.at(
                    value,
                    &format!("`{name}` must be {what} from 0 up"),
                    &format!("for example `{name} = 1`"),
                );
                None
            }
        };
        match name {
            "num_cpus" => self.num_cpus = amount("a number", errors),
            "num_gpus" => self.num_gpus = amount("a number", errors),
            "memory" => match number(value) {
                Some((number, true)) if number >= 0.0 => {
                    self.memory = Some(value.to_token_stream())
                }
                _ => errors.at(
                    value,
                    "`memory` must be a whole number of bytes",
                    "for example `memory = 1_000_000`",
                ),
            },
            "max_retries" => self.max_retries = tries(name, value, errors),
            "max_restarts" => self.max_restarts = tries(name, value, errors),
            "max_task_retries" => self.max_task_retries = tries(name, value, errors),
            "max_pending_calls" => match number(value) {
                Some((number, true)) if number >= 1.0 => {
                    self.max_pending_calls = Some(value.to_token_stream())
                }
                _ => errors.at(
                    value,
                    "`max_pending_calls` must be a whole number from 1 up",
                    "leave it out for no limit",
                ),
            },
            "max_concurrency" => match number(value) {
                Some((number, true)) if (1.0..=10_000.0).contains(&number) => {
                    self.max_concurrency = Some((number as u32, value.span()));
                }
                _ => errors.at(
                    value,
                    "`max_concurrency` must be a whole number from 1 to 10,000",
                    "for example `max_concurrency = 4`",
                ),
            },
            "num_returns" => match number(value) {
                Some((number, true)) if (0.0..=8.0).contains(&number) => {
                    self.num_returns = Some(number as usize)
                }
                _ => errors.at(
                    value,
                    "`num_returns` must be a whole number from 0 to 8",
                    "return a tuple of that many values",
                ),
            },
            "retry_exceptions" => match value {
                Expr::Lit(ExprLit {
                    lit: Lit::Bool(_), ..
                }) => self.retry_exceptions = Some(value.to_token_stream()),
                _ => errors.at(
                    value,
                    "`retry_exceptions` must be `true` or `false`",
                    "`true` tries again when the function returns `Err` or panics",
                ),
            },
            "on_panic" => match text(value).map(|text| text.value()) {
                Some(word) if word == "restart" => self.on_panic_restart = true,
                Some(word) if word == "keep" => {}
                _ => errors.at(
                    value,
                    "`on_panic` must be \"restart\" or \"keep\"",
                    "\"keep\", the default, fails the call and keeps the actor",
                ),
            },
            "name" => match text(value) {
                Some(word) if !word.value().is_empty() => self.name = Some(word),
                _ => errors.at(
                    value,
                    "`name` must be a text that is not empty",
                    "for example `name = \"loader\"`",
                ),
            },
            "concurrency_group" => match text(value) {
                Some(word) if !word.value().is_empty() => self.concurrency_group = Some(word),
                _ => errors.at(
                    value,
                    "`concurrency_group` must be a text that is not empty",
                    "for example `concurrency_group = \"io\"`",
                ),
            },
            "stub" => match value {
                Expr::Path(path) if path.path.get_ident().is_some() => {
                    self.stub = path.path.get_ident().cloned()
                }
                _ => errors.at(
                    value,
                    "`stub` must be a name",
                    "for example `stub = square_task`",
                ),
            },
            _ => {}
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
        match parser.parse2(list.tokens.clone()) {
            Ok(pairs) => {
                for (name, value) in pairs {
                    match number(&value) {
                        Some((number, _)) if number >= 0.0 => {
                            self.resources.push((name, quote!(#number)))
                        }
                        _ => errors.at(
                            &value,
                            "an amount must be a number from 0 up",
                            "for example `resources(\"my_resource\" = 1)`",
                        ),
                    }
                }
            }
            Err(error) => errors.push(syn::Error::new(
                error.span(),
                format!("{error}\nhelp: write `resources(\"my_resource\" = 1)`"),
            )),
        }
    }

    /// Writes the defaults of a task or method.
    pub(crate) fn task_defaults(&self) -> TokenStream {
        let num_cpus = optional(&self.num_cpus);
        let num_gpus = optional(&self.num_gpus);
        let memory = optional(&self.memory);
        let (names, amounts): (Vec<_>, Vec<_>) = self.resources.iter().cloned().unzip();
        let max_retries = optional(&self.max_retries);
        let retry_exceptions = optional(&self.retry_exceptions);
        let name = optional(&self.name);
        let group = optional(&self.concurrency_group);
        quote! {
            ::ray_core::__private::TaskDefaults {
                num_cpus: #num_cpus,
                num_gpus: #num_gpus,
                memory: #memory,
                resources: &[#((#names, #amounts)),*],
                max_retries: #max_retries,
                retry_exceptions: #retry_exceptions,
                name: #name,
                concurrency_group: #group,
            }
        }
    }

    /// Writes the defaults of an actor.
    pub(crate) fn actor_defaults(&self) -> TokenStream {
        let num_cpus = optional(&self.num_cpus);
        let num_gpus = optional(&self.num_gpus);
        let memory = optional(&self.memory);
        let (names, amounts): (Vec<_>, Vec<_>) = self.resources.iter().cloned().unzip();
        let max_restarts = optional(&self.max_restarts);
        let max_task_retries = optional(&self.max_task_retries);
        let max_concurrency = optional(&self.max_concurrency.map(|(limit, _)| quote!(#limit)));
        let max_pending_calls = optional(&self.max_pending_calls);
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
                max_pending_calls: #max_pending_calls,
                on_panic_restart: #on_panic_restart,
            }
        }
    }
}

fn tries(name: &str, value: &Expr, errors: &mut Errors) -> Option<TokenStream> {
    match number(value) {
        Some((number, true)) if (-1.0..=2_000_000_000.0).contains(&number) => {
            Some(value.to_token_stream())
        }
        _ => {
            errors.at(
                value,
                &format!("`{name}` must be a whole number from -1 up"),
                "-1 stands for no limit",
            );
            None
        }
    }
}

fn text(value: &Expr) -> Option<LitStr> {
    match value {
        Expr::Lit(ExprLit {
            lit: Lit::Str(text),
            ..
        }) => Some(text.clone()),
        _ => None,
    }
}

fn optional<T: ToTokens>(value: &Option<T>) -> TokenStream {
    match value {
        Some(value) => quote!(::core::option::Option::Some(#value)),
        None => quote!(::core::option::Option::None),
    }
}
