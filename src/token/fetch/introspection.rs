//! Opaque tokens: their issuer is asked (RFC 7662), once for all who need the answer, and not more often than it was agreed.
//!
//! An answer is kept by the token's digest as long as the configuration says, and never used later. Tokens that nobody issued
//! are told from good ones by the issuer alone, so that only so many questions a second are asked about tokens that were not
//! known to be good; those that were are asked about again whatever comes with them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use futures_util::future::{BoxFuture, FutureExt as _, Shared};
use parking_lot::Mutex;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::download::TIMEOUT;
use super::question::{Endpoint, question};
use crate::ambient::{Ambient, UnixSeconds};
use crate::config::{Introspection, Issuer};
use crate::telemetry::{IssuerAnswer, Metrics};
use crate::token::jws::Members;
use crate::token::verify::TokenError;

/// Tokens of which something is kept: so many good ones, and so many others.
const MAX_TOKENS: usize = 10_000;

/// All that is kept of what was said of good ones, in bytes as they came.
const MAX_BYTES: u64 = 32 * 1024 * 1024;

/// How long a token is not asked about again that the issuer does not know.
const INACTIVE: Duration = Duration::from_secs(5);

/// Questions that wait or are under way.
const MAX_FLIGHTS: usize = 1024;

/// Questions under way at one issuer.
const AT_ONCE: usize = 32;

/// Issuers whose limits are kept.
const MAX_ISSUERS: usize = 1024;

/// What is kept of a token.
type Digest = [u8; 32];

/// A question, which all who need its answer wait for.
type Flight = Shared<BoxFuture<'static, Result<Told, Arc<str>>>>;

/// What is known of a token: the answer, or the question under way.
enum Known {
    Kept(Arc<Answer>),
    Asked(Flight),
}

/// What an issuer said of a good token.
pub(in crate::token) struct Answer {
    pub(in crate::token) members: Members,
    /// When it must be asked again, by the steady clock.
    pub(in crate::token) until: Duration,
    bytes: u64,
}

impl Answer {
    /// Whether it need not be asked again; that a token has expired stays true.
    fn holds(&self, ambient: &Ambient) -> bool {
        let expires: Option<UnixSeconds> = self.members.seconds("exp").ok().flatten();
        ambient.steady() < self.until || expires.is_some_and(|expires| expires <= ambient.now())
    }
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<Digest, Arc<Answer>> for ByBytes {
    fn weight(&self, _: &Digest, answer: &Arc<Answer>) -> u64 {
        answer.bytes
    }
}

#[derive(Clone)]
enum Told {
    Active(Arc<Answer>),
    Inactive,
}

/// Asks issuers, and keeps what they said.
pub(super) struct Introspector {
    http: reqwest::Client,
    ambient: Ambient,
    metrics: Metrics,
    kept: Arc<Kept>,
    issuers: Cache<String, Arc<Limits>>,
}

struct Kept {
    good: Cache<Digest, Arc<Answer>, ByBytes>,
    /// Until when they are not asked about, by the steady clock.
    inactive: Cache<Digest, Duration>,
    flights: Mutex<HashMap<Digest, Flight>>,
}

/// What one issuer is spared.
struct Limits {
    at_once: Semaphore,
    /// A second, and the questions about unknown tokens in it.
    second: Mutex<(u64, usize)>,
    endpoint: Endpoint,
}

impl Limits {
    fn admits(&self, rate: usize, now: Duration) -> bool {
        let mut second = self.second.lock();
        if second.0 != now.as_secs() {
            *second = (now.as_secs(), 0);
        }
        second.1 += 1;
        second.1 <= rate
    }
}

/// Makes room for the next question about the token, however this one ends.
struct Landing {
    kept: Arc<Kept>,
    key: Digest,
}

impl Drop for Landing {
    fn drop(&mut self) {
        let landed = self.kept.flights.lock().remove(&self.key);
        drop(landed);
    }
}

impl Introspector {
    pub(super) fn new(http: reqwest::Client, ambient: Ambient, metrics: Metrics) -> Self {
        let kept = Kept {
            good: Cache::with_weighter(MAX_TOKENS, MAX_BYTES, ByBytes),
            inactive: Cache::new(MAX_TOKENS),
            flights: Mutex::default(),
        };
        Self { http, ambient, metrics, kept: Arc::new(kept), issuers: Cache::new(MAX_ISSUERS) }
    }

