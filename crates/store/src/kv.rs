//! [`Kv`]: one hierarchical keyspace with revisions, as etcd v2 has it.
//!
//! Keys are absolute slash-separated paths (`/calico/v1/Ready`), already escaped by `model`, never with an empty
//! component. A key is either a value or a directory, never both; directories come into being with the first value
//! below them and stay until removed. Every write gets a revision larger than all before it.
//! What must stay true in every implementation is asserted by the shared suite, `margay_testkit::kv_suite`.

use std::future::Future;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

/// The store-wide number of a write. etcd's `modifiedIndex`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub NonZeroU64);

impl Revision {
    /// The revision with number `n`, none for 0.
    #[must_use]
    pub fn new(n: u64) -> Option<Self> {
        NonZeroU64::new(n).map(Self)
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0.get()
    }
}

/// A stored value, owned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The full key.
    pub key: String,
    /// The value. etcd v2 carries values inside JSON, so they are text.
    pub value: String,
    /// The revision of its last write.
    pub revision: Revision,
}

/// A stored value, borrowed from the store's read buffer for the time of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryRef<'a> {
    /// The full key.
    pub key: &'a str,
    /// The value.
    pub value: &'a str,
    /// The revision of its last write.
    pub revision: Revision,
}

/// What must hold of the key for a write to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precondition {
    /// Nothing: set.
    None,
    /// The key holds no value (etcd `prevExist=false`); else [`KvError::Exists`].
    Absent,
    /// The key holds a value (etcd `prevExist=true`); else [`KvError::NotFound`].
    Present,
    /// The value's revision is this one; else [`KvError::Conflict`], or [`KvError::NotFound`] when it is gone.
    Revision(Revision),
}

/// One write of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Put {
    /// The full key.
    pub key: String,
    /// The new value.
    pub value: String,
    /// What must hold.
    pub when: Precondition,
}

/// A list's outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listing {
    /// The store's revision when the list was taken: a watch from here sees every later change. 0 = empty store.
    pub at: u64,
}

/// What happened to a key, as a watch reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The key holds this value now.
    Set(Entry),
    /// The key, and everything below it, is gone (delete, compare-and-delete, expiry).
    Deleted {
        /// The full key, a value's or a directory's.
        key: String,
        /// The revision of the deletion.
        revision: Revision,
    },
}

// === impl Change ===

impl Change {
    /// The full key, a value's or a directory's.
    #[must_use]
    pub fn key(&self) -> &str {
        match self {
            Self::Set(entry) => &entry.key,
            Self::Deleted { key, .. } => key,
        }
    }

    /// The revision of the write or deletion.
    #[must_use]
    pub fn revision(&self) -> Revision {
        match self {
            Self::Set(entry) => entry.revision,
            Self::Deleted { revision, .. } => *revision,
        }
    }
}

/// Why a store did not do what it was asked.
///
/// A variant is something a caller acts on. `Display` of the transport and server variants is the text that upstream
/// prints for them.
#[derive(Debug, Clone, thiserror::Error)]
pub enum KvError {
    /// The key is absent (etcd 100).
    #[error("key not found: {key}")]
    NotFound {
        /// The key.
        key: String,
    },
    /// The key exists although it must not (etcd 105).
    #[error("key already exists: {key}")]
    Exists {
        /// The key.
        key: String,
    },
    /// The key was written since its revision was read (etcd 101).
    #[error("compare failed: {key}")]
    Conflict {
        /// The key.
        key: String,
    },
    /// The history behind a watch is gone: list again (etcd 400, 401).
    #[error("the history before revision {after} is gone")]
    Compacted {
        /// The revision asked for.
        after: u64,
    },
    /// No or wrong credentials, or a role without the path (etcd 110, HTTP 401).
    #[error("connection is unauthorized")]
    Unauthorized,
    /// A directory stands where a value is wanted, or the reverse, or is not empty (etcd 102, 104, 108).
    #[error("{0}")]
    Shape(String),
    /// No server answered in time. Writes may or may not have happened.
    #[error("{message}")]
    Unavailable {
        /// The text upstream prints, trailing newline included where it has one.
        message: String,
    },
    /// A server answered with something that is not its protocol, or refused for a reason of its own.
    #[error("{0}")]
    Server(String),
    /// This machine's storage failed: disk full, file damaged, schema too new, no permission.
    #[error("{0}")]
    Storage(String),
    /// A key or value that this store cannot hold.
    #[error("invalid key '{key}': {reason}")]
    InvalidKey {
        /// The key.
        key: String,
        /// What is wrong with it.
        reason: &'static str,
    },
}

/// Checks that `key` names something a store can hold: every [`Kv`] operation refuses the others.
///
/// `.` and `..` are refused because etcd resolves them and would write elsewhere.
///
/// # Errors
/// [`KvError::InvalidKey`].
pub fn check_key(key: &str) -> Result<()> {
    let refuse = |reason| Err(KvError::InvalidKey { key: key.to_owned(), reason });
    let Some(path) = key.strip_prefix('/') else { return refuse("it does not start with a slash") };
    if path.contains('\0') {
        return refuse("it contains a NUL");
    }
    for component in path.split('/') {
        match component {
            "" => return refuse("a component of the path is empty"),
            "." | ".." => return refuse("a component of the path is '.' or '..'"),
            _ => {}
        }
    }
    Ok(())
}

