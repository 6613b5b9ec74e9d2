//! What the kernel shows, from bytes to values. Foreign bytes never panic here: what makes no sense is left out.

use std::net::IpAddr;

use margay_net::{Cidr, IfIndex, IfName, Mac};

use super::encode::{
    IFA_F_NODAD, IFF_UP, NTF_PROXY, NUD_PERMANENT, RTN_BLACKHOLE, RTN_UNICAST, RTNH_F_ONLINK,
};
use crate::address::Address;
use crate::link::{Link, LinkKind};
use crate::monitor::Notice;
use crate::neighbour::{Neighbour, NeighbourKind};
use crate::netlink::{Attributes, Message, ne16, ne32, text};
use crate::route::{Route, RouteKind, RouteProtocol, RouteScope, RouteTable};

/// `AF_INET`.
const INET: u8 = 2;
/// `AF_INET6`.
const INET6: u8 = 10;
/// `IFF_RUNNING`.
const IFF_RUNNING: u32 = 0x40;
/// `IFLA_LINK_NETNSID`.
const IFLA_LINK_NETNSID: u16 = 37;
/// `RTM_F_CLONED`: an entry of a cache, not a route.
const RTM_F_CLONED: u32 = 0x200;

/// A link. Messages of bridges about their ports (`AF_BRIDGE`) look alike and are none.
pub(super) fn link(message: &Message<'_>) -> Option<Link> {
    if *message.body.first()? != 0 {
        return None;
    }
    let flags = ne32(message.body, 8)?;
    let (mut name, mut mac, mut mtu, mut peer, mut alias) = (None, None, 0, None, None);
    let (mut kind, mut peer_elsewhere) = (LinkKind::Other, false);
    for (attribute, value) in message.attributes(16) {
        match attribute {
            libc::IFLA_IFNAME => name = text(value),
            libc::IFLA_ADDRESS => mac = Mac::new(value),
            libc::IFLA_MTU => mtu = ne32(value, 0)?,
            libc::IFLA_LINK => peer = ne32(value, 0).filter(|index| *index != 0).map(IfIndex),
            libc::IFLA_IFALIAS => alias = text(value).filter(|text| !text.is_empty()).map(str::to_owned),
            libc::IFLA_LINKINFO => kind = link_kind(value),
            IFLA_LINK_NETNSID => peer_elsewhere = true,
            _ => {}
        }
    }
    Some(Link {
        index: index(message.body, 4)?,
        name: name?.parse::<IfName>().ok()?,
        kind,
        mac,
        mtu,
        up: flags & IFF_UP != 0,
        running: flags & IFF_RUNNING != 0,
        peer,
        peer_elsewhere,
        alias,
    })
}

/// What made a link.
fn link_kind(value: &[u8]) -> LinkKind {
    let kind = Attributes(value).find(|(attribute, _)| *attribute == libc::IFLA_INFO_KIND);
    match kind.and_then(|(_, value)| text(value)) {
        Some("veth") => LinkKind::Veth,
        Some("ipip") => LinkKind::Ipip,
        _ => LinkKind::Other,
    }
}

/// An address.
pub(super) fn address(message: &Message<'_>) -> Option<Address> {
    let [family, prefix, flags, ..] = *message.body else { return None };
    let (mut local, mut other, mut flags) = (None, None, u32::from(flags));
    for (attribute, value) in message.attributes(8) {
        match attribute {
            libc::IFA_LOCAL => local = ip(family, value),
            // On a link between two this is the other one; an IPv6 address may stand here alone.
            libc::IFA_ADDRESS => other = ip(family, value),
            libc::IFA_FLAGS => flags = ne32(value, 0)?,
            _ => {}
        }
    }
    let net = Cidr::new(local.or(other)?, prefix)?;
    Some(Address { link: index(message.body, 4)?, net, no_dad: flags & IFA_F_NODAD != 0 })
}

