use super::*;

/// What is read of each entry's resource: its id, nothing where it has several readings.
fn read(text: &str) -> Option<Vec<String>> {
    let document = RawBundle::document(text.as_bytes(), 8).ok()?;
    let bundle = RawBundle::of(&document).ok()?;
    let id = |entry: &RawEntry<'_>| {
        let id = entry.resource().and_then(|resource| resource.get("id")?.as_str());
        id.unwrap_or_default().to_owned()
    };
    Some(bundle.entry.iter().map(id).collect())
}

fn bundle(resource: &str) -> String {
    format!(
        r#"{{"resourceType":"Bundle","entry":[{{"resource":{{"id":"a"}}}},{{"resource":{resource}}},{{"resource":{{"id":"b"}}}}]}}"#
    )
}

#[test]
fn a_resource_with_several_readings_is_its_entrys_own_affair() {
    assert_eq!(read(&bundle(r#"{"id":"x"}"#)).unwrap(), ["a", "x", "b"]);
    let wide = (0..40).map(|n| format!("\"k{n}\":0,")).collect::<String>();
    for resource in [
        r#"{"id":"x","id":"y"}"#,
        r#"{"id":"x","\u0069d":"x"}"#,
        r#"{"id":"x","contained":[{"id":1,"id":2}]}"#,
        r#"{"id":"x","a":"\ud800"}"#,
        r#"{"id":"x","a":1e999}"#,
        r#"{"id":"x","a":[[[[[[[[[0]]]]]]]]]}"#,
        &format!(r#"{{"id":"x",{wide}"k7":0}}"#),
        &format!(r#"{{"id":"x","a":{}0{}}}"#, "[".repeat(100_000), "]".repeat(100_000)),
        r#"[[[[[[[[[0]]]]]]]]]"#,
    ] {
        let text = bundle(resource);
        assert_eq!(read(&text).unwrap(), ["a", "", "b"], "{resource}");
        let document = RawBundle::document(text.as_bytes(), 8).unwrap();
        let entry = &RawBundle::of(&document).unwrap().entry[1];
        assert!(entry.has_resource() && entry.written() == resource, "{resource}");
    }
}

#[test]
fn what_is_broken_breaks_the_whole() {
    for resource in [
        "",
        "{",
        r#"{"a":"\x"}"#,
        r#"{"a":01}"#,
        "{\"a\":\"\n\"}",
        r#"{"a":1,}"#,
        r#"{"id":"x"}}"#,
        &format!(r#"{{"a":{}0{}}}"#, "[".repeat(100_000), "]".repeat(99_999)),
    ] {
        assert_eq!(read(&bundle(resource)), None, "{resource}");
    }
}

#[test]
fn nothing_else_has_several_readings() {
    for text in [
        r#"{"resourceType":"Bundle","resourceType":"Bundle"}"#,
        r#"{"resourceType":"Bundle","entry":[],"\u0065ntry":[]}"#,
        r#"{"resourceType":"Bundle","id":1,"id":2}"#,
        r#"{"resourceType":"Bundle","meta":{"a":1,"a":2}}"#,
        r#"{"resourceType":"Bundle","entry":[{"resource":{"id":"a"},"resource":{"id":"b"}}]}"#,
        r#"{"resourceType":"Bundle","entry":[{"resource":{"id":"a","id":"b"},"resource":{"id":"b"}}]}"#,
        r#"{"resourceType":"Bundle","entry":[{"resource":{"id":"a"},"x":{"a":1,"a":2}}]}"#,
        r#"{"resourceType":"Bundle","entry":[{"search":{"mode":"match","mode":"outcome"}}]}"#,
        r#"{"resourceType":"Bundle","entry":[{"fullUrl":"\ud800"}]}"#,
    ] {
        assert_eq!(read(text), None, "{text}");
    }
}

#[test]
fn a_bundle_has_one_shape() {
    for text in [
        "[]",
        "{}",
        r#"{"resourceType":"Patient"}"#,
        r#"{"resourceType":["Bundle"]}"#,
        r#"{"resourceType":"Bundle","type":1}"#,
        r#"{"resourceType":"Bundle","total":"1"}"#,
        r#"{"resourceType":"Bundle","total":-1}"#,
        r#"{"resourceType":"Bundle","entry":{}}"#,
        r#"{"resourceType":"Bundle","entry":[[]]}"#,
        r#"{"resourceType":"Bundle","entry":[{"fullUrl":1}]}"#,
        r#"{"resourceType":"Bundle","entry":[{"search":[]}]}"#,
        r#"{"resourceType":"Bundle","entry":[{"request":"GET"}]}"#,
        r#"{"resourceType":"Bundle","link":[{"relation":"next"}]}"#,
        r#"{"resourceType":"Bundle","link":[{"relation":"next","url":1}]}"#,
        r#"{"resourceType":"Bundle","link":{}}"#,
    ] {
        assert_eq!(read(text), None, "{text}");
    }
    let text = r#"{"entry":[{"resource":null,"fullUrl":null,"search":null}],"total":null,"resourceType":"Bundle"}"#;
    assert_eq!(read(text).unwrap(), [""]);
}

#[test]
fn what_is_printed_is_json() {
    let mut entry = String::new();
    ObjectWriter::new(&mut entry).end();
    let links = [NewLink { relation: "self", url: "http://x/\"\\\n".to_owned() }];
    let printed = print_bundle("searchset", Some(1), &links, &entry);
    let expected = serde_json::json!({
        "resourceType": "Bundle", "type": "searchset", "total": 1,
        "link": [{"relation": "self", "url": "http://x/\"\\\n"}], "entry": [{}],
    });
    assert_eq!(serde_json::from_str::<serde_json::Value>(&printed).unwrap(), expected);
    assert_eq!(print_bundle("history", None, &[], ""), r#"{"resourceType":"Bundle","type":"history"}"#);
}
