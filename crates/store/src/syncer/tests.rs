//! The syncer on a memory store that fails, lags and answers late as a script says.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::*;
use tokio::time::{Instant, timeout};

use super::{MAX_STALE, Options, Status, SyncEvent, Syncer, Update, UpdateKind};
use crate::kv::{Change, EntryRef, Kv, KvError, Listing, Precondition, Put, Result, Revision, Watch};
use crate::memory::{MemoryKv, MemoryWatch};

const ROOT: &str = "/calico/v1";
const READY: &str = "/calico/v1/Ready";

// === the store under test ===

/// What goes wrong with the next list, watch, or wait of a watch.
#[derive(Debug, Clone)]
enum Fault {
    /// Nothing.
    Pass,
    /// It is unavailable at once; a wait of a watch is too.
    Fail,
    /// A list is unavailable after it has visited a part; anything else at once.
    FailHalfWay,
    /// A list answers from before the last write; anything else succeeds.
    Lag,
    /// A list takes these writes long; anything else succeeds.
    Late(Vec<Write>),
    /// A list answers from behind these writes; anything else succeeds.
    Early(Vec<Write>),
    /// A list answers from behind these writes but with the revision before them; anything else succeeds.
    Torn(Vec<Write>),
    /// A wait finds its history gone; anything else fails.
    Compact,
}

/// A key, and a value or its deletion.
type Write = (String, Option<String>);

#[derive(Clone)]
struct Script {
    store: Arc<Mutex<MemoryKv>>,
    faults: Arc<Mutex<VecDeque<Fault>>>,
    /// The prefixes of the lists done.
    lists: Arc<Mutex<Vec<String>>>,
}

struct ScriptedWatch {
    inner: MemoryWatch,
    faults: Arc<Mutex<VecDeque<Fault>>>,
}

impl Script {
    fn new(history: usize) -> Self {
        Self {
            store: Arc::new(Mutex::new(MemoryKv::with_history(history))),
            faults: Arc::default(),
            lists: Arc::default(),
        }
    }

    fn store(&self) -> MemoryKv {
        self.store.lock().unwrap().clone()
    }

    fn replace_store(&self, store: MemoryKv) {
        *self.store.lock().unwrap() = store;
    }

    fn will(&self, faults: impl IntoIterator<Item = Fault>) {
        self.faults.lock().unwrap().extend(faults);
    }

    fn fault(&self) -> Option<Fault> {
        self.faults.lock().unwrap().pop_front()
    }

    fn full_lists(&self) -> usize {
        self.lists.lock().unwrap().iter().filter(|prefix| *prefix == ROOT).count()
    }

    async fn set(&self, key: &str, value: &str) -> Revision {
        self.store().put(&at(key), value, Precondition::None, None).await.unwrap()
    }

    async fn delete(&self, key: &str) {
        self.store().delete(&at(key), Precondition::None).await.unwrap();
    }

    async fn write(&self, (key, value): &Write) {
        // A write may be refused, when a directory stands where a value should.
        let _ = match value {
            Some(value) => self.store().put(key, value, Precondition::None, None).await.map(|_| ()),
            None => self.store().delete(key, Precondition::None).await,
        };
    }
}

impl Script {
    /// Writes so that a watch sees each write by itself.
    async fn write_slowly(&self, writes: &[Write]) {
        for write in writes {
            self.write(write).await;
            tokio::task::yield_now().await;
        }
    }
}

fn unavailable() -> KvError {
    KvError::Unavailable { message: "no answer".to_owned() }
}

impl Kv for Script {
    type Watch = ScriptedWatch;

