//! The machines of the recorded worlds, and probes between them played on paper: request, answer, acknowledgement.

use std::net::IpAddr;

use margay_net::IfName;
use margay_policy::evaluate::{Evaluation, Icmp, Packet, Path, Settings, Tracking, Verdict, World, protocol};

/// Whatever gives verdicts for the host: the evaluator, or the interpreter of intents.
pub(crate) trait Judge {
    /// Whether the packet passes, and whether its connection is tracked.
    fn judge(&self, packet: &Packet, path: &Path) -> (Verdict, bool);

    /// The packet after destination NAT.
    fn translate(&self, packet: &Packet) -> Packet;

    /// The workload interface behind which an address is.
    fn interface_of(&self, address: IpAddr) -> Option<IfName>;
}

/// A machine of the laboratory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Machine {
    pub(crate) name: &'static str,
    /// The interface of h1 behind which it is; none for h1 itself.
    pub(crate) interface: Option<&'static str>,
    pub(crate) v4: &'static str,
    pub(crate) v6: &'static str,
}

const fn machine(
    name: &'static str,
    interface: Option<&'static str>,
    v4: &'static str,
    v6: &'static str,
) -> Machine {
    Machine { name, interface, v4, v6 }
}

pub(crate) const MACHINES: [Machine; 6] = [
    machine("h1", None, "172.17.0.2", "fd17::2"),
    machine("W0", Some("cali0"), "10.65.0.10", "fd65::10"),
    machine("W1", Some("cali1"), "10.65.0.11", "fd65::11"),
    machine("W2", Some("cali2"), "10.65.0.12", "fd65::12"),
    machine("X", Some("eth0"), "172.17.0.9", "fd17::9"),
    machine("Y", Some("eth1"), "192.168.77.9", "fd77::9"),
];

/// The interfaces of h1 that are not workloads'.
pub(crate) const INTERFACES: [(&str, [&str; 2]); 2] =
    [("eth0", ["172.17.0.2", "fd17::2"]), ("eth1", ["192.168.77.2", "fd77::2"])];

/// A probe, read from its text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Probe {
    from: Machine,
    packet: Packet,
    /// Its arrival alone counts.
    once: bool,
}

/// What came of a packet at h1.
struct Passage {
    passed: bool,
    tracked: bool,
    packet: Packet,
}

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap_or_else(|_| panic!("an address: {text}"))
}

pub(crate) fn interface(name: &str) -> IfName {
    name.parse().unwrap_or_else(|_| panic!("an interface: {name}"))
}

fn machine_named(name: &str) -> Machine {
    *MACHINES.iter().find(|machine| machine.name == name).unwrap_or_else(|| panic!("a machine: {name}"))
}

/// The world of h1 with these records and parameters.
pub(crate) fn world(records: &margay_policy::evaluate::Records, settings: Settings) -> World {
    let interfaces = INTERFACES.map(|(name, addresses)| (interface(name), addresses.map(ip).to_vec()));
    World {
        records: std::sync::Arc::new(records.clone()),
        host: "h1".into(),
        interfaces: interfaces.into_iter().collect(),
        settings,
    }
}

/// The parameters that environment variables of the agent ask for.
pub(crate) fn settings<'a>(env: impl IntoIterator<Item = (&'a str, &'a str)>) -> Settings {
    let parameter = |(name, value): (&'a str, &'a str)| (name.strip_prefix("FELIX_").expect("FELIX_"), value);
    Settings::from_parameters(env.into_iter().map(parameter))
}

// === impl Probe ===

impl Probe {
    /// `FROM>TO[@ADDRESS] [v6] KIND [sport=N] [src=A] [type=N code=N] [dnat=A:N] [ct=STATE]`
    pub(crate) fn parse(text: &str) -> Self {
        let mut words = text.split(' ');
        let (from, to) = words.next().and_then(|word| word.split_once('>')).expect("FROM>TO");
        let (to, address) = to.split_once('@').map_or((to, None), |(to, address)| (to, Some(address)));
        let (from, to) = (machine_named(from), machine_named(to));
        let rest: Vec<&str> = words.collect();
        let v6 = rest.contains(&"v6");
        let of = |machine: Machine| ip(if v6 { machine.v6 } else { machine.v4 });
        let option = |name: &str| rest.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        let number = |name: &str| option(name).map(|text| text.parse::<u16>().expect("a number"));
        let byte = |name: &str| option(name).map(|text| text.parse::<u8>().expect("a number"));

        let destination = address.map_or_else(|| of(to), ip);
        let source = option("src").map_or_else(|| source_of(from, of(from), destination), ip);
        let kind = rest.iter().find(|word| **word != "v6" && !word.contains('=')).expect("a kind");
        let (word, value) = kind.split_once(':').unwrap_or((kind, ""));
        let port = || value.parse::<u16>().expect("a port");
        let mut packet = match word {
            "tcp" => Packet::tcp(source, destination, port()),
            "udp" => Packet::udp(source, destination, port()),
            "icmp" => Packet::ping(source, destination),
            "proto" => Packet::new(source, destination, value.parse().expect("a protocol")),
            other => panic!("a kind: {other}"),
        };
        if let (Some(source), Some((_, destination))) = (number("sport"), packet.ports) {
            packet.ports = Some((source, destination));
        }
        if let Some(kind) = byte("type") {
            packet.icmp = Some(Icmp { kind, code: byte("code").unwrap_or_default() });
        }
        if let Some((address, port)) = option("dnat").and_then(|text| text.rsplit_once(':')) {
            packet.translated = Some((ip(address), Some(port.parse().expect("a port"))));
        }
        packet.tracking = match option("ct") {
            None => first_state(&packet),
            Some("established") => Tracking::Established,
            Some("related") => Tracking::Related,
            Some("invalid") => Tracking::Invalid,
            Some(other) => panic!("a state: {other}"),
        };
        let once = word == "proto" || ["src", "type", "ct"].iter().any(|name| option(name).is_some());
        Self { from, packet, once }
    }

