//! What has been reported, and the difference to what should be: endpoints, then the policies and profiles that they
//! run, then the sets that those name. Nothing is in use before an endpoint of this host leads to it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use margay_intent as intent;
use margay_intent::{
    Changes, Direction, HostEndpointId, PolicyId, ProfileId, Program, Tier, TierEnd, WorkloadId,
};

use super::cluster::Cluster;
use super::policies::{LocalId, LocalRecord, Policies};
use super::sets::{SetIndex, Sets};
use crate::compile;
use crate::record::{self, List, ProfileRules};

/// What has been reported.
#[derive(Debug, Default)]
pub(super) struct Output {
    workloads: BTreeMap<WorkloadId, Arc<intent::WorkloadEndpoint>>,
    host_endpoints: BTreeMap<HostEndpointId, Arc<intent::HostEndpoint>>,
    policies: BTreeMap<PolicyId, Used<intent::Policy>>,
    profiles: BTreeMap<ProfileId, Used<intent::Profile>>,
}

/// A policy or profile that endpoints of this host run.
#[derive(Debug)]
struct Used<T> {
    /// How many endpoints run it.
    users: u32,
    /// As reported; none = not yet, or a profile without rules.
    compiled: Option<Arc<T>>,
    /// The sets that it names.
    sets: Box<[SetIndex]>,
}

/// What may have changed since the last report.
#[derive(Debug, Default)]
pub(super) struct Dirty {
    pub(super) policies: BTreeSet<PolicyId>,
    pub(super) profiles: BTreeSet<ProfileId>,
}

// === impl Output ===

impl Output {
    /// How many policies are in use.
    pub(super) fn policies(&self) -> usize {
        self.policies.len()
    }

    /// Compares endpoints, policies and profiles with what was reported. The sets follow.
    pub(super) fn take_changes(
        &mut self,
        cluster: &mut Cluster,
        policies: &mut Policies,
        profiles: &BTreeMap<ProfileId, ProfileRules>,
        sets: &mut Sets,
        mut dirty: Dirty,
    ) -> Changes {
        let mut changes = Changes::default();
        for id in std::mem::take(&mut policies.changed) {
            let record = policies.local_record(&id);
            match (id, record) {
                (LocalId::Workload(id), Some(LocalRecord::Workload(record))) => {
                    let place = LocalId::Workload(id.clone());
                    let new = workload(record, &place, policies);
                    self.put_workload(id, Some(new), &mut dirty, &mut changes);
                }
                (LocalId::Workload(id), _) => self.put_workload(id, None, &mut dirty, &mut changes),
                (LocalId::Host(id), Some(LocalRecord::Host(record))) => {
                    let place = LocalId::Host(id.clone());
                    let new = host_endpoint(record, &place, policies);
                    self.put_host_endpoint(id, Some(new), &mut dirty, &mut changes);
                }
                (LocalId::Host(id), _) => self.put_host_endpoint(id, None, &mut dirty, &mut changes),
            }
        }
        for id in dirty.policies {
            let compiled = policies.get(&id).map(|record| {
                let mut named = compile::Sets::new();
                (policy(record, &mut named), named)
            });
            refresh(&mut self.policies, id, compiled, cluster, sets, &mut changes.policies);
        }
        for id in dirty.profiles {
            let compiled = profiles.get(&id).map(|rules| {
                let mut named = compile::Sets::new();
                (profile(rules, &mut named), named)
            });
            refresh(&mut self.profiles, id, compiled, cluster, sets, &mut changes.profiles);
        }
        changes
    }

    fn put_workload(
        &mut self,
        id: WorkloadId,
        new: Option<intent::WorkloadEndpoint>,
        dirty: &mut Dirty,
        changes: &mut Changes,
    ) {
        let old = self.workloads.get(&id).cloned();
        if old.as_deref() == new.as_ref() {
            return;
        }
        let new = new.map(Arc::new);
        let of = |endpoint: &Option<Arc<intent::WorkloadEndpoint>>| {
            uses(endpoint.iter().flat_map(|endpoint| [&endpoint.ingress, &endpoint.egress]))
        };
        self.count(of(&old), of(&new), dirty);
        match &new {
            Some(endpoint) => self.workloads.insert(id.clone(), Arc::clone(endpoint)),
            None => self.workloads.remove(&id),
        };
        changes.workloads.insert(id, new);
    }

    fn put_host_endpoint(
        &mut self,
        id: HostEndpointId,
        new: Option<intent::HostEndpoint>,
        dirty: &mut Dirty,
        changes: &mut Changes,
    ) {
        let old = self.host_endpoints.get(&id).cloned();
        if old.as_deref() == new.as_ref() {
            return;
        }
        let new = new.map(Arc::new);
        let of = |endpoint: &Option<Arc<intent::HostEndpoint>>| {
            uses(endpoint.iter().flat_map(|endpoint| {
                let intent::HostEndpoint {
                    ingress,
                    egress,
                    untracked_ingress,
                    untracked_egress,
                    pre_dnat,
                    ..
                } = endpoint.as_ref();
                [ingress, egress, untracked_ingress, untracked_egress, pre_dnat]
            }))
        };
        self.count(of(&old), of(&new), dirty);
        match &new {
            Some(endpoint) => self.host_endpoints.insert(id.clone(), Arc::clone(endpoint)),
            None => self.host_endpoints.remove(&id),
        };
        changes.host_endpoints.insert(id, new);
    }

