//! Headers in both directions (enforcement.md §7): what a client sends reaches the FHIR server by an allow-list, who asks is said by
//! the gate alone, and what comes back passes another.

use serde_json::{Map, Value, json};

use crate::double::{Manners, Seen};
use crate::tokens::ISSUER;
use crate::wire::{self, Reply};
use crate::world::World;

const IDENTITY: &str =
    "identity_headers = { user = \"X-Smart-User\", patient = \"X-Smart-Patient\", client = \"X-Smart-Client\" }";
const FHIR: &str = "application/fhir+json";

/// What clients send to be somebody else, to be counted as another, or to steer a server.
const HOSTILE: &[(&str, &str)] = &[
    ("X-Smart-Patient", "evil"),
    ("x-smart-patient", "evil"),
    ("X_Smart_Patient", "evil"),
    ("X-Smart_Patient", "evil"),
    ("X-SMART-USER", "evil"),
    ("X_Smart_User", "evil"),
    ("X-Smart-Client", "evil"),
    ("X-Forwarded-User", "evil"),
    ("X-Forwarded-For", "evil"),
    ("X-Forwarded-Host", "evil"),
    ("X-Real-IP", "evil"),
    ("Forwarded", "for=evil"),
    ("Via", "1.1 evil"),
    ("From", "evil@example.org"),
    ("X-HTTP-Method-Override", "evil"),
    ("X-Cascade", "evil"),
    ("X-Request-Partition-IDs", "evil"),
    ("X-Original-URL", "/evil"),
    ("Cookie", "evil=1"),
    ("Range", "bytes=0-evil"),
    ("If-Range", "evil"),
    ("TE", "evil"),
    ("Trailer", "evil"),
    ("Proxy-Authorization", "Basic evil"),
    ("Proxy-Connection", "evil"),
    ("Keep-Alive", "evil"),
    ("Accept-Charset", "evil"),
    ("Prefer", "respond-async, return=evil"),
    ("X-Request-Id", "evil"),
    ("Origin", "https://evil.example"),
    ("Referer", "https://evil.example"),
    ("Traceparent", "evil"),
];

/// Headers of a hostile client, and which of them to name in `Connection`.
fn hostile(token: &str, more: &[(&str, &str)], connection: &str) -> Vec<(String, String)> {
    let own = [("Authorization", format!("Bearer {token}")), ("Connection", format!("close, {connection}"))];
    let own = own.into_iter().map(|(name, value)| (name.to_owned(), value));
    own.chain(HOSTILE.iter().chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))).collect()
}

async fn ask(
    world: &World,
    method: &str,
    target: &str,
    headers: &[(String, String)],
    body: &str,
) -> (Reply, Vec<Seen>) {
    world.upstream.take();
    let reply = wire::send(world.address(), method, target, headers, body.as_bytes()).await;
    (reply, world.upstream.take())
}

fn values<'s>(seen: &'s Seen, name: &str) -> Vec<&'s str> {
    seen.headers.iter().filter(|(given, _)| given == name).map(|(_, value)| value.as_str()).collect()
}

fn service(world: &World) -> String {
    let claims = json!({ "scope": "system/*.cruds", "sub": "service", "client_id": "service" });
    world.token(claims.as_object().unwrap())
}

#[tokio::test]
async fn row_202_and_203_a_client_cannot_say_who_asks_nor_steer_the_server() {
    let world = World::start(IDENTITY, "").await;
    let (patient, service) = (world.patient_token("patient/*.cruds", "A"), service(&world));
    let new = "{\"resourceType\":\"Observation\",\"subject\":{\"reference\":\"Patient/A\"}}";
    let batch = "{\"resourceType\":\"Bundle\",\"type\":\"batch\",\"entry\":[{\"request\":{\"method\":\"GET\",\"url\":\"Observation/a1\"}}]}";
    let json = [("Content-Type", FHIR)];
    for (token, named) in [(&patient, true), (&service, false)] {
        for connection in ["", "X-Smart-Patient", "x-smart-user, X-Smart-Client", "Authorization, Host, Accept"] {
            for (method, target, body) in [
                ("GET", "/fhir/Observation/a1", ""),
                ("GET", "/fhir/Observation?code=x", ""),
                ("GET", "/fhir/Observation/a1/_history", ""),
                ("POST", "/fhir/Observation", new),
                ("POST", "/fhir", batch),
            ] {
                let more = if body.is_empty() { &[][..] } else { &json[..] };
                let (reply, seen) = ask(&world, method, target, &hostile(token, more, connection), body).await;
                assert!(reply.status < 300, "{method} {target}: {}", reply.text());
                assert!(!seen.is_empty(), "{method} {target}");
                for seen in &seen {
                    let head = seen.raw.split("\r\n\r\n").next().unwrap();
                    assert!(!head.to_ascii_lowercase().contains("evil"), "{head}");
                    assert!(!seen.headers.iter().any(|(name, _)| name.contains('_')), "{head}");
                    assert_eq!(values(seen, "x-smart-patient"), if named { vec!["A"] } else { vec![] }, "{head}");
                    assert_eq!(values(seen, "x-smart-user"), [if named { "someone" } else { "service" }]);
                    assert_eq!(values(seen, "x-smart-client"), [if named { "app" } else { "service" }]);
                    assert_eq!(values(seen, "accept-encoding"), ["identity"]);
                    assert_eq!(values(seen, "authorization"), Vec::<&str>::new());
                    assert_eq!(values(seen, "x-request-id"), [reply.header("x-request-id").unwrap()]);
                }
            }
        }
    }
}

