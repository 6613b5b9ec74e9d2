//! All records of a datastore, and what they say of labels and membership.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use margay_intent::{Direction, HostEndpointId, HostName, PolicyId, Pool, ProfileId, WorkloadId};
use margay_net::Cidr;
use margay_selector::Selector;

use crate::record::{
    self, HostEndpoint, Labels, Policy, ProfileRules, Quarantine, Record, RecordKey, Rule, Tags, Workload,
};

/// All records of a datastore, by what their keys name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Records {
    /// Workload endpoints of all hosts.
    pub workloads: BTreeMap<(HostName, WorkloadId), Workload>,
    /// Host endpoints of all hosts.
    pub host_endpoints: BTreeMap<(HostName, HostEndpointId), HostEndpoint>,
    /// Policies of all tiers.
    pub policies: BTreeMap<PolicyId, Policy>,
    /// Rules of profiles.
    pub profile_rules: BTreeMap<ProfileId, ProfileRules>,
    /// Tags of profiles.
    pub profile_tags: BTreeMap<ProfileId, Tags>,
    /// Labels of profiles.
    pub profile_labels: BTreeMap<ProfileId, Labels>,
    /// Pools.
    pub pools: BTreeMap<Cidr, Pool>,
    /// The addresses of hosts.
    pub hosts: BTreeMap<HostName, Ipv4Addr>,
    /// What is wrong with records, by path.
    pub invalid: BTreeMap<Arc<str>, Vec<Quarantine>>,
    /// The paths that hold a record: one name can be spelt in several ways, and only one of them counts.
    present: BTreeSet<Arc<str>>,
}

/// The labels of an endpoint with those that its profiles give it.
#[derive(Clone, Copy)]
pub(super) struct Effective<'r> {
    records: &'r Records,
    own: &'r [(Arc<str>, Arc<str>)],
    profiles: &'r [ProfileId],
}

// === impl Records ===

impl Records {
    /// Puts the value of a key, or takes the key away; keys that policy has no use for are left alone.
    pub fn put(&mut self, path: &str, value: Option<&str>) {
        let Some(key) = RecordKey::parse(path) else { return };
        self.invalid.remove(path);
        let reading = value.and_then(|value| record::read(path, value));
        let (key, record) = match reading {
            Some(reading) => {
                if !reading.quarantine.is_empty() {
                    self.invalid.insert(path.into(), reading.quarantine);
                }
                (reading.key, reading.record)
            }
            None => (key, None),
        };
        match record {
            Some(record) => {
                self.present.insert(path.into());
                self.insert(key, record);
            }
            None if self.present.remove(path) => self.remove(&key),
            None => {}
        }
    }

    fn insert(&mut self, key: RecordKey, record: Record) {
        match (key, record) {
            (RecordKey::Workload { host, id }, Record::Workload(record)) => {
                self.workloads.insert((host, id), record);
            }
            (RecordKey::HostEndpoint { host, id }, Record::HostEndpoint(record)) => {
                self.host_endpoints.insert((host, id), record);
            }
            (RecordKey::Policy(id), Record::Policy(record)) => {
                self.policies.insert(id, record);
            }
            (RecordKey::ProfileRules(id), Record::ProfileRules(record)) => {
                self.profile_rules.insert(id, record);
            }
            (RecordKey::ProfileTags(id), Record::ProfileTags(record)) => {
                self.profile_tags.insert(id, record);
            }
            (RecordKey::ProfileLabels(id), Record::ProfileLabels(record)) => {
                self.profile_labels.insert(id, record);
            }
            (RecordKey::Pool(cidr), Record::Pool(record)) => {
                self.pools.insert(cidr, record);
            }
            (RecordKey::HostIp(host), Record::HostIp(record)) => {
                self.hosts.insert(host, record);
            }
            (key, _) => unreachable!("{key:?} holds a record of its own kind"),
        }
    }

    fn remove(&mut self, key: &RecordKey) {
        match key {
            RecordKey::Workload { host, id } => {
                self.workloads.remove(&(host.clone(), id.clone()));
            }
            RecordKey::HostEndpoint { host, id } => {
                self.host_endpoints.remove(&(host.clone(), id.clone()));
            }
            RecordKey::Policy(id) => {
                self.policies.remove(id);
            }
            RecordKey::ProfileRules(id) => {
                self.profile_rules.remove(id);
            }
            RecordKey::ProfileTags(id) => {
                self.profile_tags.remove(id);
            }
            RecordKey::ProfileLabels(id) => {
                self.profile_labels.remove(id);
            }
            RecordKey::Pool(cidr) => {
                self.pools.remove(cidr);
            }
            RecordKey::HostIp(host) => {
                self.hosts.remove(host);
            }
        }
    }

    /// The rules of a profile in one direction; none when the profile has no rules that can be read.
    #[must_use]
    pub fn rules_of_profile(&self, id: &ProfileId, direction: Direction) -> Option<&[Rule]> {
        self.profile_rules.get(id).map(|rules| rules.rules(direction))
    }

    /// Whether an address belongs to an endpoint that the selector picks, on any host.
    #[must_use]
    pub fn is_member(&self, selector: &Selector, address: IpAddr) -> bool {
        self.is_of_endpoint(address, |labels| selector.matches(&labels))
    }

    /// The addresses of all endpoints that the selector picks.
    #[must_use]
    pub fn members(&self, selector: &Selector) -> margay_intent::Members {
        let workloads = self.workloads.values().flat_map(|w| w.nets.iter().map(|net| net.address().get()));
        let hosts = self.host_endpoints.values().flat_map(|h| h.addresses.iter().copied());
        workloads.chain(hosts).filter(|address| self.is_member(selector, *address)).collect()
    }

    pub(super) fn has_tag(&self, tag: &str, address: IpAddr) -> bool {
        self.is_of_endpoint(address, |labels| margay_selector::Labels::get(&labels, tag).is_some())
    }

    fn is_of_endpoint(&self, address: IpAddr, fits: impl Fn(Effective<'_>) -> bool) -> bool {
        let workload = |w: &Workload| {
            w.nets.iter().any(|net| net.address().get() == address)
                && fits(self.labels(&w.labels, &w.profiles))
        };
        let host =
            |h: &HostEndpoint| h.addresses.contains(&address) && fits(self.labels(&h.labels, &h.profiles));
        self.workloads.values().any(workload) || self.host_endpoints.values().any(host)
    }

    /// Whether a selector picks an endpoint with these own labels and profiles.
    #[must_use]
    pub fn selects(&self, selector: &Selector, endpoint: (&Labels, &[ProfileId])) -> bool {
        selector.matches(&self.labels(endpoint.0, endpoint.1))
    }

    pub(super) fn labels<'r>(
        &'r self,
        own: &'r [(Arc<str>, Arc<str>)],
        profiles: &'r [ProfileId],
    ) -> Effective<'r> {
        Effective { records: self, own, profiles }
    }
}

// === impl Effective ===

impl margay_selector::Labels for Effective<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        if let Some(value) = margay_selector::Labels::get(self.own, key) {
            return Some(value);
        }
        for profile in self.profiles {
            let labels = self.records.profile_labels.get(profile);
            if let Some(value) = labels.and_then(|labels| margay_selector::Labels::get(&**labels, key)) {
                return Some(value);
            }
            let tags = self.records.profile_tags.get(profile);
            if tags.is_some_and(|tags| tags.iter().any(|tag| **tag == *key)) {
                return Some("");
            }
        }
        None
    }
}
