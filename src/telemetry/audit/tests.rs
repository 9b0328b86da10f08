use std::io;
use std::sync::{Arc, mpsc as std_mpsc};

use parking_lot::Mutex;

use super::*;

/// A sink that does with each write what the test says, and takes everything once the test says no more.
struct Scripted {
    script: std_mpsc::Receiver<io::Result<usize>>,
    taken: Arc<Mutex<Vec<u8>>>,
}

impl Sink for Scripted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.script.recv().unwrap_or(Ok(usize::MAX))?.min(bytes.len());
        self.taken.lock().extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn renew(&mut self) -> io::Result<bool> {
        Ok(false)
    }
}

/// Lines that neither the batch nor the queue can hold.
const MANY: usize = 1000;

type Script = std_mpsc::Sender<io::Result<usize>>;

fn scripted(queue: usize, on_full: OnFull) -> (AuditLog, Script, Arc<Mutex<Vec<u8>>>, Metrics) {
    let (script, receiver) = std_mpsc::channel();
    let taken = Arc::new(Mutex::new(Vec::new()));
    let metrics = Metrics::new().unwrap();
    let sink = Scripted { script: receiver, taken: taken.clone() };
    (
        AuditLog::start(sink, queue, on_full, Arc::new(Recent::new(1 << 20)), metrics.clone()).unwrap(),
        script,
        taken,
        metrics,
    )
}

fn event(id: usize) -> AuditRecord<'static> {
    AuditRecord::Auth(AuthRecord {
        time: 1_764_000_000,
        request_id: id.to_string(),
        event: "token",
        outcome: "success",
        ..AuthRecord::default()
    })
}

fn ids(taken: &[u8]) -> Vec<usize> {
    let text = std::str::from_utf8(taken).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'));
    text.lines()
        .map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            line["request_id"].as_str().unwrap().parse().unwrap()
        })
        .collect()
}

fn counted(metrics: &Metrics, name: &str) -> u64 {
    let text = metrics.render();
    text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok()).unwrap()
}

fn decision(parameters: &[String]) -> DecisionRecord<'_> {
    DecisionRecord {
        time: 1_764_000_000,
        request_id: "r1",
        issuer: Some("https://p"),
        client: Some("growth-chart"),
        subject: None,
        fhir_user: None,
        patient: Some("A"),
        address: None,
        method: "GET",
        interaction: "search",
        resource_type: Some("Observation"),
        resource_id: None,
        parameters,
        query: None,
        sent: None,
        decision: "permit",
        rule: "patient-scope",
        detail: None,
        would: None,
        would_remove: 0,
        status: 200,
        path: "guard",
        removed: 1,
        upstream_status: Some(200),
        entry: None,
        gate_micros: Some(90),
        upstream_micros: Some(2000),
    }
}

fn printed(record: &AuditRecord<'_>) -> String {
    let line = String::from_utf8(record.print()).unwrap();
    line.strip_suffix('\n').unwrap().to_owned()
}

#[test]
fn a_decision_is_one_flat_line() {
    let parameters = ["patient".to_owned(), "code:in".to_owned()];
    let line = printed(&AuditRecord::Decision(decision(&parameters)));
    assert_eq!(
        line,
        concat!(
            r#"{"kind":"decision","time":"2025-11-24T16:00:00Z","request_id":"r1","issuer":"https://p","#,
            r#""client":"growth-chart","patient":"A","method":"GET","interaction":"search","#,
            r#""resource_type":"Observation","parameters":["patient","code:in"],"decision":"permit","#,
            r#""rule":"patient-scope","status":200,"path":"guard","removed":1,"upstream_status":200,"#,
            r#""gate_micros":90,"upstream_micros":2000}"#
        )
    );
}

#[test]
fn what_is_not_known_is_left_out() {
    let record = DecisionRecord { upstream_micros: None, issuer: None, ..decision(&[]) };
    let line = printed(&AuditRecord::Decision(record));
    assert!(!line.contains("parameters") && !line.contains("upstream_micros") && !line.contains("issuer"), "{line}");
    let line = printed(&event(1));
    assert_eq!(
        line,
        r#"{"kind":"auth","time":"2025-11-24T16:00:00Z","request_id":"1","event":"token","outcome":"success"}"#
    );
}

