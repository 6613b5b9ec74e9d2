//! [`Changes`] and their sum, [`State`].

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use margay_net::Cidr;

use crate::{HostEndpoint, HostEndpointId, HostName, Policy, PolicyId, Profile, ProfileId, SetId};
use crate::{WorkloadEndpoint, WorkloadId};

/// The addresses of a set.
pub type Members = BTreeSet<IpAddr>;

/// A pool, as far as the node's NAT needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool {
    /// Traffic from it to outside all pools is masqueraded.
    pub masquerade: bool,
}

/// What becomes of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetChange {
    /// It exists with exactly these members, whatever it had.
    Replace(Members),
    /// It exists already; the two lists share no member.
    Update {
        /// Members that may be new.
        added: Members,
        /// Members that may have gone.
        removed: Members,
    },
    /// No rule uses it any more.
    Remove,
}

/// Changes of what the node should look like; `None` = it is gone.
///
/// A consumer applies all of them as one: a rule never stands without the sets that it names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Sets of addresses.
    pub sets: BTreeMap<SetId, SetChange>,
    /// Policies in use.
    pub policies: BTreeMap<PolicyId, Option<Arc<Policy>>>,
    /// Profiles in use.
    pub profiles: BTreeMap<ProfileId, Option<Arc<Profile>>>,
    /// Workload endpoints of this host.
    pub workloads: BTreeMap<WorkloadId, Option<Arc<WorkloadEndpoint>>>,
    /// Host endpoints of this host.
    pub host_endpoints: BTreeMap<HostEndpointId, Option<Arc<HostEndpoint>>>,
    /// The IPv4 addresses of all hosts.
    pub hosts: BTreeMap<HostName, Option<Ipv4Addr>>,
    /// Pools, by masked range.
    pub pools: BTreeMap<Cidr, Option<Pool>>,
}

/// Everything that the node should look like: the sum of all changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// Sets of addresses.
    pub sets: BTreeMap<SetId, Members>,
    /// Policies in use.
    pub policies: BTreeMap<PolicyId, Arc<Policy>>,
    /// Profiles in use.
    pub profiles: BTreeMap<ProfileId, Arc<Profile>>,
    /// Workload endpoints of this host.
    pub workloads: BTreeMap<WorkloadId, Arc<WorkloadEndpoint>>,
    /// Host endpoints of this host.
    pub host_endpoints: BTreeMap<HostEndpointId, Arc<HostEndpoint>>,
    /// The IPv4 addresses of all hosts.
    pub hosts: BTreeMap<HostName, Ipv4Addr>,
    /// Pools, by masked range.
    pub pools: BTreeMap<Cidr, Pool>,
}

// === impl SetChange ===

impl SetChange {
    /// Applies a later change on top of this one.
    fn merge(&mut self, later: SetChange) {
        match (&mut *self, later) {
            (SetChange::Replace(members), SetChange::Update { added, removed }) => {
                members.retain(|member| !removed.contains(member));
                members.extend(added);
            }
            (SetChange::Update { added, removed }, SetChange::Update { added: more, removed: fewer }) => {
                added.retain(|member| !fewer.contains(member));
                removed.retain(|member| !more.contains(member));
                added.extend(more);
                removed.extend(fewer);
            }
            // A set that was gone and is updated has been made again by what the update says.
            (SetChange::Remove, SetChange::Update { added, .. }) => *self = SetChange::Replace(added),
            (_, later @ (SetChange::Replace(_) | SetChange::Remove)) => *self = later,
        }
    }
}

// === impl Changes ===

impl Changes {
    /// True when nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self { sets, policies, profiles, workloads, host_endpoints, hosts, pools } = self;
        sets.is_empty()
            && policies.is_empty()
            && profiles.is_empty()
            && workloads.is_empty()
            && host_endpoints.is_empty()
            && hosts.is_empty()
            && pools.is_empty()
    }

    /// Applies later changes on top of these: afterwards this does what both did, one after the other.
    pub fn merge(&mut self, later: Changes) {
        let Changes { sets, policies, profiles, workloads, host_endpoints, hosts, pools } = later;
        for (id, change) in sets {
            match self.sets.entry(id) {
                std::collections::btree_map::Entry::Vacant(entry) => {
                    entry.insert(change);
                }
                std::collections::btree_map::Entry::Occupied(mut entry) => entry.get_mut().merge(change),
            }
        }
        self.policies.extend(policies);
        self.profiles.extend(profiles);
        self.workloads.extend(workloads);
        self.host_endpoints.extend(host_endpoints);
        self.hosts.extend(hosts);
        self.pools.extend(pools);
    }
}

// === impl State ===

impl State {
    /// Applies changes.
    pub fn apply(&mut self, changes: Changes) {
        let Changes { sets, policies, profiles, workloads, host_endpoints, hosts, pools } = changes;
        for (id, change) in sets {
            match change {
                SetChange::Replace(members) => {
                    self.sets.insert(id, members);
                }
                SetChange::Update { added, removed } => {
                    let members = self.sets.entry(id).or_default();
                    for member in &removed {
                        members.remove(member);
                    }
                    members.extend(added);
                }
                SetChange::Remove => {
                    self.sets.remove(&id);
                }
            }
        }
        set_all(&mut self.policies, policies);
        set_all(&mut self.profiles, profiles);
        set_all(&mut self.workloads, workloads);
        set_all(&mut self.host_endpoints, host_endpoints);
        set_all(&mut self.hosts, hosts);
        set_all(&mut self.pools, pools);
    }
}

/// Puts and removes entries.
fn set_all<K: Ord, V>(map: &mut BTreeMap<K, V>, changes: BTreeMap<K, Option<V>>) {
    for (key, value) in changes {
        match value {
            Some(value) => {
                map.insert(key, value);
            }
            None => {
                map.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests;