    /// Whether it arrives and, where that counts, the answer comes back; and whether the request was tracked.
    pub(crate) fn play(&self, judge: &impl Judge) -> (bool, bool) {
        let request = pass(judge, self.from, &self.packet);
        if self.once || !request.passed {
            return (request.passed, request.tracked);
        }
        let answer = answer(&request);
        let back = pass(judge, machine_at(judge, answer.source), &answer);
        let mut passed = back.passed;
        if passed && self.packet.protocol == protocol::TCP {
            let tracking = match (request.tracked, back.tracked) {
                (true, true) => Tracking::Established,
                // The tracker saw the first packet alone: an acknowledgement does not follow on that.
                (true, false) => Tracking::Invalid,
                (false, _) => Tracking::New,
            };
            passed = pass(judge, self.from, &Packet { tracking, ..self.packet }).passed;
        }
        (passed, request.tracked)
    }

    /// What the evaluator says of the request.
    pub(crate) fn explain(&self, world: &World) -> Evaluation {
        let (_, path) = way(world, self.from, &self.packet);
        world.evaluate(&self.packet, &path)
    }
}

/// h1 sends from the address of the interface that it sends by.
fn source_of(from: Machine, own: IpAddr, destination: IpAddr) -> IpAddr {
    let by_eth1 = from.interface.is_none() && outside(destination) == "eth1";
    match (by_eth1, own) {
        (true, IpAddr::V4(_)) => ip("192.168.77.2"),
        (true, IpAddr::V6(_)) => ip("fd77::2"),
        (false, own) => own,
    }
}

/// The kernel tracks no neighbour discovery and group membership.
fn first_state(packet: &Packet) -> Tracking {
    let untracked = packet.protocol == protocol::ICMPV6
        && packet.icmp.is_some_and(|icmp| matches!(icmp.kind, 130..=136 | 143));
    if untracked { Tracking::Untracked } else { Tracking::New }
}

/// The interface of h1 towards an address that is not on it.
fn outside(address: IpAddr) -> &'static str {
    let eth1 = match address {
        IpAddr::V4(address) => address.octets()[..3] == [192, 168, 77],
        IpAddr::V6(address) => address.segments()[0] == 0xfd77,
    };
    if eth1 { "eth1" } else { "eth0" }
}

pub(crate) fn is_h1(address: IpAddr) -> bool {
    INTERFACES.iter().any(|(_, addresses)| addresses.map(ip).contains(&address))
}

/// The machine that sends an answer from an address.
fn machine_at(judge: &impl Judge, address: IpAddr) -> Machine {
    if is_h1(address) {
        return machine_named("h1");
    }
    let name =
        judge.interface_of(address).map_or_else(|| outside(address).to_owned(), |name| name.to_string());
    *MACHINES.iter().find(|machine| machine.interface == Some(&name)).expect("a machine behind it")
}

/// The way of a packet through h1, and the packet after translation.
fn way(judge: &impl Judge, from: Machine, packet: &Packet) -> (Packet, Path) {
    // An answer finds its way back by what the tracker remembers.
    let after = if packet.tracking == Tracking::Established { *packet } else { judge.translate(packet) };
    let to = (!is_h1(after.destination)).then(|| {
        judge.interface_of(after.destination).unwrap_or_else(|| interface(outside(after.destination)))
    });
    let path = match (from.interface, to) {
        (Some(from), None) => Path::ToHost { from: interface(from) },
        (Some(from), Some(to)) => Path::Through { from: interface(from), to },
        (None, Some(to)) => Path::FromHost { to },
        (None, None) => panic!("a probe from h1 to itself"),
    };
    (after, path)
}

fn pass(judge: &impl Judge, from: Machine, packet: &Packet) -> Passage {
    let (after, path) = way(judge, from, packet);
    let (verdict, tracked) = judge.judge(packet, &path);
    Passage { passed: verdict != Verdict::Drop, tracked, packet: after }
}

/// The first answer to a request that arrived.
fn answer(request: &Passage) -> Packet {
    let Packet { source, destination, protocol, ports, icmp, .. } = request.packet;
    let tracking = match (request.tracked, protocol) {
        (true, _) => Tracking::Established,
        (false, protocol::UDP) => Tracking::New,
        (false, _) => Tracking::Invalid,
    };
    let icmp = icmp.map(|icmp| Icmp { kind: if icmp.kind == 8 { 0 } else { 129 }, ..icmp });
    Packet {
        source: destination,
        destination: source,
        protocol,
        ports: ports.map(|(from, to)| (to, from)),
        icmp,
        tracking,
        translated: None,
    }
}

impl Judge for World {
    fn judge(&self, packet: &Packet, path: &Path) -> (Verdict, bool) {
        let evaluation = self.evaluate(packet, path);
        (evaluation.verdict, evaluation.tracked)
    }

    fn translate(&self, packet: &Packet) -> Packet {
        World::translate(self, packet)
    }

    fn interface_of(&self, address: IpAddr) -> Option<IfName> {
        World::interface_of(self, address)
    }
}
