//! A memory store that logs every request, and calls a hook before each that may fail it or write behind its back.

use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::kv::{Entry, EntryRef, Kv, KvError, Listing, Precondition, Put, Result, Revision};
use crate::memory::{MemoryKv, MemoryWatch};

type Hook = Box<dyn FnMut(&str, &MemoryKv) -> Option<KvError> + Send>;

#[derive(Clone)]
pub(super) struct Rigged {
    pub(super) store: MemoryKv,
    log: Arc<Mutex<Vec<String>>>,
    hook: Arc<Mutex<Hook>>,
}

impl Rigged {
    pub(super) fn new() -> Self {
        let hook: Hook = Box::new(|_, _| None);
        Self { store: MemoryKv::new(), log: Arc::default(), hook: Arc::new(Mutex::new(hook)) }
    }

    /// Calls `hook` before each request from now on.
    pub(super) fn rig(&self, hook: impl FnMut(&str, &MemoryKv) -> Option<KvError> + Send + 'static) {
        *self.hook.lock().unwrap() = Box::new(hook);
    }

    /// The requests since the last call.
    pub(super) fn requests(&self) -> Vec<String> {
        std::mem::take(&mut *self.log.lock().unwrap())
    }

    /// Every key and value.
    pub(super) fn contents(&self) -> Vec<(String, String)> {
        let mut contents = Vec::new();
        let mut visit = |entry: EntryRef<'_>| contents.push((entry.key.to_owned(), entry.value.to_owned()));
        now(self.store.list("/calico", &mut visit)).unwrap();
        contents
    }

    fn before(&self, request: String) -> Result<()> {
        let outcome = self.hook.lock().unwrap()(&request, &self.store);
        self.log.lock().unwrap().push(request);
        outcome.map_or(Ok(()), Err)
    }
}

/// Writes behind everybody's back.
pub(super) fn set(store: &MemoryKv, key: &str, value: &str) {
    now(store.put(key, value, Precondition::None, None)).unwrap();
}

/// What a future of the memory store returns: it never waits.
pub(super) fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("the memory store waits in watches only"),
    }
}

impl Kv for Rigged {
    type Watch = MemoryWatch;

    async fn get(&self, key: &str) -> Result<Option<Entry>> {
        self.before(format!("get {key}"))?;
        self.store.get(key).await
    }

    async fn list(&self, prefix: &str, visit: &mut (dyn FnMut(EntryRef<'_>) + Send)) -> Result<Listing> {
        self.before(format!("list {prefix}"))?;
        self.store.list(prefix, visit).await
    }

    async fn children(&self, directory: &str) -> Result<Vec<String>> {
        self.before(format!("children {directory}"))?;
        self.store.children(directory).await
    }

    async fn directory_exists(&self, directory: &str) -> Result<bool> {
        self.before(format!("exists {directory}"))?;
        self.store.directory_exists(directory).await
    }

    async fn put(
        &self,
        key: &str,
        value: &str,
        when: Precondition,
        ttl: Option<Duration>,
    ) -> Result<Revision> {
        self.before(format!("put {key}"))?;
        self.store.put(key, value, when, ttl).await
    }

    async fn put_all(&self, puts: &[Put]) -> (usize, Result<()>) {
        self.log.lock().unwrap().push(format!("put_all {}", puts.len()));
        for (written, put) in puts.iter().enumerate() {
            let failed = self.hook.lock().unwrap()(&format!("put {}", put.key), &self.store);
            let outcome = match failed {
                Some(error) => Err(error),
                None => self.store.put(&put.key, &put.value, put.when, None).await,
            };
            if let Err(error) = outcome {
                return (written, Err(error));
            }
        }
        (puts.len(), Ok(()))
    }

    async fn delete(&self, key: &str, when: Precondition) -> Result<()> {
        self.before(format!("delete {key}"))?;
        self.store.delete(key, when).await
    }

    async fn make_directory(&self, directory: &str) -> Result<()> {
        self.before(format!("make {directory}"))?;
        self.store.make_directory(directory).await
    }

    async fn remove_empty_directory(&self, directory: &str) -> Result<bool> {
        self.before(format!("prune {directory}"))?;
        self.store.remove_empty_directory(directory).await
    }

    async fn watch(&self, prefix: &str, after: u64) -> Result<MemoryWatch> {
        self.store.watch(prefix, after).await
    }
}
