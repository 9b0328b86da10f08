use std::sync::Arc;

use futures_util::future::join_all;

use super::*;
use crate::store::battery;

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[tokio::test]
async fn keeps_the_contract() {
    let folder = folder();
    battery::run(&SqliteStore::open(&folder.path().join("gate.db")).unwrap()).await;
}

#[tokio::test]
async fn two_processes_on_one_file_keep_the_contract_together() {
    let folder = folder();
    let path = folder.path().join("gate.db");
    let (one, two) = (SqliteStore::open(&path).unwrap(), SqliteStore::open(&path).unwrap());
    one.put_code(&[1; 32], "g", "p", 10).await.unwrap();
    let redeemed = join_all((0..20).map(|n| if n % 2 == 0 { &one } else { &two }.redeem_code(&[1; 32], 1, 10))).await;
    let fresh = redeemed.iter().filter(|redemption| matches!(redemption, Ok(Redemption::Fresh(_)))).count();
    assert_eq!(fresh, 1, "{redeemed:?}");
    assert!(redeemed.iter().all(Result::is_ok), "{redeemed:?}");
}

#[test]
fn opening_together_agrees() {
    let folder = folder();
    let path = folder.path().join("state/gate.db");
    let opened: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| SqliteStore::open(&path).map(drop))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(opened.iter().all(Result::is_ok), "{opened:?}");
}

#[tokio::test]
async fn a_file_that_was_taken_away_or_replaced_is_no_store() {
    let folder = folder();
    let (path, aside) = (folder.path().join("gate.db"), folder.path().join("aside.db"));
    let store = SqliteStore::open(&path).unwrap();
    store.ping().await.unwrap();
    std::fs::rename(&path, &aside).unwrap();
    let gone = store.ping().await.unwrap_err().to_string();
    assert!(gone.contains("was taken away") && gone.contains("restart the gate"), "{gone}");
    assert!(store.keys().await.is_err(), "nor is anything read");
    SqliteStore::open(&path).unwrap().add_first_key(&battery::key("k", KeyPurpose::Seal, 5)).await.unwrap();
    let other = store.last_revocation().await.unwrap_err().to_string();
    assert!(other.contains("is another file") && other.contains("restart the gate"), "{other}");
    std::fs::rename(&aside, &path).unwrap();
    store.ping().await.unwrap();
}

#[tokio::test]
async fn reopening_keeps_everything() {
    let folder = folder();
    let path = folder.path().join("made/on/the/way/gate.db");
    let store = SqliteStore::open(&path).unwrap();
    let key = battery::key("k", KeyPurpose::Identity, 5);
    store.add_first_key(&key).await.unwrap();
    store.put_pending(&[1; 32], "state", 10).await.unwrap();
    store.put_code(&[1; 32], "g", "p", 10).await.unwrap();
    store.redeem_code(&[1; 32], 1, 10).await.unwrap();
    store.first_use("i", "j", 1, 10).await.unwrap();
    store.put_refresh(&[4; 32], &battery::refresh_grant("r"), 1, 10).await.unwrap();
    store.rotate_refresh(&battery::rotation([4; 32], [5; 32], 1)).await.unwrap();
    store.revoke(&Revoked::Grant("g".to_owned()), 10).await.unwrap();
    drop(store);

    let store = SqliteStore::open(&path).unwrap();
    assert!(store.keys().await.unwrap() == [key]);
    assert_eq!(store.pending(&[1; 32], 1).await.unwrap().as_deref(), Some("state"));
    assert_eq!(store.redeem_code(&[1; 32], 2, 10).await.unwrap(), Redemption::Replayed { grant: "g".to_owned() });
    assert!(!store.first_use("i", "j", 2, 10).await.unwrap());
    assert_eq!(store.revocations_after(0, 1).await.unwrap().len(), 1);
    assert!(store.refresh(&[5; 32], 2).await.unwrap().is_some_and(|kept| kept.live));
    let again = store.rotate_refresh(&battery::rotation([4; 32], [6; 32], 2)).await.unwrap();
    assert_eq!(again, Rotated::Repeated { successor: [5; 32] });
}

