//! `[brands]`: the User-Access Brands bundle, held against the rules for who publishes one (SMART App Launch 2.2 brands,
//! "Conformance Overview").

use sha2::{Digest as _, Sha256};

use crate::config::table::Table;
use crate::config::{BrandIdentifier, Brands};
use crate::fhir::json::{Document, Json, MAX_DEPTH, Value};

const PORTAL: &str = "http://hl7.org/fhir/StructureDefinition/organization-portal";
const DATA_ABSENT_REASON: &str = "http://hl7.org/fhir/StructureDefinition/data-absent-reason";

/// The only reasons that the specification allows.
const REASONS: [&str; 2] = ["asked-declined", "asked-unknown"];

const EXAMPLE: &str = "{ system = \"urn:ietf:rfc:3986\", value = \"https://clinic.example.org\" }";

/// Reads the section; `base` is the FHIR base for apps.
pub(super) fn brands(root: &mut Table<'_>, base: Option<&str>) -> Option<Brands> {
    let is_there = root.has("brands");
    let mut table = root.section("brands");
    if !is_there {
        return None;
    }
    let (has_identifier, place) = (table.has("identifier"), table.place("identifier"));
    let identifier = table.table("identifier").and_then(identifier);
    let document = place.document;
    let file = table.required("bundle", "\"brands.json\"").and_then(|found| {
        let path = document.folder().join(found.it);
        let bytes = found.parse(|_| document.reading.bytes(&path))?;
        Some((path, bytes))
    });
    table.finish();
    let (path, bytes) = file?;
    let wrong = |what: String| document.reading.problem(&path, None, what);
    let json = Document::parse(&bytes, MAX_DEPTH).map_err(|error| wrong(format!("is no FHIR Bundle: {error}"))).ok()?;
    let contents = Contents::of(json.root());
    contents.wrong.iter().cloned().for_each(wrong);
    let fitting = match &identifier {
        Some(identifier) => contents.named(identifier),
        None => contents.brands.iter().collect(),
    };
    match (fitting.as_slice(), &identifier) {
        ([primary], _) => contents.unreferenced(primary).into_iter().for_each(wrong),
        (found, Some(_)) => place.wrong(format!(
            "fits {} identifiers of the organizations in {}; write one that fits exactly one",
            found.len(),
            path.display()
        )),
        (_, None) if !has_identifier && contents.brands.len() > 1 => {
            place.wrong(format!(
                "is missing, and the bundle has several brands; write for example identifier = {EXAMPLE}"
            ));
        }
        (_, None) => {}
    }
    let names_this_server = contents.endpoints.iter().any(|endpoint| endpoint.address == base);
    let digest: String = Sha256::digest(&bytes).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    Some(Brands { tag: format!("W/\"{digest}\""), bundle: bytes.into(), identifier, names_this_server })
}

fn identifier(mut table: Table<'_>) -> Option<BrandIdentifier> {
    let system = table.text("system").map(|found| found.it.to_owned());
    let value = table.required("value", "\"https://clinic.example.org\"").map(|found| found.it.to_owned());
    table.finish();
    Some(BrandIdentifier { system, value: value? })
}

/// What matters of a bundle, and what is wrong with it.
struct Contents<'j> {
    brands: Vec<Brand<'j>>,
    endpoints: Vec<Endpoint<'j>>,
    wrong: Vec<String>,
}

/// An Organization.
struct Brand<'j> {
    /// For messages.
    name: String,
    /// System and value.
    identifiers: Vec<(Option<&'j str>, &'j str)>,
    /// References to endpoints, its portals' too.
    endpoints: Vec<&'j str>,
}

struct Endpoint<'j> {
    /// What it is referred to by.
    names: [Option<String>; 2],
    /// Without a trailing slash.
    address: Option<&'j str>,
}

impl<'j> Contents<'j> {
    fn of(bundle: Json<'j>) -> Self {
        let mut contents = Self { brands: Vec::new(), endpoints: Vec::new(), wrong: Vec::new() };
        if text(bundle, "resourceType") != Some("Bundle") || text(bundle, "type") != Some("collection") {
            contents.wrong.push(
                "is no collection; write a Bundle with \"resourceType\": \"Bundle\", \"type\": \"collection\""
                    .to_owned(),
            );
        }
        if !text(bundle, "timestamp").is_some_and(is_instant) {
            contents.wrong.push(
                "`timestamp` is missing or no instant; write when the contents were last changed: \"2026-01-31T12:00:00Z\""
                    .to_owned(),
            );
        }
        for (index, entry) in bundle.list("entry").enumerate() {
            contents.add(index, entry);
        }
        if contents.brands.is_empty() {
            contents.wrong.push("has no Organization; write one for each brand that people know you by".to_owned());
        }
        for brand in &contents.brands {
            for reference in brand.endpoints.iter().filter(|it| !contents.endpoints.iter().any(|one| one.is(it))) {
                contents.wrong.push(format!(
                    "{} refers to `{reference}`, which is not in the bundle; add that Endpoint, or take the reference out",
                    brand.name
                ));
            }
        }
        absent_reasons(bundle, &mut contents.wrong);
        contents
    }

