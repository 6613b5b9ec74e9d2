//! A small machine that walks compiled intents for a packet, written apart from the evaluator: what the calculation
//! emits must mean what the records mean. The cases, the recorded worlds and random worlds all go through it.

use std::net::IpAddr;
use std::sync::Arc;

use margay_intent::{
    Action, Direction, HostEndpoint, IcmpMatch, Peer, PortRange, Program, ProtocolMatch, Rule, State,
    TierEnd, WorkloadEndpoint,
};
use margay_net::{Cidr, IfName, IpVersion};
use margay_policy::evaluate::{EndpointToHost, Packet, Path, Settings, Tracking, Verdict, protocol};
use serde_json::Value;

use crate::cases::cases;
use crate::lab::{self, Judge, Probe};
use crate::scratch::Both;
use crate::worlds::recorded;

/// h1 with what the calculation says of it.
pub(crate) struct Machine<'s> {
    pub(crate) state: &'s State,
    pub(crate) settings: Settings,
}

/// How rules or a whole programme end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Allow,
    Deny,
    Pass,
    Undecided,
}

/// How the chain of an endpoint ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Chain {
    Accept,
    Mark,
    Drop,
}

/// The packet with the one mark bit.
#[derive(Clone, Copy)]
struct Marked {
    packet: Packet,
    mark: bool,
    tracked: bool,
}

// === impl Machine ===

