use std::sync::Arc;

use argon2::password_hash::PasswordVerifier as _;

use super::*;
use crate::ambient::Ambient;
use crate::auth::testing;
use crate::auth::testing::store::MemoryStore;

fn passwords() -> Passwords {
    Passwords::new(Arc::new(MemoryStore::default()))
}

#[test]
fn a_hash_is_argon2id_as_owasp_recommends_and_verifies() {
    let hash = hash("correct horse", &Ambient::system()).unwrap();
    assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
    assert!(matches(&hash, "correct horse", &mut Memory::default()));
    assert!(!matches("no hash", "", &mut Memory::default()));
}

#[test]
fn the_hash_of_nobody_costs_as_much_as_a_real_one_and_fits_nothing() {
    let nobody = PasswordHash::new(NOBODY).unwrap();
    assert_eq!(nobody.algorithm, argon2::ARGON2ID_IDENT);
    assert_eq!(nobody.params.to_string(), format!("m={MEMORY_KIB},t={PASSES},p={LANES}"));
    assert_eq!((nobody.salt.unwrap().len(), nobody.hash.unwrap().len()), (SALT, Params::DEFAULT_OUTPUT_LEN));
    assert!(!matches(NOBODY, "", &mut Memory::default()));
}

/// Hashes of other parameters and versions, one after the other in the same memory.
#[test]
fn a_hash_matches_where_argon2_says_so() {
    let mut memory = Memory::default();
    for (memory_kib, passes, lanes, output) in [(64, 1, 1, 32), (8, 3, 1, 16), (512, 1, 4, 64), (32, 2, 2, 10)] {
        for version in [Version::V0x10, Version::V0x13] {
            let params = Params::new(memory_kib, passes, lanes, Some(output)).unwrap();
            let hasher = Argon2::new(Algorithm::Argon2id, version, params);
            let hash: PasswordHash = hasher.hash_password_with_salt(b"correct horse", b"salt of sixteen.").unwrap();
            for password in ["correct horse", "correct horsf", ""] {
                let theirs = Argon2::default().verify_password(password.as_bytes(), &hash).is_ok();
                assert_eq!(matches(&hash.to_string(), password, &mut memory), theirs, "{hash} {password}");
            }
        }
    }
    assert!(
        !matches("$argon2id$v=19$m=8,t=1,p=1$c2FsdCBvZiBzaXh0ZWVuLg", "", &mut memory),
        "there is nothing to compare"
    );
}

#[tokio::test]
async fn only_the_enabled_user_with_the_right_password_gets_in() {
    let snapshot = testing::snapshot();
    let passwords = passwords();
    for (username, password, expected) in [
        ("amy", testing::PASSWORD, Verdict::Right),
        ("amy", "wrong", Verdict::Wrong),
        ("amy", "", Verdict::Wrong),
        ("nobody", testing::PASSWORD, Verdict::Wrong),
        ("gone", testing::PASSWORD, Verdict::Wrong),
    ] {
        assert_eq!(passwords.check(&snapshot, username, password, 0).await.unwrap(), expected, "{username} {password}");
    }
}

#[tokio::test]
async fn more_logins_than_can_wait_are_told_to_come_back() {
    let snapshot = testing::snapshot();
    let passwords = passwords();
    let _all =
        passwords.places.acquire_many(u32::try_from(passwords.places.available_permits()).unwrap()).await.unwrap();
    assert_eq!(passwords.check(&snapshot, "amy", testing::PASSWORD, 0).await.unwrap(), Verdict::Busy);
}

#[tokio::test]
async fn row_232_too_many_failures_hold_back_the_right_password_too() {
    let snapshot = testing::snapshot();
    let passwords = passwords();
    for name in ["amy", "nobody"] {
        for _ in 0..10 {
            assert_eq!(passwords.check(&snapshot, name, "wrong", 0).await.unwrap(), Verdict::Wrong);
        }
        assert_eq!(passwords.check(&snapshot, name, testing::PASSWORD, 59).await.unwrap(), Verdict::Throttled);
    }
    assert_eq!(passwords.check(&snapshot, "amy", testing::PASSWORD, 60).await.unwrap(), Verdict::Right);
}

#[tokio::test]
async fn row_232_a_pause_made_at_one_replica_holds_at_another_however_many_try_at_once() {
    let snapshot = testing::snapshot();
    let store = Arc::new(MemoryStore::default());
    let replicas = [Passwords::new(store.clone()), Passwords::new(store.clone())];
    let tries = (0..24).map(|n| replicas[n % 2].check(&snapshot, "amy", "wrong", 0));
    let verdicts = futures_util::future::join_all(tries).await;
    assert_eq!(verdicts.iter().filter(|verdict| matches!(verdict, Ok(Verdict::Wrong))).count(), 10, "{verdicts:?}");
    store.down.store(true, std::sync::atomic::Ordering::SeqCst);
    assert!(
        replicas[0].check(&snapshot, "amy", testing::PASSWORD, 60).await.is_err(),
        "what cannot be counted is not tried"
    );
}

#[tokio::test]
async fn usernames_that_are_made_up_take_no_room_from_users() {
    let (snapshot, store) = (testing::snapshot(), Arc::new(MemoryStore::default()));
    for name in ["amy", "nobody", "gone"] {
        Passwords::new(store.clone()).check(&snapshot, name, "wrong", 0).await.unwrap();
    }
    assert_eq!(*store.tried.lock(), [Tried::User, Tried::NoUser, Tried::User]);
}