#[tokio::test]
async fn a_trace_context_goes_on_where_it_is_one_and_baggage_never() {
    let world = World::start("", "").await;
    let token = service(&world);
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    for (given, passed) in [(parent, true), ("00-evil-evil-01", false)] {
        let own = [("Authorization", format!("Bearer {token}")), ("Connection", "close".to_owned())];
        let trace = [("traceparent", given.to_owned()), ("tracestate", "rojo=1".into()), ("baggage", "evil=1".into())];
        let headers: Vec<_> = own.into_iter().chain(trace).map(|(name, value)| (name.to_owned(), value)).collect();
        let (_, seen) = ask(&world, "GET", "/fhir/Observation/a1", &headers, "").await;
        assert!(!seen.is_empty());
        for seen in &seen {
            assert_eq!(values(seen, "traceparent"), if passed { vec![parent] } else { vec![] });
            assert_eq!(values(seen, "tracestate"), if passed { vec!["rojo=1"] } else { vec![] });
            assert!(!seen.raw.contains("evil"), "{}", seen.raw);
        }
    }
}

/// What a token says is no header if it cannot be one.
#[tokio::test]
async fn row_202_a_name_that_is_no_header_value_is_left_out() {
    let world = World::start(IDENTITY, "").await;
    let mut claims = Map::new();
    claims.insert("scope".to_owned(), "system/*.r".into());
    claims.insert("sub".to_owned(), "a\r\nX-Smart-Patient: evil".into());
    let headers = hostile(&world.token(&claims), &[], "");
    let (_, seen) = ask(&world, "GET", "/fhir/Observation/a1", &headers, "").await;
    assert!(seen.iter().all(|seen| !seen.raw.contains("evil") && values(seen, "x-smart-user").is_empty()), "{seen:?}");
}

#[tokio::test]
async fn row_204_the_token_goes_on_only_where_that_is_configured() {
    let world = World::start("", "").await;
    let token = world.patient_token("patient/Observation.rs", "A");
    let sent = |seen: Vec<Seen>| values(&seen[0], "authorization").into_iter().map(str::to_owned).collect::<Vec<_>>();
    let headers = hostile(&token, &[], "");
    for (config, expected) in [
        ("upstream_auth = { kind = \"passthrough\" }", vec![format!("Bearer {token}")]),
        ("upstream_auth = { kind = \"none\" }", vec![]),
    ] {
        world.reload(config, "");
        let (reply, seen) = ask(&world, "GET", "/fhir/Observation/a1", &headers, "").await;
        assert_eq!((reply.status, sent(seen)), (200, expected), "{config}");
    }
}

#[tokio::test]
async fn row_200_no_answer_may_be_kept_or_given_to_another() {
    let world = World::start("", "").await;
    world.capabilities_known().await;
    let token = world.patient_token("patient/Observation.rs", "A");
    for (token, target, manners) in [
        (token.as_str(), "/fhir/Observation/a1", Manners::Good),
        (&token, "/fhir/Observation/b1", Manners::Good),
        (&token, "/fhir/Observation", Manners::Good),
        (&token, "/fhir/Patient/A", Manners::Good),
        (&token, "/fhir/Observation/a1", Manners::Error500),
        ("none", "/fhir/Observation/a1", Manners::Good),
        (&service(&world), "/fhir/Observation/b1", Manners::Good),
        (&service(&world), "/fhir/Observation", Manners::Good),
        (&token, "/fhir/metadata", Manners::Good),
    ] {
        world.upstream.behave(manners);
        let reply = world.get(token, target).await;
        assert_eq!(reply.header("cache-control"), Some("no-store"), "{target}");
        assert_eq!(reply.header("vary"), Some("Accept, Authorization, Origin"), "{target}");
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"), "{target}");
        assert!(reply.header("x-internal").is_none() && reply.header("set-cookie").is_none());
    }
}

async fn from(world: &World, token: Option<&str>, method: &str, target: &str, origin: &str) -> Reply {
    let mut headers = vec![("Origin".to_owned(), origin.to_owned())];
    headers.extend(token.map(|token| ("Authorization".to_owned(), format!("Bearer {token}"))));
    wire::send(world.address(), method, target, &headers, b"").await
}