impl Machine<'_> {
    fn is_workload(&self, name: &IfName) -> bool {
        self.settings.interface_prefixes.iter().any(|prefix| name.as_str().starts_with(&**prefix))
    }

    fn workload(&self, name: &IfName) -> Option<&Arc<WorkloadEndpoint>> {
        self.state.workloads.values().find(|endpoint| endpoint.interface == *name)
    }

    fn host(&self, name: &IfName) -> Option<&Arc<HostEndpoint>> {
        let on = lab::INTERFACES.iter().find(|(interface, _)| *interface == name.as_str());
        let addresses = on.map_or([None; 2], |(_, addresses)| addresses.map(|text| Some(lab::ip(text))));
        self.state.host_endpoints.values().find(|endpoint| match endpoint.interface {
            Some(interface) => interface == *name,
            None => endpoint.addresses.iter().any(|address| addresses.contains(&Some(*address))),
        })
    }

    fn is_host(&self, address: IpAddr) -> bool {
        self.state.hosts.values().any(|host| IpAddr::V4(*host) == address)
    }

    fn in_set(&self, id: &margay_intent::SetId, address: IpAddr) -> bool {
        self.state
            .sets
            .get(id)
            .unwrap_or_else(|| panic!("a rule names {id}, which is no set"))
            .contains(&address)
    }

    fn side(&self, peer: &Peer, address: IpAddr, port: Option<u16>) -> bool {
        let in_nets = |nets: &[Cidr]| nets.iter().any(|net| net.contains_ip(address));
        let in_ports = |ports: &[PortRange], port| ports.iter().any(|range| range.contains(port));
        (peer.nets.is_empty() || in_nets(&peer.nets))
            && !in_nets(&peer.not_nets)
            && peer.sets.iter().all(|id| self.in_set(id, address))
            && !peer.not_sets.iter().any(|id| self.in_set(id, address))
            && (peer.ports.is_empty() || port.is_some_and(|port| in_ports(&peer.ports, port)))
            && (peer.not_ports.is_empty() || port.is_some_and(|port| !in_ports(&peer.not_ports, port)))
    }

    fn matches(&self, rule: &Rule, packet: &Packet) -> bool {
        let (from, to) = packet.ports.unzip();
        let protocol = match rule.protocol {
            ProtocolMatch::Any => true,
            ProtocolMatch::Is(number) => number == packet.protocol,
            ProtocolMatch::IsNot(number) => number != packet.protocol,
        };
        let is = |wanted: IcmpMatch| {
            message(packet).map(|(kind, code)| kind == wanted.kind && wanted.code.is_none_or(|c| c == code))
        };
        rule.families.has(packet.version())
            && protocol
            && self.side(&rule.source, packet.source, from)
            && self.side(&rule.destination, packet.destination, to)
            && rule.icmp.is_none_or(|wanted| is(wanted) == Some(true))
            && rule.not_icmp.is_none_or(|other| is(other) == Some(false))
    }

    fn rules(&self, rules: &[Rule], packet: &Packet) -> End {
        let deciding = rules.iter().find(|rule| rule.action != Action::Log && self.matches(rule, packet));
        match deciding.map(|rule| rule.action) {
            Some(Action::Allow) => End::Allow,
            Some(Action::Deny) => End::Deny,
            Some(Action::Pass) => End::Pass,
            Some(Action::Log) | None => End::Undecided,
        }
    }

    /// The policies of a programme's tiers alone.
    fn tiers(&self, program: &Program, direction: Direction, packet: &Packet) -> End {
        let mut end = End::Undecided;
        for tier in &program.tiers {
            assert!(!tier.policies.is_empty(), "a tier without policies");
            let ends = tier.policies.iter().map(|id| {
                let policy = self.state.policies.get(id).unwrap_or_else(|| panic!("{id} is used and absent"));
                self.rules(policy.rules(direction), packet)
            });
            match ends.into_iter().find(|end| *end != End::Undecided) {
                Some(End::Pass) => end = End::Pass,
                None | Some(End::Undecided) if tier.end == TierEnd::Pass => end = End::Pass,
                None | Some(End::Undecided) => return End::Undecided,
                Some(decided) => return decided,
            }
        }
        end
    }

    fn program(&self, program: &Program, direction: Direction, packet: &Packet) -> Chain {
        if !program.tiers.is_empty() {
            match self.tiers(program, direction, packet) {
                End::Allow => return Chain::Mark,
                End::Deny | End::Undecided => return Chain::Drop,
                End::Pass => {}
            }
        }
        for id in &program.profiles {
            let Some(profile) = self.state.profiles.get(id) else { return Chain::Drop };
            match self.rules(profile.rules(direction), packet) {
                End::Allow => return Chain::Mark,
                End::Deny => return Chain::Drop,
                End::Pass | End::Undecided => {}
            }
        }
        Chain::Drop
    }

    /// What connection tracking decides in front of every programme.
    fn flow(&self, packet: &Packet) -> Option<Chain> {
        match packet.tracking {
            Tracking::Established | Tracking::Related => Some(Chain::Accept),
            Tracking::Invalid if self.settings.check_invalid => Some(Chain::Drop),
            Tracking::Invalid | Tracking::New | Tracking::Untracked => None,
        }
    }

    fn workload_chain(&self, name: &IfName, direction: Direction, packet: &Packet) -> Chain {
        let Some(endpoint) = self.workload(name).filter(|endpoint| endpoint.active) else {
            return Chain::Drop;
        };
        let program = match direction {
            Direction::Ingress => &endpoint.ingress,
            Direction::Egress => &endpoint.egress,
        };
        self.flow(packet).unwrap_or_else(|| self.program(program, direction, packet))
    }

    fn host_chain(&self, endpoint: &HostEndpoint, direction: Direction, packet: &Packet) -> Chain {
        let (program, failsafe) = match direction {
            Direction::Ingress => (&endpoint.ingress, &self.settings.failsafe_inbound),
            Direction::Egress => (&endpoint.egress, &self.settings.failsafe_outbound),
        };
        if let Some(decided) = self.flow(packet) {
            return decided;
        }
        let to = packet.ports.map(|(_, to)| (packet.protocol, to));
        if to.is_some_and(|to| failsafe.contains(&to)) || self.is_neighbour_failsafe(packet) {
            return Chain::Accept;
        }
        self.program(program, direction, packet)
    }

    fn is_neighbour_failsafe(&self, packet: &Packet) -> bool {
        self.settings.neighbour_failsafe
            && packet.version() == IpVersion::V6
            && message(packet).is_some_and(|(kind, _)| (133..=137).contains(&kind))
    }

    /// Raw: `Err` is a drop.
    fn raw(&self, program: &Program, direction: Direction, marked: &mut Marked) -> Result<(), ()> {
        if program.tiers.is_empty() {
            return Ok(());
        }
        let Settings { failsafe_inbound, failsafe_outbound, .. } = &self.settings;
        let (to_list, from_list) = match direction {
            Direction::Ingress => (failsafe_inbound, failsafe_outbound),
            Direction::Egress => (failsafe_outbound, failsafe_inbound),
        };
        let number = marked.packet.protocol;
        let is_failsafe = marked
            .packet
            .ports
            .is_some_and(|(from, to)| to_list.contains(&(number, to)) || from_list.contains(&(number, from)));
        if is_failsafe || self.is_neighbour_failsafe(&marked.packet) {
            return Ok(());
        }
        match self.tiers(program, direction, &marked.packet) {
            End::Allow => {
                marked.mark = true;
                marked.tracked = false;
                marked.packet.tracking = Tracking::Untracked;
                Ok(())
            }
            End::Deny => Err(()),
            End::Pass | End::Undecided => Ok(()),
        }
    }

    /// Mangle: `Err` is a drop.
    fn mangle(&self, endpoint: &HostEndpoint, marked: &mut Marked) -> Result<(), ()> {
        if endpoint.pre_dnat.tiers.is_empty() || marked.mark {
            return Ok(());
        }
        match self.flow(&marked.packet) {
            Some(Chain::Drop) => return Err(()),
            Some(Chain::Accept | Chain::Mark) => return Ok(()),
            None => {}
        }
        let packet = &marked.packet;
        let to = packet.ports.map(|(_, to)| (packet.protocol, to));
        if to.is_some_and(|to| self.settings.failsafe_inbound.contains(&to))
            || self.is_neighbour_failsafe(packet)
        {
            return Ok(());
        }
        match self.tiers(&endpoint.pre_dnat, Direction::Ingress, packet) {
            End::Allow => marked.mark = true,
            End::Deny => return Err(()),
            End::Pass | End::Undecided => {}
        }
        Ok(())
    }

    fn is_spoofed(&self, name: &IfName, packet: &Packet) -> bool {
        let nets = self.workload(name).map_or(&[][..], |endpoint| &endpoint.nets);
        if nets.iter().any(|net| net.contains_ip(packet.source)) {
            return false;
        }
        match packet.source {
            IpAddr::V4(source) => !(source.is_unspecified() && is_udp(packet, Some(68), 67)),
            IpAddr::V6(source) if source.segments()[0] & 0xffc0 == 0xfe80 => false,
            IpAddr::V6(source) => {
                let asks = message(packet).is_some_and(|(kind, _)| matches!(kind, 131 | 133 | 135 | 143));
                !(source.is_unspecified() && asks)
            }
        }
    }

    fn prerouting(&self, from: &IfName, marked: &mut Marked) -> Result<(), ()> {
        if self.is_workload(from) {
            return if self.is_spoofed(from, &marked.packet) { Err(()) } else { Ok(()) };
        }
        let Some(endpoint) = self.host(from) else { return Ok(()) };
        self.raw(&endpoint.untracked_ingress, Direction::Ingress, marked)?;
        self.mangle(endpoint, marked)
    }

    fn input(&self, from: &IfName, marked: Marked) -> Verdict {
        let packet = &marked.packet;
        if marked.mark {
            return Verdict::Accept;
        }
        if self.settings.ipip && packet.version() == IpVersion::V4 && packet.protocol == protocol::IPIP {
            let known = self.is_host(packet.source) && lab::is_h1(packet.destination);
            return if known { Verdict::Accept } else { Verdict::Drop };
        }
        if !self.is_workload(from) {
            let Some(endpoint) = self.host(from) else { return Verdict::Next };
            return match self.host_chain(endpoint, Direction::Ingress, packet) {
                Chain::Drop => Verdict::Drop,
                Chain::Accept | Chain::Mark => Verdict::Accept,
            };
        }
        let neighbour = packet.version() == IpVersion::V6
            && message(packet).is_some_and(|(kind, _)| matches!(kind, 130..=133 | 135 | 136));
        if neighbour || (self.settings.openstack && self.is_openstack(packet)) {
            return Verdict::Accept;
        }
        match (self.workload_chain(from, Direction::Egress, packet), self.settings.endpoint_to_host) {
            (Chain::Drop, _) | (Chain::Mark, EndpointToHost::Drop) => Verdict::Drop,
            (Chain::Accept, _) | (Chain::Mark, EndpointToHost::Accept) => Verdict::Accept,
            (Chain::Mark, EndpointToHost::Return) => Verdict::Next,
        }
    }

    fn is_openstack(&self, packet: &Packet) -> bool {
        let dhcp = if packet.version() == IpVersion::V4 { (68, 67) } else { (546, 547) };
        let metadata = self.settings.metadata.is_some_and(|(address, port)| {
            packet.destination == address
                && packet.protocol == protocol::TCP
                && packet.ports.is_some_and(|(_, to)| to == port)
        });
        metadata || is_udp(packet, None, 53) || is_udp(packet, Some(dhcp.0), dhcp.1)
    }

    fn forward(&self, from: &IfName, to: &IfName, marked: Marked) -> Verdict {
        let packet = &marked.packet;
        if self.is_workload(from) || self.is_workload(to) {
            let source = self.is_workload(from).then(|| self.workload_chain(from, Direction::Egress, packet));
            let destination =
                self.is_workload(to).then(|| self.workload_chain(to, Direction::Ingress, packet));
            let dropped = [source, destination].contains(&Some(Chain::Drop));
            return if dropped { Verdict::Drop } else { Verdict::Accept };
        }
        let mut mark = marked.mark;
        let coming = if mark { None } else { self.host(from) };
        let sides = [(coming, Direction::Ingress), (self.host(to), Direction::Egress)];
        for (endpoint, direction) in sides.into_iter().filter_map(|(e, direction)| Some((e?, direction))) {
            match self.host_chain(endpoint, direction, packet) {
                Chain::Drop => return Verdict::Drop,
                Chain::Accept => return Verdict::Accept,
                Chain::Mark => mark = true,
            }
        }
        if mark { Verdict::Accept } else { Verdict::Next }
    }

    fn output(&self, to: &IfName, mut marked: Marked) -> (Verdict, bool) {
        let endpoint = if self.is_workload(to) { None } else { self.host(to) };
        if let Some(endpoint) = endpoint
            && self.raw(&endpoint.untracked_egress, Direction::Egress, &mut marked).is_err()
        {
            return (Verdict::Drop, true);
        }
        let packet = self.floating(&marked.packet);
        let tunnelled = self.settings.ipip
            && packet.version() == IpVersion::V4
            && packet.protocol == protocol::IPIP
            && lab::is_h1(packet.source)
            && self.is_host(packet.destination);
        let verdict = match endpoint {
            _ if marked.mark => Verdict::Accept,
            _ if self.is_workload(to) => Verdict::Next,
            _ if tunnelled => Verdict::Accept,
            None => Verdict::Next,
            Some(endpoint) => match self.host_chain(endpoint, Direction::Egress, &packet) {
                Chain::Drop => Verdict::Drop,
                Chain::Accept | Chain::Mark => Verdict::Accept,
            },
        };
        (verdict, marked.tracked)
    }

    fn floating(&self, packet: &Packet) -> Packet {
        let nats = self.state.workloads.values().flat_map(|endpoint| &endpoint.nats);
        let inner =
            nats.filter(|nat| nat.external == packet.destination).map(|nat| nat.internal.to_string()).min();
        let destination = inner.map_or(packet.destination, |text| lab::ip(&text));
        Packet { destination, translated: None, ..*packet }
    }
}

