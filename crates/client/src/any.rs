//! [`AnyStore`]: whichever datastore the settings name; [`AnyKv`]: the keyspace beneath it.

use std::path::PathBuf;
use std::time::Duration;

use margay_model::{Filter, Identity, Key, Kind, Resource, Verb};
use margay_store::datastore::{
    Datastore, Listed, Record, RecordEvent, RecordSet, RecordWatch, Result as StoreResult, Stored, Write,
};
use margay_store::flat::{FlatWatch, Random};
use margay_store::kv::{
    Change, Entry, EntryRef, Kv, KvError, Listing, Precondition, Put, Result as KvResult, Revision, Watch,
};
use margay_store::{Flat, MemoryKv, syncer};
use margay_store_etcd::{EtcdConfig, EtcdKv, EtcdWatch};
use margay_store_sqlite::{Durability, Options, SqliteKv};

use crate::settings::{DatastoreKind, EtcdSettings, Settings, SettingsError};

/// A datastore of any kind.
pub enum AnyStore {
    /// etcd.
    Etcd(Flat<EtcdKv>),
    /// The embedded one: a file.
    Sqlite(Flat<SqliteKv>),
    /// In memory, for tests.
    Memory(Flat<MemoryKv>),
}

/// The watch of an [`AnyStore`].
pub enum AnyRecordWatch {
    /// Of etcd.
    Etcd(FlatWatch<EtcdKv>),
    /// Of the embedded datastore.
    Sqlite(FlatWatch<SqliteKv>),
    /// Of a datastore in memory.
    Memory(FlatWatch<MemoryKv>),
}