#[tokio::test]
async fn row_201_an_origin_reads_the_answers_of_its_own_client_only() {
    let clients = "[[clients]]\nid = \"one\"\nkind = \"public\"\nredirect_uris = [\"https://one.example/cb\"]\nscopes = [\"patient/*.rs\"]\n\
                   [[clients]]\nid = \"two\"\nkind = \"public\"\nredirect_uris = [\"https://two.example/cb\"]\nscopes = [\"patient/*.rs\"]\n";
    let world = World::start("", clients).await;
    world.capabilities_known().await;
    let mut claims = Map::new();
    for (name, value) in [("client_id", "one"), ("patient", "A"), ("scope", "patient/Observation.rs")] {
        claims.insert(name.to_owned(), Value::from(value));
    }
    let token = world.token(&claims);
    let allowed = |reply: &Reply| reply.header("access-control-allow-origin").map(str::to_owned);
    for target in ["/fhir/Observation/a1", "/fhir/Observation/b1", "/fhir/Patient/A"] {
        let own = from(&world, Some(&token), "GET", target, "https://one.example").await;
        assert_eq!(allowed(&own).as_deref(), Some("https://one.example"), "{target}");
        let exposed = own.header("access-control-expose-headers");
        assert_eq!(
            exposed,
            Some("Location, Content-Location, ETag, Link, Retry-After, WWW-Authenticate, X-Request-Id")
        );
        assert_eq!(own.header("access-control-allow-credentials"), None);
        for other in [
            "https://two.example",
            "https://evil.example",
            "null",
            "https://one.example.evil",
            "https://one.example:444",
        ] {
            assert_eq!(allowed(&from(&world, Some(&token), "GET", target, other).await), None, "{other}");
        }
    }
    // Nobody is known yet: each registered origin may read its 401, and ask beforehand.
    for origin in ["https://one.example", "https://two.example"] {
        let refused = from(&world, None, "GET", "/fhir/Observation/a1", origin).await;
        assert_eq!((refused.status, allowed(&refused).as_deref()), (401, Some(origin)));
        let before = from(&world, None, "OPTIONS", "/fhir/Observation/a1", origin).await;
        assert_eq!((before.status, allowed(&before).as_deref()), (204, Some(origin)));
    }
    assert_eq!(allowed(&from(&world, None, "OPTIONS", "/fhir/Observation/a1", "https://evil.example").await), None);
    assert_eq!(
        allowed(&from(&world, None, "GET", "/fhir/metadata", "https://evil.example").await).as_deref(),
        Some("*")
    );
}

/// attacks.md 199: what the FHIR server says of itself is put right, and says nothing of where it is.
#[tokio::test]
async fn row_199_metadata_speaks_of_the_gate() {
    let world = World::start("", "").await;
    world.capabilities_known().await;
    let reply = wire::send(world.address(), "GET", "/fhir/metadata", &[], b"").await;
    let text = reply.text();
    assert!(!text.contains(world.upstream.base()) && !text.contains("\"open\""), "{text}");
    assert_eq!(reply.json()["implementation"]["url"], "https://p/fhir");
    let security = &reply.json()["rest"][0]["security"];
    assert_eq!(security["service"][0]["coding"][0]["code"], "SMART-on-FHIR");
    let uris = security["extension"][0]["extension"].as_array().unwrap();
    let named: Vec<&str> = uris.iter().filter_map(|uri| uri["url"].as_str()).collect();
    assert!(named.contains(&"authorize") && named.contains(&"token"), "{named:?}");
    assert!(!text.contains(ISSUER));
}

/// attacks.md 192, 197: errors and redirects of the FHIR server name nobody and lead nowhere, for writes as for reads.
#[tokio::test]
async fn row_192_and_197_what_the_server_says_of_its_troubles_stays_behind() {
    let world = World::start("", "").await;
    let patient = world.patient_token("patient/*.cruds", "A");
    let service = service(&world);
    for manners in [Manners::Error500, Manners::Unauthorized, Manners::Redirect] {
        for token in [&patient, &service] {
            for (method, target) in
                [("GET", "/fhir/Observation/a1"), ("GET", "/fhir/Observation"), ("DELETE", "/fhir/Observation/a1")]
            {
                world.upstream.behave(manners);
                let (reply, seen) = ask(&world, method, target, &hostile(token, &[], ""), "").await;
                let said = format!("{:?} {}", reply.headers, reply.text());
                assert!(reply.status >= 500, "{manners:?} {method} {target}: {}", reply.status);
                assert!(!said.contains(crate::resources::OF_ANOTHER) && !said.contains("Patient/B"), "{said}");
                assert!(reply.header("location").is_none() && reply.header("www-authenticate").is_none(), "{said}");
                assert!(!said.contains(world.upstream.base()), "{said}");
                assert_eq!(seen.len(), 1, "{manners:?} {method} {target}: followed or tried again");
            }
        }
    }
}
