use super::*;

#[test]
fn media_ranges_take_types() {
    for (range, content_type, taken) in [
        ("*/*", "application/pdf", true),
        ("application/*", "application/pdf", true),
        ("Application/PDF", "application/pdf", true),
        ("text/plain", "text/plain; charset=utf-8", true),
        ("text/*", "application/pdf", false),
        ("application/pdf", "application/pdfx", false),
        ("pdf", "application/pdf", false),
        ("*", "application/pdf", false),
    ] {
        assert_eq!(takes(range, content_type), taken, "{range} {content_type}");
    }
}

#[test]
fn only_media_types_become_a_header() {
    for (text, is) in [
        ("application/pdf", true),
        ("text/html; charset=utf-8", true),
        ("application/vnd.x+json;v=\"1\"", true),
        ("text", false),
        ("text/", false),
        ("/plain", false),
        ("text/plain\r\nSet-Cookie: a=b", false),
        ("text/plain; charset", false),
        ("text/plain; charset=ü", false),
        ("", false),
    ] {
        assert_eq!(is_media_type(text), is, "{text:?}");
    }
}

#[test]
fn a_range_without_weight_asks_for_nothing() {
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/fhir+json;q=0, text/plain ;q=0.5"));
    assert_eq!(ranges(&headers).collect::<Vec<_>>(), ["text/plain"]);
    assert_eq!(ranges(&HeaderMap::new()).collect::<Vec<_>>(), [""]);
}
