//! All endpoints and profiles of the cluster, as small as can be: labels as numbers, and who has which address.
//!
//! It owns the indexes label → endpoints, profile → endpoints and address → endpoints. What an endpoint matches
//! stands here too, but is worked out by `sets`.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;

use hashbrown::HashTable;
use margay_intent::ProfileId;

use super::few::Few;
use super::program::Program;
use super::sets::SetIndex;
use super::slab::{IntMap, Slab};
use super::vocabulary::{Key, Pair, Vocabulary};
use super::wants::Wants;

/// An endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct EndpointIndex(u32);

/// A profile that exists or is named by an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ProfileIndex(u32);

/// The names of an endpoint, as its key spells them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) host: &'a str,
    pub(super) workload: bool,
    /// What is behind the host in the key.
    pub(super) rest: &'a str,
}

/// What an endpoint is for selectors and sets.
#[derive(Debug, Clone, Copy)]
pub(super) struct Content<'a> {
    pub(super) labels: &'a [(Arc<str>, Arc<str>)],
    pub(super) profiles: &'a [ProfileId],
    pub(super) addresses: &'a [IpAddr],
}

#[derive(Debug)]
pub(super) struct Endpoint {
    rest: Box<str>,
    /// Labels, then profiles.
    slots: Box<[Slot]>,
    addresses: Addresses,
    /// The active sets whose selectors it satisfies, sorted.
    pub(super) matches: Few<SetIndex>,
    host: u32,
    labels: u32,
    workload: bool,
}

/// A label or profile of an endpoint, and where the endpoint stands in its list.
#[derive(Debug, Clone, Copy)]
struct Slot {
    /// A pair or a profile.
    what: u32,
    place: u32,
}

/// Addresses, each once; one needs no memory of its own.
#[derive(Debug)]
enum Addresses {
    One(IpAddr),
    Many(Box<[IpAddr]>),
}

/// An address of an endpoint.
#[derive(Debug, Clone, Copy)]
struct Owner {
    endpoint: u32,
    nth: u32,
}

#[derive(Debug)]
struct Host {
    name: Box<str>,
    endpoints: u32,
}

#[derive(Debug)]
struct Profile {
    id: ProfileId,
    labels: Box<[Pair]>,
    /// Tags as pairs with an empty value.
    tags: Box<[Pair]>,
    endpoints: Vec<EndpointIndex>,
}

/// All endpoints and profiles.
#[derive(Debug, Default)]
pub(super) struct Cluster {
    hasher: RandomState,
    pub(super) vocabulary: Vocabulary,
    hosts: Slab<Host>,
    hosts_by_name: HashTable<u32>,
    endpoints: Slab<Endpoint>,
    endpoints_by_place: HashTable<u32>,
    workloads: usize,
    owners: HashTable<Owner>,
    profiles: Slab<Profile>,
    profiles_by_id: HashMap<ProfileId, ProfileIndex>,
    /// The profiles that give a label or a tag.
    profiles_by_pair: IntMap<Pair, Vec<ProfileIndex>>,
}

// === impl Endpoint ===

impl Endpoint {
    pub(super) fn addresses(&self) -> &[IpAddr] {
        match &self.addresses {
            Addresses::One(address) => std::slice::from_ref(address),
            Addresses::Many(addresses) => addresses,
        }
    }

    /// Its own labels.
    pub(super) fn own_pairs(&self) -> impl Iterator<Item = Pair> {
        self.slots[..self.labels as usize].iter().map(|slot| Pair::from_number(slot.what))
    }

    /// Its profiles, in order.
    pub(super) fn profiles(&self) -> impl Iterator<Item = ProfileIndex> {
        self.slots[self.labels as usize..].iter().map(|slot| ProfileIndex(slot.what))
    }
}

// === impl Cluster: endpoints ===

impl Cluster {
    pub(super) fn endpoint(&self, index: EndpointIndex) -> &Endpoint {
        &self.endpoints[index.0]
    }

    pub(super) fn endpoint_mut(&mut self, index: EndpointIndex) -> &mut Endpoint {
        &mut self.endpoints[index.0]
    }

    /// All endpoints.
    pub(super) fn all(&self) -> impl Iterator<Item = EndpointIndex> {
        self.endpoints.iter().map(|(number, _)| EndpointIndex(number))
    }

