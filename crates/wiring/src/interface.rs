//! What a workload interface should be.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use margay_kernel::{Namespace, RouteProtocol};
use margay_net::{Cidr, IfName, IpVersion, Mac};

/// The hardware address of every host end.
pub const HOST_MAC: [u8; 6] = [0xee; 6];

/// The next hop of every IPv4 workload; nobody has it, the host's end answers for it.
pub const GATEWAY_V4: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 1);

/// The next hop of every IPv6 workload: what [`HOST_MAC`] makes as link-local address.
pub const GATEWAY_V6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0xecee, 0xeeff, 0xfeee, 0xeeee);

/// A workload interface: a pair of links, one end in the workload, the other on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Where the workload lives.
    pub workload: Namespace,
    /// The name of its end there.
    pub workload_name: IfName,
    /// The name of the host's end.
    pub host_name: IfName,
    /// Whose it is, `<network>.<containerID>`: the alias of the host's end. At most 255 bytes count.
    pub owner: String,
    /// The addresses of the workload's end; each gets a route on the host.
    pub addresses: Vec<IpAddr>,
    /// The destinations that the workload reaches through the host; none = everything, in each family that it has
    /// an address of. Those of another family are left out.
    pub routes: Option<Vec<Cidr>>,
    /// The MTU of both ends; none = the kernel's.
    pub mtu: Option<u32>,
    /// The queues of both ends; none = the kernel's.
    pub queues: Option<u32>,
    /// The hardware address of the workload's end; none = a random one.
    pub mac: Option<Mac>,
    /// Whether the workload forwards between its interfaces; none = as its namespace has it.
    pub forwarding: Option<bool>,
    /// Whether the host gets routes to the addresses.
    pub host_routes: bool,
    /// Who the host's routes are by: [`RouteProtocol::BOOT`] as upstream, so that the agents of both know them.
    pub protocol: RouteProtocol,
    /// Interfaces of which the caller knows that their workload is gone: a route of theirs to one of the addresses
    /// is replaced. Without that, so is one of a holder that is down or has lost its other end.
    pub evict: BTreeSet<IfName>,
}

// === impl Interface ===

impl Interface {
    /// An interface with addresses, and everything else as upstream's plugin does it.
    #[must_use]
    pub fn new(workload: Namespace, workload_name: IfName, host_name: IfName, owner: String) -> Self {
        Self {
            workload,
            workload_name,
            host_name,
            owner,
            addresses: Vec::new(),
            routes: None,
            mtu: None,
            queues: None,
            mac: None,
            forwarding: None,
            host_routes: true,
            protocol: RouteProtocol::BOOT,
            evict: BTreeSet::new(),
        }
    }

    /// Whether it has an address of that version.
    #[must_use]
    pub fn has(&self, version: IpVersion) -> bool {
        self.addresses.iter().any(|address| address.is_ipv4() == (version == IpVersion::V4))
    }
}
