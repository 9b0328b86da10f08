//! Keys of others by URL: bounded in size, time and frequency, cached as their `Cache-Control` says.
//!
//! Requests that need the same set at once share one fetch, which goes on when they go away. A token with an unknown `kid`
//! makes the set be fetched again, but not more often than every [`INTERVAL`], so that nobody can be flooded through the gate.

pub(super) mod download;
mod introspection;
mod provider;
mod public;
mod question;
mod reach;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use jsonwebtoken::Algorithm;
use quick_cache::sync::Cache;
use reqwest::dns::Resolve;
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::jwks::{Key, KeySet, Miss};
use super::verify::TokenError;
use crate::ambient::{Ambient, UnixSeconds};
use crate::config::{Issuer, KeySource};
use crate::telemetry::Metrics;
pub use download::root_cause;
use download::{Fetched, Http, Place, download};
pub(super) use introspection::Answer;
use introspection::Introspector;
use provider::Known;
pub use provider::Provider;
pub use public::is_public_url;

/// Sets that are kept by URL: so many of the configuration's, and so many of clients'.
const MAX_PLACES: usize = 1024;

/// Sets of the configuration that are kept parsed.
const MAX_INLINE: usize = 1024;

/// How long a set is kept whose server does not say.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(5 * 60);

/// No set is kept longer than this without being fetched again, whatever its server says.
const MAX_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// An issuer's set is kept at least this long, whatever its server says.
const MIN_LIFETIME: Duration = Duration::from_secs(10);

/// How long an issuer's set is used past its lifetime while it cannot be fetched.
const MAX_STALE: Duration = Duration::from_secs(3600);

/// Between two fetches for an unknown `kid`, and after a fetch that failed.
const INTERVAL: Duration = Duration::from_secs(10);

/// Fetches of one set within one [`INTERVAL`], for sets that must not be kept.
const BURST: u32 = 10;

/// What keys are for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Purpose {
    /// An issuer's tokens.
    Tokens,
    /// A client's assertions, whose set "SHALL NOT" be kept longer than its header says (SMART App Launch 2.2
    /// client-confidential-asymmetric).
    Assertions,
}

/// The key that a token names.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) id: Option<&'a str>,
    pub(super) algorithm: Algorithm,
}

/// Why there is no key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoKey {
    /// The set does not have it.
    Missing(Miss),
    /// The set cannot be had; the text is for the log.
    Unavailable(String),
}

/// Sets by where they are and what they are for.
type Places = Cache<(Place, Purpose), Arc<Entry>>;

/// Fetches and keeps JWK sets.
pub struct Fetcher {
    http: Http,
    ambient: Ambient,
    places: Places,
    /// Apart, so that clients cannot crowd out the configuration's.
    client_places: Places,
    inline: Cache<Arc<str>, Arc<KeySet>>,
    generation: Arc<AtomicU64>,
    /// The provider that people log in at.
    provider: Mutex<Known>,
    introspector: Introspector,
}

/// One set and the right to fetch it.
#[derive(Default)]
struct Entry {
    held: ArcSwapOption<Held>,
    /// Fetches begun.
    begun: AtomicU64,
    turn: Arc<Mutex<Turn>>,
}

struct Held {
    set: Fetched,
    /// By the steady clock.
    at: Duration,
    /// The same moment by the wall clock, to be told.
    fetched: UnixSeconds,
    /// Which fetch brought it.
    number: u64,
}

/// When the next fetch may be, by the steady clock.
#[derive(Default)]
struct Turn {
    unknown_after: Duration,
    retry_after: Duration,
    burst_began: Duration,
    burst: u32,
}

impl Held {
    fn is_within(&self, lifetime: Duration, now: Duration) -> bool {
        now < self.at.saturating_add(lifetime)
    }