    async fn list(&self, prefix: &str, visit: &mut (dyn FnMut(EntryRef<'_>) + Send)) -> Result<Listing> {
        self.lists.lock().unwrap().push(prefix.to_owned());
        let fault = self.fault();
        let before = self.store().revision();
        if let Some(Fault::Early(writes) | Fault::Torn(writes)) = &fault {
            self.write_slowly(writes).await;
        }
        let mut entries = Vec::new();
        let mut listing = self.store().list(prefix, &mut |entry| entries.push(owned(entry))).await?;
        match fault {
            None | Some(Fault::Pass | Fault::Early(_)) => {}
            Some(Fault::Torn(_)) => listing.at = before,
            Some(Fault::Fail | Fault::Compact) => return Err(unavailable()),
            Some(Fault::FailHalfWay) => {
                for (key, value, revision) in entries.iter().take(entries.len().div_ceil(2)) {
                    visit(EntryRef { key, value, revision: *revision });
                }
                return Err(unavailable());
            }
            Some(Fault::Lag) => {
                listing.at = listing.at.saturating_sub(1);
                entries.retain(|(_, _, revision)| revision.get() <= listing.at);
            }
            Some(Fault::Late(writes)) => self.write_slowly(&writes).await,
        }
        for (key, value, revision) in &entries {
            visit(EntryRef { key, value, revision: *revision });
        }
        Ok(listing)
    }

    async fn watch(&self, prefix: &str, after: u64) -> Result<ScriptedWatch> {
        if let Some(Fault::Fail | Fault::FailHalfWay | Fault::Compact) = self.fault() {
            return Err(unavailable());
        }
        let inner = self.store().watch(prefix, after).await?;
        Ok(ScriptedWatch { inner, faults: Arc::clone(&self.faults) })
    }

    async fn get(&self, key: &str) -> Result<Option<crate::kv::Entry>> {
        self.store().get(key).await
    }

    async fn children(&self, directory: &str) -> Result<Vec<String>> {
        self.store().children(directory).await
    }

    async fn directory_exists(&self, directory: &str) -> Result<bool> {
        self.store().directory_exists(directory).await
    }

    async fn put(
        &self,
        key: &str,
        value: &str,
        when: Precondition,
        ttl: Option<Duration>,
    ) -> Result<Revision> {
        self.store().put(key, value, when, ttl).await
    }

    async fn put_all(&self, puts: &[Put]) -> (usize, Result<()>) {
        self.store().put_all(puts).await
    }

    async fn delete(&self, key: &str, when: Precondition) -> Result<()> {
        self.store().delete(key, when).await
    }

    async fn make_directory(&self, directory: &str) -> Result<()> {
        self.store().make_directory(directory).await
    }

    async fn remove_empty_directory(&self, directory: &str) -> Result<bool> {
        self.store().remove_empty_directory(directory).await
    }
}

impl Watch for ScriptedWatch {
    async fn next(&mut self) -> Result<Vec<Change>> {
        let fault = self.faults.lock().unwrap().pop_front();
        match fault {
            Some(Fault::Fail | Fault::FailHalfWay) => Err(unavailable()),
            Some(Fault::Compact) => Err(KvError::Compacted { after: 0 }),
            Some(Fault::Pass | Fault::Lag | Fault::Late(_) | Fault::Early(_) | Fault::Torn(_)) | None => {
                self.inner.next().await
            }
        }
    }
}

fn owned(entry: EntryRef<'_>) -> (String, String, Revision) {
    (entry.key.to_owned(), entry.value.to_owned(), entry.revision)
}

// === the consumer ===

/// A syncer with the picture its updates make, checking each against what is there.
struct Consumer {
    syncer: Syncer<Script>,
    picture: BTreeMap<String, (String, Revision)>,
    last: BTreeMap<String, Revision>,
    status: Option<Status>,
    troubles: usize,
}

impl Consumer {
    fn new(script: &Script) -> Self {
        Self::with(script, Options::new(Box::new(|| 0)))
    }

    fn with(script: &Script, options: Options) -> Self {
        let syncer = Syncer::new(script.clone(), ROOT, options);
        Self { syncer, picture: BTreeMap::new(), last: BTreeMap::new(), status: None, troubles: 0 }
    }

    fn take(&mut self, event: SyncEvent) -> Vec<Update> {
        match event {
            SyncEvent::Status(status) => {
                assert_ne!(self.status, Some(status), "a status is reported when it changes");
                self.status = Some(status);
                Vec::new()
            }
            SyncEvent::Trouble(_) => {
                self.troubles += 1;
                Vec::new()
            }
            SyncEvent::Updates(updates) => {
                assert!(!updates.is_empty());
                for update in &updates {
                    self.apply(update);
                }
                updates
            }
        }
    }

    fn apply(&mut self, update: &Update) {
        let Update { key, value, revision, kind } = update.clone();
        let before = match &value {
            Some(value) => self.picture.insert(key.clone(), (value.clone(), revision)),
            None => self.picture.remove(&key),
        };
        let expected = match (&before, &value) {
            (None, Some(_)) => UpdateKind::New,
            (Some(_), Some(_)) => UpdateKind::Updated,
            (Some(_), None) => UpdateKind::Deleted,
            (None, None) => panic!("deleted what was never there: {update:?}"),
        };
        assert_eq!(kind, expected, "{update:?} after {before:?}");
        let last = self.last.insert(key, revision);
        assert!(last < Some(revision), "{update:?} after {last:?}");
    }

    /// Handles events until none comes for a minute; returns the updates.
    async fn settle(&mut self) -> Vec<Update> {
        let mut updates = Vec::new();
        while let Ok(event) = timeout(Duration::from_mins(1), self.syncer.next()).await {
            updates.extend(self.take(event));
        }
        updates
    }

    /// Handles the next event; returns the status it is, if it is one.
    async fn status(&mut self) -> Option<Status> {
        let event = self.syncer.next().await;
        let status = match &event {
            SyncEvent::Status(status) => Some(*status),
            SyncEvent::Updates(_) | SyncEvent::Trouble(_) => None,
        };
        self.take(event);
        status
    }
}

async fn contents(store: &MemoryKv) -> BTreeMap<String, (String, Revision)> {
    let mut contents = BTreeMap::new();
    let mut visit = |entry: EntryRef<'_>| {
        contents.insert(entry.key.to_owned(), (entry.value.to_owned(), entry.revision));
    };
    store.list(ROOT, &mut visit).await.unwrap();
    contents
}

fn at(key: &str) -> String {
    format!("{ROOT}/{key}")
}

fn update(key: &str, value: Option<&str>, revision: u64, kind: UpdateKind) -> Update {
    let revision = Revision::new(revision).unwrap();
    Update { key: at(key), value: value.map(str::to_owned), revision, kind }
}

async fn ready_script() -> Script {
    let script = Script::new(1000);
    script.set("Ready", "true").await;
    script
}

// === behaviour ===

#[tokio::test(start_paused = true)]
async fn nothing_is_read_before_the_ready_key_exists() {
    let script = Script::new(1000);
    script.set("a", "1").await;
    let mut consumer = Consumer::new(&script);
    assert_eq!(consumer.settle().await, []);
    assert_eq!((consumer.status, script.full_lists()), (Some(Status::WaitForReady), 0));

    script.set("Ready", "false").await;
    assert_eq!(consumer.status().await, Some(Status::Resync));
    assert_eq!(consumer.status().await, None);
    assert_eq!(consumer.status().await, Some(Status::InSync));
    assert_eq!(consumer.picture, contents(&script.store()).await);
    assert_eq!((consumer.troubles, consumer.syncer.known()), (0, 2));
}

#[tokio::test(start_paused = true)]
async fn the_ready_key_may_be_ignored() {
    let script = Script::new(1000);
    script.set("a", "1").await;
    let options = Options { wait_for_ready: false, ..Options::new(Box::new(|| 0)) };
    let mut consumer = Consumer::with(&script, options);
    assert_eq!(consumer.settle().await, [update("a", Some("1"), 1, UpdateKind::New)]);
    assert_eq!(consumer.status, Some(Status::InSync));
}

#[tokio::test(start_paused = true)]
async fn an_empty_store_is_in_sync_and_then_watched() {
    let script = Script::new(1000);
    let options = Options { wait_for_ready: false, ..Options::new(Box::new(|| 0)) };
    let mut consumer = Consumer::with(&script, options);
    assert_eq!(consumer.settle().await, []);
    assert_eq!(consumer.status, Some(Status::InSync));
    script.set("a", "1").await;
    assert_eq!(consumer.settle().await, [update("a", Some("1"), 1, UpdateKind::New)]);
}

#[tokio::test(start_paused = true)]
async fn changes_are_reported_as_they_happen() {
    let script = ready_script().await;
    let mut consumer = Consumer::new(&script);
    assert_eq!(consumer.settle().await, [update("Ready", Some("true"), 1, UpdateKind::New)]);
    script.set("a", "1").await;
    script.set("a", "2").await;
    script.delete("a").await;
    script.set("a", "2").await;
    let expected = [
        update("a", Some("1"), 2, UpdateKind::New),
        update("a", Some("2"), 3, UpdateKind::Updated),
        update("a", None, 4, UpdateKind::Deleted),
        update("a", Some("2"), 5, UpdateKind::New),
    ];
    assert_eq!(consumer.settle().await, expected);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_directory_is_reported_as_the_keys_below_it() {
    let script = ready_script().await;
    for key in ["d/a", "d/b/c", "d", "d-e", "d0", "e"].into_iter().filter(|key| *key != "d") {
        script.set(key, "x").await;
    }
    let mut consumer = Consumer::new(&script);
    consumer.settle().await;
    script.delete("d").await;
    let expected =
        [update("d/a", None, 7, UpdateKind::Deleted), update("d/b/c", None, 7, UpdateKind::Deleted)];
    assert_eq!(consumer.settle().await, expected);

    script.store().delete("/calico", Precondition::None).await.unwrap();
    let mut deleted = consumer.settle().await;
    deleted.sort_by(|a, b| a.key.cmp(&b.key));
    let expected = ["Ready", "d-e", "d0", "e"].map(|key| update(key, None, 8, UpdateKind::Deleted));
    assert_eq!(deleted, expected);
}

#[tokio::test(start_paused = true)]
async fn after_a_compaction_only_the_difference_is_reported() {
    let script = ready_script().await;
    for key in ["gone/a", "gone/b", "changed", "kept"] {
        script.set(key, "1").await;
    }
    let mut consumer = Consumer::new(&script);
    consumer.settle().await;
    script.will([Fault::Compact]);
    script.set("kept-in-vain", "1").await; // ends the wait that is under way
    script.delete("gone").await;
    script.set("changed", "2").await;
    script.set("gone", "now a value").await;
    script.store().compact();
    let updates = consumer.settle().await;
    let expected = [
        update("gone/a", None, 9, UpdateKind::Deleted),
        update("gone/b", None, 9, UpdateKind::Deleted),
        update("changed", Some("2"), 8, UpdateKind::Updated),
        update("gone", Some("now a value"), 9, UpdateKind::New),
        update("kept-in-vain", Some("1"), 6, UpdateKind::New),
    ];
    assert_eq!(updates, expected);
    assert_eq!(consumer.status, Some(Status::InSync));
    assert_eq!(consumer.troubles, 0);
}

#[tokio::test(start_paused = true)]
async fn a_compaction_is_a_resync() {
    let script = ready_script().await;
    let mut consumer = Consumer::new(&script);
    consumer.settle().await;
    script.set("a", "1").await;
    script.store().compact();
    assert_eq!(consumer.status().await, Some(Status::Resync));
    assert_eq!(consumer.status().await, None);
    assert_eq!(consumer.status().await, Some(Status::InSync));
    assert_eq!(consumer.picture, contents(&script.store()).await);
}

#[tokio::test(start_paused = true)]
async fn writes_during_the_list_are_reported_once() {
    let script = ready_script().await;
    script.set("a", "1").await;
    script.set("b/c", "1").await;
    let writes = vec![
        (at("a"), Some("2".to_owned())),
        (at("b"), None),
        (at("n"), Some("1".to_owned())),
        (at("n"), None),
    ];
    script.will([Fault::Pass, Fault::Pass, Fault::Late(writes)]);
    let mut consumer = Consumer::new(&script);
    let updates = consumer.settle().await;
    assert_eq!(updates.iter().filter(|update| update.key == at("a")).count(), 2, "{updates:?}");
    assert_eq!(consumer.picture, contents(&script.store()).await);
    assert_eq!(script.full_lists(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_came_and_went_before_the_list_is_not_reported() {
    let script = ready_script().await;
    let writes = vec![(at("n"), Some("1".to_owned())), (at("n"), None)];
    script.will([Fault::Pass, Fault::Pass, Fault::Early(writes)]);
    let mut consumer = Consumer::new(&script);
    assert_eq!(consumer.settle().await, [update("Ready", Some("true"), 1, UpdateKind::New)]);
}

#[tokio::test(start_paused = true)]
async fn a_list_may_hold_what_is_newer_than_its_revision() {
    let script = ready_script().await;
    script.set("a", "1").await;
    let writes = vec![(at("a"), None), (at("a"), Some("2".to_owned())), (at("b"), Some("1".to_owned()))];
    script.will([Fault::Pass, Fault::Pass, Fault::Torn(writes)]);
    let mut consumer = Consumer::new(&script);
    let expected = [
        update("Ready", Some("true"), 1, UpdateKind::New),
        update("a", Some("2"), 4, UpdateKind::New),
        update("b", Some("1"), 5, UpdateKind::New),
    ];
    assert_eq!(consumer.settle().await, expected);
}

#[tokio::test(start_paused = true)]
async fn a_list_slower_than_the_history_needs_no_second() {
    let script = Script::new(4);
    script.set("Ready", "true").await;
    let writes = (0..50).map(|n| (at(&format!("k{}", n % 9)), Some(n.to_string()))).collect();
    script.will([Fault::Pass, Fault::Pass, Fault::Late(writes)]);
    let mut consumer = Consumer::new(&script);
    consumer.settle().await;
    assert_eq!(consumer.picture, contents(&script.store()).await);
    assert_eq!(script.full_lists(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_list_that_fails_half_way_reports_nothing_of_it() {
    let script = ready_script().await;
    for key in ["a", "b", "c"] {
        script.set(key, "1").await;
    }
    script.will([Fault::Pass, Fault::Pass, Fault::FailHalfWay]);
    let mut consumer = Consumer::new(&script);
    while consumer.troubles == 0 {
        consumer.status().await;
    }
    assert_eq!(consumer.picture, BTreeMap::new());
    consumer.settle().await;
    assert_eq!(consumer.picture, contents(&script.store()).await);
}

#[tokio::test(start_paused = true)]
async fn a_lagging_replica_is_asked_again() {
    let script = ready_script().await;
    script.set("a", "1").await;
    // Probe, watch, list: the list is behind the probe.
    script.will([Fault::Pass, Fault::Pass, Fault::Lag]);
    let mut consumer = Consumer::new(&script);
    consumer.settle().await;
    assert_eq!((script.full_lists(), consumer.troubles), (2, 0));
    assert_eq!(consumer.picture, contents(&script.store()).await);
}

#[tokio::test(start_paused = true)]
async fn failures_back_off_and_success_begins_again() {
    let script = ready_script().await;
    script.will((0..9).map(|_| Fault::Fail));
    let mut consumer = Consumer::new(&script);
    assert_eq!(consumer.status().await, Some(Status::WaitForReady));
    let mut delays = Vec::new();
    let mut before = Instant::now();
    while consumer.troubles < 9 {
        consumer.status().await;
        delays.push(before.elapsed().as_millis());
        before = Instant::now();
    }
    assert_eq!(delays, [0, 100, 200, 400, 800, 1600, 3200, 6400, 10_000]);
    consumer.settle().await;

    script.will([Fault::Fail, Fault::Fail]);
    script.set("a", "1").await;
    consumer.settle().await;
    let before = Instant::now();
    script.set("a", "2").await;
    while consumer.troubles < 11 {
        consumer.status().await;
    }
    assert!(before.elapsed() < Duration::from_secs(1), "{:?}", before.elapsed());
    assert_eq!(consumer.status, Some(Status::InSync), "an interrupted watch is no resync");
}

#[tokio::test(start_paused = true)]
async fn compactions_in_a_row_back_off() {
    let script = ready_script().await;
    let mut consumer = Consumer::new(&script);
    consumer.settle().await;
    // Each round: the wait, the probe, the watch, the list.
    for _ in 0..4 {
        script.will([Fault::Compact, Fault::Pass, Fault::Pass, Fault::Pass]);
    }
    script.set("a", "1").await;
    let before = Instant::now();
    while !script.faults.lock().unwrap().is_empty() {
        consumer.status().await;
    }
    assert!(before.elapsed() >= Duration::from_millis(200), "{:?}", before.elapsed());
    consumer.settle().await;
    assert_eq!(consumer.picture, contents(&script.store()).await);
}

#[tokio::test(start_paused = true)]
async fn a_replaced_store_is_believed_after_a_while() {
    let script = ready_script().await;
    for key in ["a", "b", "c"] {
        script.set(key, "1").await;
    }
    let mut consumer = Consumer::new(&script);
    consumer.settle().await;

    // The new store has the same revisions with other values, and fewer of them.
    let old = script.store();
    script.replace_store(MemoryKv::new());
    script.set("Ready", "true").await;
    script.set("a", "2").await;
    old.delete("/calico", Precondition::None).await.unwrap();
    old.compact();
    assert_eq!(consumer.status().await, Some(Status::Resync));
    consumer.last.clear();
    let begin = Instant::now();
    let updates = consumer.settle().await;
    let expected = [
        update("b", None, 2, UpdateKind::Deleted),
        update("c", None, 2, UpdateKind::Deleted),
        update("a", Some("2"), 2, UpdateKind::Updated),
    ];
    assert_eq!(updates, expected);
    assert!(begin.elapsed() > Duration::from_millis(100) * MAX_STALE, "believed at once");
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_wait_loses_nothing() {
    let script = ready_script().await;
    let mut consumer = Consumer::new(&script);
    for n in 0..200_u64 {
        script.set(&format!("k{}", n % 5), &n.to_string()).await;
        if n % 50 == 49 {
            script.will([Fault::Fail, Fault::Fail, Fault::Compact]);
        }
        let late = (0..3).map(|k| (at(&format!("late{k}")), Some(n.to_string()))).collect();
        if n % 40 == 20 {
            script.will([Fault::Late(late)]);
        }
        tokio::select! {
            biased;
            event = consumer.syncer.next() => { consumer.take(event); }
            () = async { for _ in 0..n % 4 { tokio::task::yield_now().await } } => {}
        }
    }
    consumer.settle().await;
    assert_eq!(consumer.picture, contents(&script.store()).await);
}

// === property ===

#[derive(Debug, Clone)]
enum Step {
    Write(Write),
    Fault(Fault),
    Compact,
    /// Handle so many events.
    Take(usize),
    Settle,
}

fn any_write() -> impl Strategy<Value = Write> {
    let key = prop::sample::select(vec!["Ready", "a", "a/b", "a/c/d", "a-b", "ab", "b", "b/a", "b/b", "c/a"]);
    (key, prop::option::weighted(0.7, "[xyz]")).prop_map(|(key, value)| (at(key), value))
}

fn any_fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        Just(Fault::Fail),
        Just(Fault::FailHalfWay),
        Just(Fault::Lag),
        Just(Fault::Compact),
        prop::collection::vec(any_write(), 0..8).prop_map(Fault::Late),
        prop::collection::vec(any_write(), 0..8).prop_map(Fault::Early),
        prop::collection::vec(any_write(), 0..8).prop_map(Fault::Torn),
    ]
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => any_write().prop_map(Step::Write),
        3 => any_fault().prop_map(Step::Fault),
        1 => Just(Step::Compact),
        3 => (1..4_usize).prop_map(Step::Take),
        1 => Just(Step::Settle),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever happens, the consumer ends with what the store holds, and no update repeats or contradicts one before.
    #[test]
    fn the_picture_ends_equal_to_the_store(history in 1..20_usize, steps in prop::collection::vec(any_step(), 0..60)) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let script = Script::new(history);
            let mut consumer = Consumer::new(&script);
            for step in steps {
                match step {
                    Step::Write(write) => script.write(&write).await,
                    Step::Fault(fault) => script.will([fault]),
                    Step::Compact => script.store().compact(),
                    Step::Settle => drop(consumer.settle().await),
                    Step::Take(count) => {
                        for _ in 0..count {
                            let next = timeout(Duration::from_mins(1), consumer.syncer.next()).await;
                            if let Ok(event) = next {
                                consumer.take(event);
                            }
                        }
                    }
                }
            }
            script.faults.lock().unwrap().clear();
            script.write(&(READY.to_owned(), Some("true".to_owned()))).await;
            consumer.settle().await;
            assert_eq!(consumer.status, Some(Status::InSync));
            assert_eq!(consumer.picture, contents(&script.store()).await);
        });
    }
}
