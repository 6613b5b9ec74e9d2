//! [`Calculator`]: from changes of the datastore to changes of what this node should look like.
//!
//! Plain synchronous data. What it reports is a function of what the datastore holds now: of no order, no history and
//! no clock. Inside, updates keep two matchings current, endpoints with the sets in use and endpoints of this host with
//! all policies, each through an index from labels; [`Calculator::take_changes`] then follows from the endpoints that
//! changed to the policies, profiles and sets that come into use or go out of it. A change costs what it matches.

mod cluster;
mod few;
mod output;
mod policies;
mod program;
mod sets;
mod slab;
mod vocabulary;
mod wants;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use margay_intent::{Changes, HostEndpointId, HostName, PolicyId, Pool, ProfileId, WorkloadId};
use margay_net::Cidr;

use crate::record::{self, Effect, Kind, ProfileRules, Quarantine, Record, RecordKey};
use cluster::{Cluster, Content, EndpointIndex, Place};
use output::{Dirty, Output};
use policies::{LocalId, LocalRecord, Policies};
use sets::Sets;

/// How a [`Calculator`] treats what it reads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// A policy that cannot be read whole counts as deleted, as upstream has it, instead of denying
    /// (`spec/policy.md` 1.3).
    pub ignore_invalid_policies: bool,
}

/// The numbers of Felix's calculation metrics (`spec/agent.md` 10).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Statistics {
    /// `felix_active_local_endpoints`.
    pub active_local_endpoints: usize,
    /// `felix_active_local_policies`.
    pub active_local_policies: usize,
    /// `felix_active_local_selectors`: sets that rules of this node use.
    pub active_local_selectors: usize,
    /// `felix_active_local_tags`: those of them that are no more than `has(label)`.
    pub active_local_tags: usize,
    /// `felix_cluster_num_hosts`: hosts with an endpoint or an address.
    pub cluster_hosts: usize,
    /// `felix_cluster_num_workload_endpoints`.
    pub cluster_workload_endpoints: usize,
    /// `felix_cluster_num_host_endpoints`.
    pub cluster_host_endpoints: usize,
}

/// Holds all records and turns their changes into intents.
#[derive(Debug)]
pub struct Calculator {
    host: HostName,
    options: Options,
    in_sync: bool,
    cluster: Cluster,
    policies: Policies,
    profiles: BTreeMap<ProfileId, ProfileRules>,
    sets: Sets,
    hosts: BTreeMap<HostName, Ipv4Addr>,
    /// Pools by key: two keys may write one range.
    pools: BTreeMap<Arc<str>, (Cidr, Pool)>,
    invalid: BTreeMap<Arc<str>, Vec<Quarantine>>,
    output: Output,
    dirty: Dirty,
    default_tier: Arc<str>,
    /// Addresses and pools that were reported, where they may have changed since.
    reported_hosts: BTreeMap<HostName, Option<Ipv4Addr>>,
    reported_pools: BTreeMap<Cidr, Option<Pool>>,
}

// === impl Calculator: updates ===

impl Calculator {
    /// Starts with an empty datastore, for the node of that name.
    #[must_use]
    pub fn new(host: HostName, options: Options) -> Self {
        Self {
            host,
            options,
            in_sync: false,
            cluster: Cluster::default(),
            policies: Policies::default(),
            profiles: BTreeMap::new(),
            sets: Sets::default(),
            hosts: BTreeMap::new(),
            pools: BTreeMap::new(),
            invalid: BTreeMap::new(),
            output: Output::default(),
            dirty: Dirty::default(),
            default_tier: "default".into(),
            reported_hosts: BTreeMap::new(),
            reported_pools: BTreeMap::new(),
        }
    }

