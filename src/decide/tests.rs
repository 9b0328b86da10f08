use std::collections::HashSet;
use std::sync::LazyLock;

use http::Method;
use proptest::prelude::*;

use super::testing::{claims, id_claims, own_claims, snapshot, snapshot_with};
use super::*;
use crate::fhir::interaction::{PagePosition, classify};
use crate::fhir::target::Target;
use crate::token::Claims;

fn asked(snapshot: &Snapshot, method: &Method, url: &str) -> Result<Request, Refusal> {
    let target = Target::parse(&format!("/{url}"), 100).map_err(|_| request::TARGET_MALFORMED.refuse())?;
    let path: Vec<&str> = target.path.iter().map(String::as_str).collect();
    let interaction = classify(snapshot.fhir.version, method, &path, !target.query.is_empty())?;
    Ok(Request::new(method, interaction, &target.query, None, None)?)
}

fn decided(snapshot: &Snapshot, claims: Claims, method: &Method, url: &str) -> Result<Permit, Refusal> {
    let grant = Grant::of(claims, snapshot)?;
    decide(snapshot, &grant, &asked(snapshot, method, url)?)
}

/// What a GET leads to: what is sent, or how the gate answers itself, or the rule that refuses.
pub(super) fn get(snapshot: &Snapshot, claims: Claims, url: &str) -> String {
    match decided(snapshot, claims, &Method::GET, url) {
        Ok(permit) => match permit.action() {
            Action::Answer(answer) => format!("{answer:?}"),
            Action::Stream { request, .. } => format!("stream {}", request.target()),
            Action::Guard { request, .. } => format!("guard {}", request.target()),
            other => format!("{other:?}"),
        },
        Err(refusal) => refusal.rule.name.to_owned(),
    }
}

pub(super) fn of_patient(scope: &str) -> Claims {
    claims(scope, Some("A"), None)
}

/// `docs/troubleshooting.md` says of each rule what to do, with its status.
#[test]
fn every_rule_is_in_the_troubleshooting_page_and_no_other_is() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/troubleshooting.md")).unwrap();
    let mut explained: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.strip_suffix(" |"))
        .filter(|row| row.split(" | ").nth(1).is_some_and(|status| status.parse::<u16>().is_ok()))
        .map(|row| row.rsplit_once(" | ").map_or(row, |(head, _)| head))
        .collect();
    let mut known: Vec<String> = all_rules().map(|rule| format!("{}` | {}", rule.name, rule.status)).collect();
    explained.sort_unstable();
    known.sort_unstable();
    assert_eq!(explained, known);
}

