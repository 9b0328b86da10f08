//! Several addresses: which is asked, what is sent again, and what comes back.

use std::collections::HashMap;

use http::HeaderMap;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::tests::upstream_at;
use super::*;
use crate::decide::{bundle_request, capabilities_lookup};

/// An address that answers every request with its own number, or closes before it does.
struct Node {
    base: String,
    _serving: JoinSet<()>,
}

impl Node {
    async fn start(number: usize, status: u16) -> Self {
        Self::bind("127.0.0.1:0", number, status).await
    }

    async fn bind(to: &str, number: usize, status: u16) -> Self {
        let listener = TcpListener::bind(to).await.unwrap();
        let base = format!("http://{}/fhir", listener.local_addr().unwrap());
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                connections.spawn(async move {
                    let mut head = Vec::new();
                    while stream.read_buf(&mut head).await.is_ok_and(|read| read > 0) {
                        if head.ends_with(b"\r\n\r\n") {
                            head.clear();
                            let answer = format!("HTTP/1.1 {status} -\r\nContent-Length: 1\r\n\r\n{number}");
                            stream.write_all(answer.as_bytes()).await.unwrap();
                        }
                    }
                });
            }
        });
        Self { base, _serving: serving }
    }

    fn key(&self) -> AddressKey {
        AddressKey::of(&self.base)
    }
}

/// An address where nobody listens.
async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}/fhir", listener.local_addr().unwrap())
}

fn of(bases: &[&str]) -> Arc<Upstream> {
    let mut addresses = bases.iter().map(|base| upstream_at(base).addresses.first.clone());
    let first = addresses.next().unwrap();
    let mut upstream = upstream_at(bases[0]);
    upstream.addresses = Arc::new(crate::config::Addresses { first, others: addresses.collect() });
    upstream.health.failures = 2;
    upstream.health.out_for = Duration::from_secs(3600);
    Arc::new(upstream)
}

async fn ask(
    client: &UpstreamClient,
    upstream: &Arc<Upstream>,
    at: Option<AddressKey>,
) -> Result<String, UpstreamError> {
    let mut answer = client.send(upstream, &capabilities_lookup(), HeaderMap::new(), None, at).await?;
    Ok(String::from_utf8(answer.collect(1000).await?.to_vec()).unwrap())
}

async fn asked(client: &UpstreamClient, upstream: &Arc<Upstream>, times: usize) -> HashMap<String, usize> {
    let mut counts = HashMap::new();
    for _ in 0..times {
        *counts.entry(ask(client, upstream, None).await.unwrap()).or_default() += 1;
    }
    counts
}

#[tokio::test]
async fn all_addresses_are_asked_and_what_belongs_together_goes_to_one() {
    let (one, two) = (Node::start(1, 200).await, Node::start(2, 200).await);
    let (client, upstream) = (UpstreamClient::new(), of(&[&one.base, &two.base]));
    assert_eq!(asked(&client, &upstream, 10).await, HashMap::from([("1".to_owned(), 5), ("2".to_owned(), 5)]));
    for _ in 0..5 {
        assert_eq!(ask(&client, &upstream, Some(two.key())).await.unwrap(), "2");
    }
}

#[tokio::test]
async fn the_address_with_the_least_to_do_is_asked() {
    let (one, two) = (Node::start(1, 200).await, Node::start(2, 200).await);
    let (client, upstream) = (UpstreamClient::new(), of(&[&one.base, &two.base]));
    // Not read to its end, so still with the first.
    let held = client.send(&upstream, &capabilities_lookup(), HeaderMap::new(), None, Some(one.key())).await.unwrap();
    assert_eq!(asked(&client, &upstream, 4).await, HashMap::from([("2".to_owned(), 4)]));
    drop(held);
    assert_eq!(asked(&client, &upstream, 4).await.len(), 2);
}

