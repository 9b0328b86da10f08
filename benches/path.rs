//! What one request costs the gate before and after it waits for the FHIR server: parsing on the way in, rewriting on the way
//! out. `cargo bench`; compare runs on one machine only.

#![expect(clippy::unwrap_used, reason = "a benchmark whose input is wrong should stop")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use smartgate::fhir::FhirVersion;
use smartgate::fhir::json::Json;
use smartgate::fhir::rewrite::{LinkSink, Place, RewriteError, Rewriter};
use smartgate::fhir::target::Target;
use smartgate::scope::Scopes;

const UPSTREAM: &str = "http://127.0.0.1:8090/fhir";

/// What a TCP read brings.
const CHUNK: usize = 16 * 1024;

/// A page of 50 Observations, about 45 kB, as servers print them without white space.
fn bundle() -> Vec<u8> {
    let entry = |n: usize| {
        format!(
            concat!(
                r#"{{"fullUrl":"{u}/Observation/{n}","resource":{{"resourceType":"Observation","id":"{n}","#,
                r#""meta":{{"versionId":"1","lastUpdated":"2026-01-01T00:00:00Z"}},"text":{{"status":"generated","#,
                r#""div":"<div xmlns=\"http://www.w3.org/1999/xhtml\"><p>Body weight 81.4 kg — gemessen</p></div>"}},"#,
                r#""status":"final","category":[{{"coding":[{{"system":"#,
                r#""http://terminology.hl7.org/CodeSystem/observation-category","code":"vital-signs"}}]}}],"#,
                r#""code":{{"coding":[{{"system":"http://loinc.org","code":"29463-7","display":"Body weight"}}]}},"#,
                r#""subject":{{"reference":"Patient/{n}"}},"encounter":{{"reference":"{u}/Encounter/{n}"}},"#,
                r#""effectiveDateTime":"2026-01-01T12:00:00+01:00","performer":[{{"reference":"Practitioner/1"}}],"#,
                r#""valueQuantity":{{"value":81.40,"unit":"kg","system":"http://unitsofmeasure.org","code":"kg"}}}},"#,
                r#""search":{{"mode":"match"}}}}"#
            ),
            u = UPSTREAM,
            n = n
        )
    };
    let entries: Vec<String> = (1000..1050).map(entry).collect();
    format!(
        r#"{{"resourceType":"Bundle","type":"searchset","link":[{{"relation":"next","url":"{UPSTREAM}?p=2"}}],"entry":[{}]}}"#,
        entries.join(",")
    )
    .into_bytes()
}

/// Moves URLs to the public base, as the gate does.
struct Moved;

impl LinkSink for Moved {
    fn link(&mut self, _: Place<'_>, url: &str) -> Result<Option<String>, RewriteError> {
        Ok(url.strip_prefix(UPSTREAM).map(|rest| format!("https://gate.example.org/fhir{rest}")))
    }

    fn entry_type(&mut self, _: &str) -> Result<(), RewriteError> {
        Ok(())
    }
}

fn rewrite(document: &[u8], out: &mut Vec<u8>) {
    out.clear();
    let mut rewriter = Rewriter::new(Moved);
    for chunk in document.chunks(CHUNK) {
        rewriter.push(chunk, out).unwrap();
    }
    rewriter.finish(out).unwrap();
}

fn way_in(c: &mut Criterion) {
    let scopes =
        "openid fhirUser launch/patient offline_access patient/*.rs patient/Observation.rs?category=laboratory";
    c.bench_function("scopes", |b| b.iter(|| Scopes::parse(FhirVersion::R4, black_box(scopes).split(' '))));
    let raw = "/fhir/Observation?patient=Patient%2FA&category=vital-signs&code=http://loinc.org%7C29463-7&_count=50&_sort=-date";
    c.bench_function("target", |b| b.iter(|| Target::parse(black_box(raw), 100).unwrap()));
}

fn way_out(c: &mut Criterion) {
    let document = bundle();
    let mut group = c.benchmark_group("bundle");
    group.throughput(Throughput::Bytes(document.len() as u64));
    let mut out = Vec::with_capacity(2 * document.len());
    group.bench_function("rewrite", |b| b.iter(|| rewrite(black_box(&document), &mut out)));
    group.bench_function("strict parse", |b| b.iter(|| Json::parse(black_box(&document), 64).unwrap()));
    // What neither can be faster than.
    group.bench_function("copy", |b| {
        b.iter(|| {
            out.clear();
            out.extend_from_slice(black_box(&document));
        });
    });
    group.finish();
}

criterion_group!(benches, way_in, way_out);
criterion_main!(benches);
