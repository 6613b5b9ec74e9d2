//! Writing resources of every kind but node: plan the puts, send them, undo or name what stays half written.

use std::collections::{BTreeMap, HashMap, HashSet};

use margay_model::key::directory;
use margay_model::{Identity, Key, Resource};

use super::{Flat, parts};
use crate::datastore::{Error, Result, Write};
use crate::kv::{Entry, EntryRef, Kv, KvError, Precondition, Put, Revision};

/// How often a write begins again because another came between its read and its write.
const ATTEMPTS: usize = 20;

/// From how many keys of one directory on the directory is listed instead of reading each.
const LIST_FROM: usize = 32;

/// From this many keys on that are scattered over hosts, one list of all hosts is cheaper than a get each. A list of
/// 100,000 endpoints takes about as long as this many round trips.
const LIST_HOSTS_FROM: usize = 1000;

/// How many resources are written together.
const BATCH: usize = 512;

/// The stored values that a write must not lose fields of, by path.
pub(super) type Previous = HashMap<String, Entry>;

impl<K: Kv> Flat<K> {
    /// Writes one resource, returning the revision of its first key.
    pub(super) async fn write_one(
        &self,
        how: Write,
        resource: &Resource,
        mut when: Option<Revision>,
    ) -> Result<Revision> {
        let identity = resource.identity()?;
        let mut attempts = 0;
        loop {
            attempts += 1;
            let mut previous = self.previous(&parts::read_first(how, &identity)).await?;
            let puts = plan(how, resource, &identity, when, &mut previous)?;
            let mut first = None;
            let mut outcome = Ok(());
            let mut written = 0;
            for put in &puts {
                match self.kv.put(&put.key, &put.value, put.when, None).await {
                    Ok(revision) => first = first.or(Some(revision)),
                    Err(error) => {
                        outcome = Err(error);
                        break;
                    }
                }
                written += 1;
            }
            match (outcome, first) {
                (Ok(()), Some(first)) => return Ok(first),
                // No put fails and none succeeds only of a resource without keys.
                (Ok(()), None) => return Err(Error::DoesNotExist { id: identity.to_string() }),
                (Err(error), first)
                    if is_race(how, &puts[written], &error)
                        && attempts < ATTEMPTS
                        && (when.is_none() || first.is_some()) =>
                {
                    // The first key is ours now: what the caller had read is settled.
                    when = when.and(first);
                }
                (Err(error), _) => {
                    return Err(self.abandon(how, &puts, written, Error::of(error, &identity)).await);
                }
            }
        }
    }

    /// Writes resources in order until one fails; returns how many were written.
    ///
    /// What stands under their keys is read once, at the start. What changed since then is read again by itself.
    pub(super) async fn write_many(&self, how: Write, resources: &[Resource]) -> (usize, Result<()>) {
        let keys: Vec<Key> = resources
            .iter()
            .filter(|resource| !matches!(resource, Resource::Node(_)))
            .filter_map(|resource| resource.identity().ok())
            .flat_map(|identity| parts::read_first(how, &identity))
            .collect();
        let mut previous = match self.previous(&keys).await {
            Ok(previous) => previous,
            Err(error) => return (0, Err(error)),
        };
        let mut seen = HashSet::new();
        let mut initialised = false;
        let mut done = 0;
        while let Some(resource) = resources.get(done) {
            let batch = batch(&resources[done..], &mut seen);
            let (written, outcome) = match resource {
                Resource::Node(node) => {
                    let outcome = self.write_node(how, node, initialised).await;
                    initialised = true;
                    (usize::from(outcome.is_ok()), outcome)
                }
                // It was written a moment ago, by us.
                again if batch.is_empty() => {
                    let outcome = self.write_one(how, again, None).await;
                    (usize::from(outcome.is_ok()), outcome.map(|_| ()))
                }
                _ => self.write_batch(how, batch, &mut previous).await,
            };
            done += written;
            if let Err(error) = outcome {
                return (done, Err(error));
            }
        }
        (done, Ok(()))
    }

    /// Writes resources with different identities, none of them a node, with one put for each key.
    async fn write_batch(
        &self,
        how: Write,
        resources: &[Resource],
        previous: &mut Previous,
    ) -> (usize, Result<()>) {
        let mut puts = Vec::new();
        // The resource that each put is of.
        let mut owners = Vec::new();
        let mut planned = 0;
        let mut stop = Ok(());
        for resource in resources {
            let identity = resource.identity().map_err(Error::from);
            match identity.and_then(|identity| plan(how, resource, &identity, None, previous)) {
                Ok(plan) => {
                    owners.extend(std::iter::repeat_n(planned, plan.len()));
                    puts.extend(plan);
                    planned += 1;
                }
                Err(error) => {
                    stop = Err(error);
                    break;
                }
            }
        }
        let mut begin = 0;
        loop {
            let (written, outcome) = self.kv.put_all(&puts[begin..]).await;
            let Err(error) = outcome else { return (planned, stop) };
            let owner = owners[begin + written];
            let first = owners.partition_point(|other| *other < owner);
            if is_race(how, &puts[begin + written], &error) {
                // Somebody wrote it since it was read: read it again, alone.
                if let Err(error) = self.write_one(how, &resources[owner], None).await {
                    return (owner, Err(error));
                }
                begin = owners.partition_point(|other| *other <= owner);
                continue;
            }
            let id = resources[owner].identity().map_or_else(|_| String::new(), |id| id.to_string());
            let own = &puts[first..];
            let written = (begin + written).saturating_sub(first);
            return (owner, Err(self.abandon(how, own, written, Error::of(error, &id)).await));
        }
    }

