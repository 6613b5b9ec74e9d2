//! Nodes: a directory of several keys here and another there, in one order (`spec/datastore-etcdv2.md` 6.2).

use std::collections::{BTreeMap, BTreeSet};

use margay_model::codec;
use margay_model::key::directory as d;
use margay_model::v1::Node;
use margay_model::{Identity, Key, Resource};

use super::{Flat, parts};
use crate::datastore::{Datastore as _, Error, Listed, Result, Stored, Write};
use crate::kv::{Kv, KvError, Precondition, Put};

/// How often the metadata is read again because another write came between.
const ATTEMPTS: usize = 20;

/// The stored values of one node, by key.
pub(super) type NodeValues = BTreeMap<Key, String>;

impl<K: Kv> Flat<K> {
    /// Writes a node's keys, the metadata with the semantics of the operation, the others whatever stands there.
    pub(super) async fn write_node(&self, how: Write, node: &Node, initialised: bool) -> Result<()> {
        let name = &node.metadata.name;
        let resource = Resource::Node(Box::new(node.clone()));
        let identity = resource.identity()?;
        if !initialised {
            self.initialise().await?;
        }
        let mut done = vec![self.write_metadata(how, name).await?];
        for (key, value) in codec::node_parts(node) {
            let outcome = match value {
                Some(value) => self.write_part(how, &key, value).await.map(|put| done.push(put)),
                None => absent_is_fine(self.kv.delete(&key.path(), Precondition::None).await),
            };
            if let Err(error) = outcome {
                let written = done.len();
                let error = Error::of(error, &identity);
                return Err(self.abandon(how, &done, written, error).await);
            }
        }
        Ok(())
    }

    async fn write_metadata(&self, how: Write, name: &str) -> Result<Put> {
        let key = Key::NodeMetadata { node: name.to_owned() };
        let path = key.path();
        let mut attempts = 0;
        loop {
            attempts += 1;
            let stored = match how {
                Write::Create => None,
                Write::Update | Write::Apply => {
                    self.kv.get(&path).await.map_err(|error| Error::of(error, &key))?
                }
            };
            let (when, value) = match (how, stored) {
                (Write::Create, _) | (Write::Apply, None) => {
                    (Precondition::Absent, parts::NODE_METADATA.to_owned())
                }
                (Write::Update, None) => return Err(Error::DoesNotExist { id: key.to_string() }),
                // The record has no field of ours: what others put into it stays.
                (Write::Update | Write::Apply, Some(stored)) => {
                    (Precondition::Revision(stored.revision), stored.value)
                }
            };
            match self.kv.put(&path, &value, when, None).await {
                Ok(_) => return Ok(Put { key: path, value, when }),
                Err(KvError::Exists { .. } | KvError::Conflict { .. } | KvError::NotFound { .. })
                    if how != Write::Create && attempts < ATTEMPTS => {}
                Err(error) => return Err(Error::of(error, &key)),
            }
        }
    }

    /// Sets one key. A create tries to make it, so that what it made can be taken back.
    async fn write_part(&self, how: Write, key: &Key, value: String) -> std::result::Result<Put, KvError> {
        let path = key.path();
        if how == Write::Create {
            match self.kv.put(&path, &value, Precondition::Absent, None).await {
                Ok(_) => return Ok(Put { key: path, value, when: Precondition::Absent }),
                Err(KvError::Exists { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        self.kv.put(&path, &value, Precondition::None, None).await?;
        Ok(Put { key: path, value, when: Precondition::None })
    }

    /// Reads a node: it exists if its metadata does, or its directory (older and OpenStack hosts).
    pub(super) async fn get_node(&self, name: &str) -> Result<Stored> {
        let metadata = Key::NodeMetadata { node: name.to_owned() };
        let fail = |error| Error::of(error, &metadata);
        if self.kv.get(&metadata.path()).await.map_err(fail)?.is_none() {
            let directory = format!("{}/{name}", d::HOSTS);
            if !self.kv.directory_exists(&directory).await.map_err(fail)? {
                return Err(Error::DoesNotExist { id: metadata.to_string() });
            }
        }
        let mut values = NodeValues::new();
        let refs = Key::OrchRefs { node: name.to_owned() };
        if let Some(entry) = self.kv.get(&refs.path()).await.map_err(fail)? {
            values.insert(refs, entry.value);
        }
        let mut visit = |entry: crate::kv::EntryRef<'_>| {
            if let Some(key) = Key::parse(entry.key).filter(|key| parts::part_of_node(key).is_some()) {
                values.insert(key, entry.value.to_owned());
            }
        };
        self.kv.list(&format!("{}/{name}", d::BGP_HOSTS), &mut visit).await.map_err(fail)?;
        let node = parts::node(name, values).map_err(|(path, reason)| Error::BadRecord { path, reason })?;
        Ok(Stored { resource: node, revision: None })
    }

    /// Visits every node: one read of the names and one of each tree, however many nodes there are.
    pub(super) async fn list_nodes(&self, visit: &mut (dyn FnMut(Listed) + Send)) -> Result<()> {
        let fail = |error| Error::of(error, &"nodes");
        let mut names: BTreeSet<String> =
            self.kv.children(d::HOSTS).await.map_err(fail)?.into_iter().collect();
        let mut nodes: BTreeMap<String, NodeValues> = BTreeMap::new();
        for root in [d::HOSTS, d::BGP_HOSTS] {
            let mut visit = |entry: crate::kv::EntryRef<'_>| {
                // A value directly below the hosts is no host's directory.
                if let Some((d::HOSTS, name)) = entry.key.rsplit_once('/') {
                    names.remove(name);
                }
                let Some(key) = Key::parse(entry.key) else { return };
                if let Some(node) = parts::part_of_node(&key) {
                    nodes.entry(node.to_owned()).or_default().insert(key, entry.value.to_owned());
                }
            };
            self.kv.list(root, &mut visit).await.map_err(fail)?;
        }
        for name in &names {
            visit(parts::listed(parts::node(name, nodes.remove(name).unwrap_or_default()), None));
        }
        Ok(())
    }

    /// Removes everything of a node, in upstream's order; what cannot be removed does not stop the rest.
    ///
    /// Only the host directory counts for whether the node existed.
    pub(super) async fn delete_node(&self, name: &str) -> Result<()> {
        let identity = Identity::Node(name.to_owned());
        let mut left = Vec::new();
        let mut cause = None;
        for directory in [format!("{}/{name}", d::IPAM_HOSTS), format!("{}/{name}", d::BGP_HOSTS)] {
            if let Err(error) = absent_is_fine(self.kv.delete(&directory, Precondition::None).await) {
                cause = cause.or(Some(Error::of(error, &identity)));
                left.push(directory);
            }
        }
        let host = format!("{}/{name}", d::HOSTS);
        let outcome = self.kv.delete(&host, Precondition::None).await;
        match (outcome, cause) {
            (Ok(()), None) => Ok(()),
            (Ok(()), Some(cause)) => Err(Error::Incomplete { cause: Box::new(cause), left }),
            (Err(error), _) if left.is_empty() => Err(Error::of(error, &identity)),
            (Err(error), _) => {
                if !matches!(error, KvError::NotFound { .. }) {
                    left.push(host);
                }
                Err(Error::Incomplete { cause: Box::new(Error::of(error, &identity)), left })
            }
        }
    }
}

/// Success for what was to be removed and is not there.
pub(super) fn absent_is_fine(outcome: std::result::Result<(), KvError>) -> std::result::Result<(), KvError> {
    match outcome {
        Err(KvError::NotFound { .. }) => Ok(()),
        other => other,
    }
}
