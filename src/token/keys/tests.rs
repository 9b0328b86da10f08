use std::collections::HashSet;

use serde_json::Value;

use super::*;
use crate::store::SharedStore;
use crate::token::jws::Jws;
use crate::token::testing::{HandClock, NOW, ambient, gate_keys, identity_key, store};

const OVERLAP: i64 = 300;

fn tokens(algorithm: SigningAlgorithm) -> Tokens {
    Tokens {
        algorithm,
        access_lifetime: Duration::from_secs(7200),
        backend_lifetime: Duration::from_secs(300),
        code_lifetime: Duration::from_secs(60),
        refresh_lifetime: Duration::from_secs(86_400),
        session_lifetime: Duration::from_secs(3600),
        key_overlap: Duration::from_secs(300),
    }
}

struct World {
    _folder: tempfile::TempDir,
    store: SharedStore,
    ambient: Ambient,
    clock: Arc<HandClock>,
    tokens: Tokens,
}

impl World {
    fn new() -> Self {
        let ((folder, store), (ambient, clock)) = (store(), ambient());
        Self { _folder: folder, store, ambient, clock, tokens: tokens(SigningAlgorithm::Es256) }
    }

    /// With an id_token key in the store already: to make one takes long.
    async fn with_identity_key() -> Self {
        let world = Self::new();
        world.store.add_first_key(&identity_key()).await.unwrap();
        world
    }

    async fn open(&self) -> GateKeys {
        GateKeys::open(&*self.store, &self.ambient, &self.tokens).await.unwrap()
    }

    async fn refresh(&self, keys: &GateKeys) -> bool {
        keys.refresh(&*self.store, &self.ambient, &self.tokens).await.unwrap()
    }

    async fn rotate(&self) {
        GateKeys::rotate(&*self.store, &self.ambient, &self.tokens).await.unwrap();
    }
}

fn access(keys: &GateKeys, now: i64) -> String {
    let claims = AccessToken {
        iss: "https://gate",
        aud: "https://gate/fhir",
        sub: "amy",
        client_id: "app",
        iat: now,
        exp: now + 600,
        jti: "1",
        scope: "patient/*.rs",
        patient: None,
        context: None,
        fhir_user: None,
        grant: None,
    };
    keys.sign_access(&claims, now).unwrap()
}

/// The id of the key that signs access tokens at `now`.
fn signer(keys: &GateKeys, now: i64) -> String {
    Jws::parse(&access(keys, now)).ok().unwrap().key_id.unwrap()
}

fn is_verified(keys: &GateKeys, token: &str) -> bool {
    let jws = Jws::parse(token).ok().unwrap();
    keys.verifying().find(jws.key_id.as_deref(), jws.algorithm).is_ok_and(|key| jws.is_signed_by(key))
}

fn published(keys: &GateKeys) -> Vec<Value> {
    let set: Value = serde_json::from_str(&keys.jwks()).unwrap();
    set["keys"].as_array().unwrap().clone()
}

#[tokio::test]
async fn replicas_that_start_together_agree() {
    let world = World::new();
    let (one, two) = futures_util::future::join(world.open(), world.open()).await;
    assert_eq!(one.jwks(), two.jwks());
    assert_eq!(one.jwks(), world.open().await.jwks(), "and so do those that start later");
    assert!(is_verified(&two, &access(&one, NOW)));
    assert_eq!(two.open_seal(&one.seal(b"page", b"grant").unwrap(), b"grant").as_deref(), Some(&b"page"[..]));
    assert!(!world.refresh(&one).await, "nothing changed");
    assert_eq!(one.generation(), 0);
}

#[tokio::test]
async fn sc_34_what_is_published_is_public() {
    let world = World::with_identity_key().await;
    let keys = published(&world.open().await);
    let algorithms: HashSet<_> = keys.iter().map(|key| key["alg"].as_str().unwrap()).collect();
    assert_eq!(algorithms, HashSet::from(["ES256", "RS256"]), "id_tokens are always RS256");
    for key in &keys {
        assert_eq!(key["use"], "sig");
        let members: HashSet<_> = key.as_object().unwrap().keys().map(String::as_str).collect();
        let expected = if key["kty"] == "EC" {
            HashSet::from(["kid", "use", "alg", "kty", "crv", "x", "y"])
        } else {
            HashSet::from(["kid", "use", "alg", "kty", "n", "e"])
        };
        assert_eq!(members, expected);
    }
}

