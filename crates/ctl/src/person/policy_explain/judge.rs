//! From two ends and a kind of packet to verdicts, on every host that has a say.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use margay_intent::{Direction, HostName};
use margay_net::{IfName, IpVersion};
use margay_policy::evaluate::{
    EndpointId, Evaluation, Packet, Path, Records, Step, Verdict, World, protocol,
};
use margay_policy::record::{List, Rule};

use super::facts::Facts;
use super::party::{End, Party};

/// A source port that stands for any.
const ANY_SOURCE_PORT: u16 = 49_152;

/// More pieces of the port space than this are not looked at.
const MOST_PIECES: usize = 4096;

/// The kind of packet that a question is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Traffic {
    /// The number of the protocol.
    pub(crate) protocol: u8,
    /// The destination port, where the protocol has ports and one was named.
    pub(crate) port: Option<u16>,
}

/// What one host says.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    pub(crate) host: HostName,
    pub(crate) evaluation: Evaluation,
    /// The host endpoint by which the packet is taken to come or go, as its interface is not known.
    pub(crate) assumed: Option<String>,
}

/// What all hosts say together.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) allowed: bool,
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    /// The source's host first; a host that drops ends the list.
    pub(crate) said: Vec<Said>,
}

/// Gives verdicts on the same facts again and again.
pub(crate) struct Judge<'f> {
    facts: &'f Facts,
    worlds: BTreeMap<HostName, World>,
}

// === impl Traffic ===

impl Traffic {
    /// True for protocols whose packets have ports.
    pub(crate) fn has_ports(protocol: u8) -> bool {
        matches!(protocol, protocol::TCP | protocol::UDP | 132 | 136)
    }

    /// The protocol of a word: a name or a number.
    pub(crate) fn protocol(word: &str) -> Option<u8> {
        Some(match word {
            "tcp" => protocol::TCP,
            "udp" => protocol::UDP,
            "icmp" => protocol::ICMP,
            "icmpv6" => protocol::ICMPV6,
            "sctp" => 132,
            "udplite" => 136,
            number => number.parse().ok().filter(|number| *number != 0)?,
        })
    }

    /// False for the ICMP of the other family.
    pub(crate) fn is_of(self, version: IpVersion) -> bool {
        match version {
            IpVersion::V4 => self.protocol != protocol::ICMPV6,
            IpVersion::V6 => self.protocol != protocol::ICMP,
        }
    }

    /// The name of its protocol, or the number.
    pub(crate) fn word(self) -> String {
        match self.protocol {
            protocol::TCP => "tcp".to_owned(),
            protocol::UDP => "udp".to_owned(),
            protocol::ICMP => "icmp".to_owned(),
            protocol::ICMPV6 => "icmpv6".to_owned(),
            132 => "sctp".to_owned(),
            136 => "udplite".to_owned(),
            number => number.to_string(),
        }
    }

    fn packet(self, source: IpAddr, destination: IpAddr) -> Packet {
        let is_icmp = matches!(self.protocol, protocol::ICMP | protocol::ICMPV6);
        let packet = if is_icmp {
            Packet::ping(source, destination)
        } else {
            Packet::new(source, destination, self.protocol)
        };
        match self.port {
            Some(port) => packet.with_ports(ANY_SOURCE_PORT, port),
            None => packet,
        }
    }
}

// === impl Judge ===

impl<'f> Judge<'f> {
    pub(crate) fn new(facts: &'f Facts) -> Self {
        Self { facts, worlds: BTreeMap::new() }
    }

    /// Asks every host on the way.
    ///
    /// # Errors
    /// A text for people: there is no such packet, or nobody to ask.
    pub(crate) fn ask(&mut self, from: &End, to: &End, traffic: Traffic) -> Result<Answer, String> {
        let (source, destination) = addresses(from, to, traffic)?;
        let packet = traffic.packet(source, destination);
        let hosts: Vec<HostName> = [host_of(from), host_of(to)].into_iter().flatten().cloned().collect();
        let Some(first) = hosts.first() else {
            return Err(format!("neither {} nor {} is an endpoint or a host", from.name, to.name));
        };
        let both = hosts.get(1).filter(|second| *second != first);
        let mut said = Vec::new();
        for host in [Some(first), both].into_iter().flatten() {
            let world = self.world(host);
            let Some((path, assumed)) = path(world, from, to) else { continue };
            let evaluation = world.evaluate(&packet, &path);
            let dropped = evaluation.verdict == Verdict::Drop;
            // It makes a difference only where that host endpoint was asked.
            let is_host = |step: &Step| matches!(step.endpoint, Some(EndpointId::Host(_)));
            let assumed = assumed.filter(|_| evaluation.steps.iter().any(is_host));
            said.push(Said { host: host.clone(), evaluation, assumed });
            if dropped {
                break;
            }
        }
        let allowed = said.iter().all(|said| said.evaluation.verdict != Verdict::Drop);
        Ok(Answer { allowed, source, destination, said })
    }

