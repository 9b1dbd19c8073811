//! Which tokens are good: a machine without a clock, driven by the front desk.
//!
//! The book keeps a hash of each token only, so that whoever reads the store learns no token. Joins
//! spend a use each; looking at the cluster spends none, but a spent token is good for nothing.

use std::{collections::BTreeMap, fmt, time::Duration};

use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

use super::{hex, token::Role};

/// Tokens that one cluster keeps at most.
const TOKENS_MAX: usize = 4096;
/// How long an expired token stays in the list, to say that it expired rather than never was.
const KEPT_AFTER_EXPIRY_SECONDS: u64 = 24 * 3600;

/// The name of a token that is no secret: the first bytes of its hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TokenId(u64);

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Seconds since 1970 on this machine's clock: the one thing here that outlives a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct WallSeconds(pub u64);

/// What the book knows of one token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TokenRecord {
    #[serde(with = "hex")]
    hash: Vec<u8>,
    role: Role,
    created: WallSeconds,
    /// `None`: it never expires.
    expires: Option<WallSeconds>,
    /// `None`: any number of processes may join with it.
    uses_left: Option<u32>,
    /// Hashes of the keys that joined, so that a request sent again spends nothing.
    bearers: Vec<String>,
    /// Made by a head for its own user; the next head on the store replaces it.
    #[serde(default)]
    is_heads: bool,
}

impl TokenRecord {
    pub(crate) fn id(&self) -> TokenId {
        id_of(&self.hash)
    }
}

/// A token as `ray token list` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenInfo {
    /// Its name, which is no secret.
    pub token_id: String,
    /// What it allows.
    pub role: Role,
    /// `GOOD`, `EXPIRED` or `USED_UP`.
    pub state: String,
    /// When it was made, in seconds since 1970.
    pub created_s: u64,
    /// When it ends, in seconds since 1970; `None` for never.
    pub expires_s: Option<u64>,
    /// How many more processes may join with it; `None` for any number.
    pub uses_left: Option<u32>,
}

/// Why a token is not good for what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenRefusal {
    /// No token of this cluster, or one that was revoked.
    #[error("the cluster knows no such token; make one with `ray token create`")]
    Unknown,
    /// Its time is over.
    #[error("the token expired {0} s ago; make another with `ray token create --ttl ...`")]
    Expired(u64),
    /// As many processes as it allowed have joined.
    #[error("the token is used up; make another with `ray token create --uses ...`")]
    UsedUp,
    /// It allows less.
    #[error(
        "the token's role is {has} and this takes {needed}; make one with `ray token create --role {needed}`"
    )]
    WrongRole { has: Role, needed: Role },
    /// The book is full.
    #[error("the cluster keeps {TOKENS_MAX} tokens, its limit; revoke some first")]
    Full,
}

/// All tokens of a cluster.
#[derive(Debug, Default)]
pub(crate) struct TokenBook {
    records: BTreeMap<TokenId, TokenRecord>,
}

impl TokenBook {
    /// Takes up what an earlier book had written down.
    pub(crate) fn restore(records: impl IntoIterator<Item = TokenRecord>) -> TokenBook {
        let records = records.into_iter().map(|record| (record.id(), record));
        TokenBook {
            records: records.collect(),
        }
    }

    /// Writes down a new token; returns its name.
    ///
    /// # Errors
    /// [`TokenRefusal::Full`].
    pub(crate) fn add(
        &mut self,
        secret: &[u8; 32],
        role: Role,
        ttl: Option<Duration>,
        uses: Option<u32>,
        now: WallSeconds,
    ) -> Result<TokenId, TokenRefusal> {
        if self.records.len() >= TOKENS_MAX {
            return Err(TokenRefusal::Full);
        }
        let record = TokenRecord {
            hash: digest(&SHA256, secret).as_ref().to_vec(),
            role,
            created: now,
            expires: ttl.map(|ttl| WallSeconds(now.0.saturating_add(ttl.as_secs()))),
            uses_left: uses,
            bearers: Vec::new(),
            is_heads: false,
        };
        let id = record.id();
        self.records.insert(id, record);
        Ok(id)
    }

    /// Notes that a token is the head's own.
    pub(crate) fn give_to_head(&mut self, id: TokenId) {
        if let Some(record) = self.records.get_mut(&id) {
            record.is_heads = true;
        }
    }

    /// Returns the tokens that heads made for themselves.
    pub(crate) fn of_heads(&self) -> Vec<TokenId> {
        let own = self.records.iter().filter(|(_, record)| record.is_heads);
        own.map(|(id, _)| *id).collect()
    }

