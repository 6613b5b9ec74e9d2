//! [`Syncer`]: keeps a consumer's picture of a subtree equal to the store, over any [`Kv`].
//!
//! An explicit state machine: probe the store's revision (and wait for the ready key), list, watch; after
//! [`KvError::Compacted`] list again and report only the difference. It owns one mark per key that it has reported:
//! the revision and a digest of the value. What must stay true: applying every update in order yields the store, no
//! update repeats what the consumer has, and no error ends it (`spec/datastore-etcdv2.md` 11).

mod known;

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::pin::pin;
use std::time::Duration;

use tokio::time::Instant;

use crate::backoff::{Backoff, Jitter};
use crate::kv::{Change, Entry, EntryRef, Kv, KvError, Listing, Revision, Watch};

use known::{Known, Mark};

/// How many changes are kept while a list is under way. When more come the watch is begun anew behind the list.
const MAX_PENDING: usize = 20_000;

/// How often a store that is behind what was seen is asked again before it is believed to have been replaced.
const MAX_STALE: u32 = 10;

/// How far the picture is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// The ready key does not exist: nothing is read.
    WaitForReady,
    /// A snapshot is being read.
    Resync,
    /// The picture has everything up to some recent moment.
    InSync,
}

/// What an update means for the consumer's picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpdateKind {
    /// The key was absent before.
    New,
    /// The key had another value or revision.
    Updated,
    /// The key is gone.
    Deleted,
}

/// One key's change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// The full key, always of a value.
    pub key: String,
    /// The value; none when deleted.
    pub value: Option<String>,
    /// The revision of the write or deletion; of the snapshot for a deletion that was found by its absence there.
    pub revision: Revision,
    /// What changed.
    pub kind: UpdateKind,
}

/// What [`Syncer::next`] returns.
#[derive(Debug, Clone)]
pub enum SyncEvent {
    /// The status, when it changed.
    Status(Status),
    /// Changes, in order; never empty.
    Updates(Vec<Update>),
    /// An attempt failed and will be repeated: something to log or count, nothing to act on.
    Trouble(KvError),
}

/// How a [`Syncer`] works.
pub struct Options {
    /// A key that is read to learn the store's revision, and must exist if `wait_for_ready`.
    pub probe_key: String,
    /// Reads nothing while `probe_key` does not exist.
    pub wait_for_ready: bool,
    /// How long to wait before the absent ready key is looked for again.
    pub ready_interval: Duration,
    /// The delays after failures.
    pub backoff: Backoff,
}

/// Lists, then watches, then repairs. See the module's text.
pub struct Syncer<K: Kv> {
    kv: K,
    prefix: String,
    options: Options,
    state: State,
    status: Option<Status>,
    known: Known,
    /// Every change up to this revision is in `known`.
    after: u64,
    watch: Option<K::Watch>,
    /// Changes seen by the watch while a list is under way.
    pending: Vec<Change>,
    /// Probes in a row that were behind `after`.
    stale: u32,
    /// Compactions in a row without a change seen between them.
    compactions: u32,
    sleep_until: Option<Instant>,
    events: VecDeque<SyncEvent>,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Probe,
    /// Read a snapshot not older than the probed revision.
    List {
        required: u64,
    },
    Watch,
}

// === impl Options ===

impl Options {
    /// What the agent uses: wait for `/calico/v1/Ready`, looking each second, and back off from 0.1 s to 10 s.
    #[must_use]
    pub fn new(jitter: Jitter) -> Self {
        Self {
            probe_key: "/calico/v1/Ready".to_owned(),
            wait_for_ready: true,
            ready_interval: Duration::from_secs(1),
            backoff: Backoff::new(Duration::from_millis(100), Duration::from_secs(10), jitter),
        }
    }
}

// === impl Syncer ===

impl<K: Kv> Syncer<K> {
    /// A syncer of everything below `prefix` that has not begun.
    #[must_use]
    pub fn new(kv: K, prefix: impl Into<String>, options: Options) -> Self {
        let first = if options.wait_for_ready { Status::WaitForReady } else { Status::Resync };
        Self {
            kv,
            prefix: prefix.into(),
            options,
            state: State::Probe,
            status: Some(first),
            known: Known::default(),
            after: 0,
            watch: None,
            pending: Vec::new(),
            stale: 0,
            compactions: 0,
            sleep_until: None,
            events: VecDeque::from([SyncEvent::Status(first)]),
        }
    }