/// The keyspace of an [`AnyStore`].
#[derive(Clone, Copy)]
pub enum AnyKv<'a> {
    /// etcd's.
    Etcd(&'a EtcdKv),
    /// A file.
    Sqlite(&'a SqliteKv),
    /// In memory.
    Memory(&'a MemoryKv),
}

/// The watch of an [`AnyKv`].
pub enum AnyWatch {
    /// Of etcd.
    Etcd(EtcdWatch),
    /// Of a file.
    Sqlite(<SqliteKv as Kv>::Watch),
    /// In memory.
    Memory(<MemoryKv as Kv>::Watch),
}

/// Why a datastore could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The settings name no datastore.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The settings of etcd are no good, or a file they name cannot be read.
    #[error(transparent)]
    Etcd(#[from] margay_store_etcd::ConfigError),
    /// The embedded datastore cannot be opened.
    #[error(transparent)]
    Store(#[from] KvError),
    /// The embedded datastore that was to be read is not there.
    #[error("no datastore at {}", .0.display())]
    NoFile(PathBuf),
    /// This build cannot reach such a datastore.
    #[error("this build has no {0} datastore")]
    NotBuilt(DatastoreKind),
}

/// Opens the datastore that the settings name. Nothing is asked over the network.
///
/// # Errors
/// The settings are no good, a file they name cannot be read, or the embedded datastore cannot be opened.
pub fn open(settings: &Settings, random: Random) -> Result<AnyStore, OpenError> {
    open_with(settings, random, Options::default())
}

/// As [`open`], for a program that answers one request and ends: what it writes to an embedded datastore is on disk after
/// [`AnyStore::settle`].
///
/// # Errors
/// As of [`open`].
pub fn open_briefly(settings: &Settings, random: Random) -> Result<AnyStore, OpenError> {
    open_with(settings, random, Options { durability: Durability::AtTheEnd, ..Options::default() })
}

fn open_with(settings: &Settings, random: Random, options: Options) -> Result<AnyStore, OpenError> {
    settings.check()?;
    match &settings.datastore {
        DatastoreKind::Etcd => {
            let kv = EtcdKv::new(&etcd_config(&settings.etcd))?;
            Ok(AnyStore::Etcd(Flat::new(kv, random)))
        }
        DatastoreKind::Sqlite => {
            let kv = SqliteKv::open(&settings.sqlite_path, options)?;
            Ok(AnyStore::Sqlite(Flat::new(kv, random)))
        }
        kind @ (DatastoreKind::Kubernetes | DatastoreKind::Unknown(_)) => {
            Err(OpenError::NotBuilt(kind.clone()))
        }
    }
}

/// Opens a datastore to read from: an embedded one must be there already.
///
/// # Errors
/// As of [`open`], and when there is no file.
pub fn open_existing(settings: &Settings, random: Random) -> Result<AnyStore, OpenError> {
    match settings.datastore {
        DatastoreKind::Sqlite if !settings.sqlite_path.exists() => {
            Err(OpenError::NoFile(settings.sqlite_path.clone()))
        }
        _ => open(settings, random),
    }
}

fn etcd_config(settings: &EtcdSettings) -> EtcdConfig {
    EtcdConfig {
        endpoints: settings.urls(),
        username: settings.username.clone(),
        password: settings.password.expose().as_str().into(),
        key_file: settings.key_file.clone(),
        cert_file: settings.cert_file.clone(),
        ca_cert_file: settings.ca_cert_file.clone(),
    }
}

// === impl OpenError ===

impl OpenError {
    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Settings(error) => error.hint(),
            Self::Etcd(error) => etcd_hint(error),
            Self::Store(_) => None,
            Self::NoFile(_) => Some("name the file of an embedded datastore, or an etcd URL".to_owned()),
            Self::NotBuilt(_) => Some("set the datastore type to etcdv2 or sqlite".to_owned()),
        }
    }
}

fn etcd_hint(error: &margay_store_etcd::ConfigError) -> Option<String> {
    use margay_store_etcd::ConfigError as E;
    match error {
        E::Endpoint { .. } => {
            Some("an endpoint is a URL like http://10.0.0.1:2379; several have ',' between".to_owned())
        }
        E::NoRoots { .. } => {
            Some("name the trusted roots with etcdCACertFile or ETCD_CA_CERT_FILE".to_owned())
        }
        E::NoEndpoints => SettingsError::NoEtcd.hint(),
        E::HalfKeyPair { .. } | E::Unreadable { .. } | E::BadFile { .. } | E::NoRandom { .. } => None,
    }
}

/// Runs an expression on whichever variant `$on` is.
macro_rules! each {
    ($on:expr, $inner:ident => $body:expr) => {
        match $on {
            Self::Etcd($inner) => $body,
            Self::Sqlite($inner) => $body,
            Self::Memory($inner) => $body,
        }
    };
}

/// Like [`each`], wrapping the result in the same variant of another type.
macro_rules! map {
    ($on:expr, $inner:ident => $to:ident($body:expr)) => {
        match $on {
            Self::Etcd($inner) => $to::Etcd($body),
            Self::Sqlite($inner) => $to::Sqlite($body),
            Self::Memory($inner) => $to::Memory($body),
        }
    };
}

// === impl AnyStore ===

impl AnyStore {
    /// A datastore over a keyspace in memory.
    #[must_use]
    pub fn memory(kv: MemoryKv, random: Random) -> Self {
        Self::Memory(Flat::new(kv, random))
    }

    /// The keyspace beneath.
    #[must_use]
    pub fn kv(&self) -> AnyKv<'_> {
        map!(self, flat => AnyKv(flat.kv()))
    }

    /// Ends the work on a datastore from [`open_briefly`]: with `sync` everything written is on disk when this returns.
    ///
    /// # Errors
    /// The disk failed.
    pub fn settle(&self, sync: bool) -> KvResult<()> {
        match self {
            Self::Sqlite(flat) => flat.kv().settle(sync),
            // A server answers when a write is safe; memory never is.
            Self::Etcd(_) | Self::Memory(_) => Ok(()),
        }
    }
}

impl Datastore for AnyStore {
    type Watch = AnyRecordWatch;

    fn supports(&self, kind: Kind, verb: Verb) -> bool {
        each!(self, s => s.supports(kind, verb))
    }

    async fn write(
        &self,
        how: Write,
        resource: &Resource,
        when: Option<Revision>,
    ) -> StoreResult<Option<Revision>> {
        each!(self, s => s.write(how, resource, when).await)
    }

    async fn write_all(&self, how: Write, resources: &[Resource]) -> (usize, StoreResult<()>) {
        each!(self, s => s.write_all(how, resources).await)
    }

