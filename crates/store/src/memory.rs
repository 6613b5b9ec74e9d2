//! [`MemoryKv`]: the keyspace in this process's memory, for tests and dry runs.
//!
//! It owns the values, the directories and a bounded history of changes, and refuses what etcd v2 refuses. Clones
//! share one store. Time is a parameter, and expired values vanish before any operation looks at the store.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::kv::{
    Change, Entry, EntryRef, Kv, KvError, Listing, Precondition, Put, Result, Revision, Watch, check_key,
};

/// How many changes are kept for watches when nothing else is said: as many as etcd keeps.
pub const DEFAULT_HISTORY: usize = 1000;

/// Tells the time as a distance from any fixed point.
pub type Clock = Arc<dyn Fn() -> Duration + Send + Sync>;

/// A keyspace in memory.
#[derive(Clone)]
pub struct MemoryKv {
    shared: Arc<Shared>,
}

/// A watch of a [`MemoryKv`].
pub struct MemoryWatch {
    shared: Arc<Shared>,
    prefix: String,
    after: u64,
}

struct Shared {
    state: Mutex<State>,
    changed: Notify,
    clock: Clock,
}

struct State {
    /// By [`sort_key`]. Every parent of a node is a directory in the map; the root is not in it.
    nodes: BTreeMap<String, Node>,
    /// When which node expires. Entries of nodes since rewritten or removed stay until their time.
    expiries: BTreeSet<(Duration, String)>,
    /// The revision of the last change.
    revision: u64,
    history: VecDeque<Event>,
    capacity: usize,
    /// The revision of the last change that fell out of the history.
    compacted: u64,
}

enum Node {
    Directory,
    Value { value: Arc<str>, revision: Revision, expires: Option<Duration> },
}

struct Event {
    revision: Revision,
    change: Change,
}

// === impl MemoryKv ===

impl Default for MemoryKv {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryKv {
    /// An empty store with tokio's clock and the default history.
    #[must_use]
    pub fn new() -> Self {
        Self::with_history(DEFAULT_HISTORY)
    }

    /// An empty store that keeps the last `history` changes for watches.
    #[must_use]
    pub fn with_history(history: usize) -> Self {
        let start = tokio::time::Instant::now();
        Self::with_clock(history, Arc::new(move || start.elapsed()))
    }

    /// An empty store that keeps the last `history` changes and expires values by `clock`.
    #[must_use]
    pub fn with_clock(history: usize, clock: Clock) -> Self {
        let state = State {
            nodes: BTreeMap::new(),
            expiries: BTreeSet::new(),
            revision: 0,
            history: VecDeque::new(),
            capacity: history,
            compacted: 0,
        };
        Self { shared: Arc::new(Shared { state: Mutex::new(state), changed: Notify::new(), clock }) }
    }

    /// Forgets the history, so that every watch behind the present fails with [`KvError::Compacted`].
    pub fn compact(&self) {
        let mut state = self.shared.lock();
        state.history.clear();
        state.compacted = state.revision;
        drop(state);
        self.shared.changed.notify_waiters();
    }

    /// The revision of the last change, 0 for none.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.shared.lock().revision
    }

    fn write<T>(&self, operation: impl FnOnce(&mut State, Duration) -> Result<T>) -> Result<T> {
        let mut state = self.shared.lock();
        let outcome = operation(&mut state, (self.shared.clock)());
        drop(state);
        self.shared.changed.notify_waiters();
        outcome
    }
}

impl Kv for MemoryKv {
    type Watch = MemoryWatch;

    async fn get(&self, key: &str) -> Result<Option<Entry>> {
        check_key(key)?;
        self.shared.lock().get(key)
    }

