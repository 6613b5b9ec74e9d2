//! All policies, the endpoints of this host, and which policies apply to which of them, in order.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use margay_intent::{HostEndpointId, PolicyId, WorkloadId};
use margay_selector::Selector;

use super::cluster::{Cluster, EndpointIndex, ProfileIndex};
use super::program::Program;
use super::slab::{IntMap, Slab};
use super::vocabulary::Pair;
use super::wants::{WantIndex, Wants};
use crate::record;

/// A policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct PolicyIndex(u32);

/// A selector that policies have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Matcher(u32);

/// The name of an endpoint of this host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum LocalId {
    /// A workload endpoint.
    Workload(WorkloadId),
    /// A host endpoint.
    Host(HostEndpointId),
}

/// An endpoint of this host as its record has it.
#[derive(Debug, PartialEq)]
pub(super) enum LocalRecord {
    /// A workload endpoint.
    Workload(record::Workload),
    /// A host endpoint.
    Host(record::HostEndpoint),
}

#[derive(Debug)]
struct Local {
    id: LocalId,
    record: LocalRecord,
    /// Every policy that selects it, in order.
    policies: Vec<PolicyIndex>,
}

#[derive(Debug)]
struct Entry {
    id: PolicyId,
    record: record::Policy,
    matcher: Matcher,
}

#[derive(Debug)]
struct MatcherEntry {
    selector: Selector,
    program: Program,
    wants: Wants,
    policies: Vec<PolicyIndex>,
}

/// All policies and the endpoints of this host.
#[derive(Debug, Default)]
pub(super) struct Policies {
    entries: Slab<Entry>,
    by_id: HashMap<PolicyId, PolicyIndex>,
    matchers: Slab<MatcherEntry>,
    matcher_of: HashMap<Selector, Matcher>,
    index: WantIndex<Matcher>,
    /// The selectors of rules, so that equal ones are held once, and how often each is used.
    rule_selectors: HashMap<Selector, u32>,
    locals: IntMap<EndpointIndex, Local>,
    local_of: BTreeMap<LocalId, EndpointIndex>,
    locals_by_pair: IntMap<Pair, Vec<EndpointIndex>>,
    locals_by_profile: IntMap<ProfileIndex, Vec<EndpointIndex>>,
    /// Endpoints whose intent may have changed.
    pub(super) changed: BTreeSet<LocalId>,
}

// === impl Policies: policies ===

impl Policies {
    pub(super) fn get(&self, id: &PolicyId) -> Option<&record::Policy> {
        self.by_id.get(id).map(|index| &self.entries[index.0].record)
    }

    /// All policies, in no order.
    pub(super) fn all(&self) -> impl Iterator<Item = (&PolicyId, &record::Policy)> {
        self.entries.iter().map(|(_, entry)| (&entry.id, &entry.record))
    }

    /// Puts a policy or takes it away. True when something changed.
    pub(super) fn set(&mut self, cluster: &mut Cluster, id: PolicyId, new: Option<record::Policy>) -> bool {
        let old = self.by_id.get(&id).copied();
        match (old, new) {
            (None, None) => false,
            (Some(index), Some(new)) if self.entries[index.0].record == new => false,
            (old, new) => {
                if let Some(index) = old {
                    self.remove(cluster, index);
                }
                if let Some(record) = new {
                    self.insert(cluster, id, record);
                }
                true
            }
        }
    }