    /// What `issuer` says of `token`.
    ///
    /// # Errors
    /// It is not good, or the issuer cannot be asked now.
    pub(super) async fn ask(
        &self,
        issuer: &Arc<Issuer>,
        introspection: &Introspection,
        token: &str,
    ) -> Result<Arc<Answer>, TokenError> {
        let flight = match self.known(issuer, introspection, token)? {
            Known::Kept(answer) => return Ok(answer),
            Known::Asked(flight) => flight,
        };
        match flight.await {
            Ok(Told::Active(answer)) => Ok(answer),
            Ok(Told::Inactive) => Err(TokenError::Refused("token-inactive")),
            Err(why) => Err(TokenError::Unavailable(why.to_string())),
        }
    }

    /// The answer that is kept, or else the question that was asked or is asked now.
    fn known(&self, issuer: &Arc<Issuer>, introspection: &Introspection, token: &str) -> Result<Known, TokenError> {
        let key = key(issuer, introspection, token);
        let now = self.ambient.steady();
        let mut flights = self.kept.flights.lock();
        let known = self.kept.good.get(&key);
        if let Some(answer) = known.as_ref().filter(|answer| answer.holds(&self.ambient)) {
            return Ok(Known::Kept(answer.clone()));
        }
        if self.kept.inactive.get(&key).is_some_and(|until| now < until) {
            return Err(TokenError::Refused("token-inactive"));
        }
        if let Some(flight) = flights.get(&key) {
            return Ok(Known::Asked(flight.clone()));
        }
        let limits = self.limits(issuer);
        if flights.len() >= MAX_FLIGHTS || known.is_none() && !limits.admits(introspection.rate, now) {
            self.metrics.asked_issuer(IssuerAnswer::Shed);
            return Err(TokenError::Unavailable("too many unknown tokens for its issuer".to_owned()));
        }
        let landing = Landing { kept: self.kept.clone(), key };
        let question = self.question(landing, limits, issuer.clone(), token.to_owned());
        // Spawned when it is first waited for: here the flights are locked, which a question that ends at once would wait for.
        let flight = async { tokio::spawn(question).await.unwrap_or_else(|_| Err("the question ended early".into())) };
        let flight = flight.boxed().shared();
        flights.insert(key, flight.clone());
        Ok(Known::Asked(flight))
    }

    /// The question itself, which goes on when who needs the answer goes away.
    fn question(
        &self,
        landing: Landing,
        limits: Arc<Limits>,
        issuer: Arc<Issuer>,
        token: String,
    ) -> impl Future<Output = Result<Told, Arc<str>>> + use<> {
        let (http, ambient, metrics) = (self.http.clone(), self.ambient.clone(), self.metrics.clone());
        async move {
            let asked = async {
                let _turn = limits.at_once.acquire().await.map_err(|error| error.to_string())?;
                question(&http, &ambient, &limits.endpoint, &issuer, &token).await
            };
            let told = timeout(TIMEOUT, asked).await.unwrap_or_else(|_| Err("did not answer in time".to_owned()));
            let now = ambient.steady();
            let Landing { kept, key } = &landing;
            match told {
                Ok(Some((members, bytes))) => {
                    metrics.asked_issuer(IssuerAnswer::Active);
                    let cache =
                        issuer.introspection.as_ref().map_or(Duration::ZERO, |introspection| introspection.cache);
                    let until = now.saturating_add(cache);
                    let answer = Arc::new(Answer { members, until, bytes });
                    kept.good.insert(*key, answer.clone());
                    Ok(Told::Active(answer))
                }
                Ok(None) => {
                    metrics.asked_issuer(IssuerAnswer::Inactive);
                    kept.good.remove(key);
                    kept.inactive.insert(*key, now.saturating_add(INACTIVE));
                    Ok(Told::Inactive)
                }
                Err(why) => {
                    metrics.asked_issuer(IssuerAnswer::Failed);
                    tracing::warn!(issuer = issuer.issuer, why, "an issuer cannot be asked about a token");
                    Err(why.into())
                }
            }
        }
    }

    fn limits(&self, issuer: &Issuer) -> Arc<Limits> {
        let make = || {
            let at_once = Semaphore::new(AT_ONCE);
            Ok(Arc::new(Limits { at_once, second: Mutex::default(), endpoint: Endpoint::default() }))
        };
        let made: Result<_, std::convert::Infallible> = self.issuers.get_or_insert_with(&issuer.issuer, make);
        made.unwrap_or_else(|never| match never {})
    }
}

/// Who was asked, and about what.
fn key(issuer: &Issuer, introspection: &Introspection, token: &str) -> Digest {
    let url = introspection.url.as_deref().unwrap_or_default();
    let text = [issuer.issuer.as_str(), url, &introspection.client_id, token].join("\n");
    let mut key = Digest::default();
    key.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
    key
}

#[cfg(test)]
#[path = "introspection_tests.rs"]
mod tests;
