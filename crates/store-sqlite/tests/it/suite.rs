//! What every store does.

use margay_store_sqlite::{Options, SqliteKv};
use tempfile::TempDir;

async fn open(_case: &str) -> Option<(SqliteKv, TempDir)> {
    let directory = tempfile::tempdir().unwrap();
    let kv = SqliteKv::open(&directory.path().join("datastore.db"), Options::default()).unwrap();
    Some((kv, directory))
}

margay_testkit::kv_suite!(open);
