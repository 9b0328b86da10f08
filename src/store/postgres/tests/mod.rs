//! What every store must do, on a real PostgreSQL, and what is this one's own.
//!
//! `tools/test` starts a server and runs these; elsewhere they are ignored. Each test has a database of its own, and a role that
//! owns nothing but its schema.

mod faults;
mod proxy;
mod replicas;
mod tls;

use std::time::Duration;

use tokio_postgres::{Client, Config, NoTls};

use super::*;
use crate::ambient::Ambient;
use crate::config::StoreTls;
use crate::store::battery;
use crate::token::install_crypto;

/// A database on the server of the tests.
pub(super) struct Database {
    /// Who may do anything.
    pub(super) owner: Client,
    pub(super) settings: Postgres,
}

#[expect(clippy::disallowed_methods, reason = "tools/test says where the server is")]
fn told(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run tools/test, which starts PostgreSQL"))
}

async fn connected(config: &Config) -> Client {
    let (client, connection) = config.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

impl Database {
    pub(super) async fn new() -> Self {
        install_crypto();
        let mut config: Config = told("SMARTGATE_TEST_POSTGRES").parse().unwrap();
        let name =
            format!("t{}", Ambient::system().id().to_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), ""));
        let maker = connected(&config).await;
        maker.batch_execute(&format!("CREATE ROLE {name} LOGIN")).await.unwrap();
        maker.batch_execute(&format!("CREATE DATABASE {name}")).await.unwrap();
        let owner = connected(config.dbname(&name)).await;
        owner.batch_execute(&format!("CREATE SCHEMA {name} AUTHORIZATION {name}")).await.unwrap();
        config.user(&name);
        let timeout = Duration::from_secs(10);
        Self { owner, settings: Postgres { config, tls: StoreTls::Disable, ca: None, connections: 8, timeout } }
    }

    pub(super) async fn open(&self) -> PostgresStore {
        PostgresStore::open(&self.settings).await.unwrap()
    }

    /// The error of opening it.
    pub(super) async fn refusal(&self) -> String {
        PostgresStore::open(&self.settings).await.err().unwrap().to_string()
    }

    /// As another role with the same database.
    pub(super) async fn as_role(&self, role: &str, options: &str) -> Postgres {
        let mut settings = self.settings.clone();
        settings.config.user(role).options(options);
        settings
    }

    pub(super) fn name(&self) -> &str {
        self.settings.config.get_dbname().unwrap()
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn keeps_the_contract() {
    battery::run(&Database::new().await.open().await).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn replicas_that_start_together_make_the_tables_once() {
    let database = Database::new().await;
    let opened = futures_util::future::join_all((0..8).map(|_| PostgresStore::open(&database.settings))).await;
    for store in opened {
        store.unwrap().ping().await.unwrap();
    }
    let name = database.name();
    let rows = database.owner.query(&format!("SELECT version FROM {name}.smartgate_schema"), &[]).await.unwrap();
    assert_eq!(rows.len(), schema::STEPS);
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn reopening_keeps_everything() {
    let database = Database::new().await;
    let store = database.open().await;
    let key = battery::key("k", KeyPurpose::Identity, 5);
    store.add_first_key(&key).await.unwrap();
    store.put_pending(&[1; 32], "state", 10).await.unwrap();
    drop(store);
    let store = database.open().await;
    assert!(store.keys().await.unwrap() == [key]);
    assert_eq!(store.pending(&[1; 32], 1).await.unwrap().as_deref(), Some("state"));
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn tables_of_a_later_version_are_refused_and_left_alone() {
    let database = Database::new().await;
    drop(database.open().await);
    let name = database.name();
    database.owner.batch_execute(&format!("INSERT INTO {name}.smartgate_schema VALUES (99)")).await.unwrap();
    let refusal = database.refusal().await;
    assert!(refusal.contains("a later version of Smartgate (their version is 99"), "{refusal}");
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn tables_of_another_program_are_left_alone() {
    let database = Database::new().await;
    let name = database.name();
    database.owner.batch_execute(&format!("CREATE TABLE {name}.grants (id INTEGER)")).await.unwrap();
    let refusal = database.refusal().await;
    assert!(refusal.contains("relation \"grants\" already exists (PostgreSQL, 42P07)"), "{refusal}");
    let made = "SELECT count(*) FROM pg_tables WHERE schemaname = $1";
    assert_eq!(database.owner.query_one(made, &[&name]).await.unwrap().get::<_, i64>(0), 1, "all or nothing");
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_role_without_a_schema_is_told_so_and_one_that_may_only_use_the_tables_can() {
    let database = Database::new().await;
    let (owner, name) = (&database.owner, database.name());
    owner.batch_execute(&format!("CREATE ROLE {name}_user LOGIN")).await.unwrap();
    let settings = database.as_role(&format!("{name}_user"), &format!("-c search_path={name}")).await;
    let refusal = PostgresStore::open(&settings).await.err().unwrap().to_string();
    assert!(refusal.contains("its tables cannot be made"), "{refusal}");

    drop(database.open().await);
    let allowed = format!(
        "GRANT USAGE ON SCHEMA {name} TO {name}_user;
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {name} TO {name}_user"
    );
    owner.batch_execute(&allowed).await.unwrap();
    battery::run(&PostgresStore::open(&settings).await.unwrap()).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn long_ids_and_such_with_nul_are_ids_like_others() {
    let store = Database::new().await.open().await;
    let long = "x".repeat(20_000);
    for id in ["a\0b", "a", &long] {
        assert!(store.first_use("i", id, 1, 10).await.unwrap());
        assert!(!store.first_use("i", id, 1, 10).await.unwrap());
    }
    assert!(store.first_use("ia", "", 1, 10).await.unwrap(), "what is the issuer's is not the id's");
}
