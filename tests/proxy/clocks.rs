//! The wall clock is set forwards or back while the gate runs (issue 6, faults).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::wire;
use crate::world::{BACKEND_SECRET, World};

const HOUR: i64 = 3600;

async fn own_token(world: &World) -> String {
    let basic = format!("Basic {}", STANDARD.encode(format!("backend:{BACKEND_SECRET}")));
    let headers = [
        ("Authorization".to_owned(), basic),
        ("Content-Type".to_owned(), "application/x-www-form-urlencoded".to_owned()),
    ];
    let form = b"grant_type=client_credentials&scope=system%2FObservation.rs";
    let answer = wire::send(world.address(), "POST", "/auth/token", &headers, form).await;
    answer.json()["access_token"].as_str().unwrap_or_else(|| panic!("{answer:?}")).to_owned()
}

async fn read(world: &World, token: &str) -> u16 {
    world.get(token, "/fhir/Observation/a1").await.status
}

#[tokio::test]
async fn a_clock_that_is_set_forwards_ends_tokens_and_set_right_nothing_is_lost() {
    let world = World::start("", "").await;
    let (own, foreign) = (own_token(&world).await, world.patient_token("patient/Observation.rs", "A"));
    for token in [&own, &foreign] {
        assert_eq!(read(&world, token).await, 200);
    }
    world.step(HOUR);
    for token in [&own, &foreign] {
        assert_eq!(read(&world, token).await, 401, "by this clock it has expired");
    }
    assert_eq!(read(&world, &own_token(&world).await).await, 200, "and new ones are good");
    world.step(-HOUR);
    for token in [&own, &foreign] {
        assert_eq!(read(&world, token).await, 200);
    }
}

#[tokio::test]
async fn a_clock_that_is_set_back_lets_the_cache_keep_nothing_longer() {
    let world = World::start("", "").await;
    let (own, foreign) = (own_token(&world).await, world.patient_token("patient/Observation.rs", "A"));
    for token in [&own, &foreign] {
        assert_eq!(read(&world, token).await, 200);
    }
    world.step(-HOUR);
    assert_eq!(read(&world, &own).await, 200, "what was verified stays so");
    assert_eq!(read(&world, &own_token(&world).await).await, 200, "and new ones are good");
    // Their time has passed, and they must be verified again: by this clock they are of the future.
    world.advance(HOUR / 2);
    for token in [&own, &foreign] {
        assert_eq!(read(&world, token).await, 401);
    }
}
