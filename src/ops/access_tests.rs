use super::*;

const HERE: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));

fn ask(access: &Access, header: &str, now: u64) -> Admission {
    access.admit(
        Some(&HeaderValue::from_str(header).unwrap()),
        &SecretString::from("sesame"),
        HERE,
        Duration::from_secs(now),
    )
}

#[test]
fn the_token_is_a_bearer_token_or_a_password() {
    let access = Access::default();
    let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
    for right in ["Bearer sesame", "bearer sesame", &basic("anybody:sesame"), &basic(":sesame")] {
        assert_eq!(ask(&access, right, 0), Admission::Granted, "{right}");
    }
    for wrong in ["Bearer Sesame", "Bearer sesame2", &basic("sesame:"), &basic("a:sesame:b")] {
        assert_eq!(ask(&access, wrong, 0), Admission::Wrong, "{wrong}");
    }
    for none in ["sesame", "Digest sesame", "Basic !", &basic("sesame")] {
        assert_eq!(ask(&access, none, 0), Admission::Asked, "{none}");
    }
    assert_eq!(access.admit(None, &SecretString::from("sesame"), HERE, Duration::ZERO), Admission::Asked);
}

#[test]
fn after_ten_wrong_tokens_there_is_a_pause_for_that_address() {
    let access = Access::default();
    assert!((0..10).all(|_| ask(&access, "Bearer guess", 100) == Admission::Wrong));
    assert_eq!(ask(&access, "Bearer sesame", 100), Admission::Paused(Duration::from_secs(60)), "the right one, too");
    let elsewhere = Some(IpAddr::from([10, 0, 0, 1]));
    let right = HeaderValue::from_static("Bearer sesame");
    assert_eq!(
        access.admit(Some(&right), &SecretString::from("sesame"), elsewhere, Duration::from_secs(100)),
        Admission::Granted
    );
    assert_eq!(ask(&access, "Bearer guess", 160), Admission::Wrong);
    assert_eq!(ask(&access, "Bearer sesame", 219), Admission::Paused(Duration::from_secs(1)));
    assert_eq!(ask(&access, "Bearer sesame", 220), Admission::Granted);
    assert_eq!(ask(&access, "Bearer guess", 220), Admission::Wrong, "a right one wipes the slate");
}

#[test]
fn whoever_has_a_network_has_no_more_guesses() {
    let (access, wrong) = (Access::default(), HeaderValue::from_static("Bearer guess"));
    let guess = |host: u16| {
        let address = IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, host]);
        access.admit(Some(&wrong), &SecretString::from("sesame"), Some(address), Duration::ZERO)
    };
    assert!((0..10).all(|host| guess(host) == Admission::Wrong));
    assert_eq!(guess(10), Admission::Paused(PAUSE));
}

#[test]
fn memory_is_bounded() {
    let access = Access::default();
    let wrong = HeaderValue::from_static("Bearer guess");
    for n in 0..3000u32 {
        access.admit(Some(&wrong), &SecretString::from("sesame"), Some(IpAddr::from(n.to_be_bytes())), Duration::ZERO);
    }
    assert!(access.failures.lock().len() <= MAX_ADDRESSES);
}
