use super::*;
use crate::auth::testing;

#[test]
fn the_policy_lets_a_form_lead_back_to_the_app_and_nowhere_else() {
    let site = &testing::snapshot().pages;
    for (redirect_uri, expected) in [
        ("https://app.example.org/callback?x=1", "https://app.example.org"),
        ("https://app.example.org:8443/", "https://app.example.org:8443"),
        ("http://127.0.0.1:9000/callback", "http://127.0.0.1:9000"),
        // A host source cannot be an IPv6 address (CSP3 §2.3.1).
        ("http://[::1]:9000/callback", "http:"),
        ("org.example.app:/callback", "org.example.app:"),
        ("org.example.app://host/callback", "org.example.app:"),
    ] {
        let policy = policy(&Around { redirect_uri: Some(redirect_uri), frame_ancestors: &[] }, site);
        let policy = policy.to_str().unwrap();
        assert!(policy.contains(&format!("form-action 'self' {expected};")), "{redirect_uri}: {policy}");
        assert!(
            policy.starts_with(&format!("default-src 'none'; style-src {}; form-action ", site.style_source)),
            "{policy}"
        );
        assert!(policy.ends_with("frame-ancestors 'none'; base-uri 'none'"), "{policy}");
    }
    let ehr = ["https://ehr.example.org".to_owned(), "https://other.example.org".to_owned()];
    let framed = policy(&Around { redirect_uri: None, frame_ancestors: &ehr }, site);
    assert!(framed.to_str().unwrap().contains("form-action 'none';"));
    assert!(framed.to_str().unwrap().contains("frame-ancestors https://ehr.example.org https://other.example.org;"));
}