#[test]
fn every_rule_has_its_own_name_and_says_something() {
    let mut names = HashSet::new();
    for rule in all_rules() {
        assert!(names.insert(rule.name), "{} is there twice", rule.name);
        assert!(rule.name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{}", rule.name);
        assert!((400..600).contains(&rule.status), "{}", rule.name);
        assert!(!rule.text.is_empty() && !rule.text.contains(['"', '\\']), "{}", rule.name);
        assert_eq!(rule.status == 401, matches!(rule.issue, "login"), "{}", rule.name);
        assert!(rule.status != 401 || rule.challenge != Challenge::None, "{}", rule.name);
    }
}

#[test]
fn a_search_is_narrowed_as_configured() {
    let url = "Observation?code=x";
    for (fhir, expected) in [
        ("", "guard /Observation?code=x&patient=Patient/A"),
        ("narrowing = \"compartment\"", "guard /Patient/A/Observation?code=x"),
        ("narrowing = \"none\"", "guard /Observation?code=x"),
        ("narrowing_by_type = { Observation = \"subject\" }", "guard /Observation?code=x&subject=Patient/A"),
    ] {
        assert_eq!(get(&snapshot_with(fhir, ""), of_patient("patient/*.rs"), url), expected, "{fhir}");
    }
}

#[test]
fn only_what_is_narrowed_is_exact() {
    let pages = |fhir: &str, url: &str| {
        let permit = decided(&snapshot_with(fhir, ""), of_patient("patient/*.rs"), &Method::GET, url).unwrap();
        match permit.action() {
            Action::Guard { verify: Verify::Bundle { pages, .. }, .. } => *pages,
            other => panic!("{other:?}"),
        }
    };
    let (exact, not) = (PageRule::Filled { exact: true }, PageRule::Filled { exact: false });
    assert_eq!(pages("", "Observation"), exact);
    // Its compartment also has what the patient performed for others.
    assert_eq!(pages("narrowing = \"compartment\"", "Observation"), not);
    assert_eq!(pages("narrowing = \"compartment\"", "Encounter"), exact);
    assert_eq!(pages("patient_data = \"compartment\"\nnarrowing = \"compartment\"", "Observation"), exact);
    // The compartment has neither, the type has.
    assert_eq!(pages("narrowing = \"compartment\"", "Device"), exact);
    assert_eq!(pages("narrowing = \"none\"", "Observation"), not);
    // Patient is told its id, and that the server obeys it is not relied on.
    assert_eq!(pages("narrowing = \"none\"", "Patient"), not);
    assert_eq!(pages("narrowing = \"none\"", "Practitioner"), exact);
    assert_eq!(pages("", "Observation/a/_history"), not);
}

#[test]
fn several_patients_are_one_list() {
    let links = "[[links]]\nperson = \"RelatedPerson/mum\"\npatients = [\"k1\", \"k2\"]\n";
    let mum = || claims("user/*.rs", None, Some("RelatedPerson/mum"));
    let plain = snapshot(links);
    assert_eq!(get(&plain, mum(), "Observation"), "guard /Observation?patient=Patient/k1,Patient/k2");
    assert_eq!(get(&plain, mum(), "Observation?patient=k2"), "guard /Observation?patient=Patient/k2");
    assert_eq!(get(&plain, mum(), "Observation?patient=k2,k3"), "guard /Observation?patient=Patient/k2");
    assert_eq!(get(&plain, mum(), "Patient"), "guard /Patient?_id=k1,k2");
    assert_eq!(get(&plain, mum(), "Patient/k2"), "guard /Patient/k2");
    assert_eq!(get(&plain, mum(), "Patient/k3"), "UniformDenial");
    assert_eq!(get(&plain, mum(), "Patient/k1/Observation"), "guard /Observation?patient=Patient/k1");
    let by_compartment = snapshot_with("narrowing = \"compartment\"", links);
    assert_eq!(get(&by_compartment, mum(), "Observation?patient=k2"), "guard /Patient/k2/Observation");
    assert_eq!(get(&by_compartment, mum(), "Observation"), "guard /Observation?patient=Patient/k1,Patient/k2");
}

#[test]
fn by_several_elements_the_client_chooses_the_one() {
    let full = snapshot_with("patient_data = \"compartment\"\nnarrowing = \"compartment\"", "");
    let star = || of_patient("patient/*.rs");
    for (url, expected) in [
        ("Observation", "guard /Patient/A/Observation"),
        ("Observation?subject=A", "guard /Patient/A/Observation?subject=Patient/A"),
        ("Observation?performer=Patient/A,Patient/B", "guard /Patient/A/Observation?performer=Patient/A"),
        ("Observation?performer=Practitioner/p", "guard /Patient/A/Observation?performer=Practitioner/p"),
        ("Observation?performer=Patient/B", "EmptySearchset"),
        ("Condition?subject=A", "guard /Patient/A/Condition?subject=Patient/A"),
        ("Encounter?subject=A", "guard /Patient/A/Encounter"),
        ("Patient?_id=A", "guard /Patient?_id=A"),
    ] {
        assert_eq!(get(&full, star(), url), expected, "{url}");
    }
}

#[test]
fn what_the_client_names_itself_goes_up_although_nothing_is_narrowed() {
    let not_narrowed = snapshot_with("narrowing = \"none\"", "");
    let star = || of_patient("patient/*.rs");
    for (url, expected) in [
        ("Observation?subject=A", "guard /Observation?patient=Patient/A"),
        ("Observation?subject=B", "EmptySearchset"),
        ("Appointment?actor=Practitioner/p", "guard /Appointment?actor=Practitioner/p"),
    ] {
        assert_eq!(get(&not_narrowed, star(), url), expected, "{url}");
    }
}

#[test]
fn the_union_of_contexts_is_the_wider_one() {
    let snapshot = snapshot("");
    let both = || claims("patient/*.rs user/Observation.r", Some("A"), Some("Practitioner/p"));
    assert_eq!(get(&snapshot, both(), "Observation/b1"), "stream /Observation/b1");
    assert_eq!(get(&snapshot, both(), "Observation?code=x"), "guard /Observation?code=x&patient=Patient/A");
    assert_eq!(get(&snapshot, both(), "Condition/b1"), "guard /Condition/b1");
}

#[test]
fn a_page_goes_where_its_seal_says_and_is_decided_as_its_search() {
    let snapshot = snapshot("");
    let page = PagePosition { target: "/Observation?upstream=token".to_owned(), skip: 3, ..PagePosition::default() };
    for (claims, expected) in [
        (of_patient("patient/*.rs"), Ok("/Observation?upstream=token")),
        (own_claims("system/*.rs", "service", "service"), Ok("/Observation?upstream=token")),
        (of_patient("patient/*.r"), Err("scope-missing")),
        (of_patient("patient/Condition.rs"), Err("scope-missing")),
    ] {
        let mut request = asked(&snapshot, &Method::GET, "Observation?code=x").unwrap();
        request.page = Some(page.clone());
        let grant = Grant::of(claims, &snapshot).unwrap();
        let permit = decide(&snapshot, &grant, &request);
        let target = permit.as_ref().map(|permit| match permit.action() {
            Action::Guard { request, .. } | Action::Stream { request, .. } => request.target(),
            other => panic!("{other:?}"),
        });
        assert_eq!(target.map_err(|refusal| refusal.rule.name), expected);
    }
    // What names another patient stays empty, whatever the seal says.
    let mut request = asked(&snapshot, &Method::GET, "Observation?patient=B").unwrap();
    request.page = Some(page);
    let grant = Grant::of(of_patient("patient/*.rs"), &snapshot).unwrap();
    let permit = decide(&snapshot, &grant, &request).unwrap();
    assert_eq!(*permit.action(), Action::Answer(OwnAnswer::EmptySearchset));
}

#[test]
fn what_the_client_may_not_hide_is_asked_for() {
    let snapshot = snapshot("");
    let star = || of_patient("patient/*.rs");
    for (url, expected) in [
        ("Observation/a?_elements=status", "guard /Observation/a?_elements=status,id,subject"),
        ("Observation/a?_elements=subject,id", "guard /Observation/a?_elements=subject,id"),
        ("Observation/a?_summary=true", "guard /Observation/a"),
        ("Practitioner/p?_elements=name", "guard /Practitioner/p?_elements=name,id"),
        ("Patient?_elements=name", "guard /Patient?_elements=name,id&_id=A"),
        ("Appointment?_elements=status", "guard /Appointment?_elements=status,id,participant&patient=Patient/A"),
        ("Observation?_summary=text", "guard /Observation?patient=Patient/A"),
    ] {
        assert_eq!(get(&snapshot, star(), url), expected, "{url}");
    }
}

#[test]
fn without_a_patient_context_a_search_streams_as_it_is() {
    let snapshot = snapshot("");
    let everything = || id_claims("user/*.cruds");
    for (url, expected) in [
        ("Observation?patient=B&_summary=count", "stream /Observation?patient=B&_summary=count"),
        ("Observation?subject:Patient.name=x", "stream /Observation?subject:Patient.name=x"),
        ("Observation?_include=Observation:subject", "stream /Observation?_include=Observation:subject"),
        ("Patient?_has:Observation:patient:code=x", "stream /Patient?_has:Observation:patient:code=x"),
        ("Patient/B/Observation", "stream /Patient/B/Observation"),
        ("?_type=Observation", "stream ?_type=Observation"),
        ("_history", "stream /_history"),
        ("Observation/b?_format=xml", "stream /Observation/b?_format=xml"),
        ("Observation?_count=100000", "stream /Observation?_count=200"),
        ("Observation?_format=xml", "format-not-json"),
    ] {
        assert_eq!(get(&snapshot, everything(), url), expected, "{url}");
    }
}

#[test]
fn an_operations_next_page_is_another_page() {
    let snapshot = snapshot("");
    let mut request = asked(&snapshot, &Method::GET, "Patient/A/$everything").unwrap();
    request.page = Some(PagePosition { target: "?page=2".to_owned(), ..PagePosition::default() });
    let grant = Grant::of(id_claims("user/*.rs"), &snapshot).unwrap();
    let permit = decide(&snapshot, &grant, &request).unwrap();
    match permit.action() {
        Action::Guard { request, .. } => assert_eq!(request.target(), "?page=2"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn without_scopes_nothing_passes_but_metadata() {
    let snapshot = snapshot("");
    for (method, url) in [
        (Method::GET, "Patient/A"),
        (Method::GET, "Patient/A/_history"),
        (Method::GET, "Patient"),
        (Method::GET, "Patient/A/Observation"),
        (Method::GET, "Practitioner/p"),
        (Method::GET, "ValueSet/$expand"),
        (Method::GET, "_history"),
        (Method::GET, ""),
        (Method::POST, "Observation"),
        (Method::PUT, "Observation/a"),
        (Method::PUT, "Observation?code=x"),
        (Method::PATCH, "Observation/a"),
        (Method::PATCH, "Observation?code=x"),
        (Method::DELETE, "Observation/a"),
        (Method::DELETE, "Observation?code=x"),
    ] {
        for claims in
            [of_patient("launch/patient"), of_patient("patient/*.rs?x=y"), claims("patient/*.cruds", None, None)]
        {
            let refusal = decided(&snapshot, claims, &method, url).unwrap_err();
            assert_eq!(refusal.rule.status, 403, "{method} {url}");
            assert!(matches!(refusal.rule.name, "scope-missing"), "{method} {url} {}", refusal.rule.name);
        }
    }
}

fn words() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "Patient",
            "Observation",
            "Practitioner",
            "Group",
            "Binary",
            "A",
            "B",
            "_history",
            "_search",
            "$everything",
            "*",
            "metadata",
            "a1",
            "Task",
            "Bundle",
            "$lastn",
            "1",
        ])
        .prop_map(str::to_owned),
        "[A-Za-z0-9$*._-]{1,8}",
    ]
}

