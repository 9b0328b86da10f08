//! References: compared as type, id and base, never by their ending (FHIR R4 references.html#literal).

/// Longest id (FHIR R4 datatypes.html#id).
pub const MAX_ID: usize = 64;

/// A literal reference to a resource of this server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Literal<'a> {
    pub resource_type: &'a str,
    pub id: &'a str,
}

/// Whether `text` is an id: `[A-Za-z0-9\-.]{1,64}`, and no dot segment, which would lead out of its type (RFC 3986 §5.2.4).
pub fn is_id(text: &str) -> bool {
    (1..=MAX_ID).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'))
        && !matches!(text, "." | "..")
}

impl<'a> Literal<'a> {
    /// Reads `Type/id`, `Type/id/_history/version`, or either behind one of `bases` and a slash; one base may lie within another.
    ///
    /// Logical, conditional, contained and foreign references are `None`: they never say whose a resource is.
    pub fn parse(text: &'a str, bases: &[&str]) -> Option<Self> {
        let below = |base: &&str| text.strip_prefix(*base)?.strip_prefix('/');
        std::iter::once(text).chain(bases.iter().filter_map(below)).find_map(Self::relative)
    }

    fn relative(text: &'a str) -> Option<Self> {
        let slash = text.bytes().position(|byte| byte == b'/')?;
        let (resource_type, rest) = (text.get(..slash)?, text.get(slash + 1..)?);
        let id = match rest {
            id if is_id(id) => id,
            _ => rest.split_once("/_history/").filter(|(id, version)| is_id(id) && is_id(version))?.0,
        };
        let is_type = resource_type.starts_with(|c: char| c.is_ascii_uppercase())
            && resource_type.bytes().all(|b| b.is_ascii_alphabetic());
        is_type.then_some(Self { resource_type, id })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASES: [&str; 2] = ["http://u:8080/fhir", "https://p/fhir"];

    #[test]
    fn literal_forms_are_one_reference() {
        let expected = Some(Literal { resource_type: "Patient", id: "A" });
        for text in
            ["Patient/A", "Patient/A/_history/3", "http://u:8080/fhir/Patient/A", "https://p/fhir/Patient/A/_history/1"]
        {
            assert_eq!(Literal::parse(text, &BASES), expected, "{text}");
        }
    }

    #[test]
    fn a_base_within_another_is_a_base_of_its_own() {
        let expected = Some(Literal { resource_type: "Patient", id: "A" });
        for bases in [["https://p/fhir", "https://p/fhir/r4"], ["https://p/fhir/r4", "https://p/fhir"]] {
            for text in
                ["https://p/fhir/Patient/A", "https://p/fhir/r4/Patient/A", "https://p/fhir/r4/Patient/A/_history/2"]
            {
                assert_eq!(Literal::parse(text, &bases), expected, "{text} {bases:?}");
            }
            assert_eq!(Literal::parse("https://p/fhir/r5/Patient/A", &bases), None);
        }
    }

    #[test]
    fn other_forms_say_nothing() {
        for text in [
            "A",
            "#A",
            "patient/A",
            "Patient?identifier=x",
            "Patient/",
            "Patient/A/",
            "Patient/A/_history",
            "Patient/A/_history/",
            "Patient/A/x/y",
            "/Patient/A",
            "urn:uuid:1",
            "http://other/fhir/Patient/A",
            "http://u:8080/fhir2/Patient/A",
            "http://u:8080/fhirPatient/A",
            "Patient/A B",
            "Patient/../B",
            "Patient/.",
            "Patient/..",
            "Patient/A/_history/..",
            "",
        ] {
            assert_eq!(Literal::parse(text, &BASES), None, "{text}");
        }
        assert_eq!(Literal::parse(&format!("Patient/{}", "a".repeat(65)), &BASES), None);
    }
}
