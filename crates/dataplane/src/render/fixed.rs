//! The chains and sets that every table has: functions of the configuration alone.

use std::net::{Ipv4Addr, Ipv6Addr};

use margay_kernel::nft::{
    AddressKind, AnonymousSet, Chain, ChainKind, CtState, DataType, Direction, Element, Features, Field,
    Fields, Hook, IfPrefix, Key, Load, Name, Nat, NatKind, NatTarget, Op, Set, SetRef, Statement, Table,
    TableId, Value, Verdict,
};
use margay_net::{Cidr, IpVersion};

use super::program::{self, of};
use super::{Builder, Rendered};
use crate::config::{Config, HostAction};
use crate::names::fixed;

/// The tunnel device between hosts.
pub(crate) const TUNNEL: &str = "tunl0";

/// What stands in the table's comment: another number makes an agent build the table anew.
const SCHEMA: &str = "margay schema 1";

/// What stands in the comment of the guard's table.
const GUARD: &str = "margay guard";

/// The sets and maps that every table has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum FixedSet {
    /// The programme of packets from a workload.
    WorkloadFrom,
    /// The programme of packets to a workload.
    WorkloadTo,
    /// The programme of packets into the host.
    HostIn,
    /// The programme of packets out of the host.
    HostOut,
    /// What a failsafe lets through the host, whatever the other side says.
    HostForward,
    /// The untracked programme of packets into the host.
    HostRawIn,
    /// The untracked programme of packets out of the host.
    HostRawOut,
    /// The preDNAT programme.
    HostPre,
    /// Which interface may send from which IPv4 address.
    Source4,
    /// Which interface may send from which IPv6 address.
    Source6,
    /// Which interface may send from which IPv4 network.
    SourceNet4,
    /// Which interface may send from which IPv6 network.
    SourceNet6,
    /// What a host endpoint never closes, into the host.
    FailsafeIn,
    /// What a host endpoint never closes, out of the host.
    FailsafeOut,
    /// The addresses of all hosts.
    Hosts4,
    /// All IPv4 pools.
    Pools4,
    /// All IPv6 pools.
    Pools6,
    /// The IPv4 pools whose traffic is masqueraded.
    Masquerade4,
    /// The IPv6 pools whose traffic is masqueraded.
    Masquerade6,
    /// Floating IPv4 addresses.
    Floating4,
    /// Floating IPv6 addresses.
    Floating6,
    /// The source of an endpoint that calls itself by its floating IPv4 address.
    Hairpin4,
    /// The same for IPv6.
    Hairpin6,
    /// One element: the digest of the whole table, and the generation as of which it holds.
    Seal,
}

/// A fixed chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FixedChain {
    /// Its declaration.
    pub(crate) chain: Chain,
    /// Its rules.
    pub(crate) rendered: Rendered,
}

// === impl FixedSet ===

impl FixedSet {
    /// All of them.
    pub(crate) const ALL: [FixedSet; 24] = [
        Self::WorkloadFrom,
        Self::WorkloadTo,
        Self::HostIn,
        Self::HostOut,
        Self::HostForward,
        Self::HostRawIn,
        Self::HostRawOut,
        Self::HostPre,
        Self::Source4,
        Self::Source6,
        Self::SourceNet4,
        Self::SourceNet6,
        Self::FailsafeIn,
        Self::FailsafeOut,
        Self::Hosts4,
        Self::Pools4,
        Self::Pools6,
        Self::Masquerade4,
        Self::Masquerade6,
        Self::Floating4,
        Self::Floating6,
        Self::Hairpin4,
        Self::Hairpin6,
        Self::Seal,
    ];