    /// Waits for the next event. Cancel-safe: a cancelled list is begun again, nothing is lost.
    pub async fn next(&mut self) -> SyncEvent {
        loop {
            if let Some(event) = self.events.pop_front() {
                return event;
            }
            if let Some(until) = self.sleep_until {
                tokio::time::sleep_until(until).await;
                self.sleep_until = None;
            }
            match self.state {
                State::Probe => self.probe().await,
                State::List { required } => self.list(required).await,
                State::Watch => self.watch().await,
            }
        }
    }

    /// How many keys the consumer has been told of.
    #[must_use]
    pub fn known(&self) -> usize {
        self.known.len()
    }

    /// Learns the store's revision, so that the watch can begin before the list: a list that takes longer than the
    /// store's history lasts would otherwise never be followed by a watch.
    async fn probe(&mut self) {
        let mut ready = false;
        match self.kv.list(&self.options.probe_key, &mut |_| ready = true).await {
            Err(error) => self.failed(error),
            Ok(_) if self.options.wait_for_ready && !ready => {
                self.options.backoff.succeeded();
                self.set_status(Status::WaitForReady);
                self.sleep(self.options.ready_interval);
            }
            Ok(listing) if listing.at < self.after && self.stale < MAX_STALE => {
                // A replica that lags, or a store restored from an older state. Only time tells, but not minutes: it
                // answers, so asking again costs little, and until then nobody follows what it holds.
                self.stale += 1;
                let delay = self.options.backoff.failed().min(self.options.ready_interval);
                self.sleep(delay);
            }
            Ok(listing) => {
                self.options.backoff.succeeded();
                self.stale = 0;
                self.set_status(Status::Resync);
                self.state = State::List { required: listing.at };
            }
        }
    }

    async fn list(&mut self, required: u64) {
        if self.watch.is_none() {
            // A failure here is not reported: the watch is opened again, and then reported, behind the list.
            self.watch = self.kv.watch(&self.prefix, required).await.ok();
        }
        self.known.begin_list();
        let (changed, outcome) = self.snapshot().await;
        match outcome {
            Err(error) => self.failed(error),
            Ok(listing) if listing.at < required => {
                self.back_off();
                self.restart();
            }
            Ok(listing) => {
                self.options.backoff.succeeded();
                self.merge(changed, listing.at);
                self.set_status(Status::InSync);
                self.state = State::Watch;
            }
        }
    }

