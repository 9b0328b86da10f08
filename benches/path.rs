//! What one request costs the gate before and after it waits for the FHIR server: each step by itself, and what a Bundle costs
//! besides. `make bench`; compare runs on one machine only.

#![expect(clippy::unwrap_used, reason = "a benchmark whose input is wrong should stop")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use serde_json::Value;
use smartgate::benching::data::{UPSTREAM, bundle};
use smartgate::benching::{Bench, STEPS};
use smartgate::fhir::json::Document;
use smartgate::fhir::rewrite::{LinkSink, Place, RewriteError, Rewriter};

/// What a TCP read brings.
const CHUNK: usize = 16 * 1024;

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

fn steps(c: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::new(folder.path());
    let mut group = c.benchmark_group("step");
    for (name, step) in STEPS {
        match bench.bytes(name) {
            Some(bytes) => group.throughput(Throughput::Bytes(bytes as u64)),
            None => group.throughput(Throughput::Elements(1)),
        };
        group.bench_function(name, |b| b.iter(|| step(black_box(&bench))));
    }
    group.finish();
}

/// What filters through a tree: as a `serde_json::Value`, entries of one patient kept, printed again.
fn filter_as_value(document: &[u8]) -> Vec<u8> {
    let mut bundle: Value = serde_json::from_slice(document).unwrap();
    let entries = bundle.get_mut("entry").and_then(Value::as_array_mut).unwrap();
    let whose =
        |entry: &Value| entry.pointer("/resource/subject/reference").and_then(Value::as_str) == Some("Patient/amy");
    entries.retain(whose);
    serde_json::to_vec(&bundle).unwrap()
}

fn way_out(c: &mut Criterion) {
    let document = bundle(50);
    let mut group = c.benchmark_group("bundle");
    group.throughput(Throughput::Bytes(document.len() as u64));
    let mut out = Vec::with_capacity(2 * document.len());
    group.bench_function("rewrite", |b| b.iter(|| rewrite(black_box(&document), &mut out)));
    group.bench_function("filter as Value", |b| b.iter(|| filter_as_value(black_box(&document))));
    group.bench_function("strict parse", |b| b.iter(|| Document::parse(black_box(&document), 64).unwrap()));
    // What neither can be faster than.
    group.bench_function("copy", |b| {
        b.iter(|| {
            out.clear();
            out.extend_from_slice(black_box(&document));
        });
    });
    group.finish();
}

criterion_group!(benches, steps, way_out);
criterion_main!(benches);
