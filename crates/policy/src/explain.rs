//! The words for what was asked on the way of a packet: `explain`, the live trace and the tests print the same ones.

use std::fmt;

use margay_intent::Direction;

use crate::evaluate::{Asked, Check, Criterion, EndpointId, Hook, Outcome, Side};

/// The word of a direction in documents.
#[must_use]
pub const fn direction(direction: Direction) -> &'static str {
    match direction {
        Direction::Ingress => "ingress",
        Direction::Egress => "egress",
    }
}

// === impl Hook ===

impl Hook {
    /// The name, as JSON has it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::RawIn => "raw-prerouting",
            Self::RawOut => "raw-output",
            Self::PreDnat => "mangle-prerouting",
            Self::Input => "input",
            Self::Forward => "forward",
            Self::Output => "output",
        }
    }
}

// === impl Outcome ===

impl Outcome {
    /// The name, as JSON has it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Pass => "pass",
            Self::Log => "log",
            Self::None => "none",
        }
    }
}

// === impl Check ===

impl Check {
    /// What it found, in words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::SpoofedSource => "spoofed source",
            Self::UnknownInterface => "unknown interface",
            Self::EndpointDown => "endpoint is not active",
            Self::Established => "established",
            Self::Invalid => "invalid connection state",
            Self::Failsafe => "failsafe",
            Self::EndOfTier => "end of tier",
            Self::NoProfileMatched => "no profile matched",
            Self::AcceptedBefore => "accepted before",
            Self::TunnelledPacket => "IP in IP",
            Self::NeighbourDiscovery => "neighbour discovery",
            Self::OpenStack => "OpenStack's services",
            Self::EndpointToHost => "DefaultEndpointToHostAction",
            Self::HostToWorkload => "host to workload",
            Self::NoHostEndpoint => "no host endpoint",
        }
    }
}

impl fmt::Display for EndpointId {
    /// The names of the endpoint on its host: `orchestrator/workload/endpoint`, or the host endpoint's one name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Workload(id) => id.fmt(f),
            Self::Host(id) => id.fmt(f),
        }
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Policy(id) => write!(f, "policy {id}"),
            Self::Profile(id) => write!(f, "profile {id}"),
            Self::Check(check) => f.write_str(check.words()),
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Source => "source",
            Self::Destination => "destination",
        })
    }
}

impl fmt::Display for Criterion {
    /// Why a rule did not match, in the names that documents have.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Family => f.write_str("another IP version"),
            Self::NetsOfOtherFamily => f.write_str("its networks are of the other IP version"),
            Self::Protocol => f.write_str("protocol"),
            Self::NotProtocol => f.write_str("notProtocol"),
            Self::Nets(side) => write!(f, "{side}.nets"),
            Self::NotNets(side) => write!(f, "{side}.notNets"),
            Self::Tag(side) => write!(f, "{side}.tag"),
            Self::NotTag(side) => write!(f, "{side}.notTag"),
            Self::Selector(side) => write!(f, "{side}.selector"),
            Self::NotSelector(side) => write!(f, "{side}.notSelector"),
            Self::Ports(side) => write!(f, "{side}.ports"),
            Self::NotPorts(side) => write!(f, "{side}.notPorts"),
            Self::Icmp => f.write_str("icmp"),
            Self::NotIcmp => f.write_str("notICMP"),
        }
    }
}