    /// How many workload and host endpoints there are.
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.workloads, self.endpoints.len() - self.workloads)
    }

    /// The hosts that have an endpoint.
    pub(super) fn hosts(&self) -> impl Iterator<Item = &str> {
        self.hosts.iter().map(|(_, host)| &*host.name)
    }

    /// True when nothing is held.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.vocabulary.is_empty()
            && self.hosts.len() + self.endpoints.len() + self.profiles.len() == 0
            && self.endpoints_by_place.is_empty()
            && self.hosts_by_name.is_empty()
            && self.owners.is_empty()
            && self.profiles_by_id.is_empty()
            && self.profiles_by_pair.is_empty()
    }

    fn hash_of(hasher: &RandomState, place: Place<'_>) -> u64 {
        hasher.hash_one((place.host, place.workload, place.rest))
    }

    pub(super) fn find(&self, place: Place<'_>) -> Option<EndpointIndex> {
        let same = |number: &u32| {
            let endpoint = &self.endpoints[*number];
            *endpoint.rest == *place.rest
                && endpoint.workload == place.workload
                && *self.hosts[endpoint.host].name == *place.host
        };
        let hash = Self::hash_of(&self.hasher, place);
        self.endpoints_by_place.find(hash, same).map(|number| EndpointIndex(*number))
    }

    /// Adds an endpoint that is not there; it matches nothing yet.
    pub(super) fn insert(&mut self, place: Place<'_>, content: Content<'_>) -> EndpointIndex {
        let host = self.use_host(place.host);
        let endpoint = Endpoint {
            host,
            rest: place.rest.into(),
            slots: Box::default(),
            labels: 0,
            addresses: Addresses::Many(Box::default()),
            matches: Few::default(),
            workload: place.workload,
        };
        self.workloads += usize::from(place.workload);
        let number = self.endpoints.insert(endpoint);
        let (hasher, endpoints, hosts) = (&self.hasher, &self.endpoints, &self.hosts);
        let rehash = |number: &u32| {
            let Endpoint { host, rest, workload, .. } = &endpoints[*number];
            let place = Place { host: &hosts[*host].name, workload: *workload, rest };
            Self::hash_of(hasher, place)
        };
        self.endpoints_by_place.insert_unique(Self::hash_of(hasher, place), number, rehash);
        let index = EndpointIndex(number);
        self.fill(index, content);
        index
    }

    /// Gives an endpoint other labels, profiles and addresses.
    pub(super) fn replace(&mut self, index: EndpointIndex, content: Content<'_>) {
        self.empty(index);
        self.fill(index, content);
    }

    /// Takes an endpoint away; whatever it matched must have been undone.
    pub(super) fn remove(&mut self, index: EndpointIndex) {
        self.empty(index);
        let endpoint = &self.endpoints[index.0];
        let place = Place {
            host: &self.hosts[endpoint.host].name,
            workload: endpoint.workload,
            rest: &endpoint.rest,
        };
        let hash = Self::hash_of(&self.hasher, place);
        if let Ok(found) = self.endpoints_by_place.find_entry(hash, |number| *number == index.0) {
            found.remove();
        }
        let endpoint = self.endpoints.remove(index.0);
        self.workloads -= usize::from(endpoint.workload);
        self.drop_host(endpoint.host);
    }

    /// Gives an endpoint without content its content.
    fn fill(&mut self, index: EndpointIndex, content: Content<'_>) {
        let mut slots = Vec::with_capacity(content.labels.len() + content.profiles.len());
        let place = |list: &mut Vec<EndpointIndex>| {
            list.push(index);
            u32::try_from(list.len() - 1).expect("endpoints are numbered in 32 bits")
        };
        for (key, value) in content.labels {
            let pair = self.vocabulary.use_pair(key, value);
            slots.push(Slot { what: pair.number(), place: place(self.vocabulary.endpoints_mut(pair)) });
        }
        for id in content.profiles {
            let profile = self.profile(id);
            let place = place(&mut self.profiles[profile.0].endpoints);
            slots.push(Slot { what: profile.0, place });
        }
        let endpoint = &mut self.endpoints[index.0];
        endpoint.slots = slots.into();
        endpoint.labels =
            u32::try_from(content.labels.len()).expect("a record is smaller than four gigabytes");
        endpoint.addresses = Addresses::new(content.addresses);
        for nth in 0..endpoint.addresses().len() {
            let owner = Owner { endpoint: index.0, nth: u32::try_from(nth).expect("as above") };
            let (hasher, endpoints) = (&self.hasher, &self.endpoints);
            let address = |owner: &Owner| endpoints[owner.endpoint].addresses()[owner.nth as usize];
            let rehash = |owner: &Owner| hasher.hash_one(address(owner));
            self.owners.insert_unique(rehash(&owner), owner, rehash);
        }
    }

    /// Takes labels, profiles and addresses from an endpoint.
    fn empty(&mut self, index: EndpointIndex) {
        for (nth, address) in (0_u32..).zip(self.endpoints[index.0].addresses()) {
            let own = |owner: &Owner| owner.endpoint == index.0 && owner.nth == nth;
            if let Ok(found) = self.owners.find_entry(self.hasher.hash_one(address), own) {
                found.remove();
            }
        }
        let endpoint = &mut self.endpoints[index.0];
        endpoint.addresses = Addresses::Many(Box::default());
        let (slots, labels) = (std::mem::take(&mut endpoint.slots), std::mem::take(&mut endpoint.labels));
        let (labels, profiles) = slots.split_at(labels as usize);
        for slot in labels {
            let pair = Pair::from_number(slot.what);
            let moved = taken(self.vocabulary.endpoints_mut(pair), slot.place);
            if let Some(moved) = moved {
                self.endpoints[moved.0].moved(true, slot);
            }
            self.vocabulary.drop_pair(pair);
        }
        for slot in profiles {
            let moved = taken(&mut self.profiles[slot.what].endpoints, slot.place);
            if let Some(moved) = moved {
                self.endpoints[moved.0].moved(false, slot);
            }
            self.forget_unused(ProfileIndex(slot.what));
        }
    }

    /// Whether some endpoint other than this one has the address and matches the set.
    pub(super) fn another_has(&self, except: Option<EndpointIndex>, address: IpAddr, set: SetIndex) -> bool {
        self.owners.iter_hash(self.hasher.hash_one(address)).any(|owner| {
            let endpoint = &self.endpoints[owner.endpoint];
            except != Some(EndpointIndex(owner.endpoint))
                && endpoint.addresses()[owner.nth as usize] == address
                && endpoint.matches.binary_search(&set).is_ok()
        })
    }

    fn use_host(&mut self, name: &str) -> u32 {
        let hash = self.hasher.hash_one(name);
        let hosts = &mut self.hosts;
        if let Some(number) = self.hosts_by_name.find(hash, |number| *hosts[*number].name == *name) {
            hosts[*number].endpoints += 1;
            return *number;
        }
        let number = hosts.insert(Host { name: name.into(), endpoints: 1 });
        let hasher = &self.hasher;
        self.hosts_by_name.insert_unique(hash, number, |number| hasher.hash_one(&*hosts[*number].name));
        number
    }

    fn drop_host(&mut self, number: u32) {
        self.hosts[number].endpoints -= 1;
        if self.hosts[number].endpoints == 0 {
            let host = self.hosts.remove(number);
            let hash = self.hasher.hash_one(&*host.name);
            if let Ok(found) = self.hosts_by_name.find_entry(hash, |candidate| *candidate == number) {
                found.remove();
            }
        }
    }
}

