//! The decision, over one configuration and a few grants: what it lets through says the same when it is read again, and a token
//! without scopes gets nothing.

use std::sync::LazyLock;

use http::Method;

use super::alike;
use super::grammar::read_elsewhere;
use crate::config::{Snapshot, load_str};
use crate::decide::{Action, Grant, Processing, UpstreamRequest, decide, decide_bundle};
use crate::fhir::interaction::{Interaction, Request, classify};
use crate::fhir::json::{Document, Json};
use crate::fhir::target::{Target, print_query};
use crate::token::Claims;

/// A configuration, and grants from none to every right.
pub(super) struct World {
    pub(super) snapshot: Snapshot,
    pub(super) grants: Vec<Grant>,
    /// Every right again, of another user.
    pub(super) stranger: Grant,
}

pub(super) static WORLD: LazyLock<Option<World>> = LazyLock::new(|| {
    let snapshot = load_str(include_str!("gate.toml"), &std::env::temp_dir()).ok()?.snapshot;
    let scopes = [
        "",
        "patient/Observation.rs",
        "patient/Observation.rs patient/Patient.r?_id=A user/Encounter.cruds",
        "patient/*.cruds",
        "patient/*.cruds user/*.cruds openid fhirUser",
        "user/*.cruds",
    ];
    let grant = |scope: &&str| Grant::of(claims(scope), &snapshot).ok();
    let grants = scopes.iter().map(grant).collect::<Option<_>>()?;
    let stranger = Grant::of(Claims { subject: "another".into(), ..claims("user/*.cruds") }, &snapshot).ok()?;
    Some(World { snapshot, grants, stranger })
});

fn claims(scope: &str) -> Claims {
    Claims {
        issuer: "https://idp".into(),
        own: false,
        subject: "someone".into(),
        client: Some("app".into()),
        scope: scope.split(' ').filter(|scope| !scope.is_empty()).map(str::to_owned).collect(),
        patient: Some("A".into()),
        encounter: None,
        fhir_user: Some("Practitioner/p".into()),
        expires: i64::MAX,
        token_id: None,
        grant: None,
    }
}

/// A method, a target below the base and `If-None-Exist` in a line each.
pub(super) fn decision(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.split('\n');
    let (Some(method), Some(target)) = (lines.next(), lines.next()) else {
        return;
    };
    let (Ok(method), Ok(target)) = (Method::from_bytes(method.as_bytes()), Target::parse(target, 50)) else {
        return;
    };
    let Some(World { snapshot, grants, .. }) = &*WORLD else { panic!("the configuration does not load") };
    let path: Vec<&str> = target.path.iter().map(String::as_str).collect();
    let Ok(interaction) = classify(snapshot.fhir.version, &method, &path, !target.query.is_empty()) else {
        return;
    };
    let Ok(request) = Request::new(&method, interaction, &target.query, lines.next(), None) else {
        return;
    };
    means_the_same(snapshot, &request, &request.target(&path));
    for (index, grant) in grants.iter().enumerate() {
        let Ok(permit) = decide(snapshot, grant, &request) else { continue };
        match permit.action() {
            Action::Stream { request, entries } => {
                is_one_target(request);
                // Nothing flows through unverified that some patient is in.
                let open = |of| {
                    grant.unrestricted(of, crate::scope::Letter::Read)
                        || grant.unrestricted(of, crate::scope::Letter::Search)
                        || snapshot.fhir.shared_types.contains(of)
                };
                assert!(entries.iter().all(open), "{request:?}");
            }
            Action::Guard { request, .. } | Action::Write { request, .. } => is_one_target(request),
            Action::Operation(call) => is_one_target(call.request()),
            // Decided further where they are carried out.
            _ => {}
        }
        let without_rights = matches!(request.interaction, Interaction::Capabilities | Interaction::Bundle);
        assert!(index > 0 || without_rights, "{permit:?}");
    }
}

/// The printed target of a search or a history, which a page link carries, is the same request again.
fn means_the_same(snapshot: &Snapshot, request: &Request, printed: &str) {
    let is_history = matches!(
        request.interaction,
        Interaction::HistoryInstance { .. } | Interaction::HistoryType { .. } | Interaction::HistorySystem
    );
    if !request.interaction.is_search() && !is_history {
        return;
    }
    let Ok(target) = Target::parse(&below_base(printed), usize::MAX) else { panic!("{printed}") };
    let path: Vec<&str> = target.path.iter().map(String::as_str).collect();
    let interaction = classify(snapshot.fhir.version, &Method::GET, &path, !target.query.is_empty());
    assert_eq!(interaction.as_ref(), Ok(&request.interaction), "{printed}");
    let again = Request::new(&Method::GET, request.interaction.clone(), &target.query, None, None);
    assert_eq!(again.map(|again| again.parameters).as_ref(), Ok(&request.parameters));
}

/// What goes up is spelled in the one way the gate spells it, and another reader reads it as the gate does.
fn is_one_target(request: &UpstreamRequest) {
    let raw = below_base(request.target());
    let Ok(target) = Target::parse(&raw, usize::MAX) else { panic!("{raw}") };
    let query = print_query(target.query.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    let mark = if query.is_empty() { "" } else { "?" };
    assert_eq!(format!("/{}{mark}{query}", target.path.join("/")), raw);
    assert_eq!(read_elsewhere(&raw), Some(target));
}

/// The base itself is printed as nothing.
fn below_base(printed: &str) -> String {
    if printed.starts_with('/') { printed.to_owned() } else { format!("/{printed}") }
}

/// A Bundle sent to the base, and as a page that comes from the upstream.
pub(super) fn bundle(bytes: &[u8]) {
    alike::page(bytes);
    let Some(World { snapshot, grants, .. }) = &*WORLD else { panic!("the configuration does not load") };
    let Ok(body) = Document::parse(bytes, snapshot.limits.json_depth) else {
        return;
    };
    for (index, grant) in grants.iter().enumerate() {
        let Ok(decision) = decide_bundle(snapshot, grant, body.root()) else { continue };
        let given = body.root().list("entry");
        assert_eq!(decision.entries.len(), given.count());
        let batch = decision.processing == Processing::Batch;
        assert!(batch || decision.entries.iter().all(Result::is_ok));
        assert!(!decision.together || grant.is_unrestricted());
        for (entry, given) in decision.entries.iter().zip(given) {
            let Ok(entry) = entry else { continue };
            assert!(index > 0, "a token without scopes: {:?}", entry.permit);
            // What an entry of a transaction refers to may be another entry.
            assert!(!batch || decide(snapshot, grant, &entry.request).as_ref() == Ok(&entry.permit));
            means_the_same(snapshot, &entry.request, &entry.original);
            if decision.together {
                goes_up_as_it_is_read(given);
            }
        }
    }
}

/// An entry goes up as the client wrote it: its URL must lead where it was decided to lead, for a reader that is not ours too.
fn goes_up_as_it_is_read(entry: Json<'_>) {
    let url = entry.get("request").and_then(|request| request.get("url")).and_then(Json::as_str).unwrap_or_default();
    let url = format!("/{url}");
    assert_eq!(read_elsewhere(&url), Target::parse(&url, usize::MAX).ok());
}
