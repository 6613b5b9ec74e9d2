//! The parameters of the agent that a verdict depends on.

use std::net::IpAddr;
use std::sync::Arc;

use super::packet::protocol::{TCP, UDP};

/// What becomes of a packet to the host that its workload may send (`DefaultEndpointToHostAction`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EndpointToHost {
    /// Dropped.
    #[default]
    Drop,
    /// Accepted.
    Accept,
    /// The host's own rules decide.
    Return,
}

/// The parameters of the agent that a verdict depends on, under upstream's defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The beginnings of the names of workload interfaces.
    pub interface_prefixes: Vec<Arc<str>>,
    /// Protocols and ports of the host that stay open.
    pub failsafe_inbound: Vec<(u8, u16)>,
    /// Protocols and ports outside that the host can always reach.
    pub failsafe_outbound: Vec<(u8, u16)>,
    /// What becomes of allowed traffic from workloads to the host.
    pub endpoint_to_host: EndpointToHost,
    /// IP in IP between hosts is let through, and none from others.
    pub ipip: bool,
    /// What OpenStack needs goes from workloads to the host (`spec/policy.md` 7.6).
    pub openstack: bool,
    /// The metadata service of OpenStack.
    pub metadata: Option<(IpAddr, u16)>,
    /// Packets that belong to no flow are dropped.
    pub check_invalid: bool,
    /// Neighbour discovery of governed host interfaces stays open.
    pub neighbour_failsafe: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            interface_prefixes: vec!["cali".into()],
            failsafe_inbound: vec![(TCP, 22), (UDP, 68)],
            failsafe_outbound: vec![(TCP, 2379), (TCP, 2380), (TCP, 4001), (TCP, 7001), (UDP, 53), (UDP, 67)],
            endpoint_to_host: EndpointToHost::Drop,
            ipip: false,
            openstack: false,
            metadata: None,
            check_invalid: true,
            neighbour_failsafe: true,
        }
    }
}
