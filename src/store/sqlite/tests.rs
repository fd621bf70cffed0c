use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use rusqlite::Connection;

use super::*;
use crate::{
    project::event_store::{Compaction, Durability, KeptLog, StoredSnapshot},
    store::testing::{batch, blob, compaction, event, events, id, log, merged, new_project, reply},
};

/// Far more than anything here takes.
const DEADLINE: Duration = Duration::from_secs(30);

const PLAIN: SqliteOptions = SqliteOptions { size_bytes_max: None, boot_id: None };

fn open(folder: &Path) -> SqliteStore {
    SqliteStore::open(folder, &SqliteOptions::default()).expect("opens")
}

fn open_in_boot(folder: &Path, boot_id: &str) -> SqliteStore {
    SqliteStore::open(folder, &SqliteOptions { boot_id: Some(boot_id.into()), ..PLAIN }).expect("opens")
}

fn refusal(folder: &Path) -> OpenError {
    SqliteStore::open(folder, &SqliteOptions::default()).expect_err("refused")
}

async fn opened(store: &SqliteStore, project: &str) -> OpenedProject {
    store.open_project(&id(project)).await.expect("readable").expect("exists")
}

/// How many rows each table has that belongs to a project.
fn rows(folder: &Path) -> Vec<i64> {
    let db = Connection::open(folder.join("cobuild.db")).expect("opens");
    ["projects", "removed", "events", "snapshots", "replies", "blob_refs", "blobs"]
        .iter()
        .map(|table| db.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).expect("counts"))
        .collect()
}

/// One event that is `size_bytes` long.
fn large(project: &str, expected_head: Seq, size_bytes: usize) -> AppendBatch {
    let frame = Bytes::from(vec![b'x'; size_bytes]);
    AppendBatch { events: vec![StoredEvent::new(expected_head + 1, frame)], ..batch(project, expected_head, 0) }
}

#[tokio::test]
async fn keeps_everything_without_being_closed() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("made/on/demand");
    let store = open(&data);
    store.create_project(new_project("p", 2)).await.expect("created");
    let snapshot = Some(StoredSnapshot { seq: 3, state: "fold".into() });
    let full = AppendBatch { snapshot, replies: vec![reply("c1")], blobs: vec![blob("b")], ..batch("p", 2, 3) };
    store.append(full).await.expect("appended");
    let epoch = opened(&store, "p").await.epoch;
    drop(store);

    let store = open(&data);
    let again = opened(&store, "p").await;
    assert_eq!((again.epoch, again.head, again.replies), (epoch, 5, vec![reply("c1")]));
    assert_eq!(again.snapshot, Some(StoredSnapshot { seq: 3, state: "fold".into() }));
    assert_eq!(log(&store, "p").await, events(1..=5));
    assert!(store.blob(&blob("b").hash).await.expect("readable").is_some());
    store.append(batch("p", 5, 1)).await.expect("goes on");
}

#[tokio::test]
async fn an_epoch_lasts_until_the_machine_goes_down_without_warning() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path();
    let store = open_in_boot(data, "boot 1");
    store.create_project(new_project("p", 1)).await.expect("created");
    store.create_project(new_project("q", 1)).await.expect("created");
    drop(store);

    let store = open_in_boot(data, "boot 1");
    assert_eq!(opened(&store, "p").await.epoch.as_str(), "epochOfp", "the process died");
    store.close().await;
    let store = open_in_boot(data, "boot 2");
    assert_eq!(opened(&store, "p").await.epoch.as_str(), "epochOfp", "closed in order");
    drop(store);

    let store = open_in_boot(data, "boot 3");
    let (p, q) = (opened(&store, "p").await, opened(&store, "q").await);
    assert_ne!(p.epoch.as_str(), "epochOfp", "the machine died");
    assert_ne!(p.epoch, q.epoch);
    assert_eq!(p.head, 1, "the log goes on where it is");
    drop(store);

    let store = open_in_boot(data, "boot 3");
    assert_eq!(opened(&store, "p").await.epoch, p.epoch);
    drop(store);
    let store = SqliteStore::open(data, &PLAIN).expect("opens");
    let unknown = opened(&store, "p").await.epoch;
    assert_ne!(unknown, p.epoch, "nobody can say");
    drop(store);
    let store = SqliteStore::open(data, &PLAIN).expect("opens");
    assert_ne!(opened(&store, "p").await.epoch, unknown, "nobody can say, again");
}

