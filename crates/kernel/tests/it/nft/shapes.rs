//! Every shape of statement, beside the words by which the `nft` tool makes the same rule.

use margay_kernel::nft::{
    AddressKind, AnonymousSet, ChainKind, CtState, CtStatus, Direction, Field, Fields, Hook, Key, Limit,
    Load, LogLevel, LogTarget, Nat, NatKind, NatTarget, Op, Reject, Rule, Statement, Unit, Value, Verdict,
};
use margay_net::IpVersion;

use super::build::{accept, goto, iface, jump, named, protocol, rule, v4, v6};

/// A base chain and what can stand in it.
pub(crate) struct Place {
    pub(crate) name: &'static str,
    pub(crate) kind: ChainKind,
    pub(crate) hook: Hook,
    pub(crate) priority: i32,
    /// How the tool writes the priority.
    pub(crate) priority_word: &'static str,
    /// The tool's words, and the rule.
    pub(crate) rules: Vec<(&'static str, Rule)>,
}

/// The sets and maps that the rules name, in the tool's words.
pub(crate) const SETS: &str = "
map m { type ifname : verdict; }
map cts { type ct_state : verdict; elements = { established : accept, related : accept, invalid : drop }; }
set fs { type inet_proto . inet_service; elements = { tcp . 22, udp . 68 }; }
set src4 { type ifname . ipv4_addr; }
set src6 { type ifname . ipv6_addr; }
set nets4 { type ipv4_addr; flags interval; elements = { 10.0.0.0/8, 192.168.0.1 }; }
set s6 { type ipv6_addr; elements = { fd00::1 }; }
map fip { type ipv4_addr : ipv4_addr; elements = { 1.2.3.4 : 10.0.0.1 }; }
map hair { type ipv4_addr . ipv4_addr : ipv4_addr; }
map fip6 { type ipv6_addr : ipv6_addr; }
chain x { }
";

/// Places and rules that together have every kind of statement.
pub(crate) fn all() -> Vec<Place> {
    let place = |name, kind, hook, priority, priority_word, rules| Place {
        name,
        kind,
        hook,
        priority,
        priority_word,
        rules,
    };
    let filter = [interfaces(), headers(), ports(), icmp(), connections(), lookups(), outcomes()].concat();
    vec![
        place("raw_pre", ChainKind::Filter, Hook::Prerouting, -300, "raw", [marks(), routes()].concat()),
        place("in_from", ChainKind::Filter, Hook::Input, -2, "filter - 2", filter),
        place("nat_pre", ChainKind::Nat, Hook::Prerouting, -100, "dstnat", destinations()),
        place("nat_post", ChainKind::Nat, Hook::Postrouting, 99, "srcnat - 1", sources()),
    ]
}

fn interfaces() -> Vec<(&'static str, Rule)> {
    let cali = "cali".parse().expect("a prefix");
    let tap: margay_kernel::nft::IfPrefix = "tap".parse().expect("a prefix");
    let both: AnonymousSet = AnonymousSet::of_ranges(
        Field::IfName,
        [cali, tap].map(|prefix: margay_kernel::nft::IfPrefix| {
            let range = prefix.range();
            (range.key, range.last.expect("a range"))
        }),
    );
    let exact = AnonymousSet::of(Field::IfName.into(), [iface("eth0").into(), iface("eth1").into()]);
    vec![
        (
            "iifname \"eth0\" accept",
            rule([Statement::Compare(Load::IifName, Op::Eq, iface("eth0")), accept()]),
        ),
        ("oifname != \"eth0\"", rule([Statement::Compare(Load::OifName, Op::Ne, iface("eth0"))])),
        (
            "iifname \"cali*\" goto x",
            rule([Statement::IfPrefix(Load::IifName, Op::Eq, cali), Statement::Verdict(goto("x"))]),
        ),
        ("iifname != \"cali*\" accept", rule([Statement::IfPrefix(Load::IifName, Op::Ne, cali), accept()])),
        (
            "iifname { \"cali*\", \"tap*\" } accept",
            rule([Statement::within([Load::IifName], both.into()), accept()]),
        ),
        (
            "iifname { \"eth0\", \"eth1\" } accept",
            rule([Statement::within([Load::IifName], exact.into()), accept()]),
        ),
    ]
}

fn marks() -> Vec<(&'static str, Rule)> {
    const BIT: u32 = 0x0100_0000;
    vec![
        ("meta mark set meta mark & 0xfeffffff", rule([Statement::mark_clear(BIT)])),
        ("meta mark set meta mark | 0x01000000", rule([Statement::mark_set(BIT)])),
        ("meta mark set 0x10", rule([Statement::SetMark { and: 0, xor: 16 }])),
        ("meta mark & 0x01000000 != 0 accept", rule([Statement::Bits(Load::Mark, Op::Ne, BIT), accept()])),
        ("meta mark & 0x01000000 == 0 accept", rule([Statement::Bits(Load::Mark, Op::Eq, BIT), accept()])),
        (
            "meta mark & 0x0000ff00 == 0x100 accept",
            rule([Statement::Masked { mask: 0xff00, op: Op::Eq, value: 0x100 }, accept()]),
        ),
        ("meta mark 0x10 accept", rule([Statement::Compare(Load::Mark, Op::Eq, Value::Mark(16)), accept()])),
        ("notrack", rule([Statement::Notrack])),
    ]
}

fn routes() -> Vec<(&'static str, Rule)> {
    let local = |direction, op| Statement::AddressKind(direction, op, AddressKind::Local);
    vec![
        ("fib daddr type local accept", rule([local(Direction::Destination, Op::Eq), accept()])),
        ("fib saddr type != local accept", rule([local(Direction::Source, Op::Ne), accept()])),
        (
            "fib saddr . iif oif missing drop",
            rule([Statement::ReversePath(false), Statement::Verdict(Verdict::Drop)]),
        ),
        ("fib saddr . iif oif exists accept", rule([Statement::ReversePath(true), accept()])),
    ]
}

fn headers() -> Vec<(&'static str, Rule)> {
    let net = |load, op, net: &str| Statement::Net(load, op, net.parse().expect("a network"));
    let v4_nets = AnonymousSet::of_nets(
        IpVersion::V4,
        ["10.0.0.0/9", "1.2.3.4/32"].map(|net| net.parse().expect("a network")),
    );
    let v6_nets = AnonymousSet::of_nets(
        IpVersion::V6,
        ["fd00::/7", "::1/128"].map(|net| net.parse().expect("a network")),
    );
    vec![
        ("meta nfproto ipv6 accept", rule([v6(), accept()])),
        ("meta l4proto != tcp accept", rule([Statement::protocol(Op::Ne, 6), accept()])),
        (
            "meta l4proto 4 ip saddr 10.0.0.1 accept",
            rule([protocol(4), v4(), net(Load::Saddr4, Op::Eq, "10.0.0.1/32"), accept()]),
        ),
        ("ip saddr 10.0.0.0/8 accept", rule([v4(), net(Load::Saddr4, Op::Eq, "10.0.0.0/8"), accept()])),
        ("ip daddr != 10.0.0.0/9 accept", rule([v4(), net(Load::Daddr4, Op::Ne, "10.0.0.0/9"), accept()])),
        ("ip6 saddr fe80::/10 accept", rule([v6(), net(Load::Saddr6, Op::Eq, "fe80::/10"), accept()])),
        ("ip6 daddr != fd00::/8 accept", rule([v6(), net(Load::Daddr6, Op::Ne, "fd00::/8"), accept()])),
        (
            "ip6 saddr :: drop",
            rule([v6(), net(Load::Saddr6, Op::Eq, "::/128"), Statement::Verdict(Verdict::Drop)]),
        ),
        (
            "ip saddr { 10.0.0.0/9, 1.2.3.4 } accept",
            rule([v4(), Statement::within([Load::Saddr4], v4_nets.clone().into()), accept()]),
        ),
        (
            "ip daddr != { 10.0.0.0/9, 1.2.3.4 } accept",
            rule([v4(), Statement::outside([Load::Daddr4], v4_nets.into()), accept()]),
        ),
        (
            "ip6 saddr { fd00::/7, ::1 } accept",
            rule([v6(), Statement::within([Load::Saddr6], v6_nets.into()), accept()]),
        ),
    ]
}

fn ports() -> Vec<(&'static str, Rule)> {
    let port = |load, op, port| Statement::Compare(load, op, Value::Port(port));
    let range = |op| Statement::Range(Load::Dport, op, Value::Port(80), Value::Port(90));
    let several = AnonymousSet::of_ports([(80, 80), (8055, 8055), (9000, 9010)]);
    let pairs = [(68, 67), (546, 547)].map(|(from, to)| Key::new([Value::Port(from), Value::Port(to)]));
    let pairs = AnonymousSet::of(Fields::new([Field::InetService, Field::InetService]), pairs);
    let protocols = [6, 17].map(|number| Key::from(Value::Protocol(number)));
    let protocols = AnonymousSet::of(Field::InetProto.into(), protocols);
    vec![
        ("tcp dport 80 accept", rule([protocol(6), port(Load::Dport, Op::Eq, 80), accept()])),
        ("udp sport != 68 accept", rule([protocol(17), port(Load::Sport, Op::Ne, 68), accept()])),
        ("sctp dport 36412 accept", rule([protocol(132), port(Load::Dport, Op::Eq, 36412), accept()])),
        ("tcp dport 80-90 accept", rule([protocol(6), range(Op::Eq), accept()])),
        ("tcp dport != 80-90 accept", rule([protocol(6), range(Op::Ne), accept()])),
        (
            "tcp dport { 80, 8055, 9000-9010 } accept",
            rule([protocol(6), Statement::within([Load::Dport], several.clone().into()), accept()]),
        ),
        (
            "tcp dport != { 80, 8055, 9000-9010 } accept",
            rule([protocol(6), Statement::outside([Load::Dport], several.into()), accept()]),
        ),
        (
            "udp sport . udp dport { 68 . 67, 546 . 547 } accept",
            rule([protocol(17), Statement::within([Load::Sport, Load::Dport], pairs.into()), accept()]),
        ),
        (
            "meta l4proto { tcp, udp } accept",
            rule([Statement::within([Load::L4Proto], protocols.clone().into()), accept()]),
        ),
        (
            "meta l4proto != { tcp, udp } accept",
            rule([Statement::outside([Load::L4Proto], protocols.into()), accept()]),
        ),
    ]
}

fn icmp() -> Vec<(&'static str, Rule)> {
    let message = |version, op, kind, code| Statement::Icmp { version, op, kind, code };
    let types = [133, 135].map(|kind| Key::from(Value::Icmp6Type(kind)));
    let types = AnonymousSet::of(Field::Icmp6Type.into(), types);
    let pair = Key::new([Value::IcmpType(8), Value::IcmpCode(0)]);
    let pairs = AnonymousSet::of(Fields::new([Field::IcmpType, Field::IcmpCode]), [pair]);
    vec![
        (
            "meta l4proto icmp icmp type echo-request accept",
            rule([protocol(1), message(IpVersion::V4, Op::Eq, 8, None), accept()]),
        ),
        (
            "meta l4proto icmp icmp type != 8 accept",
            rule([protocol(1), message(IpVersion::V4, Op::Ne, 8, None), accept()]),
        ),
        (
            "meta l4proto icmp icmp type 3 icmp code 1 accept",
            rule([protocol(1), message(IpVersion::V4, Op::Eq, 3, Some(1)), accept()]),
        ),
        (
            "meta l4proto ipv6-icmp icmpv6 type 128 icmpv6 code 0 accept",
            rule([protocol(58), message(IpVersion::V6, Op::Eq, 128, Some(0)), accept()]),
        ),
        (
            "meta l4proto ipv6-icmp icmpv6 type { 133, 135 } accept",
            rule([protocol(58), Statement::within([Load::Icmp6Type], types.into()), accept()]),
        ),
        (
            "meta l4proto icmp icmp type . icmp code != { 8 . 0 } accept",
            rule([protocol(1), Statement::outside([Load::IcmpType, Load::IcmpCode], pairs.into()), accept()]),
        ),
        // The tool has no words for what we say here with one comparison.
        (
            "meta l4proto icmp @th,0,16 != 0x0301 accept",
            rule([protocol(1), message(IpVersion::V4, Op::Ne, 3, Some(1)), accept()]),
        ),
    ]
}

fn connections() -> Vec<(&'static str, Rule)> {
    let state = |state| Key::from(Value::CtState(state));
    let states = AnonymousSet::verdicts(
        Field::CtState.into(),
        [
            (state(CtState::ESTABLISHED), Verdict::Accept),
            (state(CtState::RELATED), Verdict::Accept),
            (state(CtState::INVALID), Verdict::Drop),
        ],
    );
    vec![
        (
            "ct state established,related accept",
            rule([Statement::ct_state(CtState::ESTABLISHED | CtState::RELATED), accept()]),
        ),
        (
            "ct state vmap { established : accept, related : accept, invalid : drop }",
            rule([Statement::VerdictMap(vec![Load::CtState], states.into())]),
        ),
        ("ct state vmap @cts", rule([Statement::VerdictMap(vec![Load::CtState], named("cts"))])),
        ("ct status dnat accept", rule([Statement::ct_status(CtStatus::DNAT), accept()])),
    ]
}

fn lookups() -> Vec<(&'static str, Rule)> {
    let within = |loads: &[Load], set| Statement::Lookup(loads.to_vec(), Op::Eq, named(set));
    vec![
        ("iifname vmap @m", rule([Statement::VerdictMap(vec![Load::IifName], named("m"))])),
        ("meta l4proto . th dport @fs accept", rule([within(&[Load::L4Proto, Load::Dport], "fs"), accept()])),
        ("meta l4proto . th sport @fs accept", rule([within(&[Load::L4Proto, Load::Sport], "fs"), accept()])),
        (
            "iifname . ip saddr @src4 accept",
            rule([v4(), within(&[Load::IifName, Load::Saddr4], "src4"), accept()]),
        ),
        (
            "iifname . ip6 saddr @src6 accept",
            rule([v6(), within(&[Load::IifName, Load::Saddr6], "src6"), accept()]),
        ),
        ("ip saddr @nets4 accept", rule([v4(), within(&[Load::Saddr4], "nets4"), accept()])),
        (
            "ip saddr != @nets4 accept",
            rule([v4(), Statement::outside([Load::Saddr4], named("nets4")), accept()]),
        ),
        ("ip6 daddr @s6 accept", rule([v6(), within(&[Load::Daddr6], "s6"), accept()])),
    ]
}

fn outcomes() -> Vec<(&'static str, Rule)> {
    let limit = |rate, per, burst, over| Statement::Limit(Limit { rate, per, burst, over });
    let log = |target, prefix: &str| Statement::Log(target, prefix.into());
    vec![
        (
            "limit rate 10/second burst 5 packets log prefix \"calico-packet: \" level notice",
            rule([
                limit(10, Unit::Second, 5, false),
                log(LogTarget::Kernel(LogLevel::Notice), "calico-packet: "),
            ]),
        ),
        (
            "limit rate over 7/minute burst 9 packets drop",
            rule([limit(7, Unit::Minute, 9, true), Statement::Verdict(Verdict::Drop)]),
        ),
        ("log prefix \"x\"", rule([log(LogTarget::Kernel(LogLevel::Warning), "x")])),
        ("log level debug", rule([log(LogTarget::Kernel(LogLevel::Debug), "")])),
        (
            "log prefix \"y\" group 7 snaplen 128",
            rule([log(LogTarget::Group { group: 7, snaplen: 128 }, "y")]),
        ),
        (
            "drop comment \"end of tier\"",
            rule([Statement::Verdict(Verdict::Drop)]).with_comment("end of tier"),
        ),
        ("jump x", rule([Statement::Verdict(jump("x"))])),
        ("continue", rule([Statement::Verdict(Verdict::Continue)])),
        ("return", rule([Statement::Verdict(Verdict::Return)])),
        ("meta l4proto tcp reject with tcp reset", rule([protocol(6), Statement::Reject(Reject::TcpReset)])),
        ("reject with icmpx type no-route", rule([Statement::Reject(Reject::NoRoute)])),
        ("reject with icmpx type port-unreachable", rule([Statement::Reject(Reject::Port)])),
        ("reject with icmpx type host-unreachable", rule([Statement::Reject(Reject::Host)])),
        ("reject with icmpx type admin-prohibited", rule([Statement::Reject(Reject::Prohibited)])),
        ("counter", rule([Statement::Counter])),
    ]
}

fn destinations() -> Vec<(&'static str, Rule)> {
    let dnat = |version, to| Statement::Nat(Nat { kind: NatKind::Destination, version, to });
    let address = |text: &str, port| NatTarget::Address(text.parse().expect("an address"), port);
    vec![
        (
            "dnat ip to ip daddr map @fip",
            rule([v4(), dnat(IpVersion::V4, NatTarget::Map(vec![Load::Daddr4], named("fip")))]),
        ),
        (
            "dnat ip6 to ip6 daddr map @fip6",
            rule([v6(), dnat(IpVersion::V6, NatTarget::Map(vec![Load::Daddr6], named("fip6")))]),
        ),
        (
            "meta l4proto tcp dnat ip to 1.2.3.4:8775",
            rule([protocol(6), dnat(IpVersion::V4, address("1.2.3.4", Some(8775)))]),
        ),
        ("dnat ip6 to fd00::1", rule([dnat(IpVersion::V6, address("fd00::1", None))])),
        (
            "meta l4proto tcp dnat ip6 to [fd00::1]:80",
            rule([protocol(6), dnat(IpVersion::V6, address("fd00::1", Some(80)))]),
        ),
    ]
}

fn sources() -> Vec<(&'static str, Rule)> {
    let snat = |to| Statement::Nat(Nat { kind: NatKind::Source, version: IpVersion::V4, to });
    vec![
        (
            "snat ip to ip saddr . ip daddr map @hair",
            rule([v4(), snat(NatTarget::Map(vec![Load::Saddr4, Load::Daddr4], named("hair")))]),
        ),
        (
            "snat ip to 1.2.3.4",
            rule([snat(NatTarget::Address("1.2.3.4".parse().expect("an address"), None))]),
        ),
        ("masquerade", rule([Statement::Masquerade { random_fully: false, ports: None }])),
        ("masquerade fully-random", rule([Statement::Masquerade { random_fully: true, ports: None }])),
        (
            "meta l4proto tcp masquerade to :1024-65535 fully-random",
            rule([protocol(6), Statement::Masquerade { random_fully: true, ports: Some((1024, 65535)) }]),
        ),
        (
            "ip saddr @nets4 ip daddr != @nets4 masquerade",
            rule([
                v4(),
                Statement::within([Load::Saddr4], named("nets4")),
                Statement::outside([Load::Daddr4], named("nets4")),
                Statement::Masquerade { random_fully: false, ports: None },
            ]),
        ),
    ]
}