#[tokio::test]
async fn what_cannot_be_reached_is_asked_elsewhere_also_a_write_and_soon_left_out() {
    let (gone, two) = (nobody().await, Node::start(2, 200).await);
    let (client, upstream) = (UpstreamClient::new(), of(&[&gone, &two.base]));
    for _ in 0..2 {
        let answer =
            client.send(&upstream, &bundle_request(true), HeaderMap::new(), None, Some(AddressKey::of(&gone))).await;
        assert_eq!(answer.unwrap().at, two.key());
    }
    assert_eq!(client.addresses(&upstream)[0].standing, Standing::Out);
    assert_eq!(client.in_use(&upstream), [two.key()]);
    assert_eq!(asked(&client, &upstream, 4).await, HashMap::from([("2".to_owned(), 4)]));
}

#[tokio::test]
async fn an_address_is_left_out_after_failures_and_tried_again_after_a_while() {
    let (one, two) = (Node::start(1, 503).await, Node::start(2, 200).await);
    let (client, mut upstream) = (UpstreamClient::new(), of(&[&one.base, &two.base]).as_ref().clone());
    upstream.health.out_for = Duration::from_millis(50);
    let upstream = Arc::new(upstream);
    for _ in 0..2 {
        assert_eq!(ask(&client, &upstream, Some(one.key())).await.unwrap(), "1", "the answer is passed on");
    }
    let left_out = client.addresses(&upstream).remove(0);
    assert_ne!(left_out.standing, Standing::In);
    assert_eq!(left_out.fault.unwrap().as_str(), "503 Service Unavailable");
    let at = one.base.strip_prefix("http://").unwrap().strip_suffix("/fhir").unwrap().to_owned();
    drop(one);
    while std::net::TcpListener::bind(&at).is_err() {
        tokio::task::yield_now().await;
    }
    let _one = Node::bind(&at, 1, 200).await;
    while client.addresses(&upstream)[0].standing != Standing::In {
        ask(&client, &upstream, None).await.unwrap();
    }
    assert_eq!(asked(&client, &upstream, 4).await.len(), 2);
}

#[tokio::test]
async fn all_that_are_out_are_asked_all_the_same() {
    let one = Node::start(1, 500).await;
    let (client, upstream) = (UpstreamClient::new(), of(&[&one.base, &nobody().await]));
    for _ in 0..8 {
        let _ = ask(&client, &upstream, None).await;
    }
    assert_eq!(client.in_use(&upstream).len(), 2, "none is in");
    assert_eq!(ask(&client, &upstream, Some(one.key())).await.unwrap(), "1");
}

#[tokio::test]
async fn a_list_that_changes_keeps_what_stays() {
    let (one, two) = (Node::start(1, 503).await, Node::start(2, 200).await);
    let client = UpstreamClient::new();
    let before = of(&[&one.base, &two.base]);
    for _ in 0..2 {
        ask(&client, &before, Some(one.key())).await.unwrap();
    }
    let after = of(&[&two.base, &one.base]);
    let standings: Vec<Standing> = client.addresses(&after).iter().map(|state| state.standing).collect();
    assert_eq!(standings, [Standing::In, Standing::Out]);
}

#[tokio::test]
async fn checks_take_an_address_out_and_bring_it_back() {
    let (gone, two) = (nobody().await, Node::start(2, 500).await);
    for (check, second) in
        [(Check::Connect, Standing::In), (Check::Metadata, Standing::Out), (Check::None, Standing::In)]
    {
        let (client, mut upstream) = (UpstreamClient::new(), of(&[&gone, &two.base]).as_ref().clone());
        upstream.health.check = check;
        let upstream = Arc::new(upstream);
        for _ in 0..upstream.health.fall {
            client.check(&upstream).await;
        }
        let first = if check == Check::None { Standing::In } else { Standing::Out };
        let states = client.addresses(&upstream);
        let standings: Vec<Standing> = states.iter().map(|state| state.standing).collect();
        assert_eq!(standings, [first, second], "{check:?}");
        let fault = states.into_iter().next().unwrap().fault;
        assert_eq!(fault.is_some_and(|why| why.contains("onnection refused")), check != Check::None, "{check:?}");
    }
}