    fn lifetime(&self, purpose: Purpose) -> Duration {
        let lifetime = self.set.lifetime.unwrap_or(DEFAULT_LIFETIME).min(MAX_LIFETIME);
        match purpose {
            Purpose::Tokens => lifetime.max(MIN_LIFETIME),
            Purpose::Assertions => lifetime,
        }
    }

    fn is_fresh(&self, purpose: Purpose, now: Duration) -> bool {
        self.is_within(self.lifetime(purpose), now)
    }

    /// Whether it may be used when there is nothing newer.
    fn is_usable(&self, purpose: Purpose, now: Duration) -> bool {
        match purpose {
            Purpose::Tokens => self.is_within(self.lifetime(purpose) + MAX_STALE, now),
            Purpose::Assertions => self.is_fresh(purpose, now),
        }
    }
}

impl Turn {
    /// Takes the right to fetch, if there is one at `now`.
    fn take(&mut self, for_unknown: bool, now: Duration) -> bool {
        if now < self.retry_after || (for_unknown && now < self.unknown_after) {
            return false;
        }
        if now >= self.burst_began.saturating_add(INTERVAL) {
            (self.burst_began, self.burst) = (now, 0);
        }
        if self.burst == BURST {
            return false;
        }
        self.burst += 1;
        if for_unknown {
            self.unknown_after = now.saturating_add(INTERVAL);
        }
        true
    }
}

impl Fetcher {
    /// A fetcher with an empty cache.
    ///
    /// # Errors
    /// The HTTP client cannot be made (no root certificates).
    pub fn new(ambient: Ambient, metrics: Metrics) -> Result<Self, super::KeyError> {
        Self::with_resolver(ambient, metrics, Arc::new(public::System::new()))
    }

    /// As [`Fetcher::new`], with the addresses of clients' URLs from `resolver`.
    fn with_resolver(ambient: Ambient, metrics: Metrics, resolver: Arc<dyn Resolve>) -> Result<Self, super::KeyError> {
        let http = Http::new(resolver).map_err(|error| super::KeyError::Key(error.to_string()))?;
        Ok(Self {
            introspector: Introspector::new(http.operator.clone(), ambient.clone(), metrics),
            http,
            ambient,
            places: Cache::new(MAX_PLACES),
            client_places: Cache::new(MAX_PLACES),
            inline: Cache::new(MAX_INLINE),
            generation: Arc::default(),
            provider: Mutex::default(),
        })
    }

    /// When the set of an issuer was fetched that is used now; none where it is in the configuration, or was never had.
    pub fn fetched(&self, source: &KeySource) -> Option<UnixSeconds> {
        let place = match source {
            KeySource::Url(url) => Place::Set(url.clone()),
            KeySource::Discovery(issuer) => Place::Discovery(issuer.clone()),
            KeySource::Inline(_) | KeySource::ClientUrl(_) => return None,
        };
        let entry = self.places.peek(&(place, Purpose::Tokens))?;
        Some(entry.held.load_full()?.fetched)
    }

    /// The key that a token names.
    pub(super) async fn key(
        &self,
        source: &KeySource,
        purpose: Purpose,
        wanted: Wanted<'_>,
    ) -> Result<Arc<Key>, NoKey> {
        let place = match source {
            KeySource::Inline(document) => return self.inline(document)?.one(wanted),
            KeySource::Url(url) => Place::Set(url.clone()),
            KeySource::ClientUrl(url) => Place::ClientSet(url.clone()),
            KeySource::Discovery(issuer) => Place::Discovery(issuer.clone()),
        };
        let entry = self.entry((place.clone(), purpose));
        let seen = entry.begun.load(Ordering::Acquire);
        if let Some(held) = entry.held.load_full()
            && held.is_fresh(purpose, self.ambient.steady())
        {
            match held.set.keys.one(wanted) {
                Err(NoKey::Missing(Miss::Unknown)) if wanted.id.is_some() => {}
                found => return found,
            }
        }
        self.renewed(place, purpose, entry, seen, wanted).await
    }

