//! What must outlive a request: keys, authorizations in progress, codes, ids seen once, revocations.
//!
//! One trait, so that a second database is a second implementation and nothing else. Each operation is one atomic
//! statement: a request that is dropped half-way leaves either nothing or the whole of it.

#[cfg(test)]
pub(crate) mod battery;
mod failures;
mod measured;
mod postgres;
mod sqlite;

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Notify;

use crate::ambient::UnixSeconds;

#[cfg(test)]
pub(crate) use failures::Failures;
pub use failures::{Attempt, Tried};
pub use measured::MeasuredStore;
pub use postgres::PostgresStore;
pub use sqlite::SqliteStore;

/// A shared handle to the store.
pub type SharedStore = Arc<dyn Store>;

/// SHA-256 of a bearer secret; the store never holds a secret that can be presented.
pub type Digest = [u8; 32];

/// The store could not do what was asked; nothing was changed.
#[derive(Debug, thiserror::Error)]
#[error("the store failed: {0}")]
pub struct StoreError(pub String);

/// Revocations in one answer of [`Store::revocations_after`].
const PAGE: i64 = 1000;

/// Grants of one user that are listed at once.
const MOST_GRANTS: i64 = 200;

/// What a key of the gate is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
pub enum KeyPurpose {
    /// Signs access tokens.
    Access,
    /// Signs id_tokens, always RS256 (SMART App Launch 2.2 scopes-and-launch-context, "sso-openid-connect").
    Identity,
    /// Seals page links.
    Seal,
}

impl KeyPurpose {
    /// What stands for it in a table.
    fn number(self) -> i64 {
        match self {
            Self::Access => 0,
            Self::Identity => 1,
            Self::Seal => 2,
        }
    }

    fn numbered(number: i64) -> Option<Self> {
        [Self::Access, Self::Identity, Self::Seal].into_iter().find(|purpose| purpose.number() == number)
    }
}

/// One key of the gate as the store keeps it.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredKey {
    pub id: String,
    pub purpose: KeyPurpose,
    /// JWS name for signing keys, `A256GCM` for seal keys.
    pub algorithm: String,
    /// PKCS#8 DER for signing keys, 32 raw bytes for seal keys.
    pub secret: Vec<u8>,
    pub created: UnixSeconds,
    /// It is published from `created` on and used from here on.
    pub active_from: UnixSeconds,
    /// Not used for anything new from here on; published until the last token it signed is gone.
    pub retired: Option<UnixSeconds>,
}

/// What became of an authorization code that was presented.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Redemption {
    /// First time: what the code stands for.
    Fresh(String),
    /// Presented before: the grant whose tokens must be revoked (RFC 6749 §4.1.2).
    Replayed { grant: String },
    /// Never issued, or expired.
    Unknown,
}

/// A grant that a person gave to an app and that outlives its access token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RefreshGrant {
    pub id: String,
    pub client: String,
    pub username: String,
    /// What the grant stands for.
    pub payload: String,
}

/// A grant that is alive, as its giver sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LiveGrant {
    pub grant: RefreshGrant,
    /// When the app last got a token by it.
    pub used: UnixSeconds,
    pub expires: UnixSeconds,
}

/// A refresh token that was presented.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RefreshToken {
    pub grant: RefreshGrant,
    pub expires: UnixSeconds,
    /// Whether it is the grant's present one: not yet exchanged for a successor.
    pub live: bool,
}

/// A refresh token to be exchanged for its successor.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rotation {
    pub token: Digest,
    pub successor: Digest,
    pub now: UnixSeconds,
    /// When the successor expires.
    pub expires: UnixSeconds,
    /// A token that was exchanged after this moment may be presented again by a client that did not get the answer.
    pub repeat_after: UnixSeconds,
    /// But not one that was exchanged after this one: the clock was set back since, and nobody knows how long ago that was.
    pub repeat_before: UnixSeconds,
    /// How long the grant's access tokens must be remembered as revoked, should this turn out to be a reuse.
    pub revoke_until: UnixSeconds,
}

/// What became of a refresh token that was presented.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Rotated {
    /// It was live; its successor is now.
    Fresh,
    /// It was exchanged a moment ago for this successor, which nobody has used.
    Repeated { successor: Digest },
    /// It was exchanged before: its grant is revoked with all that came of it (RFC 9700 §4.14.2).
    Reused,
    /// Never issued, expired, or its grant has ended.
    Unknown,
}

