//! Something between the gate and PostgreSQL that can be told to break things.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::*;

/// What happens to what passes.
#[derive(Clone, PartialEq)]
enum Mood {
    Pass,
    /// Nothing comes back.
    Stall,
    /// The first thing said that has these bytes in it is carried out, and the connection cut before the answer.
    CutAfter(Vec<u8>),
}

/// A proxy in front of the server of the tests.
pub(super) struct Proxy {
    port: u16,
    mood: Arc<watch::Sender<Mood>>,
    /// How often it cut a connection.
    pub(super) cuts: Arc<Mutex<usize>>,
}

impl Proxy {
    pub(super) async fn before(database: &Database) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = format!("127.0.0.1:{}", database.settings.config.get_ports()[0]);
        let port = listener.local_addr().unwrap().port();
        let (mood, cuts) = (Arc::new(watch::Sender::new(Mood::Pass)), Arc::default());
        let proxy = Self { port, mood: mood.clone(), cuts: Arc::clone(&cuts) };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&server).await.unwrap();
                tokio::spawn(carry(client, server, mood.clone(), cuts.clone()));
            }
        });
        proxy
    }

    /// The settings of the database, through the proxy.
    pub(super) fn settings(&self, database: &Database) -> Postgres {
        let from = &database.settings;
        let mut config = Config::new();
        config.host("127.0.0.1").port(self.port).user(from.config.get_user().unwrap()).dbname(database.name());
        Postgres { config, ..from.clone() }
    }

    pub(super) fn pass(&self) {
        self.mood.send_replace(Mood::Pass);
    }

    pub(super) fn stall(&self) {
        self.mood.send_replace(Mood::Stall);
    }

    pub(super) fn cut_after(&self, said: &[u8]) {
        self.mood.send_replace(Mood::CutAfter(said.to_vec()));
    }
}

async fn carry(mut client: TcpStream, mut server: TcpStream, mood: Arc<watch::Sender<Mood>>, cuts: Arc<Mutex<usize>>) {
    let (mut up, mut down) = ([0; 16_384], [0; 16_384]);
    let mut changed = mood.subscribe();
    let mut cutting = false;
    loop {
        let stalled = *mood.borrow() == Mood::Stall;
        tokio::select! {
            read = client.read(&mut up) => {
                let Ok(length @ 1..) = read else { return };
                cutting = matches!(&*mood.borrow(), Mood::CutAfter(said) if up[..length].windows(said.len()).any(|it| it == said));
                server.write_all(&up[..length]).await.unwrap();
            }
            read = server.read(&mut down), if !stalled => {
                let Ok(length @ 1..) = read else { return };
                if cutting {
                    *cuts.lock() += 1;
                    mood.send_replace(Mood::Pass);
                    return;
                }
                if client.write_all(&down[..length]).await.is_err() { return }
            }
            _ = changed.changed() => {}
        }
    }
}
