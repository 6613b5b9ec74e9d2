//! Files with older, newer and half-made schemas.

use std::path::PathBuf;

use margay_store::Kv;
use margay_store::kv::{KvError, Precondition};
use tempfile::TempDir;

use super::*;
use crate::{Options, SqliteKv};

fn scratch() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("datastore.db");
    (directory, file)
}

/// A file as a Margay that knew only `steps` made it.
fn made_by(steps: &[&str], file: &std::path::Path) -> Connection {
    let mut connection = Connection::open(file).unwrap();
    migrate(&mut connection, steps).unwrap();
    connection
}

fn version(connection: &Connection) -> i64 {
    connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
}

fn refusal(found: usize) -> String {
    format!(
        "it was written by a newer Margay (schema {found}, this one knows {}); upgrade this Margay, or use the one that \
         wrote it",
        STEPS.len()
    )
}

#[tokio::test]
async fn an_older_file_is_brought_up_to_date_with_all_it_holds() {
    let (_directory, file) = scratch();
    let old = made_by(&STEPS[..1], &file);
    old.execute_batch(
        "INSERT INTO node (path, revision, value) VALUES (x'0161', 1, NULL), (x'01610162', 1, 'kept');
         INSERT INTO event (revision, action, path, value) VALUES (1, 'set', x'01610162', 'kept');",
    )
    .unwrap();
    assert_eq!(version(&old), 1);
    drop(old);

    let kv = SqliteKv::open(&file, Options::default()).unwrap();
    assert_eq!(kv.get("/a/b").await.unwrap().unwrap().value, "kept");
    assert_eq!(kv.put("/a/b", "new", Precondition::Present, None).await.unwrap().get(), 2);
    let connection = Connection::open(&file).unwrap();
    assert_eq!(version(&connection), i64::try_from(STEPS.len()).unwrap());
    let key: String = connection.query_row("SELECT key FROM keys", (), |row| row.get(0)).unwrap();
    assert_eq!(key, "/a/b", "what the second step added");
}

#[test]
fn a_newer_file_is_refused_and_left_alone() {
    let (_directory, file) = scratch();
    let newer = [STEPS, &["CREATE TABLE later (a)"]].concat();
    drop(made_by(&newer, &file));
    let before = std::fs::read(&file).unwrap();
    let error = SqliteKv::open(&file, Options::default()).unwrap_err();
    assert_eq!(error.to_string(), format!("opening datastore {}: {}", file.display(), refusal(newer.len())));
    assert!(matches!(error, KvError::Storage(_)), "{error:?}");
    assert_eq!(std::fs::read(&file).unwrap(), before);
}

#[tokio::test]
async fn a_file_that_becomes_newer_while_open_is_used_no_more() {
    let (_directory, file) = scratch();
    let kv = SqliteKv::open(&file, Options::default()).unwrap();
    kv.put("/a", "x", Precondition::None, None).await.unwrap();
    let newer = [STEPS, &["CREATE TABLE later (a)"]].concat();
    drop(made_by(&newer, &file));
    let refused = |doing: &str| format!("{doing} datastore {}: {}", file.display(), refusal(newer.len()));
    assert_eq!(kv.get("/a").await.unwrap_err().to_string(), refused("reading"));
    let error = kv.put("/a", "y", Precondition::None, None).await.unwrap_err();
    assert_eq!(error.to_string(), refused("writing"));
}

#[test]
fn a_step_that_fails_leaves_the_file_at_the_step_before() {
    let (_directory, file) = scratch();
    let mut connection = made_by(&STEPS[..1], &file);
    let failing = [STEPS[0], "CREATE TABLE half (a); INSERT INTO nowhere VALUES (1)"];
    migrate(&mut connection, &failing).unwrap_err();
    assert_eq!(version(&connection), 1);
    let half: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'half'", (), |row| row.get(0))
        .unwrap();
    assert_eq!(half, 0);
    migrate(&mut connection, STEPS).unwrap();
    assert_eq!(inspect(&mut connection, STEPS).unwrap(), STEPS.len());
}
