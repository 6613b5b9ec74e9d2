//! Endpoints that no rule tells apart.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use margay_intent::{Direction, HostName, PolicyId, ProfileId, WorkloadId};
use margay_net::Cidr;
use margay_policy::evaluate::Records;
use margay_selector::Expr;

use super::rules;
use crate::person::policy_explain::{End, Facts, Party, everybody};

/// Endpoints of which one speaks for all.
pub(super) struct Class {
    members: Vec<End>,
    /// A policy or profile that governs traffic to them is not what it was, or may not be.
    pub(super) ingress_affected: bool,
    /// The same for traffic from them.
    pub(super) egress_affected: bool,
}

/// What verdicts on an endpoint can depend on.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Sort {
    /// One of its kind.
    Alone(String),
    /// A workload as it was and as it will be.
    Workload(Box<[Seen; 2]>),
}

/// What rules can see of a workload.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Seen {
    /// The host, where that makes a difference.
    host: Option<HostName>,
    active: bool,
    labels: Vec<(String, String)>,
    profiles: Vec<String>,
    /// Of each address: its family, and the networks of rules that hold it.
    addresses: Vec<(bool, Vec<usize>)>,
}

/// What about a datastore makes endpoints one of their kind.
struct Background<'r> {
    records: &'r Records,
    /// Networks that rules name.
    nets: Vec<Cidr>,
    /// Labels that selectors or tags name.
    keys: BTreeSet<String>,
    /// Hosts that are not like the others.
    special_hosts: BTreeSet<&'r HostName>,
    /// Addresses and interfaces that several endpoints have.
    shared_addresses: BTreeSet<IpAddr>,
    shared_interfaces: BTreeSet<(&'r HostName, margay_net::IfName)>,
}

/// What is not the same before and after.
struct Change<'f> {
    before: &'f Records,
    after: &'f Records,
    /// It can be anywhere: labels, addresses or something of hosts.
    everywhere: bool,
    policies: BTreeSet<&'f PolicyId>,
    profiles: BTreeSet<&'f ProfileId>,
}

// === impl Class ===

impl Class {
    pub(super) fn of_one(end: End) -> Self {
        Self { members: vec![end], ingress_affected: false, egress_affected: false }
    }

    /// The one that speaks for all.
    pub(super) fn first(&self) -> &End {
        &self.members[0]
    }

    /// A pair of endpoints of two classes, and how many there are; none for one endpoint with itself, and for two of
    /// which no host knows.
    pub(super) fn pair<'c>(&'c self, other: &'c Self) -> Option<(&'c End, &'c End, usize)> {
        let from = self.members.first()?;
        let is_same = other.members.first() == Some(from);
        let to = if is_same { other.members.get(1)? } else { other.members.first()? };
        let outside = |end: &End| end.party == Party::Outside;
        let others = if is_same { other.members.len() - 1 } else { other.members.len() };
        (!(outside(from) && outside(to))).then_some((from, to, self.members.len() * others))
    }
}

/// The classes of all endpoints that are there before and after.
pub(super) fn classes(before: &Facts, after: &Facts) -> Vec<Class> {
    let sides = [Background::new(before), Background::new(after)];
    let mut classes: BTreeMap<Sort, Vec<End>> = BTreeMap::new();
    let old: BTreeSet<String> = everybody(&before.records).into_iter().map(|end| end.name).collect();
    for end in everybody(&after.records).into_iter().filter(|end| old.contains(&end.name)) {
        let sort = match &end.party {
            Party::Workload(host, id) => {
                let [then, now] = &sides;
                match (then.see(host, id), now.see(host, id)) {
                    (Some(then), Some(now)) => Sort::Workload(Box::new([then, now])),
                    _ => Sort::Alone(end.name.clone()),
                }
            }
            Party::Host(..) | Party::Outside => Sort::Alone(end.name.clone()),
        };
        classes.entry(sort).or_default().push(end);
    }
    let change = Change::between(before, after);
    let class = |members: Vec<End>| Class {
        ingress_affected: change.affects(&members[0], Direction::Ingress),
        egress_affected: change.affects(&members[0], Direction::Egress),
        members,
    };
    let mut classes: Vec<Class> = classes.into_values().map(class).collect();
    classes.sort_by(|a, b| a.first().name.cmp(&b.first().name));
    classes
}

// === impl Background ===

