use super::*;

const STAMP: Stamp = Stamp { configuration: 1, clients: 1, keys: 1 };

#[test]
fn row_238_a_token_is_found_under_its_own_stamp_only() {
    let cache = TokenCache::new(100);
    cache.insert("token", STAMP, 7);
    assert_eq!(cache.get("token", STAMP), Some(7));
    assert_eq!(cache.get("token ", STAMP), None);
    assert_eq!(cache.get("token", Stamp { configuration: 2, ..STAMP }), None);
    assert_eq!(cache.get("token", Stamp { keys: 2, ..STAMP }), None);
    assert_eq!(cache.get("token", Stamp { clients: 2, ..STAMP }), None);
    cache.insert("token", Stamp { keys: 2, ..STAMP }, 8);
    assert_eq!(cache.get("token", STAMP), None);
    assert_eq!(cache.get("token", Stamp { keys: 2, ..STAMP }), Some(8));
}

#[test]
fn what_it_holds_is_bounded_in_bytes() {
    let cache = TokenCache::new(100);
    for n in 0..1000 {
        cache.insert(&format!("{n}{}", "x".repeat(10_000)), STAMP, n);
    }
    let held = (0..1000).filter(|n| cache.get(&format!("{n}{}", "x".repeat(10_000)), STAMP).is_some()).count();
    assert!(held * 10_000 <= 100 * ENTRY_BYTES, "{held}");
    assert!(held > 0, "long tokens are kept too");
}
