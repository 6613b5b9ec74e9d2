//! A keyspace whose user waits before every operation until it is let through, and whose answers can get lost.
//!
//! With two users of one keyspace a test decides who comes first at every single operation.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use margay_store::MemoryKv;
use margay_store::kv::{Entry, EntryRef, Kv, KvError, Listing, Precondition, Put, Result, Revision};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// What becomes of one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loss {
    /// It never arrives.
    Request,
    /// It is carried out, and nobody hears of it.
    Answer,
}

/// One user's way to the keyspace.
#[derive(Clone)]
pub(crate) struct Gated {
    pub(crate) inner: MemoryKv,
    batches: bool,
    gate: Arc<Gate>,
}

struct Gate {
    permits: Semaphore,
    waiting: AtomicBool,
    calls: AtomicUsize,
    losses: Mutex<BTreeMap<usize, Loss>>,
}

/// An operation under way.
pub(crate) struct Actor<T> {
    task: JoinHandle<T>,
    gate: Arc<Gate>,
}

// === impl Gated ===

impl Gated {
    pub(crate) fn new(inner: &MemoryKv) -> Self {
        let gate = Gate {
            permits: Semaphore::new(0),
            waiting: AtomicBool::new(false),
            calls: AtomicUsize::new(0),
            losses: Mutex::default(),
        };
        Self { inner: inner.clone(), batches: false, gate: Arc::new(gate) }
    }

    /// One that commits several writes together.
    pub(crate) fn batching(inner: &MemoryKv) -> Self {
        Self { batches: true, ..Self::new(inner) }
    }

    /// The operation with this number, from 0, gets lost.
    pub(crate) fn lose(&self, call: usize, loss: Loss) {
        self.gate.losses.lock().expect("no test panics under the lock").insert(call, loss);
    }

    /// Begins something that uses this way; it waits before its first operation.
    pub(crate) fn start<T, F>(&self, work: F) -> Actor<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        Actor { task: tokio::spawn(work), gate: Arc::clone(&self.gate) }
    }

    async fn pass<T>(&self, operation: impl Future<Output = Result<T>>) -> Result<T> {
        self.gate.waiting.store(true, Ordering::SeqCst);
        self.gate.permits.acquire().await.expect("never closed").forget();
        self.gate.waiting.store(false, Ordering::SeqCst);
        let call = self.gate.calls.fetch_add(1, Ordering::SeqCst);
        let loss = self.gate.losses.lock().expect("no test panics under the lock").get(&call).copied();
        match loss {
            None => operation.await,
            Some(Loss::Request) => Err(unavailable()),
            Some(Loss::Answer) => {
                let _ = operation.await;
                Err(unavailable())
            }
        }
    }
}

pub(crate) fn unavailable() -> KvError {
    KvError::Unavailable { message: "client: etcd cluster is unavailable or misconfigured".to_owned() }
}

// === impl Actor ===

impl<T> Actor<T> {
    /// Lets so many operations through, and waits until the next one waits or everything is done; true when done.
    pub(crate) async fn run(&self, operations: usize) -> bool {
        self.gate.permits.add_permits(operations);
        loop {
            if self.task.is_finished() {
                return true;
            }
            if self.gate.waiting.load(Ordering::SeqCst) && self.gate.permits.available_permits() == 0 {
                return false;
            }
            // Time stands still until everybody waits: this lets those sleep that want to.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Lets everything through, to the end.
    pub(crate) async fn finish(self) -> T {
        self.gate.permits.add_permits(Semaphore::MAX_PERMITS / 2);
        self.task.await.expect("the operation does not panic")
    }

    /// Ends it where it stands, as a killed process ends.
    pub(crate) async fn kill(self) {
        self.task.abort();
        // Killed or done: both are an end.
        let _ = self.task.await;
    }

    /// How many operations were let through.
    pub(crate) fn calls(&self) -> usize {
        self.gate.calls.load(Ordering::SeqCst)
    }
}

impl Kv for Gated {
    type Watch = <MemoryKv as Kv>::Watch;

    async fn get(&self, key: &str) -> Result<Option<Entry>> {
        self.pass(self.inner.get(key)).await
    }

    async fn list(&self, prefix: &str, visit: &mut (dyn FnMut(EntryRef<'_>) + Send)) -> Result<Listing> {
        self.pass(self.inner.list(prefix, visit)).await
    }

    async fn children(&self, directory: &str) -> Result<Vec<String>> {
        self.pass(self.inner.children(directory)).await
    }

    async fn directory_exists(&self, directory: &str) -> Result<bool> {
        self.pass(self.inner.directory_exists(directory)).await
    }

    async fn put(
        &self,
        key: &str,
        value: &str,
        when: Precondition,
        ttl: Option<Duration>,
    ) -> Result<Revision> {
        self.pass(self.inner.put(key, value, when, ttl)).await
    }

    async fn put_all(&self, puts: &[Put]) -> (usize, Result<()>) {
        let mut written = 0;
        let operation = async {
            let outcome;
            (written, outcome) = self.inner.put_all(puts).await;
            outcome
        };
        match self.pass(operation).await {
            // Nobody says how many were written when nobody answers.
            Err(error @ KvError::Unavailable { .. }) => (0, Err(error)),
            outcome => (written, outcome),
        }
    }

    fn batches(&self) -> bool {
        self.batches
    }

    async fn delete(&self, key: &str, when: Precondition) -> Result<()> {
        self.pass(self.inner.delete(key, when)).await
    }

    async fn make_directory(&self, directory: &str) -> Result<()> {
        self.pass(self.inner.make_directory(directory)).await
    }

    async fn remove_empty_directory(&self, directory: &str) -> Result<bool> {
        self.pass(self.inner.remove_empty_directory(directory)).await
    }

    async fn watch(&self, prefix: &str, after: u64) -> Result<Self::Watch> {
        self.inner.watch(prefix, after).await
    }
}
