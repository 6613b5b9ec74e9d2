//! Random worlds and packets: the evaluator on records and the interpreter on compiled intents give one verdict.

use std::net::IpAddr;

use margay_policy::evaluate::{EndpointToHost, Icmp, Packet, Path, Settings, Tracking, protocol};
use serde_json::{Map, Value, json};

use crate::interpreter::Machine;
use crate::lab::{self, Judge};
use crate::scratch::Both;

/// A small generator of numbers: a seed names a world for ever.
struct Dice(u64);

const LABELS: [&str; 4] = ["a", "b", "role", "t1"];
const VALUES: [&str; 3] = ["x", "y", ""];
const PROFILES: [&str; 4] = ["p0", "p1", "p2", "p3"];
const PORTS: [u16; 7] = [22, 53, 80, 81, 443, 4000, 9000];
const V4: [&str; 9] = [
    "10.65.0.10",
    "10.65.0.11",
    "10.65.0.12",
    "172.17.0.2",
    "172.17.0.9",
    "192.168.77.2",
    "192.168.77.9",
    "10.0.0.1",
    "10.66.0.1",
];
const V6: [&str; 9] =
    ["fd65::10", "fd65::11", "fd65::12", "fd17::2", "fd17::9", "fd77::2", "fd77::9", "fe80::1", "::"];
const NETS: [&str; 12] = [
    "10.65.0.10/31",
    "10.65.0.0/24",
    "10.0.0.0/8",
    "172.17.0.0/24",
    "192.168.77.9/32",
    "0.0.0.0/0",
    "128.0.0.0/1",
    "fd65::10/127",
    "fd65::/64",
    "fd17::9/128",
    "fd00::/8",
    "::/0",
];

// === impl Dice ===

impl Dice {
    fn next(&mut self) -> u64 {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).expect("below a usize")
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn pick<T: Clone>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())].clone()
    }

    /// Up to `most` of the list, repeats allowed.
    fn some(&mut self, list: &[&str], most: usize) -> Vec<String> {
        (0..self.below(most + 1)).map(|_| self.pick(list).to_owned()).collect()
    }
}

fn selector(dice: &mut Dice, depth: usize) -> String {
    let (key, value, other) = (dice.pick(&LABELS), dice.pick(&VALUES), dice.pick(&VALUES));
    match dice.below(if depth == 0 { 7 } else { 10 }) {
        0 => "all()".to_owned(),
        1 => format!("has({key})"),
        2 | 3 => format!("{key} == '{value}'"),
        4 => format!("{key} != '{value}'"),
        5 => format!("{key} in {{'{value}', '{other}'}}"),
        6 => format!("{key} not in {{'{value}', '{other}'}}"),
        7 => format!("!({})", selector(dice, depth - 1)),
        8 => format!("{} && {}", selector(dice, depth - 1), selector(dice, depth - 1)),
        _ => format!("({}) || {}", selector(dice, depth - 1), selector(dice, depth - 1)),
    }
}

fn port(dice: &mut Dice) -> Value {
    match dice.below(3) {
        0 => json!(format!("{}:{}", dice.pick(&[1, 22, 80]), dice.pick(&[80, 443, 65535]))),
        1 => json!(dice.pick(&PORTS).to_string()),
        _ => json!(dice.pick(&PORTS)),
    }
}

/// Puts a criterion in one case of `n`.
macro_rules! perhaps {
    ($dice:expr, $rule:expr, $n:expr, $name:expr, $value:expr) => {
        if $dice.one_in($n) {
            let value = $value;
            $rule.insert($name.to_owned(), json!(value));
        }
    };
}

fn rule(dice: &mut Dice) -> Value {
    let mut rule = Map::new();
    let actions = ["allow", "allow", "allow", "deny", "deny", "next-tier", "log", ""];
    rule.insert("action".to_owned(), json!(dice.pick(&actions)));
    perhaps!(dice, rule, 10, "ip_version", dice.pick(&[4, 6]));
    perhaps!(dice, rule, 12, "!protocol", dice.pick(&[json!("tcp"), json!("icmp"), json!(17), json!(58)]));
    let has_ports = dice.one_in(2);
    if has_ports {
        rule.insert("protocol".to_owned(), json!(dice.pick(&["tcp", "tcp", "udp"])));
    } else {
        let named = [json!("icmp"), json!("icmpv6"), json!(1), json!(58), json!("sctp"), json!(4)];
        perhaps!(dice, rule, 3, "protocol", dice.pick(&named));
    }
    perhaps!(dice, rule, 10, "icmp_type", dice.pick(&[8, 0, 128, 3]));
    perhaps!(dice, rule, 14, "icmp_code", dice.pick(&[0, 1]));
    perhaps!(dice, rule, 14, "!icmp_type", dice.pick(&[8, 128]));
    perhaps!(dice, rule, 20, "!icmp_code", dice.pick(&[0, 1]));
    for side in ["src", "dst"] {
        perhaps!(dice, rule, 5, format!("{side}_nets"), dice.some(&NETS, 3));
        perhaps!(dice, rule, 12, format!("{side}_net"), dice.pick(&NETS));
        perhaps!(dice, rule, 8, format!("!{side}_nets"), dice.some(&NETS, 2));
        perhaps!(dice, rule, 4, format!("{side}_selector"), selector(dice, 2));
        perhaps!(dice, rule, 9, format!("!{side}_selector"), selector(dice, 1));
        perhaps!(dice, rule, 9, format!("{side}_tag"), dice.pick(&LABELS));
        perhaps!(dice, rule, 14, format!("!{side}_tag"), dice.pick(&LABELS));
        if has_ports {
            let ports: Vec<Value> = (0..dice.below(3)).map(|_| port(dice)).collect();
            perhaps!(dice, rule, 3, format!("{side}_ports"), ports);
            perhaps!(dice, rule, 8, format!("!{side}_ports"), vec![port(dice)]);
        }
    }
    Value::Object(rule)
}

