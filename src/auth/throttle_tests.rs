use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::auth::testing::store::MemoryStore;

/// A store, and two replicas on it.
fn two() -> (Arc<MemoryStore>, Throttle, Throttle) {
    let store = Arc::new(MemoryStore::default());
    (store.clone(), Throttle::new(store.clone()), Throttle::new(store))
}

async fn wrong(throttle: &Throttle, now: UnixSeconds) -> Refusal {
    throttle.checked(Tried::Client, &[1; 32], now, || None::<()>).await.unwrap_err()
}

async fn right(throttle: &Throttle, now: UnixSeconds) -> Result<(), Refusal> {
    throttle.checked(Tried::Client, &[1; 32], now, || Some(())).await
}

#[tokio::test]
async fn row_232_a_pause_made_at_one_replica_holds_at_another_and_after_a_restart() {
    let (store, one, two) = two();
    for n in 0..10 {
        assert_eq!(wrong(if n % 2 == 0 { &one } else { &two }, 100).await, Refusal::Wrong);
    }
    let restarted = Throttle::new(store.clone());
    restarted.follow(101).await.unwrap();
    for throttle in [&one, &two, &restarted] {
        assert_eq!(right(throttle, 101).await, Err(Refusal::Paused(59)), "the right one too");
    }
    assert_eq!(right(&restarted, 160).await, Ok(()));
    assert_eq!(wrong(&one, 160).await, Refusal::Wrong, "forgiven everywhere");
    assert_eq!(right(&one, 160).await, Ok(()));
}

#[tokio::test]
async fn row_232_during_a_pause_nothing_is_looked_at() {
    let (_, one, _) = two();
    for _ in 0..10 {
        assert_eq!(wrong(&one, 100).await, Refusal::Wrong);
    }
    let looked = AtomicBool::new(false);
    let look = || {
        looked.store(true, Ordering::SeqCst);
        Some(())
    };
    assert_eq!(one.checked(Tried::Client, &[1; 32], 100, look).await, Err(Refusal::Paused(60)));
    assert!(!looked.into_inner());
}

#[tokio::test]
async fn a_client_that_does_not_fail_does_without_the_store() {
    let (store, one, _) = two();
    store.down.store(true, Ordering::SeqCst);
    assert_eq!(right(&one, 100).await, Ok(()));
    assert_eq!(wrong(&one, 100).await, Refusal::Wrong);
    assert_eq!(right(&one, 100).await, Err(Refusal::Unavailable), "one that has failed does not");
    assert!(one.follow(100).await.is_err());
    store.down.store(false, Ordering::SeqCst);
    assert_eq!(right(&one, 100).await, Ok(()));
}

#[test]
fn memory_is_bounded() {
    let (_, one, _) = two();
    for n in 0..MAX_NAMES + 10 {
        one.remember(digest("client", &n.to_string()), 500 + i64::try_from(n).unwrap(), 5);
    }
    assert_eq!(one.failing.lock().len(), MAX_NAMES);
    assert!(!one.failing.lock().contains_key(&digest("client", "0")), "the oldest one went");
}
