//! The file: how it is made, who may use it, what is refused.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use margay_store::kv::Kv;
use margay_store_sqlite::{Options, SqliteKv};
use rusqlite::Connection;

use crate::child::Child;
use crate::{namespaces, open, scratch, set, storage_error};

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn beside(file: &Path, suffix: &str) -> std::path::PathBuf {
    let mut path = file.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

#[test]
fn files_are_for_their_owner_alone_whatever_the_umask() {
    for umask in ["umask 0", "umask 0277", "umask 0777"] {
        let (_directory, file) = scratch();
        let script = format!("{umask}; exec \"$0\" \"$@\"");
        let mut child = Child::start_below(&["sh", "-c", &script], "open", &file, 0);
        assert_eq!(child.says().unwrap(), "begun");
        assert_eq!(child.says().unwrap(), "open");
        for path in [file.clone(), beside(&file, "-wal"), beside(&file, "-shm")] {
            assert_eq!(mode(&path), 0o600, "{} under {umask}", path.display());
        }
    }
}

#[tokio::test]
async fn missing_directories_are_made_for_the_owner_alone() {
    let (directory, _) = scratch();
    let file = directory.path().join("a/b/datastore.db");
    let kv = open(&file);
    set(&kv, "/a", "x").await;
    assert_eq!([mode(&directory.path().join("a")), mode(&directory.path().join("a/b"))], [0o700; 2]);
}

#[tokio::test]
async fn what_was_written_is_there_when_opened_again() {
    let (_directory, file) = scratch();
    let kv = open(&file);
    let revision = set(&kv, "/a/b", "x").await;
    drop(kv);
    assert!(!beside(&file, "-wal").exists(), "the last one to close leaves one file");
    let kv = open(&file);
    assert_eq!(kv.get("/a/b").await.unwrap().unwrap().revision.get(), revision);
    assert!(set(&kv, "/a/b", "y").await > revision);
}

#[test]
fn a_file_of_something_else_is_refused_and_left_alone() {
    let (_directory, file) = scratch();
    let text = "Dear diary, this is not a database.\n".repeat(200);
    std::fs::write(&file, &text).unwrap();
    assert_eq!(
        storage_error(SqliteKv::open(&file, Options::default())),
        format!(
            "opening datastore {}: it is not a SQLite database; move the file away, or choose another path for the \
             datastore",
            file.display()
        )
    );
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
}

#[test]
fn the_database_of_another_program_is_refused_and_left_alone() {
    let (_directory, file) = scratch();
    Connection::open(&file).unwrap().execute_batch("CREATE TABLE theirs (a)").unwrap();
    let before = std::fs::read(&file).unwrap();
    assert_eq!(
        storage_error(SqliteKv::open(&file, Options::default())),
        format!(
            "opening datastore {}: it is the SQLite database of another program; choose another path for the datastore",
            file.display()
        )
    );
    assert_eq!(std::fs::read(&file).unwrap(), before);
}

#[test]
fn a_directory_is_refused() {
    let (directory, _) = scratch();
    assert_eq!(
        storage_error(SqliteKv::open(directory.path(), Options::default())),
        format!(
            "opening datastore {}: it is a directory; name a file in it instead",
            directory.path().display()
        )
    );
}

#[test]
fn a_link_to_nothing_is_refused() {
    let (directory, file) = scratch();
    std::os::unix::fs::symlink(directory.path().join("nothing"), &file).unwrap();
    assert_eq!(
        storage_error(SqliteKv::open(&file, Options::default())),
        format!(
            "opening datastore {}: it is a symbolic link to nothing; make the file or remove the link",
            file.display()
        )
    );
}

#[tokio::test]
async fn a_file_without_write_permission_is_refused() {
    if !namespaces("-U") {
        return;
    }
    let (directory, file) = scratch();
    set(&open(&file), "/a", "x").await;
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o400)).unwrap();
    // In a namespace that knows none of our users, root is like anybody else.
    let mut child = Child::start_below(&["unshare", "-U"], "open", &file, 0);
    assert_eq!(child.says().unwrap(), "begun");
    let refusal = child.says().unwrap();
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
    assert_eq!(
        refusal,
        format!(
            "opening datastore {}: no permission to read and write it; run as the owner of the file; the directory {} \
             must be writable too",
            file.display(),
            directory.path().display()
        )
    );
}

#[test]
fn a_file_that_cannot_be_made_says_where() {
    if !namespaces("-U") {
        return;
    }
    let (directory, file) = scratch();
    std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o500)).unwrap();
    let mut child = Child::start_below(&["unshare", "-U"], "open", &file, 0);
    assert_eq!(child.says().unwrap(), "begun");
    assert_eq!(
        child.says().unwrap(),
        format!(
            "creating datastore {}: Permission denied (os error 13); make its directory writable for this user, or \
             choose another path",
            file.display()
        )
    );
}

#[tokio::test]
async fn a_removed_file_is_made_anew_and_takes_no_write_along() {
    let (_directory, file) = scratch();
    let kv = open(&file);
    set(&kv, "/old", "x").await;
    std::fs::remove_file(&file).unwrap();
    assert_eq!(kv.get("/old").await.unwrap(), None);
    set(&kv, "/new", "x").await;
    assert!(open(&file).get("/new").await.unwrap().is_some());
    assert_eq!(crate::child::integrity(&file), "ok");
}

#[tokio::test]
async fn people_can_read_the_tables() {
    let (_directory, file) = scratch();
    let kv = open(&file);
    set(&kv, "/calico/v1/Ready", "true").await;
    kv.make_directory("/calico/empty").await.unwrap();
    kv.delete("/calico/v1/Ready", margay_store::kv::Precondition::None).await.unwrap();
    set(&kv, "/calico/v1/Ready", "false").await;
    let connection = Connection::open(&file).unwrap();
    let rows = |sql: &str| -> Vec<String> {
        let mut select = connection.prepare(sql).unwrap();
        let rows = select.query_map((), |row| row.get(0)).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    };
    assert_eq!(rows("SELECT key || ' ' || value || ' ' || revision FROM keys"), ["/calico/v1/Ready false 4"]);
    assert_eq!(rows("SELECT directory FROM directories"), ["/calico", "/calico/empty", "/calico/v1"]);
    assert_eq!(
        rows("SELECT revision || ' ' || action || ' ' || key FROM changes"),
        [
            "1 set /calico/v1/Ready",
            "2 mkdir /calico/empty",
            "3 delete /calico/v1/Ready",
            "4 set /calico/v1/Ready"
        ]
    );
}

#[test]
fn openers_that_make_the_file_together_all_succeed() {
    for _ in 0..100 {
        let (_directory, file) = scratch();
        let start = std::sync::Barrier::new(4);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    start.wait();
                    drop(open(&file));
                });
            }
        });
    }
}
