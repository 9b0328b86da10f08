use http::Method;
use proptest::prelude::*;
use proptest::sample::select;

use super::{Decided, REPORT_MODE, decide_in_mode, reporting};
use crate::config::{Report, Snapshot};
use crate::decide::testing::{claims, own_claims, snapshot};
use crate::decide::{Grant, decide};
use crate::fhir::interaction::{Request, classify};
use crate::fhir::target::Target;
use crate::token::Claims;

/// The moment at which report mode ends.
const UNTIL: i64 = 1_000;

fn in_report(rest: &str) -> Snapshot {
    let mut snapshot = snapshot(rest);
    snapshot.enforcement.report = Some(Report { until: UNTIL, day: "2027-01-31".to_owned() });
    snapshot
}

/// A request; none for what is refused before it is decided.
fn request(snapshot: &Snapshot, method: &Method, url: &str) -> Option<Request> {
    let target = Target::parse(&format!("/{url}"), 100).ok()?;
    let path: Vec<&str> = target.path.iter().map(String::as_str).collect();
    let interaction = classify(snapshot.fhir.version, method, &path, !target.query.is_empty()).ok()?;
    Request::new(method, interaction, &target.query, None, None).ok()
}

fn decided(snapshot: &Snapshot, claims: Claims, method: &Method, url: &str, now: i64) -> Result<Decided, &'static str> {
    let grant = Grant::of(claims, snapshot).unwrap();
    let request = request(snapshot, method, url).unwrap();
    decide_in_mode(snapshot, &grant, &request, now).map_err(|refusal| refusal.rule.name)
}

fn would(decided: &Result<Decided, &'static str>) -> Option<&'static str> {
    match decided {
        Ok(Decided::Reported(reported)) => reported.rule(),
        _ => None,
    }
}

fn any_request() -> impl Strategy<Value = (Method, String)> {
    let urls = [
        "Observation",
        "Observation/a1",
        "Observation?patient=B",
        "Observation?_filter=x",
        "Observation?_nonsense=1",
        "Observation?_include=Observation:subject",
        "Patient/B",
        "Patient",
        "Patient/B/Observation",
        "_history",
        "Observation/_history",
        "Observation/a1/_history",
        "Subscription",
        "Binary/x",
        "Patient/A/$everything",
        "Patient/B/$everything",
        "Patient/$nonsense",
        "?_type=Observation",
        "",
        "Observation?code=x&_summary=count",
        "Patient?_has:Observation:patient:code=x",
        "Observation?subject:Patient.name=x",
    ];
    let methods = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
    (select(methods.to_vec()), select(urls.to_vec())).prop_map(|(method, url)| (method, url.to_owned()))
}

fn any_scope() -> impl Strategy<Value = String> {
    let scopes = [
        "",
        "openid",
        "patient/Observation.rs",
        "patient/*.cruds",
        "patient/Observation.rs?category=x",
        "user/*.rs",
        "system/*.cruds",
        "system/Observation.r",
        "patient/Patient.r system/Observation.s",
    ];
    select(scopes.to_vec()).prop_map(str::to_owned)
}

proptest! {
    /// With `mode = "enforce"`, and past the day, nothing is ever reported: the decision is the enforcing one.
    #[test]
    fn nothing_is_reported_unless_report_mode_is_on(
        scope in any_scope(), (method, url) in any_request(), configured in any::<bool>(), now in UNTIL..i64::MAX,
    ) {
        let snapshot = if configured { in_report("") } else { snapshot("") };
        let now = if configured { now } else { now - UNTIL };
        let grant = Grant::of(claims(&scope, Some("A"), None), &snapshot).unwrap();
        if let Some(request) = request(&snapshot, &method, &url) {
            let in_mode = decide_in_mode(&snapshot, &grant, &request, now).map(|decided| match decided {
                Decided::Enforced(permit) => permit,
                Decided::Reported(_) => panic!("reported"),
            });
            prop_assert_eq!(in_mode, decide(&snapshot, &grant, &request));
        }
    }

    /// What is wrong with a request is wrong in report mode, and what a token for everything does not get nobody gets.
    #[test]
    fn report_mode_relaxes_nothing_but_what_a_token_reaches(scope in any_scope(), (method, url) in any_request()) {
        let snapshot = in_report("");
        let grant = Grant::of(claims(&scope, Some("A"), None), &snapshot).unwrap();
        let everything = Grant::of(claims("system/*.cruds", None, None), &snapshot).unwrap();
        if let Some(request) = request(&snapshot, &method, &url) {
            let enforced = decide(&snapshot, &grant, &request);
            match decide_in_mode(&snapshot, &grant, &request, UNTIL - 1) {
                Ok(Decided::Enforced(permit)) => prop_assert_eq!(Ok(permit), enforced),
                Ok(Decided::Reported(reported)) => {
                    prop_assert_eq!(&enforced, reported.enforced());
                    prop_assert_eq!(Ok(reported.permit().clone()), decide(&snapshot, &everything, &request));
                    let status = enforced.map_or_else(|refusal| refusal.rule.status, |_| 0);
                    prop_assert!(![400, 401, 405, 413, 415].contains(&status));
                }
                Err(refusal) => prop_assert!(enforced.is_err(), "{:?}", refusal.rule.name),
            }
        }
    }
}

#[test]
fn what_a_token_does_not_reach_passes_and_is_marked() {
    let snapshot = in_report("");
    let ask = |url: &str| decided(&snapshot, claims("patient/Observation.rs", Some("A"), None), &Method::GET, url, 0);
    let passes = ask("Condition/c1");
    assert_eq!((would(&passes), passes.unwrap().rule()), (Some("scope-missing"), REPORT_MODE));
    assert_eq!(would(&ask("Subscription/s")), Some("scope-missing"));
    assert_eq!(would(&ask("Observation/_history")), Some("history-restricted"));
    let narrowed = ask("Observation?code=x").unwrap();
    assert_eq!(narrowed.rule(), REPORT_MODE);
    assert_eq!(ask("Patient/A/$nonsense").unwrap_err(), "operation-not-listed");
    assert_eq!(ask("Observation?_nonsense=1").unwrap_err(), "parameter-unknown");
}

#[test]
fn it_ends_by_itself() {
    let snapshot = in_report("");
    let ask = |now| decided(&snapshot, claims("openid", None, None), &Method::GET, "Observation/a1", now);
    assert_eq!(would(&ask(UNTIL - 1)), Some("scope-missing"));
    assert_eq!(ask(UNTIL).unwrap_err(), "scope-missing");
    assert!(reporting(&snapshot, UNTIL - 1).is_some() && reporting(&snapshot, UNTIL).is_none());
}

#[test]
fn a_client_may_be_exempt() {
    let strict = r#"
[[clients]]
id = "strict"
kind = "confidential-symmetric"
secret_hash = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
grant_types = ["client_credentials"]
scopes = ["system/Observation.rs"]
mode = "enforce"
"#;
    let snapshot = in_report(strict);
    let ask = |client| {
        let claims = own_claims("system/Observation.rs", client, client);
        decided(&snapshot, claims, &Method::GET, "Condition/c1", 0)
    };
    assert_eq!(ask("strict").unwrap_err(), "scope-missing");
    assert_eq!(would(&ask("service")), Some("scope-missing"));
}
