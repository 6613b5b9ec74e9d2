//! [`EtcdKv`]: the operations of [`Kv`] as requests, and etcd's refusals as [`KvError`].

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::StatusCode;
use margay_store::Kv;
use margay_store::kv::{Entry, EntryRef, KvError, Listing, Precondition, Put, Result, Revision, check_key};

use crate::cluster::{Answer, Cluster, Refusal, Said};
use crate::config::{ConfigError, EtcdConfig, Options};
use crate::decode::{Node, Visit};
use crate::request::Request;
use crate::watch::EtcdWatch;

/// A keyspace in etcd, over its v2 API.
///
/// Needs a tokio runtime with time and I/O; one thread is enough. Nothing is sent before the first operation. Clones
/// share their connections.
#[derive(Clone)]
pub struct EtcdKv {
    cluster: Arc<Cluster>,
    /// The cluster that the last list came from: a watch behind it must see the same one.
    listed: Arc<Mutex<Option<String>>>,
}

// === impl EtcdKv ===

impl EtcdKv {
    /// A store on the etcd that `config` names, asked in random order.
    ///
    /// # Errors
    /// The configuration is no good, or a file it names cannot be read.
    pub fn new(config: &EtcdConfig) -> std::result::Result<Self, ConfigError> {
        let seed = getrandom::u64().map_err(|error| ConfigError::NoRandom { reason: error.to_string() })?;
        Self::with_options(config, Options { seed, ..Options::default() })
    }

    /// A store with deadlines and order of one's own.
    ///
    /// # Errors
    /// As [`EtcdKv::new`].
    pub fn with_options(config: &EtcdConfig, options: Options) -> std::result::Result<Self, ConfigError> {
        Ok(Self { cluster: Arc::new(Cluster::new(config, options)?), listed: Arc::default() })
    }

    /// Reads and hands each node on; false when there is nothing.
    async fn read(&self, key: &str, request: &Request, visit: &mut Visit<'_>) -> Result<Option<Answer>> {
        let answer = self.cluster.ask(request, visit).await?;
        match &answer.body {
            Said::Refused(refusal) if is_absent(refusal) => Ok(None),
            Said::Refused(refusal) => Err(refused(key, answer.head.status, refusal)),
            Said::Nodes { .. } | Said::Nothing => Ok(Some(answer)),
        }
    }

    /// Writes; the revision of what was written.
    async fn write(&self, key: &str, request: &Request) -> Result<u64> {
        let mut written = 0;
        let answer = self.cluster.ask(request, &mut |node: Node<'_>| written = node.modified).await?;
        match &answer.body {
            Said::Refused(refusal) => Err(refused(key, answer.head.status, refusal)),
            Said::Nodes { .. } | Said::Nothing => Ok(written),
        }
    }

    /// What stands at a key: nothing, a value, or a directory with so many things in it.
    async fn shape(&self, key: &str) -> Result<Shape> {
        let (mut shape, mut count) = (Shape::Absent, 0);
        let mut visit = |node: Node<'_>| match node {
            Node { key: at, .. } if at != key => count += 1,
            Node { directory: true, .. } => shape = Shape::Directory(0),
            Node { .. } => shape = Shape::Value,
        };
        self.read(key, &Request::children(key), &mut visit).await?;
        Ok(if let Shape::Directory(_) = shape { Shape::Directory(count) } else { shape })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Absent,
    Value,
    Directory(usize),
}

impl fmt::Debug for EtcdKv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let urls: Vec<&str> = self.cluster.urls().collect();
        f.debug_struct("EtcdKv").field("endpoints", &urls).finish_non_exhaustive()
    }
}

impl Kv for EtcdKv {
    type Watch = EtcdWatch;