fn is_udp(packet: &Packet, source: Option<u16>, destination: u16) -> bool {
    let Some((from, to)) = packet.ports else { return false };
    packet.protocol == protocol::UDP && to == destination && source.is_none_or(|source| source == from)
}

/// Type and code of a message of the family's ICMP.
fn message(packet: &Packet) -> Option<(u8, u8)> {
    let number = if packet.destination.is_ipv4() { protocol::ICMP } else { protocol::ICMPV6 };
    packet.icmp.filter(|_| packet.protocol == number).map(|icmp| (icmp.kind, icmp.code))
}

impl Judge for Machine<'_> {
    fn judge(&self, packet: &Packet, path: &Path) -> (Verdict, bool) {
        let mut marked = Marked { packet: *packet, mark: false, tracked: true };
        let (Path::ToHost { from } | Path::Through { from, .. }) = path else {
            let Path::FromHost { to } = path else { unreachable!("the third kind of path") };
            return self.output(to, marked);
        };
        if self.prerouting(from, &mut marked).is_err() {
            return (Verdict::Drop, marked.tracked);
        }
        marked.packet = self.translate(&marked.packet);
        let verdict = match path {
            Path::Through { to, .. } => self.forward(from, to, marked),
            Path::ToHost { .. } | Path::FromHost { .. } => self.input(from, marked),
        };
        (verdict, marked.tracked)
    }

    fn translate(&self, packet: &Packet) -> Packet {
        let sent_to = |destination: IpAddr, port: Option<u16>| Packet {
            destination,
            ports: packet.ports.map(|(from, to)| (from, port.unwrap_or(to))),
            translated: None,
            ..*packet
        };
        if let Some((address, port)) = packet.translated {
            return sent_to(address, port);
        }
        match self.settings.metadata {
            Some((address, port))
                if packet.protocol == protocol::TCP
                    && packet.destination == lab::ip("169.254.169.254")
                    && packet.ports.is_some_and(|(_, to)| to == 80) =>
            {
                sent_to(address, Some(port))
            }
            _ => self.floating(packet),
        }
    }

    fn interface_of(&self, address: IpAddr) -> Option<IfName> {
        let holds =
            |endpoint: &&Arc<WorkloadEndpoint>| endpoint.nets.iter().any(|net| net.contains_ip(address));
        self.state.workloads.values().find(holds).map(|endpoint| endpoint.interface)
    }
}