// === impl Cluster: profiles ===

impl Cluster {
    /// The profile of that name, made if need be.
    fn profile(&mut self, id: &ProfileId) -> ProfileIndex {
        if let Some(index) = self.profiles_by_id.get(id) {
            return *index;
        }
        let profile =
            Profile { id: id.clone(), labels: Box::default(), tags: Box::default(), endpoints: Vec::new() };
        let index = ProfileIndex(self.profiles.insert(profile));
        self.profiles_by_id.insert(id.clone(), index);
        index
    }

    fn forget_unused(&mut self, index: ProfileIndex) {
        let profile = &self.profiles[index.0];
        if profile.endpoints.is_empty() && profile.labels.is_empty() && profile.tags.is_empty() {
            let profile = self.profiles.remove(index.0);
            self.profiles_by_id.remove(&profile.id);
        }
    }

    /// Gives a profile other labels.
    pub(super) fn set_profile_labels(&mut self, id: &ProfileId, labels: &[(Arc<str>, Arc<str>)]) {
        let index = self.profile(id);
        let pairs = labels.iter().map(|(key, value)| self.vocabulary.use_pair(key, value)).collect();
        let old = std::mem::replace(&mut self.profiles[index.0].labels, pairs);
        self.reindex_profile(index, &old);
    }

    /// Gives a profile other tags.
    pub(super) fn set_profile_tags(&mut self, id: &ProfileId, tags: &[Arc<str>]) {
        let index = self.profile(id);
        let pairs = tags.iter().map(|tag| self.vocabulary.use_pair(tag, "")).collect();
        let old = std::mem::replace(&mut self.profiles[index.0].tags, pairs);
        self.reindex_profile(index, &old);
    }

    /// Brings `profiles_by_pair` up to date after `old` has been replaced, and gives the old pairs back.
    fn reindex_profile(&mut self, index: ProfileIndex, old: &[Pair]) {
        let profile = &self.profiles[index.0];
        for pair in profile.labels.iter().chain(&profile.tags) {
            let list = self.profiles_by_pair.entry(*pair).or_default();
            if !list.contains(&index) {
                list.push(index);
            }
        }
        for pair in old {
            let profile = &self.profiles[index.0];
            if !profile.labels.contains(pair)
                && !profile.tags.contains(pair)
                && let Some(list) = self.profiles_by_pair.get_mut(pair)
            {
                list.retain(|candidate| *candidate != index);
                if list.is_empty() {
                    self.profiles_by_pair.remove(pair);
                }
            }
            self.vocabulary.drop_pair(*pair);
        }
        self.forget_unused(index);
    }

