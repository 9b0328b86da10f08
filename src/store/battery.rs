//! What every store must do, asked of a store through its trait only.

use futures_util::future::join_all;
use sha2::{Digest as _, Sha256};

use super::failures::MAX_NAMES;
use super::{
    Attempt, Digest, KeyPurpose, Redemption, RefreshGrant, RefreshToken, Revoked, Rotated, Rotation, Store,
    StoredClient, StoredKey, Tried,
};

const NOW: i64 = 1_000_000;

const NONE: [u8; 0] = [];

/// Runs the whole battery against an empty store.
pub(crate) async fn run(store: &dyn Store) {
    store.ping().await.unwrap();
    keys(store).await;
    key_rotation(store).await;
    pending(store).await;
    codes(store).await;
    refresh_tokens(store).await;
    store.sweep(i64::MAX, i64::MAX).await.unwrap();
    first_use(store).await;
    revocations(store).await;
    probes(store).await;
    clients(store).await;
    lockouts(store).await;
    a_flood_of_names(store).await;
    more_pauses_than_there_is_room_for(store).await;
    sweep(store).await;
    replaced_keys(store).await;
}

pub(crate) fn key(id: &str, purpose: KeyPurpose, created: i64) -> StoredKey {
    StoredKey {
        id: id.to_owned(),
        purpose,
        algorithm: "ES256".to_owned(),
        secret: vec![0, 1, 255],
        created,
        active_from: created,
        retired: None,
    }
}

async fn ids(store: &dyn Store, purpose: KeyPurpose) -> Vec<(String, Option<i64>)> {
    let keys = store.keys().await.unwrap();
    keys.into_iter().filter(|key| key.purpose == purpose).map(|key| (key.id, key.retired)).collect()
}

async fn keys(store: &dyn Store) {
    let candidates: Vec<_> = (0..8).map(|n| key(&format!("first-{n}"), KeyPurpose::Access, NOW)).collect();
    for result in join_all(candidates.iter().map(|key| store.add_first_key(key))).await {
        result.unwrap();
    }
    let kept = store.keys().await.unwrap();
    assert_eq!(kept.len(), 1, "of replicas that start together one makes the key");
    assert!(candidates.contains(&kept[0]), "a key comes back as it was");
    store.add_first_key(&key("seal", KeyPurpose::Seal, NOW)).await.unwrap();
    assert_eq!(ids(store, KeyPurpose::Seal).await.len(), 1, "each purpose has its own first key");
}

async fn key_rotation(store: &dyn Store) {
    let (first, _) = ids(store, KeyPurpose::Access).await.remove(0);
    let next = StoredKey { active_from: NOW + 60, ..key("next", KeyPurpose::Access, NOW + 1) };
    store.rotate_key(&next).await.unwrap();
    let expected = [(first.clone(), Some(NOW + 60)), ("next".to_owned(), None)];
    assert_eq!(
        ids(store, KeyPurpose::Access).await,
        expected,
        "oldest first; the old one retires when the new one begins"
    );
    assert_eq!(ids(store, KeyPurpose::Seal).await, [("seal".to_owned(), None)]);

    let urgent = StoredKey { active_from: NOW + 10, ..key("urgent", KeyPurpose::Access, NOW + 2) };
    store.rotate_key(&urgent).await.unwrap();
    let retired: Vec<_> = ids(store, KeyPurpose::Access).await.into_iter().map(|(_, retired)| retired).collect();
    assert_eq!(retired, [Some(NOW + 10), Some(NOW + 10), None], "a retirement moves forward, never back");

    assert!(store.rotate_key(&urgent).await.is_err(), "an id is there once");
    assert_eq!(
        ids(store, KeyPurpose::Access).await[2],
        ("urgent".to_owned(), None),
        "a failed rotation retires nothing"
    );

    store.forget_keys(NOW + 10).await.unwrap();
    assert_eq!(ids(store, KeyPurpose::Access).await.len(), 3, "retired before, not at");
    store.forget_keys(NOW + 11).await.unwrap();
    assert_eq!(ids(store, KeyPurpose::Access).await, [("urgent".to_owned(), None)]);
    store.add_first_key(&key("late", KeyPurpose::Access, NOW)).await.unwrap();
    assert_eq!(ids(store, KeyPurpose::Access).await.len(), 1);
}

