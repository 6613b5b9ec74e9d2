//! Compiled rules, and the policies and profiles that hold them (`spec/policy.md` 5).

use std::sync::Arc;

use margay_net::{Cidr, IpVersion};

use crate::SetId;

/// Which way a packet goes, seen from the endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// To the endpoint; for a host endpoint: into the host.
    Ingress,
    /// From the endpoint; for a host endpoint: out of the host.
    Egress,
}

/// What a matching rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Allowed by this endpoint in this direction.
    Allow,
    /// Dropped.
    Deny,
    /// Ends the tier; in a profile, that profile.
    Pass,
    /// Logged; the next rule goes on.
    Log,
}

/// The families in which a rule exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Families {
    /// IPv4 and IPv6.
    Both,
    /// IPv4 alone.
    V4,
    /// IPv6 alone.
    V6,
}

/// The criterion on the IP protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProtocolMatch {
    /// None.
    Any,
    /// Equal.
    Is(u8),
    /// Different.
    IsNot(u8),
}

/// Ports from `first` to `last`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortRange {
    /// The lowest.
    pub first: u16,
    /// The highest, not below `first`.
    pub last: u16,
}

/// A type and perhaps a code of ICMP (IPv4) or ICMPv6 (IPv6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IcmpMatch {
    /// The type.
    pub kind: u8,
    /// The code; none = any.
    pub code: Option<u8>,
}

/// The criteria on one side of a packet. An empty list is no criterion.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Peer {
    /// The address is in any of these; masked, both families mixed. A reader keeps those of its family.
    pub nets: Vec<Cidr>,
    /// The address is in none of these.
    pub not_nets: Vec<Cidr>,
    /// The address is in every one of these.
    pub sets: Vec<SetId>,
    /// The address is in none of these.
    pub not_sets: Vec<SetId>,
    /// The port is in any of these; a packet without ports never is.
    pub ports: Vec<PortRange>,
    /// The port is in none of these; a packet without ports does not match.
    pub not_ports: Vec<PortRange>,
}

/// A rule that every present criterion of must hold for. Where it exists (`families`) its lists of networks have a
/// member of that family or are empty; rules that can never match are not compiled at all.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rule {
    /// Its place in the record's list, from 0.
    pub index: u32,
    /// What it does.
    pub action: Action,
    /// Where it exists.
    pub families: Families,
    /// The protocol.
    pub protocol: ProtocolMatch,
    /// The source.
    pub source: Peer,
    /// The destination.
    pub destination: Peer,
    /// The ICMP message; implies the ICMP of the family, as does `not_icmp`.
    pub icmp: Option<IcmpMatch>,
    /// The ICMP message is another one: the type differs, or the code if there is one.
    pub not_icmp: Option<IcmpMatch>,
    /// The prefix that the record asks for in a log line.
    pub log_prefix: Option<Arc<str>>,
}

/// The rules of a policy that some endpoint of this host uses.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Policy {
    /// For traffic to the endpoint.
    pub ingress: Vec<Rule>,
    /// For traffic from the endpoint.
    pub egress: Vec<Rule>,
}

/// The rules of a profile that some endpoint of this host names. A missing one denies (`spec/policy.md` 6.3).
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Profile {
    /// For traffic to the endpoint.
    pub ingress: Vec<Rule>,
    /// For traffic from the endpoint.
    pub egress: Vec<Rule>,
}

// === impl Families ===

impl Families {
    /// True when packets of that version are among them.
    #[must_use]
    pub fn has(self, version: IpVersion) -> bool {
        matches!(
            (self, version),
            (Families::Both, _) | (Families::V4, IpVersion::V4) | (Families::V6, IpVersion::V6)
        )
    }
}

// === impl PortRange ===

impl PortRange {
    /// True when the port is in the range.
    #[must_use]
    pub fn contains(self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }
}

// === impl Policy ===

impl Policy {
    /// The rules of one direction.
    #[must_use]
    pub fn rules(&self, direction: Direction) -> &[Rule] {
        match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        }
    }
}

// === impl Profile ===

impl Profile {
    /// The rules of one direction.
    #[must_use]
    pub fn rules(&self, direction: Direction) -> &[Rule] {
        match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        }
    }
}