    /// Takes the value of a key, or that it is gone. Keys that policy has no use for are ignored.
    pub fn update(&mut self, path: &str, value: Option<&str>) {
        let Some(key) = RecordKey::parse(path) else { return };
        let mut reading = value.and_then(|value| record::read(path, value));
        self.note_quarantine(path, reading.as_mut().map(|reading| std::mem::take(&mut reading.quarantine)));
        if key.is_misspelt(path) {
            return;
        }
        let record = reading.and_then(|reading| reading.record);
        match key {
            RecordKey::Workload { host, id } => {
                let record = record.and_then(as_workload);
                let addresses: Vec<IpAddr> =
                    record.iter().flat_map(|record| &record.nets).map(|net| net.address().get()).collect();
                let content = record.as_ref().map(|record| Content {
                    labels: &record.labels,
                    profiles: &record.profiles,
                    addresses: &addresses,
                });
                let local = (host == self.host).then_some(LocalId::Workload(id));
                let index = self.set_endpoint(path, local.is_some(), content);
                self.set_local(local, index, record.map(LocalRecord::Workload));
            }
            RecordKey::HostEndpoint { host, id } => {
                let record = record.and_then(as_host_endpoint);
                let content = record.as_ref().map(|record| Content {
                    labels: &record.labels,
                    profiles: &record.profiles,
                    addresses: &record.addresses,
                });
                let local = (host == self.host).then_some(LocalId::Host(id));
                let index = self.set_endpoint(path, local.is_some(), content);
                self.set_local(local, index, record.map(LocalRecord::Host));
            }
            RecordKey::Policy(id) => {
                let id = PolicyId { tier: self.shared_tier(&id.tier), ..id };
                let denies = self.options.ignore_invalid_policies && self.denies(path);
                let record = record.filter(|_| !denies).and_then(as_policy);
                if self.policies.set(&mut self.cluster, id.clone(), record) {
                    self.dirty.policies.insert(id);
                }
            }
            RecordKey::ProfileRules(id) => {
                match record.and_then(as_profile_rules) {
                    Some(rules) => self.profiles.insert(id.clone(), rules),
                    None => self.profiles.remove(&id),
                };
                self.dirty.profiles.insert(id);
            }
            RecordKey::ProfileTags(id) => {
                let tags = record.and_then(as_tags).unwrap_or_default();
                self.cluster.set_profile_tags(&id, &tags);
                self.refresh_profile(&id);
            }
            RecordKey::ProfileLabels(id) => {
                let labels = record.and_then(as_labels).unwrap_or_default();
                self.cluster.set_profile_labels(&id, &labels);
                self.refresh_profile(&id);
            }
            RecordKey::Pool(cidr) => self.set_pool(path, cidr, record.and_then(as_pool)),
            RecordKey::HostIp(host) => self.set_host(host, record.and_then(as_host_ip)),
        }
    }

    /// The datastore has been read whole: from now on changes are reported.
    pub fn in_sync(&mut self) {
        self.in_sync = true;
    }

    /// The one text of a tier's name; hardly any cluster has a second tier.
    fn shared_tier(&self, tier: &Arc<str>) -> Arc<str> {
        if *self.default_tier == **tier { Arc::clone(&self.default_tier) } else { Arc::clone(tier) }
    }

    /// Whether the policy under a key denies because it could not be read whole.
    fn denies(&self, path: &str) -> bool {
        self.invalid
            .get(path)
            .is_some_and(|found| found.iter().any(|fault| fault.effect == Effect::DeniesAll))
    }

    fn note_quarantine(&mut self, path: &str, found: Option<Vec<Quarantine>>) {
        match found.filter(|found| !found.is_empty()) {
            Some(found) => self.invalid.insert(path.into(), found),
            None => self.invalid.remove(path),
        };
    }

    /// Gives an endpoint its content, or takes the endpoint away; returns its number if there is one.
    fn set_endpoint(
        &mut self,
        path: &str,
        local: bool,
        content: Option<Content<'_>>,
    ) -> Option<EndpointIndex> {
        let mut rest = String::new();
        let place = place(path, &mut rest)?;
        let old = self.cluster.find(place);
        if let Some(index) = old {
            if local {
                self.policies.unindex(&self.cluster, index);
            }
            let moves = content
                .is_none_or(|content| !same(content.addresses, self.cluster.endpoint(index).addresses()));
            if moves {
                self.sets.clear(&mut self.cluster, index);
            }
        }
        let index = match (old, content) {
            (None, None) => return None,
            (Some(index), None) => {
                self.policies.remove_local(index);
                self.cluster.remove(index);
                return None;
            }
            (None, Some(content)) => self.cluster.insert(place, content),
            (Some(index), Some(content)) => {
                self.cluster.replace(index, content);
                index
            }
        };
        self.sets.refresh(&mut self.cluster, index);
        Some(index)
    }

