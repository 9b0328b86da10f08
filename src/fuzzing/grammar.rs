//! Request targets, queries, search parameters, references and scopes: what is printed reads back as the same.

use http::Method;
use url::Url;

use crate::fhir::FhirVersion;
use crate::fhir::interaction::{Interaction, Request, classify};
use crate::fhir::reference::{Literal, is_id};
use crate::fhir::search::{Key, MAX_CHAIN, MAX_CRITERIA, Parameter, or_list, print_parameters};
use crate::fhir::target::{Target, parse_query, print_query};
use crate::fhir::{ResourceType, TypeSet};
use crate::scope::Scope;

const PARAMETERS: usize = 50;

/// A target that was printed reads back as the same target, and a reader of URLs that is not ours reads the same in it.
pub(super) fn target(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let Ok(target) = Target::parse(&text, PARAMETERS) else {
        return;
    };
    let slash = if target.trailing_slash && !target.path.is_empty() { "/" } else { "" };
    let query = print_query(target.query.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    let printed = format!("/{}{slash}?{query}", target.path.join("/"));
    assert_eq!(Target::parse(&printed, PARAMETERS).as_ref(), Ok(&target));
    assert_eq!(read_elsewhere(&printed), Some(target.clone()));
    // No request line has a fragment or a space: a URL ends there.
    if !text.contains(['#', ' ']) {
        assert_eq!(read_elsewhere(&text), Some(target.clone()));
    }
    let path: Vec<&str> = target.path.iter().map(String::as_str).collect();
    for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
        // Any answer is right, as long as there is one.
        let _ = classify(FhirVersion::R4, &method, &path, !target.query.is_empty());
    }
}

/// The target as the WHATWG reads URLs and forms.
pub(super) fn read_elsewhere(text: &str) -> Option<Target> {
    let url = Url::parse(&format!("http://u{text}")).ok()?;
    let decoded = |segment: &str| Some(percent_encoding::percent_decode_str(segment).decode_utf8().ok()?.into_owned());
    let mut path: Vec<String> = url.path_segments()?.map(decoded).collect::<Option<_>>()?;
    let trailing_slash = path.pop_if(|last| last.is_empty()).is_some();
    Some(Target { path, trailing_slash, query: url.query_pairs().into_owned().collect() })
}

/// Pairs, the search parameters in them, and the criteria of a conditional create that they make are the same when they are
/// printed and read again.
pub(super) fn query(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let Ok(pairs) = parse_query(&text, PARAMETERS) else {
        return;
    };
    let elsewhere: Vec<(String, String)> = form_urlencoded::parse(text.as_bytes()).into_owned().collect();
    assert_eq!(pairs, elsewhere);
    let printed = print_query(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    assert!(printed.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'#' | b'"' | b'\\' | b';')), "{printed}");
    assert_eq!(parse_query(&printed, PARAMETERS).as_ref(), Ok(&pairs));
    let Ok(parameters) = Parameter::parse_all(&pairs) else {
        return;
    };
    assert_eq!(print_parameters(&parameters), printed);
    criteria(&text, &pairs, &parameters);
}

fn criteria(text: &str, pairs: &[(String, String)], parameters: &[Parameter]) {
    let create = || Interaction::Create { of: ResourceType::PATIENT };
    let read = |criteria: &str| Request::new(&Method::POST, create(), &[], Some(criteria), None);
    // A question mark in front belongs to the header and not to the first name.
    let request = read(text.trim_start_matches('?'));
    if pairs.len() > MAX_CRITERIA {
        assert!(request.is_err());
    } else if !text.starts_with('?') {
        assert_eq!(request.ok().and_then(|request| request.if_none_exist).as_deref(), Some(parameters));
        let printed = read(&format!("?{}", print_parameters(parameters)));
        assert_eq!(printed.ok().and_then(|request| request.if_none_exist).as_deref(), Some(parameters));
    }
}

/// A search key that was printed reads back as the same key and is no longer than a chain may be; an OR list loses nothing.
pub(super) fn search_key(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    assert_eq!(or_list(&text).join(","), text);
    if let Ok(key) = Key::parse(&text) {
        assert_eq!(key.to_string(), text);
        assert!(links(&key) <= MAX_CHAIN);
    }
}

fn links(key: &Key) -> usize {
    match key {
        Key::Plain { .. } => 1,
        Key::Chain { rest, .. } | Key::Has { rest, .. } => 1 + links(rest),
    }
}

/// A literal reference has an id, its printed form is the same reference, and no other base is as good as the server's.
pub(super) fn reference(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let Some(literal) = Literal::parse(&text, &["http://u/fhir", "https://p/fhir"]) else {
        return;
    };
    assert!(is_id(literal.id));
    let printed = format!("{}/{}", literal.resource_type, literal.id);
    assert_eq!(Literal::parse(&printed, &[]), Some(literal));
    let below = text.strip_prefix("http://u/fhir/").or_else(|| text.strip_prefix("https://p/fhir/")).unwrap_or(&text);
    assert!(below.strip_prefix(&printed).is_some_and(|rest| rest.is_empty() || rest.starts_with("/_history/")));
}

/// A scope means the same when it is read again, as a ceiling allows itself and what it has in common with every right there
/// is, and never meets one of another context.
pub(super) fn scope(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let Ok(scope) = Scope::parse(FhirVersion::R4, &text) else {
        return;
    };
    assert_eq!(Scope::parse(FhirVersion::R4, &scope.to_string()).as_ref(), Ok(&scope));
    assert!(!scope.letters.is_empty());
    assert!(scope.covers(&scope));
    assert_eq!(scope.meet(&scope).as_ref(), Some(&scope));
    let mut same_context = 0;
    for all in ["patient/*.cruds", "user/*.cruds", "system/*.cruds"] {
        let Ok(all) = Scope::parse(FhirVersion::R4, all) else { continue };
        assert_eq!(all.covers(&scope), all.context == scope.context);
        assert_eq!(all.meet(&scope).is_some(), all.context == scope.context);
        same_context += usize::from(all.context == scope.context);
        if let Some(common) = scope.meet(&all) {
            assert!(scope.covers(&common) && all.covers(&common));
        }
        assert_eq!(
            scope.covers(&all),
            scope.types.types(FhirVersion::R4) == TypeSet::all(FhirVersion::R4)
                && all.context == scope.context
                && scope.letters == all.letters
                && scope.constraint.is_none()
        );
    }
    assert_eq!(same_context, 1);
}
