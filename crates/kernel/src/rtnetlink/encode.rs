//! Requests as the bytes of `linux/rtnetlink.h`, `if_link.h`, `if_addr.h` and `neighbour.h`.

use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd};

use margay_net::{IfIndex, Ip, IpVersion, Mac};

use super::Request;
use crate::address::Address;
use crate::link::{LinkChange, LinkKey, Veth, VethEnd};
use crate::namespace::Namespace;
use crate::neighbour::{Neighbour, NeighbourKind};
use crate::netlink::{Buffer, CREATE, DUMP, EXCL, REQUEST};
use crate::route::{Route, RouteKind};

/// `NLM_F_REPLACE`.
const REPLACE: u16 = 0x100;
/// `RTEXT_FILTER_SKIP_STATS`: counters are most of what a link would be shown with.
const SKIP_STATS: u32 = 1 << 3;
/// `IFLA_EXT_MASK`.
const IFLA_EXT_MASK: u16 = 29;
/// `VETH_INFO_PEER`.
const VETH_INFO_PEER: u16 = 1;
/// `RTNH_F_ONLINK`.
pub(super) const RTNH_F_ONLINK: u32 = 4;
/// `RTN_UNICAST`.
pub(super) const RTN_UNICAST: u8 = 1;
/// `RTN_BLACKHOLE`.
pub(super) const RTN_BLACKHOLE: u8 = 6;
/// `IFA_F_NODAD`.
pub(super) const IFA_F_NODAD: u32 = 2;
/// `NTF_PROXY`.
pub(super) const NTF_PROXY: u8 = 8;
/// `NUD_PERMANENT`.
pub(super) const NUD_PERMANENT: u16 = 0x80;
/// `IFF_UP`.
pub(super) const IFF_UP: u32 = 1;

/// What can be listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Listing {
    Links,
    Addresses,
    Routes,
    Neighbours,
    Proxies,
}

/// Appends a request; `flags` besides those that it needs.
pub(super) fn request(buffer: &mut Buffer, request: &Request, flags: u16, sequence: u32) {
    let (kind, own) = kind_and_flags(request);
    let message = buffer.message(kind, REQUEST | own | flags, sequence);
    match request {
        Request::ShowLink(key) => {
            link_header(buffer, *key, 0, 0);
            name_key(buffer, *key);
            number(buffer, IFLA_EXT_MASK, SKIP_STATS);
        }
        Request::AddVeth(veth) => add_veth(buffer, veth),
        Request::AddIpip(name) => {
            link_header(buffer, LinkKey::Name(*name), 0, 0);
            buffer.text(libc::IFLA_IFNAME, name.as_str());
            let outer = buffer.nest(libc::IFLA_LINKINFO);
            buffer.text(libc::IFLA_INFO_KIND, "ipip");
            buffer.end(outer);
        }
        Request::ChangeLink(index, change) => change_link(buffer, *index, change),
        Request::DeleteLink(key) => {
            link_header(buffer, *key, 0, 0);
            name_key(buffer, *key);
        }
        Request::AddAddress(address) | Request::ReplaceAddress(address) | Request::DeleteAddress(address) => {
            put_address(buffer, address);
        }
        Request::AddRoute(route) | Request::ReplaceRoute(route) | Request::DeleteRoute(route) => {
            put_route(buffer, route);
        }
        Request::ReplaceNeighbour(neighbour) | Request::DeleteNeighbour(neighbour) => {
            put_neighbour(buffer, neighbour);
        }
    }
    buffer.end_message(message);
}

/// Appends the request for a listing.
pub(super) fn listing(buffer: &mut Buffer, listing: Listing, sequence: u32) {
    let kind = match listing {
        Listing::Links => libc::RTM_GETLINK,
        Listing::Addresses => libc::RTM_GETADDR,
        Listing::Routes => libc::RTM_GETROUTE,
        Listing::Neighbours | Listing::Proxies => libc::RTM_GETNEIGH,
    };
    let message = buffer.message(kind, REQUEST | DUMP, sequence);
    match listing {
        Listing::Links => {
            buffer.raw(&[0; 16]);
            number(buffer, IFLA_EXT_MASK, SKIP_STATS);
        }
        Listing::Addresses => buffer.raw(&[0; 8]),
        Listing::Routes => buffer.raw(&[0; 12]),
        Listing::Neighbours => buffer.raw(&[0; 12]),
        Listing::Proxies => buffer.raw(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, NTF_PROXY, 0]),
    }
    buffer.end_message(message);
}

