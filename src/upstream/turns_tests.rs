use std::time::Duration;

use futures_util::FutureExt as _;

use super::super::tests::upstream_at;
use super::*;

fn upstream(max_concurrent: usize, max_waiting: usize, max_wait: Duration) -> Upstream {
    Upstream { max_concurrent, max_waiting, max_wait, ..upstream_at("http://127.0.0.1:1/fhir") }
}

#[tokio::test]
async fn a_turn_that_is_over_is_the_next_ones() {
    let (turns, upstream) = (Arc::new(Turns::default()), upstream(1, 1, Duration::from_secs(60)));
    let first = turns.take(&upstream).await.ok();
    let mut second = Box::pin(turns.take(&upstream));
    assert!((&mut second).now_or_never().is_none());
    assert_eq!((turns.busy(), turns.waiting()), (1, 1));
    assert!(matches!(turns.take(&upstream).await, Err(UpstreamError::Busy)), "no more may wait");
    drop(first);
    assert!(second.await.is_ok());
    assert_eq!((turns.busy(), turns.waiting()), (0, 0));
}

#[tokio::test]
async fn nobody_waits_for_longer_than_they_may() {
    let (turns, upstream) = (Arc::new(Turns::default()), upstream(1, 1, Duration::from_millis(20)));
    let _first = turns.take(&upstream).await.ok();
    assert!(matches!(turns.take(&upstream).await, Err(UpstreamError::Busy)));
    assert_eq!((turns.busy(), turns.waiting()), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn there_are_never_more_and_everybody_comes_to_their_turn() {
    let (turns, upstream) = (Arc::new(Turns::default()), Arc::new(upstream(3, 200, Duration::from_secs(60))));
    let tasks = (0..200).map(|_| {
        let (turns, upstream) = (turns.clone(), upstream.clone());
        tokio::spawn(async move {
            for _ in 0..20 {
                let turn = turns.take(&upstream).await;
                assert!(turn.is_ok() && turns.busy() <= 3);
                tokio::task::yield_now().await;
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    assert_eq!((turns.busy(), turns.waiting()), (0, 0));
}
