//! The criteria of a rule as statements (`spec/policy.md` 5).

use std::sync::Arc;

use margay_intent::{IcmpMatch, Peer, PortRange, ProtocolMatch, Rule, SetId};
use margay_kernel::nft::{AnonymousSet, Direction, Field, Fields, Load, Op, SetRef, Statement, Value};
use margay_net::{Cidr, IpVersion};

use crate::names;

/// The protocols that have ports: TCP, UDP, DCCP, SCTP, UDP-Lite.
const WITH_PORTS: [u8; 5] = [6, 17, 33, 132, 136];

/// The criteria of a rule, once for each family in which they are written differently.
///
/// Nothing in a family in which the rule does not exist or can not match.
pub(crate) fn criteria(rule: &Rule) -> Vec<Vec<Statement>> {
    if !needs_family(rule) {
        let Some(rest) = protocol_and_ports(rule, None) else { return Vec::new() };
        return match (rule.families.has(IpVersion::V4), rule.families.has(IpVersion::V6)) {
            (true, true) => vec![rest],
            (true, false) => vec![with_version(IpVersion::V4, rest)],
            (false, true) => vec![with_version(IpVersion::V6, rest)],
            (false, false) => Vec::new(),
        };
    }
    [IpVersion::V4, IpVersion::V6]
        .into_iter()
        .filter(|version| rule.families.has(*version))
        .filter_map(|version| in_family(rule, version))
        .collect()
}

/// The sets that the criteria look into.
pub(crate) fn sets(rule: &Rule) -> impl Iterator<Item = &SetId> {
    [&rule.source, &rule.destination].into_iter().flat_map(|peer| peer.sets.iter().chain(&peer.not_sets))
}

/// True when the criteria are written differently for the two families.
fn needs_family(rule: &Rule) -> bool {
    let addresses = |peer: &Peer| {
        let Peer { nets, not_nets, sets, not_sets, ports: _, not_ports: _ } = peer;
        !(nets.is_empty() && not_nets.is_empty() && sets.is_empty() && not_sets.is_empty())
    };
    addresses(&rule.source) || addresses(&rule.destination) || rule.icmp.is_some() || rule.not_icmp.is_some()
}

fn with_version(version: IpVersion, rest: Vec<Statement>) -> Vec<Statement> {
    let mut statements = Vec::with_capacity(rest.len() + 2);
    statements.push(Statement::version(version));
    statements.extend(rest);
    statements
}

fn in_family(rule: &Rule, version: IpVersion) -> Option<Vec<Statement>> {
    let mut statements = vec![Statement::version(version)];
    addresses(&mut statements, &rule.source, Direction::Source, version)?;
    addresses(&mut statements, &rule.destination, Direction::Destination, version)?;
    statements.extend(protocol_and_ports(rule, Some(version))?);
    Some(statements)
}

/// Networks and sets of one side; none when no address of that family can match.
fn addresses(
    statements: &mut Vec<Statement>,
    peer: &Peer,
    side: Direction,
    version: IpVersion,
) -> Option<()> {
    let load = Load::address(side, version);
    networks(statements, &peer.nets, load, Op::Eq, version)?;
    networks(statements, &peer.not_nets, load, Op::Ne, version)?;
    for (sets, op) in [(&peer.sets, Op::Eq), (&peer.not_sets, Op::Ne)] {
        for id in sets {
            statements.push(Statement::Lookup(vec![load], op, SetRef::Named(names::of_set(id, version))));
        }
    }
    Some(())
}

/// One list of networks. A list without a member of that family matches nothing in it, negated or not.
fn networks(
    statements: &mut Vec<Statement>,
    list: &[Cidr],
    load: Load,
    op: Op,
    version: IpVersion,
) -> Option<()> {
    if list.is_empty() {
        return Some(());
    }
    let nets: Vec<Cidr> = list.iter().copied().filter(|net| net.version() == version).collect();
    let everything = nets.iter().any(|net| net.prefix() == 0);
    match (nets.as_slice(), op) {
        ([], _) => return None,
        // Every address is in the whole family, and none outside.
        (_, Op::Eq) if everything => {}
        (_, Op::Ne) if everything => return None,
        ([net], _) => statements.push(Statement::Net(load, op, *net)),
        _ => statements.push(Statement::Lookup(vec![load], op, AnonymousSet::of_nets(version, nets).into())),
    }
    Some(())
}

