//! A machine that walks the rules of a table as the kernel does: what is rendered must mean what the records mean.
//!
//! It reads a listing of the table, of the fake or of the kernel, and knows nothing of how it was made.

use std::net::IpAddr;

use margay_kernel::nft::{
    AddressKind, ChainKind, Contents, CtState, Data, Direction, Element, Hook, Key, Load, Name, Nat,
    NatTarget, Op, SetRef, Statement, Value, Verdict,
};
use margay_net::{IfName, IpVersion};
use margay_policy::evaluate::{Packet, Path, Tracking};

/// A packet on its way.
#[derive(Debug, Clone, Copy)]
struct Flow {
    packet: Packet,
    iif: Option<IfName>,
    oif: Option<IfName>,
    mark: u32,
}

/// How a chain ends.
#[derive(Debug, Clone, PartialEq, Eq)]
enum End {
    Accept,
    Drop,
    /// Behind the last rule, or by `return`.
    Fell,
}

/// What a statement does to the rule.
enum Step {
    On,
    No,
    End(Verdict),
    Translated,
}

/// A table, and the addresses of the host that it guards.
pub(crate) struct Walker<'a> {
    pub(crate) table: &'a Contents,
    pub(crate) local: &'a [IpAddr],
}

// === impl Walker ===

impl Walker<'_> {
    /// True when the table lets the packet pass, and whether its connection is tracked.
    pub(crate) fn passes(&self, packet: &Packet, path: &Path) -> (bool, bool) {
        let mut flow = Flow { packet: *packet, iif: None, oif: None, mark: 0 };
        let hooks: &[Hook] = match path {
            Path::ToHost { from } => {
                flow.iif = Some(*from);
                &[Hook::Prerouting, Hook::Input]
            }
            Path::Through { from, to } => {
                (flow.iif, flow.oif) = (Some(*from), Some(*to));
                &[Hook::Prerouting, Hook::Forward]
            }
            Path::FromHost { to } => {
                flow.oif = Some(*to);
                &[Hook::Output]
            }
        };
        for hook in hooks {
            // The way out is not known before the route is.
            let oif = if *hook == Hook::Prerouting { flow.oif.take() } else { None };
            let passed = self.hook(*hook, &mut flow);
            flow.oif = flow.oif.or(oif);
            if !passed {
                return (false, flow.packet.tracking != Tracking::Untracked);
            }
        }
        (true, flow.packet.tracking != Tracking::Untracked)
    }

    /// All base chains of a hook in their order; false = dropped.
    fn hook(&self, hook: Hook, flow: &mut Flow) -> bool {
        let mut bases: Vec<_> = self
            .table
            .chains
            .iter()
            .filter_map(|(name, chain)| chain.base.filter(|base| base.hook == hook).map(|base| (base, name)))
            .collect();
        bases.sort_by_key(|(base, _)| base.priority);
        for (base, name) in bases {
            if base.kind == ChainKind::Nat {
                // Somebody else's translation comes first in the stories that are told here.
                match flow.packet.translated.take().filter(|_| hook == Hook::Prerouting) {
                    Some((address, port)) => send_to(&mut flow.packet, address, port),
                    None => {
                        self.chain(name, flow, 0);
                    }
                }
            } else if self.chain(name, flow, 0) == End::Drop {
                return false;
            }
        }
        true
    }

    fn chain(&self, name: &Name, flow: &mut Flow, depth: usize) -> End {
        assert!(depth < 16, "the kernel would not jump deeper than {name}");
        let chain = self.table.chains.get(name).unwrap_or_else(|| panic!("there is a chain {name}"));
        for rule in &chain.rules {
            let rule = rule.rule.as_ref().unwrap_or_else(|| panic!("a rule of {name} was not understood"));
            for statement in rule.statements() {
                match self.statement(statement, flow) {
                    Step::On => continue,
                    Step::No => break,
                    Step::Translated => return End::Accept,
                    Step::End(Verdict::Accept) => return End::Accept,
                    Step::End(Verdict::Drop) => return End::Drop,
                    Step::End(Verdict::Return) => return End::Fell,
                    Step::End(Verdict::Continue) => break,
                    Step::End(Verdict::Goto(target)) => return self.chain(&target, flow, depth + 1),
                    Step::End(Verdict::Jump(target)) => match self.chain(&target, flow, depth + 1) {
                        End::Fell => break,
                        end => return end,
                    },
                }
            }
        }
        End::Fell
    }

    fn statement(&self, statement: &Statement, flow: &mut Flow) -> Step {
        let holds = |holds: bool, op: Op| if holds == (op == Op::Eq) { Step::On } else { Step::No };
        match statement {
            Statement::Compare(load, op, value) => match load_of(*load, flow) {
                Some(loaded) => holds(loaded == *value, *op),
                None => Step::No,
            },
            Statement::Range(load, op, first, last) => match load_of(*load, flow) {
                Some(loaded) => holds((*first..=*last).contains(&loaded), *op),
                None => Step::No,
            },
            Statement::Bits(load, op, mask) => {
                let bits = match load {
                    Load::Mark => flow.mark,
                    Load::CtState => state_of(flow).0,
                    _ => 0,
                };
                holds(bits & mask == 0, *op)
            }
            Statement::Net(load, op, net) => match load_of(*load, flow) {
                Some(Value::V4(address)) => holds(net.contains_ip(address), *op),
                Some(Value::V6(address)) => holds(net.contains_ip(address), *op),
                _ => Step::No,
            },
            Statement::IfPrefix(load, op, prefix) => match load_of(*load, flow) {
                Some(Value::IfName(name)) => holds(prefix.begins(&name), *op),
                _ => holds(false, *op),
            },
            Statement::Icmp { version, op, kind, code } => match flow.packet.icmp {
                Some(icmp) if flow.packet.version() == *version => {
                    holds(icmp.kind == *kind && code.is_none_or(|code| code == icmp.code), *op)
                }
                _ => Step::No,
            },
            Statement::Lookup(loads, op, set) => match key_of(loads, flow) {
                Some(values) => holds(self.find(set, &values).is_some(), *op),
                None => Step::No,
            },
            Statement::VerdictMap(loads, map) => {
                let found = key_of(loads, flow).and_then(|values| self.find(map, &values));
                match found {
                    Some(Element { data: Some(Data::Verdict(verdict)), .. }) => Step::End(verdict),
                    _ => Step::No,
                }
            }
            Statement::AddressKind(side, op, AddressKind::Local) => {
                let address = match side {
                    Direction::Source => flow.packet.source,
                    Direction::Destination => flow.packet.destination,
                };
                holds(self.local.contains(&address), *op)
            }
            Statement::Counter | Statement::Limit(_) | Statement::Log(..) => Step::On,
            Statement::Notrack => {
                flow.packet.tracking = Tracking::Untracked;
                Step::On
            }
            Statement::SetMark { and, xor } => {
                flow.mark = flow.mark & and ^ xor;
                Step::On
            }
            Statement::Nat(nat) => self.translate(nat, flow),
            Statement::Verdict(verdict) => Step::End(verdict.clone()),
            other => panic!("this machine does not know {other:?}"),
        }
    }

    fn translate(&self, nat: &Nat, flow: &mut Flow) -> Step {
        match &nat.to {
            NatTarget::Address(address, port) => send_to(&mut flow.packet, *address, *port),
            NatTarget::Map(loads, map) => {
                let found = key_of(loads, flow).and_then(|values| self.find(map, &values));
                let Some(Element { data: Some(Data::Values(key)), .. }) = found else { return Step::No };
                match key.values().next().flatten() {
                    Some(Value::V4(address)) => send_to(&mut flow.packet, address.into(), None),
                    Some(Value::V6(address)) => send_to(&mut flow.packet, address.into(), None),
                    other => panic!("an address, not {other:?}"),
                }
            }
        }
        Step::Translated
    }

    fn find(&self, set: &SetRef, values: &[Value]) -> Option<Element> {
        let within = |element: &Element| {
            let ends = |key: &Key| key.values().collect::<Option<Vec<Value>>>();
            let first = ends(&element.key)?;
            let last = element.last.as_ref().map_or(Some(first.clone()), ends)?;
            let inside = values
                .iter()
                .zip(first.iter().zip(&last))
                .all(|(value, (first, last))| first <= value && value <= last);
            inside.then(|| element.clone())
        };
        match set {
            SetRef::Anonymous(set) => set.elements().iter().find_map(within),
            SetRef::Named(name) => {
                let set = self.table.sets.get(name).unwrap_or_else(|| panic!("there is a set {name}"));
                set.elements().find_map(|element| within(&element))
            }
        }
    }
}

