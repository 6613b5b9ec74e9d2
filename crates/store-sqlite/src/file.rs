//! Opening and creating the datastore's file.
//!
//! The file is never opened here except through SQLite: closing any other descriptor of it would drop the locks that
//! SQLite holds in this process (POSIX). So it is created with `mknod`, and looked at with `stat`.

use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;
use std::time::{Duration, Instant};

use margay_store::kv::KvError;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, UTIME_NOW};
use rustix::io::Errno;

use crate::error::Fault;
use crate::schema;
use crate::store::Durability;

/// Which file stands at the path, as opposed to what its name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    device: u64,
    inode: u64,
}

/// The open file.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) connection: Connection,
    pub(crate) identity: Identity,
}

/// How long an attempt waits inside SQLite before this module tries again.
const ATTEMPT: Duration = Duration::from_millis(100);

/// Statements kept prepared: all there are.
const STATEMENTS: usize = 48;

// === impl Identity ===

impl Identity {
    /// What stands at `path` now, `None` for nothing.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let metadata = std::fs::metadata(path).ok()?;
        Some(Self { device: metadata.dev(), inode: metadata.ino() })
    }
}

// === functions ===

/// Opens the file at `path`, making it when there is none, waiting at most `patience` for other processes.
pub(crate) fn open(path: &Path, patience: Duration, durability: Durability) -> Result<Session, KvError> {
    let deadline = Instant::now() + patience;
    loop {
        create(path)?;
        match attempt(path, durability) {
            Ok(session) => return Ok(session),
            Err(fault) if fault.is_passing() && Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(2));
            }
            Err(fault) => return Err(fault.explain("opening", path)),
        }
    }
}

/// Tells every watch of the file, in whatever process, that something was committed.
pub(crate) fn announce(path: &Path) {
    let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
    let times = Timestamps { last_access: now, last_modification: now };
    // The commit stands whether or not this succeeds. It fails only when the file was removed at this moment, which
    // the watches see by themselves.
    let _ = rustix::fs::utimensat(CWD, path, &times, AtFlags::empty());
}

/// How long the log may be, after whoever waits for the disk anyway and after others: the next to open it, where nobody
/// holds it open, reads it all.
const SHORT_LOG: u64 = 1 << 20;
const LONG_LOG: u64 = 3 << 20;

/// Puts what was written on disk, and works a long log off.
pub(crate) fn settle(path: &Path, connection: &Connection, sync: bool) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    let length = std::fs::metadata(&name).map_or(0, |log| log.len());
    if sync && length > 0 {
        // SQLite locks the file itself and its index, never the log: closing this descriptor drops nothing.
        std::fs::File::open(&name)?.sync_data()?;
    }
    if length > if sync { SHORT_LOG } else { LONG_LOG } {
        // Emptied: the next to open it does not know how much of it is worked off. Others may be in the way: then they, or
        // the next, do it.
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).map_err(io::Error::other)?;
    }
    Ok(())
}

fn create(path: &Path) -> Result<(), KvError> {
    if Identity::of(path).is_some() {
        return Ok(());
    }
    let failed = |error: io::Error| {
        KvError::Storage(format!(
            "creating datastore {}: {error}; make its directory writable for this user, or choose another path",
            path.display()
        ))
    };
    if let Some(directory) = path.parent() {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed)?;
    }
    let mode = Mode::RUSR | Mode::WUSR;
    match rustix::fs::mknodat(CWD, path, FileType::RegularFile, mode, 0) {
        // The umask may have taken the owner's bits. SQLite gives the files beside it the same mode.
        Ok(()) => {
            rustix::fs::chmodat(CWD, path, mode, AtFlags::empty()).map_err(|error| failed(error.into()))
        }
        Err(Errno::EXIST) if path.is_symlink() && Identity::of(path).is_none() => {
            Err(KvError::Storage(format!(
                "opening datastore {}: it is a symbolic link to nothing; make the file or remove the link",
                path.display()
            )))
        }
        // Another process was first.
        Err(Errno::EXIST) => Ok(()),
        Err(error) => Err(failed(error.into())),
    }
}

fn attempt(path: &Path, durability: Durability) -> Result<Session, Fault> {
    let identity = Identity::of(path).ok_or(Fault::Replaced)?;
    // One thread at a time uses the connection, behind our own lock.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(ATTEMPT)?;
    schema::inspect(&mut connection, schema::STEPS)?;
    if connection.is_readonly("main")? {
        return Err(Fault::ReadOnly);
    }
    let journal: String =
        connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
    if journal != "wal" {
        return Err(Fault::NoWriteAheadLog);
    }
    match durability {
        Durability::EveryWrite => connection.pragma_update(None, "synchronous", "full")?,
        Durability::AtTheEnd => {
            connection.pragma_update(None, "synchronous", "normal")?;
            // Both would wait for the disk in the middle of a short life; see `settle`.
            connection.pragma_update(None, "wal_autocheckpoint", 0)?;
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        }
    }
    connection.pragma_update(None, "foreign_keys", false)?;
    // A large import does not leave a large log behind.
    connection.pragma_update(None, "journal_size_limit", 16 * 1024 * 1024)?;
    schema::migrate(&mut connection, schema::STEPS)?;
    // From here on waiting is the store's business, which does not block its runtime.
    connection.busy_timeout(Duration::ZERO)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    if Identity::of(path) != Some(identity) {
        return Err(Fault::Replaced);
    }
    Ok(Session { connection, identity })
}
