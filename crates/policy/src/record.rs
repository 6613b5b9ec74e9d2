//! Records: what stands under one datastore key, as far as policy is concerned (`spec/policy.md` 1).
//!
//! [`read`] turns a path and its text into a typed record, and says in [`Quarantine`]s what is wrong with it and what
//! follows. It depends on that key alone and never panics. Below it nobody validates again: whatever a broken record
//! still governs stands in the record itself, as rules that deny. Records are plain values for the calculator and for
//! the reference evaluator; what they mean for this node is compiled elsewhere.

mod endpoint;
mod members;
mod policy;
mod quarantine;
mod rule;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use margay_intent::{HostEndpointId, HostName, Nat, PolicyId, PortRange, ProfileId, WorkloadId};
use margay_model::Key;
use margay_model::key::{ProfilePart, policy_of_any_tier};
use margay_net::{Cidr, IfName, IpVersion, Mac};
use margay_selector::Selector;

pub use quarantine::{Effect, Kind, Quarantine};

/// What a datastore key names; keys that policy has no use for have no such name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordKey {
    /// A workload endpoint of some host.
    Workload {
        /// Where it runs.
        host: HostName,
        /// Its three names.
        id: WorkloadId,
    },
    /// A host endpoint of some host.
    HostEndpoint {
        /// Whose interface it is.
        host: HostName,
        /// Its name.
        id: HostEndpointId,
    },
    /// A policy of any tier.
    Policy(PolicyId),
    /// The rules of a profile.
    ProfileRules(ProfileId),
    /// The tags of a profile.
    ProfileTags(ProfileId),
    /// The labels of a profile.
    ProfileLabels(ProfileId),
    /// A pool; the range as the key writes it.
    Pool(Cidr),
    /// The IPv4 address of a host, for tunnels.
    HostIp(HostName),
}

/// What stands under a key.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// A workload endpoint.
    Workload(Workload),
    /// A host endpoint.
    HostEndpoint(HostEndpoint),
    /// A policy.
    Policy(Policy),
    /// The rules of a profile.
    ProfileRules(ProfileRules),
    /// The tags of a profile.
    ProfileTags(Tags),
    /// The labels of a profile.
    ProfileLabels(Labels),
    /// A pool.
    Pool(Pool),
    /// The address of a host.
    HostIp(Ipv4Addr),
}

/// Labels, sorted by key; each key once. A selector can be held against the slice.
pub type Labels = Box<[(Arc<str>, Arc<str>)]>;

/// Tags, sorted; each once.
pub type Tags = Box<[Arc<str>]>;

/// A workload endpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct Workload {
    /// Its `state` is `active`, to the letter; anything else drops all its traffic.
    pub active: bool,
    /// The host's side of the pair.
    pub interface: IfName,
    /// The workload's address on the link.
    pub mac: Option<Mac>,
    /// Its profiles in order, each once.
    pub profiles: Box<[ProfileId]>,
    /// IPv4 first, host bits as written. Sets take the address part, routes the network.
    pub nets: Box<[Cidr]>,
    /// Floating addresses; the inner one lies in `nets`.
    pub nats: Box<[Nat]>,
    /// Its own labels.
    pub labels: Labels,
}

/// A host endpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct HostEndpoint {
    /// The interface; none = those that have one of the addresses.
    pub interface: Option<IfName>,
    /// The addresses that it is expected to have.
    pub addresses: Box<[IpAddr]>,
    /// Its profiles in order, each once.
    pub profiles: Box<[ProfileId]>,
    /// Its own labels.
    pub labels: Labels,
}

/// The list in which a policy stands (`spec/policy.md` 4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum List {
    /// The usual one.
    Normal,
    /// Before connection tracking; host endpoints only.
    Untracked,
    /// Before destination NAT, into the host; host endpoints only.
    PreDnat,
}

/// A policy.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// Ascending; without one the policy stands last (+∞). Never NaN.
    pub order: f64,
    /// Which endpoints it applies to.
    pub selector: Selector,
    /// Where it stands.
    pub list: List,
    /// It decides about traffic to the endpoint, with rules or without.
    pub governs_ingress: bool,
    /// It decides about traffic from the endpoint; never for `PreDnat`.
    pub governs_egress: bool,
    /// Rules for traffic to the endpoint.
    pub ingress: Box<[Rule]>,
    /// Rules for traffic from the endpoint.
    pub egress: Box<[Rule]>,
}

/// The rules of a profile.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ProfileRules {
    /// Rules for traffic to the endpoint.
    pub ingress: Box<[Rule]>,
    /// Rules for traffic from the endpoint.
    pub egress: Box<[Rule]>,
}

/// What a matching rule does.
pub use margay_intent::Action;