fn send_to(packet: &mut Packet, address: IpAddr, port: Option<u16>) {
    packet.destination = address;
    packet.ports = packet.ports.map(|(from, to)| (from, port.unwrap_or(to)));
}

fn key_of(loads: &[Load], flow: &Flow) -> Option<Vec<Value>> {
    loads.iter().map(|load| load_of(*load, flow)).collect()
}

fn state_of(flow: &Flow) -> CtState {
    match flow.packet.tracking {
        Tracking::New => CtState::NEW,
        Tracking::Established => CtState::ESTABLISHED,
        Tracking::Related => CtState::RELATED,
        Tracking::Invalid => CtState::INVALID,
        Tracking::Untracked => CtState::UNTRACKED,
    }
}

/// What the packet has there; none when it has no such thing.
fn load_of(load: Load, flow: &Flow) -> Option<Value> {
    let packet = &flow.packet;
    let v4 = packet.version() == IpVersion::V4;
    let address = |address: IpAddr, wanted: bool| (wanted == v4).then(|| Value::address(address));
    let icmp = |number: u8| packet.icmp.filter(|_| packet.protocol == number);
    match load {
        Load::IifName => flow.iif.map(Value::IfName),
        Load::OifName => flow.oif.map(Value::IfName),
        Load::Mark => Some(Value::Mark(flow.mark)),
        Load::NfProto => Some(Value::NfProto(packet.version())),
        Load::L4Proto => Some(Value::Protocol(packet.protocol)),
        Load::Saddr4 => address(packet.source, true),
        Load::Daddr4 => address(packet.destination, true),
        Load::Saddr6 => address(packet.source, false),
        Load::Daddr6 => address(packet.destination, false),
        Load::Sport => packet.ports.map(|(from, _)| Value::Port(from)),
        Load::Dport => packet.ports.map(|(_, to)| Value::Port(to)),
        Load::IcmpType => icmp(1).map(|icmp| Value::IcmpType(icmp.kind)),
        Load::IcmpCode => icmp(1).map(|icmp| Value::IcmpCode(icmp.code)),
        Load::Icmp6Type => icmp(58).map(|icmp| Value::Icmp6Type(icmp.kind)),
        Load::Icmp6Code => icmp(58).map(|icmp| Value::Icmp6Code(icmp.code)),
        Load::CtState => Some(Value::CtState(state_of(flow))),
        Load::CtStatus => None,
    }
}