#[tokio::test]
async fn refuses_with_one_sentence() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path());
    let in_use = refusal(folder.path());
    assert!(matches!(in_use, OpenError::InUse { .. }), "{in_use:?}");
    drop(store);

    let newer = tempfile::tempdir().expect("a folder");
    let database = newer.path().join("cobuild.db");
    let db = Connection::open(&database).expect("opens");
    db.execute_batch("CREATE TABLE future (x); PRAGMA user_version = 99").expect("written");
    drop(db);
    let before = fs::read(&database).expect("readable");
    let too_new = refusal(newer.path());
    assert!(matches!(too_new, OpenError::TooNew { found: 99, .. }), "{too_new:?}");
    assert_eq!(fs::read(&database).expect("readable"), before, "left as it is");

    let damaged = tempfile::tempdir().expect("a folder");
    fs::write(damaged.path().join("cobuild.db"), "This is a letter. ".repeat(500)).expect("written");
    let damaged = refusal(damaged.path());
    assert!(matches!(damaged, OpenError::Damaged { .. }), "{damaged:?}");

    let file = tempfile::NamedTempFile::new().expect("a file");
    let not_writable = [refusal(file.path()), refusal(&file.path().join("below")), refusal(Path::new("/proc/cobuild"))];
    for error in &not_writable {
        assert!(matches!(error, OpenError::NotWritable { .. }), "{error:?}");
    }
    for error in [in_use, too_new, damaged].iter().chain(&not_writable) {
        let sentence = error.to_string();
        assert!(!sentence.contains('\n') && sentence.contains("/"), "{sentence}");
    }
}

/// What an earlier release wrote is read, counted and compacted like anything else.
#[tokio::test]
async fn a_database_of_version_1_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let db = Connection::open(folder.path().join("cobuild.db")).expect("opens");
    db.execute_batch(include_str!("schema.sql")).expect("version 1");
    db.execute_batch(
        "INSERT INTO projects VALUES (7, 'p', 'p by name', 'epochOfp', 'preview-of-p', 4, 'then', 'then');
         INSERT INTO projects VALUES (8, 'q', 'q by name', 'epochOfq', 'preview-of-q', 0, 'then', 'then');
         PRAGMA user_version = 1",
    )
    .expect("written");
    for event in events(1..=4) {
        let frame = &*event.frame;
        db.execute("INSERT INTO events VALUES (7, ?1, ?2)", rusqlite::params![integer(event.seq), frame])
            .expect("written");
    }
    drop(db);
    let store = open(folder.path());
    assert_eq!(log(&store, "p").await, events(1..=4));
    let size_bytes = events(1..=4).iter().map(|event| event.frame.len() as u64).sum();
    assert_eq!(opened(&store, "p").await.kept, KeptLog { base: 0, merged: 0, frames: 4, size_bytes });
    assert_eq!(opened(&store, "q").await.kept, KeptLog::default());
    let step = Compaction { merged: vec![merged(2, 3)], merged_upto: 4, base: None };
    store.append(compaction("p", 4, step)).await.expect("compacted");
    store.append(batch("p", 4, 1)).await.expect("appended");
    assert_eq!(log(&store, "p").await, [event(1), merged(2, 3), event(4), event(5)]);
}

/// A step of compaction that does not fit on the disk leaves the log as it was, and everybody else alone.
#[tokio::test]
async fn a_full_disk_leaves_the_log_as_it_was() {
    let folder = tempfile::tempdir().expect("a folder");
    let limited = SqliteOptions { size_bytes_max: Some(1 << 20), ..SqliteOptions::default() };
    let store = SqliteStore::open(folder.path(), &limited).expect("opens");
    store.create_project(new_project("p", 9)).await.expect("created");
    let before = (log(&store, "p").await, opened(&store, "p").await.kept);
    let base = StoredSnapshot { seq: 4, state: Bytes::from(vec![b'x'; 2 << 20]) };
    let step = Compaction { merged: vec![merged(5, 8)], merged_upto: 9, base: Some(base) };
    let refused = store.append(compaction("p", 9, step)).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    assert_eq!((log(&store, "p").await, opened(&store, "p").await.kept), before);
}

#[tokio::test]
async fn a_full_disk_refuses_and_lives_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let limited = SqliteOptions { size_bytes_max: Some(1 << 20), ..SqliteOptions::default() };
    let store = SqliteStore::open(folder.path(), &limited).expect("opens");
    store.create_project(new_project("p", 1)).await.expect("created");
    store.create_project(new_project("ballast", 0)).await.expect("created");
    store.append(large("ballast", 0, 600_000)).await.expect("fits");

    let full = AppendBatch { replies: vec![reply("c1")], ..large("p", 1, 600_000) };
    let refused = store.append(full.clone()).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    let seen = opened(&store, "p").await;
    assert_eq!((seen.head, seen.replies.len()), (1, 0));
    assert_eq!(log(&store, "p").await, events([1]));
    store.append(batch("p", 1, 1)).await.expect("a small one still fits");

    store.delete_project(&id("ballast")).await.expect("deleted");
    store.collect_garbage().await.expect("swept");
    store.append(large("p", 2, 600_000)).await.expect("there is space again");
}

