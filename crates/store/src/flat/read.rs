//! Reading resources of every kind but node.

use std::collections::BTreeMap;

use margay_model::key::ProfilePart;
use margay_model::{Filter, Identity, Key, Kind};

use super::{Flat, parts, roots};
use crate::datastore::{Error, Listed, Result, Stored};
use crate::kv::{EntryRef, Kv, Revision};

/// The parts of one profile that exist.
#[derive(Default)]
pub(super) struct ProfileValues {
    /// The revision of the tags, which stands for the whole.
    pub(super) revision: Option<Revision>,
    pub(super) values: BTreeMap<ProfilePart, String>,
}

impl<K: Kv> Flat<K> {
    pub(super) async fn get_single(&self, identity: &Identity) -> Result<Stored> {
        let path = identity.key().path();
        let entry = self.kv.get(&path).await.map_err(|error| Error::of(error, identity))?;
        let Some(entry) = entry else { return Err(Error::DoesNotExist { id: identity.to_string() }) };
        match parts::single(identity, &entry.value) {
            Ok(resource) => Ok(Stored { resource, revision: Some(entry.revision) }),
            Err((path, reason)) => Err(Error::BadRecord { path, reason }),
        }
    }

    pub(super) async fn list_singles(
        &self,
        kind: Kind,
        filter: &Filter,
        visit: &mut (dyn FnMut(Listed) + Send),
    ) -> Result<()> {
        for root in roots::of_kind(kind, filter) {
            let mut each = |entry: EntryRef<'_>| {
                let key = Key::parse(entry.key);
                let Some(identity) = key.and_then(|key| roots::identity(kind, filter, &key)) else { return };
                visit(parts::listed(parts::single(&identity, entry.value), Some(entry.revision)));
            };
            self.kv.list(&root, &mut each).await.map_err(|error| Error::of(error, &root))?;
        }
        Ok(())
    }

    /// Reads a profile in one list: the tags must exist, labels and rules may be missing.
    pub(super) async fn get_profile(&self, name: &str) -> Result<Stored> {
        let filter = Filter { name: Some(name.to_owned()), ..Filter::default() };
        let absent = || Error::DoesNotExist { id: Identity::Profile(name.to_owned()).to_string() };
        let found = self.profiles(&filter).await?.remove(name).ok_or_else(absent)?;
        if found.revision.is_none() {
            return Err(absent());
        }
        match parts::profile(name, &found.values) {
            Ok(resource) => Ok(Stored { resource, revision: found.revision }),
            Err((path, reason)) => Err(Error::BadRecord { path, reason }),
        }
    }

    /// Visits every profile of which any part exists, by name.
    pub(super) async fn list_profiles(
        &self,
        filter: &Filter,
        visit: &mut (dyn FnMut(Listed) + Send),
    ) -> Result<()> {
        for (name, found) in self.profiles(filter).await? {
            visit(parts::listed(parts::profile(&name, &found.values), found.revision));
        }
        Ok(())
    }

    /// All parts by name: the order of names is not that of their escaped keys.
    async fn profiles(&self, filter: &Filter) -> Result<BTreeMap<String, ProfileValues>> {
        let mut profiles: BTreeMap<String, ProfileValues> = BTreeMap::new();
        for root in roots::of_kind(Kind::Profile, filter) {
            let mut each = |entry: EntryRef<'_>| {
                let Some(key @ Key::ProfilePart { part, .. }) = Key::parse(entry.key) else { return };
                let Some(Identity::Profile(name)) = roots::identity(Kind::Profile, filter, &key) else {
                    return;
                };
                let profile = profiles.entry(name).or_default();
                profile.values.insert(part, entry.value.to_owned());
                if part == ProfilePart::Tags {
                    profile.revision = Some(entry.revision);
                }
            };
            self.kv.list(&root, &mut each).await.map_err(|error| Error::of(error, &root))?;
        }
        Ok(profiles)
    }
}