    fn set_local(&mut self, id: Option<LocalId>, index: Option<EndpointIndex>, record: Option<LocalRecord>) {
        if let (Some(id), Some(index), Some(record)) = (id, index, record) {
            self.policies.put_local(&self.cluster, index, id, record);
        }
    }

    /// Matches every endpoint of a profile anew.
    fn refresh_profile(&mut self, id: &ProfileId) {
        for index in self.cluster.endpoints_of(id).to_vec() {
            self.sets.refresh(&mut self.cluster, index);
            if self.policies.is_local(index) {
                self.policies.refresh(&self.cluster, index);
            }
        }
    }

    fn set_pool(&mut self, path: &str, cidr: Cidr, pool: Option<Pool>) {
        let range = cidr.masked();
        let before = self.pool(range);
        self.reported_pools.entry(range).or_insert(before);
        match pool {
            Some(pool) => self.pools.insert(path.into(), (range, pool)),
            None => self.pools.remove(path),
        };
    }

    /// What holds for a range: one key that asks for masquerading is enough.
    fn pool(&self, range: Cidr) -> Option<Pool> {
        let pools = self.pools.values().filter(|(candidate, _)| *candidate == range).map(|(_, pool)| *pool);
        pools.reduce(|a, b| Pool { masquerade: a.masquerade || b.masquerade })
    }

    fn set_host(&mut self, host: HostName, address: Option<Ipv4Addr>) {
        let before = self.hosts.get(&host).copied();
        self.reported_hosts.entry(host.clone()).or_insert(before);
        match address {
            Some(address) => self.hosts.insert(host, address),
            None => self.hosts.remove(&host),
        };
    }
}

// === impl Calculator: reports ===

impl Calculator {
    /// What has changed since the last time; nothing before [`Calculator::in_sync`].
    ///
    /// No change says what was said before.
    pub fn take_changes(&mut self) -> Changes {
        if !self.in_sync {
            return Changes::default();
        }
        let dirty = std::mem::take(&mut self.dirty);
        let (cluster, sets) = (&mut self.cluster, &mut self.sets);
        let mut changes = self.output.take_changes(cluster, &mut self.policies, &self.profiles, sets, dirty);
        changes.sets = sets.take_changes(cluster);
        for (host, reported) in std::mem::take(&mut self.reported_hosts) {
            let address = self.hosts.get(&host).copied();
            if address != reported {
                changes.hosts.insert(host, address);
            }
        }
        for (range, reported) in std::mem::take(&mut self.reported_pools) {
            let pool = self.pool(range);
            if pool != reported {
                changes.pools.insert(range, pool);
            }
        }
        changes
    }

    /// Everything that is wrong with records, by key.
    pub fn invalid(&self) -> impl Iterator<Item = &Quarantine> {
        self.invalid.values().flatten()
    }

    /// How many keys of each kind hold a record of which something does not count as it was meant.
    #[must_use]
    pub fn invalid_counts(&self) -> BTreeMap<Kind, usize> {
        let mut counts: BTreeMap<Kind, usize> = Kind::ALL.into_iter().map(|kind| (kind, 0)).collect();
        for found in self.invalid.values() {
            if let Some(fault) = found.iter().find(|fault| fault.effect.is_invalid()) {
                *counts.entry(fault.kind).or_default() += 1;
            }
        }
        counts
    }

    /// How many policies deny because they could not be read whole.
    #[must_use]
    pub fn quarantined_policies(&self) -> usize {
        let denies = |found: &&Vec<Quarantine>| found.iter().any(|fault| fault.effect == Effect::DeniesAll);
        self.invalid.values().filter(denies).count()
    }

