use base64::Engine as _;
use serde_json::json;

use super::*;
use crate::config::SigningAlgorithm;
use crate::store::KeyPurpose;
use crate::token::proof::ASSERTION_LIFETIME;
use crate::token::testing::Server;
use crate::token::{install_crypto as install, testing};

fn client(url: &str, proof: ClientProof) -> Arc<ServiceClient> {
    let scope = Some("system/*.rs".to_owned());
    Arc::new(ServiceClient { token_url: format!("{url}/token"), client_id: "gate".to_owned(), scope, proof })
}

fn secret() -> ClientProof {
    ClientProof::Secret("s:cret".to_owned().into())
}

fn granted(token: &str, expires_in: u64) -> String {
    json!({ "access_token": token, "token_type": "bearer", "expires_in": expires_in }).to_string()
}

#[tokio::test]
async fn a_token_is_fetched_once_for_all_and_kept() {
    install();
    let server = Server::start().await;
    server.answers("", &granted("t1", 3600));
    let (tokens, client) = (Arc::new(ServiceTokens::default()), client(&server.url, secret()));
    let all = futures_util::future::join_all((0..8).map(|_| tokens.authorization(&client))).await;
    assert!(all.iter().all(|value| value.as_ref().unwrap() == "Bearer t1"));
    assert_eq!(server.seen(), 1);
    let head = server.requests()[0].to_lowercase();
    assert!(head.starts_with("post /token http/1.1") && head.contains("authorization: basic "), "{head}");
    tokens.refused();
    assert_eq!(tokens.authorization(&client).await.unwrap(), "Bearer t1", "a new one is not fetched again at once");
    assert_eq!(server.seen(), 1);
}

#[tokio::test]
async fn one_that_the_fhir_server_refuses_is_replaced() {
    install();
    let server = Server::start().await;
    let (tokens, client) = (Arc::new(ServiceTokens::default()), client(&server.url, secret()));
    server.answers("", &granted("t1", 3600));
    tokens.authorization(&client).await.unwrap();
    server.answers("", &granted("t2", 3600));
    tokio::time::pause();
    tokio::time::advance(INTERVAL).await;
    tokio::time::resume();
    tokens.refused();
    assert_eq!(tokens.authorization(&client).await.unwrap(), "Bearer t2");
}

#[tokio::test]
async fn one_that_is_nearly_over_is_not_shown() {
    install();
    let server = Server::start().await;
    let (tokens, client) = (Arc::new(ServiceTokens::default()), client(&server.url, secret()));
    for token in ["t1", "t2"] {
        server.answers("", &granted(token, 5));
        assert_eq!(tokens.authorization(&client).await.unwrap(), format!("Bearer {token}").as_str());
    }
}

#[tokio::test]
async fn a_failure_is_told_and_not_repeated_at_once() {
    install();
    for (answer, why) in [
        ("HTTP/1.1 401 -\r\nContent-Length: 0\r\n\r\n".to_owned(), "answered 401"),
        (
            "HTTP/1.1 302 -\r\nLocation: http://elsewhere.example/\r\nContent-Length: 0\r\n\r\n".to_owned(),
            "answered 302",
        ),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}".to_owned(), "cannot be read"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 43\r\n\r\n{\"access_token\":\"x\",\"token_type\":\"DPoP\"}   "
                .to_owned(),
            "another type",
        ),
        (format!("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{}", " ".repeat(100_000)), "more than"),
        ("SSH-2.0-OpenSSH\r\n\r\n".to_owned(), "cannot be reached"),
    ] {
        let server = Server::start().await;
        server.answers_raw(&answer);
        let (tokens, client) = (Arc::new(ServiceTokens::default()), client(&server.url, secret()));
        for _ in 0..3 {
            let told = tokens.authorization(&client).await.unwrap_err();
            assert!(told.contains(why), "{told}");
        }
        assert_eq!(server.seen(), 1, "{why}");
    }
}

#[tokio::test]
async fn a_key_signs_an_assertion() {
    install();
    let tokens = ServiceTokens::default();
    let stored = testing::stored("k1", KeyPurpose::Access, SigningAlgorithm::Es384);
    let proof = ClientProof::Key { der: stored.secret.into(), id: "k1".to_owned(), algorithm: SigningAlgorithm::Es384 };
    let client = client("https://idp.example.org", proof);
    let assertion = tokens.assertion(&client).unwrap();
    let part = |index: usize| {
        let part = assertion.split('.').nth(index).unwrap();
        let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).unwrap();
        serde_json::from_slice::<serde_json::Value>(&bytes).unwrap()
    };
    assert_eq!(part(0), json!({ "typ": "JWT", "alg": "ES384", "kid": "k1" }));
    let claims = part(1);
    assert_eq!((claims["iss"].as_str(), claims["sub"].as_str()), (Some("gate"), Some("gate")));
    assert_eq!(claims["aud"], "https://idp.example.org/token");
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), ASSERTION_LIFETIME);
    let unfit = ClientProof::Key {
        der: testing::stored("k1", KeyPurpose::Access, SigningAlgorithm::Es256).secret.into(),
        id: "k1".to_owned(),
        algorithm: SigningAlgorithm::Rs384,
    };
    assert!(tokens.assertion(&self::client("https://idp.example.org", unfit)).is_err());
}