/// What the header of a request says.
fn kind_and_flags(request: &Request) -> (u16, u16) {
    match request {
        Request::ShowLink(_) => (libc::RTM_GETLINK, 0),
        Request::AddVeth(_) | Request::AddIpip(_) => (libc::RTM_NEWLINK, CREATE | EXCL),
        Request::ChangeLink(..) => (libc::RTM_SETLINK, 0),
        Request::DeleteLink(_) => (libc::RTM_DELLINK, 0),
        Request::AddAddress(_) => (libc::RTM_NEWADDR, CREATE | EXCL),
        Request::ReplaceAddress(_) => (libc::RTM_NEWADDR, CREATE | REPLACE),
        Request::DeleteAddress(_) => (libc::RTM_DELADDR, 0),
        Request::AddRoute(_) => (libc::RTM_NEWROUTE, CREATE | EXCL),
        Request::ReplaceRoute(_) => (libc::RTM_NEWROUTE, CREATE | REPLACE),
        Request::DeleteRoute(_) => (libc::RTM_DELROUTE, 0),
        Request::ReplaceNeighbour(_) => (libc::RTM_NEWNEIGH, CREATE | REPLACE),
        Request::DeleteNeighbour(_) => (libc::RTM_DELNEIGH, 0),
    }
}

// === links ===

/// `struct ifinfomsg`.
fn link_header(buffer: &mut Buffer, key: LinkKey, flags: u32, change: u32) {
    let index = match key {
        LinkKey::Index(index) => index.0,
        LinkKey::Name(_) => 0,
    };
    let mut header = [0; 16];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header[8..12].copy_from_slice(&flags.to_ne_bytes());
    header[12..].copy_from_slice(&change.to_ne_bytes());
    buffer.raw(&header);
}

/// The name, where it is what the link is found by.
fn name_key(buffer: &mut Buffer, key: LinkKey) {
    if let LinkKey::Name(name) = key {
        buffer.text(libc::IFLA_IFNAME, name.as_str());
    }
}

fn add_veth(buffer: &mut Buffer, veth: &Veth) {
    veth_end(buffer, &veth.near, veth.near_up, veth);
    let outer = buffer.nest(libc::IFLA_LINKINFO);
    buffer.text(libc::IFLA_INFO_KIND, "veth");
    let inner = buffer.nest(libc::IFLA_INFO_DATA);
    let peer = buffer.open(VETH_INFO_PEER);
    veth_end(buffer, &veth.far, false, veth);
    if let Some(namespace) = &veth.far_namespace {
        number(buffer, libc::IFLA_NET_NS_FD, descriptor(namespace));
    }
    buffer.end(peer);
    buffer.end(inner);
    buffer.end(outer);
}

/// One end: its header, name, address, and what both share.
fn veth_end(buffer: &mut Buffer, end: &VethEnd, up: bool, veth: &Veth) {
    let flags = if up { IFF_UP } else { 0 };
    link_header(buffer, LinkKey::Name(end.name), flags, flags);
    buffer.text(libc::IFLA_IFNAME, end.name.as_str());
    mac(buffer, end.mac.as_ref());
    if let Some(mtu) = veth.mtu {
        number(buffer, libc::IFLA_MTU, mtu);
    }
    if let Some(queues) = veth.queues {
        number(buffer, libc::IFLA_NUM_TX_QUEUES, queues);
        number(buffer, libc::IFLA_NUM_RX_QUEUES, queues);
    }
}

fn change_link(buffer: &mut Buffer, index: IfIndex, change: &LinkChange) {
    let flags = if change.up == Some(true) { IFF_UP } else { 0 };
    let mask = if change.up.is_some() { IFF_UP } else { 0 };
    link_header(buffer, LinkKey::Index(index), flags, mask);
    if let Some(name) = change.name {
        buffer.text(libc::IFLA_IFNAME, name.as_str());
    }
    mac(buffer, change.mac.as_ref());
    if let Some(mtu) = change.mtu {
        number(buffer, libc::IFLA_MTU, mtu);
    }
    if let Some(alias) = &change.alias {
        buffer.attribute(libc::IFLA_IFALIAS, alias.as_bytes());
    }
}

