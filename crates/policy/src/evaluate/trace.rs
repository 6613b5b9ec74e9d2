//! What was asked on the way to a verdict, step by step.

use margay_intent::{Direction, HostEndpointId, PolicyId, ProfileId, WorkloadId};

/// The end of the way through a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// Let through.
    Accept,
    /// Dropped.
    Drop,
    /// Not our business: the host's own rules decide.
    Next,
}

/// Where on its way a packet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hook {
    /// Before connection tracking, coming in.
    RawIn,
    /// Before connection tracking, leaving the host itself.
    RawOut,
    /// Before destination NAT.
    PreDnat,
    /// To the host itself.
    Input,
    /// Through the host.
    Forward,
    /// From the host itself.
    Output,
}

/// An endpoint of the host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EndpointId {
    /// A workload endpoint.
    Workload(WorkloadId),
    /// A host endpoint.
    Host(HostEndpointId),
}

/// What was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// A policy that governs the endpoint in that direction.
    Policy(PolicyId),
    /// A profile of the endpoint.
    Profile(ProfileId),
    /// Something that no record says.
    Check(Check),
}

/// What no record says and decides all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Check {
    /// A workload sends from an address that is not its own.
    SpoofedSource,
    /// The interface has the name of a workload's, but there is no record of it.
    UnknownInterface,
    /// The endpoint is down.
    EndpointDown,
    /// The packet belongs to a flow that was let through.
    Established,
    /// The packet belongs to no flow.
    Invalid,
    /// The ports that a host keeps open whatever policy says.
    Failsafe,
    /// No policy of the endpoint decided.
    EndOfTier,
    /// No profile of the endpoint decided.
    NoProfileMatched,
    /// Untracked or preDNAT policy let it through before.
    AcceptedBefore,
    /// IP in IP between hosts, and from others.
    TunnelledPacket,
    /// Neighbour discovery and group membership towards the host.
    NeighbourDiscovery,
    /// DHCP, DNS or metadata of OpenStack.
    OpenStack,
    /// `DefaultEndpointToHostAction`.
    EndpointToHost,
    /// The host reaches its own workloads.
    HostToWorkload,
    /// Nothing governs the interface.
    NoHostEndpoint,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// Let through, here.
    Allow,
    /// Dropped.
    Deny,
    /// On to the profiles, or past them.
    Pass,
    /// Logged, and on.
    Log,
    /// Nothing: on to the next.
    None,
}

/// The first criterion of a rule that did not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Criterion {
    /// The family of the packet.
    Family,
    /// There is no network of the packet's family in a list.
    NetsOfOtherFamily,
    /// The protocol.
    Protocol,
    /// The negated protocol.
    NotProtocol,
    /// The networks of one side.
    Nets(Side),
    /// The negated networks of one side.
    NotNets(Side),
    /// The tag of one side.
    Tag(Side),
    /// The negated tag of one side.
    NotTag(Side),
    /// The selector of one side.
    Selector(Side),
    /// The negated selector of one side.
    NotSelector(Side),
    /// The ports of one side.
    Ports(Side),
    /// The negated ports of one side.
    NotPorts(Side),
    /// The ICMP message.
    Icmp,
    /// The negated ICMP message.
    NotIcmp,
}

/// One side of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// Where it comes from.
    Source,
    /// Where it goes to.
    Destination,
}

/// A rule that did not match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Miss {
    /// Its place in the record's list.
    pub rule: u32,
    /// The first criterion that did not hold.
    pub criterion: Criterion,
}

/// One thing that was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Where on the way.
    pub hook: Hook,
    /// Whose endpoint.
    pub endpoint: Option<EndpointId>,
    /// Which way, seen from the endpoint.
    pub direction: Option<Direction>,
    /// What was asked.
    pub asked: Asked,
    /// The rule that matched, its place in the record's list.
    pub rule: Option<u32>,
    /// What came of it.
    pub outcome: Outcome,
    /// The rules in front that did not match.
    pub misses: Vec<Miss>,
}

/// A verdict and how it came about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evaluation {
    /// The end of the way through this host.
    pub verdict: Verdict,
    /// What was asked, in order; the last step decided.
    pub steps: Vec<Step>,
    /// False when policy kept the packet from connection tracking.
    pub tracked: bool,
}
