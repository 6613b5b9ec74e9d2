//! What to ask of the kernel for an interface: pure, no kernel in sight.

use std::net::IpAddr;

use margay_kernel::{
    Address, LinkChange, LinkKey, Namespace, Request, Route, RouteProtocol, Sysctl, Veth, VethEnd,
};
use margay_net::{Cidr, IfIndex, Ip, IpVersion, Mac};

use crate::interface::{GATEWAY_V4, GATEWAY_V6, HOST_MAC, Interface};
use crate::settings::{HOST_SETTINGS, HostSetting};

/// The longest alias of a link (`IFALIASZ` of `linux/if.h`, without the closing NUL).
const LONGEST_ALIAS: usize = 255;

/// The alias that names an owner: as much of it as fits.
pub(crate) fn alias(owner: &str) -> String {
    let mut end = owner.len().min(LONGEST_ALIAS);
    while !owner.is_char_boundary(end) {
        end -= 1;
    }
    owner[..end].to_owned()
}

/// The settings of the workload's namespace, before the pair is made there.
pub(crate) fn workload_settings(interface: &Interface) -> Vec<(Sysctl, String)> {
    let mut settings = Vec::new();
    if interface.has(IpVersion::V6) {
        // Runtimes turn IPv6 off; whoever gives an IPv6 address wants it on.
        for name in ["all", "default", "lo"] {
            let sysctl = Sysctl::new(["net", "ipv6", "conf", name, "disable_ipv6"]);
            settings.push((sysctl, "0".to_owned()));
        }
    }
    if let Some(forwarding) = interface.forwarding {
        let value = if forwarding { "1" } else { "0" };
        if interface.has(IpVersion::V4) {
            settings.push((Sysctl::new(["net", "ipv4", "ip_forward"]), value.to_owned()));
        }
        if interface.has(IpVersion::V6) {
            let sysctl = Sysctl::new(["net", "ipv6", "conf", "all", "forwarding"]);
            settings.push((sysctl, value.to_owned()));
        }
    }
    settings
}

/// The pair, asked for in the workload's namespace: that end up, the host's end down until its settings are made.
pub(crate) fn create(interface: &Interface, host: &Namespace) -> [Request; 2] {
    let veth = Veth {
        near: VethEnd { name: interface.workload_name, mac: interface.mac },
        near_up: true,
        far: VethEnd { name: interface.host_name, mac: Some(Mac::from(HOST_MAC)) },
        far_namespace: Some(host.clone()),
        mtu: interface.mtu,
        queues: interface.queues,
    };
    [Request::AddVeth(veth), Request::ShowLink(LinkKey::Name(interface.workload_name))]
}

/// Addresses and routes of the workload's end.
pub(crate) fn workload(interface: &Interface, link: IfIndex) -> Vec<Request> {
    let mut requests: Vec<_> = addresses(interface)
        .map(|address| Request::AddAddress(Address::new(link, Cidr::host(address))))
        .collect();
    requests.extend(workload_routes(interface, link).into_iter().map(Request::AddRoute));
    requests
}

/// The routes of the workload: to the gateway, and through it to the rest.
pub(crate) fn workload_routes(interface: &Interface, link: IfIndex) -> Vec<Route> {
    let boot = RouteProtocol::BOOT;
    let mut routes = Vec::new();
    if interface.has(IpVersion::V4) {
        routes.push(Route::on_link(Cidr::host(GATEWAY_V4), link, boot));
    }
    for (version, gateway) in [(IpVersion::V4, IpAddr::from(GATEWAY_V4)), (IpVersion::V6, GATEWAY_V6.into())]
    {
        if !interface.has(version) {
            continue;
        }
        let everything = [everything(gateway)];
        let destinations = interface.routes.as_deref().unwrap_or(&everything);
        let mut of_version: Vec<_> =
            destinations.iter().filter(|net| net.version() == version).map(|net| net.masked()).collect();
        of_version.sort_unstable();
        of_version.dedup();
        routes.extend(of_version.into_iter().map(|net| Route::via(net, gateway, link, boot)));
    }
    routes
}

/// The network of everything in the family of an address.
fn everything(of: IpAddr) -> Cidr {
    Cidr::new(of, 0).expect("0 bits are never too many").masked()
}

/// The settings of the host's end that count for this interface.
pub(crate) fn host_settings(interface: &Interface) -> impl Iterator<Item = &'static HostSetting> {
    let (v4, v6) = (interface.has(IpVersion::V4), interface.has(IpVersion::V6));
    HOST_SETTINGS.iter().filter(move |setting| setting.applies(v4, v6))
}

/// What makes the host's end visible: up, its owner, the gateway's address; and a look at it.
pub(crate) fn publish(interface: &Interface, link: IfIndex) -> Vec<Request> {
    let change = LinkChange { up: Some(true), alias: Some(alias(&interface.owner)), ..LinkChange::default() };
    let mut requests = vec![Request::ChangeLink(link, change)];
    if interface.has(IpVersion::V6) {
        // The kernel makes it by itself, but later, and not at all where addresses are made another way.
        let gateway = Cidr::new(GATEWAY_V6, 64).expect("64 bits fit");
        requests.push(Request::ReplaceAddress(Address::new(link, gateway)));
    }
    requests.push(Request::ShowLink(LinkKey::Index(link)));
    requests
}

/// The host's routes to the addresses.
pub(crate) fn host_routes(interface: &Interface, link: IfIndex) -> Vec<Route> {
    if !interface.host_routes {
        return Vec::new();
    }
    addresses(interface).map(|a| Route::on_link(Cidr::host(a), link, interface.protocol)).collect()
}

/// The addresses in their order, each once.
fn addresses(interface: &Interface) -> impl Iterator<Item = Ip> {
    let all: Vec<Ip> = interface.addresses.iter().map(|address| Ip::from(*address)).collect();
    let mut seen = std::collections::BTreeSet::new();
    all.into_iter().filter(move |address| seen.insert(*address))
}

#[cfg(test)]
mod tests;
