//! Tokens: what a newcomer shows at the front desk, and what each lets it do.
//!
//! A token is 256 random bits, which prove the right to ask, and the fingerprint of the cluster's
//! authority, by which the newcomer knows that it talks to the right cluster before it says the bits.

use std::{fmt, str::FromStr};

use ring::rand::{SecureRandom as _, SystemRandom};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// What a token lets its holder do; each role may do what the ones before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Role {
    /// Looks at the cluster's state.
    Viewer,
    /// Runs programs on the cluster.
    Driver,
    /// Adds a machine to the cluster.
    Node,
    /// Stops nodes and makes tokens.
    Admin,
}

impl Role {
    /// All roles, the weakest first.
    pub const ALL: [Role; 4] = [Role::Viewer, Role::Driver, Role::Node, Role::Admin];

    /// Returns its name.
    pub fn name(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Driver => "driver",
            Role::Node => "node",
            Role::Admin => "admin",
        }
    }

    /// Returns whether a holder of this role may do what `needed` is asked for.
    pub fn allows(self, needed: Role) -> bool {
        self >= needed
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Role {
    type Err = Error;

    fn from_str(text: &str) -> Result<Role> {
        let found = Role::ALL.into_iter().find(|role| role.name() == text);
        found.ok_or_else(|| Error::InvalidOption {
            option: "role".into(),
            reason: format!("`{text}` is none of viewer, driver, node, admin"),
        })
    }
}

/// The right to ask something of one cluster; whoever knows its text has it.
///
/// ```
/// use ray_core::control::Token;
///
/// assert!("hunter2".parse::<Token>().is_err());
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    secret: [u8; 32],
    fingerprint: [u8; 32],
}

impl Token {
    /// Draws a token for the cluster whose authority has this fingerprint.
    pub(crate) fn generate(fingerprint: [u8; 32]) -> Result<Token> {
        let mut secret = [0; 32];
        SystemRandom::new()
            .fill(&mut secret)
            .map_err(|_| Error::System("the system gives no randomness".into()))?;
        Ok(Token {
            secret,
            fingerprint,
        })
    }

    /// Returns the random part.
    pub(crate) fn secret(&self) -> &[u8; 32] {
        &self.secret
    }

    /// Returns the hash of the cluster's authority.
    pub(crate) fn fingerprint(&self) -> [u8; 32] {
        self.fingerprint
    }

    /// Returns its text, which is the secret itself: `ray1-<random>-<fingerprint>`.
    pub fn expose(&self) -> String {
        format!(
            "{PREFIX}-{}-{}",
            base32(&self.secret),
            base32(&self.fingerprint)
        )
    }
}

/// Shows which cluster it is for, never the secret.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token(for {})", &base32(&self.fingerprint)[..8])
    }
}

impl FromStr for Token {
    type Err = Error;

    fn from_str(text: &str) -> Result<Token> {
        let mut parts = text.trim().split('-');
        let parsed = (|| {
            let prefix = parts.next()?;
            let secret = unbase32(parts.next()?)?;
            let fingerprint = unbase32(parts.next()?)?;
            (prefix.eq_ignore_ascii_case(PREFIX) && parts.next().is_none()).then_some(Token {
                secret,
                fingerprint,
            })
        })();
        // The text is not repeated: it may be a secret with a typing error.
        parsed.ok_or_else(|| {
            Error::Unauthenticated(format!(
                "what was given is no token: one begins with `{PREFIX}-` and has two parts of \
                 {TEXT_CHARS} letters and digits; copy it whole from `ray token create`"
            ))
        })
    }
}

/// The format's version.
const PREFIX: &str = "ray1";
/// RFC 4648, in lower case: no letter in it looks like a digit in it.
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
/// 256 bits, five a letter.
const TEXT_CHARS: usize = 52;

fn base32(bytes: &[u8; 32]) -> String {
    let mut text = String::with_capacity(TEXT_CHARS);
    let (mut held, mut bits) = (0u32, 0);
    for byte in bytes {
        held = held << 8 | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            text.push(ALPHABET[(held >> bits & 31) as usize] as char);
        }
        held &= (1 << bits) - 1;
    }
    text.push(ALPHABET[(held << (5 - bits) & 31) as usize] as char);
    text
}

fn unbase32(text: &str) -> Option<[u8; 32]> {
    if text.len() != TEXT_CHARS {
        return None;
    }
    let mut bytes = Vec::with_capacity(32);
    let (mut held, mut bits) = (0u32, 0);
    for letter in text.bytes() {
        let letter = letter.to_ascii_lowercase();
        let value = ALPHABET.iter().position(|known| *known == letter)?;
        held = held << 5 | u32::try_from(value).ok()?;
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from(held >> bits).ok()?);
            held &= (1 << bits) - 1;
        }
    }
    // The last letter's spare bits are zero, so that a token has one text.
    (held == 0).then_some(())?;
    bytes.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_survives_being_copied() {
        let token = Token::generate([0xa5; 32]).expect("randomness");
        let text = token.expose();
        assert_eq!(text.len(), 4 + 1 + 52 + 1 + 52);
        assert_eq!(text.parse::<Token>().ok(), Some(token.clone()));
        let shouted = format!("  {}\n", text.to_uppercase());
        assert_eq!(shouted.parse::<Token>().ok(), Some(token));
    }

    #[test]
    fn base32_agrees_with_rfc_4648() {
        let mut bytes = [0; 32];
        bytes[..6].copy_from_slice(b"foobar");
        assert!(base32(&bytes).starts_with("mzxw6ytboi"));
        assert_eq!(unbase32(&base32(&[0xff; 32])), Some([0xff; 32]));
    }

    #[test]
    fn a_damaged_token_is_refused_without_repeating_it() {
        let text = Token::generate([1; 32]).expect("randomness").expose();
        for bad in [
            "",
            "ray1",
            &text[..text.len() - 1],
            &format!("{text}a"),
            &format!("{text}-a"),
            &text.replace("ray1", "ray2"),
            &text.replace('-', "_"),
            &(text[..text.len() - 1].to_owned() + "z"),
        ] {
            let error = bad.parse::<Token>().expect_err("damaged").to_string();
            assert!(error.contains("no token"), "{error}");
            assert!(bad.len() < 8 || !error.contains(&bad[5..]), "{error}");
        }
    }

    #[test]
    fn a_printed_token_keeps_its_secret() {
        let token = Token::generate([1; 32]).expect("randomness");
        let secret = base32(token.secret());
        assert!(!format!("{token:?}").contains(&secret[..8]));
    }

    #[test]
    fn each_role_allows_what_the_weaker_ones_do() {
        for (at, role) in Role::ALL.into_iter().enumerate() {
            for (other, needed) in Role::ALL.into_iter().enumerate() {
                assert_eq!(role.allows(needed), at >= other);
            }
            assert_eq!(role.name().parse::<Role>().ok(), Some(role));
        }
        assert!("root".parse::<Role>().is_err());
    }
}
