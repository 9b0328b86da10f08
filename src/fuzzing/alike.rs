//! What is known of an object because it has the nodes of the one before it, against what is found by looking at it alone.

use super::decision::{WORLD, World};
use crate::decide::{Judge, Seen, type_of, visible};
use crate::fhir::bundle::RawBundle;
use crate::fhir::json::{Document, Json, Value};
use crate::scope::Letter;

/// Names that texts are looked for by; some of them have the same length.
const NAMES: [&str; 5] = ["a", "code", "url", "reference", ""];

/// Objects have the nodes that they are said to have, and texts are found by their names as by a look at every member.
pub(super) fn document(document: &Document<'_>) {
    nodes(document.root());
    let mut texts = Vec::new();
    walk(document.root(), &mut |key, value| {
        if NAMES.contains(&key) && value.is_text() {
            texts.push(value.span());
        }
    });
    let mut found = Vec::new();
    document.texts_called(&NAMES, |text| found.push(text.span()));
    assert_eq!(found, texts);
}

fn walk<'d>(json: Json<'d>, visit: &mut dyn FnMut(&str, Json<'d>)) {
    json.elements().for_each(|element| walk(element, visit));
    for (key, member) in json.members() {
        visit(key, member);
        walk(member, visit);
    }
}

fn nodes(json: Json<'_>) {
    let before = json.elements();
    for (before, after) in before.zip(before.skip(1)) {
        if after.has_nodes_of(before) {
            same(before, after, (before, after));
        }
    }
    json.elements().for_each(nodes);
    json.members().for_each(|(_, member)| nodes(member));
}

fn same<'d>(one: Json<'d>, other: Json<'d>, (before, after): (Json<'d>, Json<'d>)) {
    assert!(after.inside(one.offset_in(before)).is(other));
    match (one.value(), other.value()) {
        (Value::Null, Value::Null)
        | (Value::Bool(_), Value::Bool(_))
        | (Value::Number(_), Value::Number(_))
        | (Value::Text(_), Value::Text(_)) => {}
        (Value::Array(one), Value::Array(other)) => {
            assert_eq!(one.count(), other.count());
            one.zip(other).for_each(|(one, other)| same(one, other, (before, after)));
        }
        (Value::Object(one), Value::Object(other)) => {
            assert!(one.map(|(key, _)| key).eq(other.map(|(key, _)| key)));
            one.zip(other).for_each(|((_, one), (_, other))| same(one, other, (before, after)));
        }
        _ => panic!("{} has not the nodes of {}", after.raw(), before.raw()),
    }
}

/// Each entry of a Bundle is read and judged as it is by itself.
pub(super) fn page(bytes: &[u8]) {
    let Some(World { snapshot, grants, .. }) = &*WORLD else { panic!("the configuration does not load") };
    let Ok(document) = RawBundle::document(bytes, 16) else { return };
    let Ok(bundle) = RawBundle::of(&document) else { return };
    let seen = Seen::default();
    for (entry, json) in bundle.entry.iter().zip(document.root().list("entry")) {
        let part = |name| json.get(name).filter(|part| !part.is_null() || part.flaws() > 0);
        let parts = [("fullUrl", entry.full_url()), ("search", entry.search()), ("request", entry.request())];
        for (name, read) in parts.into_iter().chain([("response", entry.response())]) {
            assert_eq!(read.map(Json::span), part(name).map(Json::span), "{name}");
        }
        let resource = part("resource").filter(|resource| resource.flaws() == 0);
        assert_eq!(entry.resource().map(Json::span), resource.map(Json::span));
        assert_eq!(
            entry.resource_type(snapshot.fhir.version),
            resource.and_then(|resource| type_of(snapshot, resource))
        );
        assert_eq!(entry.mode(), part("search").and_then(|search| search.get("mode")?.as_str()));
    }
    for (grant, letter) in grants.iter().flat_map(|grant| [(grant, Letter::Read), (grant, Letter::Search)]) {
        let mut judge = Judge::of(snapshot, grant);
        for entry in &bundle.entry {
            let (of, resource) = (entry.resource_type(snapshot.fhir.version), entry.resource());
            let (Some(of), Some(resource)) = (of, resource) else { continue };
            let alone = visible(snapshot, grant, letter, resource);
            assert_eq!(judge.visible(letter, of, (resource, entry.like()), &seen), alone, "{}", resource.raw());
        }
    }
}