/// What is no longer valid although its signature is.
#[derive(Clone, PartialEq, Eq, Debug, Hash)]
pub enum Revoked {
    /// One token by issuer and `jti`.
    Token { issuer: String, id: String },
    /// Every token of one grant of the gate's own, refresh tokens too.
    Grant(String),
}

/// Which of [`Revoked`] a row is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum RevokedKind {
    Token,
    Grant,
}

impl RevokedKind {
    /// What stands for it in a table.
    fn number(self) -> i64 {
        match self {
            Self::Token => 0,
            Self::Grant => 1,
        }
    }

    fn numbered(number: i64) -> Option<Self> {
        [Self::Token, Self::Grant].into_iter().find(|kind| kind.number() == number)
    }
}

impl Revoked {
    /// Kind, issuer and id as the tables have them.
    fn columns(&self) -> (RevokedKind, &str, &str) {
        match self {
            Self::Token { issuer, id } => (RevokedKind::Token, issuer, id),
            Self::Grant(grant) => (RevokedKind::Grant, "", grant),
        }
    }

    fn of(kind: RevokedKind, issuer: String, id: String) -> Self {
        match kind {
            RevokedKind::Token => Self::Token { issuer, id },
            RevokedKind::Grant => Self::Grant(id),
        }
    }
}

/// A revocation and the moment from which nobody needs it any more.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Revocation {
    /// Grows with every revocation; the place to go on reading from.
    pub sequence: i64,
    pub revoked: Revoked,
    pub expires: UnixSeconds,
}

/// A client that registered itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredClient {
    pub id: String,
    /// What it registered.
    pub payload: String,
}

/// Tells one state of the registered clients from every other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClientsVersion {
    pub(super) count: i64,
    pub(super) last: i64,
}

/// What rings when another process may have changed something. Who follows it looks for itself at intervals too.
#[derive(Default)]
pub struct News {
    pub revocations: Notify,
    pub keys: Notify,
    pub clients: Notify,
    pub probes: Notify,
    pub pauses: Notify,
}

/// What the gate keeps. Every method is atomic and durable when it returns.
#[async_trait]
pub trait Store: Send + Sync {
    /// Every key that is not yet forgotten, oldest first.
    async fn keys(&self) -> Result<Vec<StoredKey>, StoreError>;

    /// Adds `key` unless an unretired key of the same purpose is there already, so that replicas starting together agree.
    async fn add_first_key(&self, key: &StoredKey) -> Result<(), StoreError>;

    /// Adds `key` and retires the other keys of its purpose as of `key.active_from`.
    async fn rotate_key(&self, key: &StoredKey) -> Result<(), StoreError>;

    /// Puts `keys` in the place of all that there are, and ends what came of those: grants with their refresh tokens, codes,
    /// authorizations in progress, launches and visits.
    async fn replace_keys(&self, keys: &[StoredKey]) -> Result<(), StoreError>;

    /// Forgets keys retired before `before`.
    async fn forget_keys(&self, before: UnixSeconds) -> Result<(), StoreError>;

    /// Keeps an authorization in progress under the digest of its handle.
    async fn put_pending(&self, handle: &Digest, state: &str, expires: UnixSeconds) -> Result<(), StoreError>;

    /// Reads an authorization in progress without consuming it.
    async fn pending(&self, handle: &Digest, now: UnixSeconds) -> Result<Option<String>, StoreError>;

    /// Consumes an authorization in progress: of two callers exactly one gets it.
    async fn take_pending(&self, handle: &Digest, now: UnixSeconds) -> Result<Option<String>, StoreError>;

    /// Keeps an authorization code under its digest.
    async fn put_code(&self, code: &Digest, grant: &str, payload: &str, expires: UnixSeconds)
    -> Result<(), StoreError>;

    /// Redeems a code: of two callers exactly one gets [`Redemption::Fresh`]. A spent code is remembered at least until
    /// `remember_until` so that its replay is seen.
    async fn redeem_code(
        &self,
        code: &Digest,
        now: UnixSeconds,
        remember_until: UnixSeconds,
    ) -> Result<Redemption, StoreError>;

