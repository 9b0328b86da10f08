use std::time::Duration;

use super::*;
use crate::config::Check;

fn health() -> Health {
    Health {
        check: Check::Connect,
        interval: Duration::from_secs(5),
        timeout: Duration::from_secs(1),
        rise: 2,
        fall: 3,
        failures: 2,
        out_for: Duration::from_secs(10),
    }
}

#[tokio::test(start_paused = true)]
async fn failures_in_a_row_open_it_and_one_request_at_a_time_tries_it() {
    let (circuit, health) = (Circuit::default(), health());
    assert!(!circuit.failed(&health));
    assert!(!circuit.answered(), "it never was out");
    assert!(!circuit.failed(&health), "not in a row");
    assert!(circuit.failed(&health));
    assert_eq!(circuit.standing(), Standing::Out);
    assert!(!circuit.take_trial(&health));
    tokio::time::advance(Duration::from_secs(10)).await;
    assert_eq!(circuit.standing(), Standing::Trial);
    assert!(circuit.take_trial(&health));
    assert_eq!(circuit.standing(), Standing::Out, "one trial at a time");
    assert!(!circuit.failed(&health), "it was out already");
    tokio::time::advance(Duration::from_secs(10)).await;
    assert!(circuit.take_trial(&health));
    assert!(circuit.answered());
    assert_eq!(circuit.standing(), Standing::In);
}

#[tokio::test(start_paused = true)]
async fn checks_in_a_row_take_it_out_and_bring_it_back() {
    let (circuit, health) = (Circuit::default(), health());
    for passed in [false, false, true, false, false] {
        assert!(!circuit.checked(passed, &health));
    }
    assert_eq!(circuit.standing(), Standing::In);
    assert!(circuit.checked(false, &health));
    assert_eq!(circuit.standing(), Standing::Out);
    circuit.answered();
    assert_eq!(circuit.standing(), Standing::Out, "checks are not overruled by an answer");
    assert!(!circuit.checked(true, &health));
    assert!(circuit.checked(true, &health));
    assert_eq!(circuit.standing(), Standing::In);
}
