//! The tables, and how a file gets from any older schema to the present one.
//!
//! A schema is the number of [`STEPS`] taken, kept in `user_version`. Steps are never edited once released: a new file
//! takes them all, an older one those it lacks, each file in one transaction. A newer file is refused, also when
//! another process migrates it while it is open here.

use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::error::Fault;

/// Marks a file as ours: `MRGY`.
const APPLICATION_ID: i64 = 0x4d52_4759;

/// What takes a file from one schema to the next.
pub(crate) const STEPS: &[&str] = &[KEYSPACE, READABLE];

/// Values, directories and the changes that led to them.
///
/// A node without a value is a directory; every parent of a node is one. `expires` is in milliseconds since 1970.
/// Each revision is one event, and the newest event is never removed, so its revision is the store's.
const KEYSPACE: &str = "
    CREATE TABLE node (
        path BLOB NOT NULL PRIMARY KEY,
        revision INTEGER NOT NULL,
        expires INTEGER,
        value TEXT
    ) WITHOUT ROWID;
    CREATE INDEX node_expires ON node (expires) WHERE expires IS NOT NULL;
    CREATE TABLE event (
        revision INTEGER PRIMARY KEY,
        action TEXT NOT NULL,
        path BLOB NOT NULL,
        value TEXT
    );
";

/// Views for people with a `sqlite3` prompt.
const READABLE: &str = "
    CREATE VIEW keys AS
        SELECT replace(CAST(path AS TEXT), char(1), '/') AS key, value, revision,
               datetime(expires / 1000, 'unixepoch') AS expires
        FROM node WHERE value IS NOT NULL ORDER BY path;
    CREATE VIEW directories AS
        SELECT replace(CAST(path AS TEXT), char(1), '/') AS directory
        FROM node WHERE value IS NULL ORDER BY path;
    CREATE VIEW changes AS
        SELECT revision, action, replace(CAST(path AS TEXT), char(1), '/') AS key, value
        FROM event ORDER BY revision;
";

/// Refuses a file that is not ours or newer than `steps`; otherwise how many steps it has taken.
pub(crate) fn inspect(connection: &mut Connection, steps: &[&str]) -> Result<usize, Fault> {
    // One transaction: between two looks another process may make the tables of an empty file.
    inspect_within(&connection.transaction()?, steps)
}

fn inspect_within(connection: &Transaction<'_>, steps: &[&str]) -> Result<usize, Fault> {
    let application: i64 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if application != APPLICATION_ID {
        let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get(0))?;
        let untouched = application == 0 && found == 0 && tables == 0;
        return if untouched { Ok(0) } else { Err(Fault::Foreign) };
    }
    let newer = Fault::Newer { found, known: known(steps) };
    usize::try_from(found).ok().filter(|taken| *taken <= steps.len()).ok_or(newer)
}

/// Takes the steps that the file lacks, all or none.
pub(crate) fn migrate(connection: &mut Connection, steps: &[&str]) -> Result<(), Fault> {
    if inspect(connection, steps)? == steps.len() {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another process may have been first.
    let taken = inspect_within(&transaction, steps)?;
    for step in &steps[taken..] {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", known(steps))?;
    Ok(transaction.commit()?)
}

/// Refuses to go on when another process has migrated the file since it was opened. Called in every transaction.
pub(crate) fn check_unchanged(connection: &Connection) -> Result<(), Fault> {
    let found: i64 = connection.prepare_cached("PRAGMA user_version")?.query_row((), |row| row.get(0))?;
    let known = known(STEPS);
    if found == known { Ok(()) } else { Err(Fault::Newer { found, known }) }
}

fn known(steps: &[&str]) -> i64 {
    i64::try_from(steps.len()).expect("a handful of steps")
}

#[cfg(test)]
mod tests;