    fn insert(&mut self, cluster: &mut Cluster, id: PolicyId, mut record: record::Policy) {
        let matcher = self.matcher_of.get(&record.selector).copied().unwrap_or_else(|| {
            let selector = record.selector.clone();
            let wants = Wants::new(&selector, cluster);
            let program = Program::new(&selector, &mut cluster.vocabulary);
            let entry = MatcherEntry { selector: selector.clone(), program, wants, policies: Vec::new() };
            let matcher = Matcher(self.matchers.insert(entry));
            self.matcher_of.insert(selector, matcher);
            self.index.insert(matcher, &self.matchers[matcher.0].wants);
            matcher
        });
        record.selector = self.matchers[matcher.0].selector.clone();
        for selector in record.rule_selectors_mut() {
            match self.rule_selectors.get_key_value(selector) {
                Some((shared, _)) => *selector = shared.clone(),
                None => drop(self.rule_selectors.insert(selector.clone(), 0)),
            }
            *self.rule_selectors.entry(selector.clone()).or_default() += 1;
        }
        let index = PolicyIndex(self.entries.insert(Entry { id: id.clone(), record, matcher }));
        self.by_id.insert(id, index);
        self.matchers[matcher.0].policies.push(index);
        for endpoint in self.selected_by(cluster, matcher) {
            let entries = &self.entries;
            if let Some(local) = self.locals.get_mut(&endpoint) {
                let before = |other: &PolicyIndex| order(entries, *other, index) == Ordering::Less;
                local.policies.insert(local.policies.partition_point(before), index);
                self.changed.insert(local.id.clone());
            }
        }
    }

    fn remove(&mut self, cluster: &mut Cluster, index: PolicyIndex) {
        let matcher = self.entries[index.0].matcher;
        for endpoint in self.selected_by(cluster, matcher) {
            if let Some(local) = self.locals.get_mut(&endpoint) {
                local.policies.retain(|other| *other != index);
                self.changed.insert(local.id.clone());
            }
        }
        let mut entry = self.entries.remove(index.0);
        self.by_id.remove(&entry.id);
        for selector in entry.record.rule_selectors_mut() {
            if let Some(uses) = self.rule_selectors.get_mut(selector) {
                *uses -= 1;
                if *uses == 0 {
                    self.rule_selectors.remove(selector);
                }
            }
        }
        let sharing = &mut self.matchers[matcher.0].policies;
        sharing.retain(|other| *other != index);
        if sharing.is_empty() {
            let gone = self.matchers.remove(matcher.0);
            self.matcher_of.remove(&gone.selector);
            self.index.remove(matcher, &gone.wants);
            gone.wants.drop_from(&mut cluster.vocabulary);
            gone.program.drop_from(&mut cluster.vocabulary);
        }
    }

    /// True when nothing is held.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.entries.len() + self.matchers.len() + self.locals.len() + self.local_of.len() == 0
            && self.by_id.is_empty()
            && self.matcher_of.is_empty()
            && self.rule_selectors.is_empty()
            && self.locals_by_pair.is_empty()
            && self.locals_by_profile.is_empty()
    }

    /// The endpoints of this host that a selector picks.
    fn selected_by(&self, cluster: &Cluster, matcher: Matcher) -> Vec<EndpointIndex> {
        let MatcherEntry { program, wants, .. } = &self.matchers[matcher.0];
        let mut found = Vec::new();
        // Where there are more labels to look up than endpoints, the endpoints are looked at.
        if wants.pairs(&cluster.vocabulary).is_none_or(|pairs| pairs > self.locals.len()) {
            found.extend(self.locals.keys());
        } else {
            wants.each_pair(&cluster.vocabulary, |pair| {
                found.extend(self.locals_by_pair.get(&pair).into_iter().flatten());
                for profile in cluster.profiles_with(pair) {
                    found.extend(self.locals_by_profile.get(profile).into_iter().flatten());
                }
            });
        }
        found.sort_unstable();
        found.dedup();
        found.retain(|endpoint| cluster.satisfies(*endpoint, program));
        found
    }
}

/// The order of two policies (`spec/policy.md` 4.2); ties of names are broken by tiers.
fn order(entries: &Slab<Entry>, a: PolicyIndex, b: PolicyIndex) -> Ordering {
    let (a, b) = (&entries[a.0], &entries[b.0]);
    // Orders are never NaN, and -0 is 0.
    let orders = a.record.order.partial_cmp(&b.record.order).unwrap_or(Ordering::Equal);
    orders.then_with(|| a.id.cmp(&b.id))
}