    fn text(self) -> &'static str {
        match self {
            Self::WorkloadFrom => "wl_from",
            Self::WorkloadTo => "wl_to",
            Self::HostIn => "hep_in",
            Self::HostOut => "hep_out",
            Self::HostForward => "hep_fwd",
            Self::HostRawIn => "hep_raw_in",
            Self::HostRawOut => "hep_raw_out",
            Self::HostPre => "hep_pre",
            Self::Source4 => "src4",
            Self::Source6 => "src6",
            Self::SourceNet4 => "src4n",
            Self::SourceNet6 => "src6n",
            Self::FailsafeIn => "fs_in",
            Self::FailsafeOut => "fs_out",
            Self::Hosts4 => "hosts4",
            Self::Pools4 => "pools4",
            Self::Pools6 => "pools6",
            Self::Masquerade4 => "masq4",
            Self::Masquerade6 => "masq6",
            Self::Floating4 => "fip_in4",
            Self::Floating6 => "fip_in6",
            Self::Hairpin4 => "fip_hair4",
            Self::Hairpin6 => "fip_hair6",
            Self::Seal => "seal",
        }
    }

    /// Its name.
    pub(crate) fn name(self) -> Name {
        fixed(self.text())
    }

    /// The set of that name.
    pub(crate) fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|set| set.text() == name)
    }

    /// Its declaration.
    pub(crate) fn declaration(self) -> Set {
        use Field::{IfName, InetProto, InetService, Ipv4Addr, Ipv6Addr};
        let name = self.name();
        match self {
            Self::WorkloadFrom
            | Self::WorkloadTo
            | Self::HostIn
            | Self::HostOut
            | Self::HostForward
            | Self::HostRawIn
            | Self::HostRawOut
            | Self::HostPre => Set::map(name, Fields::from(IfName), DataType::Verdict),
            Self::Source4 => Set::of(name, Fields::new([IfName, Ipv4Addr])),
            Self::Source6 => Set::of(name, Fields::new([IfName, Ipv6Addr])),
            Self::SourceNet4 => Set::of_ranges(name, Fields::new([IfName, Ipv4Addr])),
            Self::SourceNet6 => Set::of_ranges(name, Fields::new([IfName, Ipv6Addr])),
            Self::FailsafeIn | Self::FailsafeOut => Set::of(name, Fields::new([InetProto, InetService])),
            Self::Hosts4 => Set::of(name, Fields::from(Ipv4Addr)),
            Self::Seal => Set::of(name, Fields::new([Field::Mark; 4])),
            Self::Pools4 | Self::Masquerade4 => Set::of_ranges(name, Fields::from(Ipv4Addr)),
            Self::Pools6 | Self::Masquerade6 => Set::of_ranges(name, Fields::from(Ipv6Addr)),
            Self::Floating4 => {
                Set::map(name, Fields::from(Ipv4Addr), DataType::Values(Fields::from(Ipv4Addr)))
            }
            Self::Floating6 => {
                Set::map(name, Fields::from(Ipv6Addr), DataType::Values(Fields::from(Ipv6Addr)))
            }
            Self::Hairpin4 => {
                Set::map(name, Fields::new([Ipv4Addr, Ipv4Addr]), DataType::Values(Fields::from(Ipv4Addr)))
            }
            Self::Hairpin6 => {
                Set::map(name, Fields::new([Ipv6Addr, Ipv6Addr]), DataType::Values(Fields::from(Ipv6Addr)))
            }
        }
    }

    /// True for sets that kernels before 5.6 can not have.
    pub(crate) fn needs_concatenated_ranges(self) -> bool {
        matches!(self, Self::SourceNet4 | Self::SourceNet6)
    }

    fn reference(self) -> SetRef {
        SetRef::Named(self.name())
    }
}

/// Our table.
pub(crate) fn table_id() -> TableId {
    TableId::inet(fixed("calico"))
}

/// Our table's declaration.
pub(crate) fn table() -> Table {
    Table { comment: Some(SCHEMA.into()), ..Table::new(table_id()) }
}

/// True for the comment of a table that this agent can go on with.
pub(crate) fn is_current(comment: Option<&str>) -> bool {
    comment == Some(SCHEMA)
}

/// The guard's table.
pub(crate) fn guard_table() -> Table {
    Table { comment: Some(GUARD.into()), ..Table::new(table_id()) }
}

/// Where packets of a host endpoint are looked at again on their way through the host.
pub(crate) fn forward_failsafe() -> Verdict {
    Verdict::Jump(fixed("fwd_failsafe"))
}

/// What the configuration puts into the failsafe sets.
pub(crate) fn failsafe_elements(config: &Config) -> Vec<(FixedSet, Element)> {
    let of = |set, list: &[crate::config::Failsafe]| {
        list.iter()
            .map(|entry| {
                (set, Element::point(Key::new([Value::Protocol(entry.protocol), Value::Port(entry.port)])))
            })
            .collect::<Vec<_>>()
    };
    let mut elements = of(FixedSet::FailsafeIn, &config.failsafe_in);
    elements.extend(of(FixedSet::FailsafeOut, &config.failsafe_out));
    elements
}