    /// What stands under the keys now.
    async fn previous(&self, keys: &[Key]) -> Result<Previous> {
        let mut directories: BTreeMap<String, Vec<&Key>> = BTreeMap::new();
        for key in keys {
            directories.entry(parts::directory(key)).or_default().push(key);
        }
        let mut previous = Previous::new();
        for (directory, keys) in together(directories) {
            if keys.len() < LIST_FROM {
                for key in keys {
                    let entry = self.kv.get(&key.path()).await.map_err(|error| Error::of(error, key))?;
                    previous.extend(entry.map(|entry| (entry.key.clone(), entry)));
                }
                continue;
            }
            let wanted: HashSet<String> = keys.into_iter().map(Key::path).collect();
            let mut visit = |entry: EntryRef<'_>| {
                if wanted.contains(entry.key) {
                    let (key, value) = (entry.key.to_owned(), entry.value.to_owned());
                    previous.insert(key.clone(), Entry { key, value, revision: entry.revision });
                }
            };
            self.kv.list(&directory, &mut visit).await.map_err(|error| Error::of(error, &directory))?;
        }
        Ok(previous)
    }

    /// Takes back what a failed create wrote, and adds to the error what cannot be taken back. `puts` are those of one
    /// resource, of which the first `written` succeeded and the next failed.
    pub(super) async fn abandon(&self, how: Write, puts: &[Put], written: usize, cause: Error) -> Error {
        let mut left: Vec<String> = Vec::new();
        for put in puts[..written].iter().rev() {
            if how != Write::Create || put.when != Precondition::Absent || !self.take_back(put).await {
                left.push(put.key.clone());
            }
        }
        left.reverse();
        if let (Some(failed), Error::Unavailable { .. }) = (puts.get(written), &cause) {
            // It may have been written all the same.
            if written > 0 {
                left.push(failed.key.clone());
            }
        }
        match left.is_empty() {
            true => cause,
            false => Error::Incomplete { cause: Box::new(cause), left },
        }
    }

    /// Removes a key that we made, unless somebody has written it since; true when nothing of ours is left.
    async fn take_back(&self, put: &Put) -> bool {
        match self.kv.get(&put.key).await {
            Ok(None) => true,
            Ok(Some(entry)) if entry.value == put.value => {
                let removed = self.kv.delete(&put.key, Precondition::Revision(entry.revision)).await;
                matches!(removed, Ok(()) | Err(KvError::NotFound { .. } | KvError::Conflict { .. }))
            }
            Ok(Some(_)) => true,
            Err(_) => false,
        }
    }
}

/// Joins the directories of hosts that hold few of the keys each, when together they hold many.
fn together(mut directories: BTreeMap<String, Vec<&Key>>) -> BTreeMap<String, Vec<&Key>> {
    let few = |directory: &str, keys: &[&Key]| {
        keys.len() < LIST_FROM
            && directory.strip_prefix(directory::HOSTS).is_some_and(|rest| rest.starts_with('/'))
    };
    let scattered: usize =
        directories.iter().filter(|(path, keys)| few(path, keys)).map(|(_, keys)| keys.len()).sum();
    if scattered >= LIST_HOSTS_FROM {
        let mut joined = Vec::with_capacity(scattered);
        directories.retain(|path, keys| {
            let few = few(path, keys);
            if few {
                joined.append(keys);
            }
            !few
        });
        directories.entry(directory::HOSTS.to_owned()).or_default().append(&mut joined);
    }
    directories
}

/// The resources from the first on that can be written together: no nodes, and none written before.
fn batch<'a>(resources: &'a [Resource], seen: &mut HashSet<Identity>) -> &'a [Resource] {
    let mut apart = |resource: &Resource| {
        matches!(resource, Resource::Node(_))
            || resource.identity().is_ok_and(|identity| !seen.insert(identity))
    };
    let length = resources.iter().take(BATCH).position(&mut apart).unwrap_or(resources.len().min(BATCH));
    &resources[..length]
}

/// True when a put failed only because another write came between ours and the read that it was planned by.
fn is_race(how: Write, put: &Put, error: &KvError) -> bool {
    let planned_otherwise = match put.when {
        Precondition::Absent => matches!(error, KvError::Exists { .. }),
        Precondition::Revision(_) => matches!(error, KvError::Conflict { .. } | KvError::NotFound { .. }),
        Precondition::None | Precondition::Present => false,
    };
    how != Write::Create && planned_otherwise
}

/// The puts that write a resource, the one whose key stands for its existence first.
fn plan(
    how: Write,
    resource: &Resource,
    identity: &Identity,
    revision: Option<Revision>,
    previous: &mut Previous,
) -> Result<Vec<Put>> {
    let mut puts = Vec::new();
    for (index, key) in parts::keys(identity).into_iter().enumerate() {
        let path = key.path();
        let stored = previous.remove(&path);
        let revision = revision.filter(|_| index == 0 && how != Write::Create);
        let must_exist = index == 0 && (how == Write::Update || revision.is_some());
        let when = match (how, &stored) {
            (Write::Create, _) => Precondition::Absent,
            (_, Some(stored)) => {
                if revision.is_some_and(|revision| revision != stored.revision) {
                    return Err(Error::Conflict { id: identity.to_string() });
                }
                Precondition::Revision(stored.revision)
            }
            (_, None) if !parts::has_unknown_fields(&key) => match revision {
                Some(revision) => Precondition::Revision(revision),
                None if must_exist => Precondition::Present,
                None => Precondition::None,
            },
            (_, None) if must_exist => return Err(Error::DoesNotExist { id: identity.to_string() }),
            (_, None) => Precondition::Absent,
        };
        if let Some(value) =
            parts::encode(resource, &key, stored.as_ref().map(|stored| stored.value.as_str()))
        {
            puts.push(Put { key: path, value, when });
        }
    }
    puts.extend(parts::side_effect(resource));
    Ok(puts)
}
