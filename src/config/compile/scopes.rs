//! Lists of scopes: in a configuration, a scope that would grant nothing is a mistake.

use crate::config::document::Found;
use crate::config::table::Table;
use crate::config::value;
use crate::fhir::FhirVersion;
use crate::scope::Scopes;

/// Scopes that say nothing about FHIR resources (SMART App Launch 2.2 scopes-and-launch-context).
const OTHERS: [&str; 6] = ["openid", "fhirUser", "profile", "launch", "offline_access", "online_access"];

/// `scopes`, which must be there and not empty.
pub(super) fn scopes(table: &mut Table<'_>, version: FhirVersion) -> Option<Scopes> {
    let list = table.required_texts("scopes", "[\"patient/*.rs\"]");
    let count = list.len();
    let right: Vec<&str> =
        list.into_iter().filter_map(|scope| scope.parse(|text| check(version, text).map(|()| text))).collect();
    (count > 0 && right.len() == count).then(|| Scopes::parse(version, right))
}

fn check(version: FhirVersion, text: &str) -> Result<(), String> {
    // RFC 6749 §3.3: scope-token.
    let token = |byte: u8| byte.is_ascii_graphic() && !b"\"\\".contains(&byte);
    if text.is_empty() || !text.bytes().all(token) {
        return Err(format!("{text:?} is not one scope; write each in quotes of its own"));
    }
    let parsed = Scopes::parse(version, [text]);
    if let Some((_, why)) = parsed.rejected.first() {
        return Err(format!("{text:?} would grant nothing: {why}; write for example \"patient/Observation.rs\""));
    }
    let known = |text: &str| OTHERS.contains(&text) || text.starts_with("launch/") || text.starts_with("__");
    if !parsed.other.iter().all(|scope| known(scope) || scope.contains("://")) {
        return Err(format!(
            "{text:?} is no scope of SMART; write for example \"patient/*.rs\", or one of {}, launch/patient",
            OTHERS.join(", ")
        ));
    }
    Ok(())
}

/// `origins`, each as a browser sends it.
pub(super) fn origins(list: Vec<Found<'_, &str>>) -> Vec<String> {
    let example = "https://app.example.org";
    list.into_iter().filter_map(|found| found.parse(|text| value::origin(text, example))).collect()
}