#[tokio::test]
async fn a_full_disk_concerns_only_what_does_not_fit() {
    let folder = tempfile::tempdir().expect("a folder");
    let limited = SqliteOptions { size_bytes_max: Some(1 << 20), ..SqliteOptions::default() };
    let store = Arc::new(SqliteStore::open(folder.path(), &limited).expect("opens"));
    let names: Vec<_> = (0..20).map(|n| format!("p{n}")).collect();
    for name in &names {
        store.create_project(new_project(name, 0)).await.expect("created");
    }
    let before = store.commits();
    let appends = names.iter().enumerate().map(|(n, name)| {
        let append = if n % 5 == 3 { large(name, 0, 2_000_000) } else { batch(name, 0, 1) };
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.append(append).await })
    });
    for (n, append) in appends.collect::<Vec<_>>().into_iter().enumerate() {
        let result = append.await.expect("no panic");
        assert_eq!(result.is_err(), n % 5 == 3, "{n}: {result:?}");
    }
    assert!(store.commits() > before);
    for (n, name) in names.iter().enumerate() {
        assert_eq!(opened(&store, name).await.head, u64::from(n % 5 != 3), "{n}");
    }
}

#[tokio::test]
async fn concurrent_appends_share_commits() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Arc::new(open(folder.path()));
    for n in 0..100 {
        store.create_project(new_project(&format!("p{n}"), 0)).await.expect("created");
    }
    let before = store.commits();
    let appends: Vec<_> = (0..100)
        .map(|n| {
            let store = Arc::clone(&store);
            let durability = if n % 2 == 0 { Durability::Machine } else { Durability::Process };
            // Every tenth is refused, and disturbs nobody.
            let expected_head = u64::from(n % 10 == 9);
            let append = AppendBatch { durability, ..batch(&format!("p{n}"), expected_head, 1) };
            tokio::spawn(async move { store.append(append).await })
        })
        .collect();
    for (n, append) in appends.into_iter().enumerate() {
        assert_eq!(append.await.expect("no panic").is_err(), n % 10 == 9, "{n}");
    }
    let commits = store.commits() - before;
    assert!((1..60).contains(&commits), "{commits} commits for 100 appends");
    for n in 0..100 {
        assert_eq!(opened(&store, &format!("p{n}")).await.head, u64::from(n % 10 != 9), "{n}");
    }
}

#[tokio::test]
async fn opening_waits_for_appends_of_those_who_left() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path());
    store.create_project(new_project("p", 0)).await.expect("created");
    for head in 0..50 {
        let append = store.append(batch("p", head, 1));
        let gave_up = tokio::time::timeout(Duration::ZERO, append).await;
        drop(gave_up);
        assert_eq!(opened(&store, "p").await.head, head + 1);
    }
}

#[tokio::test]
async fn a_deleted_project_leaves_no_rows() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path());
    let blobs = vec![blob("b")];
    store.create_project(NewProject { blobs, ..new_project("p", 5_000) }).await.expect("created");
    let snapshot = Some(StoredSnapshot { seq: 5_000, state: "fold".into() });
    store.append(AppendBatch { snapshot, replies: vec![reply("c1")], ..batch("p", 5_000, 0) }).await.expect("appended");
    store.create_project(new_project("q", 3)).await.expect("created");
    assert_eq!(rows(folder.path()), [2, 0, 5_003, 1, 1, 1, 1]);
    store.delete_project(&id("p")).await.expect("deleted");
    store.append(batch("q", 3, 1)).await.expect("goes on meanwhile");
    store.collect_garbage().await.expect("collected");
    assert_eq!(rows(folder.path()), [1, 0, 4, 0, 0, 0, 0]);
}

