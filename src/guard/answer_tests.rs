use super::*;
use crate::decide::{all_rules, request as rules};

fn challenge_of(refusal: &Refusal) -> Option<String> {
    let answer = Answer::refusal(refusal);
    answer.headers.get(header::WWW_AUTHENTICATE).map(|value| value.to_str().unwrap().to_owned())
}

#[test]
fn every_rule_that_has_a_challenge_sends_it() {
    for rule in all_rules() {
        let refusal = Refusal {
            rule,
            needed: Some("patient/Observation.rs".to_owned()),
            detail: Some("secret".to_owned()),
            entry: None,
            wait: None,
        };
        let challenge = challenge_of(&refusal);
        assert_eq!(challenge.is_some(), rule.challenge != Challenge::None, "{}", rule.name);
        if let Some(challenge) = challenge {
            assert_eq!(challenge.contains("error="), rule.challenge != Challenge::Bare, "{challenge}");
            assert!(challenge.ends_with("scope=\"patient/Observation.rs\""), "{challenge}");
            assert_eq!(challenge.matches('"').count() % 2, 0, "{challenge}");
        }
    }
}

#[test]
fn an_answer_names_its_rule_and_keeps_what_is_for_the_log() {
    let refusal = rules::UPSTREAM_UNREADABLE.refuse().because("a secret of the upstream");
    let answer = Answer::refusal(&refusal);
    let body = String::from_utf8(answer.body.to_vec()).unwrap();
    assert_eq!((answer.status.as_u16(), answer.rule), (502, Some("upstream-unreadable")));
    assert!(body.contains("\"code\":\"upstream-unreadable\"") && !body.contains("secret"), "{body}");
}

#[test]
fn what_may_pass_later_says_when() {
    let answer = Answer::refusal(&rules::TOKEN_UNCHECKED.refuse());
    assert_eq!(answer.headers.get(header::RETRY_AFTER).unwrap(), "5");
    assert!(Answer::refusal(&rules::NOT_FHIR.refuse()).headers.get(header::RETRY_AFTER).is_none());
}