fn pairs() -> impl Strategy<Value = String> {
    let names = prop::sample::select(vec![
        "patient",
        "subject",
        "subject:Patient",
        "_id",
        "_include",
        "_revinclude",
        "_has:Observation:patient:code",
        "_sort",
        "_count",
        "_elements",
        "_summary",
        "_type",
        "_format",
        "subject.name",
        "code:in",
        "_filter",
        "_total",
        "actor",
        "x",
    ]);
    let values = prop_oneof![
        prop::sample::select(vec![
            "A",
            "B",
            "Patient/A",
            "A,B",
            "Observation:subject",
            "*",
            "count",
            "0",
            "7",
            "json",
            ""
        ])
        .prop_map(str::to_owned),
        "[ -~äß€]{0,12}".prop_map(|text| percent_encoding::utf8_percent_encode(
            &text,
            percent_encoding::NON_ALPHANUMERIC
        )
        .to_string()),
    ];
    (names, values).prop_map(|(name, value)| format!("{name}={value}"))
}

fn urls() -> impl Strategy<Value = String> {
    (prop::collection::vec(words(), 0..4), prop::collection::vec(pairs(), 0..4))
        .prop_map(|(path, query)| format!("{}?{}", path.join("/"), query.join("&")))
}

fn methods() -> impl Strategy<Value = Method> {
    prop::sample::select(vec![Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
}

fn scopes() -> impl Strategy<Value = String> {
    let one = prop::sample::select(vec![
        "patient/*.cruds",
        "patient/*.rs",
        "patient/Observation.rs",
        "patient/Patient.r",
        "patient/Observation.s",
        "user/*.rs",
        "openid",
        "fhirUser",
        "patient/Group.rs",
        "user/Observation.c",
    ]);
    prop::collection::vec(one, 0..4).prop_map(|scopes| scopes.join(" "))
}

static SNAPSHOT: LazyLock<Snapshot> = LazyLock::new(|| snapshot(""));

proptest! {
    /// Whatever is asked, there is a decision.
    #[test]
    fn there_is_always_a_decision(method in methods(), url in urls(), scope in scopes(), user in any::<bool>()) {
        let user = if user { "Practitioner/p" } else { "Patient/A" };
        let _ = decided(&SNAPSHOT, claims(&scope, Some("A"), Some(user)), &method, &url);
    }

    /// Under patient contexts alone nothing flows through unverified, nothing is written unchecked, and every search that goes up names the
    /// patient behind everything that the client wrote.
    #[test]
    fn a_patient_context_never_streams(method in methods(), url in urls(), scope in scopes()) {
        let claims = claims(&scope, Some("A"), Some("Patient/A"));
        if let Ok(permit) = decided(&SNAPSHOT, claims, &method, &url) {
            match permit.action() {
                Action::Stream { .. } | Action::Write { .. } | Action::Export(_) => prop_assert!(false, "{method} {url}: {permit:?}"),
                Action::Guard { request, verify: Verify::Bundle { kind: BundleKind::Searchset, .. } } => {
                    let shared = permit.rule() == "shared-type";
                    let named = ["patient=Patient/A", "_id=A", "$docref?patient=A", "&patient=A"];
                    let narrowed = named.iter().any(|end| request.target().ends_with(end));
                    prop_assert!(shared || narrowed, "{method} {url}: {permit:?}");
                }
                Action::Operation(_) => prop_assert_eq!(permit.rule(), "shared-type"),
                Action::Guard { .. } | Action::Answer(_) | Action::Checked(_) | Action::Conditional(_) | Action::Targets(_) | Action::Bundle => {}
            }
        }
    }

    /// What goes up is read by the gate's own parser as what was decided: printing and parsing agree.
    #[test]
    fn what_goes_up_is_read_back_the_same(url in urls(), scope in scopes()) {
        let claims = claims(&scope, Some("A"), Some("Practitioner/p"));
        if let Ok(permit) = decided(&SNAPSHOT, claims.clone(), &Method::GET, &url)
            && let Action::Guard { request, .. } | Action::Stream { request, .. } = permit.action()
            && !request.target().is_empty()
        {
            let target = request.target().trim_start_matches('/').to_owned();
            let again = decided(&SNAPSHOT, claims, &Method::GET, &target);
            let sent = again.as_ref().map(|permit| match permit.action() {
                Action::Guard { request, .. } | Action::Stream { request, .. } => request.target().trim_start_matches('/').to_owned(),
                other => format!("{other:?}"),
            });
            prop_assert_eq!(sent.map_err(|refusal| refusal.rule.name), Ok(target));
        }
    }
}