/// Waits until nothing is left that nobody refers to.
async fn blobs_left(folder: &Path, expected: i64) {
    let db = Connection::open(folder.join("cobuild.db")).expect("opens");
    let deadline = std::time::Instant::now() + DEADLINE;
    loop {
        let blobs: i64 = db.query_row("SELECT count(*) FROM blobs", [], |row| row.get(0)).expect("counts");
        if blobs == expected {
            return;
        }
        assert!(std::time::Instant::now() < deadline, "{blobs} blobs, not {expected}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_deleted_projects_contents_go_by_themselves() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path());
    let own = (0..300).map(|number| blob(&format!("own {number}")));
    let blobs = own.chain([blob("shared")]).collect();
    store.create_project(NewProject { blobs, ..new_project("p", 3) }).await.expect("created");
    store.create_project(NewProject { blobs: vec![blob("shared")], ..new_project("q", 1) }).await.expect("created");
    store.delete_project(&id("p")).await.expect("deleted");
    blobs_left(folder.path(), 1).await;
    assert!(store.blob(&blob("shared").hash).await.expect("readable").is_some());
    // And those of a deletion that a crash cut short, at the next start.
    store.delete_project(&id("q")).await.expect("deleted");
    store.close().await;
    let db = Connection::open(folder.path().join("cobuild.db")).expect("opens");
    db.execute_batch("INSERT INTO blobs (hash, content) VALUES ('left', x'00')").expect("written");
    drop(db);
    let _store = open(folder.path());
    blobs_left(folder.path(), 0).await;
}

#[tokio::test]
async fn a_deletion_is_finished_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path());
    store.create_project(new_project("p", 10)).await.expect("created");
    store.close().await;
    let db = Connection::open(folder.path().join("cobuild.db")).expect("opens");
    db.execute_batch("INSERT INTO removed SELECT number FROM projects; DELETE FROM projects").expect("written");
    drop(db);
    let store = open(folder.path());
    store.create_project(new_project("p", 1)).await.expect("created");
    // The writer sweeps when it has nothing else to do, so between two checks.
    let swept = async {
        while rows(folder.path())[1] != 0 {
            store.check().await.expect("takes writes");
        }
    };
    tokio::time::timeout(DEADLINE, swept).await.expect("swept in time");
    assert_eq!(rows(folder.path()), [1, 0, 1, 0, 0, 0, 0]);
}

#[tokio::test]
async fn a_missing_event_is_reported() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path());
    store.create_project(new_project("p", 5)).await.expect("created");
    let db = Connection::open(folder.path().join("cobuild.db")).expect("opens");
    db.execute("DELETE FROM events WHERE seq = 3", []).expect("written");
    let limits = ReadLimits { events: 10, size_bytes: 1 << 20 };
    let read = store.read(&id("p"), 1, limits).await;
    assert!(matches!(read, Err(StoreError::Corrupt(_))), "{read:?}");
}

/// What a killed process had confirmed is there afterwards. This test starts itself again as the one to be killed.
#[tokio::test]
async fn a_killed_process_loses_nothing_it_confirmed() {
    const FOLDER: &str = "COBUILD_TEST_KILLED_FOLDER";
    if let Some(folder) = std::env::var_os(FOLDER) {
        let store = open(Path::new(&folder));
        store.create_project(new_project("p", 0)).await.expect("created");
        for head in 0.. {
            store.append(batch("p", head, 1)).await.expect("appended");
            println!("confirmed {}", head + 1);
        }
    }
    let folder = tempfile::tempdir().expect("a folder");
    let mut child = Command::new(std::env::current_exe().expect("known"))
        .args(["--exact", "store::sqlite::tests::a_killed_process_loses_nothing_it_confirmed", "--nocapture"])
        .env(FOLDER, folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    let output = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut confirmed = output
        .map_while(Result::ok)
        .filter_map(|line| line.strip_prefix("confirmed ").and_then(|seq| seq.parse::<Seq>().ok()));
    assert!(confirmed.any(|seq| seq == 200), "the child appends");
    child.kill().expect("killed");
    let last = confirmed.last().unwrap_or(200);
    child.wait().expect("reaped");

    let store = open(folder.path());
    let head = opened(&store, "p").await.head;
    assert!(head >= last, "confirmed {last}, kept {head}");
    let limits = ReadLimits { events: usize::MAX, size_bytes: usize::MAX };
    let kept = store.read(&id("p"), 1, limits).await.expect("readable");
    assert_eq!(kept.last(), Some(&event(head)));
}

/// What is in the database itself, and in the log in front of it.
fn sizes_bytes(folder: &Path) -> (u64, u64) {
    let size = |name: &str| fs::metadata(folder.join(name)).expect("is there").len();
    (size("cobuild.db"), size("cobuild.db-wal"))
}

#[tokio::test]
async fn the_log_moves_into_the_database_beside_the_writer_and_stays_bounded() {
    const EVENT_SIZE_BYTES: usize = 256 << 10;
    // What the writer begins to move itself, and what is written while somebody else still does.
    const LOG_SIZE_BYTES_MAX: u64 = 48 << 20;
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path());
    store.create_project(new_project("p", 0)).await.expect("created");
    // More than is moved at once, less than the writer moves itself.
    for head in 0..32 {
        store.append(large("p", head, EVENT_SIZE_BYTES)).await.expect("appended");
    }
    let moved = async {
        while sizes_bytes(folder.path()).0 < 4 << 20 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(DEADLINE, moved).await.expect("moved by the time");
    for head in 32..512 {
        store.append(large("p", head, EVENT_SIZE_BYTES)).await.expect("appended");
        let (_, log) = sizes_bytes(folder.path());
        assert!(log < LOG_SIZE_BYTES_MAX, "{log} bytes after event {head}");
    }
}