    async fn list(&self, prefix: &str, visit: &mut (dyn FnMut(EntryRef<'_>) + Send)) -> Result<Listing> {
        check_key(prefix)?;
        // Copied out first: the visitor may use the store.
        let (entries, at) = {
            let state = self.shared.lock();
            (state.list(prefix)?, state.revision)
        };
        for (key, value, revision) in &entries {
            visit(EntryRef { key, value, revision: *revision });
        }
        Ok(Listing { at })
    }

    async fn children(&self, directory: &str) -> Result<Vec<String>> {
        check_key(directory)?;
        Ok(self.shared.lock().children(directory).map(str::to_owned).collect())
    }

    async fn directory_exists(&self, directory: &str) -> Result<bool> {
        check_key(directory)?;
        Ok(matches!(self.shared.lock().nodes.get(&sort_key(directory)), Some(Node::Directory)))
    }

    async fn put(
        &self,
        key: &str,
        value: &str,
        when: Precondition,
        ttl: Option<Duration>,
    ) -> Result<Revision> {
        check_key(key)?;
        self.write(|state, now| state.put(key, value, when, ttl, now))
    }

    async fn put_all(&self, puts: &[Put]) -> (usize, Result<()>) {
        for (written, put) in puts.iter().enumerate() {
            if let Err(error) = self.put(&put.key, &put.value, put.when, None).await {
                return (written, Err(error));
            }
        }
        (puts.len(), Ok(()))
    }

    async fn delete(&self, key: &str, when: Precondition) -> Result<()> {
        check_key(key)?;
        self.write(|state, _| state.delete(key, when))
    }

    async fn make_directory(&self, directory: &str) -> Result<()> {
        check_key(directory)?;
        self.write(|state, _| state.make_directory(directory))
    }

    async fn remove_empty_directory(&self, directory: &str) -> Result<bool> {
        check_key(directory)?;
        self.write(|state, _| Ok(state.remove_empty_directory(directory)))
    }

    async fn watch(&self, prefix: &str, after: u64) -> Result<MemoryWatch> {
        check_key(prefix)?;
        Ok(MemoryWatch { shared: Arc::clone(&self.shared), prefix: prefix.to_owned(), after })
    }
}

// === impl MemoryWatch ===

impl Watch for MemoryWatch {
    async fn next(&mut self) -> Result<Vec<Change>> {
        let shared = Arc::clone(&self.shared);
        loop {
            // Listens before it looks, so that a change in between wakes it.
            let mut changed = std::pin::pin!(shared.changed.notified());
            changed.as_mut().enable();
            let (changes, expiry) = {
                let state = shared.lock();
                (self.take(&state)?, state.next_expiry())
            };
            if !changes.is_empty() {
                return Ok(changes);
            }
            match expiry {
                None => changed.await,
                Some(at) => {
                    let wait = at.saturating_sub((shared.clock)()).max(Duration::from_millis(1));
                    // Woken or timed out, the loop looks again.
                    let _ = tokio::time::timeout(wait, changed).await;
                }
            }
        }
    }
}

impl MemoryWatch {
    fn take(&mut self, state: &State) -> Result<Vec<Change>> {
        if self.after < state.compacted {
            return Err(KvError::Compacted { after: self.after });
        }
        let from = state.history.partition_point(|event| event.revision.get() <= self.after);
        let changes = state
            .history
            .range(from..)
            .filter(|event| concerns(&self.prefix, &event.change))
            .map(|event| event.change.clone())
            .collect();
        self.after = self.after.max(state.revision);
        Ok(changes)
    }
}

// === impl Shared ===

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic cannot leave the state half changed in a way that matters to a test double.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.expire((self.clock)()) {
            self.changed.notify_waiters();
        }
        state
    }
}

// === impl State ===

impl State {
    fn get(&self, key: &str) -> Result<Option<Entry>> {
        self.check_ancestors(key)?;
        match self.nodes.get(&sort_key(key)) {
            None => Ok(None),
            Some(Node::Directory) => Err(not_a_file(key)),
            Some(Node::Value { value, revision, .. }) => {
                Ok(Some(Entry { key: key.to_owned(), value: value.as_ref().to_owned(), revision: *revision }))
            }
        }
    }

    fn list(&self, prefix: &str) -> Result<Vec<(String, Arc<str>, Revision)>> {
        self.check_ancestors(prefix)?;
        let sorted = sort_key(prefix);
        let at_prefix = self.nodes.get_key_value(&sorted);
        let entries = at_prefix.into_iter().chain(self.below(&sorted)).filter_map(|(key, node)| match node {
            Node::Directory => None,
            Node::Value { value, revision, .. } => Some((path(key), Arc::clone(value), *revision)),
        });
        Ok(entries.collect())
    }