/// A protocol that a rule names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuleProtocol {
    /// The number, never 0.
    pub number: u8,
    /// It was written as a name: `icmp` and `icmpv6` then imply a family (`spec/policy.md` 5, row 2).
    pub named: bool,
}

/// The ICMP type and code of a rule.
pub use margay_intent::IcmpMatch;

/// A rule as written, each field a criterion when it is there (`spec/policy.md` 1.1).
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Its place in the record's list, from 0; rules that were left out leave a gap.
    pub index: u32,
    /// What it does.
    pub action: Action,
    /// The only family in which it exists.
    pub version: Option<IpVersion>,
    /// The protocol.
    pub protocol: Option<RuleProtocol>,
    /// Any protocol but this.
    pub not_protocol: Option<RuleProtocol>,
    /// The ICMP message.
    pub icmp: Option<IcmpMatch>,
    /// Any ICMP message but this.
    pub not_icmp: Option<IcmpMatch>,
    /// The source.
    pub source: Peer,
    /// The destination.
    pub destination: Peer,
    /// What the log line shall begin with.
    pub log_prefix: Option<Arc<str>>,
}

/// The criteria on one side; the single network of older records stands behind the list.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Peer {
    /// The address belongs to an endpoint with the tag, `has(tag)`.
    pub tag: Option<Arc<str>>,
    /// It does not.
    pub not_tag: Option<Arc<str>>,
    /// The address belongs to a selected endpoint.
    pub selector: Option<Selector>,
    /// It does not.
    pub not_selector: Option<Selector>,
    /// The address is in any of these; masked.
    pub nets: Box<[Cidr]>,
    /// The address is in none of these; masked.
    pub not_nets: Box<[Cidr]>,
    /// The port is in any of these.
    pub ports: Box<[PortRange]>,
    /// The port is in none of these.
    pub not_ports: Box<[PortRange]>,
}

/// A pool, as far as the node's NAT needs it.
pub use margay_intent::Pool;

/// What [`read`] found.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// What the key names.
    pub key: RecordKey,
    /// What counts; none = as if the key did not exist.
    pub record: Option<Record>,
    /// What is wrong with it.
    pub quarantine: Vec<Quarantine>,
}

/// Reads one key; none when it is no key of a record.
#[must_use]
pub fn read(path: &str, value: &str) -> Option<Reading> {
    let key = RecordKey::parse(path)?;
    let mut faults = Faults::new(&key, path);
    let record = if key.is_misspelt(path) {
        faults.add(Effect::Ignored, "the key is not spelt as it should be: '%' is written %25".to_owned());
        None
    } else {
        read_value(&key, value, &mut faults)
    };
    Some(Reading { key, record, quarantine: faults.found })
}

fn read_value(key: &RecordKey, value: &str, faults: &mut Faults<'_>) -> Option<Record> {
    match key {
        RecordKey::Workload { .. } => endpoint::workload(value, faults).map(Record::Workload),
        RecordKey::HostEndpoint { .. } => endpoint::host(value, faults).map(Record::HostEndpoint),
        RecordKey::Policy(_) => policy::policy(value, faults).map(Record::Policy),
        RecordKey::ProfileRules(_) => policy::profile_rules(value, faults).map(Record::ProfileRules),
        RecordKey::ProfileTags(_) => policy::tags(value, faults).map(Record::ProfileTags),
        RecordKey::ProfileLabels(_) => policy::labels(value, faults).map(Record::ProfileLabels),
        RecordKey::Pool(_) => endpoint::pool(value, faults).map(Record::Pool),
        RecordKey::HostIp(_) => endpoint::host_ip(value, faults).map(Record::HostIp),
    }
}

/// Collects what is wrong with one record.
struct Faults<'a> {
    kind: Kind,
    path: &'a str,
    found: Vec<Quarantine>,
}

// === impl RecordKey ===

impl RecordKey {
    /// What a path names; none for paths that policy has no use for.
    #[must_use]
    pub fn parse(path: &str) -> Option<Self> {
        if let Some((tier, name)) = policy_of_any_tier(path) {
            return Some(Self::Policy(PolicyId { name: name.into(), tier: tier.into() }));
        }
        Some(match Key::parse(path)? {
            Key::WorkloadEndpoint { node, orchestrator, workload, name } => Self::Workload {
                host: HostName(node.into()),
                id: WorkloadId {
                    orchestrator: orchestrator.into(),
                    workload: workload.into(),
                    endpoint: name.into(),
                },
            },
            Key::HostEndpoint { node, name } => {
                Self::HostEndpoint { host: HostName(node.into()), id: HostEndpointId(name.into()) }
            }
            Key::ProfilePart { name, part } => {
                let id = ProfileId(name.into());
                match part {
                    ProfilePart::Tags => Self::ProfileTags(id),
                    ProfilePart::Labels => Self::ProfileLabels(id),
                    ProfilePart::Rules => Self::ProfileRules(id),
                }
            }
            Key::IpPool { cidr } => Self::Pool(cidr),
            Key::NodeBirdIp { node } => Self::HostIp(HostName(node.into())),
            _ => return None,
        })
    }