async fn pending(store: &dyn Store) {
    let handle = [1; 32];
    store.put_pending(&handle, "state ü", NOW + 10).await.unwrap();
    assert_eq!(store.pending(&handle, NOW + 9).await.unwrap().as_deref(), Some("state ü"));
    assert_eq!(store.pending(&handle, NOW + 10).await.unwrap(), None, "expired is unknown");
    assert_eq!(store.take_pending(&handle, NOW + 10).await.unwrap(), None);
    store.put_pending(&handle, "next", NOW + 20).await.unwrap();
    assert_eq!(store.pending(&handle, NOW + 10).await.unwrap().as_deref(), Some("next"), "putting again replaces");
    let taken = join_all((0..16).map(|_| store.take_pending(&handle, NOW))).await;
    let taken: Vec<_> = taken.into_iter().filter_map(|taken| taken.unwrap()).collect();
    assert_eq!(taken, ["next"], "of many callers one gets it");
    assert_eq!(store.pending(&handle, NOW).await.unwrap(), None);
    assert_eq!(store.pending(&[9; 32], NOW).await.unwrap(), None);
}

async fn codes(store: &dyn Store) {
    let code = [2; 32];
    store.put_code(&code, "grant-1", "payload", NOW + 60).await.unwrap();
    assert!(store.put_code(&code, "grant-2", "other", NOW + 60).await.is_err(), "a code is issued once");
    let redeemed = join_all((0..16).map(|_| store.redeem_code(&code, NOW, NOW + 600))).await;
    let (mut fresh, mut replayed) = (0, 0);
    for redemption in redeemed {
        match redemption.unwrap() {
            Redemption::Fresh(payload) if payload == "payload" => fresh += 1,
            Redemption::Replayed { grant } if grant == "grant-1" => replayed += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((fresh, replayed), (1, 15), "consumed once, and a replay names the grant");

    store.sweep(NOW + 599, NOW + 599).await.unwrap();
    let replayed = Redemption::Replayed { grant: "grant-1".to_owned() };
    assert_eq!(store.redeem_code(&code, NOW + 599, NOW).await.unwrap(), replayed, "remembered past its own expiry");
    store.sweep(NOW + 600, NOW + 600).await.unwrap();
    assert_eq!(store.redeem_code(&code, NOW + 600, NOW).await.unwrap(), Redemption::Unknown);

    let late = [3; 32];
    store.put_code(&late, "grant-3", "payload", NOW + 60).await.unwrap();
    assert_eq!(store.redeem_code(&late, NOW + 60, NOW + 600).await.unwrap(), Redemption::Unknown, "expired is unknown");
    assert_eq!(store.redeem_code(&[9; 32], NOW, NOW).await.unwrap(), Redemption::Unknown);
}

pub(crate) fn refresh_grant(id: &str) -> RefreshGrant {
    RefreshGrant {
        id: id.to_owned(),
        client: "app".to_owned(),
        username: "amy".to_owned(),
        payload: format!("what {id} stands for"),
    }
}

pub(crate) fn rotation(token: Digest, successor: Digest, now: i64) -> Rotation {
    Rotation {
        token,
        successor,
        now,
        expires: now + 100,
        repeat_after: now - 30,
        repeat_before: now + 30,
        revoke_until: now + 600,
    }
}

/// Which of `tokens` are live.
async fn live(store: &dyn Store, tokens: &[Digest], now: i64) -> Vec<u8> {
    let kept = join_all(tokens.iter().map(|token| store.refresh(token, now))).await;
    let live = |kept: &Option<RefreshToken>| kept.as_ref().is_some_and(|kept| kept.live);
    tokens.iter().zip(kept).filter(|(_, kept)| live(kept.as_ref().unwrap())).map(|(token, _)| token[0]).collect()
}

/// Refresh tokens, of an empty store too.
pub(crate) async fn refresh_tokens(store: &dyn Store) {
    one_live_successor(store).await;
    a_repetition(store).await;
    a_reuse(store).await;
    refresh_expiry(store).await;
    a_grant_that_is_revoked(store).await;
    what_a_user_gave(store).await;
}

async fn what_a_user_gave(store: &dyn Store) {
    let grant = |id: &str, username: &str| RefreshGrant { username: username.to_owned(), ..refresh_grant(id) };
    for (n, id, username, used) in
        [(70, "gil-old", "gil", NOW), (71, "gil-new", "gil", NOW + 5), (72, "hal-own", "hal", NOW)]
    {
        assert!(store.put_refresh(&[n; 32], &grant(id, username), used, NOW + 50).await.unwrap());
    }
    let ids = async |now| {
        let held = store.grants_of("gil", now).await.unwrap();
        held.into_iter().map(|kept| (kept.grant.id, kept.used, kept.expires)).collect::<Vec<_>>()
    };
    let (old, new) = (("gil-old".to_owned(), NOW, NOW + 50), ("gil-new".to_owned(), NOW + 5, NOW + 50));
    assert_eq!(ids(NOW + 10).await, [new.clone(), old], "the latest used first, and nobody else's");
    store.revoke(&Revoked::Grant("gil-old".to_owned()), NOW + 100).await.unwrap();
    assert_eq!(ids(NOW + 10).await, [new]);
    assert_eq!(ids(NOW + 50).await, [], "what has expired is gone");
}

async fn one_live_successor(store: &dyn Store) {
    let grant = refresh_grant("many");
    assert!(store.put_refresh(&[20; 32], &grant, NOW, NOW + 50).await.unwrap());
    let kept = RefreshToken { grant: grant.clone(), expires: NOW + 50, live: true };
    assert_eq!(store.refresh(&[20; 32], NOW).await.unwrap(), Some(kept), "a grant comes back as it was");

    // Callers who derive different successors, as they might while a key changes.
    let rotations: Vec<_> = (0..16).map(|n| rotation([20; 32], [30 + n; 32], NOW)).collect();
    let rotated = join_all(rotations.iter().map(|rotation| store.rotate_refresh(rotation))).await;
    let fresh = rotated.iter().filter(|rotated| matches!(rotated, Ok(Rotated::Fresh))).count();
    assert_eq!(fresh, 1, "of many callers one exchanges it: {rotated:?}");
    let successors: Vec<Digest> = (0..16).map(|n| [30 + n; 32]).collect();
    let lives = live(store, &successors, NOW).await;
    assert_eq!(lives.len(), 1, "never two live successors");
    let told = Rotated::Repeated { successor: [lives[0]; 32] };
    assert!(rotated.into_iter().map(Result::unwrap).all(|rotated| rotated == Rotated::Fresh || rotated == told));
    let old = store.refresh(&[20; 32], NOW).await.unwrap().unwrap();
    assert_eq!((old.grant, old.live), (grant, false));
}

async fn a_repetition(store: &dyn Store) {
    assert!(store.put_refresh(&[50; 32], &refresh_grant("again"), NOW, NOW + 50).await.unwrap());
    assert_eq!(store.rotate_refresh(&rotation([50; 32], [51; 32], NOW)).await.unwrap(), Rotated::Fresh);
    let again = Rotated::Repeated { successor: [51; 32] };
    for now in [NOW, NOW + 29] {
        assert_eq!(store.rotate_refresh(&rotation([50; 32], [59; 32], now)).await.unwrap(), again, "{now}");
    }
    assert_eq!(live(store, &[[50; 32], [51; 32], [59; 32]], NOW + 29).await, [51]);
}

async fn a_reuse(store: &dyn Store) {
    for (n, name, wait, uses_successor) in [(60, "late", 30, false), (70, "used", 1, true), (100, "back", -30, false)] {
        let token = |step: u8| [n + step; 32];
        assert!(store.put_refresh(&token(0), &refresh_grant(name), NOW, NOW + 50).await.unwrap());
        assert_eq!(store.rotate_refresh(&rotation(token(0), token(1), NOW)).await.unwrap(), Rotated::Fresh);
        if uses_successor {
            assert_eq!(store.rotate_refresh(&rotation(token(1), token(2), NOW)).await.unwrap(), Rotated::Fresh);
        }
        let reuses: Vec<_> = (0..8).map(|_| rotation(token(0), token(9), NOW + wait)).collect();
        let rotated = join_all(reuses.iter().map(|rotation| store.rotate_refresh(rotation))).await;
        let reused = rotated.iter().filter(|rotated| matches!(rotated, Ok(Rotated::Reused))).count();
        let unknown = rotated.iter().filter(|rotated| matches!(rotated, Ok(Rotated::Unknown))).count();
        assert_eq!((reused, unknown), (1, 7), "{name}: {rotated:?}");
        assert_eq!(
            live(store, &[token(0), token(1), token(2), token(9)], NOW).await,
            NONE,
            "{name}: the family is over"
        );
        assert_eq!(store.rotate_refresh(&rotation(token(1), token(3), NOW)).await.unwrap(), Rotated::Unknown);
        assert!(!store.put_refresh(&token(4), &refresh_grant(name), NOW, NOW + 50).await.unwrap(), "{name} is revoked");
    }
}

async fn refresh_expiry(store: &dyn Store) {
    assert!(store.put_refresh(&[80; 32], &refresh_grant("old"), NOW, NOW + 10).await.unwrap());
    assert_eq!(store.refresh(&[80; 32], NOW + 10).await.unwrap(), None, "expired is unknown");
    assert_eq!(store.rotate_refresh(&rotation([80; 32], [81; 32], NOW + 10)).await.unwrap(), Rotated::Unknown);
    assert_eq!(store.rotate_refresh(&rotation([80; 32], [81; 32], NOW + 9)).await.unwrap(), Rotated::Fresh);
    assert_eq!(store.rotate_refresh(&rotation([80; 32], [82; 32], NOW + 10)).await.unwrap(), Rotated::Unknown);
    assert_eq!(live(store, &[[80; 32], [81; 32], [82; 32]], NOW + 108).await, [81], "each has a life of its own");
    assert_eq!(live(store, &[[81; 32]], NOW + 109).await, NONE);
}

async fn a_grant_that_is_revoked(store: &dyn Store) {
    for (n, name) in [(90, "ended"), (95, "other")] {
        assert!(store.put_refresh(&[n; 32], &refresh_grant(name), NOW, NOW + 50).await.unwrap());
    }
    store.revoke(&Revoked::Grant("ended".to_owned()), NOW + 600).await.unwrap();
    assert_eq!(store.refresh(&[90; 32], NOW).await.unwrap(), None);
    assert_eq!(store.rotate_refresh(&rotation([90; 32], [91; 32], NOW)).await.unwrap(), Rotated::Unknown);
    assert!(!store.put_refresh(&[92; 32], &refresh_grant("ended"), NOW, NOW + 50).await.unwrap(), "and stays so");
    assert_eq!(live(store, &[[90; 32], [91; 32], [92; 32], [95; 32]], NOW).await, [95], "another one goes on");
}

async fn first_use(store: &dyn Store) {
    let uses = join_all((0..16).map(|_| store.first_use("client", "jti", NOW, NOW + 300))).await;
    assert_eq!(uses.into_iter().filter(|first| *first.as_ref().unwrap()).count(), 1, "seen once");
    assert!(store.first_use("other", "jti", NOW, NOW + 300).await.unwrap(), "ids are each issuer's own");
    assert!(!store.first_use("client", "jti", NOW + 299, NOW + 900).await.unwrap());
    assert!(store.first_use("client", "jti", NOW + 300, NOW + 900).await.unwrap(), "forgotten once it expired");
    assert!(!store.first_use("client", "jti", NOW + 301, NOW + 900).await.unwrap());
}

async fn revocations(store: &dyn Store) {
    let before = store.last_revocation().await.unwrap();
    let token = |id: &str| Revoked::Token { issuer: "https://i".to_owned(), id: id.to_owned() };
    let grant = Revoked::Grant("jti".to_owned());
    for revoked in [&token("jti"), &grant, &token("b"), &grant, &token("jti")] {
        store.revoke(revoked, NOW + 100).await.unwrap();
    }
    store.revoke(&grant, NOW + 50).await.unwrap();
    let all = store.revocations_after(0, NOW).await.unwrap();
    assert_eq!(
        all.iter().map(|row| (row.revoked.clone(), row.expires)).collect::<Vec<_>>(),
        [(token("jti"), NOW + 100), (grant.clone(), NOW + 100), (token("b"), NOW + 100)],
        "in order, each once, never shortened"
    );
    assert!(all.is_sorted_by(|a, b| a.sequence < b.sequence));
    assert_eq!(store.revocations_after(all[1].sequence, NOW).await.unwrap(), all[2..]);
    assert_eq!(store.revocations_after(0, NOW + 100).await.unwrap(), [], "expired ones are not needed");
    assert!(store.last_revocation().await.unwrap() >= all[2].sequence);

    store.revoke(&token("jti"), NOW + 200).await.unwrap();
    let news = store.revocations_after(all[2].sequence, NOW).await.unwrap();
    assert_eq!(news.len(), 1, "whoever has read on must hear that it lasts longer");
    assert_eq!((&news[0].revoked, news[0].expires), (&token("jti"), NOW + 200));

    store.sweep(NOW + 200, NOW + 200).await.unwrap();
    assert_eq!(store.revocations_after(0, 0).await.unwrap(), []);
    assert!(store.last_revocation().await.unwrap() > before, "also where none is needed any more");
    store.revoke(&token("c"), NOW + 900).await.unwrap();
    let after = store.revocations_after(news[0].sequence, NOW).await.unwrap();
    assert_eq!(after.len(), 1, "a swept sequence is not given again");
    assert_eq!(store.last_revocation().await.unwrap(), after[0].sequence);
}

async fn probes(store: &dyn Store) {
    assert_eq!(store.probe("http://u/fhir").await.unwrap(), None);
    store.put_probe("http://u/fhir", "one").await.unwrap();
    store.put_probe("http://v/fhir", "other").await.unwrap();
    store.put_probe("http://u/fhir", "two").await.unwrap();
    assert_eq!(store.probe("http://u/fhir").await.unwrap().as_deref(), Some("two"), "the last one counts");
    assert_eq!(store.probe("http://v/fhir").await.unwrap().as_deref(), Some("other"), "each server has its own");
    store.sweep(i64::MAX, i64::MAX).await.unwrap();
    assert!(store.probe("http://u/fhir").await.unwrap().is_some(), "it does not expire");
}

async fn clients(store: &dyn Store) {
    let client = |id: &str| StoredClient { id: id.to_owned(), payload: format!("of {id}") };
    let ids = async || -> Vec<String> { store.clients().await.unwrap().into_iter().map(|client| client.id).collect() };
    let mut versions = vec![store.clients_version().await.unwrap()];
    let many: Vec<_> = (0..6).map(|n| client(&format!("c{n}"))).collect();
    let added = join_all(many.iter().map(|client| store.add_client(client, 3))).await;
    assert_eq!(added.into_iter().filter(|added| *added.as_ref().unwrap()).count(), 3, "never more than there may be");
    let kept = store.clients().await.unwrap();
    assert!(kept.len() == 3 && kept.iter().all(|client| many.contains(client)), "{kept:?}");
    versions.push(store.clients_version().await.unwrap());

    assert!(store.remove_client(&kept[2].id).await.unwrap());
    assert!(!store.remove_client(&kept[2].id).await.unwrap());
    versions.push(store.clients_version().await.unwrap());
    assert!(store.add_client(&client("later"), 3).await.unwrap(), "there is room again");
    versions.push(store.clients_version().await.unwrap());
    assert!(store.remove_client(&kept[0].id).await.unwrap());
    assert!(store.add_client(&client("last"), 3).await.unwrap());
    versions.push(store.clients_version().await.unwrap());
    assert_eq!(ids().await, [kept[1].id.as_str(), "later", "last"], "in order");
    assert!(versions.iter().enumerate().all(|(n, one)| !versions[..n].contains(one)), "{versions:?}");
    assert_eq!(store.clients_version().await.unwrap(), versions[4], "where nothing changed it stays");

    assert!(store.add_client(&client("last"), 9).await.is_err(), "an id is there once");
    store.sweep(i64::MAX, i64::MAX).await.unwrap();
    assert_eq!(ids().await.len(), 3, "it does not expire");
    for id in ids().await {
        store.remove_client(&id).await.unwrap();
    }
}

/// Failures and pauses, of an empty store too.
pub(crate) async fn lockouts(store: &dyn Store) {
    const LONGEST: i64 = 150;
    let (amy, bob) = ([1; 32], [2; 32]);
    let attempt = async |name: &Digest, now: i64| store.attempt(Tried::Client, name, now, LONGEST).await.unwrap();
    let paused = |until: i64| Attempt::Paused { until };
    let attempts = join_all((0..40).map(|_| attempt(&amy, NOW))).await;
    let counted = attempts.iter().filter(|attempt| **attempt == Attempt::Counted).count();
    assert_eq!(counted, 10, "many at once are not many for the price of one: {attempts:?}");
    assert!(attempts.iter().all(|attempt| [Attempt::Counted, paused(NOW + 60)].contains(attempt)));
    assert_eq!(attempt(&amy, NOW + 59).await, paused(NOW + 60));
    assert_eq!(attempt(&bob, NOW + 59).await, Attempt::Counted, "another name is not held back");
    assert_eq!(store.pauses(NOW + 59).await.unwrap(), [(amy, NOW + 60)]);
    assert_eq!(store.pauses(NOW + 60).await.unwrap(), []);

    let one = join_all((0..8).map(|_| attempt(&amy, NOW + 60))).await;
    assert_eq!(one.iter().filter(|attempt| **attempt == Attempt::Counted).count(), 1, "then one for each pause");
    assert_eq!(attempt(&amy, NOW + 179).await, paused(NOW + 180), "which grow");
    assert_eq!(attempt(&amy, NOW + 180).await, Attempt::Counted);
    assert_eq!(attempt(&amy, NOW + 181).await, paused(NOW + 180 + LONGEST), "up to the longest");
    assert_eq!(
        attempt(&amy, NOW + 181 - 3600).await,
        Attempt::Counted,
        "nobody waits until a clock that was set back is there"
    );
    assert_eq!(
        attempt(&amy, NOW + 182 - 3600).await,
        paused(NOW + 181 - 3600 + LONGEST),
        "but no longer without a pause"
    );
    store.forgive(&amy).await.unwrap();
    assert_eq!(store.pauses(NOW - 3600).await.unwrap(), []);
    let fresh = join_all((0..12).map(|_| attempt(&amy, NOW + 181))).await;
    assert_eq!(fresh.iter().filter(|attempt| **attempt == Attempt::Counted).count(), 10, "forgiven is a fresh start");

    let later = NOW + 181 + 3600;
    assert_eq!(attempt(&amy, later).await, Attempt::Counted);
    assert_ne!(attempt(&amy, later).await, Attempt::Counted, "within an hour a failure is remembered");
    let quiet = later + 3601;
    assert!(
        join_all((0..2).map(|_| attempt(&amy, quiet))).await.iter().all(|it| *it == Attempt::Counted),
        "and then not"
    );
    assert_eq!(store.sweep(quiet + 3600, quiet + 3600).await.unwrap(), 1, "of another name, an hour ago");
    assert_eq!(store.sweep(quiet + 3601, quiet + 3601).await.unwrap(), 1);
}

/// Others that fail, however many, neither end a pause nor the counting of one that has failed more often.
async fn a_flood_of_names(store: &dyn Store) {
    let (amy, bob, ghost) = ([1; 32], [2; 32], [3; 32]);
    let attempt = async |tried: Tried, name: &Digest, now: i64| store.attempt(tried, name, now, 900).await.unwrap();
    for n in 0..10 {
        assert_eq!(attempt(Tried::User, &amy, NOW).await, Attempt::Counted, "{n}");
        assert_eq!(attempt(Tried::NoUser, &ghost, NOW).await, Attempt::Counted, "{n}");
    }
    for _ in 0..9 {
        assert_eq!(attempt(Tried::User, &bob, NOW).await, Attempt::Counted);
    }
    let flood = async |tried: Tried, many: i64| {
        let names: Vec<Digest> = (0..many).map(|n| Sha256::digest(format!("{tried:?} {n}")).into()).collect();
        for names in names.chunks(64) {
            join_all(names.iter().map(|name| attempt(tried, name, NOW + 1))).await;
        }
    };
    for tried in [Tried::NoClient, Tried::NoUser] {
        flood(tried, MAX_NAMES + 20).await;
    }
    let swept = store.sweep(NOW + 2, NOW + 2).await.unwrap();
    assert_eq!(swept, 41, "each kind of name has a room of its own, and what fails least leaves it first");
    for (tried, name) in [(Tried::User, amy), (Tried::NoUser, ghost)] {
        let paused = Attempt::Paused { until: NOW + 60 };
        assert_eq!(attempt(tried, &name, NOW + 3).await, paused, "whether there is such a user or not");
    }
    assert_eq!(attempt(Tried::User, &bob, NOW + 3).await, Attempt::Counted);
    assert_ne!(attempt(Tried::User, &bob, NOW + 3).await, Attempt::Counted, "the other nine still count");
    assert_eq!(store.pauses(NOW + 3).await.unwrap(), [], "of users nobody needs to be told");
    store.sweep(i64::MAX, i64::MAX).await.unwrap();
}

/// A pause holds, whatever there is room for.
async fn more_pauses_than_there_is_room_for(store: &dyn Store) {
    let names: Vec<Digest> = (0..MAX_NAMES + 5).map(|n| Sha256::digest(n.to_be_bytes()).into()).collect();
    for names in names.chunks(64) {
        for _ in 0..10 {
            join_all(names.iter().map(|name| store.attempt(Tried::Client, name, NOW, 60))).await;
        }
    }
    assert_eq!(store.sweep(NOW + 59, NOW + 59).await.unwrap(), 0);
    assert_eq!(store.sweep(NOW + 60, NOW + 60).await.unwrap(), 5, "and then there is room for so many");
    store.sweep(i64::MAX, i64::MAX).await.unwrap();
}

async fn sweep(store: &dyn Store) {
    store.sweep(i64::MAX, i64::MAX).await.unwrap();
    store.put_pending(&[5; 32], "a", NOW).await.unwrap();
    store.put_pending(&[6; 32], "b", NOW + 1).await.unwrap();
    store.put_code(&[5; 32], "g", "p", NOW).await.unwrap();
    store.first_use("i", "a", NOW - 1, NOW).await.unwrap();
    store.revoke(&Revoked::Grant("g".to_owned()), NOW).await.unwrap();
    store.put_refresh(&[7; 32], &refresh_grant("swept"), NOW - 1, NOW).await.unwrap();
    store.put_refresh(&[8; 32], &refresh_grant("kept"), NOW - 1, NOW + 1).await.unwrap();
    assert_eq!(store.sweep(NOW, NOW - 1).await.unwrap(), 1, "what was only begun");
    assert_eq!(store.sweep(NOW, NOW).await.unwrap(), 5, "what has expired, and nothing else");
    assert_eq!(store.sweep(NOW, NOW).await.unwrap(), 0);
    assert_eq!(store.pending(&[6; 32], NOW).await.unwrap().as_deref(), Some("b"));
    assert!(store.refresh(&[8; 32], NOW).await.unwrap().is_some());
}

async fn replaced_keys(store: &dyn Store) {
    store.rotate_key(&key("published", KeyPurpose::Access, NOW)).await.unwrap();
    store.put_pending(&[1; 32], "a", NOW + 9).await.unwrap();
    store.put_code(&[1; 32], "g", "p", NOW + 9).await.unwrap();
    store.put_refresh(&[1; 32], &refresh_grant("before"), NOW, NOW + 9).await.unwrap();
    store.first_use("i", "used", NOW, NOW + 9).await.unwrap();
    store.revoke(&Revoked::Grant("ended".to_owned()), NOW + 9).await.unwrap();
    let all = [KeyPurpose::Access, KeyPurpose::Identity, KeyPurpose::Seal];
    let twice = all.map(|purpose| key("twice", purpose, NOW));
    assert!(store.replace_keys(&twice).await.is_err());
    assert!(store.refresh(&[1; 32], NOW).await.unwrap().is_some(), "all or nothing");

    let next = all.map(|purpose| key(&format!("{purpose:?}"), purpose, NOW));
    store.replace_keys(&next).await.unwrap();
    let kept = store.keys().await.unwrap();
    assert!(kept.len() == 3 && next.iter().all(|key| kept.contains(key)), "no other one is left");
    assert_eq!(store.pending(&[1; 32], NOW).await.unwrap(), None);
    assert_eq!(store.redeem_code(&[1; 32], NOW, NOW).await.unwrap(), Redemption::Unknown);
    assert_eq!(store.refresh(&[1; 32], NOW).await.unwrap(), None);
    assert_eq!(store.grants_of("amy", NOW).await.unwrap(), []);
    assert!(!store.first_use("i", "used", NOW, NOW + 9).await.unwrap(), "what was used stays so");
    assert!(
        store.revocations_after(0, NOW).await.unwrap().iter().any(|it| it.expires == NOW + 9),
        "and what was revoked"
    );
}
