use http::{HeaderName, HeaderValue};

use super::*;
use crate::fhir::json::Document;

fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap())).collect()
}

fn version_of(body: &str, tag: Option<&str>) -> Option<String> {
    let headers = tag.map(|tag| headers(&[(header::ETAG, tag)])).unwrap_or_default();
    version(Document::parse(body.as_bytes(), 8).unwrap().root(), &headers).ok()
}

#[test]
fn a_version_is_said_once_or_twice_alike() {
    let body = r#"{"meta":{"versionId":"3"}}"#;
    assert_eq!(version_of(body, None).as_deref(), Some("3"));
    assert_eq!(version_of(body, Some("W/\"3\"")).as_deref(), Some("3"));
    assert_eq!(version_of("{}", Some("\"3\"")).as_deref(), Some("3"));
    for (body, tag) in [
        ("{}", None),
        (body, Some("W/\"4\"")),
        ("{}", Some("3")),
        ("{}", Some("W/\"3, 4\"")),
        (body, Some("nonsense")),
        (r#"{"meta":{"versionId":"3\" , W/\"4"}}"#, None),
        (r#"{"meta":{"versionId":3}}"#, None),
    ] {
        assert_eq!(version_of(body, tag), None, "{body} {tag:?}");
    }
}

#[test]
fn the_clients_conditions_hold_or_not() {
    let holds = |name: HeaderName, value: &str, current| check(&headers(&[(name, value)]), current).is_ok();
    for value in ["W/\"3\"", "\"3\"", "*", "\"1\", W/\"3\""] {
        assert!(holds(header::IF_MATCH, value, Some("3")), "{value}");
        assert!(!holds(header::IF_NONE_MATCH, value, Some("3")), "{value}");
        assert!(!holds(header::IF_MATCH, value, None), "{value}");
        assert!(holds(header::IF_NONE_MATCH, value, None), "{value}");
    }
    for value in ["W/\"2\"", "3", "", "W/3"] {
        assert!(!holds(header::IF_MATCH, value, Some("3")), "{value}");
        assert!(holds(header::IF_NONE_MATCH, value, Some("3")), "{value}");
    }
    assert!(check(&HeaderMap::new(), Some("3")).is_ok());
    assert!(!holds(header::IF_UNMODIFIED_SINCE, "Tue, 01 Dec 2026 10:00:00 GMT", Some("3")));
}
