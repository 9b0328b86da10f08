//! A server that is down, slow, cut off, or has become a standby.

use tokio::time::Instant;

use super::proxy::Proxy;
use super::*;

const LIMIT: Duration = Duration::from_millis(700);

/// A store with one connection, through a proxy.
async fn behind_a_proxy() -> (Database, Proxy, PostgresStore) {
    let database = Database::new().await;
    let proxy = Proxy::before(&database).await;
    let settings = Postgres { connections: 1, ..proxy.settings(&database) };
    let store = PostgresStore::open(&settings).await.unwrap();
    (database, proxy, store)
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn an_answer_to_a_redemption_that_is_lost_denies_and_the_code_is_spent() {
    let (_database, proxy, store) = behind_a_proxy().await;
    store.put_code(&[1; 32], "g", "p", 10).await.unwrap();
    // The statement is known to the connection from here on, so that what is said next is the redemption.
    assert_eq!(store.redeem_code(&[9; 32], 1, 10).await.unwrap(), Redemption::Unknown);
    proxy.cut_after(&[1; 32]);
    let lost = store.redeem_code(&[1; 32], 1, 10).await;
    assert!(lost.is_err() && *proxy.cuts.lock() == 1, "{lost:?}");
    let replayed = Redemption::Replayed { grant: "g".to_owned() };
    assert_eq!(store.redeem_code(&[1; 32], 1, 10).await.unwrap(), replayed, "no second grant for one code");
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_rotation_whose_commit_is_not_answered_is_asked_for_again() {
    let (_database, proxy, store) = behind_a_proxy().await;
    assert!(store.put_refresh(&[1; 32], &battery::refresh_grant("g"), 1, 50).await.unwrap());
    proxy.cut_after(b"COMMIT");
    let rotated = store.rotate_refresh(&battery::rotation([1; 32], [2; 32], 1)).await.unwrap();
    assert_eq!(rotated, Rotated::Repeated { successor: [2; 32] }, "the one successor that there is");
    assert_eq!(*proxy.cuts.lock(), 1);

    proxy.cut_after(b"COMMIT");
    store.revoke(&Revoked::Grant("g".to_owned()), 100).await.unwrap();
    assert_eq!(*proxy.cuts.lock(), 2);
    assert_eq!(store.refresh(&[2; 32], 1).await.unwrap(), None);
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_server_that_does_not_answer_is_waited_for_so_long_and_no_longer() {
    let (database, proxy, store) = behind_a_proxy().await;
    drop(store);
    let settings = Postgres { connections: 1, timeout: LIMIT, ..proxy.settings(&database) };
    let store = PostgresStore::open(&settings).await.unwrap();
    proxy.stall();
    let began = Instant::now();
    let answers = futures_util::future::join_all((0..20).map(|_| store.put_pending(&[1; 32], "state", 10))).await;
    assert!(began.elapsed() < 3 * LIMIT, "{:?}", began.elapsed());
    for answer in &answers {
        let StoreError(why) = answer.as_ref().err().unwrap();
        assert!(why.contains("within 700ms"), "{why}");
    }
    proxy.pass();
    store.put_pending(&[1; 32], "state", 10).await.unwrap();
    assert_eq!(store.pending(&[1; 32], 1).await.unwrap().as_deref(), Some("state"), "it comes back by itself");
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_lock_that_somebody_holds_is_not_waited_for_for_ever() {
    let database = Database::new().await;
    let store = PostgresStore::open(&Postgres { timeout: LIMIT, ..database.settings.clone() }).await.unwrap();
    let name = database.name();
    database.owner.batch_execute(&format!("BEGIN; LOCK TABLE {name}.counters")).await.unwrap();
    let revoked = Revoked::Grant("g".to_owned());
    let began = Instant::now();
    assert!(store.revoke(&revoked, 10).await.is_err());
    assert!(began.elapsed() < 3 * LIMIT);
    database.owner.batch_execute("ROLLBACK").await.unwrap();
    store.revoke(&revoked, 10).await.unwrap();
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn connections_that_are_ended_are_replaced() {
    let database = Database::new().await;
    let store = database.open().await;
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1";
    for n in 0..10u8 {
        store.put_pending(&[n; 32], "state", 10).await.unwrap();
        database.owner.query(end, &[&database.name()]).await.unwrap();
        assert!(store.pending(&[n; 32], 1).await.unwrap().is_some());
    }
    // It listens again, and looks at everything.
    let news = store.news();
    for _ in 0..2 {
        tokio::time::timeout(Duration::from_secs(20), news.keys.notified()).await.unwrap();
        database.owner.query(end, &[&database.name()]).await.unwrap();
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_server_that_became_a_standby_is_left_for_the_one_that_takes_writes() {
    let database = Database::new().await;
    let store = PostgresStore::open(&Postgres { connections: 1, ..database.settings.clone() }).await.unwrap();
    store.put_code(&[1; 32], "g", "p", 10).await.unwrap();
    let demote = async || {
        let connection = store.pool.get().await.unwrap();
        connection.batch_execute("SET default_transaction_read_only = on").await.unwrap();
    };
    demote().await;
    assert_eq!(
        store.redeem_code(&[1; 32], 1, 10).await.unwrap(),
        Redemption::Fresh("p".to_owned()),
        "nothing was done"
    );
    demote().await;
    store.ping().await.unwrap();

    let name = database.name();
    let read_only = format!("ALTER ROLE {name} SET default_transaction_read_only = on");
    database.owner.batch_execute(&read_only).await.unwrap();
    demote().await;
    let StoreError(why) = store.put_pending(&[1; 32], "state", 10).await.unwrap_err();
    assert!(why.contains("database does not allow writes"), "{why}");
    assert!(store.ping().await.is_err());
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_server_that_is_not_there_is_told_at_once() {
    let database = Database::new().await;
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut config = Config::new();
    config.host("127.0.0.1").port(free).user("nobody").dbname("nothing");
    let began = Instant::now();
    let refused = PostgresStore::open(&Postgres { config, ..database.settings.clone() }).await.err().unwrap();
    assert!(refused.0.contains("error connecting to server: Connection refused"), "{refused}");
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_caller_that_goes_away_leaves_nothing_half_done() {
    let database = Database::new().await;
    let store = database.open().await;
    store.rotate_key(&battery::key("old", KeyPurpose::Seal, 1)).await.unwrap();
    for n in 0..20 {
        let key = battery::key(&format!("new-{n}"), KeyPurpose::Seal, 2 + n);
        let mut rotation = Box::pin(store.rotate_key(&key));
        for _ in 0..n {
            if futures_util::poll!(rotation.as_mut()).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(rotation);
    }
    store.ping().await.unwrap();
    let unretired = store.keys().await.unwrap().iter().filter(|key| key.retired.is_none()).count();
    assert_eq!(unretired, 1);
}
