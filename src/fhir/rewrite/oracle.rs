//! What the rewriter should do, said again on a tree: slow, whole in memory, and short enough to be read.

use proptest::prelude::*;

/// A JSON document whose keys may repeat.
#[derive(Clone, Debug)]
pub(super) enum Tree {
    Plain(&'static str),
    Text(String),
    Array(Vec<Tree>),
    Object(Vec<(String, Tree)>),
}

use Tree::{Array, Object, Plain, Text};

pub(super) const UPSTREAM: &str = "http://u/fhir";
pub(super) const PUBLIC: &str = "https://p/fhir";

/// The types that the test's sink agrees to.
pub(super) const GRANTED: [&str; 3] = ["Patient", "Observation", "Bundle"];

/// The URL that the test's sink writes.
pub(super) fn moved(place: &str, url: &str) -> Option<String> {
    url.strip_prefix(UPSTREAM).map(|rest| format!("{PUBLIC}{rest}#{place}"))
}

impl Tree {
    pub(super) fn print(&self, out: &mut String) {
        let list = |out: &mut String, ends: [char; 2], items: &mut dyn Iterator<Item = (Option<&String>, &Tree)>| {
            out.push(ends[0]);
            for (index, (key, item)) in items.enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                if let Some(key) = key {
                    out.push_str(&serde_json::to_string(key).unwrap());
                    out.push(':');
                }
                item.print(out);
            }
            out.push(ends[1]);
        };
        match self {
            Plain(text) => out.push_str(text),
            Text(text) => out.push_str(&serde_json::to_string(text).unwrap()),
            Array(items) => list(out, ['[', ']'], &mut items.iter().map(|item| (None, item))),
            Object(members) => list(out, ['{', '}'], &mut members.iter().map(|(key, item)| (Some(key), item))),
        }
    }

    pub(super) fn printed(&self) -> String {
        let mut out = String::new();
        self.print(&mut out);
        out
    }

    fn get(&self, name: &str) -> Option<&Tree> {
        let Object(members) = self else { return None };
        members.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    fn text(&self) -> Option<&str> {
        if let Text(text) = self { Some(text) } else { None }
    }
}

/// What `tree` should become; none if it must not pass.
pub(super) fn rewritten(tree: &Tree) -> Option<Tree> {
    matches!(tree, Object(_)).then(|| resource(tree, true)).flatten()
}

fn resource(tree: &Tree, root: bool) -> Option<Tree> {
    members(tree, |key, value| match key {
        "link" if root => elements(value, |link| {
            members(link, |key, value| match (key, value) {
                ("url", Text(url)) => {
                    let relation = link.get("relation").and_then(Tree::text).unwrap_or("none");
                    Some(Text(moved(relation, url).unwrap_or_else(|| url.clone())))
                }
                _ => other(key, value),
            })
        }),
        "entry" => {
            let Array(entries) = value else { return None };
            entries.iter().map(entry).collect::<Option<_>>().map(Array)
        }
        _ => other(key, value),
    })
}

fn entry(tree: &Tree) -> Option<Tree> {
    if !matches!(tree, Object(_)) {
        return None;
    }
    members(tree, |key, value| match key {
        "resource" => {
            let granted = value.get("resourceType").and_then(Tree::text).is_some_and(|of| GRANTED.contains(&of));
            granted.then(|| resource(value, false)).flatten()
        }
        "fullUrl" => url("fullUrl", value),
        "response" => members(value, |key, value| match key {
            "location" => url("location", value),
            _ => other(key, value),
        }),
        _ => other(key, value),
    })
}

fn other(key: &str, value: &Tree) -> Option<Tree> {
    match (key, value) {
        ("url" | "reference", Text(_)) => url(key, value),
        (_, Array(_)) => elements(value, |element| other("", element)),
        (_, Object(_)) => members(value, other),
        _ => Some(value.clone()),
    }
}

/// Only strings are URLs; what else stands in such a place is nothing special.
fn url(place: &str, value: &Tree) -> Option<Tree> {
    match value {
        Text(url) => Some(Text(moved(place, url).unwrap_or_else(|| url.clone()))),
        _ => other("", value),
    }
}

const DECIDED: [&str; 10] =
    ["entry", "fullUrl", "link", "location", "reference", "relation", "resource", "resourceType", "response", "url"];

fn members(tree: &Tree, change: impl Fn(&str, &Tree) -> Option<Tree>) -> Option<Tree> {
    let Object(members) = tree else {
        return other("", tree);
    };
    let repeated = |name: &&&str| members.iter().filter(|(key, _)| key == **name).count() > 1;
    if DECIDED.iter().find(repeated).is_some() {
        return None;
    }
    members.iter().map(|(key, value)| Some((key.clone(), change(key, value)?))).collect::<Option<_>>().map(Object)
}

fn elements(tree: &Tree, change: impl Fn(&Tree) -> Option<Tree>) -> Option<Tree> {
    match tree {
        Array(items) => items
            .iter()
            .map(|item| if let Array(_) = item { other("", item) } else { change(item) })
            .collect::<Option<_>>()
            .map(Array),
        _ => other("", tree),
    }
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => Just(format!("{UPSTREAM}/Patient/1")),
        1 => Just("http://u/fhir2".to_owned()),
        1 => Just("next".to_owned()),
        4 => proptest::sample::select(&GRANTED[..]).prop_map(str::to_owned),
        1 => Just("Secret".to_owned()),
        1 => ".{0,6}",
        1 => "[\"\\\\\u{0}\u{1f600}é/]{0,4}",
    ]
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![5 => proptest::sample::select(&DECIDED[..]).prop_map(str::to_owned), 2 => "[a-z\"é]{0,3}"]
}

