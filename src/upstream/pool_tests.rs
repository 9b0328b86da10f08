use pingora::protocols::l4::stream::Stream as TcpStream;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream as Socket};
use tokio::task::yield_now;
use tokio::time::timeout;

use super::*;

const LONG: Duration = Duration::from_secs(30);

async fn connected() -> (Connection, Socket) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let here = Socket::connect(listener.local_addr().unwrap()).await.unwrap();
    let (there, _) = listener.accept().await.unwrap();
    let place = here.peer_addr().unwrap();
    (Connection { stream: Box::new(TcpStream::from(here)), place }, there)
}

#[tokio::test]
async fn a_connection_is_taken_once() {
    let pool = Pool::start();
    let (stream, _there) = connected().await;
    pool.put(stream, LONG);
    assert!(pool.take(Instant::now()).is_some());
    assert!(pool.take(Instant::now()).is_none());
}

#[tokio::test]
async fn a_connection_whose_time_is_over_is_closed() {
    let pool = Pool::start();
    let (stream, mut there) = connected().await;
    pool.put(stream, Duration::ZERO);
    pool.sweep();
    assert_eq!(there.read(&mut [0]).await.unwrap(), 0);
    assert!(pool.take(Instant::now()).is_none());
}

#[tokio::test]
async fn a_full_pool_closes_what_is_too_many() {
    let pool = Pool { idle: ArrayQueue::new(1), places: ArcSwapOption::empty() };
    let (first, _first) = connected().await;
    let (second, mut there) = connected().await;
    pool.put(first, LONG);
    pool.put(second, LONG);
    assert_eq!(there.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_connection_that_the_server_closed_or_talks_on_is_not_used() {
    let pool = Pool::start();
    let (closed, there) = connected().await;
    let (talking, mut unasked) = connected().await;
    pool.put(closed, LONG);
    pool.put(talking, LONG);
    drop(there);
    unasked.write_all(b"HTTP/1.1 408 Request Timeout\r\n\r\n").await.unwrap();
    let noticed = async {
        while !pool.idle.is_empty() {
            pool.sweep();
            yield_now().await;
        }
    };
    timeout(LONG, noticed).await.unwrap();
}
