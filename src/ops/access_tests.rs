use super::*;

const HERE: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));

fn ask(access: &Access, header: &str, now: UnixSeconds) -> Admission {
    access.admit(Some(&HeaderValue::from_str(header).unwrap()), &SecretString::from("sesame"), HERE, now)
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
    assert_eq!(access.admit(None, &SecretString::from("sesame"), HERE, 0), Admission::Asked);
}

#[test]
fn after_ten_wrong_tokens_there_is_a_pause_for_that_address() {
    let access = Access::default();
    assert!((0..10).all(|_| ask(&access, "Bearer guess", 100) == Admission::Wrong));
    assert_eq!(ask(&access, "Bearer sesame", 100), Admission::Paused(60), "the right one, too");
    let elsewhere = Some(IpAddr::from([10, 0, 0, 1]));
    let right = HeaderValue::from_static("Bearer sesame");
    assert_eq!(access.admit(Some(&right), &SecretString::from("sesame"), elsewhere, 100), Admission::Granted);
    assert_eq!(ask(&access, "Bearer guess", 160), Admission::Wrong);
    assert_eq!(ask(&access, "Bearer sesame", 219), Admission::Paused(1));
    assert_eq!(ask(&access, "Bearer sesame", 220), Admission::Granted);
    assert_eq!(ask(&access, "Bearer guess", 220), Admission::Wrong, "a right one wipes the slate");
}

#[test]
fn memory_is_bounded() {
    let access = Access::default();
    let wrong = HeaderValue::from_static("Bearer guess");
    for n in 0..3000u32 {
        access.admit(Some(&wrong), &SecretString::from("sesame"), Some(IpAddr::from(n.to_be_bytes())), 0);
    }
    assert!(access.failures.lock().len() <= MAX_ADDRESSES);
}
