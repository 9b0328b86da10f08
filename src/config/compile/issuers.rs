//! `[[issuers]]`: other authorization servers whose tokens are accepted.

use std::time::Duration;

use jsonwebtoken::Algorithm;

use super::introspection::{Prefixes, introspection};
use super::keys::{Candidate, KEYS, key_source};
use super::{Named, scopes};
use crate::config::document::Found;
use crate::config::table::Table;
use crate::config::typed::OneOrMany;
use crate::config::{ClaimNames, Introspection, Issuer, KeySource, ScopeForm, TokenType, value};
use crate::fhir::FhirVersion;

const DEFAULT_LEEWAY: Duration = Duration::from_secs(30);
const MAX_LEEWAY: Duration = Duration::from_secs(5 * 60);

const ALGORITHMS: [(&str, Algorithm); 9] = [
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
    ("PS256", Algorithm::PS256),
    ("PS384", Algorithm::PS384),
    ("PS512", Algorithm::PS512),
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("EdDSA", Algorithm::EdDSA),
];
const DEFAULT_ALGORITHMS: [Algorithm; 4] = [Algorithm::RS256, Algorithm::RS384, Algorithm::ES256, Algorithm::ES384];

pub(super) fn issuer<'a>(
    table: &mut Table<'a>,
    version: FhirVersion,
    own: Option<&str>,
    prefixes: &Prefixes,
) -> Named<'a, Issuer> {
    let name = table.required("issuer", "\"https://idp.example.org\"");
    let allow_http = table.flag("allow_http", false);
    let checked = name.clone().and_then(|found| found.parse(|text| identifier(text, own)));
    let audience = audience(table);
    let sources = sources(table, name.clone().filter(|_| checked.is_some()), allow_http, prefixes);
    let algorithms = algorithms(table);
    let scopes = scopes::scopes(table, version);
    let token_types = [("at+jwt", TokenType::AtJwt), ("jwt", TokenType::Jwt)];
    let token_type = table.choice("token_type", TokenType::AtJwt, &token_types);
    let leeway = table.duration("leeway", DEFAULT_LEEWAY, Duration::ZERO..=MAX_LEEWAY);
    let claims = table.table("claims").map(claims).unwrap_or_default();
    let require = table.open_table("require");
    let require =
        require.into_iter().filter_map(|(name, value)| Some((name.parse(claim)?, value.it.to_owned()))).collect();
    let origins = scopes::origins(table.texts("origins").unwrap_or_default());
    let issuer = || {
        let (keys, introspection) = sources?;
        Some(Issuer {
            issuer: checked?,
            audience: audience?,
            keys,
            introspection,
            algorithms,
            scopes: scopes?,
            token_type,
            leeway,
            claims,
            require,
            origins,
        })
    };
    (name, issuer())
}

/// The `iss` of its tokens (RFC 8414 §2: an https URL without query and fragment), compared exactly.
fn identifier(text: &str, own: Option<&str>) -> Result<String, String> {
    value::http_url(text, "https://idp.example.org")?;
    if own == Some(text) {
        return Err(format!("{text:?} is the gate itself (public_url), whose tokens it knows; leave it out"));
    }
    Ok(text.to_owned())
}

/// An empty one would accept tokens that are for others.
fn audience(table: &mut Table<'_>) -> Option<Vec<String>> {
    let example = "[\"https://gate.example.org/fhir\"]";
    let list = table.required_texts("audience", example);
    let audience: Vec<String> = list.into_iter().filter_map(|found| found.parse(filled)).collect();
    (!audience.is_empty()).then_some(audience)
}

/// Where its keys are and how it is asked: one of them, or both.
fn sources<'a>(
    table: &mut Table<'a>,
    name: Option<Found<'a, &'a str>>,
    allow_http: bool,
    prefixes: &Prefixes,
) -> Option<(Option<KeySource>, Option<Introspection>)> {
    let document = || name.clone().and_then(|name| name.parse(|text| value::key_url(text, allow_http)));
    let discovery = table.flag("discovery", false).then(|| Candidate {
        key: "discovery",
        place: table.place("discovery"),
        source: document().map(KeySource::Discovery),
    });
    let asked = table.table("introspection").map(|asked| introspection(asked, allow_http, prefixes));
    let by_document = discovery.is_none() && matches!(&asked, Some(Some(asked)) if asked.url.is_none());
    let is_found = !by_document || document().is_some();
    let has_keys = discovery.is_some() || KEYS.iter().any(|key| table.has(key));
    let keys = match asked.is_some() && !has_keys {
        true => Some(None),
        false => key_source(table, allow_http, discovery).map(Some),
    };
    // What is there and wrong is not the same as what is not there.
    let asked = match asked {
        Some(asked) => Some(asked?),
        None => None,
    };
    keys.zip(is_found.then_some(asked))
}

fn algorithms(table: &mut Table<'_>) -> Vec<Algorithm> {
    let list = table.choices("algorithms", &DEFAULT_ALGORITHMS, &ALGORITHMS);
    list.into_iter().map(|found| found.it).collect()
}

fn claims(mut table: Table<'_>) -> ClaimNames {
    let mut names = ClaimNames::default();
    #[cfg(test)]
    table.note("scope", |asked| asked.default = Some(format!("{:?}", names.scope.join(" "))));
    match table.one_or_many("scope") {
        Some(OneOrMany::One(name)) => names.scope = name.parse(claim).into_iter().collect(),
        Some(OneOrMany::Many(place, list)) => {
            if list.is_empty() {
                place.wrong("is empty; leave it out");
            }
            names.scope = list.into_iter().filter_map(|name| name.parse(claim)).collect();
        }
        None => {}
    }
    names.scope_prefix = table.text("scope_prefix").and_then(|prefix| prefix.parse(filled));
    names.scope_form =
        table.choice("scope_form", ScopeForm::Smart, &[("smart", ScopeForm::Smart), ("dotted", ScopeForm::Dotted)]);
    for (key, name) in [
        ("patient", &mut names.patient),
        ("encounter", &mut names.encounter),
        ("fhir_user", &mut names.fhir_user),
        ("client", &mut names.client),
    ] {
        let default = std::mem::take(name);
        *name = table.text_or(key, &default).and_then(|found| found.parse(claim)).unwrap_or(default);
    }
    table.finish();
    names
}

/// The name of a claim, or a JSON Pointer to it.
fn claim(name: &str) -> Result<String, String> {
    let escapes = name.split('~').skip(1);
    if name.starts_with('/') && escapes.into_iter().any(|rest| !rest.starts_with(['0', '1'])) {
        return Err(format!("{name:?} is no JSON Pointer; in one, ~ is written ~0 and / in a name ~1"));
    }
    filled(name)
}

pub(super) fn filled(text: &str) -> Result<String, String> {
    if text.is_empty() { Err("is empty; leave it out".to_owned()) } else { Ok(text.to_owned()) }
}
