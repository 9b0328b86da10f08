use super::*;

const NOW: Duration = Duration::from_secs(100);
const LATER: Duration = Duration::from_secs(160);
const STAMP: Stamp = Stamp { configuration: 1, clients: 1, keys: 1 };

#[test]
fn row_238_a_token_is_found_under_its_own_stamp_only() {
    let cache = TokenCache::new(100);
    cache.insert("token", STAMP, LATER, 7);
    assert_eq!(cache.get("token", STAMP, NOW), Some(7));
    assert_eq!(cache.get("token ", STAMP, NOW), None);
    assert_eq!(cache.get("token", Stamp { configuration: 2, ..STAMP }, NOW), None);
    assert_eq!(cache.get("token", Stamp { keys: 2, ..STAMP }, NOW), None);
    assert_eq!(cache.get("token", Stamp { clients: 2, ..STAMP }, NOW), None);
    cache.insert("token", Stamp { keys: 2, ..STAMP }, LATER, 8);
    assert_eq!(cache.get("token", STAMP, NOW), None);
    assert_eq!(cache.get("token", Stamp { keys: 2, ..STAMP }, NOW), Some(8));
}

#[test]
fn what_has_had_its_time_is_not_found() {
    let cache = TokenCache::new(100);
    cache.insert("token", STAMP, LATER, 7);
    assert_eq!(cache.get("token", STAMP, Duration::from_secs(159)), Some(7));
    assert_eq!(cache.get("token", STAMP, LATER), None);
}

#[test]
fn what_it_holds_is_bounded_in_bytes() {
    let cache = TokenCache::new(100);
    for n in 0..1000 {
        cache.insert(&format!("{n}{}", "x".repeat(10_000)), STAMP, LATER, n);
    }
    let held = (0..1000).filter(|n| cache.get(&format!("{n}{}", "x".repeat(10_000)), STAMP, NOW).is_some()).count();
    assert!(held * 10_000 <= 100 * ENTRY_BYTES, "{held}");
    assert!(held > 0, "long tokens are kept too");
}