    /// Everything below the directory with this sort key, in order.
    fn below(&self, sorted: &str) -> std::collections::btree_map::Range<'_, String, Node> {
        // `\0` ends a component, so `\u{1}` is the first text behind everything below.
        self.nodes.range(format!("{sorted}\0")..format!("{sorted}\u{1}"))
    }

    fn children(&self, directory: &str) -> impl Iterator<Item = &str> {
        let sorted = sort_key(directory);
        let length = sorted.len() + 1;
        self.below(&sorted).map(move |(key, _)| &key[length..]).filter(|name| !name.contains('\0'))
    }

    /// Refuses a key that has a value among its ancestors.
    fn check_ancestors(&self, key: &str) -> Result<()> {
        for ancestor in ancestors(key) {
            if matches!(self.nodes.get(&sort_key(ancestor)), Some(Node::Value { .. })) {
                return Err(KvError::Shape(format!("not a directory: {ancestor}")));
            }
        }
        Ok(())
    }

    fn put(
        &mut self,
        key: &str,
        value: &str,
        when: Precondition,
        ttl: Option<Duration>,
        now: Duration,
    ) -> Result<Revision> {
        self.check_ancestors(key)?;
        let sorted = sort_key(key);
        check(key, self.nodes.get(&sorted), when)?;
        if matches!(self.nodes.get(&sorted), Some(Node::Directory)) {
            return Err(not_a_file(key));
        }
        self.make_parents(key);
        let revision = self.next_revision();
        let seconds = ttl.map_or(0, |ttl| ttl.as_secs());
        let expires = (seconds > 0).then(|| now.saturating_add(Duration::from_secs(seconds)));
        if let Some(expires) = expires {
            self.expiries.insert((expires, sorted.clone()));
        }
        self.nodes.insert(sorted, Node::Value { value: value.into(), revision, expires });
        self.record(revision, Change::Set(Entry { key: key.to_owned(), value: value.to_owned(), revision }));
        Ok(revision)
    }

    fn delete(&mut self, key: &str, when: Precondition) -> Result<()> {
        self.check_ancestors(key)?;
        let sorted = sort_key(key);
        let Some(node) = self.nodes.get(&sorted) else {
            return Err(KvError::NotFound { key: key.to_owned() });
        };
        if matches!((node, when), (Node::Directory, Precondition::Revision(_))) {
            return Err(not_a_file(key));
        }
        check(key, Some(node), when)?;
        self.remove(key, &sorted);
        Ok(())
    }

    fn make_directory(&mut self, directory: &str) -> Result<()> {
        self.check_ancestors(directory)?;
        match self.nodes.get(&sort_key(directory)) {
            Some(Node::Directory) => Ok(()),
            Some(Node::Value { .. }) => Err(KvError::Shape(format!("not a directory: {directory}"))),
            None => {
                self.make_parents(directory);
                self.nodes.insert(sort_key(directory), Node::Directory);
                // Not reported to watches, but a write all the same.
                self.next_revision();
                Ok(())
            }
        }
    }

    fn remove_empty_directory(&mut self, directory: &str) -> bool {
        let sorted = sort_key(directory);
        let removable =
            matches!(self.nodes.get(&sorted), Some(Node::Directory)) && self.below(&sorted).next().is_none();
        if removable {
            self.remove(directory, &sorted);
        }
        removable
    }

    fn make_parents(&mut self, key: &str) {
        for ancestor in ancestors(key) {
            self.nodes.entry(sort_key(ancestor)).or_insert(Node::Directory);
        }
    }

    /// Removes a node and everything below it, as one change.
    fn remove(&mut self, key: &str, sorted: &str) {
        let below: Vec<String> = self.below(sorted).map(|(key, _)| key.clone()).collect();
        for key in &below {
            self.nodes.remove(key);
        }
        self.nodes.remove(sorted);
        let revision = self.next_revision();
        self.record(revision, Change::Deleted { key: key.to_owned(), revision });
    }

    /// Removes what has expired at `now`, the earliest first; true when that was anything.
    fn expire(&mut self, now: Duration) -> bool {
        let mut any = false;
        while self.expiries.first().is_some_and(|(at, _)| *at <= now) {
            let Some((at, sorted)) = self.expiries.pop_first() else { break };
            if matches!(self.nodes.get(&sorted), Some(Node::Value { expires: Some(expires), .. }) if *expires == at)
            {
                self.remove(&path(&sorted), &sorted);
                any = true;
            }
        }
        any
    }

    fn next_expiry(&self) -> Option<Duration> {
        self.expiries.first().map(|(at, _)| *at)
    }

    fn next_revision(&mut self) -> Revision {
        self.revision += 1;
        Revision::new(self.revision).expect("a number just incremented is not 0")
    }

    fn record(&mut self, revision: Revision, change: Change) {
        self.history.push_back(Event { revision, change });
        while self.history.len() > self.capacity {
            if let Some(event) = self.history.pop_front() {
                self.compacted = event.revision.get();
            }
        }
    }
}

// === helpers ===

/// The key with its slashes made the smallest character, so that bytewise order is order component by component.
fn sort_key(key: &str) -> String {
    key.replace('/', "\0")
}

fn path(sorted: &str) -> String {
    sorted.replace('\0', "/")
}

/// `/a`, `/a/b` for `/a/b/c`.
fn ancestors(key: &str) -> impl Iterator<Item = &str> {
    key.match_indices('/').filter(|(at, _)| *at > 0).map(|(at, _)| &key[..at])
}

fn check(key: &str, node: Option<&Node>, when: Precondition) -> Result<()> {
    let key = || key.to_owned();
    match (when, node) {
        (Precondition::None, _)
        | (Precondition::Absent, None)
        | (Precondition::Present | Precondition::Revision(_), Some(Node::Directory))
        | (Precondition::Present, Some(Node::Value { .. })) => Ok(()),
        (Precondition::Absent, Some(_)) => Err(KvError::Exists { key: key() }),
        (Precondition::Present | Precondition::Revision(_), None) => Err(KvError::NotFound { key: key() }),
        (Precondition::Revision(wanted), Some(Node::Value { revision, .. })) if *revision == wanted => Ok(()),
        (Precondition::Revision(_), Some(Node::Value { .. })) => Err(KvError::Conflict { key: key() }),
    }
}

/// True when a watch of `prefix` reports the change.
fn concerns(prefix: &str, change: &Change) -> bool {
    match change {
        Change::Set(entry) => at_or_below(prefix, &entry.key),
        Change::Deleted { key, .. } => at_or_below(prefix, key) || at_or_below(key, prefix),
    }
}

fn at_or_below(directory: &str, key: &str) -> bool {
    key.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn not_a_file(key: &str) -> KvError {
    KvError::Shape(format!("not a file: {key}"))
}