    /// What `issuer` says of a token of its own that cannot be verified here.
    pub(super) async fn introspect(&self, issuer: &Arc<Issuer>, token: &str) -> Result<Arc<Answer>, TokenError> {
        match &issuer.introspection {
            Some(introspection) => self.introspector.ask(issuer, introspection, token).await,
            None => Err(TokenError::Refused("token-malformed")),
        }
    }

    /// Grows when an issuer's keys changed.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    fn inline(&self, document: &Arc<str>) -> Result<Arc<KeySet>, NoKey> {
        self.inline
            .get_or_insert_with(document, || KeySet::parse(document.as_bytes()).map(Arc::new))
            .map_err(|error| NoKey::Unavailable(format!("the configured key set cannot be used: {error}")))
    }

    fn entry(&self, at: (Place, Purpose)) -> Arc<Entry> {
        let places = if matches!(at.0, Place::ClientSet(_)) { &self.client_places } else { &self.places };
        let made: Result<_, std::convert::Infallible> = places.get_or_insert_with(&at, || Ok(Arc::default()));
        made.unwrap_or_else(|never| match never {})
    }

    /// The key from the set as it is after this caller's turn; `seen` fetches had begun when it came.
    async fn renewed(
        &self,
        place: Place,
        purpose: Purpose,
        entry: Arc<Entry>,
        seen: u64,
        wanted: Wanted<'_>,
    ) -> Result<Arc<Key>, NoKey> {
        let mut turn = entry.turn.clone().lock_owned().await;
        let now = self.ambient.steady();
        let held = entry.held.load_full();
        // Somebody else may have fetched it while this caller waited.
        if let Some(held) = held.as_ref().filter(|held| held.number > seen) {
            return held.set.keys.one(wanted);
        }
        let for_unknown = held.as_ref().is_some_and(|held| held.is_fresh(purpose, now));
        let mut because = String::new();
        if turn.take(for_unknown, now) {
            let generation = (purpose == Purpose::Tokens).then(|| self.generation.clone());
            let fetch = fetch(self.http.clone(), place, entry.clone(), turn, self.ambient.clone(), generation);
            match tokio::spawn(fetch).await {
                Ok(Ok(held)) => return held.set.keys.one(wanted),
                Ok(Err(why)) => {
                    tracing::warn!(%why, "keys cannot be fetched");
                    because = format!(": {why}");
                }
                Err(error) => tracing::error!(%error, "a fetch of keys ended early"),
            }
        }
        match held {
            Some(held) if held.is_usable(purpose, now) => held.set.keys.one(wanted),
            _ => Err(NoKey::Unavailable(format!("the key set cannot be fetched now{because}"))),
        }
    }
}

async fn fetch(
    http: Http,
    place: Place,
    entry: Arc<Entry>,
    mut turn: OwnedMutexGuard<Turn>,
    ambient: Ambient,
    generation: Option<Arc<AtomicU64>>,
) -> Result<Arc<Held>, String> {
    let (at, fetched) = (ambient.steady(), ambient.now());
    let number = entry.begun.fetch_add(1, Ordering::AcqRel) + 1;
    let set = match download(&http, &place).await {
        Ok(set) => set,
        Err(why) => {
            turn.retry_after = at.saturating_add(INTERVAL);
            return Err(why);
        }
    };
    let held = Arc::new(Held { set, at, fetched, number });
    let before = entry.held.swap(Some(held.clone()));
    if let Some(generation) = generation
        && before.is_none_or(|before| before.set.digest != held.set.digest)
    {
        generation.fetch_add(1, Ordering::AcqRel);
    }
    Ok(held)
}

impl KeySet {
    fn one(&self, wanted: Wanted<'_>) -> Result<Arc<Key>, NoKey> {
        self.find(wanted.id, wanted.algorithm).cloned().map_err(NoKey::Missing)
    }
}

#[cfg(test)]
mod tests;