    /// Keeps the first refresh token of a grant. False, and nothing is kept, if the grant is revoked already: its code may have
    /// been shown a second time meanwhile.
    async fn put_refresh(
        &self,
        token: &Digest,
        grant: &RefreshGrant,
        now: UnixSeconds,
        expires: UnixSeconds,
    ) -> Result<bool, StoreError>;

    /// Reads a refresh token that has not expired, live or exchanged, without using it.
    async fn refresh(&self, token: &Digest, now: UnixSeconds) -> Result<Option<RefreshToken>, StoreError>;

    /// The grants of a user that are alive, the latest used first.
    async fn grants_of(&self, username: &str, now: UnixSeconds) -> Result<Vec<LiveGrant>, StoreError>;

    /// Exchanges a refresh token for its successor: a grant never has two live ones, whoever asks and how often.
    async fn rotate_refresh(&self, rotation: &Rotation) -> Result<Rotated, StoreError>;

    /// Whether `id` of `issuer` was never seen before; it is seen from now on until `expires` (client assertion `jti`).
    async fn first_use(
        &self,
        issuer: &str,
        id: &str,
        now: UnixSeconds,
        expires: UnixSeconds,
    ) -> Result<bool, StoreError>;

    /// Revokes; doing it again changes nothing but that the longer of the two expiries counts. A grant's refresh tokens are gone
    /// with it.
    async fn revoke(&self, revoked: &Revoked, expires: UnixSeconds) -> Result<(), StoreError>;

    /// The sequence of the last revocation that there was, needed or not. It is less than before where the store lost some.
    async fn last_revocation(&self) -> Result<i64, StoreError>;

    /// Revocations after `sequence` that are still needed at `now`, in order, a page at a time; an empty answer means that
    /// there are no more.
    async fn revocations_after(&self, sequence: i64, now: UnixSeconds) -> Result<Vec<Revocation>, StoreError>;

    /// Keeps a client that registered itself. False, and nothing is kept, if there are `max` already.
    async fn add_client(&self, client: &StoredClient, max: usize) -> Result<bool, StoreError>;

    /// Which state the registered clients are in; another whenever one came or went.
    async fn clients_version(&self) -> Result<ClientsVersion, StoreError>;

    /// Every client that registered itself, in the order in which they did.
    async fn clients(&self) -> Result<Vec<StoredClient>, StoreError>;

    /// Forgets a client that registered itself; whether it was there.
    async fn remove_client(&self, id: &str) -> Result<bool, StoreError>;

    /// What was found out about the FHIR server with this base.
    async fn probe(&self, upstream: &str) -> Result<Option<String>, StoreError>;

    /// Keeps what was found out about the FHIR server with this base, in the place of what was found before.
    async fn put_probe(&self, upstream: &str, found: &str) -> Result<(), StoreError>;

    /// Counts an attempt under the digest of a name, which is one of `tried`, as failed until it is forgiven, unless there is a pause: of many at once not more
    /// are counted than may fail, whichever replicas they come to. After ten failures there are pauses, which grow to `longest`
    /// seconds.
    async fn attempt(
        &self,
        tried: Tried,
        name: &Digest,
        now: UnixSeconds,
        longest: UnixSeconds,
    ) -> Result<Attempt, StoreError>;

    /// Forgets the failures under a name.
    async fn forgive(&self, name: &Digest) -> Result<(), StoreError>;

    /// The names of clients ([`Tried::Client`]) that there is a pause for, and until when; of very many those of the longest pauses.
    async fn pauses(&self, now: UnixSeconds) -> Result<Vec<(Digest, UnixSeconds)>, StoreError>;

    /// Deletes what nobody can use any more; returns how many rows went. What was only begun or failed goes once its time is
    /// over at `now`, and what was granted, used or revoked once it had expired at `over`: so long it is remembered.
    async fn sweep(&self, now: UnixSeconds, over: UnixSeconds) -> Result<usize, StoreError>;

    /// Whether the store answers.
    async fn ping(&self) -> Result<(), StoreError>;

    /// What rings; of a store that cannot tell nothing ever does.
    fn news(&self) -> Arc<News> {
        Arc::default()
    }
}
