use std::path::Path;

use super::*;
use crate::config::reading::Reading;
use crate::config::table::read_document;

/// What is read from the text of a file, and what is wrong with it.
fn read(text: &str, can_send: bool) -> (Option<Traces>, Vec<String>) {
    let reading = Reading::at(0);
    let traces = read_document(&reading, Path::new("conf/smartgate.toml"), text, |root| {
        section(root.section("traces"), can_send)
    });
    let (_, read) = reading.finish(Some(()));
    (traces, read.err().map(|errors| errors.lines().collect()).unwrap_or_default())
}

#[test]
fn what_is_left_out_has_its_default() {
    let (traces, wrong) = read("[traces]\nurl = \"http://127.0.0.1:4318/v1/traces\"\n", true);
    let traces = traces.unwrap();
    assert!(wrong.is_empty(), "{wrong:?}");
    assert_eq!((traces.url.as_str(), traces.service.as_str()), (EXAMPLE, "smartgate"));
    assert_eq!((traces.sampling, traces.headers.len()), (Sampling::one_in(100), 0));
}

#[test]
fn a_build_that_sends_no_spans_says_so_where_the_section_is() {
    let (_, wrong) = read("\n[traces]\nurl = \"http://127.0.0.1:4318/v1/traces\"\n", false);
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    assert!(wrong[0].contains("smartgate.toml:3: [traces] url: this binary sends no spans"), "{wrong:?}");
    assert!(wrong[0].contains("--features otel"), "{wrong:?}");
}

#[test]
fn what_is_wrong_is_told_with_what_would_be_right() {
    for (text, what) in [
        ("", "[traces] url: is missing"),
        ("url = \"collector:4318\"", "is no http or https URL"),
        ("url = \"http://c/v1/traces\"\none_in = \"all\"", "write a whole number from 0 to"),
        ("url = \"http://c/v1/traces\"\nheaders = { \"x-key\" = \"hunter2\" }", "a secret is not written here"),
        ("url = \"http://c/v1/traces\"\nheaders = { \"a b\" = \"file:none\" }", "is no name of a header"),
        ("url = \"http://c/v1/traces\"\nca_file = \"ca.pem\"", "https"),
        (
            "url = \"http://c/v1/traces\"\nratio = 1",
            "there is no such key; there are url, one_in, service_name, headers",
        ),
    ] {
        let (_, wrong) = read(&format!("[traces]\n{text}\n"), true);
        assert!(wrong.iter().any(|line| line.contains(what)), "{what}: {wrong:?}");
        assert!(!wrong.concat().contains("hunter2"), "{wrong:?}");
    }
}
