//! FHIR bodies as servers print them: without white space, with their own base in every `fullUrl`.

/// The base that the configuration names as upstream.
pub const UPSTREAM: &str = "http://127.0.0.1:8090/fhir";

/// An Observation of 468 bytes.
pub fn resource() -> Vec<u8> {
    let mut text = String::from(concat!(
        r#"{"resourceType":"Observation","id":"1","meta":{"versionId":"1","lastUpdated":"2026-01-01T00:00:00Z"},"status":"final","#,
        r#""code":{"coding":[{"system":"http://loinc.org","code":"29463-7","display":"Body weight"}]},"#,
        r#""subject":{"reference":"Patient/amy"},"effectiveDateTime":"2026-01-01T12:00:00+01:00","#,
        r#""valueQuantity":{"value":81.40,"unit":"kg","system":"http://unitsofmeasure.org","code":"kg"},"note":[{"text":""#
    ));
    let end = "\"}]}";
    while text.len() + end.len() < 468 {
        text.push('-');
    }
    text.push_str(end);
    text.into_bytes()
}

/// A whole searchset of so many Observations, each about 900 bytes.
pub fn bundle(entries: usize) -> Vec<u8> {
    let entry = |n: usize| {
        format!(
            concat!(
                r#"{{"fullUrl":"{u}/Observation/{n}","resource":{{"resourceType":"Observation","id":"{n}","#,
                r#""meta":{{"versionId":"1","lastUpdated":"2026-01-01T00:00:00Z"}},"text":{{"status":"generated","#,
                r#""div":"<div xmlns=\"http://www.w3.org/1999/xhtml\"><p>Body weight 81.4 kg — gemessen</p></div>"}},"#,
                r#""status":"final","category":[{{"coding":[{{"system":"#,
                r#""http://terminology.hl7.org/CodeSystem/observation-category","code":"vital-signs"}}]}}],"#,
                r#""code":{{"coding":[{{"system":"http://loinc.org","code":"29463-7","display":"Body weight"}}]}},"#,
                r#""subject":{{"reference":"Patient/amy"}},"encounter":{{"reference":"{u}/Encounter/{n}"}},"#,
                r#""effectiveDateTime":"2026-01-01T12:00:00+01:00","performer":[{{"reference":"Practitioner/1"}}],"#,
                r#""valueQuantity":{{"value":81.40,"unit":"kg","system":"http://unitsofmeasure.org","code":"kg"}}}},"#,
                r#""search":{{"mode":"match"}}}}"#
            ),
            u = UPSTREAM,
            n = n
        )
    };
    let printed: Vec<String> = (1000..1000 + entries).map(entry).collect();
    format!(
        r#"{{"resourceType":"Bundle","type":"searchset","total":{entries},"link":[{{"relation":"self","url":"{UPSTREAM}/Observation?patient=amy"}}],"entry":[{}]}}"#,
        printed.join(",")
    )
    .into_bytes()
}