    /// Returns whether the token is good for `needed`, spending nothing.
    ///
    /// # Errors
    /// Why it is not.
    pub(crate) fn check(
        &self,
        secret: &[u8],
        needed: Role,
        now: WallSeconds,
    ) -> Result<TokenId, TokenRefusal> {
        let record = self.good(secret, needed, now)?;
        match record.uses_left {
            Some(0) => Err(TokenRefusal::UsedUp),
            _ => Ok(record.id()),
        }
    }

    /// Spends one use for the holder of the key with this hash; the same key spends one once.
    ///
    /// # Errors
    /// Why the token is not good for it.
    pub(crate) fn redeem(
        &mut self,
        secret: &[u8],
        needed: Role,
        bearer: &[u8; 32],
        now: WallSeconds,
    ) -> Result<TokenId, TokenRefusal> {
        let id = self.good(secret, needed, now)?.id();
        let record = self.records.get_mut(&id).expect("it was found above");
        let bearer = hex::encode(bearer);
        if record.bearers.contains(&bearer) {
            return Ok(id);
        }
        if let Some(left) = &mut record.uses_left {
            *left = left.checked_sub(1).ok_or(TokenRefusal::UsedUp)?;
            record.bearers.push(bearer);
        }
        Ok(id)
    }

    /// Undoes [`TokenBook::redeem`] for a join that failed on this side.
    pub(crate) fn give_back(&mut self, id: TokenId, bearer: &[u8; 32]) {
        let Some(record) = self.records.get_mut(&id) else {
            return;
        };
        let bearer = hex::encode(bearer);
        let joined = record.bearers.len();
        record.bearers.retain(|known| *known != bearer);
        if let Some(left) = &mut record.uses_left
            && record.bearers.len() < joined
        {
            *left += 1;
        }
    }

    /// Forgets a token; returns whether it was there.
    pub(crate) fn revoke(&mut self, id: TokenId) -> bool {
        self.records.remove(&id).is_some()
    }

    /// Forgets what expired long ago; returns the names.
    pub(crate) fn sweep(&mut self, now: WallSeconds) -> Vec<TokenId> {
        let old = self.records.iter().filter(|(_, record)| {
            record
                .expires
                .is_some_and(|at| at.0.saturating_add(KEPT_AFTER_EXPIRY_SECONDS) <= now.0)
        });
        let old: Vec<TokenId> = old.map(|(id, _)| *id).collect();
        for id in &old {
            self.records.remove(id);
        }
        old
    }

    /// Returns what is written down of a token.
    pub(crate) fn record(&self, id: TokenId) -> Option<&TokenRecord> {
        self.records.get(&id)
    }

    /// Returns the token whose printed name this is.
    pub(crate) fn find(&self, name: &str) -> Option<TokenId> {
        let id = TokenId(u64::from_str_radix(name, 16).ok()?);
        self.records.contains_key(&id).then_some(id)
    }

    /// Returns all tokens, the oldest first.
    pub(crate) fn list(&self, now: WallSeconds) -> Vec<TokenInfo> {
        let mut list: Vec<TokenInfo> = self
            .records
            .values()
            .map(|record| TokenInfo {
                token_id: record.id().to_string(),
                role: record.role,
                state: match (record.expires, record.uses_left) {
                    (Some(at), _) if at <= now => "EXPIRED",
                    (_, Some(0)) => "USED_UP",
                    _ => "GOOD",
                }
                .to_owned(),
                created_s: record.created.0,
                expires_s: record.expires.map(|at| at.0),
                uses_left: record.uses_left,
            })
            .collect();
        list.sort_by_key(|info| info.created_s);
        list
    }

    fn good(
        &self,
        secret: &[u8],
        needed: Role,
        now: WallSeconds,
    ) -> Result<&TokenRecord, TokenRefusal> {
        let hash = digest(&SHA256, secret);
        // Every record is compared, in a time that does not depend on how much of it agrees.
        let mut found = None;
        for record in self.records.values() {
            if bool::from(record.hash.as_slice().ct_eq(hash.as_ref())) {
                found = Some(record);
            }
        }
        let record = found.ok_or(TokenRefusal::Unknown)?;
        if let Some(at) = record.expires
            && at <= now
        {
            return Err(TokenRefusal::Expired(now.0 - at.0));
        }
        if !record.role.allows(needed) {
            return Err(TokenRefusal::WrongRole {
                has: record.role,
                needed,
            });
        }
        Ok(record)
    }
}