fn rules(dice: &mut Dice) -> Vec<Value> {
    (0..dice.below(4)).map(|_| rule(dice)).collect()
}

fn labels(dice: &mut Dice) -> Map<String, Value> {
    (0..dice.below(4)).map(|_| (dice.pick(&LABELS).to_owned(), json!(dice.pick(&VALUES)))).collect()
}

fn policy(dice: &mut Dice) -> Value {
    let mut policy = Map::new();
    policy
        .insert("selector".to_owned(), json!(if dice.one_in(4) { String::new() } else { selector(dice, 2) }));
    perhaps!(dice, policy, 2, "order", dice.pick(&[0.0, 1.0, 1.5, 10.0]));
    policy.insert("inbound_rules".to_owned(), json!(rules(dice)));
    policy.insert("outbound_rules".to_owned(), json!(rules(dice)));
    perhaps!(dice, policy, 2, "types", dice.some(&["ingress", "egress", "Egress", "foo"], 2));
    perhaps!(dice, policy, 6, "untracked", true);
    perhaps!(dice, policy, 6, "pre_dnat", true);
    Value::Object(policy)
}

fn workload(dice: &mut Dice, number: usize, far: bool) -> Value {
    let v4 = if far {
        vec![format!("10.0.0.{}/32", dice.below(3))]
    } else {
        vec![format!("10.65.0.1{number}/32")]
    };
    let v6 = if dice.one_in(3) { Vec::new() } else { vec![format!("fd65::{}{number}/128", u8::from(!far))] };
    let nat = json!([{"int_ip": format!("10.65.0.1{number}"), "ext_ip": "10.66.0.1"}]);
    json!({
        "state": if dice.one_in(8) { "inactive" } else { "active" },
        "name": format!("cali{}", if dice.one_in(12) { 0 } else { number }),
        "profile_ids": dice.some(&PROFILES, 3),
        "ipv4_nets": v4,
        "ipv6_nets": v6,
        "ipv4_nat": if !far && dice.one_in(5) { nat } else { Value::Null },
        "labels": labels(dice),
    })
}

fn host_endpoint(dice: &mut Dice) -> Value {
    json!({
        "name": dice.pick(&["eth0", "eth1", ""]),
        "expected_ipv4_addrs": dice.some(&["172.17.0.2", "192.168.77.2"], 2),
        "expected_ipv6_addrs": dice.some(&["fd17::2", "fd77::2"], 1),
        "profile_ids": dice.some(&PROFILES, 2),
        "labels": labels(dice),
    })
}

/// Breaks a record now and then: what follows from that has to be the same everywhere.
fn broken(dice: &mut Dice, record: &Value) -> String {
    let text = record.to_string();
    match dice.below(40) {
        0 => text[..text.len() / 2].to_owned(),
        1 => text.replace("tcp", "tpc"),
        2 => text.replace("has(", "has)"),
        3 => text.replace("/31", "/131"),
        4 => "null".to_owned(),
        _ => text,
    }
}

/// The records of a world.
fn records(dice: &mut Dice) -> Both {
    let mut records = Both::new();
    let mut put = |dice: &mut Dice, key: &str, record: &Value| {
        records.put(&format!("/calico/v1/{key}"), Some(&broken(dice, record)));
    };
    for name in PROFILES {
        for part in ["rules", "tags", "labels"].into_iter().filter(|_| !dice.one_in(4)).collect::<Vec<_>>() {
            let value = match part {
                "rules" => json!({"inbound_rules": rules(dice), "outbound_rules": rules(dice)}),
                "tags" => json!(dice.some(&LABELS, 2)),
                _ => json!(labels(dice)),
            };
            put(dice, &format!("policy/profile/{name}/{part}"), &value);
        }
    }
    for number in 0..dice.below(6) {
        let tier = if dice.one_in(6) { "old" } else { "default" };
        let record = policy(dice);
        put(dice, &format!("policy/tier/{tier}/policy/q{number}"), &record);
    }
    for number in 0..3 {
        let record = workload(dice, number, false);
        put(dice, &format!("host/h1/workload/lab/w{number}/endpoint/eth0"), &record);
        let record = workload(dice, number, true);
        put(dice, &format!("host/far/workload/lab/r{number}/endpoint/eth0"), &record);
    }
    for number in 0..dice.below(3) {
        let record = host_endpoint(dice);
        put(dice, &format!("host/h1/endpoint/h{number}"), &record);
    }
    let far = host_endpoint(dice);
    put(dice, "host/far/endpoint/h9", &far);
    if dice.one_in(2) {
        records.put("/calico/v1/host/xhost/bird_ip", Some("172.17.0.9"));
    }
    records
}

