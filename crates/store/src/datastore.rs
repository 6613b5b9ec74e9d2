//! [`Datastore`]: typed resources and records, whatever keeps them.
//!
//! Programs work with resources; configuration values, IPAM and the agent work with records, one per
//! [`margay_model::Key`]. [`crate::Flat`] implements it over any [`crate::Kv`]; a store that keeps resources in another
//! shape implements it itself and says through `supports` which verbs it has. Validation happened before: a datastore
//! checks identifiers and state only.

use std::fmt;
use std::future::Future;

use margay_model::resource::MissingIdentifier;
use margay_model::{Filter, Identity, Key, Kind, Resource, Verb};
use margay_net::IpVersion;

use crate::kv::{KvError, Precondition, Revision};
use crate::syncer;

/// How a resource is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Write {
    /// Only if it does not exist.
    Create,
    /// Only if it exists.
    Update,
    /// In any case.
    Apply,
}

/// A resource as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// The resource.
    pub resource: Resource,
    /// The revision of its last write, for a later update or delete; none where no single one exists.
    pub revision: Option<Revision>,
}

/// What a list visits.
#[derive(Debug, Clone, PartialEq)]
pub enum Listed {
    /// A resource.
    Resource(Stored),
    /// A record that should be one, but cannot be understood.
    Skipped(Skipped),
}

/// A record that was left out because its value cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Where it stands in the store.
    pub path: String,
    /// What is wrong with it.
    pub reason: String,
}

/// One stored value under its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The key.
    pub key: Key,
    /// The value as stored.
    pub value: String,
    /// The revision of its last write.
    pub revision: Revision,
}

/// The records that [`Datastore::list_records`] can be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordSet {
    /// Felix parameters: of a host, or the global ones.
    FelixConfig {
        /// The host; none = the global ones.
        node: Option<String>,
    },
    /// BGP parameters: of a host, or the global ones.
    BgpConfig {
        /// The host; none = the global ones.
        node: Option<String>,
    },
    /// Pools.
    Pools,
    /// IPAM blocks, of one version or both.
    IpamBlocks(Option<IpVersion>),
    /// Claims on IPAM blocks.
    IpamAffinities {
        /// Of this host only.
        node: Option<String>,
        /// Of this version only.
        version: Option<IpVersion>,
    },
    /// IPAM handles.
    IpamHandles,
}

/// One record's change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordUpdate {
    /// The key.
    pub key: Key,
    /// The value as stored; none when deleted.
    pub value: Option<String>,
    /// The revision of the write or deletion.
    pub revision: Revision,
    /// What changed.
    pub kind: syncer::UpdateKind,
}

/// What [`RecordWatch::next`] returns.
#[derive(Debug, Clone)]
pub enum RecordEvent {
    /// The status, when it changed.
    Status(syncer::Status),
    /// Changes, in order; never empty. Keys outside the data model are left out.
    Updates(Vec<RecordUpdate>),
    /// An attempt failed and will be repeated: something to log or count, nothing to act on.
    Trouble(Error),
}

/// A snapshot of all records under `/calico/v1` that then follows the store, for ever.
pub trait RecordWatch: Send {
    /// Waits for the next event; cancel-safe.
    fn next(&mut self) -> impl Future<Output = RecordEvent> + Send;
}

