//! A provider that says what a test wants.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::auth::testing::NOW;
use crate::config::{FhirUser, KeySource, Oidc};
use crate::token::testing::{es256, jwks};

#[derive(Default)]
struct Said {
    claims: Value,
    /// Over those that the login asks for.
    changed: HashMap<String, Value>,
    algorithm: Option<String>,
    names_itself: bool,
    challenge: String,
    redeemed: usize,
}

pub(super) struct Fake {
    pub(super) url: String,
    said: Arc<Mutex<Said>>,
}

impl Fake {
    pub(super) async fn start() -> Self {
        crate::token::install_crypto();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let said: Arc<Mutex<Said>> = Arc::default();
        let (kept, issuer) = (said.clone(), url.clone());
        tokio::spawn(async move {
            while let Ok((mut connection, _)) = listener.accept().await {
                let mut asked = Vec::new();
                while !whole(&asked) {
                    match connection.read_u8().await {
                        Ok(byte) => asked.push(byte),
                        Err(_) => break,
                    }
                }
                let body = answer(&String::from_utf8(asked).unwrap(), &issuer, &mut kept.lock());
                let (status, body) = body.map_or(("400 Bad Request", json!({}).to_string()), |body| ("200 OK", body));
                let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
                let _ = connection.write_all(format!("{head}{body}").as_bytes()).await;
            }
        });
        Self { url, said }
    }

    pub(super) fn oidc(&self) -> Oidc {
        Oidc {
            issuer: self.url.clone(),
            client_id: "gate".to_owned(),
            client_secret: Some("se cret".to_owned().into()),
            scopes: vec!["openid".to_owned()],
            label: Some("the clinic".to_owned()),
            fhir_user: Some(FhirUser::Claim("fhirUser".to_owned())),
            patients: None,
            keys: KeySource::Discovery(self.url.clone()),
        }
    }

    pub(super) fn say(&self, claim: &str, value: Value) {
        self.said.lock().changed.insert(claim.to_owned(), value);
    }

    pub(super) fn sign_as(&self, algorithm: &str) {
        self.said.lock().algorithm = Some(algorithm.to_owned());
    }

    pub(super) fn names_itself(&self) {
        self.said.lock().names_itself = true;
    }

    pub(super) fn redeemed(&self) -> usize {
        self.said.lock().redeemed
    }

    pub(super) fn redeems_nothing(&self) {
        assert_eq!(self.redeemed(), 0, "no code was shown to anybody");
    }

    /// Where a browser is sent that logged in after `asked`.
    pub(super) fn callback(&self, asked: &HashMap<String, String>) -> String {
        let mut said = self.said.lock();
        said.claims = json!({
            "iss": self.url, "sub": "248", "aud": asked["client_id"], "exp": NOW + 60, "iat": NOW, "nonce": asked["nonce"],
            "name": "Dr <Carter>", "fhirUser": "Practitioner/carter",
        });
        said.challenge.clone_from(&asked["code_challenge"]);
        format!("/auth/callback?code=abc&state={}", asked["state"])
    }
}

/// Whether a request is there with its body.
fn whole(asked: &[u8]) -> bool {
    let text = String::from_utf8_lossy(asked).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.split_once("content-length: ").and_then(|(_, rest)| rest.lines().next()?.parse().ok());
    body.len() >= length.unwrap_or(0)
}

fn answer(asked: &str, issuer: &str, said: &mut Said) -> Option<String> {
    let path = asked.split(' ').nth(1)?;
    match path {
        "/.well-known/openid-configuration" => Some(
            json!({
                "issuer": issuer, "authorization_endpoint": format!("{issuer}/authorize"),
                "token_endpoint": format!("{issuer}/token"), "jwks_uri": format!("{issuer}/jwks"),
                "authorization_response_iss_parameter_supported": said.names_itself,
            })
            .to_string(),
        ),
        "/jwks" => Some(jwks(&[es256()])),
        "/token" => token(asked, said),
        _ => None,
    }
}

fn token(asked: &str, said: &mut Said) -> Option<String> {
    said.redeemed += 1;
    let (head, body) = asked.split_once("\r\n\r\n")?;
    let form: HashMap<_, _> = form_urlencoded::parse(body.as_bytes()).into_owned().collect();
    // `gate:se+cret`, encoded before it is joined.
    let basic = head.contains("Basic Z2F0ZTpzZStjcmV0");
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(form.get("code_verifier")?.as_bytes()));
    let redirect = form.get("redirect_uri")? == "https://gate.example.org/auth/callback";
    if !basic || challenge != said.challenge || !redirect || form.get("code")? != "abc" {
        return None;
    }
    let mut claims = said.claims.clone();
    for (claim, value) in &said.changed {
        claims[claim] = value.clone();
    }
    let token = match &said.algorithm {
        None => es256().token(&claims),
        Some(algorithm) => es256().signed(&json!({ "alg": algorithm, "kid": "es256" }), &claims),
    };
    Some(json!({ "access_token": "x", "token_type": "Bearer", "id_token": token }).to_string())
}