/// A hardware address, if there is one.
fn mac(buffer: &mut Buffer, mac: Option<&Mac>) {
    if let Some(mac) = mac {
        buffer.attribute(libc::IFLA_ADDRESS, mac.octets());
    }
}

/// The number of an open file, as the kernel takes it in the calling process.
fn descriptor(namespace: &Namespace) -> u32 {
    u32::try_from(namespace.as_fd().as_raw_fd()).expect("open descriptors are not negative")
}

// === addresses, routes, neighbours ===

/// `struct ifaddrmsg` and its attributes.
fn put_address(buffer: &mut Buffer, address: &Address) {
    let flags = if address.no_dad { IFA_F_NODAD } else { 0 };
    let mut header = [0; 8];
    header[0] = family(address.net.version());
    header[1] = address.net.prefix();
    header[4..].copy_from_slice(&address.link.0.to_ne_bytes());
    buffer.raw(&header);
    ip(buffer, libc::IFA_LOCAL, address.net.address().get());
    ip(buffer, libc::IFA_ADDRESS, address.net.address().get());
    number(buffer, libc::IFA_FLAGS, flags);
}

/// `struct rtmsg` and its attributes.
fn put_route(buffer: &mut Buffer, route: &Route) {
    let kind = match route.kind {
        RouteKind::Unicast => RTN_UNICAST,
        RouteKind::Blackhole => RTN_BLACKHOLE,
        RouteKind::Other(kind) => kind,
    };
    let flags = if route.onlink { RTNH_F_ONLINK } else { 0 };
    let mut header = [0; 12];
    header[0] = family(route.destination.version());
    header[1] = route.destination.prefix();
    header[5] = route.protocol.0;
    header[6] = route.scope.0;
    header[7] = kind;
    header[8..].copy_from_slice(&flags.to_ne_bytes());
    buffer.raw(&header);
    // A table above 255 has no room in the header; the attribute counts before it.
    number(buffer, libc::RTA_TABLE, route.table.0);
    if route.destination.prefix() > 0 {
        ip(buffer, libc::RTA_DST, route.destination.address().get());
    }
    if route.metric != 0 {
        number(buffer, libc::RTA_PRIORITY, route.metric);
    }
    if let Some(link) = route.link {
        number(buffer, libc::RTA_OIF, link.0);
    }
    match route.gateway {
        Some(IpAddr::V6(gateway)) if route.destination.version() == IpVersion::V4 => {
            let mut via = [0; 18];
            via[..2].copy_from_slice(&u16::from(family(IpVersion::V6)).to_ne_bytes());
            via[2..].copy_from_slice(&gateway.octets());
            buffer.attribute(libc::RTA_VIA, &via);
        }
        Some(gateway) => ip(buffer, libc::RTA_GATEWAY, gateway),
        None => {}
    }
}

/// `struct ndmsg` and its attributes.
fn put_neighbour(buffer: &mut Buffer, neighbour: &Neighbour) {
    let (state, flags, mac) = match neighbour.kind {
        NeighbourKind::Permanent(mac) => (NUD_PERMANENT, 0, Some(mac)),
        NeighbourKind::Proxy => (NUD_PERMANENT, NTF_PROXY, None),
        NeighbourKind::Learned(mac) => (0, 0, mac),
    };
    let mut header = [0; 12];
    header[0] = family(Ip::from(neighbour.address).version());
    header[4..8].copy_from_slice(&neighbour.link.0.to_ne_bytes());
    header[8..10].copy_from_slice(&state.to_ne_bytes());
    header[10] = flags;
    buffer.raw(&header);
    ip(buffer, libc::NDA_DST, neighbour.address);
    if let Some(mac) = mac {
        buffer.attribute(libc::NDA_LLADDR, mac.octets());
    }
}

/// `AF_INET` or `AF_INET6`.
pub(super) fn family(version: IpVersion) -> u8 {
    match version {
        IpVersion::V4 => 2,
        IpVersion::V6 => 10,
    }
}

/// An address.
fn ip(buffer: &mut Buffer, kind: u16, address: IpAddr) {
    match address {
        IpAddr::V4(address) => buffer.attribute(kind, &address.octets()),
        IpAddr::V6(address) => buffer.attribute(kind, &address.octets()),
    }
}

/// A number in the host's order, as rtnetlink has them.
fn number(buffer: &mut Buffer, kind: u16, value: u32) {
    buffer.attribute(kind, &value.to_ne_bytes());
}
