//! The way of one packet through the host: `spec/policy.md` 8 in its order, nothing cleverer.

use margay_intent::Direction;
use margay_net::{IfName, IpVersion};

use super::packet::protocol::{IPIP, TCP};
use super::packet::{Packet, Path, Tracking};
use super::settings::EndpointToHost;
use super::trace::{Asked, Check, EndpointId, Evaluation, Hook, Miss, Outcome, Step, Verdict};
use super::world::{Endpoint, World};
use crate::record::{Action, List, Rule};

/// ICMPv6 from a workload that its host always takes.
const NEIGHBOUR_DISCOVERY: [u8; 6] = [130, 131, 132, 133, 135, 136];

/// ICMPv6 that the failsafe of a host endpoint covers.
const FAILSAFE_ICMPV6: [u8; 5] = [133, 134, 135, 136, 137];

/// ICMPv6 that a workload without an address may send.
const FROM_NOWHERE: [u8; 4] = [131, 133, 135, 143];

/// What a list of rules decides.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Decision {
    Allow,
    Deny,
    Pass,
    None,
}

/// What an endpoint decides in one direction.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Normal {
    /// Let through at once.
    Accept,
    /// Dropped.
    Drop,
    /// Let through as far as this endpoint is concerned.
    Allowed,
}

/// What an untracked or preDNAT list decides.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Early {
    Stop,
    Drop,
    Next,
}

/// A packet on its way.
struct Walk<'w> {
    world: &'w World,
    packet: Packet,
    hook: Hook,
    steps: Vec<Step>,
    /// Let through by untracked or preDNAT policy.
    accepted: bool,
    tracked: bool,
}

/// Follows a packet through the host.
pub(super) fn follow(world: &World, packet: &Packet, path: &Path) -> Evaluation {
    let mut walk =
        Walk { world, packet: *packet, hook: Hook::RawIn, steps: Vec::new(), accepted: false, tracked: true };
    let verdict = match path {
        Path::ToHost { from } => walk.prerouting(from).unwrap_or_else(|| walk.input(from)),
        Path::Through { from, to } => walk.prerouting(from).unwrap_or_else(|| walk.forward(from, to)),
        Path::FromHost { to } => walk.output(to),
    };
    Evaluation { verdict, steps: walk.steps, tracked: walk.tracked }
}

// === impl Walk ===

