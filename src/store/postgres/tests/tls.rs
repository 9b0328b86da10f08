//! Each `sslmode`, against a server with a certificate for `localhost`.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

fn authority() -> Vec<u8> {
    std::fs::read(told("SMARTGATE_TEST_POSTGRES_CA")).unwrap()
}

fn settings(database: &Database, host: &str, tls: StoreTls, ca: Option<Vec<u8>>) -> Postgres {
    let from = &database.settings;
    let mut config = Config::new();
    config.host(host).port(from.config.get_ports()[0]).user(from.config.get_user().unwrap()).dbname(database.name());
    Postgres { config, tls, ca, ..from.clone() }
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_connection_is_as_safe_as_it_was_asked_to_be() {
    let database = Database::new().await;
    for (host, tls, ca, encrypted) in [
        ("localhost", StoreTls::VerifyFull, Some(authority()), true),
        ("localhost", StoreTls::Require, Some(authority()), true),
        ("127.0.0.1", StoreTls::Require, None, true),
        ("127.0.0.1", StoreTls::Prefer, None, true),
        ("127.0.0.1", StoreTls::Disable, None, false),
    ] {
        let store = PostgresStore::open(&settings(&database, host, tls, ca)).await.unwrap();
        let client = store.pool.get().await.unwrap();
        let row = client.query_one("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()", &[]).await.unwrap();
        assert_eq!(row.get::<_, bool>(0), encrypted, "{host} {tls:?}");
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_certificate_that_is_not_right_is_refused() {
    let database = Database::new().await;
    for (host, tls, ca, why) in [
        ("127.0.0.1", StoreTls::VerifyFull, Some(authority()), "not valid for name"),
        ("127.0.0.1", StoreTls::Require, Some(authority()), "not valid for name"),
        ("127.0.0.1", StoreTls::Prefer, Some(authority()), "not valid for name"),
        ("localhost", StoreTls::VerifyFull, None, "invalid peer certificate"),
    ] {
        let error = PostgresStore::open(&settings(&database, host, tls, ca)).await.err().unwrap();
        assert!(error.0.contains("TLS handshake") && error.0.contains(why), "{host} {tls:?}: {error}");
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_server_that_offers_no_tls_is_not_asked_for_less() {
    let database = Database::new().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut request = [0; 8];
            client.read_exact(&mut request).await.unwrap();
            client.write_all(b"N").await.unwrap();
        }
    });
    let mut settings = settings(&database, "127.0.0.1", StoreTls::Require, None);
    settings.config = Config::new();
    settings.config.host("127.0.0.1").port(port).user("u").dbname("d");
    let error = PostgresStore::open(&settings).await.err().unwrap();
    assert!(error.0.contains("server does not support TLS"), "{error}");
}
