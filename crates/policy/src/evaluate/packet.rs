//! A packet as far as policy looks at it, and the way it takes through a host.

use std::net::IpAddr;

use margay_net::{IfName, IpVersion};

/// The numbers of the protocols that policy knows more of than the number.
pub mod protocol {
    /// ICMP of IPv4.
    pub const ICMP: u8 = 1;
    /// IP in IP.
    pub const IPIP: u8 = 4;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// ICMP of IPv6.
    pub const ICMPV6: u8 = 58;
}

/// What connection tracking says of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tracking {
    /// It begins a flow.
    New,
    /// It belongs to a flow that was answered.
    Established,
    /// It belongs to a flow that is known, as an error about it.
    Related,
    /// It belongs to no flow and can not begin one.
    Invalid,
    /// It is not looked at.
    Untracked,
}

/// The message of an ICMP or ICMPv6 packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Icmp {
    /// The type.
    pub kind: u8,
    /// The code.
    pub code: u8,
}

/// A packet; both addresses are of one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Packet {
    /// Where it comes from.
    pub source: IpAddr,
    /// Where it goes to.
    pub destination: IpAddr,
    /// The number of its protocol.
    pub protocol: u8,
    /// Source and destination port; none where the protocol has no ports, and in fragments.
    pub ports: Option<(u16, u16)>,
    /// The message of an ICMP packet.
    pub icmp: Option<Icmp>,
    /// What connection tracking says, unless policy keeps the packet from it.
    pub tracking: Tracking,
    /// Where somebody else's translation on the host sends it: a node port.
    pub translated: Option<(IpAddr, Option<u16>)>,
}

/// The way of a packet through the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path {
    /// To the host itself.
    ToHost {
        /// The interface that it comes in by.
        from: IfName,
    },
    /// From one interface to another, or back out of the same.
    Through {
        /// The interface that it comes in by.
        from: IfName,
        /// The interface that it goes out by.
        to: IfName,
    },
    /// From the host itself.
    FromHost {
        /// The interface that it goes out by.
        to: IfName,
    },
}

// === impl Packet ===

impl Packet {
    /// The first packet of a TCP flow, from any high port.
    #[must_use]
    pub fn tcp(source: IpAddr, destination: IpAddr, port: u16) -> Self {
        Self::new(source, destination, protocol::TCP).with_ports(40_000, port)
    }

    /// The first packet of a UDP flow, from any high port.
    #[must_use]
    pub fn udp(source: IpAddr, destination: IpAddr, port: u16) -> Self {
        Self::new(source, destination, protocol::UDP).with_ports(40_000, port)
    }

    /// The question of a ping, in the ICMP of the family.
    #[must_use]
    pub fn ping(source: IpAddr, destination: IpAddr) -> Self {
        let (protocol, kind) = if source.is_ipv4() { (protocol::ICMP, 8) } else { (protocol::ICMPV6, 128) };
        Self { icmp: Some(Icmp { kind, code: 0 }), ..Self::new(source, destination, protocol) }
    }

    /// A packet of that protocol that says nothing else, and begins a flow.
    #[must_use]
    pub fn new(source: IpAddr, destination: IpAddr, protocol: u8) -> Self {
        Self {
            source,
            destination,
            protocol,
            ports: None,
            icmp: None,
            tracking: Tracking::New,
            translated: None,
        }
    }

    /// The same packet with these ports.
    #[must_use]
    pub fn with_ports(self, source: u16, destination: u16) -> Self {
        Self { ports: Some((source, destination)), ..self }
    }

    /// The family of its addresses.
    #[must_use]
    pub fn version(&self) -> IpVersion {
        if self.destination.is_ipv4() { IpVersion::V4 } else { IpVersion::V6 }
    }

    /// True when connection tracking knows the flow.
    pub(super) fn is_of_a_flow(&self) -> bool {
        matches!(self.tracking, Tracking::Established | Tracking::Related)
    }

    /// The message, when the packet is of the ICMP of its family.
    pub(super) fn family_icmp(&self) -> Option<Icmp> {
        let protocol = match self.version() {
            IpVersion::V4 => protocol::ICMP,
            IpVersion::V6 => protocol::ICMPV6,
        };
        self.icmp.filter(|_| self.protocol == protocol)
    }

    /// True for ICMPv6 of one of these types.
    pub(super) fn is_icmpv6(&self, kinds: &[u8]) -> bool {
        self.version() == IpVersion::V6 && self.family_icmp().is_some_and(|icmp| kinds.contains(&icmp.kind))
    }

    /// True for UDP from that port, where one is given, to that port.
    pub(super) fn is_udp(&self, source: Option<u16>, destination: u16) -> bool {
        self.protocol == protocol::UDP
            && self
                .ports
                .is_some_and(|(from, to)| to == destination && source.is_none_or(|source| source == from))
    }

    /// The same packet to another address, and another port if there is one.
    pub(super) fn sent_to(self, address: IpAddr, port: Option<u16>) -> Self {
        let ports = self.ports.map(|(source, destination)| (source, port.unwrap_or(destination)));
        Self { destination: address, ports, translated: None, ..self }
    }
}
