use std::num::NonZeroU32;

use super::*;

fn rate(per_second: u32, burst: u32) -> Rate {
    Rate { per_second: NonZeroU32::new(per_second).unwrap(), burst: NonZeroU32::new(burst).unwrap() }
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn a_burst_passes_and_then_the_rate() {
    let (bucket, rate) = (Bucket::default(), rate(10, 3));
    let now = millis(5000);
    assert!((0..3).all(|_| bucket.take(rate, now).is_ok()));
    assert_eq!(bucket.take(rate, now), Err(millis(100)));
    assert_eq!(bucket.take(rate, now + millis(99)), Err(millis(1)));
    assert_eq!(bucket.take(rate, now + millis(100)), Ok(()));
    assert_eq!(bucket.take(rate, now + millis(100)), Err(millis(100)));
    let later = now + millis(10_000);
    assert_eq!((0..10).filter(|_| bucket.take(rate, later).is_ok()).count(), 3, "what is not used is not saved up");
}

#[test]
fn refusals_cost_nothing() {
    let (bucket, rate) = (Bucket::default(), rate(1, 1));
    assert!(bucket.take(rate, millis(0)).is_ok());
    assert!((1..1000).all(|now| bucket.take(rate, millis(now)) == Err(millis(1000 - now))));
    assert!(bucket.take(rate, millis(1000)).is_ok());
}

#[test]
fn over_a_minute_no_more_pass_than_the_rate_and_its_burst() {
    let (bucket, rate) = (Bucket::default(), rate(7, 20));
    let passed = (0..60_000).filter(|now| bucket.take(rate, millis(*now)).is_ok()).count();
    assert!((7 * 60..=7 * 60 + 20).contains(&passed), "{passed}");
}

#[test]
fn a_clock_that_goes_back_harms_nobody() {
    let (bucket, rate) = (Bucket::default(), rate(1000, 1));
    assert!(bucket.take(rate, millis(10)).is_ok());
    assert!(bucket.take(rate, millis(9)).is_err());
    assert!(bucket.take(rate, millis(11)).is_ok());
}

#[test]
fn each_key_has_its_own_and_there_is_an_end_to_them() {
    let buckets = Buckets::<IpAddr>::new();
    let (rate, now) = (rate(1, 1), millis(0));
    let address = |n: u32| IpAddr::V4(n.into());
    for n in 0..200_000 {
        assert!(buckets.take(&address(n), || address(n), rate, now).is_ok(), "{n} was never seen");
    }
    assert!(buckets.0.len() <= MAX_BUCKETS, "{}", buckets.0.len());
    assert!(buckets.take(&address(199_999), || address(199_999), rate, now).is_err());
}

#[test]
fn clients_of_two_issuers_are_two() {
    let buckets = Buckets::<Client>::new();
    let take = |issuer, id| {
        let owned = || Client { issuer: Box::from(issuer), id: Box::from(id) };
        buckets.take(&ClientRef { issuer, id }, owned, rate(1, 1), millis(0)).is_ok()
    };
    assert!(take("https://a", "app") && !take("https://a", "app"));
    assert!(take("https://b", "app") && take("https://a", "app2"));
}