#[test]
fn every_case_of_the_specification_holds_in_the_intents() {
    let mut wrong = Vec::new();
    for case in cases() {
        let mut both = Both::new();
        for (number, (put, asked)) in case.states().enumerate() {
            put.iter().for_each(|(key, value)| both.put(key, value.as_deref()));
            let world = lab::world(&both.records, case.settings());
            let reported = both.reported();
            let machine = Machine { state: both.state(&world), settings: case.settings() };
            for (probe, expected) in asked.get("probes").and_then(Value::as_object).into_iter().flatten() {
                let (passed, _) = Probe::parse(probe).play(&machine);
                if *expected != if passed { "+" } else { "-" } {
                    wrong.push(format!("{}, state {number}: {probe} went through: {passed}", case.name));
                }
            }
            let expected = asked.get("reported").and_then(Value::as_u64).unwrap_or_default();
            if reported as u64 != expected {
                wrong.push(format!("{}, state {number}: {reported} reports, not {expected}", case.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_verdict_of_upstream_holds_in_the_intents() {
    let mut both = Both::new();
    let (mut count, mut wrong) = (0, Vec::new());
    for recorded in recorded() {
        if recorded.first {
            both = Both::new();
        }
        recorded.put.iter().for_each(|(key, value)| both.put(key, value.as_deref()));
        let world = lab::world(&both.records, Settings::default());
        let machine = Machine { state: both.state(&world), settings: Settings::default() };
        for (probe, seen) in &recorded.probes {
            count += 1;
            if Probe::parse(probe).play(&machine).0 != *seen {
                wrong.push(format!("{}: {probe} went through upstream: {seen}", recorded.name));
            }
        }
    }
    assert_eq!(count, 4396);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