/// The packet is an ICMPv6 message of one of these types.
pub(crate) fn icmp6_types(types: &[u8]) -> Vec<Statement> {
    let keys = types.iter().map(|kind| Value::Icmp6Type(*kind).into());
    let set = AnonymousSet::of(Fields::from(Field::Icmp6Type), keys);
    of(IpVersion::V6, [Statement::protocol(Op::Eq, 58), Statement::within([Load::Icmp6Type], set.into())])
}

// === chains ===

/// Fixed chains in the making.
struct Chains<'a> {
    config: &'a Config,
    features: Features,
    list: Vec<FixedChain>,
}

/// All fixed chains.
pub(crate) fn chains(config: &Config, features: Features) -> Vec<FixedChain> {
    let mut chains = Chains { config, features, list: Vec::new() };
    chains.before_tracking();
    chains.towards_host();
    chains.through_the_host();
    chains.leaving_host();
    chains.translation();
    chains.list
}

/// The guard's chains: no new connection from or to a workload.
pub(crate) fn guard_chains(config: &Config, features: Features) -> Vec<FixedChain> {
    let mut chains = Chains { config, features, list: Vec::new() };
    chains.regular("guard_new", |chain, _| {
        chain.rule(vec![Statement::ct_state(CtState::ESTABLISHED | CtState::RELATED), ACCEPT], "");
        let mut discovery = icmp6_types(&WORKLOAD_ICMP6);
        discovery.push(ACCEPT);
        chain.rule(discovery, "");
        chain.drop("policy is not known yet");
    });
    chains.base("guard_in", ChainKind::Filter, Hook::Input, -2, |chain, config| {
        from_workload(chain, config, || Statement::Verdict(Verdict::Goto(fixed("guard_new"))));
    });
    chains.base("guard_fwd", ChainKind::Filter, Hook::Forward, -2, |chain, config| {
        from_workload(chain, config, || Statement::Verdict(Verdict::Goto(fixed("guard_new"))));
        to_workload(chain, config, || Statement::Verdict(Verdict::Goto(fixed("guard_new"))));
    });
    chains.list
}

const ACCEPT: Statement = Statement::Verdict(Verdict::Accept);

/// What a workload may always say to the router: listener reports, solicitations, neighbour advertisements.
const WORKLOAD_ICMP6: [u8; 6] = [130, 131, 132, 133, 135, 136];

/// One rule for each prefix of workload interfaces, for packets that came in by one.
fn from_workload(chain: &mut Builder, config: &Config, then: impl Fn() -> Statement) {
    by_prefix(chain, config, Load::IifName, then);
}

/// The same for packets that go out by one.
fn to_workload(chain: &mut Builder, config: &Config, then: impl Fn() -> Statement) {
    by_prefix(chain, config, Load::OifName, then);
}

fn by_prefix(chain: &mut Builder, config: &Config, load: Load, then: impl Fn() -> Statement) {
    for prefix in &config.prefixes {
        let prefix: IfPrefix = *prefix;
        chain.rule(vec![Statement::IfPrefix(load, Op::Eq, prefix), then()], "");
    }
}

fn goto(name: &'static str) -> impl Fn() -> Statement {
    move || Statement::Verdict(Verdict::Goto(fixed(name)))
}

fn accept() -> Statement {
    ACCEPT
}

fn by_interface(chain: &mut Builder, load: Load, map: FixedSet) {
    chain.rule(vec![Statement::VerdictMap(vec![load], map.reference())], "");
}

// === impl Chains ===