#[test]
fn every_algorithm_signs_what_it_verifies() {
    let (ambient, _) = ambient();
    for algorithm in
        [SigningAlgorithm::Es256, SigningAlgorithm::Es384, SigningAlgorithm::Rs256, SigningAlgorithm::Rs384]
    {
        let keys =
            GateKeys::of(&[crate::token::testing::stored("k", KeyPurpose::Access, algorithm)], &ambient).unwrap();
        let token = access(&keys, NOW);
        assert!(is_verified(&keys, &token), "{algorithm:?}");
        let (signed, _) = token.rsplit_once('.').unwrap();
        let (_, signature) =
            access(&keys, NOW + 1).rsplit_once('.').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        assert!(!is_verified(&keys, &format!("{signed}.{signature}")), "{algorithm:?}");
        assert_eq!(Jws::parse(&token).ok().unwrap().media_type.as_deref(), Some("at+jwt"));
    }
}

#[tokio::test]
async fn a_new_key_is_published_before_it_signs_and_an_old_one_after() {
    let world = World::with_identity_key().await;
    let keys = world.open().await;
    let first = signer(&keys, NOW);
    let (token, seal) = (access(&keys, NOW), keys.seal(b"page", b"").unwrap());
    world.rotate().await;
    assert!(world.refresh(&keys).await);
    assert_eq!(keys.generation(), 1);
    assert_eq!(published(&keys).len(), 4);
    assert_eq!(signer(&keys, NOW + OVERLAP - 1), first);
    let second = signer(&keys, NOW + OVERLAP);
    assert_ne!(second, first);

    let last_use = NOW + OVERLAP + 7200 + 60;
    world.clock.set(last_use);
    world.refresh(&keys).await;
    assert!(is_verified(&keys, &token));
    assert!(keys.open_seal(&seal, b"").is_some());
    world.clock.set(last_use + 1);
    assert!(world.refresh(&keys).await, "the old ones are forgotten");
    assert_eq!(published(&keys).len(), 2);
    assert!(!is_verified(&keys, &token));
    assert_eq!(signer(&keys, last_use), second);

    // What was sealed is good for seven days.
    let last_opened = NOW + OVERLAP + 7 * 24 * 3600 + 60;
    world.clock.set(last_opened);
    world.refresh(&keys).await;
    assert!(keys.open_seal(&seal, b"").is_some());
    assert_eq!(world.store.keys().await.unwrap().len(), 6);
    world.clock.set(last_opened + 1);
    assert!(world.refresh(&keys).await);
    assert!(keys.open_seal(&seal, b"").is_none());
    // Kept a day longer, should the clock be wrong.
    assert_eq!(world.store.keys().await.unwrap().len(), 6);
    world.clock.set(last_opened + 1 + 24 * 3600);
    assert!(!world.refresh(&keys).await);
    assert_eq!(world.store.keys().await.unwrap().len(), 3);
}

#[tokio::test]
async fn old_keys_that_are_replaced_are_trusted_no_more() {
    let world = World::with_identity_key().await;
    let keys = world.open().await;
    let (token, seal, id_token_key) = (access(&keys, NOW), keys.seal(b"page", b"").unwrap(), keys.facts());
    GateKeys::replace(&*world.store, &world.ambient, &world.tokens).await.unwrap();
    assert!(world.refresh(&keys).await);
    assert_eq!(keys.generation(), 1, "verified tokens are verified again");
    assert!(!is_verified(&keys, &token));
    assert!(keys.open_seal(&seal, b"").is_none());
    assert_eq!(published(&keys).len(), 2);
    assert!(keys.facts().iter().all(|key| !id_token_key.iter().any(|old| old.id == key.id)));
    assert!(is_verified(&keys, &access(&keys, NOW)), "the new ones are used at once");
    assert!(!world.refresh(&keys).await);
}

#[tokio::test]
async fn a_successor_is_found_again_after_the_key_changed() {
    let world = World::with_identity_key().await;
    let keys = world.open().await;
    let successor = keys.successor("token").unwrap();
    assert_eq!(keys.successor("token").unwrap(), successor);
    assert_ne!(keys.successor("tokem").unwrap(), successor);
    world.rotate().await;
    world.refresh(&keys).await;
    world.clock.set(NOW + OVERLAP);
    assert_ne!(keys.successor("token").unwrap(), successor, "the new key makes others");
    assert!(keys.successors("token").contains(&successor));
}

#[tokio::test]
async fn another_algorithm_gets_a_key_with_overlap() {
    let mut world = World::with_identity_key().await;
    let keys = world.open().await;
    let first = signer(&keys, NOW);
    world.tokens = tokens(SigningAlgorithm::Es384);
    assert!(world.refresh(&keys).await);
    assert!(!world.refresh(&keys).await, "one key is enough");
    assert_eq!(signer(&keys, NOW), first);
    let token = access(&keys, NOW + OVERLAP);
    assert_eq!(Jws::parse(&token).ok().unwrap().algorithm, jsonwebtoken::Algorithm::ES384);
    assert!(is_verified(&keys, &token));
}

