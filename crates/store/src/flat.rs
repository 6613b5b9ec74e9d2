//! [`Flat`]: a [`Datastore`] over any [`Kv`], with the keys and values of Calico's etcd v2 data model.
//!
//! It owns what is more than one key: profiles, nodes, side effects, empty parents, and the read before a write that
//! keeps the fields of others. What must stay true: existence is decided by one key per resource, which is written
//! first; what a failed create made is taken back; what stays half written is named.

mod node;
mod parts;
mod read;
mod roots;
mod write;

use std::sync::Arc;

use margay_model::key::directory;
use margay_model::{Filter, Identity, Key, Kind, Resource, Verb};

use crate::datastore::{
    Datastore, Error, Listed, Record, RecordEvent, RecordSet, RecordUpdate, RecordWatch, Result, Stored,
    Write,
};
use crate::kv::{EntryRef, Kv, KvError, Precondition, Put, Revision};
use crate::syncer::{self, SyncEvent, Syncer};

/// A source of 16 random bytes.
pub type Random = Arc<dyn Fn() -> [u8; 16] + Send + Sync>;

/// The subtree that a watch follows.
const WATCHED: &str = "/calico/v1";

/// Typed resources over a keyspace. See the module's text.
#[derive(Clone)]
pub struct Flat<K> {
    kv: Arc<K>,
    random: Random,
}

/// A watch of a [`Flat`].
pub struct FlatWatch<K: Kv> {
    syncer: Syncer<Arc<K>>,
}

// === impl Flat ===

impl<K: Kv> Flat<K> {
    /// A datastore over `kv`; `random` makes the cluster's id when a store is first used.
    #[must_use]
    pub fn new(kv: K, random: Random) -> Self {
        Self { kv: Arc::new(kv), random }
    }

    /// The keyspace beneath.
    #[must_use]
    pub fn kv(&self) -> &K {
        &self.kv
    }
}

impl<K: Kv> Datastore for Flat<K> {
    type Watch = FlatWatch<K>;

    fn supports(&self, _: Kind, _: Verb) -> bool {
        true
    }

    async fn write(
        &self,
        how: Write,
        resource: &Resource,
        when: Option<Revision>,
    ) -> Result<Option<Revision>> {
        match resource {
            Resource::Node(node) => self.write_node(how, node, false).await.map(|()| None),
            _ => self.write_one(how, resource, when).await.map(Some),
        }
    }

    async fn write_all(&self, how: Write, resources: &[Resource]) -> (usize, Result<()>) {
        self.write_many(how, resources).await
    }

    async fn delete(&self, identity: &Identity, when: Option<Revision>) -> Result<()> {
        if let Identity::Node(name) = identity {
            return self.delete_node(name).await;
        }
        let key = identity.key();
        let when = match identity {
            // A profile is a directory, which has no revision.
            Identity::Profile(_) => Precondition::None,
            _ => when.map_or(Precondition::None, Precondition::Revision),
        };
        self.kv.delete(&key.path(), when).await.map_err(|error| Error::of(error, identity))?;
        for parent in key.prunable_parents() {
            // Not empty, or somebody else's at this moment: it may stay, the resource is gone.
            if !matches!(self.kv.remove_empty_directory(&parent).await, Ok(true)) {
                break;
            }
        }
        Ok(())
    }

    async fn get(&self, identity: &Identity) -> Result<Stored> {
        match identity {
            Identity::Node(name) => self.get_node(name).await,
            Identity::Profile(name) => self.get_profile(name).await,
            _ => self.get_single(identity).await,
        }
    }

    async fn list(&self, kind: Kind, filter: &Filter, visit: &mut (dyn FnMut(Listed) + Send)) -> Result<()> {
        match (kind, &filter.name) {
            (Kind::Node, Some(name)) => match self.get_node(name).await {
                Ok(stored) => visit(Listed::Resource(stored)),
                // COMPAT(node-list): upstream fails here; every other kind lists nothing.
                Err(Error::DoesNotExist { .. }) => {}
                Err(Error::BadRecord { path, reason }) => visit(parts::listed(Err((path, reason)), None)),
                Err(error) => return Err(error),
            },
            (Kind::Node, None) => self.list_nodes(visit).await?,
            (Kind::Profile, _) => self.list_profiles(filter, visit).await?,
            _ => self.list_singles(kind, filter, visit).await?,
        }
        Ok(())
    }