impl Chains<'_> {
    fn add(&mut self, chain: Chain, fill: impl FnOnce(&mut Builder, &Config)) {
        let mut builder = Builder::new(&chain.name);
        fill(&mut builder, self.config);
        self.list.push(FixedChain { chain, rendered: builder.finish() });
    }

    fn regular(&mut self, name: &'static str, fill: impl FnOnce(&mut Builder, &Config)) {
        self.add(Chain::regular(fixed(name)), fill);
    }

    fn base(
        &mut self,
        name: &'static str,
        kind: ChainKind,
        hook: Hook,
        priority: i32,
        fill: impl FnOnce(&mut Builder, &Config),
    ) {
        self.add(Chain::base(fixed(name), kind, hook, priority), fill);
    }

    /// `spec/policy.md` 7.1, 7.2 and 7.8.
    fn before_tracking(&mut self) {
        self.base("raw_pre", ChainKind::Filter, Hook::Prerouting, -300, |chain, config| {
            chain.rule(vec![Statement::mark_clear(config.mark)], "");
            from_workload(chain, config, goto("antispoof"));
            by_interface(chain, Load::IifName, FixedSet::HostRawIn);
        });
        self.base("raw_out", ChainKind::Filter, Hook::Output, -300, |chain, config| {
            chain.rule(vec![Statement::mark_clear(config.mark)], "");
            by_interface(chain, Load::OifName, FixedSet::HostRawOut);
        });
        self.base("mangle_pre", ChainKind::Filter, Hook::Prerouting, -150, |chain, config| {
            accepted_before(chain, config);
            from_workload(chain, config, accept);
            by_interface(chain, Load::IifName, FixedSet::HostPre);
        });
        let networks = self.features.concatenated_ranges;
        self.regular("antispoof", |chain, _| antispoof(chain, networks));
    }

    /// `spec/policy.md` 7.3.
    fn towards_host(&mut self) {
        self.base("in_from", ChainKind::Filter, Hook::Input, -2, |chain, config| {
            accepted_before(chain, config);
            if config.ipip.is_some() {
                let ipip = |rest: Vec<Statement>| {
                    of(IpVersion::V4, std::iter::once(Statement::protocol(Op::Eq, 4)).chain(rest))
                };
                let known = Statement::within([Load::Saddr4], FixedSet::Hosts4.reference());
                let here = Statement::AddressKind(Direction::Destination, Op::Eq, AddressKind::Local);
                chain.rule(ipip(vec![known, here, ACCEPT]), "IPIP from a host");
                let drop = Statement::Verdict(Verdict::Drop);
                chain.rule(ipip(vec![Statement::Counter, drop]), "IPIP from no host");
            }
            from_workload(chain, config, goto("in_wl"));
            by_interface(chain, Load::IifName, FixedSet::HostIn);
        });
        self.regular("in_wl", |chain, _| {
            chain.rule(vec![Statement::Verdict(Verdict::Jump(fixed("wl_exempt")))], "");
            chain.rule(vec![Statement::Verdict(Verdict::Goto(fixed("from_wl")))], "");
        });
        self.regular("from_wl", |chain, _| {
            by_interface(chain, Load::IifName, FixedSet::WorkloadFrom);
            chain.drop("unknown workload interface");
        });
        self.regular("wl_exempt", exempt);
        if self.config.endpoint_to_host == HostAction::Drop {
            self.base("in_action", ChainKind::Filter, Hook::Input, -1, |chain, config| {
                from_workload(chain, config, goto("to_host"));
            });
            self.regular("to_host", |chain, _| {
                chain.rule(vec![Statement::ct_state(CtState::ESTABLISHED | CtState::RELATED), ACCEPT], "");
                chain.rule(vec![Statement::Verdict(Verdict::Jump(fixed("wl_exempt")))], "");
                chain.drop("DefaultEndpointToHostAction");
            });
        }
    }

    /// `spec/policy.md` 7.4.
    fn through_the_host(&mut self) {
        self.base("fwd_from", ChainKind::Filter, Hook::Forward, -2, |chain, config| {
            from_workload(chain, config, goto("from_wl"));
            to_workload(chain, config, accept);
            let unmarked = Statement::Bits(Load::Mark, Op::Eq, config.mark);
            let policy = Statement::VerdictMap(vec![Load::IifName], FixedSet::HostIn.reference());
            chain.rule(vec![unmarked, policy], "");
        });
        self.base("fwd_to", ChainKind::Filter, Hook::Forward, -1, |chain, config| {
            to_workload(chain, config, goto("to_wl"));
            from_workload(chain, config, accept);
            // Upstream's failsafe ends the way through the host: the endpoint on the other side is not asked.
            let unmarked = Statement::Bits(Load::Mark, Op::Eq, config.mark);
            let failsafe = Statement::VerdictMap(vec![Load::IifName], FixedSet::HostForward.reference());
            chain.rule(vec![unmarked, failsafe], "");
            by_interface(chain, Load::OifName, FixedSet::HostOut);
        });
        self.regular("fwd_failsafe", |chain, config| {
            program::failsafe(chain, Load::Dport, FixedSet::FailsafeIn);
            program::neighbour_discovery(chain, config);
        });
        self.regular("to_wl", |chain, _| {
            by_interface(chain, Load::OifName, FixedSet::WorkloadTo);
            chain.drop("unknown workload interface");
        });
    }

    /// `spec/policy.md` 7.5.
    fn leaving_host(&mut self) {
        self.base("out_to", ChainKind::Filter, Hook::Output, -1, |chain, config| {
            accepted_before(chain, config);
            to_workload(chain, config, accept);
            if config.ipip.is_some() {
                let statements = of(
                    IpVersion::V4,
                    [
                        Statement::protocol(Op::Eq, 4),
                        Statement::within([Load::Daddr4], FixedSet::Hosts4.reference()),
                        Statement::AddressKind(Direction::Source, Op::Eq, AddressKind::Local),
                        ACCEPT,
                    ],
                );
                chain.rule(statements, "IPIP to a host");
            }
            by_interface(chain, Load::OifName, FixedSet::HostOut);
        });
    }

    /// `spec/agent.md` 8.
    fn translation(&mut self) {
        self.base("nat_pre", ChainKind::Nat, Hook::Prerouting, -100, |chain, config| {
            if let Some(metadata) = config.openstack.and_then(|openstack| openstack.metadata) {
                let well_known = Ipv4Addr::new(169, 254, 169, 254);
                let statements = of(
                    IpVersion::V4,
                    [
                        Statement::Compare(Load::Daddr4, Op::Eq, Value::V4(well_known)),
                        Statement::protocol(Op::Eq, 6),
                        Statement::Compare(Load::Dport, Op::Eq, Value::Port(80)),
                        Statement::Nat(Nat {
                            kind: NatKind::Destination,
                            version: IpVersion::V4,
                            to: NatTarget::Address(metadata.address.into(), Some(metadata.port)),
                        }),
                    ],
                );
                chain.rule(statements, "OpenStack metadata");
            }
            floating(chain);
        });
        self.base("nat_out", ChainKind::Nat, Hook::Output, -100, |chain, _| floating(chain));
        self.base("nat_post", ChainKind::Nat, Hook::Postrouting, 99, |chain, config| {
            hairpin(chain);
            masquerade(chain, config);
        });
    }
}