/// Result of a store operation.
pub type Result<T> = std::result::Result<T, KvError>;

/// A running watch: changes below one prefix in revision order, none missing, none twice.
pub trait Watch: Send {
    /// Waits for the next changes; cancel-safe.
    ///
    /// # Errors
    /// [`KvError::Compacted`] when events were lost: list again. Transport errors are retried inside only as far as
    /// one request goes; after an error the watch may be called again and continues behind the last change returned.
    fn next(&mut self) -> impl Future<Output = Result<Vec<Change>>> + Send;
}

/// A keyspace. See the module's text for the rules every implementation keeps.
pub trait Kv: Send + Sync {
    /// The watch of this store.
    type Watch: Watch;

    /// Reads one value; `None` when absent. A directory is [`KvError::Shape`]. Sees every acknowledged write.
    fn get(&self, key: &str) -> impl Future<Output = Result<Option<Entry>>> + Send;

    /// Visits every value at or below `prefix` (a whole key or directory, no trailing slash), ordered as etcd sorts:
    /// component by component, so `/a/b` before `/a-b`. An absent prefix visits nothing. Values arrive as they are
    /// read, in constant memory; on an error after the first visit the caller has seen a part.
    fn list(
        &self,
        prefix: &str,
        visit: &mut (dyn FnMut(EntryRef<'_>) + Send),
    ) -> impl Future<Output = Result<Listing>> + Send;

    /// The names of the values and directories directly below `directory`, sorted; empty when it is absent.
    fn children(&self, directory: &str) -> impl Future<Output = Result<Vec<String>>> + Send;

    /// True when `directory` exists, empty or not.
    fn directory_exists(&self, directory: &str) -> impl Future<Output = Result<bool>> + Send;

    /// Writes one value. `ttl` is cut to whole seconds; none or under one second = kept for ever.
    fn put(
        &self,
        key: &str,
        value: &str,
        when: Precondition,
        ttl: Option<Duration>,
    ) -> impl Future<Output = Result<Revision>> + Send;

    /// Writes several values in order, stopping at the first that fails: none behind it is written. Returns how many
    /// were written and the error that stopped it. A store may commit them together, but never reports one written
    /// that a crash could lose.
    fn put_all(&self, puts: &[Put]) -> impl Future<Output = (usize, Result<()>)> + Send;

    /// True when [`Kv::put_all`] of several writes takes no longer than one write: they are committed together.
    fn batches(&self) -> bool {
        false
    }

    /// Removes a value, or a directory with everything below it. Absent is [`KvError::NotFound`].
    /// `when` may be `None` or `Revision`.
    fn delete(&self, key: &str, when: Precondition) -> impl Future<Output = Result<()>> + Send;

    /// Makes an empty directory; one that exists is fine.
    fn make_directory(&self, directory: &str) -> impl Future<Output = Result<()>> + Send;

    /// Removes a directory if it is empty: true when it was removed, false when it is not empty or absent.
    fn remove_empty_directory(&self, directory: &str) -> impl Future<Output = Result<bool>> + Send;

    /// Watches `prefix` and everything below it for changes with a revision above `after`. The deletion of a directory
    /// is one change with the directory's own key, also when that directory stands above `prefix`. That directories
    /// were made is not reported.
    fn watch(&self, prefix: &str, after: u64) -> impl Future<Output = Result<Self::Watch>> + Send;
}

// === impl Kv for Arc ===

/// A shared store is a store.
impl<K: Kv> Kv for Arc<K> {
    type Watch = K::Watch;

    async fn get(&self, key: &str) -> Result<Option<Entry>> {
        K::get(self, key).await
    }

    async fn list(&self, prefix: &str, visit: &mut (dyn FnMut(EntryRef<'_>) + Send)) -> Result<Listing> {
        K::list(self, prefix, visit).await
    }

    async fn children(&self, directory: &str) -> Result<Vec<String>> {
        K::children(self, directory).await
    }

    async fn directory_exists(&self, directory: &str) -> Result<bool> {
        K::directory_exists(self, directory).await
    }

    async fn put(
        &self,
        key: &str,
        value: &str,
        when: Precondition,
        ttl: Option<Duration>,
    ) -> Result<Revision> {
        K::put(self, key, value, when, ttl).await
    }

    async fn put_all(&self, puts: &[Put]) -> (usize, Result<()>) {
        K::put_all(self, puts).await
    }

    fn batches(&self) -> bool {
        K::batches(self)
    }

    async fn delete(&self, key: &str, when: Precondition) -> Result<()> {
        K::delete(self, key, when).await
    }

    async fn make_directory(&self, directory: &str) -> Result<()> {
        K::make_directory(self, directory).await
    }

    async fn remove_empty_directory(&self, directory: &str) -> Result<bool> {
        K::remove_empty_directory(self, directory).await
    }

    async fn watch(&self, prefix: &str, after: u64) -> Result<Self::Watch> {
        K::watch(self, prefix, after).await
    }
}