    async fn get(&self, key: &str) -> Result<Option<Entry>> {
        check_key(key)?;
        let (mut found, mut directory) = (None, false);
        let mut visit = |node: Node<'_>| {
            if node.key == key {
                directory = node.directory;
                found = entry(node).map(|EntryRef { key, value, revision }| Entry {
                    key: key.to_owned(),
                    value: value.to_owned(),
                    revision,
                });
            }
        };
        self.read(key, &Request::get(key), &mut visit).await?;
        if directory {
            return Err(KvError::Shape(format!("not a file: {key}")));
        }
        Ok(found)
    }

    async fn list(&self, prefix: &str, visit: &mut (dyn FnMut(EntryRef<'_>) + Send)) -> Result<Listing> {
        check_key(prefix)?;
        let request = Request::list(prefix);
        let mut leaves = |node: Node<'_>| {
            if let Some(entry) = entry(node) {
                visit(entry);
            }
        };
        let answer = self.cluster.ask(&request, &mut leaves).await?;
        match &answer.body {
            Said::Refused(refusal) if !is_absent(refusal) => {
                return Err(refused(prefix, answer.head.status, refusal));
            }
            Said::Refused(_) | Said::Nodes { .. } | Said::Nothing => {}
        }
        let Some(at) = answer.head.index else {
            return Err(KvError::Server(format!("listing {prefix}: the answer has no X-Etcd-Index")));
        };
        *self.listed.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer.head.cluster);
        Ok(Listing { at })
    }

    async fn children(&self, directory: &str) -> Result<Vec<String>> {
        check_key(directory)?;
        let mut names = Vec::new();
        let mut visit = |node: Node<'_>| {
            let below = node.key.strip_prefix(directory).and_then(|rest| rest.strip_prefix('/'));
            names.extend(below.map(str::to_owned));
        };
        self.read(directory, &Request::children(directory), &mut visit).await?;
        Ok(names)
    }

    async fn directory_exists(&self, directory: &str) -> Result<bool> {
        check_key(directory)?;
        Ok(matches!(self.shape(directory).await?, Shape::Directory(_)))
    }

    async fn put(
        &self,
        key: &str,
        value: &str,
        when: Precondition,
        ttl: Option<Duration>,
    ) -> Result<Revision> {
        check_key(key)?;
        let written = self.write(key, &Request::put(key, value, when, ttl)).await?;
        Revision::new(written)
            .ok_or_else(|| KvError::Server(format!("writing {key}: the answer has no modifiedIndex")))
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
        let revision = match when {
            Precondition::None | Precondition::Present => None,
            Precondition::Revision(revision) => Some(revision),
            Precondition::Absent if self.shape(key).await? == Shape::Absent => {
                return Err(KvError::NotFound { key: key.to_owned() });
            }
            Precondition::Absent => return Err(KvError::Exists { key: key.to_owned() }),
        };
        let answer = self.cluster.ask(&Request::delete(key, revision), &mut |_| {}).await?;
        match &answer.body {
            Said::Refused(refusal) if is_absent(refusal) => Err(KvError::NotFound { key: key.to_owned() }),
            Said::Refused(refusal) => Err(refused(key, answer.head.status, refusal)),
            Said::Nodes { .. } | Said::Nothing => Ok(()),
        }
    }

    async fn make_directory(&self, directory: &str) -> Result<()> {
        check_key(directory)?;
        match self.write(directory, &Request::make_directory(directory)).await {
            // etcd says the same of a value that stands there.
            Err(KvError::Exists { .. }) => match self.shape(directory).await? {
                Shape::Value => Err(KvError::Shape(format!("not a directory: {directory}"))),
                Shape::Absent | Shape::Directory(_) => Ok(()),
            },
            outcome => outcome.map(|_| ()),
        }
    }

    async fn remove_empty_directory(&self, directory: &str) -> Result<bool> {
        check_key(directory)?;
        // COMPAT(etcd-prune): upstream does not look first; but etcd obeys this request for a value, too.
        if self.shape(directory).await? != Shape::Directory(0) {
            return Ok(false);
        }
        match self.write(directory, &Request::remove_directory(directory)).await {
            Ok(_) => Ok(true),
            Err(KvError::NotFound { .. } | KvError::Shape(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn watch(&self, prefix: &str, after: u64) -> Result<EtcdWatch> {
        check_key(prefix)?;
        let listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ok(EtcdWatch::new(Arc::clone(&self.cluster), prefix, after, listed))
    }
}

// === helpers ===

/// A node as an entry; none for a directory.
fn entry(node: Node<'_>) -> Option<EntryRef<'_>> {
    let revision = Revision::new(node.modified).filter(|_| !node.directory)?;
    Some(EntryRef { key: node.key, value: node.value.unwrap_or(""), revision })
}

/// Nothing is there; or a value stands where a directory above it would be, so nothing can be.
fn is_absent(refusal: &Refusal) -> bool {
    matches!(refusal.code, 100 | 104)
}

/// What a refusal means (`spec/datastore-etcdv2.md` 2).
pub(crate) fn refused(key: &str, status: StatusCode, refusal: &Refusal) -> KvError {
    let key = key.to_owned();
    match refusal.code {
        100 => KvError::NotFound { key },
        101 => KvError::Conflict { key },
        105 => KvError::Exists { key },
        110 => KvError::Unauthorized,
        _ if status == StatusCode::UNAUTHORIZED => KvError::Unauthorized,
        102 | 104 | 108 => KvError::Shape(refusal.to_string()),
        _ => KvError::Server(refusal.to_string()),
    }
}
