//! The steps themselves; nothing else is in this module, whose functions callgrind is told to count (`benches/counts/check`).

use super::{Bench, NOW, READ, SCOPE, SEARCH, data, parsed, stamp};
use crate::decide::decide_in_mode;
use crate::fhir::FhirVersion;
use crate::fhir::target::Target;
use crate::scope::Scopes;

/// A step; it returns something that depends on all of its work.
pub type Step = fn(&Bench) -> usize;

/// Every step by its name, in the order of a request.
pub const STEPS: [(&str, Step); 10] = [
    ("target", target),
    ("scopes", scopes),
    ("token", token),
    ("request", request),
    ("decide", decide),
    ("narrow", narrow),
    ("verify", verify),
    ("filter", filter),
    ("filter-large", filter_large),
    ("seal", seal),
];

/// Parses the target of a search.
#[inline(never)]
fn target(bench: &Bench) -> usize {
    Target::parse(SEARCH, bench.snapshot.limits.parameters).map_or(0, |target| target.query.len())
}

/// Parses the scopes of a token.
#[inline(never)]
fn scopes(_: &Bench) -> usize {
    Scopes::parse(FhirVersion::R4, SCOPE.split(' ')).fhir.len()
}

/// Finds a token in the warm cache, and that it is neither expired nor revoked.
#[inline(never)]
fn token(bench: &Bench) -> usize {
    match bench.tokens.get(&bench.token, stamp(&bench.snapshot), std::time::Duration::ZERO) {
        Some(grant) if grant.claims.expires > NOW && !bench.revocations.is_revoked(&grant.claims) => 1,
        _ => panic!("the token is not known"),
    }
}

/// Parses the target of a read and makes a request of it.
#[inline(never)]
fn request(bench: &Bench) -> usize {
    let target = Target::parse(READ, bench.snapshot.limits.parameters).ok();
    target.and_then(|target| parsed(&bench.snapshot, &target)).map_or(0, |(_, original)| original.len())
}

/// Decides a read under five scopes.
#[inline(never)]
fn decide(bench: &Bench) -> usize {
    decide_in_mode(&bench.snapshot, &bench.grant, &bench.read.request, NOW).map_or(0, |decided| decided.rule().len())
}

/// Decides a search, which narrows it to the patient.
#[inline(never)]
fn narrow(bench: &Bench) -> usize {
    decide_in_mode(&bench.snapshot, &bench.grant, &bench.search.request, NOW).map_or(0, |decided| decided.rule().len())
}

/// Verifies one resource of 468 bytes.
#[inline(never)]
fn verify(bench: &Bench) -> usize {
    bench.answer(&bench.read, &bench.resource)
}

/// Filters a Bundle of 50 entries, 45 kB.
#[inline(never)]
fn filter(bench: &Bench) -> usize {
    bench.answer(&bench.search_all, &bench.bundle)
}

/// Filters a Bundle of 1,000 entries.
#[inline(never)]
fn filter_large(bench: &Bench) -> usize {
    bench.answer(&bench.search_all, &bench.large)
}

/// Seals a page link.
#[inline(never)]
fn seal(bench: &Bench) -> usize {
    let pages = bench.guard.pages(&bench.snapshot, &bench.grant);
    let link = format!("{}/Observation?_getpages=0b8d2b8e&_getpagesoffset=50", data::UPSTREAM);
    pages.seal(&bench.search.original, &link).map_or(0, |url| url.len())
}