fn any_tree() -> impl Strategy<Value = Tree> {
    let plain = proptest::sample::select(&["null", "true", "false", "0", "-0.50", "1e2", "12E-3"][..]);
    let leaf = prop_oneof![1 => plain.prop_map(Plain), 3 => text().prop_map(Text)];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..4).prop_map(Array),
            2 => prop::collection::vec((key(), inner), 0..5).prop_map(Object),
        ]
    })
}

fn object(members: Vec<(&'static str, Tree)>) -> Tree {
    Object(members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

/// Something like a Bundle, with its members in any order and some of them gone wrong.
fn bundle(inner: BoxedStrategy<Tree>) -> BoxedStrategy<Tree> {
    let leaf = || text().prop_map(Text);
    let link = (leaf(), leaf()).prop_map(|(relation, url)| vec![("relation", relation), ("url", url)]);
    let link = link.prop_shuffle().prop_map(object);
    let of = proptest::sample::select(&GRANTED[..]).prop_map(|of| Text(of.to_owned()));
    let resource = (of, leaf(), inner.clone())
        .prop_map(|(of, id, more)| vec![("resourceType", of), ("url", id), ("subject", more)])
        .prop_shuffle()
        .prop_map(object);
    let resource = prop_oneof![8 => resource, 2 => inner];
    let response = leaf().prop_map(|location| object(vec![("location", location)]));
    let entry = (leaf(), resource, response)
        .prop_map(|(full, resource, response)| vec![("fullUrl", full), ("resource", resource), ("response", response)])
        .prop_shuffle()
        .prop_map(object);
    (prop::collection::vec(link, 0..3), prop::collection::vec(entry, 0..3))
        .prop_map(|(links, entries)| {
            vec![("resourceType", Text("Bundle".into())), ("link", Array(links)), ("entry", Array(entries))]
        })
        .prop_shuffle()
        .prop_map(object)
        .boxed()
}

/// Documents of which about half should pass.
pub(super) fn document() -> impl Strategy<Value = Tree> {
    let nested = bundle(any_tree().boxed());
    prop_oneof![1 => any_tree(), 3 => nested.clone(), 2 => bundle(nested)]
}