fn settings(dice: &mut Dice) -> Settings {
    Settings {
        endpoint_to_host: dice.pick(&[EndpointToHost::Drop, EndpointToHost::Accept, EndpointToHost::Return]),
        ipip: dice.one_in(2),
        openstack: dice.one_in(3),
        metadata: dice.one_in(4).then(|| (lab::ip("172.17.0.2"), 8775)),
        check_invalid: !dice.one_in(3),
        neighbour_failsafe: !dice.one_in(3),
        ..Settings::default()
    }
}

fn packet(dice: &mut Dice) -> Packet {
    let v6 = dice.one_in(3);
    let address = |dice: &mut Dice| lab::ip(dice.pick(if v6 { &V6 } else { &V4 }));
    let (source, destination) = (address(dice), address(dice));
    let number = dice.pick(&[6, 6, 6, 17, 17, 1, 58, 4, 132]);
    let mut packet = Packet::new(source, destination, number);
    if matches!(number, 6 | 17 | 132) {
        packet = packet.with_ports(dice.pick(&PORTS), dice.pick(&PORTS));
        if number == protocol::UDP && dice.one_in(6) {
            packet = packet.with_ports(68, 67);
        }
    }
    if matches!(number, 1 | 58) {
        packet.icmp =
            Some(Icmp { kind: dice.pick(&[0, 3, 8, 128, 129, 133, 135]), code: dice.pick(&[0, 1]) });
    }
    if !v6 && dice.one_in(10) {
        packet.translated = Some((lab::ip(dice.pick(&V4)), Some(dice.pick(&PORTS))));
    }
    let new = [Tracking::New; 6];
    let others = [Tracking::Established, Tracking::Related, Tracking::Invalid, Tracking::Untracked];
    packet.tracking = dice.pick(&[&new[..], &others].concat());
    packet
}

fn path(dice: &mut Dice) -> Path {
    let mut name =
        || lab::interface(dice.pick(&["cali0", "cali1", "cali2", "cali9", "eth0", "eth1", "eth2"]));
    let (from, to) = (name(), name());
    match dice.below(4) {
        0 => Path::ToHost { from },
        1 => Path::FromHost { to },
        _ => Path::Through { from, to },
    }
}

/// Plays packets in the world of a seed; the number of those that pass.
fn play(seed: u64, packets: usize) -> usize {
    let mut dice = Dice(seed);
    let (mut both, settings) = (records(&mut dice), settings(&mut dice));
    let world = lab::world(&both.records, settings.clone());
    let state = both.state(&world);
    let machine = Machine { state, settings };
    let mut passed = 0;
    for _ in 0..packets {
        let (packet, path) = (packet(&mut dice), path(&mut dice));
        let (reference, compiled) = (world.judge(&packet, &path), machine.judge(&packet, &path));
        assert_eq!(
            reference,
            compiled,
            "seed {seed}: {packet:?} {path:?}\n{:#?}\n{:#?}\n{state:#?}",
            world.evaluate(&packet, &path).steps,
            world.records
        );
        passed += usize::from(reference.0 != margay_policy::evaluate::Verdict::Drop);
    }
    passed
}

/// Plays many worlds; some packets have to pass and some not, or nothing was tested.
fn play_all(seeds: std::ops::Range<u64>, packets: usize) {
    let count = usize::try_from(seeds.end - seeds.start).expect("a number of worlds") * packets;
    let passed: usize = seeds.map(|seed| play(seed, packets)).sum();
    assert!((count / 10..count * 9 / 10).contains(&passed), "{passed} of {count} packets passed");
}

#[test]
fn evaluator_and_intents_agree_on_random_worlds() {
    play_all(0..150, 200);
}

#[test]
#[ignore = "takes minutes"]
fn evaluator_and_intents_agree_on_a_million_packets() {
    play_all(1_000..6_000, 200);
}

#[test]
fn translation_is_the_same_in_both() {
    let mut dice = Dice(7);
    let settings = Settings { metadata: Some((lab::ip("172.17.0.2"), 8775)), ..Settings::default() };
    for _ in 0..50 {
        let mut both = records(&mut dice);
        let world = lab::world(&both.records, settings.clone());
        let machine = Machine { state: both.state(&world), settings: settings.clone() };
        let metadata = lab::ip("169.254.169.254");
        for packet in [packet(&mut dice), Packet::tcp(lab::ip("10.65.0.10"), metadata, 80)] {
            assert_eq!(Judge::translate(&world, &packet), machine.translate(&packet));
            let address: IpAddr = packet.destination;
            assert_eq!(Judge::interface_of(&world, address), machine.interface_of(address));
        }
    }
}
