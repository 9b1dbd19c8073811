//! The options of an attribute, `name = value` with commas between: which may stand where.

use proc_macro2::{TokenStream, TokenTree};
use syn::{Meta, spanned::Spanned as _};

use crate::{check::Errors, options::Options};

/// Where the options stand, and which may stand there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Task,
    Actor,
    Impl,
    Method,
    Constructor,
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
                "max_calls",
                "num_returns",
                "backpressure",
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
                "concurrency_groups",
                "max_pending_calls",
                "on_panic",
            ],
            Place::Impl | Place::Constructor => &[],
            Place::Method => &[
                "concurrency_group",
                "max_retries",
                "retry_exceptions",
                "num_returns",
                "backpressure",
            ],
        }
    }

    fn text(self) -> &'static str {
        match self {
            Place::Task => "a task",
            Place::Actor => "an actor",
            Place::Impl => "an `impl` block",
            Place::Method => "a method",
            Place::Constructor => "a constructor",
        }
    }
}

/// Reads the options of an attribute; what is wrong goes to `errors`, one a part.
pub(crate) fn parse(tokens: TokenStream, place: Place, errors: &mut Errors) -> Options {
    let mut options = Options::default();
    let mut seen = Vec::new();
    for part in split_at_commas(tokens) {
        let meta = match syn::parse2::<Meta>(part.clone()) {
            Ok(meta) => meta,
            Err(error) => {
                unreadable(&part, &error, errors);
                continue;
            }
        };
        let name = crate::model::text_of(meta.path());
        if !place.allowed().contains(&name.as_str()) {
            unknown(&meta, &name, place, errors);
        } else if seen.contains(&name) {
            errors.at(
                meta.path(),
                &format!("option `{name}` is given twice"),
                "keep one of them",
            );
        } else {
            options.take(&name, &meta, errors);
            seen.push(name);
        }
    }
    options
}

/// Cuts tokens at the commas outside brackets, so that one bad option hides no other.
fn split_at_commas(tokens: TokenStream) -> Vec<TokenStream> {
    let mut parts = vec![TokenStream::new()];
    for token in tokens {
        match (&token, parts.last_mut()) {
            (TokenTree::Punct(punct), _) if punct.as_char() == ',' => {
                parts.push(TokenStream::new());
            }
            (_, Some(part)) => part.extend([token]),
            (_, None) => {}
        }
    }
    parts.retain(|part| !part.is_empty());
    parts
}

fn unreadable(part: &TokenStream, error: &syn::Error, errors: &mut Errors) {
    let message = format!(
        "cannot read this option: {error}\nhelp: write options as `name = value`, with commas between"
    );
    let is_cut_off = error.to_string().starts_with("unexpected end");
    errors.push(if is_cut_off {
        // Where the end is, the parser does not know.
        syn::Error::new_spanned(part, message)
    } else {
        syn::Error::new(error.span(), message)
    });
}

fn unknown(meta: &Meta, name: &str, place: Place, errors: &mut Errors) {
    let allowed = place.allowed();
    let of_actors = place != Place::Actor && Place::Actor.allowed().contains(&name);
    let of_tasks = place == Place::Actor && Place::Task.allowed().contains(&name);
    let help = if name == "checkpoint_every" {
        "checkpoints are not supported yet; keep the state in objects of the store".to_owned()
    } else if allowed.is_empty() {
        "options of an actor stand on its struct, in `#[actor(..)]`".to_owned()
    } else if of_actors {
        format!("`{name}` is an option of actors; it stands in `#[actor(..)]` on the struct")
    } else if place == Place::Actor && AT_CREATION.contains(&name) {
        format!("it is chosen for each actor: `Name::options().{name}(..).remote(..)`")
    } else if of_tasks {
        format!(
            "`{name}` is an option of tasks; the options of an actor are {}",
            list(allowed)
        )
    } else if let Some(near) = nearest(name, allowed) {
        format!("did you mean `{near}`?")
    } else {
        format!("the options of {} are {}", place.text(), list(allowed))
    };
    errors.push(syn::Error::new(
        meta.path().span(),
        format!(
            "`{name}` is not an option of {}\nhelp: {help}",
            place.text()
        ),
    ));
}

/// Returns the option that was probably meant.
fn nearest(name: &str, allowed: &[&'static str]) -> Option<&'static str> {
    let close = 2.max(name.len() / 3);
    allowed
        .iter()
        .map(|other| (distance(name, other), *other))
        .filter(|(distance, _)| *distance <= close)
        .min()
        .map(|(_, other)| other)
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

/// What only `.options()` of an actor can say, as it differs from actor to actor.
const AT_CREATION: [&str; 4] = ["name", "namespace", "get_if_exists", "lifetime"];

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::*;

    fn messages(tokens: TokenStream, place: Place) -> Vec<String> {
        let mut errors = Errors::default();
        parse(tokens, place, &mut errors);
        errors
            .into_parts()
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn each_bad_option_is_reported_and_the_good_ones_are_kept() {
        let mut errors = Errors::default();
        let options = parse(
            quote!(
                num_cpu = 1,
                max_retries = 4,
                num_gpus,
                3,
                resources("a" = 1, "b" = 2)
            ),
            Place::Task,
            &mut errors,
        );
        assert_eq!(errors.into_parts().len(), 3);
        assert!(options.max_retries.is_some());
        assert_eq!(options.resources.len(), 2);
    }

    #[test]
    fn a_misspelled_option_names_the_one_that_was_meant() {
        for (written, meant) in [
            ("num_cpu", "num_cpus"),
            ("max_retry", "max_retries"),
            ("ressources", "resources"),
            ("num_return", "num_returns"),
        ] {
            let name = quote::format_ident!("{written}");
            let messages = messages(quote!(#name = 1), Place::Task);
            assert!(
                messages[0].contains(&format!("did you mean `{meant}`?")),
                "{messages:?}"
            );
        }
    }

    #[test]
    fn an_option_far_from_all_lists_what_there_is() {
        let messages = messages(quote!(colour = "red"), Place::Method);
        assert!(
            messages[0].contains("the options of a method are `concurrency_group`"),
            "{messages:?}"
        );
    }

    #[test]
    fn options_of_an_impl_point_to_the_struct() {
        let messages = messages(quote!(num_cpus = 1), Place::Impl);
        assert!(messages[0].contains("`#[actor(..)]`"), "{messages:?}");
    }

    #[test]
    fn distance_counts_changed_letters() {
        assert_eq!(distance("num_cpus", "num_cpus"), 0);
        assert_eq!(distance("num_cpu", "num_cpus"), 1);
        assert_eq!(distance("", "name"), 4);
        assert_eq!(distance("stub", "name"), 4);
    }
}
