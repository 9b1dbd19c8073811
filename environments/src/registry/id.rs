//! Ids of environments: `[namespace/]Name[-vN]`.

use std::{fmt, str::FromStr};

use super::MakeError;

/// An id, in its parts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EnvId {
    /// Whose it is; environments of this crate mostly have none.
    pub namespace: Option<String>,
    /// The name.
    pub name: String,
    /// The version.
    pub version: Option<u32>,
}

impl EnvId {
    /// Returns whether namespace and name are the same.
    pub(super) fn is_same_name(&self, other: &EnvId) -> bool {
        self.namespace == other.namespace && self.name == other.name
    }

    /// Returns the id without its version.
    pub fn without_version(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{namespace}/{}", self.name),
            None => self.name.clone(),
        }
    }
}

impl FromStr for EnvId {
    type Err = MakeError;

    fn from_str(text: &str) -> Result<EnvId, MakeError> {
        let malformed = || MakeError::MalformedId(text.to_owned());
        let is_word = |part: &str, others: &str| {
            !part.is_empty()
                && part.chars().all(|letter| {
                    letter.is_alphanumeric() || letter == '_' || others.contains(letter)
                })
        };
        let (namespace, rest) = match text.split_once('/') {
            Some((namespace, rest)) => (Some(namespace), rest),
            None => (None, text),
        };
        let (name, version) = match rest.rsplit_once("-v") {
            Some((name, digits)) if digits.bytes().all(|digit| digit.is_ascii_digit()) => {
                (name, Some(digits.parse().map_err(|_| malformed())?))
            }
            _ => (rest, None),
        };
        if !namespace.is_none_or(|namespace| is_word(namespace, ":-")) || !is_word(name, ":.-") {
            return Err(malformed());
        }
        Ok(EnvId {
            namespace: namespace.map(str::to_owned),
            name: name.to_owned(),
            version,
        })
    }
}

impl fmt::Display for EnvId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.without_version())?;
        match self.version {
            Some(version) => write!(f, "-v{version}"),
            None => Ok(()),
        }
    }
}

/// Returns what looks most like `text`, if anything looks like it at all.
pub(super) fn closest<'a>(text: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|known| (similarity(text, known), known))
        .filter(|(similarity, _)| *similarity >= 0.6)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, known)| known)
}

/// Returns which part of the letters of two texts is common to both, in order; case does not count.
fn similarity(a: &str, b: &str) -> f64 {
    let letters = |text: &str| text.to_lowercase().chars().collect::<Vec<_>>();
    let (a, b) = (letters(a), letters(b));
    let mut common = vec![0_usize; b.len() + 1];
    for left in &a {
        let mut diagonal = 0;
        for (at, right) in b.iter().enumerate() {
            let above = common[at + 1];
            common[at + 1] = match left == right {
                true => diagonal + 1,
                false => above.max(common[at]),
            };
            diagonal = above;
        }
    }
    2.0 * common[b.len()] as f64 / (a.len() + b.len()).max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_into_its_parts_and_printed_back() {
        for (text, namespace, name, version) in [
            ("CartPole-v1", None, "CartPole", Some(1)),
            (
                "MinAtar/Breakout-v10",
                Some("MinAtar"),
                "Breakout",
                Some(10),
            ),
            ("MiniGrid-Empty-8x8-v0", None, "MiniGrid-Empty-8x8", Some(0)),
            ("a-vector", None, "a-vector", None),
        ] {
            let id: EnvId = text.parse().expect("an id");
            assert_eq!(
                (id.namespace.as_deref(), id.name.as_str(), id.version),
                (namespace, name, version)
            );
            assert_eq!(id.to_string(), text);
        }
        for text in [
            "",
            "/x",
            "a/b/c",
            "x y",
            "x-v99999999999",
            "-v1",
            "é/",
            "x-v",
        ] {
            let id = text.parse::<EnvId>();
            assert!(
                matches!(id, Err(MakeError::MalformedId(_))),
                "{text}: {id:?}"
            );
        }
    }

    #[test]
    fn only_what_looks_alike_is_close() {
        let known = ["CartPole", "Pendulum", "Acrobot"];
        assert_eq!(closest("cartpool", known.into_iter()), Some("CartPole"));
        assert_eq!(closest("Zork", known.into_iter()), None);
    }
}