    /// The numbers of Felix's calculation metrics.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        let (workloads, host_endpoints) = self.cluster.counts();
        let (selectors, tags) = self.sets.counts();
        let with_endpoint: BTreeSet<&str> = self.cluster.hosts().collect();
        let others = self.hosts.keys().filter(|host| !with_endpoint.contains(host.as_str())).count();
        Statistics {
            active_local_endpoints: self.policies.locals(),
            active_local_policies: self.output.policies(),
            active_local_selectors: selectors,
            active_local_tags: tags,
            cluster_hosts: with_endpoint.len() + others,
            cluster_workload_endpoints: workloads,
            cluster_host_endpoints: host_endpoints,
        }
    }

    /// The name of this node.
    #[must_use]
    pub fn host(&self) -> &HostName {
        &self.host
    }

    /// The workload endpoints of this host.
    pub fn workloads(&self) -> impl Iterator<Item = (&WorkloadId, &record::Workload)> {
        self.policies.local_records().filter_map(|(id, record)| match (id, record) {
            (LocalId::Workload(id), LocalRecord::Workload(record)) => Some((id, record)),
            _ => None,
        })
    }

    /// The host endpoints of this host.
    pub fn host_endpoints(&self) -> impl Iterator<Item = (&HostEndpointId, &record::HostEndpoint)> {
        self.policies.local_records().filter_map(|(id, record)| match (id, record) {
            (LocalId::Host(id), LocalRecord::Host(record)) => Some((id, record)),
            _ => None,
        })
    }

    /// The policies that select a workload endpoint of this host, in order, those without effect on it included.
    pub fn policies_of_workload(&self, id: &WorkloadId) -> Vec<(&PolicyId, &record::Policy)> {
        self.policies.policies_of(&LocalId::Workload(id.clone())).collect()
    }

    /// The policies that select a host endpoint of this host, in order.
    pub fn policies_of_host_endpoint(&self, id: &HostEndpointId) -> Vec<(&PolicyId, &record::Policy)> {
        self.policies.policies_of(&LocalId::Host(id.clone())).collect()
    }

    /// A policy, used or not.
    #[must_use]
    pub fn policy(&self, id: &PolicyId) -> Option<&record::Policy> {
        self.policies.get(id)
    }

    /// The rules of a profile, used or not.
    #[must_use]
    pub fn profile(&self, id: &ProfileId) -> Option<&ProfileRules> {
        self.profiles.get(id)
    }

    /// How many policies each tier has. Other tiers than `default` are left behind by old controllers.
    #[must_use]
    pub fn tiers(&self) -> BTreeMap<Arc<str>, usize> {
        let mut tiers = BTreeMap::new();
        for (id, _) in self.policies.all() {
            *tiers.entry(Arc::clone(&id.tier)).or_default() += 1;
        }
        tiers
    }
}

// === helpers ===

/// The names of an endpoint in its key, without the words between them.
fn place<'a>(path: &'a str, rest: &'a mut String) -> Option<Place<'a>> {
    let (host, behind) = path.strip_prefix("/calico/v1/host/")?.split_once('/')?;
    if let Some(name) = behind.strip_prefix("endpoint/") {
        return Some(Place { host, workload: false, rest: name });
    }
    let (workload, endpoint) = behind.strip_prefix("workload/")?.split_once("/endpoint/")?;
    rest.reserve_exact(workload.len() + 1 + endpoint.len());
    rest.push_str(workload);
    rest.push('/');
    rest.push_str(endpoint);
    Some(Place { host, workload: true, rest })
}

/// Whether a list holds just the addresses of an endpoint, which are sorted.
fn same(list: &[IpAddr], addresses: &[IpAddr]) -> bool {
    list.iter().all(|address| addresses.binary_search(address).is_ok())
        && addresses.iter().all(|address| list.contains(address))
}

macro_rules! unwrap_record {
    ($($name:ident: $variant:ident => $type:ty;)*) => {$(
        fn $name(record: Record) -> Option<$type> {
            match record {
                Record::$variant(record) => Some(record),
                _ => None,
            }
        }
    )*};
}

unwrap_record! {
    as_workload: Workload => record::Workload;
    as_host_endpoint: HostEndpoint => record::HostEndpoint;
    as_policy: Policy => record::Policy;
    as_profile_rules: ProfileRules => ProfileRules;
    as_tags: ProfileTags => record::Tags;
    as_labels: ProfileLabels => record::Labels;
    as_pool: Pool => Pool;
    as_host_ip: HostIp => Ipv4Addr;
}

#[cfg(test)]
mod tests;
