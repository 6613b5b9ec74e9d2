//! The rules of the keyspace, as SQL inside a transaction that somebody else began.
//!
//! Reads never see an expired value. A [`Writer`] removes expired values first, checks before it changes anything,
//! and gives each change its revision and its event; so a refused write leaves the transaction as it was.

use margay_store::kv::{Change, Entry, EntryRef, KvError, Precondition, Revision};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::error::Fault;
use crate::path::{StoredPath, decode, end_of, name_of};

/// Milliseconds since 1970.
pub(crate) type Millis = i64;

/// How many events are looked at in one go by a watch.
const LOOK: usize = 1000;

/// What a watch finds when it looks.
#[derive(Debug)]
pub(crate) struct Look {
    /// The changes that concern it.
    pub(crate) changes: Vec<Change>,
    /// The revision up to which there are no others.
    pub(crate) through: u64,
    /// True when there may be more behind `through`.
    pub(crate) more: bool,
    /// When the next value expires.
    pub(crate) next_expiry: Option<Millis>,
}

/// The changes of one transaction.
#[derive(Debug)]
pub(crate) struct Writer<'c> {
    connection: &'c Connection,
    now: Millis,
    history: i64,
    began_at: i64,
    revision: i64,
}

/// A node as far as a write must know it.
#[derive(Debug, Clone, Copy)]
struct Node {
    revision: i64,
    is_directory: bool,
}

// === reads ===

/// The store's revision, 0 before the first write.
pub(crate) fn revision(connection: &Connection) -> Result<u64, Fault> {
    unsigned(newest(connection)?)
}

/// One value.
pub(crate) fn get(
    connection: &Connection,
    key: &str,
    path: &StoredPath,
    now: Millis,
) -> Result<Option<Entry>, Fault> {
    let mut select = connection.prepare_cached(
        "SELECT revision, value FROM node WHERE path = ?1 AND (expires IS NULL OR expires > ?2)",
    )?;
    let columns = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
    let found: Option<(i64, Option<String>)> =
        select.query_row(params![path.bytes(), now], columns).optional()?;
    match found {
        None => {
            check_ancestors(connection, path)?;
            Ok(None)
        }
        Some((_, None)) => Err(not_a_file(key).into()),
        Some((revision, Some(value))) => {
            Ok(Some(Entry { key: key.to_owned(), value, revision: numbered(revision)? }))
        }
    }
}

