//! A store in memory that can be told to fail.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use parking_lot::Mutex;

use crate::ambient::UnixSeconds;
use crate::store::{
    Attempt, ClientsVersion, Digest, Failures, LiveGrant, Redemption, RefreshGrant, RefreshToken, Revocation, Revoked,
    Rotated, Rotation, Store, StoreError, StoredClient, StoredKey, Tried,
};

struct Code {
    grant: String,
    payload: String,
    expires: UnixSeconds,
    spent: bool,
}

struct Refresh {
    grant: RefreshGrant,
    made: UnixSeconds,
    expires: UnixSeconds,
    exchanged: Option<(UnixSeconds, Digest)>,
}

/// A store that can be told to fail.
#[derive(Default)]
pub(in crate::auth) struct MemoryStore {
    pub(in crate::auth) down: AtomicBool,
    keys: Mutex<Vec<StoredKey>>,
    pending: Mutex<HashMap<Digest, (String, UnixSeconds)>>,
    codes: Mutex<HashMap<Digest, Code>>,
    refresh: Mutex<HashMap<Digest, Refresh>>,
    failures: Mutex<HashMap<Digest, Failures>>,
    /// Under what kinds of names secrets were tried.
    pub(in crate::auth) tried: Mutex<Vec<Tried>>,
    seen: Mutex<HashMap<(String, String), UnixSeconds>>,
    pub(in crate::auth) clients: Mutex<Vec<StoredClient>>,
    pub(in crate::auth) revoked: Mutex<Vec<(Revoked, UnixSeconds)>>,
}

impl MemoryStore {
    pub(in crate::auth) fn with_keys(keys: Vec<StoredKey>) -> Self {
        Self { keys: Mutex::new(keys), ..Self::default() }
    }

    fn up(&self) -> Result<(), StoreError> {
        if self.down.load(Ordering::SeqCst) { Err(StoreError("down".to_owned())) } else { Ok(()) }
    }

    /// The digests of every refresh token, and whether it is live.
    pub(in crate::auth) fn refresh_tokens(&self) -> Vec<(Digest, bool)> {
        self.refresh.lock().iter().map(|(token, kept)| (*token, kept.exchanged.is_none())).collect()
    }

