//! [`SqliteKv`]: the file as a [`Kv`], shared by tasks, waiting for other processes.

use std::hash::BuildHasher;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use margay_store::kv::{
    Entry, EntryRef, Kv, KvError, Listing, Precondition, Put, Result, Revision, check_key,
};
use rusqlite::{Transaction, TransactionBehavior};

use crate::error::Fault;
use crate::file::{self, Identity, Session};
use crate::keyspace::{self, Look, Millis, Writer};
use crate::path::StoredPath;
use crate::schema;
use crate::watch::SqliteWatch;

/// How many writes of a batch share a transaction: enough to make the fsync cheap, few enough to let others in.
const CHUNK: usize = 1000;

/// The longest pause between two attempts on a locked file.
const LONGEST_PAUSE: Duration = Duration::from_millis(16);

/// Tells the time of day. Processes that share a file must agree on it, roughly, for values that expire.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// When a write is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// Before it is acknowledged.
    #[default]
    EveryWrite,
    /// After [`SqliteKv::settle`], at the latest: for a program that lives for one request and answers at its end. A
    /// power cut before that takes its last writes back, in reverse order; the end of the process does not.
    AtTheEnd,
}

/// How a [`SqliteKv`] behaves.
#[derive(Clone)]
pub struct Options {
    /// How long an operation waits for other processes before it fails. 10 s when nothing is said.
    pub patience: Duration,
    /// How many changes are kept for watches: those further behind are told to list again. 4096 when nothing is said.
    pub history: NonZeroU32,
    /// The clock that values expire by. The system's when nothing is said.
    pub clock: Clock,
    /// When a write is on disk. Before it is acknowledged when nothing is said.
    pub durability: Durability,
}

/// A keyspace in a SQLite file.
///
/// Its operations and watches need a tokio runtime with I/O and time enabled. Clones share one connection.
#[derive(Clone)]
pub struct SqliteKv {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    path: PathBuf,
    options: Options,
    session: Mutex<Session>,
}

// === impl Options ===

impl Default for Options {
    fn default() -> Self {
        #[expect(clippy::disallowed_methods, reason = "values expire by the clock that all processes share")]
        let clock = Arc::new(SystemTime::now);
        let history = NonZeroU32::new(4096).expect("4096 is not 0");
        Self { patience: Duration::from_secs(10), history, clock, durability: Durability::EveryWrite }
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("patience", &self.patience)
            .field("history", &self.history)
            .finish_non_exhaustive()
    }
}

// === impl SqliteKv ===

impl std::fmt::Debug for SqliteKv {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteKv").field("path", &self.shared.path).finish_non_exhaustive()
    }
}

impl SqliteKv {
    /// Opens the datastore at `path`, making the file (mode 0600) and its directories (0700) when there are none, and
    /// bringing an older schema up to date. Blocks while other processes hold the file, at most `options.patience`.
    ///
    /// # Errors
    /// [`KvError::Storage`] with the path, what went wrong and what to do: no permission, not a database, another
    /// program's database, written by a newer Margay, damaged, disk full, locked.
    pub fn open(path: &Path, options: Options) -> Result<Self> {
        let path = std::path::absolute(path)
            .map_err(|error| KvError::Storage(format!("opening datastore {}: {error}", path.display())))?;
        let session = Mutex::new(file::open(&path, options.patience, options.durability)?);
        Ok(Self { shared: Arc::new(Shared { path, options, session }) })
    }

    /// Ends the work of a program that opened the datastore with [`Durability::AtTheEnd`]: with `sync` everything that
    /// it wrote is on disk when this returns. A log that has grown too long for the next one to read is worked off.
    ///
    /// # Errors
    /// [`KvError::Storage`] when the disk failed.
    pub fn settle(&self, sync: bool) -> Result<()> {
        let Shared { path, session, .. } = &*self.shared;
        let session = session.lock().unwrap_or_else(PoisonError::into_inner);
        file::settle(path, &session.connection, sync)
            .map_err(|error| KvError::Storage(format!("writing datastore {}: {error}", path.display())))
    }