    async fn delete(&self, identity: &Identity, when: Option<Revision>) -> StoreResult<()> {
        each!(self, s => s.delete(identity, when).await)
    }

    async fn get(&self, identity: &Identity) -> StoreResult<Stored> {
        each!(self, s => s.get(identity).await)
    }

    async fn list(
        &self,
        kind: Kind,
        filter: &Filter,
        visit: &mut (dyn FnMut(Listed) + Send),
    ) -> StoreResult<()> {
        each!(self, s => s.list(kind, filter, visit).await)
    }

    async fn get_record(&self, key: &Key) -> StoreResult<Option<Record>> {
        each!(self, s => s.get_record(key).await)
    }

    async fn put_record(&self, key: &Key, value: &str, when: Precondition) -> StoreResult<Revision> {
        each!(self, s => s.put_record(key, value, when).await)
    }

    async fn put_records(&self, records: &[(Key, String, Precondition)]) -> (usize, StoreResult<()>) {
        each!(self, s => s.put_records(records).await)
    }

    fn batches(&self) -> bool {
        each!(self, s => s.batches())
    }

    async fn delete_record(&self, key: &Key, when: Precondition) -> StoreResult<()> {
        each!(self, s => s.delete_record(key, when).await)
    }

    async fn list_records(&self, set: &RecordSet, visit: &mut (dyn FnMut(Record) + Send)) -> StoreResult<()> {
        each!(self, s => s.list_records(set, visit).await)
    }

    async fn initialise(&self) -> StoreResult<()> {
        each!(self, s => s.initialise().await)
    }

    async fn initialise_node(&self, node: &str) -> StoreResult<()> {
        each!(self, s => s.initialise_node(node).await)
    }

    async fn remove_ipam_host(&self, node: &str) -> StoreResult<()> {
        each!(self, s => s.remove_ipam_host(node).await)
    }

    fn watch(&self, options: syncer::Options) -> AnyRecordWatch {
        map!(self, s => AnyRecordWatch(s.watch(options)))
    }
}

// === impl AnyRecordWatch ===

impl RecordWatch for AnyRecordWatch {
    async fn next(&mut self) -> RecordEvent {
        each!(self, w => w.next().await)
    }
}

// === impl AnyKv ===

impl Kv for AnyKv<'_> {
    type Watch = AnyWatch;

    async fn get(&self, key: &str) -> KvResult<Option<Entry>> {
        each!(self, kv => kv.get(key).await)
    }

    async fn list(&self, prefix: &str, visit: &mut (dyn FnMut(EntryRef<'_>) + Send)) -> KvResult<Listing> {
        each!(self, kv => kv.list(prefix, visit).await)
    }

    async fn children(&self, directory: &str) -> KvResult<Vec<String>> {
        each!(self, kv => kv.children(directory).await)
    }

    async fn directory_exists(&self, directory: &str) -> KvResult<bool> {
        each!(self, kv => kv.directory_exists(directory).await)
    }

    async fn put(
        &self,
        key: &str,
        value: &str,
        when: Precondition,
        ttl: Option<Duration>,
    ) -> KvResult<Revision> {
        each!(self, kv => kv.put(key, value, when, ttl).await)
    }

    async fn put_all(&self, puts: &[Put]) -> (usize, KvResult<()>) {
        each!(self, kv => kv.put_all(puts).await)
    }

    fn batches(&self) -> bool {
        each!(self, kv => kv.batches())
    }

    async fn delete(&self, key: &str, when: Precondition) -> KvResult<()> {
        each!(self, kv => kv.delete(key, when).await)
    }

    async fn make_directory(&self, directory: &str) -> KvResult<()> {
        each!(self, kv => kv.make_directory(directory).await)
    }

    async fn remove_empty_directory(&self, directory: &str) -> KvResult<bool> {
        each!(self, kv => kv.remove_empty_directory(directory).await)
    }

    async fn watch(&self, prefix: &str, after: u64) -> KvResult<AnyWatch> {
        Ok(map!(self, kv => AnyWatch(kv.watch(prefix, after).await?)))
    }
}

// === impl AnyWatch ===

impl Watch for AnyWatch {
    async fn next(&mut self) -> KvResult<Vec<Change>> {
        each!(self, w => w.next().await)
    }
}