    /// The endpoints that name a profile.
    pub(super) fn endpoints_of(&self, id: &ProfileId) -> &[EndpointIndex] {
        self.profiles_by_id.get(id).map_or(&[], |index| &self.profiles[index.0].endpoints)
    }

    /// The profiles that give a label or tag.
    pub(super) fn profiles_with(&self, pair: Pair) -> &[ProfileIndex] {
        self.profiles_by_pair.get(&pair).map_or(&[], Vec::as_slice)
    }
}

// === impl Cluster: selectors ===

impl Cluster {
    /// Every pair that an endpoint has or may inherit, those that others hide included.
    pub(super) fn each_pair(&self, index: EndpointIndex, mut f: impl FnMut(Pair)) {
        let endpoint = self.endpoint(index);
        endpoint.own_pairs().for_each(&mut f);
        for profile in endpoint.profiles() {
            let profile = &self.profiles[profile.0];
            profile.labels.iter().chain(&profile.tags).copied().for_each(&mut f);
        }
    }

    /// All endpoints that have what a selector wants, each once.
    pub(super) fn wanted(&self, wants: &Wants) -> Vec<EndpointIndex> {
        if let Wants::Anything = wants {
            return self.all().collect();
        }
        let (mut found, mut lists) = (Vec::new(), 0);
        let mut add = |list: &[EndpointIndex]| {
            found.extend_from_slice(list);
            lists += usize::from(!list.is_empty());
        };
        wants.each_pair(&self.vocabulary, |pair| {
            add(self.vocabulary.endpoints(pair));
            for profile in self.profiles_with(pair) {
                add(&self.profiles[profile.0].endpoints);
            }
        });
        if lists > 1 {
            found.sort_unstable();
            found.dedup();
        }
        found
    }

    /// Whether an endpoint satisfies a selector.
    pub(super) fn satisfies(&self, index: EndpointIndex, program: &Program) -> bool {
        let endpoint = self.endpoint(index);
        program.matches(|key| self.label(endpoint, key))
    }

    /// The effective label of a key.
    fn label(&self, endpoint: &Endpoint, key: Key) -> Option<Pair> {
        let has = |pair: &Pair| self.vocabulary.key(*pair) == key;
        if let Some(pair) = endpoint.own_pairs().find(has) {
            return Some(pair);
        }
        // Profile by profile, within one its labels before its tags (`spec/policy.md` 2).
        endpoint.profiles().find_map(|profile| {
            let profile = &self.profiles[profile.0];
            profile.labels.iter().copied().find(has).or_else(|| profile.tags.iter().copied().find(has))
        })
    }

    /// How many endpoints have a pair, or may inherit it.
    pub(super) fn breadth(&self, key: &str, value: &str) -> usize {
        self.vocabulary.find_pair(key, value).map_or(0, |pair| self.breadth_of(pair))
    }

    /// How many endpoints have a key, or may inherit it.
    pub(super) fn breadth_of_key(&self, key: &str) -> usize {
        /// With more values than this a look at each costs more than it tells: hardly two endpoints share one.
        const MANY: usize = 256;
        let pairs = self.vocabulary.find_key(key).map_or(&[][..], |key| self.vocabulary.pairs_of(key));
        if pairs.len() > MANY {
            return pairs.len();
        }
        pairs.iter().map(|pair| self.breadth_of(*pair)).sum()
    }

    fn breadth_of(&self, pair: Pair) -> usize {
        let inherited =
            self.profiles_with(pair).iter().map(|profile| self.profiles[profile.0].endpoints.len());
        self.vocabulary.endpoints(pair).len() + inherited.sum::<usize>()
    }
}

// === helpers ===

impl Endpoint {
    /// Notes that this endpoint, last of a list, has moved to where another one stood.
    fn moved(&mut self, label: bool, to: &Slot) {
        let (labels, profiles) = self.slots.split_at_mut(self.labels as usize);
        let slots = if label { labels } else { profiles };
        if let Some(slot) = slots.iter_mut().find(|slot| slot.what == to.what) {
            slot.place = to.place;
        }
    }
}

impl Addresses {
    fn new(addresses: &[IpAddr]) -> Self {
        match addresses {
            [one] => Self::One(*one),
            _ => {
                let mut many = addresses.to_vec();
                many.sort_unstable();
                many.dedup();
                Self::Many(many.into())
            }
        }
    }
}

/// Takes the item at a place out of a list, and says which one stands there now.
fn taken(list: &mut Vec<EndpointIndex>, place: u32) -> Option<EndpointIndex> {
    list.swap_remove(place as usize);
    list.get(place as usize).copied()
}