#[tokio::test]
async fn a_replica_whose_clock_is_behind_can_sign() {
    let world = World::with_identity_key().await;
    let keys = world.open().await;
    assert!(is_verified(&keys, &access(&keys, NOW - 5)));
}

#[test]
fn sc_36_an_id_token_is_rs256_and_no_access_token() {
    let (ambient, _) = ambient();
    let keys = gate_keys(&ambient);
    let claims = IdToken {
        iss: "https://gate",
        sub: "amy",
        aud: "app",
        iat: NOW,
        exp: NOW + 60,
        auth_time: Some(NOW),
        nonce: None,
        fhir_user: None,
    };
    let token = keys.sign_identity(&claims, NOW).unwrap();
    let jws = Jws::parse(&token).ok().unwrap();
    assert_eq!((jws.algorithm, jws.media_type.as_deref()), (jsonwebtoken::Algorithm::RS256, Some("jwt")));
    assert!(!is_verified(&keys, &token), "identity keys do not verify access tokens");
}

#[test]
fn a_seal_opens_only_whole_and_for_whom_it_was_made() {
    let (ambient, _) = ambient();
    let keys = gate_keys(&ambient);
    let seal = keys.seal(b"page two", b"amy").unwrap();
    assert_eq!(keys.open_seal(&seal, b"amy").as_deref(), Some(&b"page two"[..]));
    assert_eq!(keys.open_seal(&seal, b"bob"), None);
    assert_eq!(gate_keys(&ambient).open_seal(&seal, b"amy"), None, "another key of the same name");
    for at in 0..seal.len() {
        let mut other = seal.clone().into_bytes();
        other[at] = if other[at] == b'A' { b'B' } else { b'A' };
        assert_eq!(keys.open_seal(std::str::from_utf8(&other).unwrap(), b"amy"), None, "{at}");
        assert_eq!(keys.open_seal(seal.get(..at).unwrap(), b"amy"), None, "{at}");
    }
    assert_eq!(keys.open_seal(&format!("{seal}="), b"amy"), None);
    assert_ne!(keys.seal(b"page two", b"amy").unwrap(), seal, "a nonce is used once");
}

#[test]
fn the_length_of_a_seal_tells_little() {
    let (ambient, _) = ambient();
    let keys = gate_keys(&ambient);
    let lengths: HashSet<_> = (0..=124).map(|n| keys.seal(&vec![0; n], b"").unwrap().len()).collect();
    assert_eq!(lengths.len(), 1);
    assert_eq!(keys.open_seal(&keys.seal(b"", b"").unwrap(), b"").as_deref(), Some(&b""[..]));
    let long = vec![7; 10_000];
    assert_eq!(keys.open_seal(&keys.seal(&long, b"").unwrap(), b""), Some(long));
}

#[test]
fn a_key_that_cannot_be_used_is_an_error_that_names_it() {
    let broken = StoredKey {
        id: "broken".to_owned(),
        purpose: KeyPurpose::Access,
        algorithm: "ES256".to_owned(),
        secret: vec![1, 2, 3],
        created: NOW,
        active_from: NOW,
        retired: None,
    };
    for stored in [
        broken.clone(),
        StoredKey { algorithm: "HS256".to_owned(), ..broken.clone() },
        StoredKey { purpose: KeyPurpose::Seal, ..broken },
    ] {
        let error = Ring::of(&[stored], NOW).err().unwrap().to_string();
        assert!(error.contains("broken"), "{error}");
    }
}

#[tokio::test]
async fn of_retired_keys_no_private_half_stays_in_memory() {
    let world = World::with_identity_key().await;
    let keys = world.open().await;
    let first = access(&keys, NOW);
    for again in 1..=3 {
        world.clock.set(NOW + again * OVERLAP);
        world.rotate().await;
        assert!(world.refresh(&keys).await);
    }
    let ring = keys.ring.load();
    let of_access = ring.signing.iter().filter(|key| key.purpose == KeyPurpose::Access).count();
    assert_eq!((of_access, published(&keys).len()), (2, 8), "the one in use and the next one; all four are published");
    assert!(is_verified(&keys, &first) && is_verified(&keys, &access(&keys, NOW + 3 * OVERLAP)));
    // Should the clock go back behind what the ring was read at, the next key signs.
    assert!(is_verified(&keys, &access(&keys, NOW)));
}