    /// Every authorization in progress, as it is kept.
    pub(in crate::auth) fn in_progress(&self) -> Vec<String> {
        self.pending.lock().values().map(|(state, _)| state.clone()).collect()
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn keys(&self) -> Result<Vec<StoredKey>, StoreError> {
        self.up()?;
        Ok(self.keys.lock().clone())
    }

    async fn add_first_key(&self, key: &StoredKey) -> Result<(), StoreError> {
        self.up()?;
        self.keys.lock().push(key.clone());
        Ok(())
    }

    async fn rotate_key(&self, key: &StoredKey) -> Result<(), StoreError> {
        self.add_first_key(key).await
    }

    async fn replace_keys(&self, _: &[StoredKey]) -> Result<(), StoreError> {
        Err(StoreError("no test asks for it".to_owned()))
    }

    async fn forget_keys(&self, _before: UnixSeconds) -> Result<(), StoreError> {
        self.up()
    }

    async fn put_pending(&self, handle: &Digest, state: &str, expires: UnixSeconds) -> Result<(), StoreError> {
        self.up()?;
        self.pending.lock().insert(*handle, (state.to_owned(), expires));
        Ok(())
    }

    async fn pending(&self, handle: &Digest, now: UnixSeconds) -> Result<Option<String>, StoreError> {
        self.up()?;
        Ok(self.pending.lock().get(handle).filter(|(_, expires)| *expires > now).map(|(state, _)| state.clone()))
    }

    async fn take_pending(&self, handle: &Digest, now: UnixSeconds) -> Result<Option<String>, StoreError> {
        self.up()?;
        Ok(self.pending.lock().remove(handle).filter(|(_, expires)| *expires > now).map(|(state, _)| state))
    }

    async fn put_code(
        &self,
        code: &Digest,
        grant: &str,
        payload: &str,
        expires: UnixSeconds,
    ) -> Result<(), StoreError> {
        self.up()?;
        let kept = Code { grant: grant.to_owned(), payload: payload.to_owned(), expires, spent: false };
        self.codes.lock().insert(*code, kept);
        Ok(())
    }

    async fn redeem_code(&self, code: &Digest, now: UnixSeconds, _: UnixSeconds) -> Result<Redemption, StoreError> {
        self.up()?;
        Ok(match self.codes.lock().get_mut(code) {
            Some(code) if code.spent => Redemption::Replayed { grant: code.grant.clone() },
            Some(code) if code.expires > now => {
                code.spent = true;
                Redemption::Fresh(code.payload.clone())
            }
            _ => Redemption::Unknown,
        })
    }

    async fn put_refresh(
        &self,
        token: &Digest,
        grant: &RefreshGrant,
        now: UnixSeconds,
        expires: UnixSeconds,
    ) -> Result<bool, StoreError> {
        self.up()?;
        let ended = Revoked::Grant(grant.id.clone());
        if self.revoked.lock().iter().any(|(revoked, _)| *revoked == ended) {
            return Ok(false);
        }
        self.refresh.lock().insert(*token, Refresh { grant: grant.clone(), made: now, expires, exchanged: None });
        Ok(true)
    }

    async fn refresh(&self, token: &Digest, now: UnixSeconds) -> Result<Option<RefreshToken>, StoreError> {
        self.up()?;
        let tokens = self.refresh.lock();
        let kept = tokens.get(token).filter(|kept| kept.expires > now);
        Ok(kept.map(|kept| RefreshToken {
            grant: kept.grant.clone(),
            expires: kept.expires,
            live: kept.exchanged.is_none(),
        }))
    }

    async fn grants_of(&self, username: &str, now: UnixSeconds) -> Result<Vec<LiveGrant>, StoreError> {
        self.up()?;
        let tokens = self.refresh.lock();
        let live = tokens.values().filter(|kept| kept.exchanged.is_none() && kept.expires > now);
        let own = live.filter(|kept| kept.grant.username == username);
        let held = own.map(|kept| LiveGrant { grant: kept.grant.clone(), used: kept.made, expires: kept.expires });
        let mut held: Vec<_> = held.collect();
        held.sort_by_key(|kept| std::cmp::Reverse(kept.used));
        Ok(held)
    }

    async fn rotate_refresh(&self, rotation: &Rotation) -> Result<Rotated, StoreError> {
        self.up()?;
        let Rotation { token, successor, now, expires, .. } = rotation;
        let grant = {
            let mut tokens = self.refresh.lock();
            let is_live = |token: &Digest, tokens: &HashMap<Digest, Refresh>| {
                tokens.get(token).is_some_and(|kept| kept.exchanged.is_none() && kept.expires > *now)
            };
            let Some(kept) = tokens.get(token).filter(|kept| kept.expires > *now) else {
                return Ok(Rotated::Unknown);
            };
            let grant = kept.grant.clone();
            match kept.exchanged {
                None => {
                    let next = Refresh { grant, made: *now, expires: *expires, exchanged: None };
                    tokens.entry(*token).and_modify(|kept| kept.exchanged = Some((*now, *successor)));
                    tokens.insert(*successor, next);
                    return Ok(Rotated::Fresh);
                }
                Some((at, successor))
                    if at > rotation.repeat_after && at < rotation.repeat_before && is_live(&successor, &tokens) =>
                {
                    return Ok(Rotated::Repeated { successor });
                }
                Some(_) => grant.id,
            }
        };
        self.revoke(&Revoked::Grant(grant), rotation.revoke_until).await?;
        Ok(Rotated::Reused)
    }

    async fn first_use(
        &self,
        issuer: &str,
        id: &str,
        _: UnixSeconds,
        expires: UnixSeconds,
    ) -> Result<bool, StoreError> {
        self.up()?;
        Ok(self.seen.lock().insert((issuer.to_owned(), id.to_owned()), expires).is_none())
    }

    async fn revoke(&self, revoked: &Revoked, expires: UnixSeconds) -> Result<(), StoreError> {
        self.up()?;
        if let Revoked::Grant(grant) = revoked {
            self.refresh.lock().retain(|_, kept| kept.grant.id != *grant);
        }
        self.revoked.lock().push((revoked.clone(), expires));
        Ok(())
    }

    async fn last_revocation(&self) -> Result<i64, StoreError> {
        self.up().map(|()| 0)
    }

    async fn revocations_after(&self, _: i64, _: UnixSeconds) -> Result<Vec<Revocation>, StoreError> {
        self.up()?;
        Ok(Vec::new())
    }

    async fn add_client(&self, client: &StoredClient, max: usize) -> Result<bool, StoreError> {
        self.up()?;
        let mut clients = self.clients.lock();
        let room = clients.len() < max;
        clients.extend(room.then(|| client.clone()));
        Ok(room)
    }

    async fn clients_version(&self) -> Result<ClientsVersion, StoreError> {
        Err(StoreError("no test asks for it".to_owned()))
    }

    async fn clients(&self) -> Result<Vec<StoredClient>, StoreError> {
        self.up()?;
        Ok(self.clients.lock().clone())
    }

    async fn remove_client(&self, id: &str) -> Result<bool, StoreError> {
        self.up()?;
        let mut clients = self.clients.lock();
        let before = clients.len();
        clients.retain(|client| client.id != id);
        Ok(clients.len() < before)
    }

    async fn probe(&self, _: &str) -> Result<Option<String>, StoreError> {
        self.up().map(|()| None)
    }

    async fn put_probe(&self, _: &str, _: &str) -> Result<(), StoreError> {
        self.up()
    }

    async fn attempt(
        &self,
        tried: Tried,
        name: &Digest,
        now: UnixSeconds,
        longest: UnixSeconds,
    ) -> Result<Attempt, StoreError> {
        self.up()?;
        self.tried.lock().push(tried);
        let mut names = self.failures.lock();
        match names.get(name).copied().unwrap_or(Failures::none(now)).attempt(now, longest) {
            Ok(next) => {
                names.insert(*name, next);
                Ok(Attempt::Counted)
            }
            Err(until) => Ok(Attempt::Paused { until }),
        }
    }

    async fn forgive(&self, name: &Digest) -> Result<(), StoreError> {
        self.up()?;
        self.failures.lock().remove(name);
        Ok(())
    }

    async fn pauses(&self, now: UnixSeconds) -> Result<Vec<(Digest, UnixSeconds)>, StoreError> {
        self.up()?;
        let names = self.failures.lock();
        let paused = names.iter().filter(|(_, kept)| kept.pause_until > now);
        Ok(paused.map(|(name, kept)| (*name, kept.pause_until)).collect())
    }

    async fn sweep(&self, _: UnixSeconds, _: UnixSeconds) -> Result<usize, StoreError> {
        self.up()?;
        Ok(0)
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.up()
    }
}

#[tokio::test]
async fn refresh_tokens_keep_the_contract_of_every_store() {
    crate::store::battery::refresh_tokens(&MemoryStore::default()).await;
}