    async fn get_record(&self, key: &Key) -> Result<Option<Record>> {
        let entry = self.kv.get(&key.path()).await.map_err(|error| Error::of(error, key))?;
        Ok(entry.map(|entry| Record { key: key.clone(), value: entry.value, revision: entry.revision }))
    }

    async fn put_record(&self, key: &Key, value: &str, when: Precondition) -> Result<Revision> {
        self.kv.put(&key.path(), value, when, None).await.map_err(|error| Error::of(error, key))
    }

    async fn put_records(&self, records: &[(Key, String, Precondition)]) -> (usize, Result<()>) {
        let puts: Vec<Put> = records
            .iter()
            .map(|(key, value, when)| Put { key: key.path(), value: value.clone(), when: *when })
            .collect();
        let (written, outcome) = self.kv.put_all(&puts).await;
        // The one behind those that were written is the one that failed.
        (written, outcome.map_err(|error| Error::of(error, &records[written.min(records.len() - 1)].0)))
    }

    fn batches(&self) -> bool {
        self.kv.batches()
    }

    async fn delete_record(&self, key: &Key, when: Precondition) -> Result<()> {
        self.kv.delete(&key.path(), when).await.map_err(|error| Error::of(error, key))
    }

    async fn list_records(&self, set: &RecordSet, visit: &mut (dyn FnMut(Record) + Send)) -> Result<()> {
        let root = roots::of_records(set);
        let mut each = |entry: EntryRef<'_>| {
            if let Some(key) = Key::parse(entry.key).filter(|key| set.contains(key)) {
                visit(Record { key, value: entry.value.to_owned(), revision: entry.revision });
            }
        };
        self.kv.list(&root, &mut each).await.map_err(|error| Error::of(error, &root))?;
        Ok(())
    }

    async fn initialise(&self) -> Result<()> {
        let guid = Key::FelixConfig { node: None, name: "ClusterGUID".to_owned() };
        for (key, value) in [(Key::Ready, "true".to_owned()), (guid, cluster_guid((self.random)()))] {
            match self.kv.put(&key.path(), &value, Precondition::Absent, None).await {
                // A ready flag that says `false` stays.
                Ok(_) | Err(KvError::Exists { .. }) => {}
                Err(error) => return Err(Error::of(error, &key)),
            }
        }
        Ok(())
    }

    async fn initialise_node(&self, node: &str) -> Result<()> {
        let claims = format!("{}/{node}", directory::IPAM_HOSTS);
        for directory in [
            format!("{}/v4/pool", directory::POOLS),
            format!("{}/v6/pool", directory::POOLS),
            format!("{}/custom_filters/v4", directory::BGP_GLOBAL),
            format!("{}/custom_filters/v6", directory::BGP_GLOBAL),
            format!("{claims}/ipv4/block"),
            format!("{claims}/ipv6/block"),
        ] {
            self.kv.make_directory(&directory).await.map_err(|error| Error::of(error, &directory))?;
        }
        Ok(())
    }

    async fn remove_ipam_host(&self, node: &str) -> Result<()> {
        let directory = format!("{}/{node}", directory::IPAM_HOSTS);
        node::absent_is_fine(self.kv.delete(&directory, Precondition::None).await)
            .map_err(|error| Error::of(error, &directory))
    }

    fn watch(&self, options: syncer::Options) -> FlatWatch<K> {
        FlatWatch { syncer: Syncer::new(Arc::clone(&self.kv), WATCHED, options) }
    }
}

// === impl FlatWatch ===

impl<K: Kv> RecordWatch for FlatWatch<K> {
    async fn next(&mut self) -> RecordEvent {
        loop {
            match self.syncer.next().await {
                SyncEvent::Status(status) => return RecordEvent::Status(status),
                SyncEvent::Trouble(error) => return RecordEvent::Trouble(Error::of(error, &WATCHED)),
                SyncEvent::Updates(updates) => {
                    let updates: Vec<RecordUpdate> = updates.into_iter().filter_map(record_update).collect();
                    if !updates.is_empty() {
                        return RecordEvent::Updates(updates);
                    }
                }
            }
        }
    }
}

fn record_update(update: syncer::Update) -> Option<RecordUpdate> {
    let syncer::Update { key, value, revision, kind } = update;
    Key::parse(&key).map(|key| RecordUpdate { key, value, revision, kind })
}

/// 32 hexadecimal digits: a version 4 UUID without dashes.
fn cluster_guid(mut random: [u8; 16]) -> String {
    random[6] = random[6] & 0x0f | 0x40;
    random[8] = random[8] & 0x3f | 0x80;
    random.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