#[tokio::test]
async fn two_processes_never_make_two_live_successors() {
    let folder = folder();
    let path = folder.path().join("gate.db");
    let (one, two) = (SqliteStore::open(&path).unwrap(), SqliteStore::open(&path).unwrap());
    one.put_refresh(&[1; 32], &battery::refresh_grant("g"), 1, 10).await.unwrap();
    let rotations: Vec<_> = (0..20).map(|n| battery::rotation([1; 32], [10 + n; 32], 1)).collect();
    let rotated = rotations.iter().enumerate();
    let rotated = join_all(rotated.map(|(n, it)| if n % 2 == 0 { &one } else { &two }.rotate_refresh(it))).await;
    assert_eq!(rotated.iter().filter(|it| matches!(it, Ok(Rotated::Fresh))).count(), 1, "{rotated:?}");
    assert!(rotated.iter().all(Result::is_ok), "{rotated:?}");
    let count = "SELECT count(*) FROM refresh_tokens WHERE exchanged IS NULL";
    let live: i64 = one.writer.run(move |connection| connection.query_row(count, [], |row| row.get(0))).await.unwrap();
    assert_eq!(live, 1);
}

#[tokio::test]
async fn a_file_of_the_first_version_is_brought_up_to_date_with_what_is_in_it() {
    let folder = folder();
    let path = folder.path().join("gate.db");
    drop(SqliteStore::open(&path).unwrap());
    let old = Connection::open(&path).unwrap();
    old.execute_batch(
        "DROP TABLE grants; DROP TABLE refresh_tokens; DROP TABLE probes; DROP TABLE clients;
         DROP TABLE failures; PRAGMA user_version = 1",
    )
    .unwrap();
    old.execute("INSERT INTO pending VALUES (?1, 'state', 10)", [[1u8; 32]]).unwrap();
    drop(old);
    let store = SqliteStore::open(&path).unwrap();
    assert_eq!(store.pending(&[1; 32], 1).await.unwrap().as_deref(), Some("state"));
    assert!(store.put_refresh(&[1; 32], &battery::refresh_grant("g"), 1, 10).await.unwrap());
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_can_read_it() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = folder();
    let path = folder.path().join("gate.db");
    std::fs::write(&path, "").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let store = SqliteStore::open(&path).unwrap();
    store.put_pending(&[1; 32], "state", 10).await.unwrap();
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", file.file_name());
    }
}

#[test]
fn a_file_of_something_else_is_refused_and_left_alone() {
    let folder = folder();
    let foreign = folder.path().join("foreign.db");
    Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE people (name TEXT)").unwrap();
    let text = folder.path().join("text.db");
    std::fs::write(&text, "not a database, and longer than the header of one, so that SQLite looks at it".repeat(10))
        .unwrap();
    let later = folder.path().join("later.db");
    drop(SqliteStore::open(&later).unwrap());
    Connection::open(&later).unwrap().pragma_update(None, "user_version", 99).unwrap();

    for (path, expected) in [
        (&foreign, "another program"),
        (&text, "not a database"),
        (&later, "later version"),
        (&folder.path().to_owned(), "directory"),
    ] {
        let before = std::fs::read(path).ok();
        let error = SqliteStore::open(path).err().unwrap().to_string();
        assert!(error.contains(expected) && error.contains(path.to_str().unwrap()), "{error}");
        assert_eq!(std::fs::read(path).ok(), before);
    }
}

