use super::*;

const LIMIT: u64 = 1024 * 1024 * 1024;

fn texts(batch: &Batch) -> Vec<&str> {
    batch.lines.iter().map(|line| std::str::from_utf8(line).unwrap().trim_end()).collect()
}

fn write(segments: &mut Segments, text: &str) {
    assert_eq!(segments.write(text.as_bytes()).unwrap(), text.len());
}

#[test]
fn what_was_not_sent_is_there_after_a_restart_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path(), LIMIT).unwrap();
    write(&mut Segments::open(spool.clone()).unwrap(), "one\ntwo\nthree\n");
    let batch = spool.read(spool.position().unwrap(), 2).unwrap();
    assert_eq!(texts(&batch), ["one", "two"]);
    spool.sent(batch.next).unwrap();
    assert_eq!(spool.waiting(), 6);
    drop(spool);

    let spool = Spool::open(folder.path(), LIMIT).unwrap();
    write(&mut Segments::open(spool.clone()).unwrap(), "four\n");
    assert_eq!(spool.waiting(), 11);
    let batch = spool.read(spool.position().unwrap(), 10).unwrap();
    assert_eq!(texts(&batch), ["three"]);
    let rest = spool.read(batch.next, 10).unwrap();
    assert_eq!(texts(&rest), ["four"]);
    spool.sent(rest.next).unwrap();
    assert!(spool.read(rest.next, 10).unwrap().lines.is_empty());
    assert_eq!(spool.waiting(), 0);
    assert_eq!(spool.segments().unwrap().len(), 1, "what is sent is deleted");
}

#[test]
fn a_line_without_an_end_waits_for_it_or_for_the_next_segment() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path(), LIMIT).unwrap();
    let mut segments = Segments::open(spool.clone()).unwrap();
    write(&mut segments, "one\ntw");
    let batch = spool.read(spool.position().unwrap(), 10).unwrap();
    assert_eq!(texts(&batch), ["one"]);
    assert!(spool.read(batch.next, 10).unwrap().lines.is_empty());
    write(&mut segments, "o\n");
    assert_eq!(texts(&spool.read(batch.next, 10).unwrap()), ["two"]);
    write(&mut segments, "cut o");
    write(&mut Segments::open(spool.clone()).unwrap(), "whole\n");
    let two = spool.read(batch.next, 10).unwrap();
    assert_eq!(texts(&spool.read(two.next, 10).unwrap()), ["whole"]);
}

#[test]
fn a_full_spool_takes_nothing_until_something_was_sent() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path(), 8).unwrap();
    let mut segments = Segments::open(spool.clone()).unwrap();
    assert!(!segments.renew().unwrap());
    write(&mut segments, "one\ntwo\n");
    assert_eq!(segments.renew().unwrap_err().kind(), io::ErrorKind::StorageFull);
    let batch = spool.read(spool.position().unwrap(), 10).unwrap();
    spool.sent(batch.next).unwrap();
    assert!(!segments.renew().unwrap());
}

#[test]
fn what_was_refused_has_an_end_too_and_somebody_takes_it_away() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path(), 8).unwrap();
    let mut segments = Segments::open(spool.clone()).unwrap();
    for line in ["one\n", "two\n"] {
        write(&mut segments, line);
        let batch = spool.read(spool.position().unwrap(), 10).unwrap();
        spool.reject(&batch.lines[0]).unwrap();
        spool.sent(batch.next).unwrap();
    }
    assert_eq!(spool.waiting(), 8);
    assert_eq!(segments.renew().unwrap_err().kind(), io::ErrorKind::StorageFull);
    fs::rename(folder.path().join(REJECTED), folder.path().join("taken")).unwrap();
    assert!(!segments.renew().unwrap());
}

#[test]
fn segments_have_an_end() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path(), LIMIT).unwrap();
    let mut segments = Segments::open(spool.clone()).unwrap();
    write(&mut segments, &format!("{}\n", "x".repeat(1000)).repeat(5000));
    assert!(segments.renew().unwrap());
    write(&mut segments, "last\n");
    let (mut at, mut lines) = (spool.position().unwrap(), 0);
    loop {
        let batch = spool.read(at, 100).unwrap();
        if batch.lines.is_empty() {
            break;
        }
        lines += batch.lines.len();
        at = batch.next;
        spool.sent(at).unwrap();
    }
    assert_eq!((lines, spool.waiting(), spool.segments().unwrap().len()), (5001, 0, 1));
}

#[test]
fn two_processes_do_not_share_it() {
    let folder = tempfile::tempdir().unwrap();
    let _held = Spool::open(folder.path(), LIMIT).unwrap();
    assert!(Spool::open(folder.path(), LIMIT).is_err());
}

#[test]
fn a_position_that_is_no_position_begins_at_the_beginning() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path(), LIMIT).unwrap();
    write(&mut Segments::open(spool.clone()).unwrap(), "one\n");
    fs::write(folder.path().join(POSITION), "nonsense").unwrap();
    assert_eq!(texts(&spool.read(spool.position().unwrap(), 10).unwrap()), ["one"]);
}