    /// The ports at which a verdict can change: the first of each piece of the port space, in order. `None` when there
    /// are too many pieces.
    pub(crate) fn pieces(&mut self, from: &End, to: &End) -> Option<Vec<u16>> {
        let mut starts = BTreeSet::from([1]);
        for host in [host_of(from), host_of(to)].into_iter().flatten() {
            cut(self.world(host), [from, to], &mut starts);
        }
        (starts.len() <= MOST_PIECES).then(|| starts.into_iter().collect())
    }

    /// The rules that can have a say about an end on its own host.
    pub(crate) fn rules_of(&mut self, end: &End) -> Vec<&Rule> {
        match host_of(end) {
            Some(host) => rules(self.world(host), [end, end]),
            None => Vec::new(),
        }
    }

    fn world(&mut self, host: &HostName) -> &World {
        let facts = self.facts;
        self.worlds.entry(host.clone()).or_insert_with(|| world(facts, host))
    }
}

/// The first port of each piece of the port space that the rules of one host cut: those of policies and profiles that
/// govern the two ends there, or host endpoints.
fn cut(world: &World, ends: [&End; 2], starts: &mut BTreeSet<u16>) {
    let mut add = |first: u16, last: u16| {
        starts.insert(first.max(1));
        starts.extend(last.checked_add(1));
    };
    for rule in rules(world, ends) {
        let ranges = rule.destination.ports.iter().chain(&rule.destination.not_ports);
        ranges.for_each(|range| add(range.first, range.last));
    }
    let settings = &world.settings;
    for (_, port) in settings.failsafe_inbound.iter().chain(&settings.failsafe_outbound) {
        add(*port, *port);
    }
    if settings.openstack {
        // DNS, DHCP and metadata.
        let metadata = settings.metadata.map(|(_, port)| port);
        [53, 67, 547, 80].into_iter().chain(metadata).for_each(|port| add(port, port));
    }
}

/// The rules that can have a say at a host.
fn rules<'w>(world: &'w World, ends: [&End; 2]) -> Vec<&'w Rule> {
    let records = &world.records;
    let local = records.host_endpoints.iter().filter(|((host, _), _)| *host == world.host);
    let mut governed: Vec<_> =
        local.map(|((_, id), endpoint)| (EndpointId::Host(id.clone()), &endpoint.profiles)).collect();
    for end in ends {
        if let Party::Workload(host, id) = &end.party
            && *host == world.host
            && let Some(workload) = records.workloads.get(&(host.clone(), id.clone()))
        {
            governed.push((EndpointId::Workload(id.clone()), &workload.profiles));
        }
    }
    let mut rules = Vec::new();
    for (id, profiles) in governed {
        for direction in [Direction::Ingress, Direction::Egress] {
            for list in [List::Normal, List::Untracked, List::PreDnat] {
                for policy in world.policies_of(&id, direction, list) {
                    rules.extend(records.policies.get(&policy).into_iter().flat_map(|p| p.rules(direction)));
                }
            }
            let profiles = profiles.iter().filter_map(|id| records.rules_of_profile(id, direction));
            rules.extend(profiles.flatten());
        }
    }
    rules
}

/// The addresses of the packet: IPv4 where both ends have it and the protocol goes with it.
fn addresses(from: &End, to: &End, traffic: Traffic) -> Result<(IpAddr, IpAddr), String> {
    for (end, what) in [(from, "FROM"), (to, "TO")] {
        if end.addresses.is_empty() {
            return Err(format!("{} has no address\nhint: give the address as {what}", end.name));
        }
    }
    let versions = match traffic.protocol {
        protocol::ICMPV6 => [false].as_slice(),
        _ => &[true, false],
    };
    for v4 in versions {
        let of = |end: &End| end.addresses.iter().copied().find(|address| address.is_ipv4() == *v4);
        if let (Some(source), Some(destination)) = (of(from), of(to)) {
            return Ok((source, destination));
        }
    }
    let word = traffic.word();
    Err(format!("{} and {} have no addresses of one IP version that {word} goes with", from.name, to.name))
}

