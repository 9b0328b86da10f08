//! Non-interference and completeness: whatever a restricted grant asks, the answer is the same to the byte whatever other
//! patients' data the FHIR server holds, and it has everything that the grant makes visible (enforcement.md §2.5, §2.9).
//!
//! `INTERFERENCE_SEED` runs one sequence again, `INTERFERENCE_REQUESTS` says how many requests each test makes, and
//! `INTERFERENCE_FINDINGS` after how many findings it stops.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "what does not hold in a test fails it"
)]

mod chart;
mod compare;
mod coverage;
mod dice;
mod gate;
mod grants;
mod linked;
mod model;
mod requests;
mod run;
mod server;
#[path = "../proxy/tokens.rs"]
mod tokens;
#[path = "../proxy/wire.rs"]
#[expect(dead_code, reason = "these tests keep their connections")]
mod wire;
mod worlds;

use compare::Campaign;

/// Requests of each of the tests below; `make test` asks for more.
const REQUESTS: usize = 1_250;

/// Sequences after which the next test's begin.
const APART: u64 = 1_000_000;

#[expect(clippy::disallowed_methods, reason = "a test is told by its environment what to repeat")]
fn told(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Stack of a campaign: client, gate and FHIR server share one thread here, and unoptimised futures are large.
const STACK: usize = 16 << 20;

fn campaign(number: u64) {
    let run = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(requests_of(number));
    };
    let thread = std::thread::Builder::new().stack_size(STACK).spawn(run).unwrap();
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

async fn requests_of(number: u64) {
    let mut campaign = Campaign::start().await;
    if let Some(seed) = told("INTERFERENCE_SEED") {
        campaign.trial(seed).await.unwrap_or_else(|found| panic!("{found}"));
        return;
    }
    let wanted = told("INTERFERENCE_REQUESTS").map_or(REQUESTS, |requests| usize::try_from(requests).unwrap());
    let patience = told("INTERFERENCE_FINDINGS").unwrap_or(1);
    let (mut seed, mut findings) = (number * APART, 0);
    while campaign.coverage.requests < wanted && findings < patience {
        seed += 1;
        if let Err(found) = campaign.trial(seed).await {
            findings += 1;
            println!("found after {} requests\n{found}", campaign.coverage.requests);
        }
    }
    campaign.coverage.print();
    assert_eq!(findings, 0, "differences, or resources that are missing");
    assert!((30..75).contains(&campaign.coverage.passed()), "about half of the requests pass");
}

#[test]
fn first_quarter() {
    campaign(1);
}

#[test]
fn second_quarter() {
    campaign(2);
}

#[test]
fn third_quarter() {
    campaign(3);
}

#[test]
fn last_quarter() {
    campaign(4);
}