/// Accepts what an untracked or preDNAT policy has accepted.
fn accepted_before(chain: &mut Builder, config: &Config) {
    chain.rule(vec![Statement::Bits(Load::Mark, Op::Ne, config.mark), ACCEPT], "");
}

/// Only a workload's own addresses may be the source of what it sends (`spec/policy.md` 12, D17).
fn antispoof(chain: &mut Builder, networks: bool) {
    // A workload is no router: nobody shall believe its advertisements and redirects.
    let mut router = icmp6_types(&[134, 137]);
    router.extend([Statement::Counter, Statement::Verdict(Verdict::Drop)]);
    chain.rule(router, "router advertisement or redirect");
    let source = |version, set: FixedSet| {
        let load = Load::address(Direction::Source, version);
        of(version, [Statement::within([Load::IifName, load], set.reference()), ACCEPT])
    };
    chain.rule(source(IpVersion::V4, FixedSet::Source4), "");
    chain.rule(source(IpVersion::V6, FixedSet::Source6), "");
    let link_local = Cidr::new(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10).expect("10 is below 128");
    chain.rule(of(IpVersion::V6, [Statement::Net(Load::Saddr6, Op::Eq, link_local), ACCEPT]), "");
    // An interface without an address looks whether the one that it wants is free.
    let mut searching = icmp6_types(&[131, 133, 135, 143]);
    let nobody = Statement::Compare(Load::Saddr6, Op::Eq, Value::V6(Ipv6Addr::UNSPECIFIED));
    searching.extend([nobody, ACCEPT]);
    chain.rule(searching, "");
    let asking = of(
        IpVersion::V4,
        [
            Statement::Compare(Load::Saddr4, Op::Eq, Value::V4(Ipv4Addr::UNSPECIFIED)),
            Statement::Compare(Load::Daddr4, Op::Eq, Value::V4(Ipv4Addr::BROADCAST)),
            Statement::protocol(Op::Eq, 17),
            Statement::Compare(Load::Sport, Op::Eq, Value::Port(68)),
            Statement::Compare(Load::Dport, Op::Eq, Value::Port(67)),
            ACCEPT,
        ],
    );
    chain.rule(asking, "DHCP");
    if networks {
        chain.rule(source(IpVersion::V4, FixedSet::SourceNet4), "");
        chain.rule(source(IpVersion::V6, FixedSet::SourceNet6), "");
    }
    chain.drop("spoofed source");
}

