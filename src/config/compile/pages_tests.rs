use std::path::Path;

use tempfile::TempDir;

use super::*;
use crate::config::load_str;

const SVG: &str = "<?xml version=\"1.0\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\"/>";

fn load_in(folder: &Path, lines: &str) -> Result<Pages, Vec<String>> {
    let text = format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\npublic_url = \"https://gate.example.org\"\n[admin]\nlisten = [\"127.0.0.1:0\"]\n\
         [fhir]\nupstream = \"http://127.0.0.1:9/fhir\"\n[pages]\n{lines}\n"
    );
    let loaded = load_str(&text, folder).map_err(|errors| errors.lines().collect::<Vec<_>>())?;
    Ok(loaded.snapshot.pages)
}

fn load(lines: &str) -> Result<Pages, Vec<String>> {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("logo.svg"), SVG).unwrap();
    std::fs::write(folder.path().join("logo.png"), [PNG, b"..."].concat()).unwrap();
    std::fs::write(folder.path().join("logo.gif"), "GIF89a").unwrap();
    std::fs::write(folder.path().join("large.svg"), SVG.to_owned() + &" ".repeat(MAX_LOGO)).unwrap();
    load_in(folder.path(), lines)
}

#[test]
fn without_a_colour_the_stylesheet_is_the_one_that_is_here() {
    let pages = load("").unwrap();
    assert_eq!(pages.style, STYLE);
    assert_eq!(pages.languages, [Language::English, Language::German]);
    assert!(pages.name.is_none() && pages.logo.is_none() && pages.links.is_empty());
}

#[test]
fn the_grounds_are_those_of_the_stylesheet() {
    let (light, dark) = STYLE.split_once("@media (prefers-color-scheme: dark)").unwrap();
    for (scheme, [paper, ground]) in [(light, LIGHT), (dark, DARK)] {
        assert!(scheme.contains(&format!("--paper: {paper};")) && scheme.contains(&format!("--ground: {ground};")));
    }
    // What is written on the accent is no easier to tell from it than the paper is.
    let ink = |scheme: &str| {
        let (_, rest) = scheme.split_once("--accent-ink: ").unwrap();
        Color::parse(rest.split(';').next().unwrap()).unwrap()
    };
    assert_eq!(ink(light), LIGHT[0]);
    assert!(ink(dark).contrast(WHITE) >= DARK[0].contrast(WHITE));
}

#[test]
fn a_colour_goes_into_the_stylesheet_and_its_digest() {
    let pages = load("color = \"#7a1f5c\"").unwrap();
    assert!(pages.style.contains(":root { --accent: #7a1f5c; }"), "{}", pages.style);
    let (_, dark) = pages.style.rsplit_once("(prefers-color-scheme: dark) { :root { --accent: ").unwrap();
    let dark = Color::parse(dark.split(';').next().unwrap()).unwrap();
    assert!(DARK.iter().all(|ground| dark.contrast(*ground) >= 7.0), "{dark}");
    let digest = STANDARD.encode(Sha256::digest(pages.style.as_bytes()));
    assert_eq!(pages.style_source, format!("'sha256-{digest}'"));
    let pages = load("color = \"#7a1f5c\"\ncolor_dark = \"#f0a6d8\"").unwrap();
    assert!(pages.style.contains("{ --accent: #f0a6d8; }"));
}

#[test]
fn a_logo_is_what_its_bytes_say() {
    for (file, media_type) in [("logo.svg", "image/svg+xml"), ("logo.png", "image/png")] {
        let pages = load(&format!("name = \"Klinik\"\nlogo = \"{file}\"\nname_in_logo = true")).unwrap();
        let logo = pages.logo.unwrap();
        assert!(logo.media_type == media_type && !logo.bytes.is_empty() && pages.name_in_logo, "{file}");
        assert!(logo.tag.starts_with('"') && logo.tag.ends_with('"'));
    }
}

#[test]
fn a_changed_logo_is_another_configuration() {
    let folder = TempDir::new().unwrap();
    let main = folder.path().join("smartgate.toml");
    std::fs::write(folder.path().join("logo.svg"), SVG).unwrap();
    std::fs::write(&main, "[pages]\nname = \"Klinik\"\nlogo = \"logo.svg\"\n").unwrap();
    let before = crate::config::attempt(&main).0;
    std::fs::write(folder.path().join("logo.svg"), SVG.replace("/>", "></svg>")).unwrap();
    let after = crate::config::attempt(&main).0;
    assert!(before.fingerprint != after.fingerprint && after.files().any(|it| it == folder.path().join("logo.svg")));
}

#[test]
fn links_stay_in_their_order() {
    let pages = load("links = { Impressum = \"https://k.example/i\", Datenschutz = \"mailto:d@k.example\" }").unwrap();
    let texts: Vec<&str> = pages.links.iter().map(|link| link.text.as_str()).collect();
    assert_eq!(texts, ["Impressum", "Datenschutz"]);
}

#[test]
fn what_is_wrong_is_told_with_what_would_be_right() {
    for (lines, says) in [
        (
            "color = \"#ffcc00\"",
            "has a contrast of 1.3 to the page, and text needs 4.5 (WCAG 2.2 AA); write a darker one",
        ),
        ("color = \"#0a5a85\"\ncolor_dark = \"#0a5a85\"", "write a lighter one, for example \"#"),
        ("color = \"blue\"", "is no colour"),
        ("color_dark = \"#82c7ef\"", "color: is missing"),
        ("name = \" \"", "is empty"),
        ("name = \"a\\nb\"", "control characters"),
        ("logo = \"logo.svg\"", "name: is missing"),
        ("name = \"x\"\nlogo = \"logo.gif\"", "neither a PNG nor an SVG"),
        ("name = \"x\"\nlogo = \"large.svg\"", "larger than 128 KiB"),
        ("name = \"x\"\nlogo = \"none.svg\"", "cannot be read"),
        ("name_in_logo = true", "there is no logo"),
        ("links = { a = \"javascript:alert(1)\" }", "is no link"),
        ("links = { a = \"http://k.example/\" }", "is no link"),
        ("languages = []", "is empty"),
        ("languages = [\"tlh\"]", "\"tlh\" is none of \"en\", \"de\""),
        ("languages = [\"de\", \"de\"]", "listed twice"),
        ("colour = \"#0a5a85\"", "there is no such key"),
    ] {
        let errors = load(lines).err().unwrap_or_default();
        assert!(errors.len() == 1 && errors[0].contains(says) && errors[0].contains("toml:"), "{lines}: {errors:?}");
    }
}

#[test]
fn the_colour_that_an_error_proposes_is_accepted() {
    for color in ["#ffcc00", "#00ff00", "#8a8a8a", "#ffffff"] {
        let errors = load(&format!("color = \"{color}\"")).err().unwrap();
        let (_, better) = errors[0].rsplit_once("for example \"").unwrap();
        assert!(load(&format!("color = \"{}\"", better.trim_end_matches('"'))).is_ok(), "{better}");
    }
}
