use super::*;

#[test]
fn what_somebody_published_is_named_by_a_public_name() {
    for text in [
        "http://hl7.org/fhir/ValueSet/observation-status",
        "https://terminology.example.org:8443/cs",
        "HTTP://LOINC.ORG",
        "urn:oid:2.16.840.1.113883.6.1",
        "heart attack, data: of today",
        "8480-6",
        "",
    ] {
        let parts: Vec<&str> = text.split([',', '|']).map(str::trim).collect();
        assert!(parts.iter().all(|part| !leads_inside(part)), "{text}");
    }
}

#[test]
fn addresses_and_neighbours_are_places_to_fetch_from() {
    for text in [
        "http://169.254.169.254/latest/meta-data",
        "http://2852039166/",
        "http://0xa9fea9fe/",
        "http://0251.0376.0251.0376/",
        "http:169.254.169.254/x",
        "https:\\\\169.254.169.254\\x",
        "http://[::1]/",
        "http://[::ffff:169.254.169.254]/",
        "http://localhost:8080/",
        "http://localhost./",
        "http://LOCALHOST/",
        "http://fhir/",
        "http://kubernetes.default.svc.cluster.local/",
        "http://metadata.google.internal/",
        "http://hl7.org@169.254.169.254/",
        "http://user:pass@hl7.org/",
        "http://",
        "//169.254.169.254/x",
        "file:///etc/passwd",
        "JAR:http://x/y.jar!/",
        "ldap://a.example.org/x",
        "gopher://a.example.org/",
    ] {
        assert!(leads_inside(text), "{text}");
    }
}