    /// Counts one endpoint less for what it ran, and one more for what it runs now.
    fn count(&mut self, old: Uses, new: Uses, dirty: &mut Dirty) {
        for id in new.policies.difference(&old.policies) {
            self.policies.entry(id.clone()).or_default().users += 1;
            dirty.policies.insert(id.clone());
        }
        for id in old.policies.difference(&new.policies) {
            self.policies.entry(id.clone()).or_default().users -= 1;
            dirty.policies.insert(id.clone());
        }
        for id in new.profiles.difference(&old.profiles) {
            self.profiles.entry(id.clone()).or_default().users += 1;
            dirty.profiles.insert(id.clone());
        }
        for id in old.profiles.difference(&new.profiles) {
            self.profiles.entry(id.clone()).or_default().users -= 1;
            dirty.profiles.insert(id.clone());
        }
    }
}

impl<T> Default for Used<T> {
    fn default() -> Self {
        Self { users: 0, compiled: None, sets: Box::default() }
    }
}

/// What has rules for both directions.
trait Rules {
    /// The two lists.
    fn lists(&mut self) -> [&mut [intent::Rule]; 2];
}

impl Rules for intent::Policy {
    fn lists(&mut self) -> [&mut [intent::Rule]; 2] {
        [&mut self.ingress, &mut self.egress]
    }
}

impl Rules for intent::Profile {
    fn lists(&mut self) -> [&mut [intent::Rule]; 2] {
        [&mut self.ingress, &mut self.egress]
    }
}

/// The policies and profiles of an endpoint.
struct Uses {
    policies: BTreeSet<PolicyId>,
    profiles: BTreeSet<ProfileId>,
}

fn uses<'a>(programs: impl Iterator<Item = &'a Program>) -> Uses {
    let mut uses = Uses { policies: BTreeSet::new(), profiles: BTreeSet::new() };
    for program in programs {
        uses.policies.extend(program.tiers.iter().flat_map(|tier| &tier.policies).cloned());
        uses.profiles.extend(program.profiles.iter().cloned());
    }
    uses
}

/// Compares one policy or profile with what was reported.
fn refresh<K: Ord + Clone, T: PartialEq + Rules>(
    used: &mut BTreeMap<K, Used<T>>,
    id: K,
    compiled: Option<(T, compile::Sets)>,
    cluster: &mut Cluster,
    sets: &mut Sets,
    changes: &mut BTreeMap<K, Option<Arc<T>>>,
) {
    // What no endpoint runs is not reported.
    let Some(entry) = used.get_mut(&id) else { return };
    let compiled = compiled.filter(|_| entry.users > 0);
    let unused = entry.users == 0;
    if entry.compiled.as_deref() != compiled.as_ref().map(|(new, _)| new) {
        let (new, named) = compiled.unzip();
        let acquired = sets.acquire(cluster, named.unwrap_or_default());
        sets.release(&std::mem::replace(&mut entry.sets, acquired));
        entry.compiled = new.map(|mut new| {
            for rules in new.lists() {
                sets.share_names(rules);
            }
            Arc::new(new)
        });
        changes.insert(id.clone(), entry.compiled.clone());
    }
    if unused {
        used.remove(&id);
    }
}

// === from records to intents ===

fn policy(record: &record::Policy, named: &mut compile::Sets) -> intent::Policy {
    // Rules of a direction that the policy does not govern run nowhere, and their sets are not needed.
    let mut rules = |direction| match record.governs(direction) {
        true => compile::rules(record.rules(direction), named),
        false => Vec::new(),
    };
    intent::Policy { ingress: rules(Direction::Ingress), egress: rules(Direction::Egress) }
}

fn profile(rules: &ProfileRules, named: &mut compile::Sets) -> intent::Profile {
    intent::Profile {
        ingress: compile::rules(&rules.ingress, named),
        egress: compile::rules(&rules.egress, named),
    }
}

/// The programme of one list and direction.
fn program(
    policies: &Policies,
    place: &LocalId,
    list: List,
    direction: Direction,
    profiles: &[ProfileId],
) -> Program {
    let governing: Vec<PolicyId> = policies
        .policies_of(place)
        .filter(|(_, record)| record.list == list && record.governs(direction))
        .map(|(id, _)| id.clone())
        .collect();
    let end = match list {
        List::Normal => TierEnd::Deny,
        List::Untracked | List::PreDnat => TierEnd::Pass,
    };
    // COMPAT(tiers-in-one-list): policies of all tiers stand in one list, as upstream enforces them.
    let tier = Tier { name: "default".into(), policies: governing, end };
    Program {
        tiers: if tier.policies.is_empty() { Vec::new() } else { vec![tier] },
        profiles: profiles.to_vec(),
    }
}

fn workload(record: &record::Workload, place: &LocalId, policies: &Policies) -> intent::WorkloadEndpoint {
    let of = |direction| program(policies, place, List::Normal, direction, &record.profiles);
    intent::WorkloadEndpoint {
        interface: record.interface,
        active: record.active,
        mac: record.mac,
        nets: record.nets.iter().map(|net| net.masked()).collect(),
        nats: record.nats.to_vec(),
        ingress: of(Direction::Ingress),
        egress: of(Direction::Egress),
    }
}

fn host_endpoint(
    record: &record::HostEndpoint,
    place: &LocalId,
    policies: &Policies,
) -> intent::HostEndpoint {
    let normal = |direction| program(policies, place, List::Normal, direction, &record.profiles);
    let early = |list, direction| program(policies, place, list, direction, &[]);
    intent::HostEndpoint {
        interface: record.interface,
        addresses: record.addresses.to_vec(),
        ingress: normal(Direction::Ingress),
        egress: normal(Direction::Egress),
        untracked_ingress: early(List::Untracked, Direction::Ingress),
        untracked_egress: early(List::Untracked, Direction::Egress),
        pre_dnat: early(List::PreDnat, Direction::Ingress),
    }
}
