use super::*;

fn line(id: &str, decision: &str, rule: &str, client: &str) -> Vec<u8> {
    format!(
        "{{\"kind\":\"decision\",\"time\":\"2026-11-26T03:00:00Z\",\"request_id\":\"{id}\",\"client\":\"{client}\",\"decision\":\"{decision}\",\"rule\":\"{rule}\"}}\n"
    )
    .into_bytes()
}

fn ids(recent: &Recent, id: &str) -> Vec<String> {
    recent.of_request(id).iter().map(ToString::to_string).collect()
}

#[test]
fn every_line_of_a_request_is_found_as_it_was_written() {
    let recent = Recent::new(10_000);
    recent.keep(line("one", "permit", "own-patient", "app"));
    recent.keep(line("two", "refuse", "scope-missing", "app"));
    recent.keep(line("two", "refuse", "not-found-or-not-yours", "app"));
    let found = ids(&recent, "two");
    assert_eq!(found.len(), 2);
    assert_eq!(format!("{}\n", found[0]).into_bytes(), line("two", "refuse", "scope-missing", "app"));
    assert!(ids(&recent, "tw").is_empty());
    assert!(ids(&recent, "").is_empty());
}

#[test]
fn an_id_in_another_value_is_not_the_requests() {
    let recent = Recent::new(10_000);
    recent.keep(line("one", "refuse", "a\\\",\\\"request_id\\\":\\\"two", "two"));
    assert!(ids(&recent, "two").is_empty());
    assert_eq!(ids(&recent, "one").len(), 1);
}

#[test]
fn memory_is_bounded_by_bytes() {
    let size = line("1000", "permit", "public", "app").len();
    let recent = Recent::new(3 * size + 1);
    for id in 1000..1010 {
        recent.keep(line(&id.to_string(), "permit", "public", "app"));
    }
    recent.keep(vec![b'x'; 4 * size]);
    assert_eq!(recent.held(), 3);
    assert!(ids(&recent, "1006").is_empty());
    assert_eq!(ids(&recent, "1009").len(), 1);
    recent.hold(size);
    assert_eq!(recent.held(), 1);
    let nothing = Recent::new(0);
    nothing.keep(line("1000", "permit", "public", "app"));
    assert_eq!(nothing.held(), 0);
}

#[test]
fn refusals_are_counted_by_rule_and_by_client() {
    let recent = Recent::new(100_000);
    assert_eq!(recent.refusals(), Refusals::default());
    for (decision, rule, client) in [
        ("permit", "own-patient", "app"),
        ("refuse", "scope-missing", "app"),
        ("refuse", "token-refused", "other"),
        ("refuse", "scope-missing", "other"),
        ("refuse", "scope-missing", "other"),
    ] {
        recent.keep(line("x", decision, rule, client));
    }
    recent.keep(br#"{"request_id":"x","time":"t","decision":"refuse","rule":"scope-missing","entry":0}"#.to_vec());
    let refusals = recent.refusals();
    assert_eq!(refusals.by_rule, [("scope-missing".to_owned(), 3), ("token-refused".to_owned(), 1)]);
    assert_eq!(refusals.by_client, [("other".to_owned(), 3), ("app".to_owned(), 1)]);
    assert_eq!(refusals.since.as_deref(), Some("2026-11-26T03:00:00Z"));
}

#[test]
fn the_tables_have_an_end() {
    let recent = Recent::new(1_000_000);
    for client in 0..100 {
        recent.keep(line("x", "refuse", "scope-missing", &client.to_string()));
    }
    let refusals = recent.refusals();
    assert_eq!((refusals.by_client.len(), refusals.latest.len()), (ROWS, ROWS));
    assert_eq!(refusals.latest[0].client.as_deref(), Some("99"), "the newest first");
}
