use futures_util::future::join_all;

use super::*;
use crate::token::testing::{NOW, ambient, store};

/// So long a revocation is remembered past its time.
const DAY: i64 = 24 * 3600;

fn claims(issuer: &str, id: &str, grant: Option<&str>) -> Claims {
    Claims {
        issuer: issuer.into(),
        own: true,
        subject: "s".into(),
        client: None,
        scope: Vec::new(),
        patient: None,
        encounter: None,
        fhir_user: None,
        expires: NOW + 600,
        token_id: Some(id.into()),
        grant: grant.map(Into::into),
    }
}

fn token(issuer: &str, id: &str) -> Revoked {
    Revoked::Token { issuer: issuer.to_owned(), id: id.to_owned() }
}

#[test]
fn a_token_is_revoked_by_issuer_and_id_or_by_its_grant() {
    let revocations = Revocations::new();
    revocations.insert(token("a", "bc"), NOW);
    revocations.insert(Revoked::Grant("g".to_owned()), NOW);
    assert!(revocations.is_revoked(&claims("a", "bc", None)));
    assert!(!revocations.is_revoked(&claims("ab", "c", None)));
    assert!(!revocations.is_revoked(&claims("b", "bc", None)));
    assert!(!revocations.is_revoked(&claims("a", "g", Some("bc"))));
    assert!(revocations.is_revoked(&claims("a", "other", Some("g"))));
    assert!(!revocations.is_revoked(&Claims { token_id: None, ..claims("a", "bc", None) }));
}

#[tokio::test]
async fn synchronising_reads_on_and_drops_what_is_long_over() {
    let ((_folder, store), (ambient, clock)) = (store(), ambient());
    let revocations = Revocations::new();
    store.revoke(&token("i", "0"), NOW + 10).await.unwrap();
    revocations.sync(&*store, &ambient).await.unwrap();
    assert!(revocations.is_revoked(&claims("i", "0", None)));
    let more: Vec<_> = (1..1100).map(|n| token("i", &n.to_string())).collect();
    for result in join_all(more.iter().map(|revoked| store.revoke(revoked, NOW + 10))).await {
        result.unwrap();
    }
    clock.set(NOW + 1);
    revocations.sync(&*store, &ambient).await.unwrap();
    assert!(revocations.is_revoked(&claims("i", "1099", None)), "more than one page");
    store.revoke(&token("i", "0"), NOW + 100).await.unwrap();
    clock.set(NOW + 10 + DAY);
    revocations.sync(&*store, &ambient).await.unwrap();
    assert!(revocations.is_revoked(&claims("i", "0", None)), "it was made to last longer");
    assert!(!revocations.is_revoked(&claims("i", "1", None)), "nobody needs it any more");
    assert_eq!(revocations.tokens.len(), 1);
}

#[tokio::test]
async fn what_is_revoked_stays_revoked_when_the_clock_is_set_forwards_and_back() {
    let ((_folder, store), (ambient, clock)) = (store(), ambient());
    let revocations = Revocations::new();
    store.revoke(&token("i", "0"), NOW + 10).await.unwrap();
    for step in [DAY, -2 * DAY, DAY] {
        clock.step(step);
        store.sweep(ambient.now(), ambient.forgettable()).await.unwrap();
        revocations.sync(&*store, &ambient).await.unwrap();
        assert!(revocations.is_revoked(&claims("i", "0", None)), "by {step} seconds");
    }
    let another = Revocations::new();
    another.sync(&*store, &ambient).await.unwrap();
    assert!(another.is_revoked(&claims("i", "0", None)), "also for a replica that starts");
}

#[tokio::test]
async fn how_long_nothing_was_heard_does_not_go_by_the_wall_clock() {
    let ((_folder, store), (ambient, clock)) = (store(), ambient());
    let revocations = Revocations::new();
    let max = Duration::from_secs(30);
    assert!(revocations.is_stale(ambient.steady(), max), "never");
    revocations.sync(&*store, &ambient).await.unwrap();
    for step in [3600, -7200] {
        clock.step(step);
        assert!(!revocations.is_stale(ambient.steady(), max), "by {step} seconds");
    }
    clock.set(ambient.now() + 31);
    assert!(revocations.is_stale(ambient.steady(), max));
}

#[tokio::test]
async fn what_is_revoked_after_the_store_lost_some_is_heard_of_and_what_it_lost_is_kept() {
    let ((_one, before), (_two, after), (ambient, _)) = (store(), store(), ambient());
    let revocations = Revocations::new();
    for id in ["0", "1", "2", "3"] {
        before.revoke(&token("i", id), NOW + 10).await.unwrap();
    }
    revocations.sync(&*before, &ambient).await.unwrap();
    for id in ["0", "later"] {
        after.revoke(&token("i", id), NOW + 10).await.unwrap();
    }
    revocations.sync(&*after, &ambient).await.unwrap();
    for id in ["0", "1", "2", "3", "later"] {
        assert!(revocations.is_revoked(&claims("i", id, None)), "{id}");
    }
    after.revoke(&token("i", "last"), NOW + 10).await.unwrap();
    revocations.sync(&*after, &ambient).await.unwrap();
    assert!(revocations.is_revoked(&claims("i", "last", None)), "and it reads on from there");
}
