use futures_util::future::join_all;

use super::*;
use crate::token::testing::{NOW, store};

fn claims(issuer: &str, id: &str, grant: Option<&str>) -> Claims {
    Claims {
        issuer: issuer.into(),
        own: true,
        subject: "s".to_owned(),
        client: None,
        scope: Vec::new(),
        patient: None,
        encounter: None,
        fhir_user: None,
        expires: NOW + 600,
        token_id: Some(id.to_owned()),
        grant: grant.map(str::to_owned),
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
async fn synchronising_reads_on_and_drops_what_has_expired() {
    let (_folder, store) = store();
    let revocations = Revocations::new();
    assert_eq!(revocations.last_synced(), 0);
    store.revoke(&token("i", "0"), NOW + 10).await.unwrap();
    revocations.sync(&*store, NOW).await.unwrap();
    assert!(revocations.is_revoked(&claims("i", "0", None)));
    let more: Vec<_> = (1..1100).map(|n| token("i", &n.to_string())).collect();
    for result in join_all(more.iter().map(|revoked| store.revoke(revoked, NOW + 10))).await {
        result.unwrap();
    }
    revocations.sync(&*store, NOW + 1).await.unwrap();
    assert_eq!(revocations.last_synced(), NOW + 1);
    assert!(revocations.is_revoked(&claims("i", "1099", None)), "more than one page");
    store.revoke(&token("i", "0"), NOW + 100).await.unwrap();
    revocations.sync(&*store, NOW + 10).await.unwrap();
    assert!(revocations.is_revoked(&claims("i", "0", None)), "it was made to last longer");
    assert!(!revocations.is_revoked(&claims("i", "1", None)), "nobody needs it any more");
    assert_eq!(revocations.tokens.len(), 1);
}
