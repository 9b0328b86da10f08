//! Two gates on one database.

use std::collections::HashSet;

use futures_util::future::join_all;
use tokio::time::timeout;

use super::*;

async fn two(database: &Database) -> [PostgresStore; 2] {
    [database.open().await, database.open().await]
}

fn grant(n: u32) -> Revoked {
    Revoked::Grant(format!("grant-{n}"))
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn of_a_code_and_of_a_refresh_token_there_is_one_winner() {
    let stores = two(&Database::new().await).await;
    for n in 0..20u8 {
        let code = [n; 32];
        stores[0].put_code(&code, "g", "p", 10).await.unwrap();
        let redeemed = join_all((0..6).map(|at| stores[at % 2].redeem_code(&code, 1, 10))).await;
        let fresh = redeemed.iter().filter(|redemption| matches!(redemption, Ok(Redemption::Fresh(_)))).count();
        assert!(fresh == 1 && redeemed.iter().all(Result::is_ok), "{redeemed:?}");

        assert!(stores[0].put_refresh(&[n; 32], &battery::refresh_grant(&n.to_string()), 1, 50).await.unwrap());
        let successor = |at: u8| [[n; 31].as_slice(), &[100 + at]].concat().try_into().unwrap();
        let rotations: Vec<_> = (0..6).map(|at| battery::rotation([n; 32], successor(at), 1)).collect();
        let rotated = join_all(rotations.iter().enumerate().map(|(at, it)| stores[at % 2].rotate_refresh(it))).await;
        let fresh = rotated.iter().filter(|rotated| matches!(rotated, Ok(Rotated::Fresh))).count();
        let repeated = rotated.iter().filter(|rotated| matches!(rotated, Ok(Rotated::Repeated { .. }))).count();
        assert_eq!((fresh, repeated), (1, 5), "{rotated:?}");
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_grant_that_is_revoked_while_its_first_token_is_kept_does_not_live() {
    let stores = two(&Database::new().await).await;
    for n in 0..40u8 {
        let grant = battery::refresh_grant(&n.to_string());
        let revoked = Revoked::Grant(grant.id.clone());
        let (kept, gone) =
            futures_util::future::join(stores[0].put_refresh(&[n; 32], &grant, 1, 50), stores[1].revoke(&revoked, 100))
                .await;
        gone.unwrap();
        kept.unwrap();
        assert_eq!(stores[0].refresh(&[n; 32], 1).await.unwrap(), None, "whichever came first");
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn keys_and_clients_are_added_one_after_the_other() {
    let stores = two(&Database::new().await).await;
    let first: Vec<_> = (0..8).map(|n| battery::key(&format!("first-{n}"), KeyPurpose::Access, 1)).collect();
    for result in join_all(first.iter().enumerate().map(|(n, key)| stores[n % 2].add_first_key(key))).await {
        result.unwrap();
    }
    assert_eq!(stores[0].keys().await.unwrap().len(), 1);
    let next: Vec<_> = (0..8).map(|n| battery::key(&format!("next-{n}"), KeyPurpose::Access, 2)).collect();
    for result in join_all(next.iter().enumerate().map(|(n, key)| stores[n % 2].rotate_key(key))).await {
        result.unwrap();
    }
    let in_use = stores[1].keys().await.unwrap().into_iter().filter(|key| key.retired.is_none()).count();
    assert_eq!(in_use, 1, "of keys that come together one is used");

    let many: Vec<_> = (0..12).map(|n| StoredClient { id: format!("c{n}"), payload: String::new() }).collect();
    let added = join_all(many.iter().enumerate().map(|(n, client)| stores[n % 2].add_client(client, 5))).await;
    assert_eq!(added.into_iter().filter(|added| *added.as_ref().unwrap()).count(), 5, "never more than there may be");
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn who_reads_on_misses_no_revocation() {
    const MANY: u32 = 200;
    let stores = two(&Database::new().await).await;
    let revoked: Vec<_> = (0..MANY).map(grant).collect();
    let revoke = join_all(revoked.iter().enumerate().map(|(n, it)| stores[n % 2].revoke(it, 100)));
    let read = async {
        let (mut seen, mut from) = (HashSet::new(), 0);
        while seen.len() < revoked.len() {
            for revocation in stores[0].revocations_after(from, 1).await.unwrap() {
                from = revocation.sequence;
                seen.insert(revocation.revoked);
            }
        }
    };
    let (done, read) = futures_util::future::join(revoke, timeout(Duration::from_secs(60), read)).await;
    assert!(done.into_iter().all(|done| done.is_ok()));
    read.unwrap();
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn what_one_changes_the_other_hears() {
    let stores = two(&Database::new().await).await;
    let news = stores[1].news();
    let heard = async |of: &tokio::sync::Notify| timeout(Duration::from_secs(10), of.notified()).await.unwrap();
    // When it begins to listen it has a look at everything.
    for topic in Topic::ALL {
        heard(topic.of(&news)).await;
    }
    stores[0].revoke(&grant(1), 100).await.unwrap();
    heard(&news.revocations).await;
    stores[0].add_first_key(&battery::key("k", KeyPurpose::Seal, 1)).await.unwrap();
    heard(&news.keys).await;
    stores[0].rotate_key(&battery::key("l", KeyPurpose::Seal, 1)).await.unwrap();
    heard(&news.keys).await;
    stores[0].add_client(&StoredClient { id: "c".to_owned(), payload: String::new() }, 1).await.unwrap();
    heard(&news.clients).await;
    stores[0].remove_client("c").await.unwrap();
    heard(&news.clients).await;
    stores[0].put_probe("http://u", "found").await.unwrap();
    heard(&news.probes).await;
}

/// As a standby does that takes over without the last of them.
#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_server_that_lost_revocations_says_a_smaller_last_one() {
    let database = Database::new().await;
    let store = database.open().await;
    for n in 0..3 {
        store.revoke(&grant(n), 100).await.unwrap();
    }
    assert_eq!(store.last_revocation().await.unwrap(), 3);
    let name = database.name();
    let lost = format!(
        "DELETE FROM {name}.revocations WHERE sequence > 1;
         UPDATE {name}.counters SET last = 1 WHERE name = 'revocations'"
    );
    database.owner.batch_execute(&lost).await.unwrap();
    assert_eq!(store.last_revocation().await.unwrap(), 1);
    store.revoke(&grant(9), 100).await.unwrap();
    let read: Vec<_> = store.revocations_after(0, 1).await.unwrap().into_iter().map(|it| it.revoked).collect();
    assert_eq!(read, [grant(0), grant(9)]);
}
