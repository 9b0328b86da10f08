use std::collections::HashMap;

use super::*;
use crate::telemetry::ReloadOutcome;

fn used() -> Metrics {
    let metrics = Metrics::new().unwrap();
    metrics.request("read", "permitted", PathTaken::Guard, Duration::from_micros(70), Some(Duration::from_millis(3)));
    metrics.refused("scope-missing");
    metrics.store("redeem_code", Duration::from_millis(4), false);
    metrics
}

fn value(rendered: &str, series: &str) -> Option<f64> {
    rendered.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

#[test]
fn what_happened_is_counted() {
    let metrics = used();
    metrics.request("read", "permitted", PathTaken::Guard, Duration::from_micros(70), None);
    metrics.removed(3);
    metrics.token_cache(true);
    metrics.login(LoginOutcome::Refused);
    metrics.token_issued(TokenGrant::AuthorizationCode);
    metrics.audit_shed();
    let text = metrics.render();
    for (series, expected) in [
        (r#"smartgate_requests_total{interaction="read",outcome="permitted",path="guard"}"#, 2.0),
        (r#"smartgate_gate_duration_seconds_bucket{path="guard",le="0.00005"}"#, 0.0),
        (r#"smartgate_gate_duration_seconds_bucket{path="guard",le="0.0001"}"#, 2.0),
        (r#"smartgate_upstream_duration_seconds_count{path="guard"}"#, 1.0),
        (r#"smartgate_refusals_total{rule="scope-missing"}"#, 1.0),
        ("smartgate_resources_removed_total", 3.0),
        (r#"smartgate_token_cache_requests_total{result="hit"}"#, 1.0),
        (r#"smartgate_logins_total{outcome="refused"}"#, 1.0),
        (r#"smartgate_tokens_issued_total{grant="authorization_code"}"#, 1.0),
        (r#"smartgate_store_operation_duration_seconds_count{operation="redeem_code"}"#, 1.0),
        (r#"smartgate_store_errors_total{operation="redeem_code"}"#, 1.0),
        ("smartgate_audit_lines_shed_total", 1.0),
    ] {
        assert_eq!(value(&text, series), Some(expected), "{series}\n{text}");
    }
}

#[test]
fn known_labels_are_there_from_the_start() {
    let text = Metrics::new().unwrap().render();
    for series in [
        r#"smartgate_reloads_total{outcome="rejected"}"#,
        r#"smartgate_reloads_total{outcome="needs_restart"}"#,
        r#"smartgate_logins_total{outcome="failure"}"#,
        r#"smartgate_tokens_issued_total{grant="client_credentials"}"#,
        r#"smartgate_token_cache_requests_total{result="miss"}"#,
        r#"smartgate_upstream_duration_seconds_count{path="stream"}"#,
        "smartgate_audit_lines_shed_total",
        "smartgate_requests_in_flight",
    ] {
        assert_eq!(value(&text, series), Some(0.0), "{series}");
    }
    assert_eq!(value(&text, "smartgate_config_last_reload_successful"), Some(1.0));
    assert_eq!(value(&text, r#"smartgate_enforcement_mode{mode="enforce"}"#), Some(1.0));
    let build = text.lines().find(|line| line.starts_with("smartgate_build_info{commit=")).unwrap();
    assert!(build.ends_with(concat!(r#"version=""#, env!("CARGO_PKG_VERSION"), r#""} 1"#)), "{build}");
}

#[test]
fn a_rejected_reload_shows_until_one_succeeds() {
    let metrics = Metrics::new().unwrap();
    let reload = |outcome| metrics.reload(Reload { outcome, at: 0, generation: 4, errors: Vec::new() });
    let successful = || value(&metrics.render(), "smartgate_config_last_reload_successful");
    reload(ReloadOutcome::Rejected);
    assert_eq!(successful(), Some(0.0));
    reload(ReloadOutcome::NeedsRestart);
    assert_eq!(successful(), Some(0.0));
    reload(ReloadOutcome::Unchanged);
    assert_eq!(successful(), Some(1.0));
    assert_eq!(value(&metrics.render(), "smartgate_config_generation"), Some(4.0));
}

#[test]
fn requests_in_flight_end_with_their_guard() {
    let metrics = Metrics::new().unwrap();
    let in_flight = || value(&metrics.render(), "smartgate_requests_in_flight");
    let (first, second) = (metrics.in_flight(), metrics.clone().in_flight());
    assert_eq!(in_flight(), Some(2.0));
    drop(first);
    assert_eq!(in_flight(), Some(1.0));
    drop(second);
    assert_eq!(in_flight(), Some(0.0));
}

/// What `promtool check metrics` looks at.
#[test]
fn names_follow_the_conventions() {
    let text = used().render();
    let types: HashMap<&str, &str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect();
    let helps: HashMap<&str, &str> =
        text.lines().filter_map(|line| line.strip_prefix("# HELP ")?.split_once(' ')).collect();
    assert!(types.len() > 15);
    for (name, kind) in types {
        assert!(name.starts_with("smartgate_") || name.starts_with("process_"), "{name}");
        assert!(helps.get(name).is_some_and(|help| help.ends_with('.')), "{name} has no help");
        assert_eq!(name.ends_with("_total"), kind == "counter", "{name} is a {kind}");
        assert_eq!(name.ends_with("_duration_seconds"), kind == "histogram", "{name} is a {kind}");
        assert!(!name.ends_with("_count") && !name.ends_with("_sum") && !name.ends_with("_bucket"), "{name}");
    }
}

#[test]
fn the_process_is_seen() {
    let text = used().render();
    for name in ["process_threads", "process_open_fds", "process_resident_memory_bytes", "process_start_time_seconds"] {
        assert!(value(&text, name).is_some_and(|value| value >= 1.0), "{name}");
    }
}
