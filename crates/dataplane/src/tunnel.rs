//! The IPIP device between hosts: there, up, with its MTU and exactly one address (`spec/agent.md` 8).

use margay_kernel::{Address, LinkChange, LinkKey, Refusal, RefusalKind, Reply, Request, RtError, Rtnetlink};
use margay_net::{Cidr, IfName};

use crate::config::IpInIp;
use crate::render::fixed::TUNNEL;

/// What was done about the tunnel.
#[derive(Debug, Default)]
pub(crate) struct Tunnel {
    /// The number of requests that change something.
    pub(crate) sent: usize,
    /// What the kernel refused.
    pub(crate) refused: Vec<Refusal>,
}

/// The device's name.
pub(crate) fn name() -> IfName {
    TUNNEL.parse().expect("five characters")
}

/// Makes the device as it should be; what is right is not touched.
pub(crate) fn keep(network: &mut impl Rtnetlink, ipip: &IpInIp) -> Result<Tunnel, RtError> {
    let mut tunnel = Tunnel::default();
    let key = LinkKey::Name(name());
    let link = match network.link(key)? {
        Some(link) => link,
        None => {
            tunnel.sent += 1;
            let outcome = network.submit(&[Request::AddIpip(name()), Request::ShowLink(key)])?;
            match outcome.last() {
                Some(Ok(Reply::Link(link))) => (**link).clone(),
                // Loading the module makes the device by itself, so "exists" is not what went wrong.
                _ => {
                    let missing = |refusal: &Refusal| refusal.kind() != RefusalKind::Exists;
                    tunnel
                        .refused
                        .extend(outcome.into_iter().filter_map(Result::err).filter(missing).take(1));
                    return Ok(tunnel);
                }
            }
        }
    };
    let mut requests = Vec::new();
    if link.mtu != ipip.mtu || !link.up {
        let change = LinkChange { up: Some(true), mtu: Some(ipip.mtu), ..LinkChange::default() };
        requests.push(Request::ChangeLink(link.index, change));
    }
    let wanted = ipip.address.map(|address| Address::new(link.index, Cidr::host(address)));
    let there: Vec<Address> = network
        .addresses()?
        .into_iter()
        .filter(|address| address.link == link.index && is_v4(address))
        .collect();
    if let Some(wanted) = wanted.filter(|wanted| !there.iter().any(|address| address.net == wanted.net)) {
        requests.push(Request::ReplaceAddress(wanted));
    }
    let others = there.into_iter().filter(|address| wanted.is_none_or(|wanted| wanted.net != address.net));
    requests.extend(others.map(Request::DeleteAddress));
    if requests.is_empty() {
        return Ok(tunnel);
    }
    tunnel.sent += requests.len();
    tunnel.refused.extend(network.submit(&requests)?.into_iter().filter_map(Result::err));
    Ok(tunnel)
}

/// An IPv6 address of the device is the kernel's own affair.
fn is_v4(address: &Address) -> bool {
    address.net.version() == margay_net::IpVersion::V4
}