    /// True when the path is not the one that names this: a `%` that is not escaped. Nothing stands under it.
    #[must_use]
    pub fn is_misspelt(&self, path: &str) -> bool {
        // COMPAT(key-spelling): two spellings of one name would be two keys of one record; upstream lets the last win.
        path.contains('%') && self.path().is_some_and(|canonical| canonical != path)
    }

    /// The kind of record under it.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Workload { .. } => Kind::WorkloadEndpoint,
            Self::HostEndpoint { .. } => Kind::HostEndpoint,
            Self::Policy(_) => Kind::Policy,
            Self::ProfileRules(_) | Self::ProfileTags(_) | Self::ProfileLabels(_) => Kind::Profile,
            Self::Pool(_) => Kind::IpPool,
            Self::HostIp(_) => Kind::Node,
        }
    }

    /// The path where only one spelling counts: wherever names are escaped.
    fn path(&self) -> Option<String> {
        let text = |name: &Arc<str>| name.to_string();
        let key = match self {
            Self::Workload { host, id } => Key::WorkloadEndpoint {
                node: text(&host.0),
                orchestrator: text(&id.orchestrator),
                workload: text(&id.workload),
                name: text(&id.endpoint),
            },
            Self::HostEndpoint { host, id } => Key::HostEndpoint { node: text(&host.0), name: text(&id.0) },
            Self::Policy(id) => {
                let name = margay_model::key::escape(&id.name);
                return Some(format!("{}/{}/policy/{name}", margay_model::key::directory::TIERS, id.tier));
            }
            Self::ProfileRules(id) => Key::ProfilePart { name: text(&id.0), part: ProfilePart::Rules },
            Self::ProfileTags(id) => Key::ProfilePart { name: text(&id.0), part: ProfilePart::Tags },
            Self::ProfileLabels(id) => Key::ProfilePart { name: text(&id.0), part: ProfilePart::Labels },
            Self::Pool(_) | Self::HostIp(_) => return None,
        };
        Some(key.path())
    }
}

// === impl Policy ===

impl Policy {
    /// The selectors of its rules.
    pub(crate) fn rule_selectors_mut(&mut self) -> impl Iterator<Item = &mut Selector> {
        self.ingress.iter_mut().chain(&mut self.egress).flat_map(|rule| {
            let (source, destination) = (&mut rule.source, &mut rule.destination);
            [
                &mut source.selector,
                &mut source.not_selector,
                &mut destination.selector,
                &mut destination.not_selector,
            ]
            .into_iter()
            .flatten()
        })
    }

    /// Whether it decides about a direction.
    #[must_use]
    pub fn governs(&self, direction: margay_intent::Direction) -> bool {
        match direction {
            margay_intent::Direction::Ingress => self.governs_ingress,
            margay_intent::Direction::Egress => self.governs_egress,
        }
    }

    /// The rules of a direction.
    #[must_use]
    pub fn rules(&self, direction: margay_intent::Direction) -> &[Rule] {
        match direction {
            margay_intent::Direction::Ingress => &self.ingress,
            margay_intent::Direction::Egress => &self.egress,
        }
    }
}

// === impl ProfileRules ===

impl ProfileRules {
    /// The rules of a direction.
    #[must_use]
    pub fn rules(&self, direction: margay_intent::Direction) -> &[Rule] {
        match direction {
            margay_intent::Direction::Ingress => &self.ingress,
            margay_intent::Direction::Egress => &self.egress,
        }
    }
}

// === impl Rule ===

impl Rule {
    /// The rule that refuses everything: what stands in for rules that nobody could read.
    #[must_use]
    pub fn deny_all() -> Self {
        Self {
            index: 0,
            action: Action::Deny,
            version: None,
            protocol: None,
            not_protocol: None,
            icmp: None,
            not_icmp: None,
            source: Peer::default(),
            destination: Peer::default(),
            log_prefix: None,
        }
    }
}

// === impl Faults ===

impl<'a> Faults<'a> {
    fn new(key: &RecordKey, path: &'a str) -> Self {
        Self { kind: key.kind(), path, found: Vec::new() }
    }

    fn add(&mut self, effect: Effect, message: String) {
        self.found.push(Quarantine { kind: self.kind, key: self.path.into(), message, effect });
    }
}

#[cfg(test)]
mod tests;
