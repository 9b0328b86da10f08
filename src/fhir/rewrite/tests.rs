use proptest::prelude::*;

use super::oracle::{GRANTED, PUBLIC, UPSTREAM, document, moved, rewritten};
use super::*;
use RewriteError::{Malformed, Refused};

/// Moves URLs and notes where it found them, or keeps everything.
#[derive(Default)]
struct Asked {
    keep: bool,
    root: Option<String>,
}

impl LinkSink for Asked {
    fn link(&mut self, place: Place<'_>, url: &str) -> Result<Option<String>, RewriteError> {
        let place = match place {
            Place::BundleLink { relation } => relation.unwrap_or("none"),
            Place::FullUrl => "fullUrl",
            Place::Location => "location",
            Place::Reference => "reference",
            Place::Url => "url",
        };
        Ok(moved(place, url).filter(|_| !self.keep))
    }

    fn entry_type(&mut self, resource_type: &str) -> Result<(), RewriteError> {
        if self.keep || GRANTED.contains(&resource_type) { Ok(()) } else { Err(Refused("not granted")) }
    }

    fn root_type(&mut self, resource_type: &str) -> Result<(), RewriteError> {
        self.root = Some(resource_type.to_owned());
        if resource_type == "Forbidden" { Err(Refused("not granted")) } else { Ok(()) }
    }
}

/// What comes out, and whether to the end.
fn run<'b>(sink: Asked, chunks: impl IntoIterator<Item = &'b [u8]>) -> (Vec<u8>, Result<(), RewriteError>) {
    let mut out = Vec::new();
    let mut rewriter = Rewriter::new(sink);
    for chunk in chunks {
        if let Err(error) = rewriter.push(chunk, &mut out) {
            return (out, Err(error));
        }
    }
    let end = rewriter.finish(&mut out);
    (out, end)
}

fn rewrite(document: &str) -> Result<String, RewriteError> {
    let whole = run(Asked::default(), [document.as_bytes()]);
    let bytewise = run(Asked::default(), document.as_bytes().chunks(1));
    assert_eq!(whole.1.is_ok(), bytewise.1.is_ok(), "{document}: {:?}", bytewise.1);
    if whole.1.is_ok() {
        assert_eq!(whole.0, bytewise.0);
    }
    whole.1.map(|()| String::from_utf8(whole.0).unwrap())
}

fn malformed(document: impl AsRef<[u8]>) -> bool {
    let document = document.as_ref();
    let whole = run(Asked::default(), [document]).1;
    let bytewise = run(Asked::default(), document.chunks(1)).1;
    matches!((whole, bytewise), (Err(Malformed(_)), Err(Malformed(_))))
}

fn refused(document: &str) -> bool {
    matches!(rewrite(document), Err(Refused(_)))
}

