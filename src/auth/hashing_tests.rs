use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_hash_gives_way_to_everything_else() {
    use thread_priority::{NormalThreadSchedulePolicy, ThreadSchedulePolicy, thread_schedule_policy};
    let hashing = Hashing::new();
    let policy = hashing.on_thread(&hashing.idle, Priority::Idle, |_| thread_schedule_policy()).await;
    assert_eq!(policy.unwrap().unwrap(), ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle));
}

#[tokio::test]
async fn what_panics_leaves_its_place() {
    let hashing = Hashing::new();
    for _ in 0..=MOST {
        assert_eq!(hashing.run(|_| -> bool { panic!("no hash") }).await, None);
    }
    assert_eq!(hashing.run(|_| true).await, Some(true));
}

#[tokio::test(start_paused = true)]
async fn a_hash_that_no_core_is_left_for_is_done_on_a_thread_that_gets_one() {
    let hashing = Hashing::with_places(0);
    assert_eq!(hashing.run(|_| "done").await, Some("done"));
}

#[tokio::test]
async fn as_many_at_a_time_as_there_are_places() {
    let hashing = Hashing::with_places(1);
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let work = move |_: &mut Memory| {
        most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        running.fetch_sub(1, Ordering::SeqCst);
        most.load(Ordering::SeqCst)
    };
    let (one, two, three) = tokio::join!(hashing.run(work.clone()), hashing.run(work.clone()), hashing.run(work));
    assert_eq!((one, two, three), (Some(1), Some(1), Some(1)));
}

#[tokio::test]
async fn memory_is_used_again_and_given_back_when_nobody_needs_it() {
    let hashing = Hashing::with_places(1);
    let place = async |count: usize| {
        let work = move |memory: &mut Memory| memory.blocks(count).as_ptr().addr();
        hashing.on_thread(&hashing.late, Priority::Late, work).await
    };
    let first = place(64).await;
    assert_eq!(place(64).await, first);
    assert_eq!(place(32).await, first, "a smaller hash takes part of it");
    assert_eq!(hashing.spare.0.lock().len(), 1);
    tokio::time::pause();
    sleep(2 * KEPT).await;
    assert!(hashing.spare.0.lock().is_empty());
}

#[test]
fn memory_grows_to_what_is_asked_for() {
    let mut memory = Memory::default();
    assert_eq!([8, 3, 9].map(|count| memory.blocks(count).len()), [8, 3, 9]);
    assert!(memory.blocks(usize::MAX).is_empty(), "there is no such room");
}
