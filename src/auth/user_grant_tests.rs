use super::*;

/// Older versions did not write whether an EHR's word stood for the login; of a code or refresh token of theirs it is as they said.
#[test]
fn what_an_older_version_wrote_is_read() {
    let text =
        r#"{"grant":"g","client":"app","scope":["openid"],"username":"amy","patient":null,"authenticated":1000}"#;
    let grant: UserGrant = serde_json::from_str(text).unwrap();
    assert_eq!(grant.auth_time(), Some(1000));
    let vouched = UserGrant { vouched: true, ..grant };
    let written = serde_json::to_string(&vouched).unwrap();
    assert_eq!(serde_json::from_str::<UserGrant>(&written).unwrap().auth_time(), None);
}