impl Walk<'_> {
    /// What happens to a packet that comes in, before it is routed; none = it goes on.
    fn prerouting(&mut self, from: &IfName) -> Option<Verdict> {
        let workload = self.world.is_workload(from);
        let hep = self.world.host_endpoint_of(from);
        self.hook = Hook::RawIn;
        if workload {
            if self.is_spoofed(from) {
                return Some(self.check(None, Check::SpoofedSource, Outcome::Deny));
            }
        } else if let Some(hep) = &hep
            && self.untracked(hep, Direction::Ingress) == Early::Drop
        {
            return Some(Verdict::Drop);
        }
        self.hook = Hook::PreDnat;
        if !workload
            && !self.accepted
            && !self.packet.is_of_a_flow()
            && let Some(hep) = &hep
            && self.pre_dnat(hep) == Early::Drop
        {
            return Some(Verdict::Drop);
        }
        self.packet = self.world.translate(&self.packet);
        None
    }

    fn input(&mut self, from: &IfName) -> Verdict {
        self.hook = Hook::Input;
        let settings = &self.world.settings;
        if self.accepted {
            return self.check(None, Check::AcceptedBefore, Outcome::Allow);
        }
        if settings.ipip && self.packet.version() == IpVersion::V4 && self.packet.protocol == IPIP {
            let known =
                self.world.is_a_host(self.packet.source) && self.world.is_local(self.packet.destination);
            return self.check(
                None,
                Check::TunnelledPacket,
                if known { Outcome::Allow } else { Outcome::Deny },
            );
        }
        if self.world.is_workload(from) {
            return self.workload_to_host(from);
        }
        let Some(hep) = self.world.host_endpoint_of(from) else {
            self.step(None, Asked::Check(Check::NoHostEndpoint), None, Outcome::None, Vec::new());
            return Verdict::Next;
        };
        match self.normal(&hep, Direction::Ingress) {
            Normal::Drop => Verdict::Drop,
            Normal::Accept | Normal::Allowed => Verdict::Accept,
        }
    }

    fn workload_to_host(&mut self, from: &IfName) -> Verdict {
        let settings = &self.world.settings;
        if self.packet.is_icmpv6(&NEIGHBOUR_DISCOVERY) {
            return self.check(None, Check::NeighbourDiscovery, Outcome::Allow);
        }
        if settings.openstack && self.is_openstack() {
            return self.check(None, Check::OpenStack, Outcome::Allow);
        }
        let Some(workload) = self.world.workload_of(from) else {
            return self.check(None, Check::UnknownInterface, Outcome::Deny);
        };
        match self.normal(&workload, Direction::Egress) {
            Normal::Drop => Verdict::Drop,
            Normal::Accept => Verdict::Accept,
            Normal::Allowed => {
                let (outcome, verdict) = match settings.endpoint_to_host {
                    EndpointToHost::Drop => (Outcome::Deny, Verdict::Drop),
                    EndpointToHost::Accept => (Outcome::Allow, Verdict::Accept),
                    EndpointToHost::Return => (Outcome::None, Verdict::Next),
                };
                let asked = Asked::Check(Check::EndpointToHost);
                self.step(Some((&workload.id, Direction::Egress)), asked, None, outcome, Vec::new());
                verdict
            }
        }
    }

    fn forward(&mut self, from: &IfName, to: &IfName) -> Verdict {
        self.hook = Hook::Forward;
        let sides = [(from, Direction::Egress), (to, Direction::Ingress)];
        let workloads = sides.map(|(interface, _)| self.world.is_workload(interface));
        for ((interface, direction), is_workload) in sides.into_iter().zip(workloads) {
            if !is_workload {
                continue;
            }
            let Some(workload) = self.world.workload_of(interface) else {
                return self.check(None, Check::UnknownInterface, Outcome::Deny);
            };
            match self.normal(&workload, direction) {
                Normal::Drop => return Verdict::Drop,
                // COMPAT(down-destination): upstream lets an established packet through at the source, also to an
                // endpoint that is down.
                Normal::Accept | Normal::Allowed => {}
            }
        }
        if workloads.contains(&true) {
            return Verdict::Accept;
        }
        self.forward_between_hosts(from, to)
    }

    /// Traffic that is of no workload here: the endpoint of each interface in turn.
    fn forward_between_hosts(&mut self, from: &IfName, to: &IfName) -> Verdict {
        if self.accepted {
            self.step(None, Asked::Check(Check::AcceptedBefore), None, Outcome::None, Vec::new());
        }
        let sides = [(from, Direction::Ingress), (to, Direction::Egress)];
        for (interface, direction) in sides {
            let Some(hep) = self.world.host_endpoint_of(interface) else { continue };
            if direction == Direction::Ingress && self.accepted {
                continue;
            }
            match self.normal(&hep, direction) {
                Normal::Drop => return Verdict::Drop,
                Normal::Accept => return Verdict::Accept,
                Normal::Allowed => self.accepted = true,
            }
        }
        if self.accepted {
            return Verdict::Accept;
        }
        self.step(None, Asked::Check(Check::NoHostEndpoint), None, Outcome::None, Vec::new());
        Verdict::Next
    }

    fn output(&mut self, to: &IfName) -> Verdict {
        self.hook = Hook::RawOut;
        let hep = self.world.host_endpoint_of(to);
        if let Some(hep) = &hep
            && self.untracked(hep, Direction::Egress) == Early::Drop
        {
            return Verdict::Drop;
        }
        self.packet = self.world.translate_outgoing(&self.packet);
        self.hook = Hook::Output;
        if self.accepted {
            return self.check(None, Check::AcceptedBefore, Outcome::Allow);
        }
        if self.world.is_workload(to) {
            self.step(None, Asked::Check(Check::HostToWorkload), None, Outcome::None, Vec::new());
            return Verdict::Next;
        }
        let packet = &self.packet;
        if self.world.settings.ipip
            && packet.version() == IpVersion::V4
            && packet.protocol == IPIP
            && self.world.is_local(packet.source)
            && self.world.is_a_host(packet.destination)
        {
            return self.check(None, Check::TunnelledPacket, Outcome::Allow);
        }
        let Some(hep) = hep else {
            self.step(None, Asked::Check(Check::NoHostEndpoint), None, Outcome::None, Vec::new());
            return Verdict::Next;
        };
        match self.normal(&hep, Direction::Egress) {
            Normal::Drop => Verdict::Drop,
            Normal::Accept | Normal::Allowed => Verdict::Accept,
        }
    }

    /// What the normal policies and the profiles of an endpoint say.
    fn normal(&mut self, endpoint: &Endpoint<'_>, direction: Direction) -> Normal {
        let at = Some((&endpoint.id, direction));
        if !endpoint.up {
            self.check(at, Check::EndpointDown, Outcome::Deny);
            return Normal::Drop;
        }
        if self.packet.is_of_a_flow() {
            self.check(at, Check::Established, Outcome::Allow);
            return Normal::Accept;
        }
        if self.packet.tracking == Tracking::Invalid && self.world.settings.check_invalid {
            self.check(at, Check::Invalid, Outcome::Deny);
            return Normal::Drop;
        }
        if endpoint.is_host() && self.is_failsafe(direction) {
            self.check(at, Check::Failsafe, Outcome::Allow);
            return Normal::Accept;
        }
        let policies = self.world.policies(endpoint, direction, List::Normal);
        let mut passed = policies.is_empty();
        for (id, policy) in policies {
            match self.run(endpoint, direction, Asked::Policy(id.clone()), policy.rules(direction)) {
                Decision::Allow => return Normal::Allowed,
                Decision::Deny => return Normal::Drop,
                Decision::Pass => {
                    passed = true;
                    break;
                }
                Decision::None => {}
            }
        }
        if !passed {
            self.check(at, Check::EndOfTier, Outcome::Deny);
            return Normal::Drop;
        }
        self.profiles(endpoint, direction)
    }

    fn profiles(&mut self, endpoint: &Endpoint<'_>, direction: Direction) -> Normal {
        let at = Some((&endpoint.id, direction));
        for id in endpoint.profiles {
            let asked = Asked::Profile(id.clone());
            let Some(rules) = self.world.records.rules_of_profile(id, direction) else {
                // A profile without rules denies at its place.
                self.step(at, asked, None, Outcome::Deny, Vec::new());
                return Normal::Drop;
            };
            match self.run(endpoint, direction, asked, rules) {
                Decision::Allow => return Normal::Allowed,
                Decision::Deny => return Normal::Drop,
                Decision::Pass | Decision::None => {}
            }
        }
        self.check(at, Check::NoProfileMatched, Outcome::Deny);
        Normal::Drop
    }

    /// What the untracked policies of a host endpoint say.
    fn untracked(&mut self, hep: &Endpoint<'_>, direction: Direction) -> Early {
        let policies = self.world.policies(hep, direction, List::Untracked);
        if policies.is_empty() {
            return Early::Next;
        }
        if self.is_failsafe_raw(direction) {
            self.step(
                Some((&hep.id, direction)),
                Asked::Check(Check::Failsafe),
                None,
                Outcome::None,
                Vec::new(),
            );
            return Early::Stop;
        }
        for (id, policy) in policies {
            match self.run(hep, direction, Asked::Policy(id.clone()), policy.rules(direction)) {
                Decision::Allow => {
                    self.packet.tracking = Tracking::Untracked;
                    self.tracked = false;
                    self.accepted = true;
                    return Early::Stop;
                }
                Decision::Deny => return Early::Drop,
                Decision::Pass => break,
                Decision::None => {}
            }
        }
        Early::Next
    }

    /// What the preDNAT policies of a host endpoint say.
    fn pre_dnat(&mut self, hep: &Endpoint<'_>) -> Early {
        let direction = Direction::Ingress;
        let policies = self.world.policies(hep, direction, List::PreDnat);
        if policies.is_empty() {
            return Early::Next;
        }
        let at = Some((&hep.id, direction));
        if self.packet.tracking == Tracking::Invalid && self.world.settings.check_invalid {
            self.check(at, Check::Invalid, Outcome::Deny);
            return Early::Drop;
        }
        if self.is_failsafe(direction) {
            self.step(at, Asked::Check(Check::Failsafe), None, Outcome::None, Vec::new());
            return Early::Stop;
        }
        for (id, policy) in policies {
            match self.run(hep, direction, Asked::Policy(id.clone()), policy.rules(direction)) {
                Decision::Allow => {
                    self.accepted = true;
                    return Early::Stop;
                }
                Decision::Deny => return Early::Drop,
                Decision::Pass => break,
                Decision::None => {}
            }
        }
        Early::Next
    }

    /// Runs the rules of one policy or profile.
    fn run(
        &mut self,
        endpoint: &Endpoint<'_>,
        direction: Direction,
        asked: Asked,
        rules: &[Rule],
    ) -> Decision {
        let at = Some((&endpoint.id, direction));
        let mut misses = Vec::new();
        for rule in rules {
            let index = rule.index;
            if let Err(criterion) = super::rule::matches(&self.world.records, rule, &self.packet) {
                misses.push(Miss { rule: index, criterion });
                continue;
            }
            let (outcome, decision) = match rule.action {
                Action::Allow => (Outcome::Allow, Decision::Allow),
                Action::Deny => (Outcome::Deny, Decision::Deny),
                Action::Pass => (Outcome::Pass, Decision::Pass),
                Action::Log => {
                    self.step(at, asked.clone(), Some(index), Outcome::Log, std::mem::take(&mut misses));
                    continue;
                }
            };
            self.step(at, asked, Some(index), outcome, misses);
            return decision;
        }
        self.step(at, asked, None, Outcome::None, misses);
        Decision::None
    }

    /// A source that is not the workload's own (`spec/agent.md` 13.2).
    fn is_spoofed(&self, from: &IfName) -> bool {
        let packet = &self.packet;
        let own = self.world.nets_of(from).iter().any(|net| net.contains_ip(packet.source));
        let allowed = match packet.source {
            std::net::IpAddr::V4(source) => source.is_unspecified() && packet.is_udp(Some(68), 67),
            std::net::IpAddr::V6(source) => {
                source.is_unicast_link_local() || (source.is_unspecified() && packet.is_icmpv6(&FROM_NOWHERE))
            }
        };
        !own && !allowed
    }

    fn is_openstack(&self) -> bool {
        let packet = &self.packet;
        let metadata = self.world.settings.metadata.is_some_and(|(address, port)| {
            packet.protocol == TCP
                && packet.destination == address
                && packet.ports.is_some_and(|(_, to)| to == port)
        });
        let dhcp = match packet.version() {
            IpVersion::V4 => packet.is_udp(Some(68), 67),
            IpVersion::V6 => packet.is_udp(Some(546), 547),
        };
        metadata || dhcp || packet.is_udp(None, 53)
    }

    fn is_failsafe(&self, direction: Direction) -> bool {
        let settings = &self.world.settings;
        let list = match direction {
            Direction::Ingress => &settings.failsafe_inbound,
            Direction::Egress => &settings.failsafe_outbound,
        };
        self.is_failsafe_icmpv6()
            || self.packet.ports.is_some_and(|(_, to)| list.contains(&(self.packet.protocol, to)))
    }

    /// The failsafe before connection tracking: the answers too.
    fn is_failsafe_raw(&self, direction: Direction) -> bool {
        let settings = &self.world.settings;
        let (to_list, from_list) = match direction {
            Direction::Ingress => (&settings.failsafe_inbound, &settings.failsafe_outbound),
            Direction::Egress => (&settings.failsafe_outbound, &settings.failsafe_inbound),
        };
        let protocol = self.packet.protocol;
        self.is_failsafe_icmpv6()
            || self.packet.ports.is_some_and(|(from, to)| {
                to_list.contains(&(protocol, to)) || from_list.contains(&(protocol, from))
            })
    }

    // COMPAT(neighbour-failsafe): upstream has no such failsafe, and IPv6 of a governed interface dies.
    fn is_failsafe_icmpv6(&self) -> bool {
        self.world.settings.neighbour_failsafe && self.packet.is_icmpv6(&FAILSAFE_ICMPV6)
    }

    /// Notes a check that decided.
    fn check(&mut self, at: Option<(&EndpointId, Direction)>, check: Check, outcome: Outcome) -> Verdict {
        self.step(at, Asked::Check(check), None, outcome, Vec::new());
        if outcome == Outcome::Allow { Verdict::Accept } else { Verdict::Drop }
    }

    fn step(
        &mut self,
        at: Option<(&EndpointId, Direction)>,
        asked: Asked,
        rule: Option<u32>,
        outcome: Outcome,
        misses: Vec<Miss>,
    ) {
        let (endpoint, direction) = at.map(|(id, direction)| (id.clone(), direction)).unzip();
        self.steps.push(Step { hook: self.hook, endpoint, direction, asked, rule, outcome, misses });
    }
}