impl<'r> Background<'r> {
    fn new(facts: &'r Facts) -> Self {
        let records: &Records = &facts.records;
        let nets: BTreeSet<Cidr> = rules(records)
            .flat_map(|rule| [&rule.source, &rule.destination])
            .flat_map(|peer| peer.nets.iter().chain(&peer.not_nets).copied())
            .collect();
        let mut special_hosts: BTreeSet<_> = records.host_endpoints.keys().map(|(host, _)| host).collect();
        let usual = facts.settings(&HostName::from(""));
        let hosts: BTreeSet<_> = records.workloads.keys().map(|(host, _)| host).collect();
        special_hosts.extend(hosts.into_iter().filter(|host| facts.settings(host) != usual));
        let (mut addresses, mut interfaces) = (BTreeSet::new(), BTreeSet::new());
        let (mut shared_addresses, mut shared_interfaces) = (BTreeSet::new(), BTreeSet::new());
        for ((host, _), workload) in &records.workloads {
            for net in &workload.nets {
                let address = net.address().get();
                if !addresses.insert(address) {
                    shared_addresses.insert(address);
                }
            }
            if !interfaces.insert((host, workload.interface)) {
                shared_interfaces.insert((host, workload.interface));
            }
        }
        let of_hosts = records.host_endpoints.values().flat_map(|endpoint| endpoint.addresses.iter());
        shared_addresses.extend(of_hosts);
        let (nets, keys) = (nets.into_iter().collect(), keys(records));
        Self { records, nets, keys, special_hosts, shared_addresses, shared_interfaces }
    }

    /// What rules see of a workload; none for one that is like no other.
    fn see(&self, host: &HostName, id: &WorkloadId) -> Option<Seen> {
        let workload = self.records.workloads.get(&(host.clone(), id.clone()))?;
        let addresses: Vec<IpAddr> = workload.nets.iter().map(|net| net.address().get()).collect();
        if self.shared_interfaces.contains(&(host, workload.interface))
            || addresses.iter().any(|address| self.shared_addresses.contains(address))
        {
            return None;
        }
        let holding = |address: IpAddr| {
            let nets = self.nets.iter().enumerate().filter(|(_, net)| net.contains_ip(address));
            (address.is_ipv4(), nets.map(|(number, _)| number).collect())
        };
        let seen = workload.labels.iter().filter(|(key, _)| self.keys.contains(&**key));
        Some(Seen {
            host: self.special_hosts.contains(host).then(|| host.clone()),
            active: workload.active,
            labels: seen.map(|(k, v)| (k.to_string(), v.to_string())).collect(),
            profiles: workload.profiles.iter().map(ToString::to_string).collect(),
            addresses: addresses.into_iter().map(holding).collect(),
        })
    }
}

// === impl Change ===

impl<'f> Change<'f> {
    fn between(before: &'f Facts, after: &'f Facts) -> Self {
        let (before, after) = (&*before.records, &*after.records);
        let policies = changed(&before.policies, &after.policies);
        let profiles = changed(&before.profile_rules, &after.profile_rules);
        let of_hosts = |records: &Records| {
            let changed = || policies.iter().filter_map(|id| records.policies.get(*id));
            records.host_endpoints.values().any(|endpoint| {
                let own = (&endpoint.labels, &*endpoint.profiles);
                endpoint.profiles.iter().any(|profile| profiles.contains(profile))
                    || changed().any(|policy| records.selects(&policy.selector, own))
            })
        };
        let everywhere = before.workloads != after.workloads
            || before.host_endpoints != after.host_endpoints
            || before.profile_labels != after.profile_labels
            || before.profile_tags != after.profile_tags
            || before.hosts != after.hosts
            || of_hosts(before)
            || of_hosts(after);
        Self { before, after, everywhere, policies, profiles }
    }

    /// Whether what governs one direction of an endpoint is not what it was.
    fn affects(&self, end: &End, direction: Direction) -> bool {
        let Party::Workload(host, id) = &end.party else { return self.everywhere };
        let selected = |records: &Records| {
            let Some(workload) = records.workloads.get(&(host.clone(), id.clone())) else { return true };
            let policies = self.policies.iter().filter_map(|id| records.policies.get(*id));
            let mut governing = policies.filter(|policy| policy.governs(direction));
            workload.profiles.iter().any(|profile| self.profiles.contains(profile))
                || governing
                    .any(|policy| records.selects(&policy.selector, (&workload.labels, &workload.profiles)))
        };
        self.everywhere || selected(self.before) || selected(self.after)
    }
}

/// The labels that any selector or tag names.
fn keys(records: &Records) -> BTreeSet<String> {
    let peers = rules(records).flat_map(|rule| [&rule.source, &rule.destination]);
    let (mut keys, mut selectors) = (BTreeSet::new(), Vec::new());
    for peer in peers {
        keys.extend(peer.tag.iter().chain(&peer.not_tag).map(ToString::to_string));
        selectors.extend(peer.selector.iter().chain(&peer.not_selector));
    }
    selectors.extend(records.policies.values().map(|policy| &policy.selector));
    for part in selectors.into_iter().flat_map(margay_selector::Selector::walk) {
        let key = match part {
            Expr::Has(key)
            | Expr::Equal { key, .. }
            | Expr::NotEqual { key, .. }
            | Expr::In { key, .. }
            | Expr::NotIn { key, .. } => key,
            Expr::All | Expr::Not(_) | Expr::And(_) | Expr::Or(_) => continue,
        };
        keys.insert(key.to_owned());
    }
    keys
}

/// The keys whose values are not the same.
fn changed<'f, K: Ord, V: PartialEq>(
    before: &'f BTreeMap<K, V>,
    after: &'f BTreeMap<K, V>,
) -> BTreeSet<&'f K> {
    before.keys().chain(after.keys()).filter(|key| before.get(key) != after.get(key)).collect()
}
