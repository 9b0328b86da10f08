use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_hash_gives_way_to_everything_else() {
    use thread_priority::{NormalThreadSchedulePolicy, ThreadSchedulePolicy, thread_schedule_policy};
    let places = Hashing::new().idle;
    let policy = on_thread(&places, Priority::Idle, thread_schedule_policy).await;
    assert_eq!(policy.unwrap().unwrap(), ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle));
}

#[tokio::test]
async fn what_panics_leaves_its_place() {
    let hashing = Hashing::new();
    for _ in 0..=MOST {
        assert_eq!(hashing.run(|| -> bool { panic!("no hash") }).await, None);
    }
    assert_eq!(hashing.run(|| true).await, Some(true));
}

#[tokio::test(start_paused = true)]
async fn a_hash_that_no_core_is_left_for_is_done_on_a_thread_that_gets_one() {
    let hashing = Hashing { idle: Arc::new(Semaphore::new(0)), late: Arc::new(Semaphore::new(1)) };
    assert_eq!(hashing.run(|| "done").await, Some("done"));
}

#[tokio::test]
async fn as_many_at_a_time_as_there_are_places() {
    let hashing = Hashing { idle: Arc::new(Semaphore::new(1)), late: Arc::new(Semaphore::new(1)) };
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let work = move || {
        most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        running.fetch_sub(1, Ordering::SeqCst);
        most.load(Ordering::SeqCst)
    };
    let (one, two, three) = tokio::join!(hashing.run(work.clone()), hashing.run(work.clone()), hashing.run(work));
    assert_eq!((one, two, three), (Some(1), Some(1), Some(1)));
}