/// Why a datastore did not do what it was asked. `Display` is upstream's text, which scripts match
/// (`spec/api-v1.md` 7.2).
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// An identifier is not set.
    #[error(transparent)]
    MissingIdentifier(#[from] MissingIdentifier),
    /// Update, get or delete of what is absent.
    #[error("resource does not exist: {id}")]
    DoesNotExist {
        /// What.
        id: String,
    },
    /// Create of what exists.
    #[error("resource already exists: {id}")]
    AlreadyExists {
        /// What.
        id: String,
    },
    /// It was written since the given revision.
    #[error("update conflict: '{id}'")]
    Conflict {
        /// What.
        id: String,
    },
    /// No or wrong credentials, or not enough rights.
    #[error("connection is unauthorized")]
    Unauthorized,
    /// This datastore has no such operation.
    #[error("operation {operation} is not supported on {on}")]
    NotSupported {
        /// The operation.
        operation: Verb,
        /// The resource.
        on: String,
    },
    /// The stored value cannot be understood.
    #[error("{reason}")]
    BadRecord {
        /// Where it stands in the store.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A write or delete of several keys stopped half way. Prints its cause; `left` is for the person to know.
    #[error("{cause}")]
    Incomplete {
        /// Why it stopped.
        cause: Box<Error>,
        /// The keys that are written, or not deleted, although the operation failed.
        left: Vec<String>,
    },
    /// No server answered in time.
    #[error("{message}")]
    Unavailable {
        /// The text upstream prints, trailing newline included where it has one.
        message: String,
    },
    /// The store failed in a way that no caller acts on.
    #[error(transparent)]
    Store(KvError),
}

/// Result of a datastore operation.
pub type Result<T> = std::result::Result<T, Error>;

/// Typed resources and the records beneath. See the module's text.
pub trait Datastore: Send + Sync {
    /// The watch of this datastore.
    type Watch: RecordWatch;

    /// True when the datastore has the operation for the kind.
    fn supports(&self, kind: Kind, verb: Verb) -> bool;

    /// Writes one resource. With a revision, only if it was not written since ([`Error::Conflict`]) and still exists.
    /// Fields that others put into the stored record and that no resource has survive. Returns the new revision.
    fn write(
        &self,
        how: Write,
        resource: &Resource,
        when: Option<Revision>,
    ) -> impl Future<Output = Result<Option<Revision>>> + Send;

    /// Writes resources in order until one fails; returns how many were written, and why it stopped.
    fn write_all(
        &self,
        how: Write,
        resources: &[Resource],
    ) -> impl Future<Output = (usize, Result<()>)> + Send;

    /// Removes one resource. With a revision, only if it was not written since. Of a node, everything below its
    /// directories goes with it; its addresses must have been released before.
    fn delete(&self, identity: &Identity, when: Option<Revision>) -> impl Future<Output = Result<()>> + Send;

    /// Reads one resource.
    fn get(&self, identity: &Identity) -> impl Future<Output = Result<Stored>> + Send;

    /// Visits the resources of a kind that the filter admits, in the order of `spec/api-v1.md` 8, and the records that
    /// should be one but cannot be understood. None is no error.
    fn list(
        &self,
        kind: Kind,
        filter: &Filter,
        visit: &mut (dyn FnMut(Listed) + Send),
    ) -> impl Future<Output = Result<()>> + Send;

    /// Reads one record; none when absent.
    fn get_record(&self, key: &Key) -> impl Future<Output = Result<Option<Record>>> + Send;

    /// Writes one record.
    fn put_record(
        &self,
        key: &Key,
        value: &str,
        when: Precondition,
    ) -> impl Future<Output = Result<Revision>> + Send;

    /// Writes records in order until one fails; returns how many were written, and why it stopped.
    fn put_records(
        &self,
        records: &[(Key, String, Precondition)],
    ) -> impl Future<Output = (usize, Result<()>)> + Send {
        async move {
            for (written, (key, value, when)) in records.iter().enumerate() {
                if let Err(error) = self.put_record(key, value, *when).await {
                    return (written, Err(error));
                }
            }
            (records.len(), Ok(()))
        }
    }

    /// True when [`Datastore::put_records`] of several takes no longer than of one: they are committed together.
    fn batches(&self) -> bool {
        false
    }

    /// Removes one record. `when` may be `None` or `Revision`.
    fn delete_record(&self, key: &Key, when: Precondition) -> impl Future<Output = Result<()>> + Send;

    /// Visits the records of a set in key order. None is no error.
    fn list_records(
        &self,
        set: &RecordSet,
        visit: &mut (dyn FnMut(Record) + Send),
    ) -> impl Future<Output = Result<()>> + Send;

    /// Writes the ready flag and a cluster id, where absent.
    fn initialise(&self) -> impl Future<Output = Result<()>> + Send;

    /// Makes the directories that other programs expect of a store with this node (`spec/datastore-etcdv2.md` 10).
    fn initialise_node(&self, node: &str) -> impl Future<Output = Result<()>> + Send;

    /// Removes what is left of a host's claims on IPAM blocks; absent is fine.
    fn remove_ipam_host(&self, node: &str) -> impl Future<Output = Result<()>> + Send;

    /// Follows the records under `/calico/v1`.
    fn watch(&self, options: syncer::Options) -> Self::Watch;
}

// === impl Write ===

impl Write {
    /// The verb of error texts and of [`Datastore::supports`].
    #[must_use]
    pub fn verb(self) -> Verb {
        match self {
            Self::Create => Verb::Create,
            Self::Update => Verb::Update,
            Self::Apply => Verb::Apply,
        }
    }
}

// === impl RecordSet ===

impl RecordSet {
    /// True when a record with this key belongs to the set.
    #[must_use]
    pub fn contains(&self, key: &Key) -> bool {
        let of = |wanted: &Option<IpVersion>, found: IpVersion| wanted.is_none_or(|wanted| wanted == found);
        match (self, key) {
            (Self::FelixConfig { node }, Key::FelixConfig { node: found, .. })
            | (Self::BgpConfig { node }, Key::BgpConfig { node: found, .. }) => node == found,
            (Self::Pools, Key::IpPool { .. }) | (Self::IpamHandles, Key::IpamHandle { .. }) => true,
            (Self::IpamBlocks(version), Key::IpamBlock { cidr }) => of(version, cidr.version()),
            (Self::IpamAffinities { node, version }, Key::IpamAffinity { node: found, cidr }) => {
                node.as_ref().is_none_or(|node| node == found) && of(version, cidr.version())
            }
            _ => false,
        }
    }
}

// === impl Error ===

impl Error {
    /// What the store's error means for the thing that was asked for.
    #[must_use]
    pub fn of(error: KvError, id: &impl fmt::Display) -> Self {
        let id = || id.to_string();
        match error {
            KvError::NotFound { .. } => Self::DoesNotExist { id: id() },
            KvError::Exists { .. } => Self::AlreadyExists { id: id() },
            KvError::Conflict { .. } => Self::Conflict { id: id() },
            KvError::Unauthorized => Self::Unauthorized,
            KvError::Unavailable { message } => Self::Unavailable { message },
            other @ (KvError::Compacted { .. }
            | KvError::Shape(_)
            | KvError::Server(_)
            | KvError::Storage(_)
            | KvError::InvalidKey { .. }) => Self::Store(other),
        }
    }

    /// True when the thing asked for is absent.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::DoesNotExist { .. })
    }
}

#[cfg(test)]
mod tests;