    /// Reads the subtree: the entries that the consumer does not have, while the watch fills `pending`.
    async fn snapshot(&mut self) -> (Vec<Entry>, Result<Listing, KvError>) {
        let Self { kv, prefix, known, watch, pending, .. } = self;
        let mut changed = Vec::new();
        let mut visit = |entry: EntryRef<'_>| match known.see(entry.key) {
            Some(mark) if mark.revision == entry.revision && mark.digest == digest(entry.value) => {}
            _ => {
                let (key, value) = (entry.key.to_owned(), entry.value.to_owned());
                changed.push(Entry { key, value, revision: entry.revision });
            }
        };
        let outcome = {
            let mut list = pin!(kv.list(prefix, &mut visit));
            let mut listening = true;
            loop {
                tokio::select! {
                    biased;
                    outcome = &mut list => break outcome,
                    changes = next_of(watch), if listening => match changes {
                        Ok(changes) if pending.len() + changes.len() <= MAX_PENDING => pending.extend(changes),
                        Ok(_) | Err(KvError::Compacted { .. }) => {
                            *watch = None;
                            pending.clear();
                        }
                        // It continues where it was, but not before the list is there.
                        Err(_) => listening = false,
                    },
                }
            }
        };
        (changed, outcome)
    }

    /// Makes a snapshot and what the watch saw meanwhile into updates.
    fn merge(&mut self, changed: Vec<Entry>, at: u64) {
        // Deletions first: a directory may stand now where a value stood.
        let absent = self.known.unseen();
        let mut updates = Vec::with_capacity(absent.len() + changed.len());
        for key in absent {
            let Some(mark) = self.known.remove(&key) else { continue };
            let revision = Revision::new(at).unwrap_or(mark.revision);
            updates.push(Update { key, value: None, revision, kind: UpdateKind::Deleted });
        }
        for entry in changed {
            updates.push(self.set(entry));
        }
        self.after = at;
        let pending = std::mem::take(&mut self.pending);
        self.apply(pending, &mut updates);
        self.report(updates);
    }

    async fn watch(&mut self) {
        if self.watch.is_none() {
            match self.kv.watch(&self.prefix, self.after).await {
                Ok(watch) => self.watch = Some(watch),
                Err(error) => return self.watch_failed(error),
            }
        }
        match next_of(&mut self.watch).await {
            Ok(changes) => {
                self.options.backoff.succeeded();
                self.compactions = 0;
                let mut updates = Vec::with_capacity(changes.len());
                self.apply(changes, &mut updates);
                self.report(updates);
            }
            Err(error) => self.watch_failed(error),
        }
    }

    fn watch_failed(&mut self, error: KvError) {
        if !matches!(error, KvError::Compacted { .. }) {
            return self.failed(error);
        }
        if self.compactions > 0 {
            self.back_off();
        }
        self.compactions = self.compactions.saturating_add(1);
        self.set_status(Status::Resync);
        self.restart();
    }

    /// Makes changes of the watch into updates, those above `after` only.
    fn apply(&mut self, changes: Vec<Change>, updates: &mut Vec<Update>) {
        for change in changes {
            let revision = change.revision();
            if revision.get() <= self.after {
                continue;
            }
            self.after = revision.get();
            match change {
                Change::Set(entry) => {
                    // A list may hold values newer than its revision.
                    if self.known.get(&entry.key).is_none_or(|mark| mark.revision < revision) {
                        updates.push(self.set(entry));
                    }
                }
                Change::Deleted { key, revision } => self.delete(&key, revision, updates),
            }
        }
    }

    fn set(&mut self, entry: Entry) -> Update {
        let Entry { key, value, revision } = entry;
        let mark = Mark { revision, digest: digest(&value) };
        let kind = if self.known.insert(&key, mark) { UpdateKind::New } else { UpdateKind::Updated };
        Update { key, value: Some(value), revision, kind }
    }

    /// Reports the known keys at and below a deleted key.
    fn delete(&mut self, deleted: &str, revision: Revision, updates: &mut Vec<Update>) {
        let older = self.known.at_and_below(deleted).into_iter().filter(|(_, mark)| mark.revision < revision);
        for (key, _) in older {
            self.known.remove(&key);
            updates.push(Update { key, value: None, revision, kind: UpdateKind::Deleted });
        }
    }

    fn report(&mut self, updates: Vec<Update>) {
        if !updates.is_empty() {
            self.events.push_back(SyncEvent::Updates(updates));
        }
    }

    fn set_status(&mut self, status: Status) {
        if self.status.replace(status) != Some(status) {
            self.events.push_back(SyncEvent::Status(status));
        }
    }

    /// Begins again with a probe; the watch is of no more use.
    fn restart(&mut self) {
        self.watch = None;
        self.pending.clear();
        self.state = State::Probe;
    }

    fn failed(&mut self, error: KvError) {
        self.events.push_back(SyncEvent::Trouble(error));
        self.back_off();
    }

    fn back_off(&mut self) {
        let delay = self.options.backoff.failed();
        self.sleep(delay);
    }

    fn sleep(&mut self, delay: Duration) {
        self.sleep_until = Some(Instant::now() + delay);
    }
}

// === helpers ===

/// The next changes of a watch; none ever of no watch.
async fn next_of<W: Watch>(watch: &mut Option<W>) -> Result<Vec<Change>, KvError> {
    match watch {
        Some(watch) => watch.next().await,
        None => std::future::pending().await,
    }
}

/// Tells values apart whose revisions are equal, as happens when a store is replaced by another.
fn digest(value: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    // The lowest bit of a mark is taken.
    hasher.finish() & !1
}

#[cfg(test)]
mod tests;