fn host_of(end: &End) -> Option<&HostName> {
    match &end.party {
        Party::Workload(host, _) | Party::Host(host, _) => Some(host),
        Party::Outside => None,
    }
}

/// What a host looks like to policy, as far as the records say.
fn world(facts: &Facts, host: &HostName) -> World {
    let records = &facts.records;
    let mut interfaces: BTreeMap<IfName, Vec<IpAddr>> = BTreeMap::new();
    let own =
        || records.host_endpoints.iter().filter(|((of, _), _)| of == host).map(|(_, endpoint)| endpoint);
    for endpoint in own() {
        if let Some(name) = endpoint.interface {
            interfaces.entry(name).or_default().extend(&endpoint.addresses);
        }
    }
    let tunnel = records.hosts.get(host).map(|address| vec![IpAddr::V4(*address)]);
    let nameless = own().filter(|endpoint| endpoint.interface.is_none()).map(|e| e.addresses.to_vec());
    for (number, addresses) in nameless.chain(tunnel).enumerate() {
        let known: BTreeSet<IpAddr> = interfaces.values().flatten().copied().collect();
        if !addresses.iter().any(|address| known.contains(address)) {
            interfaces.insert(made_up(number), addresses);
        }
    }
    World { records: Arc::clone(records), host: host.clone(), interfaces, settings: facts.settings(host) }
}

/// A name for an interface that nothing names; no prefix of workload interfaces begins like it.
fn made_up(number: usize) -> IfName {
    format!("?{number}").parse().unwrap_or_else(|_| outside())
}

/// The interface towards the rest of the world, which no host endpoint owns.
fn outside() -> IfName {
    "?".parse().expect("a name of one character")
}

/// The way of a packet through a host; none when the host talks to itself.
fn path(world: &World, from: &End, to: &End) -> Option<(Path, Option<String>)> {
    let here = |end: &End| host_of(end) == Some(&world.host);
    let (is_from, is_to) = (here(from), here(to));
    let mut assumed = None;
    let mut other = || {
        let (interface, owner) = towards_outside(world);
        assumed = owner;
        interface
    };
    let path = match (is_from.then_some(&from.party), is_to.then_some(&to.party)) {
        (Some(Party::Host(..)), Some(Party::Host(..))) => return None,
        (Some(Party::Host(_, hep)), None) => {
            Path::FromHost { to: hep.as_ref().and_then(|id| interface_of(world, id)).unwrap_or_else(other) }
        }
        (Some(Party::Host(..)), Some(to)) => Path::FromHost { to: workload_interface(&world.records, to)? },
        (None, Some(Party::Host(_, hep))) => {
            Path::ToHost { from: hep.as_ref().and_then(|id| interface_of(world, id)).unwrap_or_else(other) }
        }
        (Some(from), Some(Party::Host(..))) => {
            Path::ToHost { from: workload_interface(&world.records, from)? }
        }
        (from, to) => {
            let mut interface = |party: Option<&Party>| match party {
                Some(party) => workload_interface(&world.records, party),
                None => Some(other()),
            };
            Path::Through { from: interface(from)?, to: interface(to)? }
        }
    };
    Some((path, assumed))
}

/// The interface by which a host reaches others: the governed one, if there is just one.
fn towards_outside(world: &World) -> (IfName, Option<String>) {
    let governed = world.interfaces.keys().filter_map(|name| Some((*name, world.owner_of(name)?)));
    let governed: Vec<_> = governed.collect();
    match governed.as_slice() {
        [(name, owner)] => (*name, Some(format!("{}/{owner}", world.host))),
        _ => (outside(), None),
    }
}

fn interface_of(world: &World, id: &margay_intent::HostEndpointId) -> Option<IfName> {
    world.interfaces.keys().find(|name| world.owner_of(name).as_ref() == Some(id)).copied()
}

fn workload_interface(records: &Records, party: &Party) -> Option<IfName> {
    let Party::Workload(host, id) = party else { return None };
    records.workloads.get(&(host.clone(), id.clone())).map(|workload| workload.interface)
}

/// The full name of an endpoint that a step is about.
pub(crate) fn full_name(host: &HostName, id: &EndpointId) -> String {
    format!("{host}/{id}")
}