/// Protocol, ports and ICMP; none when they exclude each other.
fn protocol_and_ports(rule: &Rule, version: Option<IpVersion>) -> Option<Vec<Statement>> {
    let ports =
        [&rule.source, &rule.destination].iter().any(|p| !(p.ports.is_empty() && p.not_ports.is_empty()));
    let icmp = rule.icmp.is_some() || rule.not_icmp.is_some();
    let mut statements = Vec::new();
    if icmp {
        let version = version?;
        if ports || !may_be(rule.protocol, icmp_number(version)) {
            return None;
        }
        statements.push(Statement::protocol(Op::Eq, icmp_number(version)));
        statements.extend(rule.icmp.map(|message| icmp_statement(version, Op::Eq, message)));
        statements.extend(rule.not_icmp.map(|message| icmp_statement(version, Op::Ne, message)));
        return Some(statements);
    }
    match rule.protocol {
        ProtocolMatch::Is(protocol) if ports && !WITH_PORTS.contains(&protocol) => return None,
        ProtocolMatch::Is(protocol) => statements.push(Statement::protocol(Op::Eq, protocol)),
        ProtocolMatch::Any | ProtocolMatch::IsNot(_) if ports => {
            statements.push(one_with_ports(rule.protocol))
        }
        ProtocolMatch::IsNot(protocol) => statements.push(Statement::protocol(Op::Ne, protocol)),
        ProtocolMatch::Any => {}
    }
    for (peer, side) in [(&rule.source, Direction::Source), (&rule.destination, Direction::Destination)] {
        statements.extend(port_list(Load::port(side), Op::Eq, &peer.ports));
        statements.extend(port_list(Load::port(side), Op::Ne, &peer.not_ports));
    }
    Some(statements)
}

fn icmp_number(version: IpVersion) -> u8 {
    match version {
        IpVersion::V4 => 1,
        IpVersion::V6 => 58,
    }
}

fn icmp_statement(version: IpVersion, op: Op, message: IcmpMatch) -> Statement {
    Statement::Icmp { version, op, kind: message.kind, code: message.code }
}

/// True when a packet of that protocol can fulfil the criterion.
fn may_be(criterion: ProtocolMatch, protocol: u8) -> bool {
    match criterion {
        ProtocolMatch::Any => true,
        ProtocolMatch::Is(wanted) => wanted == protocol,
        ProtocolMatch::IsNot(unwanted) => unwanted != protocol,
    }
}

/// The packet has ports, and fulfils the criterion.
fn one_with_ports(criterion: ProtocolMatch) -> Statement {
    let protocols = WITH_PORTS.into_iter().filter(|protocol| may_be(criterion, *protocol));
    let keys = protocols.map(|protocol| Value::Protocol(protocol).into());
    let set = AnonymousSet::of(Fields::from(Field::InetProto), keys);
    Statement::Lookup(vec![Load::L4Proto], Op::Eq, SetRef::Anonymous(Arc::new(set)))
}

/// One list of ports; nothing when it is no criterion.
fn port_list(load: Load, op: Op, ranges: &[PortRange]) -> Option<Statement> {
    match ranges {
        [] => None,
        [PortRange { first, last }] if first == last => {
            Some(Statement::Compare(load, op, Value::Port(*first)))
        }
        [PortRange { first, last }] => {
            Some(Statement::Range(load, op, Value::Port(*first), Value::Port(*last)))
        }
        _ => {
            let set = AnonymousSet::of_ports(ranges.iter().map(|range| (range.first, range.last)));
            Some(Statement::Lookup(vec![load], op, set.into()))
        }
    }
}
