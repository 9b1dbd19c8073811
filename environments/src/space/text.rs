//! Texts of bounded length over a set of letters.

use std::fmt;

/// The texts of `min_length..=max_length` letters of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextSpace {
    /// The least number of letters.
    pub min_length: usize,
    /// The greatest number of letters.
    pub max_length: usize,
    /// The letters, sorted, each once.
    pub letters: Vec<char>,
}

impl TextSpace {
    /// Returns the texts of 1 to `max_length` letters and digits of ASCII.
    ///
    /// # Panics
    /// When `max_length` is 0.
    pub fn new(max_length: usize) -> TextSpace {
        let letters = ('0'..='9').chain('A'..='Z').chain('a'..='z');
        TextSpace::with_letters(1, max_length, letters)
    }

    /// Returns the texts over any letters.
    ///
    /// # Panics
    /// When `min_length` is above `max_length`, or there are no letters to choose from.
    pub fn with_letters(
        min_length: usize,
        max_length: usize,
        letters: impl IntoIterator<Item = char>,
    ) -> TextSpace {
        assert!(
            min_length <= max_length && max_length > 0,
            "a text has at most `max_length` letters, at least one"
        );
        let mut letters = letters.into_iter().collect::<Vec<_>>();
        letters.sort_unstable();
        letters.dedup();
        assert!(!letters.is_empty(), "a text needs letters");
        TextSpace {
            min_length,
            max_length,
            letters,
        }
    }

    /// Returns whether a text has the length and only letters of the set.
    pub fn contains(&self, text: &str) -> bool {
        (self.min_length..=self.max_length).contains(&text.chars().count())
            && text.chars().all(|letter| self.letters.contains(&letter))
    }
}

impl fmt::Display for TextSpace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Text({}, {}, charset={})",
            self.min_length,
            self.max_length,
            self.letters.iter().collect::<String>()
        )
    }
}