/// A route; entries of caches are none.
pub(super) fn route(message: &Message<'_>) -> Option<Route> {
    let [family, prefix, _, _, table, protocol, scope, kind, ..] = *message.body else { return None };
    let flags = ne32(message.body, 8)?;
    if flags & RTM_F_CLONED != 0 {
        return None;
    }
    let (mut destination, mut gateway, mut link, mut metric) = (unspecified(family)?, None, None, 0);
    let mut table = u32::from(table);
    for (attribute, value) in message.attributes(12) {
        match attribute {
            libc::RTA_DST => destination = ip(family, value)?,
            libc::RTA_OIF => link = Some(index(value, 0)?),
            libc::RTA_GATEWAY => gateway = ip(family, value),
            libc::RTA_VIA => gateway = via(value),
            libc::RTA_PRIORITY => metric = ne32(value, 0)?,
            libc::RTA_TABLE => table = ne32(value, 0)?,
            _ => {}
        }
    }
    Some(Route {
        table: RouteTable(table),
        destination: Cidr::new(destination, prefix)?,
        metric,
        // IPv6 names the loopback link where a packet goes nowhere.
        link: link.filter(|_| kind != RTN_BLACKHOLE),
        gateway,
        onlink: flags & RTNH_F_ONLINK != 0,
        protocol: RouteProtocol(protocol),
        scope: RouteScope(scope),
        kind: match kind {
            RTN_UNICAST => RouteKind::Unicast,
            RTN_BLACKHOLE => RouteKind::Blackhole,
            other => RouteKind::Other(other),
        },
    })
}

/// A gateway of another family than the destination.
fn via(value: &[u8]) -> Option<IpAddr> {
    let family = u8::try_from(ne16(value, 0)?).ok()?;
    ip(family, value.get(2..)?)
}

/// A neighbour entry of IPv4 or IPv6.
pub(super) fn neighbour(message: &Message<'_>) -> Option<Neighbour> {
    let family = *message.body.first()?;
    let (state, flags) = (ne16(message.body, 8)?, *message.body.get(10)?);
    let (mut address, mut mac) = (None, None);
    for (attribute, value) in message.attributes(12) {
        match attribute {
            libc::NDA_DST => address = ip(family, value),
            libc::NDA_LLADDR => mac = Mac::new(value),
            _ => {}
        }
    }
    let kind = match mac {
        _ if flags & NTF_PROXY != 0 => NeighbourKind::Proxy,
        Some(mac) if state & NUD_PERMANENT != 0 => NeighbourKind::Permanent(mac),
        mac => NeighbourKind::Learned(mac),
    };
    Some(Neighbour { link: index(message.body, 4)?, address: address?, kind })
}

/// What a message of a subscription says; none = nothing that we follow.
pub(super) fn notice(message: &Message<'_>) -> Option<Notice> {
    match message.kind {
        libc::RTM_NEWLINK => link(message).map(Notice::Link),
        libc::RTM_DELLINK if message.body.first() == Some(&0) => index(message.body, 4).map(Notice::LinkGone),
        libc::RTM_NEWADDR => address(message).map(Notice::Address),
        libc::RTM_DELADDR => address(message).map(Notice::AddressGone),
        libc::RTM_NEWROUTE => route(message).map(Notice::Route),
        libc::RTM_DELROUTE => route(message).map(Notice::RouteGone),
        _ => None,
    }
}

/// The number of a link.
fn index(bytes: &[u8], at: usize) -> Option<IfIndex> {
    ne32(bytes, at).filter(|index| *index != 0).map(IfIndex)
}

/// An address of a family.
fn ip(family: u8, value: &[u8]) -> Option<IpAddr> {
    match family {
        INET => value.first_chunk::<4>().map(|octets| IpAddr::from(*octets)),
        INET6 => value.first_chunk::<16>().map(|octets| IpAddr::from(*octets)),
        _ => None,
    }
}

/// The address of the default destination; none = a family that we do not follow.
fn unspecified(family: u8) -> Option<IpAddr> {
    ip(family, &[0; 16])
}

#[cfg(test)]
mod tests;
