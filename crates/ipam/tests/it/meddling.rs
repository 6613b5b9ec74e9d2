//! A keyspace in which others write just before we do.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use margay_store::MemoryKv;
use margay_store::kv::{Entry, EntryRef, Kv, Listing, Precondition, Put, Result, Revision};

/// What somebody else does before a write of ours; true when it was done and is not to be done again.
type Meddler = Box<dyn FnMut(&MemoryKv, &str) -> bool + Send>;

/// A keyspace in memory that lets others in between our reads and our writes.
#[derive(Clone)]
pub(crate) struct MeddledKv {
    pub(crate) inner: MemoryKv,
    meddlers: Arc<Mutex<Vec<Meddler>>>,
    /// The reads and lists so far.
    reads: Arc<Mutex<Vec<String>>>,
}

impl MeddledKv {
    pub(crate) fn new() -> Self {
        Self { inner: MemoryKv::new(), meddlers: Arc::default(), reads: Arc::default() }
    }

    /// Puts a value where nobody meddles.
    pub(crate) async fn seed(&self, key: &str, value: &str) {
        self.inner.put(key, value, Precondition::None, None).await.expect("memory takes every key");
    }

    /// Before our next write or delete of `key`, others write `value` there, or remove the key.
    pub(crate) fn before_write(&self, key: &'static str, value: Option<&str>) {
        let value = value.map(str::to_owned);
        self.meddlers.lock().expect("no test panics under the lock").push(Box::new(move |kv, ours| {
            if ours != key {
                return false;
            }
            match &value {
                Some(value) => write(kv, key, value),
                None => now(kv.delete(key, Precondition::None)).expect("memory removes every key"),
            }
            true
        }));
    }

    /// Before our next write or delete of `key`, others write there, and to a second key.
    pub(crate) fn before_write_also(
        &self,
        key: &'static str,
        value: &'static str,
        second: &'static str,
        second_value: &'static str,
    ) {
        self.meddlers.lock().expect("no test panics under the lock").push(Box::new(move |kv, ours| {
            if ours == key {
                write(kv, key, value);
                write(kv, second, second_value);
            }
            ours == key
        }));
    }

    /// Before each of our writes of `key` others write what stands there again.
    pub(crate) fn always_before_write(&self, key: &'static str) {
        self.meddlers.lock().expect("no test panics under the lock").push(Box::new(move |kv, ours| {
            if ours == key {
                let stored = now(kv.get(key)).expect("memory can be read").expect("a value to write again");
                write(kv, key, &stored.value);
            }
            false
        }));
    }

    /// True when all that others were to write once is written.
    pub(crate) fn all_meddled(&self) -> bool {
        self.meddlers.lock().expect("no test panics under the lock").is_empty()
    }

    /// The keys read and the directories listed since the last call.
    pub(crate) fn take_reads(&self) -> Vec<String> {
        std::mem::take(&mut self.reads.lock().expect("no test panics under the lock"))
    }

    fn meddle(&self, key: &str) {
        let mut meddlers = self.meddlers.lock().expect("no test panics under the lock");
        let due = meddlers.iter_mut().position(|meddler| meddler(&self.inner, key));
        if let Some(due) = due {
            drop(meddlers.remove(due));
        }
    }
}

fn write(kv: &MemoryKv, key: &str, value: &str) {
    now(kv.put(key, value, Precondition::None, None)).expect("memory takes every key");
}

/// The outcome of a future that never waits, as all of memory's do.
fn now<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match future.as_mut().poll(&mut context) {
        std::task::Poll::Ready(outcome) => outcome,
        std::task::Poll::Pending => panic!("memory waits for nothing"),
    }
}

impl Kv for MeddledKv {
    type Watch = <MemoryKv as Kv>::Watch;

    async fn get(&self, key: &str) -> Result<Option<Entry>> {
        self.reads.lock().expect("no test panics under the lock").push(key.to_owned());
        self.inner.get(key).await
    }

    async fn list(&self, prefix: &str, visit: &mut (dyn FnMut(EntryRef<'_>) + Send)) -> Result<Listing> {
        self.reads.lock().expect("no test panics under the lock").push(prefix.to_owned());
        self.inner.list(prefix, visit).await
    }

    async fn children(&self, directory: &str) -> Result<Vec<String>> {
        self.inner.children(directory).await
    }

    async fn directory_exists(&self, directory: &str) -> Result<bool> {
        self.inner.directory_exists(directory).await
    }

    async fn put(
        &self,
        key: &str,
        value: &str,
        when: Precondition,
        ttl: Option<Duration>,
    ) -> Result<Revision> {
        self.meddle(key);
        self.inner.put(key, value, when, ttl).await
    }

    async fn put_all(&self, puts: &[Put]) -> (usize, Result<()>) {
        self.inner.put_all(puts).await
    }

    async fn delete(&self, key: &str, when: Precondition) -> Result<()> {
        self.meddle(key);
        self.inner.delete(key, when).await
    }

    async fn make_directory(&self, directory: &str) -> Result<()> {
        self.inner.make_directory(directory).await
    }

    async fn remove_empty_directory(&self, directory: &str) -> Result<bool> {
        self.inner.remove_empty_directory(directory).await
    }

    async fn watch(&self, prefix: &str, after: u64) -> Result<Self::Watch> {
        self.inner.watch(prefix, after).await
    }
}