fn id_of(hash: &[u8]) -> TokenId {
    let head = hash.first_chunk().copied().unwrap_or_default();
    TokenId(u64::from_be_bytes(head))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: [u8; 32] = [7; 32];
    const NOW: WallSeconds = WallSeconds(1_000_000);
    const MINUTE: Duration = Duration::from_secs(60);

    fn book(role: Role, ttl: Option<Duration>, uses: Option<u32>) -> TokenBook {
        let mut book = TokenBook::default();
        book.add(&SECRET, role, ttl, uses, NOW).expect("room");
        book
    }

    #[test]
    fn an_unknown_token_is_refused() {
        let mut book = book(Role::Node, None, None);
        let refused = book.redeem(&[8; 32], Role::Node, &[1; 32], NOW);
        assert_eq!(refused, Err(TokenRefusal::Unknown));
        assert_eq!(
            book.check(&[], Role::Viewer, NOW),
            Err(TokenRefusal::Unknown)
        );
    }

    #[test]
    fn a_token_expires_at_the_end_of_its_time() {
        let book = book(Role::Node, Some(MINUTE), None);
        let at = |second| book.check(&SECRET, Role::Node, WallSeconds(NOW.0 + second));
        assert!(at(59).is_ok());
        assert_eq!(at(60), Err(TokenRefusal::Expired(0)));
        assert_eq!(at(90), Err(TokenRefusal::Expired(30)));
    }

    #[test]
    fn a_token_is_used_up_after_its_uses() {
        let mut book = book(Role::Node, None, Some(2));
        for bearer in [1, 2] {
            assert!(book.redeem(&SECRET, Role::Node, &[bearer; 32], NOW).is_ok());
        }
        let refused = book.redeem(&SECRET, Role::Node, &[3; 32], NOW);
        assert_eq!(refused, Err(TokenRefusal::UsedUp));
        assert_eq!(
            book.check(&SECRET, Role::Viewer, NOW),
            Err(TokenRefusal::UsedUp)
        );
        assert_eq!(book.list(NOW)[0].state, "USED_UP");
    }

    #[test]
    fn a_request_sent_again_spends_one_use() {
        let mut book = book(Role::Driver, None, Some(1));
        for _ in 0..3 {
            assert!(book.redeem(&SECRET, Role::Driver, &[1; 32], NOW).is_ok());
        }
        let refused = book.redeem(&SECRET, Role::Driver, &[2; 32], NOW);
        assert_eq!(refused, Err(TokenRefusal::UsedUp));
    }

    #[test]
    fn a_join_that_failed_here_gives_its_use_back() {
        let mut book = book(Role::Node, None, Some(1));
        let id = book.redeem(&SECRET, Role::Node, &[1; 32], NOW);
        let id = id.expect("a use is left");
        book.give_back(id, &[1; 32]);
        book.give_back(id, &[1; 32]);
        assert!(book.redeem(&SECRET, Role::Node, &[2; 32], NOW).is_ok());
        assert!(book.redeem(&SECRET, Role::Node, &[3; 32], NOW).is_err());
    }

    #[test]
    fn a_role_below_what_is_asked_is_refused_by_name() {
        for has in Role::ALL {
            for needed in Role::ALL {
                let got = book(has, None, None).check(&SECRET, needed, NOW);
                match has >= needed {
                    true => assert!(got.is_ok()),
                    false => assert_eq!(got, Err(TokenRefusal::WrongRole { has, needed })),
                }
            }
        }
    }

    #[test]
    fn a_revoked_token_is_unknown() {
        let mut book = book(Role::Admin, None, None);
        let id = book.find(&book.list(NOW)[0].token_id).expect("listed");
        assert!(book.revoke(id));
        assert!(!book.revoke(id));
        assert_eq!(
            book.check(&SECRET, Role::Viewer, NOW),
            Err(TokenRefusal::Unknown)
        );
    }

    #[test]
    fn a_book_written_down_holds_no_secret_and_comes_back() {
        let mut book = book(Role::Node, Some(MINUTE), Some(3));
        let id = book
            .redeem(&SECRET, Role::Node, &[1; 32], NOW)
            .expect("good");
        let text = serde_json::to_string(book.record(id).expect("kept")).expect("JSON");
        assert!(!text.contains(&hex::encode(&SECRET)));
        let record = serde_json::from_str(&text).expect("the same");
        assert_eq!(TokenBook::restore([record]).list(NOW), book.list(NOW));
    }

    #[test]
    fn what_expired_a_day_ago_is_forgotten() {
        let mut book = book(Role::Node, Some(MINUTE), None);
        let end = NOW.0 + 60 + KEPT_AFTER_EXPIRY_SECONDS;
        assert!(book.sweep(WallSeconds(end - 1)).is_empty());
        assert_eq!(book.sweep(WallSeconds(end)).len(), 1);
        assert!(book.list(NOW).is_empty());
    }

    #[test]
    fn a_full_book_refuses_more() {
        let mut book = TokenBook::default();
        for number in 0..=TOKENS_MAX {
            let mut secret = [0; 32];
            secret[..8].copy_from_slice(&number.to_le_bytes());
            let added = book.add(&secret, Role::Viewer, None, None, NOW);
            assert_eq!(added.is_ok(), number < TOKENS_MAX);
        }
    }
}
