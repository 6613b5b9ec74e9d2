//! Several processes on one file.

use std::time::{Duration, SystemTime};

use margay_store::kv::{Kv, Precondition};
use margay_store_sqlite::{Options, SqliteKv};

use crate::child::{Child, integrity};
use crate::{open, scratch, set, storage_error};

#[tokio::test]
async fn processes_that_make_the_file_together_lose_no_increment() {
    let (_directory, file) = scratch();
    let mut children: Vec<Child> = (0..6).map(|_| Child::start("count", &file, 0)).collect();
    for child in &mut children {
        assert_eq!(child.says().unwrap(), "begun");
        assert_eq!(child.says().as_deref(), Some("counted"));
    }
    assert_eq!(open(&file).get("/count").await.unwrap().unwrap().value, "150");
    assert_eq!(integrity(&file), "ok");
}

#[tokio::test]
async fn a_write_waits_for_another_process_without_blocking_its_runtime() {
    let (_directory, file) = scratch();
    let kv = open(&file);
    let mut holder = Child::start("hold the lock", &file, 0);
    assert_eq!([holder.says().unwrap(), holder.says().unwrap()], ["begun", "locked"]);
    let release = async {
        // Runs on the same thread, so only if the write gives it the thread.
        holder.release();
    };
    let (written, ()) = tokio::join!(kv.put("/a", "x", Precondition::None, None), release);
    written.unwrap();
}

#[tokio::test]
async fn a_write_gives_up_when_its_patience_ends_and_reads_go_on() {
    let (_directory, file) = scratch();
    let options = Options { patience: Duration::from_millis(50), ..Options::default() };
    let kv = SqliteKv::open(&file, options).unwrap();
    set(&kv, "/a", "x").await;
    let mut holder = Child::start("hold the lock", &file, 0);
    assert_eq!([holder.says().unwrap(), holder.says().unwrap()], ["begun", "locked"]);
    assert_eq!(
        storage_error(kv.put("/a", "y", Precondition::None, None).await),
        format!(
            "writing datastore {0}: another process keeps it locked; try again; `fuser {0}` shows who uses it",
            file.display()
        )
    );
    assert_eq!(kv.get("/a").await.unwrap().unwrap().value, "x");
    assert!(open(&file).get("/a").await.unwrap().is_some(), "others can open it");
}

#[tokio::test]
async fn an_expired_value_is_hidden_while_it_cannot_be_removed() {
    let (_directory, file) = scratch();
    let kv = open(&file);
    set(&kv, "/kept", "x").await;
    kv.put("/short", "x", Precondition::None, Some(Duration::from_secs(60))).await.unwrap();
    let revision = kv.list("/kept", &mut |_| {}).await.unwrap().at;
    let later = SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 40);
    let late =
        SqliteKv::open(&file, Options { clock: std::sync::Arc::new(move || later), ..Options::default() })
            .unwrap();

    let mut holder = Child::start("hold the lock", &file, 0);
    assert_eq!([holder.says().unwrap(), holder.says().unwrap()], ["begun", "locked"]);
    let mut keys = vec![];
    late.list("/short", &mut |at| keys.push(at.key.to_owned())).await.unwrap();
    assert_eq!(keys, [""; 0]);
    assert_eq!(late.get("/short").await.unwrap(), None);
    assert_eq!(kv.list("/kept", &mut |_| {}).await.unwrap().at, revision, "the holder keeps it");

    drop(holder);
    late.put("/short", "y", Precondition::Absent, None).await.unwrap();
    assert_eq!(kv.get("/short").await.unwrap().unwrap().value, "y");
    assert_eq!(kv.list("/kept", &mut |_| {}).await.unwrap().at, revision + 2, "one expiry, one write");
}

#[tokio::test]
async fn what_a_brief_life_wrote_is_there_for_the_next() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("datastore.db");
    let brief = || {
        let options = Options { durability: margay_store_sqlite::Durability::AtTheEnd, ..Options::default() };
        SqliteKv::open(&file, options).unwrap()
    };
    let value = "x".repeat(4096);
    for life in 0..300 {
        let kv = brief();
        kv.put(&format!("/k{life}"), &value, Precondition::None, None).await.unwrap();
        kv.settle(life % 2 == 0).unwrap();
    }
    let log = std::fs::metadata(directory.path().join("datastore.db-wal")).unwrap().len();
    assert!(log < 8 << 20, "a log is worked off before it grows too long: {log}");
    let kv = SqliteKv::open(&file, Options::default()).unwrap();
    for life in 0..300 {
        assert_eq!(kv.get(&format!("/k{life}")).await.unwrap().unwrap().value, value);
    }
}
