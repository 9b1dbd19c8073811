//! The token book with a clock and a store: what the front desk asks, and where tokens are made.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use parking_lot::Mutex;

use super::{
    store::{ControlStore, Key, Room},
    token::{Role, Token},
    token_book::{TokenBook, TokenId, TokenInfo, TokenRefusal, WallSeconds},
};
use crate::{Error, Result};

/// Makes tokens and judges them; every change is in the store before it counts.
pub(crate) struct TokenOffice {
    fingerprint: [u8; 32],
    store: Arc<dyn ControlStore>,
    book: Mutex<TokenBook>,
}

impl TokenOffice {
    /// Takes up the tokens that the store has; new ones carry this fingerprint.
    pub(crate) fn open(fingerprint: [u8; 32], store: Arc<dyn ControlStore>) -> Result<TokenOffice> {
        let (entries, _) = store.scan(Room::Tokens, "").map_err(stored)?;
        let mut records = Vec::new();
        for (key, entry) in entries {
            match serde_json::from_slice(&entry.value) {
                Ok(record) => records.push(record),
                Err(error) => tracing::error!(%key, %error, "a token in the store is unreadable"),
            }
        }
        Ok(TokenOffice {
            fingerprint,
            store,
            book: Mutex::new(TokenBook::restore(records)),
        })
    }

    /// Makes a token.
    ///
    /// # Errors
    /// Too many tokens, no randomness, or a store that took no more.
    pub(crate) fn create(
        &self,
        role: Role,
        ttl: Option<Duration>,
        uses: Option<u32>,
    ) -> Result<Token> {
        let mut book = self.book.lock();
        self.add(&mut book, role, ttl, uses).map(|(token, _)| token)
    }

    /// Makes the token by which a head's own user asks it; those of earlier heads are worthless then.
    ///
    /// # Errors
    /// As [`TokenOffice::create`].
    pub(crate) fn create_for_head(&self) -> Result<Token> {
        let mut book = self.book.lock();
        for id in book.of_heads() {
            self.store.delete(key(id)).map_err(stored)?;
            book.revoke(id);
        }
        let (token, id) = self.add(&mut book, Role::Admin, None, None)?;
        book.give_to_head(id);
        self.write_down(&book, id)?;
        Ok(token)
    }

    /// Makes the token of a submitted job's driver; the job's end revokes it.
    ///
    /// # Errors
    /// As [`TokenOffice::create`].
    pub(crate) fn create_for_job(&self) -> Result<(Token, TokenId)> {
        let mut book = self.book.lock();
        self.add(&mut book, Role::Driver, None, None)
    }

    fn add(
        &self,
        book: &mut TokenBook,
        role: Role,
        ttl: Option<Duration>,
        uses: Option<u32>,
    ) -> Result<(Token, TokenId)> {
        let token = Token::generate(self.fingerprint)?;
        let now = wall_now();
        for id in book.sweep(now) {
            self.store.delete(key(id)).map_err(stored)?;
        }
        let id = book
            .add(token.secret(), role, ttl, uses, now)
            .map_err(|refusal| Error::Refused(refusal.to_string()))?;
        if let Err(error) = self.write_down(book, id) {
            book.revoke(id);
            return Err(error);
        }
        Ok((token, id))
    }

    /// Returns whether a token is good for `needed`, spending nothing.
    pub(crate) fn check(&self, secret: &[u8], needed: Role) -> Result<TokenId, TokenRefusal> {
        self.book.lock().check(secret, needed, wall_now())
    }

    /// Spends a use of a token; the outer error is the store's.
    pub(crate) fn redeem(
        &self,
        secret: &[u8],
        needed: Role,
        bearer: &[u8; 32],
    ) -> Result<Result<TokenId, TokenRefusal>> {
        let mut book = self.book.lock();
        let id = match book.redeem(secret, needed, bearer, wall_now()) {
            Ok(id) => id,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if let Err(error) = self.write_down(&book, id) {
            book.give_back(id, bearer);
            return Err(error);
        }
        Ok(Ok(id))
    }

    /// Undoes [`TokenOffice::redeem`] for a join that failed on this side.
    pub(crate) fn give_back(&self, id: TokenId, bearer: &[u8; 32]) {
        let mut book = self.book.lock();
        book.give_back(id, bearer);
        if let Err(error) = self.write_down(&book, id) {
            tracing::error!(%error, "a token's use could not be given back");
        }
    }

    /// Makes a token worthless; returns whether there was one of this name.
    ///
    /// # Errors
    /// What the store refused.
    pub(crate) fn revoke(&self, name: &str) -> Result<bool> {
        let mut book = self.book.lock();
        let Some(id) = book.find(name) else {
            return Ok(false);
        };
        self.store.delete(key(id)).map_err(stored)?;
        Ok(book.revoke(id))
    }

    /// Returns what there is, without the secrets.
    pub(crate) fn list(&self) -> Vec<TokenInfo> {
        self.book.lock().list(wall_now())
    }

    fn write_down(&self, book: &TokenBook, id: TokenId) -> Result<()> {
        let Some(record) = book.record(id) else {
            return Ok(());
        };
        let value = serde_json::to_vec(record).map_err(|error| Error::System(error.to_string()))?;
        self.store.put(key(id), value).map(drop).map_err(stored)
    }
}

/// Returns this machine's clock.
pub(crate) fn wall_now() -> WallSeconds {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    WallSeconds(since.map_or(0, |since| since.as_secs()))
}

fn key(id: TokenId) -> Key {
    Key::new(Room::Tokens, id.to_string())
}

fn stored(error: impl std::fmt::Display) -> Error {
    Error::System(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::{super::store::redb::RedbStore, *};

    #[test]
    fn tokens_and_their_uses_outlive_the_head() {
        let store: Arc<dyn ControlStore> = Arc::new(RedbStore::in_memory().expect("a store"));
        let open = || TokenOffice::open([1; 32], store.clone()).expect("a book");
        let office = open();
        let token = office.create(Role::Node, None, Some(2)).expect("a token");
        let join = |office: &TokenOffice, bearer: u8| {
            office
                .redeem(token.secret(), Role::Node, &[bearer; 32])
                .expect("a store")
        };
        let id = join(&office, 1).expect("two uses");
        drop(office);

        let office = open();
        assert_eq!(office.list()[0].uses_left, Some(1));
        assert_eq!(join(&office, 1), Ok(id));
        assert_eq!(join(&office, 2), Ok(id));
        assert_eq!(join(&office, 3), Err(TokenRefusal::UsedUp));
        office.give_back(id, &[2; 32]);
        drop(office);

        let office = open();
        assert_eq!(join(&office, 3), Ok(id));
        assert_eq!(office.revoke(&id.to_string()).ok(), Some(true));
        drop(office);
        assert_eq!(open().list(), []);
    }

    #[test]
    fn a_later_head_makes_the_earlier_ones_token_worthless() {
        let store: Arc<dyn ControlStore> = Arc::new(RedbStore::in_memory().expect("a store"));
        let open = || TokenOffice::open([1; 32], store.clone()).expect("a book");
        let office = open();
        let first = office.create_for_head().expect("a token");
        let other = office.create(Role::Admin, None, None).expect("a token");
        let office = open();
        let second = office.create_for_head().expect("a token");
        let check = |token: &Token| office.check(token.secret(), Role::Admin);
        assert_eq!(check(&first), Err(TokenRefusal::Unknown));
        assert!(check(&second).is_ok() && check(&other).is_ok());
    }
}