// === impl Policies: endpoints of this host ===

impl Policies {
    /// How many endpoints this host has.
    pub(super) fn locals(&self) -> usize {
        self.locals.len()
    }

    pub(super) fn is_local(&self, endpoint: EndpointIndex) -> bool {
        self.locals.contains_key(&endpoint)
    }

    /// The endpoints of this host by name.
    pub(super) fn local_records(&self) -> impl Iterator<Item = (&LocalId, &LocalRecord)> {
        self.local_of.iter().filter_map(|(id, index)| Some((id, &self.locals.get(index)?.record)))
    }

    pub(super) fn local_record(&self, id: &LocalId) -> Option<&LocalRecord> {
        Some(&self.locals.get(self.local_of.get(id)?)?.record)
    }

    /// The policies that select an endpoint of this host, in order.
    pub(super) fn policies_of(&self, id: &LocalId) -> impl Iterator<Item = (&PolicyId, &record::Policy)> {
        let local = self.local_of.get(id).and_then(|index| self.locals.get(index));
        let policies = local.map_or(&[][..], |local| &local.policies);
        policies.iter().map(|index| {
            let entry = &self.entries[index.0];
            (&entry.id, &entry.record)
        })
    }

    /// Takes an endpoint out of the indexes, before its labels change.
    pub(super) fn unindex(&mut self, cluster: &Cluster, endpoint: EndpointIndex) {
        let entry = cluster.endpoint(endpoint);
        for pair in entry.own_pairs() {
            take_from(&mut self.locals_by_pair, pair, endpoint);
        }
        for profile in entry.profiles() {
            take_from(&mut self.locals_by_profile, profile, endpoint);
        }
    }

    /// Puts an endpoint of this host whose content stands in the cluster already.
    pub(super) fn put_local(
        &mut self,
        cluster: &Cluster,
        endpoint: EndpointIndex,
        id: LocalId,
        record: LocalRecord,
    ) {
        let entry = cluster.endpoint(endpoint);
        for pair in entry.own_pairs() {
            self.locals_by_pair.entry(pair).or_default().push(endpoint);
        }
        for profile in entry.profiles() {
            self.locals_by_profile.entry(profile).or_default().push(endpoint);
        }
        self.changed.insert(id.clone());
        self.local_of.insert(id.clone(), endpoint);
        self.locals.insert(endpoint, Local { id, record, policies: Vec::new() });
        self.refresh(cluster, endpoint);
    }

    /// Takes an endpoint of this host away; it has been taken out of the indexes.
    pub(super) fn remove_local(&mut self, endpoint: EndpointIndex) {
        if let Some(local) = self.locals.remove(&endpoint) {
            self.local_of.remove(&local.id);
            self.changed.insert(local.id);
        }
    }

    /// Works out anew which policies apply to an endpoint of this host.
    pub(super) fn refresh(&mut self, cluster: &Cluster, endpoint: EndpointIndex) {
        let mut policies = Vec::new();
        for matcher in self.index.candidates(cluster, endpoint) {
            let matcher = &self.matchers[matcher.0];
            if cluster.satisfies(endpoint, &matcher.program) {
                policies.extend_from_slice(&matcher.policies);
            }
        }
        policies.sort_unstable_by(|a, b| order(&self.entries, *a, *b));
        if let Some(local) = self.locals.get_mut(&endpoint)
            && local.policies != policies
        {
            local.policies = policies;
            self.changed.insert(local.id.clone());
        }
    }
}

fn take_from<K: Copy + Eq + std::hash::Hash>(
    lists: &mut IntMap<K, Vec<EndpointIndex>>,
    key: K,
    endpoint: EndpointIndex,
) {
    if let Some(list) = lists.get_mut(&key) {
        list.retain(|other| *other != endpoint);
        if list.is_empty() {
            lists.remove(&key);
        }
    }
}
