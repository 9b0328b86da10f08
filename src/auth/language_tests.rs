use super::*;
use crate::auth::testing;

fn spoken(languages: &[Language]) -> Pages {
    Pages { languages: languages.to_vec(), ..testing::snapshot().pages.clone() }
}

#[test]
fn the_browser_gets_what_it_prefers_among_what_there_is() {
    let pages = spoken(&[Language::English, Language::German]);
    for (header, expected) in [
        ("de", Some(Language::German)),
        ("DE-at", Some(Language::German)),
        ("de-Latn-CH-1996", Some(Language::German)),
        ("fr, de;q=0.5, en;q=0.4", Some(Language::German)),
        ("en;q=0.4,de;q=0.45", Some(Language::German)),
        ("en; q=0.9 , de ; Q = 1.0", Some(Language::German)),
        ("de;q=0.7, en;q=0.7", Some(Language::German)),
        ("en;q=0.7, de;q=0.7", Some(Language::English)),
        ("fr, *;q=0.1", Some(Language::English)),
        ("*, de;q=0.5", Some(Language::English)),
        ("de;q=0, en;q=0.1", Some(Language::English)),
        // What is malformed says nothing.
        ("de;q=2, en;q=0.001", Some(Language::English)),
        ("de;q=nan, de;q=0.0001, de;level=1, de;q=1.001, de;q=, en;q=0.5", Some(Language::English)),
        ("deutsch, english", None),
        ("fr", None),
        ("de;q=0", None),
        ("", None),
        (",;,-,--,;q=1", None),
    ] {
        assert_eq!(accepted(header, &pages), expected, "{header}");
    }
    let many = "fr,".repeat(MAX_RANGES);
    assert_eq!(accepted(&format!("{many}de"), &pages), None);
}

#[test]
fn only_what_is_spoken_here_is_found() {
    let german = spoken(&[Language::German]);
    assert_eq!(accepted("en, *;q=0.1", &german), Some(Language::German));
    assert_eq!(asked("en-US en de-CH", &german), Some(Language::German));
    assert_eq!(asked("en fr", &german), None);
    let both = spoken(&[Language::German, Language::English]);
    assert_eq!(asked("fr-CA en-US de", &both), Some(Language::English));
    assert_eq!(asked("", &both), None);
}