/// Every value at or below a path, in order, as it is read.
pub(crate) fn list(
    connection: &Connection,
    prefix: &StoredPath,
    now: Millis,
    visit: &mut (dyn FnMut(EntryRef<'_>) + Send),
) -> Result<(), Fault> {
    let mut select = connection.prepare_cached(
        "SELECT path, revision, value FROM node
         WHERE path >= ?1 AND path < ?2 AND value IS NOT NULL AND (expires IS NULL OR expires > ?3)
         ORDER BY path",
    )?;
    let mut rows = select.query(params![prefix.bytes(), prefix.end(), now])?;
    let mut key = Vec::new();
    let mut any = false;
    while let Some(row) = rows.next()? {
        decode(row.get_ref(0)?.as_blob().map_err(damaged)?, &mut key);
        let key = std::str::from_utf8(&key).map_err(damaged)?;
        let value = row.get_ref(2)?.as_str().map_err(damaged)?;
        visit(EntryRef { key, value, revision: numbered(row.get(1)?)? });
        any = true;
    }
    if any { Ok(()) } else { check_ancestors(connection, prefix) }
}

/// The names directly below a directory.
pub(crate) fn children(
    connection: &Connection,
    directory: &StoredPath,
    now: Millis,
) -> Result<Vec<String>, Fault> {
    let mut select = connection.prepare_cached(
        "SELECT path, value IS NULL FROM node
         WHERE path >= ?1 AND path < ?2 AND (expires IS NULL OR expires > ?3) ORDER BY path",
    )?;
    let end = directory.end();
    let mut from = directory.below();
    let mut names = Vec::new();
    'seek: loop {
        let mut rows = select.query(params![from, end, now])?;
        while let Some(row) = rows.next()? {
            let path = row.get_ref(0)?.as_blob().map_err(damaged)?;
            names.push(String::from_utf8(name_of(path)).map_err(damaged)?);
            // Behind a value stands its sibling. A directory is leapt over, however much is in it.
            if row.get(1)? {
                from = end_of(path);
                continue 'seek;
            }
        }
        return Ok(names);
    }
}

/// True when the path is a directory.
pub(crate) fn directory_exists(connection: &Connection, directory: &StoredPath) -> Result<bool, Fault> {
    Ok(node(connection, directory.bytes())?.is_some_and(|node| node.is_directory))
}

/// True when a value has expired that is still in the tables.
pub(crate) fn has_expired(connection: &Connection, now: Millis) -> Result<bool, Fault> {
    let mut select = connection.prepare_cached("SELECT EXISTS (SELECT 1 FROM node WHERE expires <= ?1)")?;
    Ok(select.query_row([now], |row| row.get(0))?)
}

/// The changes behind `after` that concern `prefix`.
pub(crate) fn look(connection: &Connection, prefix: &StoredPath, after: u64) -> Result<Look, Fault> {
    let newest = revision(connection)?;
    let oldest: Option<i64> =
        connection.prepare_cached("SELECT min(revision) FROM event")?.query_row((), |row| row.get(0))?;
    let oldest = oldest.map_or(Ok(0), unsigned)?;
    // A revision that is not reached yet was read from another file that stood here.
    if after > newest || after.saturating_add(1) < oldest {
        return Err(KvError::Compacted { after }.into());
    }
    let next_expiry = connection
        .prepare_cached("SELECT min(expires) FROM node WHERE expires IS NOT NULL")?
        .query_row((), |row| row.get(0))?;
    let mut found = Look { changes: Vec::new(), through: after, more: true, next_expiry };
    let mut select = connection.prepare_cached(
        "SELECT revision, action, path, value FROM event WHERE revision > ?1 ORDER BY revision",
    )?;
    let mut rows = select.query([signed(after)])?;
    for _ in 0..LOOK {
        let Some(row) = rows.next()? else {
            found.more = false;
            break;
        };
        found.through = unsigned(row.get(0)?)?;
        found.changes.extend(change(row, prefix)?);
    }
    Ok(found)
}

fn change(row: &Row<'_>, prefix: &StoredPath) -> Result<Option<Change>, Fault> {
    let path = row.get_ref(2)?.as_blob().map_err(damaged)?;
    let revision = numbered(row.get(0)?)?;
    let key = || {
        let mut key = Vec::new();
        decode(path, &mut key);
        String::from_utf8(key).map_err(damaged)
    };
    match row.get_ref(1)?.as_str().map_err(damaged)? {
        "set" if prefix.holds(path) => {
            Ok(Some(Change::Set(Entry { key: key()?, value: row.get(3)?, revision })))
        }
        "delete" | "expire" if prefix.holds(path) || prefix.is_held_by(path) => {
            Ok(Some(Change::Deleted { key: key()?, revision }))
        }
        _ => Ok(None),
    }
}

// === impl Writer ===

impl<'c> Writer<'c> {
    /// Begins with the values that have expired: they go first. Keeps `history` events for watches.
    pub(crate) fn begin(connection: &'c Connection, now: Millis, history: u32) -> Result<Self, Fault> {
        let revision = newest(connection)?;
        let mut writer = Self { connection, now, history: history.into(), began_at: revision, revision };
        if has_expired(connection, now)? {
            writer.expire()?;
        }
        Ok(writer)
    }

    /// Forgets old events. True when anything was written at all.
    pub(crate) fn finish(self) -> Result<bool, Fault> {
        // Now and then, so that most transactions touch the young end of the table only.
        let step = (self.history / 16).max(1);
        if self.revision / step != self.began_at / step {
            self.connection
                .prepare_cached("DELETE FROM event WHERE revision <= ?1")?
                .execute([self.revision - self.history])?;
        }
        Ok(self.revision != self.began_at)
    }

    /// Writes one value that lives for `seconds`, 0 for ever.
    pub(crate) fn put(
        &mut self,
        key: &str,
        value: &str,
        when: Precondition,
        seconds: u64,
    ) -> Result<Revision, Fault> {
        let path = StoredPath::of(key)?;
        let found = node(self.connection, path.bytes())?;
        if found.is_none() {
            check_ancestors(self.connection, &path)?;
        }
        check(key, found, when)?;
        match found {
            Some(node) if node.is_directory => return Err(not_a_file(key).into()),
            Some(_) => {}
            None => self.make_parents(&path)?,
        }
        self.revision += 1;
        let lifetime = i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1000);
        let expires = (seconds > 0).then(|| self.now.saturating_add(lifetime));
        self.connection
            .prepare_cached(
                "INSERT INTO node (path, revision, expires, value) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (path) DO UPDATE SET revision = ?2, expires = ?3, value = ?4",
            )?
            .execute(params![path.bytes(), self.revision, expires, value])?;
        self.record("set", path.bytes(), Some(value))?;
        numbered(self.revision)
    }

    /// Removes a value, or a directory and everything below.
    pub(crate) fn delete(&mut self, key: &str, when: Precondition) -> Result<(), Fault> {
        let path = StoredPath::of(key)?;
        let found = node(self.connection, path.bytes())?;
        if found.is_none() {
            check_ancestors(self.connection, &path)?;
            return Err(KvError::NotFound { key: key.to_owned() }.into());
        }
        if matches!((found, when), (Some(Node { is_directory: true, .. }), Precondition::Revision(_))) {
            return Err(not_a_file(key).into());
        }
        check(key, found, when)?;
        self.remove("delete", path.bytes())
    }

    /// Makes a directory unless it exists.
    pub(crate) fn make_directory(&mut self, directory: &str) -> Result<(), Fault> {
        let path = StoredPath::of(directory)?;
        match node(self.connection, path.bytes())? {
            Some(node) if node.is_directory => return Ok(()),
            Some(_) => return Err(KvError::Shape(format!("not a directory: {directory}")).into()),
            None => check_ancestors(self.connection, &path)?,
        }
        self.make_parents(&path)?;
        self.revision += 1;
        insert_directory(self.connection, path.bytes(), self.revision)?;
        self.record("mkdir", path.bytes(), None)
    }

    /// Removes a directory if nothing is in it. True when it did.
    pub(crate) fn remove_empty_directory(&mut self, directory: &str) -> Result<bool, Fault> {
        let path = StoredPath::of(directory)?;
        if !directory_exists(self.connection, &path)? {
            return Ok(false);
        }
        let full: bool = self
            .connection
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM node WHERE path >= ?1 AND path < ?2)")?
            .query_row(params![path.below(), path.end()], |row| row.get(0))?;
        if !full {
            self.remove("delete", path.bytes())?;
        }
        Ok(!full)
    }

    fn expire(&mut self) -> Result<(), Fault> {
        let mut select =
            self.connection.prepare_cached("SELECT path FROM node WHERE expires <= ?1 ORDER BY expires")?;
        let expired: Vec<Vec<u8>> =
            select.query_map([self.now], |row| row.get(0))?.collect::<Result<_, _>>()?;
        for path in expired {
            self.remove("expire", &path)?;
        }
        Ok(())
    }

    fn remove(&mut self, action: &str, path: &[u8]) -> Result<(), Fault> {
        self.connection
            .prepare_cached("DELETE FROM node WHERE path >= ?1 AND path < ?2")?
            .execute(params![path, end_of(path)])?;
        self.revision += 1;
        self.record(action, path, None)
    }

    /// Makes the directories above a path that has no node and no value above it.
    fn make_parents(&mut self, path: &StoredPath) -> Result<(), Fault> {
        for ancestor in path.ancestors() {
            // A directory's parents exist.
            if node(self.connection, ancestor)?.is_some() {
                return Ok(());
            }
            insert_directory(self.connection, ancestor, self.revision + 1)?;
        }
        Ok(())
    }

    fn record(&mut self, action: &str, path: &[u8], value: Option<&str>) -> Result<(), Fault> {
        self.connection
            .prepare_cached("INSERT INTO event (revision, action, path, value) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![self.revision, action, path, value])?;
        Ok(())
    }
}

