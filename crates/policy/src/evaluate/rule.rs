//! When a rule matches a packet: every criterion that it has (`spec/policy.md` 5).

use std::net::IpAddr;

use margay_intent::PortRange;
use margay_net::{Cidr, IpVersion};

use super::packet::{Packet, protocol};
use super::records::Records;
use super::trace::{Criterion, Side};
use crate::record::{Peer, Rule};

/// Holds a rule against a packet.
///
/// # Errors
/// The first criterion that does not hold.
pub(super) fn matches(records: &Records, rule: &Rule, packet: &Packet) -> Result<(), Criterion> {
    let family = packet.version();
    match rule.version {
        Some(version) => require(version == family, Criterion::Family)?,
        None => {
            let named = rule.protocol.filter(|protocol| protocol.named).map(|protocol| protocol.number);
            let other = match family {
                IpVersion::V4 => protocol::ICMPV6,
                IpVersion::V6 => protocol::ICMP,
            };
            require(named != Some(other), Criterion::Family)?;
        }
    }
    for peer in [&rule.source, &rule.destination] {
        for nets in [&peer.nets, &peer.not_nets] {
            // COMPAT(negated-nets): a negated list of the other family takes the rule away as well.
            let exists = nets.is_empty() || nets.iter().any(|net| net.version() == family);
            require(exists, Criterion::NetsOfOtherFamily)?;
        }
    }
    if let Some(protocol) = rule.protocol {
        require(packet.protocol == protocol.number, Criterion::Protocol)?;
    }
    if let Some(protocol) = rule.not_protocol {
        require(packet.protocol != protocol.number, Criterion::NotProtocol)?;
    }
    let (source_port, destination_port) = packet.ports.unzip();
    peer(records, &rule.source, Side::Source, packet.source, source_port)?;
    peer(records, &rule.destination, Side::Destination, packet.destination, destination_port)?;
    icmp(rule, packet)
}

/// The criteria on one side.
fn peer(
    records: &Records,
    peer: &Peer,
    side: Side,
    address: IpAddr,
    port: Option<u16>,
) -> Result<(), Criterion> {
    let in_nets = |nets: &[Cidr]| nets.iter().any(|net| net.contains_ip(address));
    require(peer.nets.is_empty() || in_nets(&peer.nets), Criterion::Nets(side))?;
    require(!in_nets(&peer.not_nets), Criterion::NotNets(side))?;
    if let Some(tag) = &peer.tag {
        require(records.has_tag(tag, address), Criterion::Tag(side))?;
    }
    if let Some(selector) = &peer.selector {
        require(records.is_member(selector, address), Criterion::Selector(side))?;
    }
    if let Some(tag) = &peer.not_tag {
        require(!records.has_tag(tag, address), Criterion::NotTag(side))?;
    }
    if let Some(selector) = &peer.not_selector {
        require(!records.is_member(selector, address), Criterion::NotSelector(side))?;
    }
    let in_ports =
        |ports: &[PortRange]| port.is_some_and(|port| ports.iter().any(|range| range.contains(port)));
    require(peer.ports.is_empty() || in_ports(&peer.ports), Criterion::Ports(side))?;
    let outside = port.is_some() && !in_ports(&peer.not_ports);
    require(peer.not_ports.is_empty() || outside, Criterion::NotPorts(side))
}

fn icmp(rule: &Rule, packet: &Packet) -> Result<(), Criterion> {
    let message = packet.family_icmp();
    if let Some(wanted) = rule.icmp {
        let holds = message
            .is_some_and(|icmp| icmp.kind == wanted.kind && wanted.code.is_none_or(|code| code == icmp.code));
        require(holds, Criterion::Icmp)?;
    }
    if let Some(other) = rule.not_icmp {
        let holds = message
            .is_some_and(|icmp| icmp.kind != other.kind || other.code.is_some_and(|code| code != icmp.code));
        require(holds, Criterion::NotIcmp)?;
    }
    Ok(())
}

fn require(holds: bool, criterion: Criterion) -> Result<(), Criterion> {
    if holds { Ok(()) } else { Err(criterion) }
}
