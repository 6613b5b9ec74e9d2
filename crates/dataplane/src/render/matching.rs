//! The criteria of a rule as statements (`spec/policy.md` 5).
//!
//! A short list is written as several rules instead of a set of its own: the kernel looks through all sets of the table
//! for each one that a batch makes, so that thousands of small sets take it half a minute to load.

use std::sync::Arc;

use margay_intent::{IcmpMatch, Peer, PortRange, ProtocolMatch, Rule, SetId};
use margay_kernel::nft::{AnonymousSet, Direction, Field, Fields, Load, Op, SetRef, Statement, Value};
use margay_net::{Cidr, IpVersion};

use crate::names;

/// The protocols that have ports: TCP, UDP, DCCP, SCTP, UDP-Lite.
const WITH_PORTS: [u8; 5] = [6, 17, 33, 132, 136];

/// Into how many rules for the kernel the lists of one rule and family are spread at most.
const MOST_LINES: usize = 4;

/// Criteria of which a packet fulfils one line or none: no packet fulfils two.
struct Lines(Vec<Vec<Statement>>);

/// The criteria of a rule, once for each family in which they are written differently and each line of short lists.
///
/// Nothing in a family in which the rule does not exist or can not match.
pub(crate) fn criteria(rule: &Rule) -> Vec<Vec<Statement>> {
    let versions = [IpVersion::V4, IpVersion::V6].into_iter().filter(|version| rule.families.has(*version));
    if needs_family(rule) {
        return versions.filter_map(|version| in_family(rule, version)).flat_map(|lines| lines.0).collect();
    }
    let versions: Vec<IpVersion> = versions.collect();
    let mut lines = match versions.as_slice() {
        [] => return Vec::new(),
        [version] => Lines::of(vec![Statement::version(*version)]),
        _ => Lines::of(Vec::new()),
    };
    match protocol_and_ports(&mut lines, rule, None) {
        Some(()) => lines.0,
        None => Vec::new(),
    }
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

fn in_family(rule: &Rule, version: IpVersion) -> Option<Lines> {
    let mut lines = Lines::of(vec![Statement::version(version)]);
    addresses(&mut lines, &rule.source, Direction::Source, version)?;
    addresses(&mut lines, &rule.destination, Direction::Destination, version)?;
    protocol_and_ports(&mut lines, rule, Some(version))?;
    Some(lines)
}

// === impl Lines ===

impl Lines {
    fn of(statements: Vec<Statement>) -> Self {
        Self(vec![statements])
    }

    /// One more criterion that every line has.
    fn push(&mut self, statement: &Statement) {
        for line in &mut self.0 {
            line.push(statement.clone());
        }
    }

    /// A criterion that one of several statements fulfils, of which a packet never fulfils two; `set` says the same in
    /// one. Spread where that makes few lines.
    fn one_of(&mut self, statements: &[Statement], set: impl FnOnce() -> Statement) {
        if self.0.len() * statements.len() > MOST_LINES {
            return self.push(&set());
        }
        let spread = |line: Vec<Statement>| {
            statements
                .iter()
                .map(move |statement| [line.as_slice(), std::slice::from_ref(statement)].concat())
        };
        self.0 = std::mem::take(&mut self.0).into_iter().flat_map(spread).collect();
    }

    /// A criterion that all of several statements make up, when they are few; else `set` says it in one.
    fn all_of(&mut self, statements: &[Statement], set: impl FnOnce() -> Statement) {
        if statements.len() > MOST_LINES {
            return self.push(&set());
        }
        for statement in statements {
            self.push(statement);
        }
    }
}

/// Networks and sets of one side; none when no address of that family can match.
fn addresses(lines: &mut Lines, peer: &Peer, side: Direction, version: IpVersion) -> Option<()> {
    let load = Load::address(side, version);
    networks(lines, &peer.nets, load, Op::Eq, version)?;
    networks(lines, &peer.not_nets, load, Op::Ne, version)?;
    for (sets, op) in [(&peer.sets, Op::Eq), (&peer.not_sets, Op::Ne)] {
        for id in sets {
            lines.push(&Statement::Lookup(vec![load], op, SetRef::Named(names::of_set(id, version))));
        }
    }
    Some(())
}

/// One list of networks. A list without a member of that family matches nothing in it, negated or not.
fn networks(lines: &mut Lines, list: &[Cidr], load: Load, op: Op, version: IpVersion) -> Option<()> {
    if list.is_empty() {
        return Some(());
    }
    let nets: Vec<Cidr> = list.iter().copied().filter(|net| net.version() == version).collect();
    let everything = nets.iter().any(|net| net.prefix() == 0);
    match op {
        _ if nets.is_empty() => return None,
        // Every address is in the whole family, and none outside.
        Op::Eq if everything => return Some(()),
        Op::Ne if everything => return None,
        Op::Eq | Op::Ne => {}
    }
    // Of networks one of which holds the other, the wider says it all.
    let widest: Vec<Cidr> = match nets.len() {
        0..=MOST_LINES => {
            let held = |(at, net): (usize, &Cidr)| {
                nets.iter().enumerate().any(|(other_at, other)| {
                    other_at != at && other.contains(*net) && (other != net || other_at < at)
                })
            };
            nets.iter().enumerate().filter(|(at, net)| !held((*at, net))).map(|(_, net)| *net).collect()
        }
        _ => nets.clone(),
    };
    let statements: Vec<Statement> = widest.into_iter().map(|net| Statement::Net(load, op, net)).collect();
    let set = || Statement::Lookup(vec![load], op, AnonymousSet::of_nets(version, nets).into());
    match op {
        Op::Eq => lines.one_of(&statements, set),
        Op::Ne => lines.all_of(&statements, set),
    }
    Some(())
}

/// Protocol, ports and ICMP; none when they exclude each other.
fn protocol_and_ports(lines: &mut Lines, rule: &Rule, version: Option<IpVersion>) -> Option<()> {
    let ports =
        [&rule.source, &rule.destination].iter().any(|p| !(p.ports.is_empty() && p.not_ports.is_empty()));
    let icmp = rule.icmp.is_some() || rule.not_icmp.is_some();
    if icmp {
        let version = version?;
        if ports || !may_be(rule.protocol, icmp_number(version)) {
            return None;
        }
        lines.push(&Statement::protocol(Op::Eq, icmp_number(version)));
        for (op, message) in [(Op::Eq, rule.icmp), (Op::Ne, rule.not_icmp)] {
            if let Some(message) = message {
                lines.push(&icmp_statement(version, op, message));
            }
        }
        return Some(());
    }
    match rule.protocol {
        ProtocolMatch::Is(protocol) if ports && !WITH_PORTS.contains(&protocol) => return None,
        ProtocolMatch::Is(protocol) => lines.push(&Statement::protocol(Op::Eq, protocol)),
        ProtocolMatch::Any | ProtocolMatch::IsNot(_) if ports => lines.push(&one_with_ports(rule.protocol)),
        ProtocolMatch::IsNot(protocol) => lines.push(&Statement::protocol(Op::Ne, protocol)),
        ProtocolMatch::Any => {}
    }
    for (peer, side) in [(&rule.source, Direction::Source), (&rule.destination, Direction::Destination)] {
        port_list(lines, Load::port(side), Op::Eq, &peer.ports);
        port_list(lines, Load::port(side), Op::Ne, &peer.not_ports);
    }
    Some(())
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

/// One list of ports; no criterion when it is empty.
fn port_list(lines: &mut Lines, load: Load, op: Op, ranges: &[PortRange]) {
    if ranges.is_empty() {
        return;
    }
    let ranges = merged(ranges);
    let one = |range: &PortRange| match range {
        PortRange { first, last } if first == last => Statement::Compare(load, op, Value::Port(*first)),
        PortRange { first, last } => Statement::Range(load, op, Value::Port(*first), Value::Port(*last)),
    };
    let statements: Vec<Statement> = ranges.iter().map(one).collect();
    let set = || {
        let set = AnonymousSet::of_ports(ranges.iter().map(|range| (range.first, range.last)));
        Statement::Lookup(vec![load], op, set.into())
    };
    match op {
        Op::Eq => lines.one_of(&statements, set),
        Op::Ne => lines.all_of(&statements, set),
    }
}

/// The same ports in ranges that neither overlap nor touch, in order.
fn merged(ranges: &[PortRange]) -> Vec<PortRange> {
    let mut sorted = ranges.to_vec();
    sorted.sort_unstable();
    let mut merged: Vec<PortRange> = Vec::with_capacity(sorted.len());
    for range in sorted {
        match merged.last_mut() {
            Some(last) if range.first <= last.last.saturating_add(1) => last.last = last.last.max(range.last),
            Some(_) | None => merged.push(range),
        }
    }
    merged
}
