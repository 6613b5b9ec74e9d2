//! What the agent's parameters say to the dataplane, as plain values. Names in brackets are Felix's parameters.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use margay_kernel::nft::IfPrefix;
use margay_net::IfName;

/// What becomes of a packet from a workload to this host that the workload's egress policy allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum HostAction {
    /// Dropped.
    #[default]
    Drop,
    /// The rules of others decide.
    Return,
    /// Accepted as far as it lies with us: other tables may still drop it.
    Accept,
}

/// A protocol and a port that a host endpoint never closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Failsafe {
    /// The IP protocol: 6 or 17.
    pub protocol: u8,
    /// The destination port.
    pub port: u16,
}

/// At most so many log lines of one rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogLimit {
    /// Lines a second.
    pub per_second: u32,
    /// Lines at once before that counts.
    pub burst: u32,
}

/// Where OpenStack's metadata service listens; packets to 169.254.169.254:80 are sent there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Metadata {
    /// Its address.
    pub address: Ipv4Addr,
    /// Its port.
    pub port: u16,
}

/// The special cases for OpenStack (`spec/policy.md` 7.6); present when they are in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct OpenStack {
    /// The metadata service, if it has an address.
    pub metadata: Option<Metadata>,
}

/// The tunnel device between hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct IpInIp {
    /// The device's MTU (`IpInIpMtu`).
    pub mtu: u32,
    /// The device's only address (`IpInIpTunnelAddr`).
    pub address: Option<Ipv4Addr>,
}

/// Everything the dataplane may be told beside intents.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Config {
    /// Interfaces whose names begin with one of these are workloads' (`InterfacePrefix`); never empty.
    pub prefixes: Vec<IfPrefix>,
    /// (`DefaultEndpointToHostAction`)
    pub endpoint_to_host: HostAction,
    /// (`FailsafeInboundHostPorts`)
    pub failsafe_in: Vec<Failsafe>,
    /// (`FailsafeOutboundHostPorts`)
    pub failsafe_out: Vec<Failsafe>,
    /// Neighbour discovery of IPv6 is part of the failsafe (`spec/policy.md` 12, D18).
    pub failsafe_neighbour_discovery: bool,
    /// Packets that connection tracking calls invalid are judged by policy (`DisableConntrackInvalidCheck`).
    pub accept_invalid: bool,
    /// What log lines begin with, without the `: ` (`LogPrefix`).
    pub log_prefix: String,
    /// A rule's own `log_prefix` counts (D16).
    pub rule_log_prefix: bool,
    /// How many lines (`LogActionRateLimit`, `LogActionRateLimitBurst`); none = all.
    pub log_limit: Option<LogLimit>,
    /// The one bit of the packet mark that says "accepted by an untracked or preDNAT policy" (`IptablesMarkMask`).
    pub mark: u32,
    /// The tunnel (`IpInIpEnabled`).
    pub ipip: Option<IpInIp>,
    /// The OpenStack special cases.
    pub openstack: Option<OpenStack>,
    /// IPv6 routes and settings are made (`Ipv6Support`). Policy is enforced for both families always.
    pub ipv6: bool,
    /// The protocol number of our routes (`DeviceRouteProtocol`).
    pub route_protocol: u8,
    /// A packet guard is loaded at the start of a host that has no rules of ours or Felix's (`StartupGuard`).
    pub startup_guard: bool,
    /// Every rule counts packets, not only those that drop.
    pub rule_counters: bool,
    /// The whole of the kernel's state is compared this often; zero = never (`NftablesRefreshInterval`).
    pub refresh: Duration,
    /// Addresses of this host that no floating address may take, beside those seen on its interfaces.
    pub protected: Vec<IpAddr>,
}

// === impl Config ===

impl Config {
    /// True when the name is that of a workload's interface.
    #[must_use]
    pub fn is_workload(&self, interface: &IfName) -> bool {
        self.prefixes.iter().any(|prefix| prefix.begins(interface))
    }
}

impl Default for Config {
    /// Felix's defaults.
    fn default() -> Self {
        let tcp = |port| Failsafe { protocol: 6, port };
        let udp = |port| Failsafe { protocol: 17, port };
        Self {
            prefixes: vec!["cali".parse().expect("letters")],
            endpoint_to_host: HostAction::Drop,
            failsafe_in: vec![tcp(22), udp(68)],
            failsafe_out: vec![tcp(2379), tcp(2380), tcp(4001), tcp(7001), udp(53), udp(67)],
            failsafe_neighbour_discovery: true,
            accept_invalid: false,
            log_prefix: "calico-packet".to_owned(),
            rule_log_prefix: true,
            log_limit: Some(LogLimit { per_second: 10, burst: 5 }),
            mark: 0x0100_0000,
            ipip: None,
            openstack: None,
            ipv6: true,
            route_protocol: 80,
            startup_guard: true,
            rule_counters: false,
            refresh: Duration::from_secs(600),
            protected: Vec::new(),
        }
    }
}
