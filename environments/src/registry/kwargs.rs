//! Named arguments for making an environment, read by type.

use std::collections::BTreeMap;

use super::MakeError;
use crate::Value;

/// Named arguments; an environment takes what it knows, and what is left is an error.
///
/// ```
/// use environments::Kwargs;
///
/// let mut kwargs = Kwargs::from([("is_slippery", false.into()), ("size", 8.into())]);
/// assert_eq!(kwargs.take_bool("is_slippery")?, Some(false));
/// assert_eq!(kwargs.take_int("rate")?, None);
/// assert!(kwargs.finish().is_err(), "`size` is left");
/// # Ok::<(), environments::MakeError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Kwargs(BTreeMap<String, Value>);

impl Kwargs {
    /// Returns no arguments.
    pub fn new() -> Kwargs {
        Kwargs::default()
    }

    /// Sets an argument.
    pub fn insert(&mut self, name: impl Into<String>, value: impl Into<Value>) {
        self.0.insert(name.into(), value.into());
    }

    /// Returns an argument.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns names and values, sorted.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Returns these arguments with `others` in place of those of the same name.
    pub fn with(&self, others: &Kwargs) -> Kwargs {
        let mut all = self.clone();
        all.0.extend(others.0.clone());
        all
    }

    /// Takes an argument of any kind.
    pub fn take(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name)
    }

    fn take_as<T>(
        &mut self,
        name: &str,
        kind: &str,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Result<Option<T>, MakeError> {
        let Some(value) = self.0.remove(name) else {
            return Ok(None);
        };
        match read(&value) {
            Some(read) => Ok(Some(read)),
            None => Err(MakeError::InvalidArgument {
                argument: name.to_owned(),
                reason: format!("{value:?} is not {kind}"),
            }),
        }
    }

    /// Takes a truth.
    ///
    /// # Errors
    /// A value of another kind.
    pub fn take_bool(&mut self, name: &str) -> Result<Option<bool>, MakeError> {
        self.take_as(name, "a truth", Value::as_bool)
    }

    /// Takes a whole number.
    ///
    /// # Errors
    /// A value of another kind.
    pub fn take_int(&mut self, name: &str) -> Result<Option<i64>, MakeError> {
        self.take_as(name, "a whole number", Value::as_int)
    }

    /// Takes a finite number.
    ///
    /// # Errors
    /// A value of another kind.
    pub fn take_float(&mut self, name: &str) -> Result<Option<f64>, MakeError> {
        self.take_as(name, "a number", |value| {
            value.as_float().filter(|number| number.is_finite())
        })
    }

    /// Takes a text.
    ///
    /// # Errors
    /// A value of another kind.
    pub fn take_text(&mut self, name: &str) -> Result<Option<String>, MakeError> {
        self.take_as(name, "a text", |value| value.as_text().map(str::to_owned))
    }

    /// Checks that every argument was taken.
    ///
    /// # Errors
    /// One that was not.
    pub fn finish(&self) -> Result<(), MakeError> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(name) => Err(MakeError::InvalidArgument {
                argument: name.clone(),
                reason: "the environment takes no such argument".into(),
            }),
        }
    }
}

impl<K: Into<String>, const N: usize> From<[(K, Value); N]> for Kwargs {
    fn from(arguments: [(K, Value); N]) -> Kwargs {
        arguments.into_iter().collect()
    }
}

impl<K: Into<String>> FromIterator<(K, Value)> for Kwargs {
    fn from_iter<I: IntoIterator<Item = (K, Value)>>(arguments: I) -> Kwargs {
        let arguments = arguments.into_iter();
        Kwargs(
            arguments
                .map(|(name, value)| (name.into(), value))
                .collect(),
        )
    }
}