    fn add(&mut self, index: usize, entry: Json<'j>) {
        let Some(resource) = entry.get("resource") else {
            self.wrong.push(format!("entry[{index}] is neither an Organization nor an Endpoint; take it out"));
            return;
        };
        let (of, id) = (text(resource, "resourceType").unwrap_or_default(), text(resource, "id"));
        let name = id.map_or_else(|| format!("entry[{index}]"), |id| format!("{of}/{id}"));
        match of {
            "Organization" => {
                if text(resource, "name").is_none() {
                    self.wrong.push(format!("{name} has no `name`; write what people call it"));
                }
                let identifiers = resource.list("identifier");
                self.brands.push(Brand {
                    name,
                    identifiers: identifiers.filter_map(|it| Some((text(it, "system"), text(it, "value")?))).collect(),
                    endpoints: endpoints(resource),
                });
            }
            "Endpoint" => {
                let address = text(resource, "address").map(|address| address.trim_end_matches('/'));
                if address.is_none() {
                    self.wrong.push(format!("{name} has no `address`; write its FHIR base URL"));
                }
                let names = [id.map(|_| name), text(entry, "fullUrl").map(str::to_owned)];
                self.endpoints.push(Endpoint { names, address });
            }
            // Everybody can read it.
            _ => self.wrong.push(format!("{name} is neither an Organization nor an Endpoint; take it out")),
        }
    }

    /// The brands that `identifier` fits, once for each of their identifiers.
    fn named(&self, identifier: &BrandIdentifier) -> Vec<&Brand<'j>> {
        let fits = |(system, value): &&(Option<&str>, &str)| {
            *value == identifier.value && (identifier.system.is_none() || *system == identifier.system.as_deref())
        };
        let of = |brand: &Brand<'j>| brand.identifiers.iter().filter(fits).count();
        self.brands.iter().flat_map(|brand| std::iter::repeat_n(brand, of(brand))).collect()
    }

    /// What is wrong because the primary brand does not refer to each endpoint.
    fn unreferenced(&self, primary: &Brand<'_>) -> Vec<String> {
        let left_out = self.endpoints.iter().filter(|endpoint| !primary.endpoints.iter().any(|it| endpoint.is(it)));
        left_out
            .map(|endpoint| {
                let name = endpoint.names.iter().flatten().next().map_or("an Endpoint", String::as_str);
                format!("{name} is no endpoint of the primary brand, {}; write it into its `endpoint`", primary.name)
            })
            .collect()
    }
}

impl Endpoint<'_> {
    fn is(&self, reference: &str) -> bool {
        self.names.iter().flatten().any(|name| name == reference)
    }
}

/// References to the endpoints of an Organization and of its portals.
fn endpoints<'j>(organization: Json<'j>) -> Vec<&'j str> {
    let own = organization.list("endpoint");
    let portals = organization.list("extension").filter(|it| text(*it, "url") == Some(PORTAL));
    let parts = portals.flat_map(|portal| portal.list("extension"));
    let of_portals = parts.filter(|part| text(*part, "url") == Some("portalEndpoint"));
    own.chain(of_portals.filter_map(|part| part.get("valueReference"))).filter_map(|it| text(it, "reference")).collect()
}

/// Reports each Data Absent Reason that the specification does not allow, wherever it stands.
fn absent_reasons(json: Json<'_>, wrong: &mut Vec<String>) {
    match json.value() {
        Value::Array(elements) => elements.for_each(|element| absent_reasons(element, wrong)),
        Value::Object(members) => {
            let reason = text(json, "valueCode").unwrap_or_default();
            if text(json, "url") == Some(DATA_ABSENT_REASON) && !REASONS.contains(&reason) {
                wrong.push(format!(
                    "{reason:?} is no Data Absent Reason for a brand; write one of {}",
                    REASONS.join(", ")
                ));
            }
            members.for_each(|(_, value)| absent_reasons(value, wrong));
        }
        _ => {}
    }
}

/// FHIR R4 datatypes.html#instant: a date, a time and an offset.
fn is_instant(text: &str) -> bool {
    text.get(10..11) == Some("T") && !text.contains('[') && text.parse::<jiff::Timestamp>().is_ok()
}

fn text<'j>(json: Json<'j>, member: &str) -> Option<&'j str> {
    json.get(member).and_then(Json::as_str)
}

#[cfg(test)]
#[path = "brands_tests.rs"]
mod tests;
