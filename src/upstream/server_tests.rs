use super::*;
use crate::fhir::AddressKey;

fn places(ports: &[u16]) -> Places {
    Places::of(ports.iter().map(|port| SocketAddr::from(([127, 0, 0, 1], *port))).collect(), Some(RESOLVED_FOR))
}

#[test]
fn places_take_turns_and_those_that_could_not_be_reached_come_last() {
    let places = places(&[1, 2, 3]);
    let orders: Vec<Vec<usize>> = (0..3).map(|_| places.in_turn().collect()).collect();
    assert_eq!(orders, [[0, 1, 2], [1, 2, 0], [2, 0, 1]]);
    places.unreached.store(0b010, Ordering::Relaxed);
    let orders: Vec<Vec<usize>> = (0..3).map(|_| places.in_turn().collect()).collect();
    assert_eq!(orders, [[0, 2, 1], [2, 0, 1], [2, 0, 1]]);
}

#[tokio::test]
async fn what_is_no_name_is_never_looked_up_again_and_a_name_is_when_nothing_is_reached() {
    let address = |host: &str, port| Address {
        base: format!("http://{host}:{port}"),
        authority: format!("{host}:{port}"),
        host: host.to_owned(),
        port,
        tls: false,
        base_path: String::new(),
        key: AddressKey::of(host),
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let literal = Arc::new(Server::new(&address("127.0.0.1", port), &UpstreamTls::default()).unwrap());
    assert!(literal.connect(RESOLVED_FOR).await.is_err());
    assert!(literal.places.load().as_ref().unwrap().are_fresh());
    let named = Arc::new(Server::new(&address("localhost", port), &UpstreamTls::default()).unwrap());
    assert!(named.connect(RESOLVED_FOR).await.is_err());
    assert!(!named.places.load().as_ref().unwrap().are_fresh(), "it may stand for another address now");
    let _listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    assert!(named.connect(RESOLVED_FOR).await.is_ok());
    assert!(named.places.load().as_ref().unwrap().are_fresh());
}
