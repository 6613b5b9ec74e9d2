//! The store as its users see it: files, processes, kills, full disks.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "the helpers of tests are tests; a child process talks on its standard output"
)]

mod child;
mod damage;
mod files;
mod likeness;
mod processes;
mod suite;
mod watches;

use std::path::PathBuf;
use std::process::Command;

use margay_store::kv::{Kv, KvError, Precondition};
use margay_store_sqlite::{Options, SqliteKv};
use tempfile::TempDir;

/// A datastore file to be, in a directory of its own.
fn scratch() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("datastore.db");
    (directory, file)
}

fn open(file: &std::path::Path) -> SqliteKv {
    SqliteKv::open(file, Options::default()).unwrap()
}

async fn set(kv: &SqliteKv, key: &str, value: &str) -> u64 {
    kv.put(key, value, Precondition::None, None).await.unwrap().get()
}

#[track_caller]
fn storage_error<T: std::fmt::Debug>(outcome: Result<T, KvError>) -> String {
    match outcome {
        Err(KvError::Storage(text)) => text,
        other => panic!("{other:?}"),
    }
}

/// True when this machine lets us have the namespaces; under CI it must.
fn namespaces(flags: &str) -> bool {
    let outcome = Command::new("unshare").args([flags, "true"]).output();
    let given = outcome.as_ref().is_ok_and(|output| output.status.success());
    assert!(given || std::env::var_os("CI").is_none(), "unshare {flags}: {outcome:?}");
    if !given {
        eprintln!("SKIPPED: `unshare {flags}` does not work here: {outcome:?}");
    }
    given
}
