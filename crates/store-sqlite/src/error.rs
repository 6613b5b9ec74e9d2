//! [`Fault`]: why a transaction failed, and the text that people read about it.

use std::path::Path;

use margay_store::kv::KvError;
use rusqlite::ErrorCode;

/// Why a transaction failed, before it is known which file that was.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The operation was understood and refused.
    Refused(KvError),
    /// SQLite failed.
    Sqlite(rusqlite::Error),
    /// The file came with a schema that only a newer Margay understands.
    Newer {
        /// The file's schema version.
        found: i64,
        /// The newest one known here.
        known: i64,
    },
    /// The file belongs to another program.
    Foreign,
    /// The file can be read only.
    ReadOnly,
    /// The file system offers no memory shared between processes.
    NoWriteAheadLog,
    /// The file was replaced while it was being opened.
    Replaced,
    /// A row that no Margay writes.
    Damaged,
}

// === impl Fault ===

impl Fault {
    /// True when another process is in the way and a later attempt may succeed.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Replaced => true,
            Self::Sqlite(error) => matches!(
                error.sqlite_error_code(),
                Some(
                    ErrorCode::DatabaseBusy
                        | ErrorCode::DatabaseLocked
                        | ErrorCode::FileLockingProtocolFailed
                )
            ),
            Self::Refused(_)
            | Self::Newer { .. }
            | Self::Foreign
            | Self::ReadOnly
            | Self::NoWriteAheadLog
            | Self::Damaged => false,
        }
    }

    /// The error for people: what was being done to which file, what went wrong, what to do next.
    pub(crate) fn explain(self, doing: &str, path: &Path) -> KvError {
        let file = path.display();
        let (cause, hint) = match self {
            Self::Refused(error) => return error,
            Self::Newer { found, known } => (
                format!("it was written by a newer Margay (schema {found}, this one knows {known})"),
                "upgrade this Margay, or use the one that wrote it".to_owned(),
            ),
            Self::Foreign => (
                "it is the SQLite database of another program".to_owned(),
                "choose another path for the datastore".to_owned(),
            ),
            Self::ReadOnly => no_permission(path),
            Self::NoWriteAheadLog => (
                "its file system cannot share memory between processes".to_owned(),
                "keep the datastore on a local disk".to_owned(),
            ),
            Self::Replaced => (
                "the file is being replaced again and again".to_owned(),
                "look for the program that does it".to_owned(),
            ),
            Self::Damaged => damaged("it holds a row that was not written by Margay".to_owned(), path),
            Self::Sqlite(error) => explain_sqlite(&error, path),
        };
        KvError::Storage(format!("{doing} datastore {file}: {cause}; {hint}"))
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        match error {
            rusqlite::Error::SqliteFailure(..) | rusqlite::Error::SqlInputError { .. } => Self::Sqlite(error),
            // What is left is a column with the wrong type, or a row count that the schema rules out.
            _ => Self::Damaged,
        }
    }
}

impl From<KvError> for Fault {
    fn from(error: KvError) -> Self {
        Self::Refused(error)
    }
}

// === helpers ===

fn explain_sqlite(error: &rusqlite::Error, path: &Path) -> (String, String) {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => (
            "no space left on the disk".to_owned(),
            "free some and try again; what was stored before is whole".to_owned(),
        ),
        Some(ErrorCode::SystemIoFailure) => (
            format!("the file could not be read or written ({error})"),
            "check free space, quota, file size limit and the kernel log, then try again; what was stored before is \
             whole"
                .to_owned(),
        ),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed) => (
            "another process keeps it locked".to_owned(),
            format!("try again; `fuser {}` shows who uses it", path.display()),
        ),
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => no_permission(path),
        Some(ErrorCode::CannotOpen) if path.is_dir() => {
            ("it is a directory".to_owned(), "name a file in it instead".to_owned())
        }
        Some(ErrorCode::CannotOpen) => no_permission(path),
        Some(ErrorCode::NotADatabase) => (
            "it is not a SQLite database".to_owned(),
            "move the file away, or choose another path for the datastore".to_owned(),
        ),
        Some(ErrorCode::DatabaseCorrupt) => damaged("the file is damaged".to_owned(), path),
        _ => damaged(format!("SQLite refused ({error})"), path),
    }
}

fn no_permission(path: &Path) -> (String, String) {
    let directory = path.parent().unwrap_or(path).display();
    (
        "no permission to read and write it".to_owned(),
        format!("run as the owner of the file; the directory {directory} must be writable too"),
    )
}

fn damaged(cause: String, path: &Path) -> (String, String) {
    let file = path.display();
    (cause, format!("keep a copy, then restore a backup or try `sqlite3 {file} .recover`"))
}