#[test]
fn a_line_break_in_a_value_does_not_begin_a_line() {
    let record = DecisionRecord { detail: Some("a\n{\"kind\":\"decision\"}"), ..decision(&[]) };
    assert!(!printed(&AuditRecord::Decision(record)).contains('\n'));
}

#[tokio::test]
async fn lines_reach_a_file_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let log = AuditLog::open(&AuditSink::File(path.clone()), OnFull::Block, Metrics::new().unwrap()).unwrap();
    for id in 0..3 {
        log.record(event(id)).await;
    }
    log.flush().await;
    assert_eq!(ids(&std::fs::read(&path).unwrap()), [0, 1, 2]);
}

#[test]
fn a_sink_that_cannot_be_opened_is_named() {
    let path = PathBuf::from("/nonexistent/audit.log");
    let error = AuditLog::open(&AuditSink::File(path), OnFull::Block, Metrics::new().unwrap()).err().unwrap();
    assert!(error.to_string().contains("/nonexistent/audit.log"), "{error}");
}

#[tokio::test]
async fn row_239_a_full_queue_sheds_and_counts() {
    let (log, script, taken, metrics) = scripted(4, OnFull::Shed);
    for id in 0..MANY {
        log.record(event(id)).await;
    }
    drop(script);
    log.flush().await;
    let written = ids(&taken.lock());
    assert!((4..MANY).contains(&written.len()));
    assert!(written.is_sorted());
    let shed = counted(&metrics, "smartgate_audit_lines_shed_total");
    assert_eq!(shed + written.len() as u64, MANY as u64);
}

#[tokio::test]
async fn row_239_a_full_queue_blocks_and_loses_nothing() {
    let (log, script, taken, metrics) = scripted(4, OnFull::Block);
    let sender = tokio::spawn({
        let log = log.clone();
        async move {
            for id in 0..MANY {
                log.record(event(id)).await;
            }
        }
    });
    while log.queue.as_ref().unwrap().capacity() > 0 {
        tokio::task::yield_now().await;
    }
    assert!(!sender.is_finished());
    drop(script);
    sender.await.unwrap();
    log.flush().await;
    assert_eq!(ids(&taken.lock()), Vec::from_iter(0..MANY));
    assert_eq!(counted(&metrics, "smartgate_audit_lines_shed_total"), 0);
}

#[tokio::test]
async fn row_239_a_failed_write_is_tried_again_where_it_stopped() {
    let (log, script, taken, metrics) = scripted(4, OnFull::Block);
    for step in [Ok(10), Err(io::ErrorKind::StorageFull.into()), Ok(1), Err(io::ErrorKind::Interrupted.into())] {
        script.send(step).unwrap();
    }
    drop(script);
    log.record(event(7)).await;
    log.record(event(8)).await;
    log.flush().await;
    assert_eq!(ids(&taken.lock()), [7, 8]);
    assert_eq!(counted(&metrics, "smartgate_audit_write_errors_total"), 1);
}

/// A sink whose file is moved away after the first write, which takes half a line.
struct Rotated {
    files: Arc<Mutex<Vec<Vec<u8>>>>,
    writes: usize,
}

impl Sink for Rotated {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writes += 1;
        let taken = match self.writes {
            1 => bytes.len() / 2,
            2 => return Err(io::ErrorKind::StorageFull.into()),
            _ => bytes.len(),
        };
        self.files.lock().last_mut().unwrap().extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn renew(&mut self) -> io::Result<bool> {
        let renewed = self.writes == 2;
        if renewed {
            self.files.lock().push(Vec::new());
        }
        Ok(renewed)
    }
}

#[tokio::test]
async fn a_line_that_was_cut_is_whole_in_the_next_file() {
    let files = Arc::new(Mutex::new(vec![Vec::new()]));
    let sink = Rotated { files: files.clone(), writes: 0 };
    let log = AuditLog::start(sink, 4, OnFull::Block, Arc::new(Recent::new(0)), Metrics::new().unwrap()).unwrap();
    log.record(event(5)).await;
    log.flush().await;
    assert_eq!(ids(&files.lock()[1]), [5]);
}

#[tokio::test]
async fn turned_off_it_neither_keeps_lines_nor_waits_for_any() {
    let metrics = Metrics::new().unwrap();
    let log = AuditLog::open(&AuditSink::Off, OnFull::Block, metrics.clone()).unwrap();
    log.record(event(1)).await;
    log.flush().await;
    assert_eq!(counted(&metrics, "smartgate_audit_lines_shed_total"), 0);
}
