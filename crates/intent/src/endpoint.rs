//! Endpoints of this host, and the programme of policies and profiles that each direction of them runs.

use std::net::IpAddr;
use std::sync::Arc;

use margay_net::{Cidr, IfName, Mac};

use crate::{PolicyId, ProfileId};

/// Where a packet goes that no policy of a tier decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TierEnd {
    /// Dropped.
    Deny,
    /// On to the next tier, or to the profiles.
    Pass,
}

/// The policies of a tier that govern an endpoint in one direction, in order; never empty.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tier {
    /// The tier's name. v1 has one list for all tiers: `default`.
    pub name: Arc<str>,
    /// First match decides.
    pub policies: Vec<PolicyId>,
    /// What becomes of the rest.
    pub end: TierEnd,
}

/// What one direction of an endpoint runs: tiers in order, then profiles in order, then drop.
///
/// Equal programmes can be shared. In untracked and preDNAT lists there are no profiles and the end decides nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Program {
    /// The tiers that have a policy for this endpoint and direction.
    pub tiers: Vec<Tier>,
    /// Reached when there is no tier, or a policy passed the last one.
    pub profiles: Vec<ProfileId>,
}

/// One address seen outside for one inside (`spec/agent.md` 8, floating IPs); both of one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nat {
    /// The address that others use.
    pub external: IpAddr,
    /// The endpoint's own.
    pub internal: IpAddr,
}

/// A workload endpoint of this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkloadEndpoint {
    /// The host's side of the pair.
    pub interface: IfName,
    /// False drops everything and takes the routes away.
    pub active: bool,
    /// The workload's address on the link.
    pub mac: Option<Mac>,
    /// What is routed to it and what it may send from; IPv4 and IPv6, masked.
    pub nets: Vec<Cidr>,
    /// Floating addresses.
    pub nats: Vec<Nat>,
    /// For traffic to it.
    pub ingress: Program,
    /// For traffic from it.
    pub egress: Program,
}

/// A host endpoint of this host. Which interfaces it owns is found out where they are seen (`spec/policy.md` 7.7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostEndpoint {
    /// The interface; none = those that have one of the addresses.
    pub interface: Option<IfName>,
    /// The addresses it is expected to have.
    pub addresses: Vec<IpAddr>,
    /// For traffic into the host.
    pub ingress: Program,
    /// For traffic out of the host.
    pub egress: Program,
    /// Before connection tracking, into the host.
    pub untracked_ingress: Program,
    /// Before connection tracking, out of the host.
    pub untracked_egress: Program,
    /// Before destination NAT, into the host.
    pub pre_dnat: Program,
}

// === impl Program ===

impl Program {
    /// True when there is nothing to run: no tier and no profile.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tiers.is_empty() && self.profiles.is_empty()
    }
}