/// What a workload may send to this host before its policy is asked (`spec/policy.md` 7.3, 7.6).
fn exempt(chain: &mut Builder, config: &Config) {
    let mut discovery = icmp6_types(&WORKLOAD_ICMP6);
    discovery.push(ACCEPT);
    chain.rule(discovery, "");
    let Some(openstack) = config.openstack else { return };
    let port = |load, port| Statement::Compare(load, Op::Eq, Value::Port(port));
    if let Some(metadata) = openstack.metadata {
        let statements = of(
            IpVersion::V4,
            [
                Statement::Compare(Load::Daddr4, Op::Eq, Value::V4(metadata.address)),
                Statement::protocol(Op::Eq, 6),
                port(Load::Dport, metadata.port),
                ACCEPT,
            ],
        );
        chain.rule(statements, "OpenStack metadata");
    }
    for (version, from, to) in [(IpVersion::V4, 68, 67), (IpVersion::V6, 546, 547)] {
        let udp = Statement::protocol(Op::Eq, 17);
        chain.rule(
            of(version, [udp, port(Load::Sport, from), port(Load::Dport, to), ACCEPT]),
            "OpenStack DHCP",
        );
    }
    chain.rule(vec![Statement::protocol(Op::Eq, 17), port(Load::Dport, 53), ACCEPT], "OpenStack DNS");
}

fn floating(chain: &mut Builder) {
    for (version, map) in [(IpVersion::V4, FixedSet::Floating4), (IpVersion::V6, FixedSet::Floating6)] {
        let to = NatTarget::Map(vec![Load::address(Direction::Destination, version)], map.reference());
        chain.rule(of(version, [Statement::Nat(Nat { kind: NatKind::Destination, version, to })]), "");
    }
}

fn hairpin(chain: &mut Builder) {
    for (version, map) in [(IpVersion::V4, FixedSet::Hairpin4), (IpVersion::V6, FixedSet::Hairpin6)] {
        let loads = [Direction::Source, Direction::Destination].map(|side| Load::address(side, version));
        let to = NatTarget::Map(loads.to_vec(), map.reference());
        chain.rule(of(version, [Statement::Nat(Nat { kind: NatKind::Source, version, to })]), "");
    }
}

fn masquerade(chain: &mut Builder, config: &Config) {
    let masquerade = || Statement::Masquerade { random_fully: false, ports: None };
    let families = [
        (IpVersion::V4, FixedSet::Masquerade4, FixedSet::Pools4),
        (IpVersion::V6, FixedSet::Masquerade6, FixedSet::Pools6),
    ];
    for (version, from, to) in families {
        let [source, destination] =
            [Direction::Source, Direction::Destination].map(|side| Load::address(side, version));
        let inside = Statement::within([source], from.reference());
        let outside = Statement::outside([destination], to.reference());
        chain.rule(of(version, [inside, outside, masquerade()]), "");
    }
    if let Some(address) = config.ipip.and_then(|ipip| ipip.address) {
        // What this host itself sends through the tunnel must carry the tunnel's address, or the answer goes around it.
        let tunnel = TUNNEL.parse().expect("five characters");
        let statements = of(
            IpVersion::V4,
            [
                Statement::oifname(Op::Eq, tunnel),
                Statement::Compare(Load::Saddr4, Op::Ne, Value::V4(address)),
                Statement::AddressKind(Direction::Source, Op::Eq, AddressKind::Local),
                masquerade(),
            ],
        );
        chain.rule(statements, "IPIP source");
    }
}
