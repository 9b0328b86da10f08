use super::*;

#[test]
fn a_reason_is_read_from_the_top() {
    let line = r#"{"kind":"decision","time":"t","client":"app","parameters":["code","date"],"rule":"scope-missing","status":403}"#;
    let fields = fields(&RawValue::from_string(line.to_owned()).unwrap());
    let told: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let expected = [
        ("time", "t"),
        ("rule", "scope-missing"),
        ("status", "403"),
        ("parameters", "code, date"),
        ("client", "app"),
        ("kind", "decision"),
    ];
    assert_eq!(told, expected);
}
