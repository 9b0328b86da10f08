use super::*;
use crate::auth::testing::encode;

fn read_form(form: &[(&str, &str)]) -> Result<LaunchContext, ApiError> {
    read(&Form::parse(encode(form).as_bytes()).unwrap())
}

#[test]
fn sc_25_sc_26_what_an_app_may_be_told_is_read_as_it_was_written() {
    let items = r#"[{"reference":"ImagingStudy/1"},{"canonical":"http://x/y","type":"Questionnaire","role":"https://ehr.example.org/role"},
        {"identifier":{"value":"1"},"type":"Task"},{"reference":"Patient/other","role":"https://ehr.example.org/mother"}]"#;
    let context = read_form(&[
        ("fhirContext", items),
        ("patient", "p"),
        ("encounter", "E.1"),
        ("need_patient_banner", "false"),
        ("intent", "reconcile"),
        ("smart_style_url", "https://ehr.example.org/style.v1.json"),
        ("tenant", "t1"),
    ])
    .unwrap();
    assert_eq!(context.fhir_context, serde_json::from_str::<Vec<Value>>(items).unwrap());
    assert_eq!((context.encounter.as_deref(), context.need_patient_banner), (Some("E.1"), Some(false)));
    assert_eq!(context.intent.as_deref(), Some("reconcile"));
    assert_eq!(context.smart_style_url.as_deref(), Some("https://ehr.example.org/style.v1.json"));
    assert_eq!(context.tenant.as_deref(), Some("t1"));
    assert_eq!(read_form(&[]).unwrap(), LaunchContext::default());
}

#[test]
fn sc_26_sc_27_context_that_smart_does_not_allow_is_refused() {
    for items in [
        "{}",
        "[1]",
        "[{}]",
        r#"[{"type":"Task"}]"#,
        r#"[{"reference":"Patient/p"}]"#,
        r#"[{"reference":"Encounter/e","role":"launch"}]"#,
        r#"[{"type":"Patient","identifier":{"value":"1"}}]"#,
        r#"[{"reference":"ImagingStudy/1","role":""}]"#,
        r#"[{"reference":"ImagingStudy/1","role":"mine"}]"#,
        r#"[{"reference":"https://elsewhere.example.org/ImagingStudy/1"}]"#,
        r#"[{"reference":"ImagingStudy/../Patient"}]"#,
        r#"[{"reference":5,"canonical":"http://x"}]"#,
    ] {
        assert_eq!(read_form(&[("fhirContext", items)]), Err(ApiError::Launch(FHIR_CONTEXT)), "{items}");
    }
    let long = format!("[{{\"canonical\":\"{}\"}}]", "x".repeat(MAX_FHIR_CONTEXT));
    assert!(read_form(&[("fhirContext", &long)]).is_err());
    for (name, value) in [
        ("encounter", "Encounter/1"),
        ("encounter", "visit-of-somebody"),
        ("need_patient_banner", "yes"),
        ("smart_style_url", "http://ehr.example.org/style.json"),
        ("smart_style_url", "https://"),
        ("intent", &"x".repeat(MAX_VALUE + 1)),
        ("tenant", &"x".repeat(MAX_VALUE + 1)),
    ] {
        assert!(matches!(read_form(&[(name, value)]), Err(ApiError::Launch(_))), "{name}={value}");
    }
}