#[tokio::test]
async fn a_full_disk_is_an_error_for_everybody_concerned_and_for_nobody_else() {
    let folder = folder();
    let store = SqliteStore::open(&folder.path().join("gate.db")).unwrap();
    store.put_pending(&[1; 32], "state", 10).await.unwrap();
    let pages = |limit: i64| {
        store
            .writer
            .run(move |connection| connection.pragma_update_and_check(None, "max_page_count", limit, |_| Ok(())))
    };
    pages(1).await.unwrap();
    let handles: Vec<Digest> = (10..14).map(|n| [n; 32]).collect();
    let large = "x".repeat(100_000);
    let refused = join_all(handles.iter().map(|handle| store.put_pending(handle, &large, 10))).await;
    assert!(refused.iter().all(|result| result.as_ref().is_err_and(|error| error.0.contains("full"))), "{refused:?}");
    assert_eq!(store.pending(&[1; 32], 1).await.unwrap().as_deref(), Some("state"));
    pages(100_000).await.unwrap();
    store.put_pending(&[10; 32], &large, 10).await.unwrap();
    assert_eq!(store.pending(&[11; 32], 1).await.unwrap(), None);
}

#[tokio::test]
async fn a_caller_that_goes_away_leaves_nothing_half_done() {
    let folder = folder();
    let store = Arc::new(SqliteStore::open(&folder.path().join("gate.db")).unwrap());
    store.rotate_key(&battery::key("old", KeyPurpose::Seal, 1)).await.unwrap();
    for n in 0..20 {
        let key = battery::key(&format!("new-{n}"), KeyPurpose::Seal, 2 + n);
        let mut rotation = Box::pin(store.rotate_key(&key));
        let _ = futures_util::poll!(rotation.as_mut());
        drop(rotation);
    }
    store.ping().await.unwrap();
    let unretired = store.keys().await.unwrap().iter().filter(|key| key.retired.is_none()).count();
    assert_eq!(unretired, 1);
}

#[tokio::test]
async fn one_failed_operation_takes_back_only_itself() {
    let folder = folder();
    let store = SqliteStore::open(&folder.path().join("gate.db")).unwrap();
    store.put_code(&[1; 32], "g", "p", 10).await.unwrap();
    let codes: Vec<Digest> = (0..30).map(|n| [n; 32]).collect();
    let put = join_all(codes.iter().map(|code| store.put_code(code, "g", "p", 10))).await;
    let failed: Vec<_> = (0..30).filter(|n| put[*n].is_err()).collect();
    assert_eq!(failed, [1], "{put:?}");
    assert!(matches!(store.redeem_code(&[29; 32], 1, 10).await, Ok(Redemption::Fresh(_))));
}

/// It may be another one when it answers again, which was written to since by others.
#[tokio::test]
async fn after_a_store_did_not_answer_all_revocations_are_read_again() {
    let ((folder, other), (ambient, _)) = ((folder(), folder()), crate::token::testing::ambient());
    let path = folder.path().join("gate.db");
    let (store, revocations) = (SqliteStore::open(&path).unwrap(), crate::token::Revocations::new());
    let next = SqliteStore::open(&other.path().join("gate.db")).unwrap();
    store.revoke(&Revoked::Grant("before".to_owned()), i64::MAX).await.unwrap();
    revocations.sync(&store, &ambient).await.unwrap();
    Connection::open(&path).unwrap().execute_batch("DROP TABLE revocations").unwrap();
    assert!(revocations.sync(&store, &ambient).await.is_err());
    for grant in ["missed", "last"] {
        next.revoke(&Revoked::Grant(grant.to_owned()), i64::MAX).await.unwrap();
    }
    revocations.sync(&next, &ambient).await.unwrap();
    let claims = |grant: &str| crate::token::Claims {
        issuer: "i".into(),
        own: true,
        subject: "s".into(),
        client: None,
        scope: Vec::new(),
        patient: None,
        encounter: None,
        fhir_user: None,
        expires: i64::MAX,
        token_id: None,
        grant: Some(grant.into()),
    };
    for grant in ["before", "missed", "last"] {
        assert!(revocations.is_revoked(&claims(grant)), "{grant}");
    }
}