    async fn read<T: Send>(
        &self,
        mut operation: impl FnMut(&Transaction<'_>, Millis) -> std::result::Result<T, Fault> + Send,
    ) -> Result<T> {
        let shared = &self.shared;
        shared.patiently("reading", |session| shared.read(session, &mut operation)).await
    }

    async fn write<T: Send>(
        &self,
        mut operation: impl FnMut(&mut Writer<'_>) -> std::result::Result<T, Fault> + Send,
    ) -> Result<T> {
        let shared = &self.shared;
        shared.patiently("writing", |session| shared.write(session, &mut operation)).await
    }
}

impl Kv for SqliteKv {
    type Watch = SqliteWatch;

    async fn get(&self, key: &str) -> Result<Option<Entry>> {
        let path = StoredPath::of(key)?;
        self.read(|transaction, now| keyspace::get(transaction, key, &path, now)).await
    }

    async fn list(&self, prefix: &str, visit: &mut (dyn FnMut(EntryRef<'_>) + Send)) -> Result<Listing> {
        let path = StoredPath::of(prefix)?;
        self.read(|transaction, now| {
            // The first statement fixes what the transaction sees. Only this one can find the file locked, so nothing
            // is visited twice.
            let at = keyspace::revision(transaction)?;
            keyspace::list(transaction, &path, now, visit)?;
            Ok(Listing { at })
        })
        .await
    }

    async fn children(&self, directory: &str) -> Result<Vec<String>> {
        let path = StoredPath::of(directory)?;
        self.read(|transaction, now| keyspace::children(transaction, &path, now)).await
    }

    async fn directory_exists(&self, directory: &str) -> Result<bool> {
        let path = StoredPath::of(directory)?;
        self.read(|transaction, _| keyspace::directory_exists(transaction, &path)).await
    }

    async fn put(
        &self,
        key: &str,
        value: &str,
        when: Precondition,
        ttl: Option<Duration>,
    ) -> Result<Revision> {
        check_key(key)?;
        let seconds = ttl.map_or(0, |ttl| ttl.as_secs());
        self.write(|writer| writer.put(key, value, when, seconds)).await
    }

    async fn put_all(&self, puts: &[Put]) -> (usize, Result<()>) {
        let mut written = 0;
        for chunk in puts.chunks(CHUNK) {
            match self.write(|writer| put_chunk(writer, chunk)).await {
                Ok((count, stopped)) => {
                    written += count;
                    if let Some(error) = stopped {
                        return (written, Err(error));
                    }
                }
                // The whole chunk is undone.
                Err(error) => return (written, Err(error)),
            }
            tokio::task::yield_now().await;
        }
        (written, Ok(()))
    }

    fn batches(&self) -> bool {
        true
    }

    async fn delete(&self, key: &str, when: Precondition) -> Result<()> {
        check_key(key)?;
        self.write(|writer| writer.delete(key, when)).await
    }

    async fn make_directory(&self, directory: &str) -> Result<()> {
        check_key(directory)?;
        self.write(|writer| writer.make_directory(directory)).await
    }

    async fn remove_empty_directory(&self, directory: &str) -> Result<bool> {
        check_key(directory)?;
        self.write(|writer| writer.remove_empty_directory(directory)).await
    }

    async fn watch(&self, prefix: &str, after: u64) -> Result<SqliteWatch> {
        SqliteWatch::new(Arc::clone(&self.shared), StoredPath::of(prefix)?, after)
    }
}

// === impl Shared ===

impl Shared {
    /// The datastore's file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The time by the store's clock.
    pub(crate) fn now(&self) -> Millis {
        let since = (self.options.clock)().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Millis::try_from(since.as_millis()).unwrap_or(Millis::MAX)
    }

    /// Which file operations go to.
    pub(crate) fn identity(&self) -> Result<Identity> {
        Ok(self.lock()?.identity)
    }

    /// What a watch finds, after values that have expired are gone.
    pub(crate) async fn look(&self, prefix: &StoredPath, after: u64) -> Result<Look> {
        self.patiently("watching", |session| {
            self.read(session, &mut |transaction, _| keyspace::look(transaction, prefix, after))
        })
        .await
    }

    /// Runs `operation` until it is not in another process's way, without blocking the runtime in between.
    async fn patiently<T: Send>(
        &self,
        doing: &str,
        mut operation: impl FnMut(&mut Session) -> std::result::Result<T, Fault> + Send,
    ) -> Result<T> {
        let deadline = Instant::now() + self.options.patience;
        let mut pause = Duration::from_millis(1);
        loop {
            let outcome = operation(&mut *self.lock()?);
            match outcome {
                Ok(value) => return Ok(value),
                Err(fault) if fault.is_passing() && Instant::now() < deadline => {}
                Err(fault) => return Err(fault.explain(doing, &self.path)),
            }
            tokio::time::sleep(jittered(pause)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn read<T>(
        &self,
        session: &mut Session,
        operation: &mut dyn FnMut(&Transaction<'_>, Millis) -> std::result::Result<T, Fault>,
    ) -> std::result::Result<T, Fault> {
        let now = self.now();
        if keyspace::has_expired(&session.connection, now)? {
            // For the sake of the watches. Reads do not see what has expired, so they go on when the disk is full or
            // another process is writing.
            let _ = self.write(session, &mut |_| Ok(()));
        }
        let transaction = session.connection.transaction()?;
        schema::check_unchanged(&transaction)?;
        operation(&transaction, now)
    }

    fn write<T>(
        &self,
        session: &mut Session,
        operation: &mut dyn FnMut(&mut Writer<'_>) -> std::result::Result<T, Fault>,
    ) -> std::result::Result<T, Fault> {
        let transaction = session.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        schema::check_unchanged(&transaction)?;
        let mut writer = Writer::begin(&transaction, self.now(), self.options.history.get())?;
        let value = operation(&mut writer)?;
        let changed = writer.finish()?;
        transaction.commit()?;
        if changed {
            file::announce(&self.path);
        }
        Ok(value)
    }

    /// The connection to the file that stands at the path now: a file removed under us would take our writes along.
    fn lock(&self) -> Result<MutexGuard<'_, Session>> {
        // A panic (in a visitor) has rolled its transaction back.
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        if Identity::of(&self.path) != Some(session.identity) {
            *session = file::open(&self.path, self.options.patience, self.options.durability)?;
        }
        Ok(session)
    }
}

// === helpers ===

/// How many of the chunk were written, and what refused the next.
fn put_chunk(writer: &mut Writer<'_>, chunk: &[Put]) -> std::result::Result<(usize, Option<KvError>), Fault> {
    for (count, put) in chunk.iter().enumerate() {
        match writer.put(&put.key, &put.value, put.when, 0) {
            Ok(_) => {}
            Err(Fault::Refused(error)) => return Ok((count, Some(error))),
            Err(fault) => return Err(fault),
        }
    }
    Ok((chunk.len(), None))
}

/// Between half of `pause` and all of it.
fn jittered(pause: Duration) -> Duration {
    let random = std::hash::RandomState::new().hash_one(()) % 1024;
    pause / 2 + pause.mul_f64(random as f64 / 2048.0)
}