/// attacks.md 198.
#[test]
fn urls_are_moved_where_they_are_urls() {
    let document = r#" {"resourceType":"Bundle", "id":"http://u/fhir/1",
        "link":[{"relation":"next","url":"http://u/fhir?p=2"},{"relation":"self","url":"http://other"}],
        "entry":[{"fullUrl":"http://u/fhir/Patient/1",
            "resource":{"resourceType":"Patient","text":{"div":"<a href='http://u/fhir/x'>"},
                "managingOrganization":{"reference":"http://u/fhir/Organization/1"},
                "photo":[{"url":"http://u/fhir/Binary/1","size":1.50}],"url":["http://u/fhir"]},
            "request":{"url":"http://u/fhir/Patient/1"},
            "response":{"location":"http://u/fhir/Patient/1/_history/1","etag":"W/\"1\""}}]} "#;
    let expected = document
        .replace("http://u/fhir?p=2", "https://p/fhir?p=2#next")
        .replace(r#"fullUrl":"http://u/fhir/Patient/1"#, r#"fullUrl":"https://p/fhir/Patient/1#fullUrl"#)
        .replace("http://u/fhir/Organization/1", "https://p/fhir/Organization/1#reference")
        .replace("http://u/fhir/Binary/1", "https://p/fhir/Binary/1#url")
        .replace(r#"request":{"url":"http://u/fhir/Patient/1"#, r#"request":{"url":"https://p/fhir/Patient/1#url"#)
        .replace("http://u/fhir/Patient/1/_history/1", "https://p/fhir/Patient/1/_history/1#location");
    assert_eq!(rewrite(document).unwrap(), expected);
}

#[test]
fn escapes_do_not_hide_a_url() {
    let document = r#"{"\u0075rl":"http:\/\/u\/fh\u0069r\/\ud83d\ude00","x":"http:\/\/u\/fhir"}"#;
    let expected = "{\"\\u0075rl\":\"https://p/fhir/\u{1f600}#url\",\"x\":\"http:\\/\\/u\\/fhir\"}";
    assert_eq!(rewrite(document).unwrap(), expected);
    // What is written instead is escaped as JSON wants it.
    assert_eq!(rewrite(r#"{"url":"http://u/fhir\"\n\\"}"#).unwrap(), r#"{"url":"https://p/fhir\"\n\\#url"}"#);
}

#[test]
fn a_page_link_knows_its_relation_wherever_it_stands() {
    let expected = |relation: &str| format!("{PUBLIC}?p#{relation}\"");
    for (link, relation) in [
        (r#"{"relation":"next","url":"http://u/fhir?p"}"#, "next"),
        (r#"{"url":"http://u/fhir?p","id":"1", "relation" : "next" }"#, "next"),
        (r#"{"url":"http://u/fhir?p","relati\u006fn":"ne\u0078t"}"#, "next"),
        (r#"{"url":"http://u/fhir?p","extension":[{"url":"http://u/fhir/e","relation":"prev"}]}"#, "none"),
        (r#"{"url":"http://u/fhir?p","relation":["next"]}"#, "none"),
        (r#"{"url":"http://u/fhir?p"}"#, "none"),
    ] {
        let out = rewrite(&format!(r#"{{"link":[{{"relation":"self"}},{link}],"x":1}}"#)).unwrap();
        assert!(out.contains(&expected(relation)), "{out}");
        assert!(out.ends_with(r#"],"x":1}"#), "{out}");
    }
}

#[test]
fn links_of_inner_bundles_are_urls_and_their_entries_are_entries() {
    let inner = r#"{"resourceType":"Bundle","link":[{"relation":"next","url":"http://u/fhir?p"}],
        "entry":[{"resource":{"resourceType":"TYPE"}}]}"#;
    let outer = |of: &str| format!(r#"{{"entry":[{{"resource":{}}}]}}"#, inner.replace("TYPE", of));
    assert!(rewrite(&outer("Patient")).unwrap().contains("https://p/fhir?p#url"));
    assert!(refused(&outer("Secret")));
    // Neither an operation's answer nor a contained resource has entries of this answer.
    assert!(rewrite(&format!(r#"{{"parameter":[{{"resource":{}}}]}}"#, inner.replace("TYPE", "Secret"))).is_ok());
}

#[test]
fn nothing_of_a_resource_leaves_before_its_type_is_agreed_to() {
    for resource in [
        r#"{"resourceType":"Secret","name":"B"}"#,
        r#"{"name":"B","resourceType":"Secret"}"#,
        r#"{"name":"B","resourceTyp\u0065":"Secret"}"#,
        r#"{"name":"B","resourceType":"Secr\u0065t"}"#,
        r#"{"name":"B","contained":[{"resourceType":"Patient"}],"resourceType":"Secret"}"#,
        r#"{"name":"B","entry":[{"resource":{"resourceType":"Patient"}}],"resourceType":"Secret"}"#,
        r#"{"name":"B","resourceType":"Patient\u0000"}"#,
        r#"{"name":"B","resourceType":["Patient"]}"#,
        r#"{"name":"B"}"#,
        "{}",
    ] {
        let document = format!(r#"{{"entry":[{{"resource":{resource}}}]}}"#);
        for size in [1, 3, 1000] {
            let (out, end) = run(Asked::default(), document.as_bytes().chunks(size));
            assert!(matches!(end, Err(Refused(_))), "{document}");
            assert!(br#"{"entry":[{"resource":"#.starts_with(&out), "{document}");
        }
    }
}

#[test]
fn resources_whose_type_comes_last_pass() {
    let document = r#"{"entry":[{"resource":{"url":"http://u/fhir/1","x":[{}],"resourceType":"Patient"}},
        {"resource":{"entry":[{"resource":{"a":1,"resourceType":"Patient"}}],"resourceType":"Bundle"}}],
        "resourceType":"Bundle"}"#;
    let expected = document.replace("http://u/fhir/1", "https://p/fhir/1#url");
    assert_eq!(rewrite(document).unwrap(), expected);
}

#[test]
fn what_holds_resources_has_one_shape() {
    let patient = r#"{"resourceType":"Patient"}"#;
    for document in [
        format!(r#"{{"entry":{{"resource":{patient}}}}}"#),
        format!(r#"{{"entry":[[{{"resource":{patient}}}]]}}"#),
        format!(r#"{{"entry":[{{"resource":[{patient}]}}]}}"#),
        r#"{"entry":[{"resource":null}]}"#.to_owned(),
        r#"{"entry":[{"resource":"{}"}]}"#.to_owned(),
        r#"{"entry":null}"#.to_owned(),
    ] {
        assert!(refused(&document), "{document}");
    }
    assert!(rewrite(r#"{"entry":[]}"#).is_ok());
    assert!(rewrite(r#"{"resourceType":"List","entry":[{"item":{"reference":"Patient/1"}}]}"#).is_ok());
}

#[test]
fn keys_that_something_hangs_on_come_once() {
    for object in [
        r#"{"entry":[],"entry":[]}"#,
        r#"{"entry":[{"resource":{"resourceType":"Patient","resourceType":"Patient"}}]}"#,
        r#"{"entry":[{"resource":{"resourceType":"Patient","resourceTyp\u0065":"Secret"}}]}"#,
        r#"{"entry":[{"resource":{"resourceType":"Patient"},"resource":{"resourceType":"Patient"}}]}"#,
        r#"{"link":[{"relation":"self","url":"a","relation":"next"}]}"#,
        r#"{"x":{"reference":"a","reference":"b"}}"#,
    ] {
        assert!(refused(object), "{object}");
    }
}

#[test]
fn the_answers_own_type_is_told() {
    assert!(refused(r#"{"resourceType":"Forbidden"}"#));
    assert!(rewrite(r#"{"contained":[{"resourceType":"Forbidden"}]}"#).is_ok());
    let (out, _) = run(Asked::default(), [&br#"{"resourceType":"Forbidden","name":"B"}"#[..]]);
    assert!(!out.contains(&b'B'));
}

#[test]
fn what_is_not_json_is_not_passed_on() {
    for document in [
        "",
        " ",
        "[]",
        "null",
        "{",
        r#"{"a"}"#,
        r#"{"a":}"#,
        r#"{"a":1"#,
        r#"{"a":1,}"#,
        r#"{,}"#,
        r#"{"a":[1,]}"#,
        r#"{"a":[,1]}"#,
        r#"{"a":[1}"#,
        r#"{"a":{]}"#,
        r#"{"a" 1}"#,
        r#"{"a":1 2}"#,
        r#"{"a":1}x"#,
        "{}{}",
        "{} {}",
        r#"{a:1}"#,
        r#"{'a':1}"#,
        "\u{feff}{}",
        "// c\n{}",
        r#"{"a":01}"#,
        r#"{"a":-}"#,
        r#"{"a":1.}"#,
        r#"{"a":.5}"#,
        r#"{"a":+1}"#,
        r#"{"a":1e}"#,
        r#"{"a":NaN}"#,
        r#"{"a":tru}"#,
        r#"{"a":truee}"#,
        r#"{"a":nul"#,
        r#"{"a":"\x"}"#,
        r#"{"a":"\u00g0"}"#,
        r#"{"a":"\ud800"}"#,
        r#"{"a":"\ud800x"}"#,
        r#"{"a":"\ud800\u0041"}"#,
        r#"{"a":"\ud800\n"}"#,
        r#"{"a":"\ud800\ud800"}"#,
        r#"{"a":"\udc00"}"#,
        r#"{"a":"\u00"}"#,
        "{\"a\":\"\n\"}",
        "{\"a\":\"\0\"}",
        r#"{"a":"b}"#,
        r#"{"a":"b\"}"#,
        "{\u{a0}}",
        "{\u{b}}",
    ] {
        assert!(malformed(document), "{document}");
    }
    for bytes in
        [&b"\xff"[..], b"\xc0\xaf", b"\xe2\x82", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc3\\n", b"\xc3a\xa9"]
    {
        for place in ["x", "url"] {
            let document = [format!("{{\"{place}\":\"").as_bytes(), bytes, b"\"}"].concat();
            assert!(malformed(&document), "{document:?}");
        }
        assert!(malformed([b"{\"", bytes, b"\":1}"].concat()));
    }
}

#[test]
fn nesting_has_a_limit() {
    let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth - 1), "]".repeat(depth - 1));
    assert!(rewrite(&nested(MAX_DEPTH)).is_ok());
    assert!(malformed(nested(MAX_DEPTH + 1)));
}

#[test]
fn control_characters_are_found_wherever_they_stand() {
    for control in 0..0x20 {
        for before in 0..17 {
            let text = ["x".repeat(before), char::from(control).to_string(), "x".repeat(9)].concat();
            assert!(malformed(format!("{{\"a\":\"{text}\"}}")), "{control} after {before}");
        }
    }
    assert!(rewrite("{\"a\":\" \u{7f}!#[]~xxxxx \u{7f}!#[]~\"}").is_ok());
}

#[test]
fn after_an_error_nothing_more_passes() {
    let mut rewriter = Rewriter::new(Asked::default());
    let mut out = Vec::new();
    assert!(rewriter.push(br#"{"resourceType":"Forbidden""#, &mut out).is_err());
    out.clear();
    assert!(rewriter.push(br#","name":"B"}"#, &mut out).is_err());
    assert!(rewriter.finish(&mut out).is_err());
    assert!(out.is_empty());
}

#[test]
fn what_is_held_has_limits() {
    let long = "x".repeat(MAX_TEXT);
    assert!(refused(&format!(r#"{{"url":"{UPSTREAM}/{long}"}}"#)));
    assert!(rewrite(&format!(r#"{{"data":"{UPSTREAM}/{long}"}}"#)).is_ok());
    // An attachment may carry its content in its URL.
    assert!(rewrite(&format!(r#"{{"url":"data:text/plain,{long}"}}"#)).is_ok());
    let much = "x".repeat(MAX_HELD);
    assert!(refused(&format!(r#"{{"entry":[{{"resource":{{"data":"{much}","resourceType":"Patient"}}}}]}}"#)));
    assert!(rewrite(&format!(r#"{{"entry":[{{"resource":{{"resourceType":"Patient","data":"{much}"}}}}]}}"#)).is_ok());
    assert!(refused(&format!(r#"{{"link":[{{"url":"a","x":"{much}","relation":"next"}}]}}"#)));
}

#[test]
fn memory_does_not_grow_with_the_document() {
    let mut rewriter = Rewriter::new(Asked::default());
    let mut out = Vec::new();
    rewriter.push(br#"{"entry":[{"#, &mut out).unwrap();
    for key in 0..2000 {
        let member =
            format!(r#""{}k{key}":{{"reference":"Patient/1","text":"{}"}},"#, "k".repeat(key), "t".repeat(500));
        for half in member.as_bytes().chunks(member.len() / 2) {
            rewriter.push(half, &mut out).unwrap();
        }
        out.clear();
    }
    assert!(rewriter.token.capacity() + rewriter.held.capacity() + rewriter.frames.capacity() < 4096);
}

/// `document` cut at `cuts`.
fn cut<'d>(document: &'d [u8], cuts: &[prop::sample::Index]) -> Vec<&'d [u8]> {
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(document.len() + 1)).collect();
    places.sort_unstable();
    let mut chunks = Vec::new();
    let mut from = 0;
    for place in places {
        chunks.push(&document[from..place]);
        from = place;
    }
    chunks.push(&document[from..]);
    chunks
}

fn cuts() -> impl Strategy<Value = Vec<prop::sample::Index>> {
    prop::collection::vec(any::<prop::sample::Index>(), 0..12)
}

/// One byte of a document changed, put in or taken out.
type Mutation = (prop::sample::Index, u8, u8);

fn mutate(document: &str, mutations: &[Mutation]) -> Vec<u8> {
    let mut bytes = document.as_bytes().to_vec();
    for (at, how, byte) in mutations {
        let at = at.index(bytes.len() + 1);
        match how % 3 {
            0 => bytes.insert(at, *byte),
            _ if at == bytes.len() => {}
            1 => bytes[at] = *byte,
            _ => drop(bytes.remove(at)),
        }
    }
    bytes
}

fn mutations() -> impl Strategy<Value = Vec<Mutation>> {
    let byte = prop_oneof![proptest::sample::select(&b"\"\\{}[],: u0e.-dn"[..]), any::<u8>()];
    prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), byte), 0..4)
}

proptest! {
    #[test]
    fn it_does_what_a_tree_would_do(tree in document(), cuts in cuts()) {
        let document = tree.printed();
        let (out, end) = run(Asked::default(), cut(document.as_bytes(), &cuts));
        match rewritten(&tree) {
            Some(expected) => {
                prop_assert!(end.is_ok(), "{}: {:?}", document, end);
                prop_assert_eq!(String::from_utf8(out).unwrap(), expected.printed());
            }
            None => prop_assert!(end.is_err(), "{}", document),
        }
    }

    #[test]
    fn what_passes_a_sink_that_keeps_everything_is_unchanged(tree in document(), mutations in mutations(), cuts in cuts()) {
        let document = mutate(&tree.printed(), &mutations);
        let (out, end) = run(Asked { keep: true, ..Asked::default() }, cut(&document, &cuts));
        match end {
            Ok(()) => prop_assert_eq!(out, document),
            Err(_) => prop_assert!(document.starts_with(&out)),
        }
    }

    /// attacks.md 198: a base that is cut in two is a base.
    #[test]
    fn chunks_make_no_difference(tree in document(), mutations in mutations(), cuts in cuts()) {
        let document = mutate(&tree.printed(), &mutations);
        let (whole, whole_end) = run(Asked::default(), [&document[..]]);
        let (parts, parts_end) = run(Asked::default(), cut(&document, &cuts));
        prop_assert_eq!(whole_end.is_ok(), parts_end.is_ok());
        if whole_end.is_ok() {
            prop_assert_eq!(whole, parts);
        }
    }

    #[test]
    fn it_is_as_strict_as_a_parser(tree in document(), mutations in mutations(), cuts in cuts()) {
        let document = mutate(&tree.printed(), &mutations);
        let (_, end) = run(Asked::default(), cut(&document, &cuts));
        let parsed = serde_json::from_slice::<serde_json::Value>(&document);
        match (end, parsed) {
            (Ok(()), Err(error)) => prop_assert!(error.to_string().contains("number out of range"), "{}", error),
            (Err(Malformed(why)), Ok(value)) => prop_assert!(!value.is_object(), "{}", why),
            _ => {}
        }
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..64), cuts in cuts()) {
        let _ = run(Asked::default(), cut(&bytes, &cuts));
    }
}
