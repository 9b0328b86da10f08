use std::sync::atomic::{AtomicU8, Ordering};

use http::HeaderValue;

use super::*;
use crate::ambient::{Clock, Entropy, UnixSeconds};

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

struct Noon;

impl Clock for Noon {
    fn now(&self) -> UnixSeconds {
        43_200
    }
}

/// Other bytes each time.
#[derive(Default)]
struct Counted(AtomicU8);

impl Entropy for Counted {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(self.0.fetch_add(1, Ordering::Relaxed).wrapping_add(1));
    }
}

fn tracer() -> (Tracer, Spans, Metrics) {
    let ambient = Ambient { clock: Arc::new(Noon), entropy: Arc::new(Counted::default()) };
    let metrics = Metrics::new().unwrap();
    let (tracer, spans) = Tracer::new(ambient, metrics.clone());
    (tracer, spans, metrics)
}

fn headers(parent: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(http::HeaderName::from_static("traceparent"), HeaderValue::from_static(parent))])
}

#[tokio::test]
async fn a_request_and_what_it_asks_are_one_trace_with_the_caller_above() {
    let (tracer, mut spans, _) = tracer();
    let mut request = tracer.begin(&Method::GET, &headers(PARENT), Sampling::one_in(0)).unwrap();
    let mut asked = request.child(&Method::POST);
    let above = TraceParent::parse(PARENT).unwrap();
    let (of_request, of_asked) = (request.context(), asked.context());
    assert_eq!((of_request.trace, of_asked.trace), (above.trace, above.trace));
    assert!(of_asked.is_recorded() && of_asked.span != of_request.span);
    asked.fail("upstream-timeout");
    drop(asked);
    request.name("read Patient");
    request.answered(StatusCode::NOT_FOUND);
    drop(request);
    tokio::join!(tracer.flush(), async {
        let [asked, request] = <[SpanRecord; 2]>::try_from(spans.next().await.unwrap().spans).unwrap();
        assert_eq!((asked.id, asked.parent, asked.kind), (of_asked.span, Some(of_request.span), SpanKind::Client));
        assert_eq!((request.id, request.parent, request.kind), (of_request.span, Some(above.span), SpanKind::Server));
        assert_eq!((asked.failed, request.failed, &*request.name), (true, false, "read Patient"));
        assert_eq!(request.start, Duration::from_secs(43_200));
        let attributes = [("http.request.method", "GET".into()), ("http.response.status_code", 404.into())];
        assert_eq!(request.attributes, attributes);
    });
}

#[test]
fn a_caller_decides_whether_its_trace_is_recorded_and_sampling_where_there_is_none() {
    let (tracer, _spans, _) = tracer();
    let begins = |headers: &HeaderMap, one_in| tracer.begin(&Method::GET, headers, Sampling::one_in(one_in)).is_some();
    let unrecorded = headers("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00");
    assert!(begins(&headers(PARENT), 0) && !begins(&unrecorded, 1));
    for nobody in [HeaderMap::new(), headers("00-evil-evil-01")] {
        assert!(begins(&nobody, 1) && !begins(&nobody, 0));
    }
}

#[test]
fn one_in_so_many_is_told_by_the_low_half_of_the_id() {
    let id = |low: u64| {
        let mut id = [0xff; 16];
        id[8..].copy_from_slice(&low.to_be_bytes());
        id
    };
    let fourth = u64::MAX / 4;
    assert!(Sampling::one_in(4).takes(id(0)) && Sampling::one_in(4).takes(id(fourth)));
    assert!(!Sampling::one_in(4).takes(id(fourth + 1)) && !Sampling::one_in(4).takes(id(u64::MAX)));
    assert!(Sampling::one_in(1).takes(id(u64::MAX)) && !Sampling::one_in(0).takes(id(0)));
}

#[test]
fn a_method_that_nobody_knows_is_not_told() {
    assert_eq!((method_name(&Method::PUT), method_name(&Method::from_bytes(b"MRN-4711").unwrap())), ("PUT", "_OTHER"));
}

#[test]
fn what_finds_the_queue_full_is_lost_and_counted() {
    let (tracer, _spans, metrics) = tracer();
    for _ in 0..QUEUE + 3 {
        tracer.begin(&Method::GET, &HeaderMap::new(), Sampling::one_in(1)).unwrap();
    }
    assert!(metrics.render().contains("smartgate_spans_lost_total{reason=\"queue_full\"} 3\n"), "{}", metrics.render());
}

#[tokio::test]
async fn nobody_waits_for_an_exporter_that_is_not_there() {
    let (tracer, spans, _) = tracer();
    drop(spans);
    tracer.flush().await;
}

#[tokio::test(start_paused = true)]
async fn spans_are_sent_together_or_after_a_second() {
    let (tracer, mut spans, _) = tracer();
    let begin = || tracer.begin(&Method::GET, &HeaderMap::new(), Sampling::one_in(1)).unwrap();
    (0..=TOGETHER).for_each(|_| drop(begin()));
    let began = Instant::now();
    assert_eq!((spans.next().await.unwrap().spans.len(), began.elapsed()), (TOGETHER, Duration::ZERO));
    assert_eq!((spans.next().await.unwrap().spans.len(), began.elapsed()), (1, GATHER));
}
