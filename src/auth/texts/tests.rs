use std::path::Path;

use super::*;

#[test]
fn every_language_there_is_has_its_texts() {
    for (tag, language) in Language::ALL {
        assert_eq!((language.tag(), of(language).tag), (tag, tag));
    }
}

#[test]
fn every_language_has_a_word_for_the_same_data() {
    let types = |kinds: &[(&'static str, &str)]| kinds.iter().map(|(of, _)| *of).collect::<Vec<_>>();
    assert_eq!(types(&en::KINDS), types(&de::KINDS));
}

#[test]
fn dates_are_shown_with_as_much_as_they_say() {
    for (written, english, german) in [
        ("1987", "1987", "1987"),
        ("1987-02", "February 1987", "02/1987"),
        ("1987-02-09", "9 February 1987", "09.02.1987"),
        ("2026-01-02T09:30:00+01:00", "2 January 2026, 09:30", "02.01.2026, 09:30 Uhr"),
        ("2026-01-02T23:30:00Z", "2 January 2026, 23:30", "02.01.2026, 23:30 Uhr"),
        ("2026-01-02T09:30:00.123-05:00", "2 January 2026, 09:30", "02.01.2026, 09:30 Uhr"),
        ("1987-13", "1987-13", "1987-13"),
        ("1987-02-30", "1987-02-30", "1987-02-30"),
        ("-987", "-987", "-987"),
        ("<b>soon</b>", "<b>soon</b>", "<b>soon</b>"),
        ("äöüäöüäöüä", "äöüäöüäöüä", "äöüäöüäöüä"),
        ("", "", ""),
    ] {
        assert_eq!((en::TEXTS.date(written).as_str(), de::TEXTS.date(written).as_str()), (english, german));
    }
}

#[test]
fn lifetimes_are_said_in_days_hours_and_minutes() {
    for (seconds, english, german) in [
        (30, "1 minute", "1 Minute"),
        (600, "10 minutes", "10 Minuten"),
        (3600, "1 hour", "1 Stunde"),
        (5400, "1 hour and 30 minutes", "1 Stunde und 30 Minuten"),
        (7260, "2 hours and 1 minute", "2 Stunden und 1 Minute"),
        (86_400, "1 day", "1 Tag"),
        (30 * 86_400, "30 days", "30 Tage"),
        (36 * 3600, "1 day and 12 hours", "1 Tag und 12 Stunden"),
    ] {
        let lifetime = Duration::from_secs(seconds);
        assert_eq!((en::TEXTS.duration(lifetime).as_str(), de::TEXTS.duration(lifetime).as_str()), (english, german));
    }
}

#[test]
fn what_a_button_says_begins_its_longer_name() {
    for (_, language) in Language::ALL {
        let t = of(language);
        assert!((t.end_access_of)("App").starts_with(t.end_access));
    }
}

/// `text` without what stands between `open` and `close`.
fn without(text: &str, open: &str, close: &str) -> String {
    let mut parts = text.split(open);
    let first = parts.next().unwrap().to_owned();
    parts.fold(first, |kept, part| kept + part.split_once(close).map_or(part, |(_, rest)| rest))
}

#[test]
fn templates_have_no_words_of_their_own() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
    let pages = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let pages: Vec<_> = pages.filter(|path| path.extension().is_some_and(|of| of == "html")).collect();
    assert!(pages.len() >= 8);
    for path in pages {
        let html = std::fs::read_to_string(&path).unwrap();
        let text = without(&without(&html, "{%", "%}"), "{{", "}}");
        for spoken in ["alt=\"", "aria-label=\"", "title=\"", "placeholder=\""] {
            assert!(text.split(spoken).skip(1).all(|rest| rest.starts_with('"')), "{}: {spoken}", path.display());
        }
        let left = without(&text, "<", ">");
        assert!(!left.chars().any(char::is_alphabetic), "{}: {left}", path.display());
    }
}