// === helpers ===

fn newest(connection: &Connection) -> Result<i64, Fault> {
    let newest: Option<i64> =
        connection.prepare_cached("SELECT max(revision) FROM event")?.query_row((), |row| row.get(0))?;
    Ok(newest.unwrap_or(0))
}

fn node(connection: &Connection, path: &[u8]) -> Result<Option<Node>, Fault> {
    let mut select = connection.prepare_cached("SELECT revision, value IS NULL FROM node WHERE path = ?1")?;
    let node = select.query_row([path], |row| Ok(Node { revision: row.get(0)?, is_directory: row.get(1)? }));
    Ok(node.optional()?)
}

fn insert_directory(connection: &Connection, path: &[u8], revision: i64) -> Result<(), Fault> {
    connection
        .prepare_cached("INSERT INTO node (path, revision) VALUES (?1, ?2)")?
        .execute(params![path, revision])?;
    Ok(())
}

/// Refuses a path, itself absent, that has a value among its ancestors.
fn check_ancestors(connection: &Connection, path: &StoredPath) -> Result<(), Fault> {
    for ancestor in path.ancestors() {
        match node(connection, ancestor)? {
            // A directory's ancestors are directories.
            Some(node) if node.is_directory => return Ok(()),
            Some(_) => {
                let mut key = Vec::new();
                decode(ancestor, &mut key);
                let key = String::from_utf8_lossy(&key);
                return Err(KvError::Shape(format!("not a directory: {key}")).into());
            }
            None => {}
        }
    }
    Ok(())
}

fn check(key: &str, node: Option<Node>, when: Precondition) -> Result<(), KvError> {
    let key = || key.to_owned();
    match (when, node) {
        (Precondition::None, _)
        | (Precondition::Absent, None)
        | (Precondition::Present | Precondition::Revision(_), Some(Node { is_directory: true, .. }))
        | (Precondition::Present, Some(_)) => Ok(()),
        (Precondition::Absent, Some(_)) => Err(KvError::Exists { key: key() }),
        (Precondition::Present | Precondition::Revision(_), None) => Err(KvError::NotFound { key: key() }),
        (Precondition::Revision(wanted), Some(node)) if signed(wanted.get()) == node.revision => Ok(()),
        (Precondition::Revision(_), Some(_)) => Err(KvError::Conflict { key: key() }),
    }
}

fn not_a_file(key: &str) -> KvError {
    KvError::Shape(format!("not a file: {key}"))
}

fn signed(revision: u64) -> i64 {
    i64::try_from(revision).unwrap_or(i64::MAX)
}

fn unsigned(revision: i64) -> Result<u64, Fault> {
    u64::try_from(revision).map_err(damaged)
}

fn numbered(revision: i64) -> Result<Revision, Fault> {
    Revision::new(unsigned(revision)?).ok_or(Fault::Damaged)
}

/// What is wrong with the row helps nobody: it was written by something else.
fn damaged<E>(_: E) -> Fault {
    Fault::Damaged
}
