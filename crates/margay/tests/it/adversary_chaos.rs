//! Records that somebody wrote who is careless, or means harm.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use margay_policy::evaluate::World;
use margay_testkit::policy_world::Choices;
use serde_json::{Map, Value, json};

/// Datastore keys and their values.
pub(crate) type Keys = BTreeMap<String, String>;

/// How many workloads the laboratory has.
pub(crate) const WORKLOADS: usize = 3;

/// A source of records for one host.
pub(crate) struct Chaos {
    choices: Choices,
    host: String,
    /// Flows that were tried already: a second packet of one might belong to the first.
    used: BTreeSet<(&'static str, &'static str, u16)>,
}

const LABELS: [&str; 5] = ["a", "b", "role", "t1", "projectcalico.org/x-1"];
const VALUES: [&str; 4] = ["x", "y", "", "v/1:2"];
const TAGS: [&str; 3] = ["t1", "t2", "a"];
const SELECTORS: [&str; 16] = [
    "",
    "all()",
    "a == 'x'",
    "a != 'x'",
    "has(b)",
    "!has(b)",
    "role in {'x', 'y'}",
    "role not in {\"x\"}",
    "a == 'x' && b == 'y'",
    "a == 'x' || role == 'y'",
    "has(t1)",
    "t1 == ''",
    "!(a == 'y' || has(role))",
    "has(projectcalico.org/x-1) && !(role == 'x')",
    "(has(t2) || a == '') && b != 'x'",
    "  a in {'x','x', 'y'}&&has( role )  ",
];
/// Selectors that nobody can read.
const UNREADABLE: [&str; 5] = ["a ==", "has(", "a = 'x'", "all() all()", "a == 'x"];
/// Ports that probes come from at times; nobody answers on them.
const SOURCE_PORTS: [u16; 4] = [68, 2379, 4001, 60000];
/// Ports of probes; rules speak of these and of ranges.
const PORTS: [u16; 9] = [1, 22, 53, 80, 81, 443, 5000, 9000, 65535];
const V4_NETS: [&str; 13] = [
    "10.65.0.10/32",
    "10.65.0.0/24",
    "10.65.0.11/30",
    "10.0.0.0/8",
    "172.17.0.0/24",
    "172.17.0.9",
    "192.168.77.9/32",
    "0.0.0.0/0",
    "128.0.0.0/1",
    "0.0.0.0/1",
    "255.255.255.255/32",
    "172.17.0.9/12",
    "240.0.0.0/4",
];
const V6_NETS: [&str; 8] =
    ["fd65::10/128", "fd65::/64", "fd17::/64", "::/0", "fd00::/8", "ffff::/16", "8000::/1", "fd65::11/127"];
/// Values that are none of the records that stand there.
const NOISE: [&str; 8] = ["", "null", "7", "[]", "\"text\"", "{\"selector\":", "{}", "[null]"];

/// True when an address leads to a workload: the record that owns its interface is active and has it, as its own or as a
/// floating one.
pub(crate) fn is_routed(world: &World, number: usize, address: IpAddr) -> bool {
    let interface = format!("cali{number}").parse().expect("an interface");
    let local = world.records.workloads.iter().filter(|((host, _), _)| *host == world.host);
    let mut owners = local.filter(|(_, workload)| workload.interface == interface);
    owners.next().is_some_and(|(_, owner)| {
        owner.active
            && (owner.nets.iter().any(|net| net.contains_ip(address))
                || owner.nats.iter().any(|nat| nat.external == address))
    })
}

// === impl Chaos ===

impl Chaos {
    pub(crate) fn new(choices: Choices, host: &str) -> Self {
        Self { choices, host: host.to_owned(), used: BTreeSet::new() }
    }

    /// One in `n`.
    fn one_in(&mut self, n: usize) -> bool {
        self.choices.below(n) == 0
    }

    /// A whole datastore.
    pub(crate) fn world(&mut self) -> Keys {
        let mut keys = Keys::new();
        for number in 0..WORKLOADS {
            if !self.one_in(15) {
                let (key, value) = self.workload(number);
                keys.insert(key, value);
            }
        }
        for _ in 0..12 {
            let (key, value) = self.record();
            keys.insert(key, value);
        }
        for (_, name) in &PROFILES[..3] {
            let key = format!("/calico/v1/policy/profile/{name}/rules");
            let rules = json!({"inbound_rules": self.rules(4), "outbound_rules": self.rules(4)});
            keys.insert(key, rules.to_string());
        }
        keys
    }

    /// Changes a few records.
    pub(crate) fn change(&mut self, keys: &mut Keys) {
        for _ in 0..=self.choices.below(4) {
            match self.choices.below(4) {
                0 if !keys.is_empty() => {
                    let index = self.choices.below(keys.len());
                    let key = keys.keys().nth(index).expect("below their number").clone();
                    keys.remove(&key);
                }
                1 => {
                    let number = self.choices.below(WORKLOADS);
                    let (key, value) = self.workload(number);
                    keys.insert(key, value);
                }
                _ => {
                    let (key, value) = self.record();
                    keys.insert(key, value);
                }
            }
        }
    }

    /// Any record but those of the laboratory's workloads.
    fn record(&mut self) -> (String, String) {
        let host = self.host.clone();
        match self.choices.below(21) {
            20 => {
                // Nobody's keys, and keys of records with something behind them.
                let key = self.choices.of(&[
                    "policy/tier/default/metadata",
                    "policy/tier/default/policy/dir/pa",
                    "policy/profile/dir/rules/more",
                    "policy/profile/dir/nothing",
                    "host/h1/metadata",
                    "host/far/workload/k8s/dir/endpoint/eth0/more",
                    "ipam/v2/nonsense",
                    "config/NoSuchParameter",
                    "Ready2",
                ]);
                (
                    format!("/calico/v1/{key}"),
                    self.choices.of(&["{}", "true", "{\"selector\":\"all()\"}"]).to_owned(),
                )
            }
            0..8 => {
                let tier = self.choices.of(&["default", "default", "default", "old tier"]);
                let name = self.choices.of(&POLICIES);
                let value = self.policy();
                (format!("/calico/v1/policy/tier/{tier}/policy/{name}"), self.spoil(value))
            }
            8..12 => {
                let (_, key) = self.choices.of(&PROFILES);
                let part = self.choices.of(&["rules", "tags", "labels", "rules"]);
                let value = match part {
                    "tags" => json!(self.choices.some(2, &TAGS)),
                    "labels" => self.labels(),
                    _ => json!({"inbound_rules": self.rules(4), "outbound_rules": self.rules(4)}),
                };
                (format!("/calico/v1/policy/profile/{key}/{part}"), self.spoil(value))
            }
            12..15 => {
                let id = self.choices.of(&["e0", "e1", "E-2", "ä%2f e"]);
                let value = self.host_endpoint();
                (format!("/calico/v1/host/{host}/endpoint/{id}"), self.spoil(value))
            }
            15 => {
                let value = self.far_workload();
                let name = self.choices.of(&["r0", "r1"]);
                (format!("/calico/v1/host/far/workload/k8s/{name}/endpoint/eth0"), self.spoil(value))
            }
            16 => {
                let value = self.host_endpoint();
                (
                    format!("/calico/v1/host/far/endpoint/{}", self.choices.of(&["e0", "e1"])),
                    self.spoil(value),
                )
            }
            17 => (
                format!("/calico/v1/host/{}/bird_ip", self.choices.of(&["far", "near"])),
                self.choices.of(&["172.17.0.9", "192.168.77.9", "", "nowhere", "fd17::9"]).to_owned(),
            ),
            18 => {
                // Another endpoint on an interface of the laboratory; the lowest name of both owns it.
                let number = self.choices.below(WORKLOADS);
                let value = self.endpoint(number);
                let orchestrator = self.choices.of(&["aa", "zz"]);
                (format!("/calico/v1/host/{host}/workload/{orchestrator}/w/endpoint/eth1"), self.spoil(value))
            }
            _ => {
                let part =
                    self.choices.of(&["v4/pool/10.66.0.0-16", "v6/pool/fd65::-64", "v4/pool/nonsense"]);
                let value = json!({"cidr": "10.66.0.0/16", "masquerade": false});
                (format!("/calico/v1/ipam/{part}"), self.spoil(value))
            }
        }
    }

    /// Now and then something else than the record.
    fn spoil(&mut self, value: Value) -> String {
        let text = value.to_string();
        match self.choices.below(30) {
            0 => self.choices.of(&NOISE).to_owned(),
            1 => {
                let mut end = self.choices.below(text.len());
                while !text.is_char_boundary(end) {
                    end -= 1;
                }
                text[..end].to_owned()
            }
            2 => {
                let Value::Object(mut object) = value else { return text };
                let names: Vec<String> = object.keys().cloned().collect();
                if !names.is_empty() {
                    let name = names[self.choices.below(names.len())].clone();
                    let odd =
                        [json!(null), json!(-1), json!("odd"), json!({"a": 1}), json!([[]]), json!(1e300)];
                    object.insert(name, odd[self.choices.below(odd.len())].clone());
                }
                Value::Object(object).to_string()
            }
            3 => {
                let Value::Object(mut object) = value else { return text };
                object.insert("selector".to_owned(), json!(self.choices.of(&UNREADABLE)));
                Value::Object(object).to_string()
            }
            4 => {
                // Letter case of names does not count, and the last of several does.
                let Value::Object(object) = value else { return text };
                Value::Object(object.into_iter().map(|(name, value)| (name.to_uppercase(), value)).collect())
                    .to_string()
            }
            _ => text,
        }
    }

    fn labels(&mut self) -> Value {
        let keys = self.choices.some(3, &LABELS);
        Value::Object(keys.into_iter().map(|key| (key.to_owned(), json!(self.choices.of(&VALUES)))).collect())
    }

    fn profiles(&mut self) -> Value {
        let mut names: Vec<String> = self
            .choices
            .some(2, &[0, 1, 2, 3, 4, 5])
            .into_iter()
            .map(|number| PROFILES[number].0.to_owned())
            .collect();
        if self.one_in(10) {
            names.push("missing".to_owned());
        }
        json!(names)
    }

    /// A workload of the laboratory.
    fn workload(&mut self, number: usize) -> (String, String) {
        let value = self.endpoint(number);
        let workload = ["w0", "ns%2fw1", "wörk load"][number];
        let key = format!("/calico/v1/host/{}/workload/k8s/{workload}/endpoint/eth0", self.host);
        let text = value.to_string();
        (key, if self.one_in(25) { self.spoil(value) } else { text })
    }

    fn endpoint(&mut self, number: usize) -> Value {
        let (own4, own6) = (format!("10.65.0.1{number}/32"), format!("fd65::1{number}/128"));
        let (mut v4, mut v6) = (vec![own4], vec![own6]);
        if self.one_in(6) {
            v4.push(format!("10.65.1.{number}/32"));
            v6.insert(0, format!("fd65:1::{number}/128"));
        }
        if self.one_in(10) {
            v6.clear();
        }
        let mut endpoint = json!({
            "state": if self.one_in(12) { "inactive" } else { "active" },
            "name": format!("cali{number}"),
            "mac": if self.one_in(3) { json!(null) } else { json!(format!("02:00:00:00:00:1{number}")) },
            "profile_ids": self.profiles(),
            "ipv4_nets": v4,
            "ipv6_nets": v6,
            "labels": self.labels(),
        });
        if self.one_in(3) {
            endpoint["ipv4_nat"] =
                json!([{"int_ip": format!("10.65.0.1{number}"), "ext_ip": format!("10.67.0.{number}")}]);
        }
        endpoint
    }

    /// An endpoint of another host: the machines outside, so that they are members of sets.
    fn far_workload(&mut self) -> Value {
        json!({
            "state": self.choices.of(&["active", "inactive"]),
            "name": "cali0",
            "profile_ids": self.profiles(),
            "ipv4_nets": self.choices.some(2, &["172.17.0.9/32", "192.168.77.9/24", "10.65.0.10/32"]),
            "ipv6_nets": self.choices.some(2, &["fd17::9/128", "fd77::9/128"]),
            "labels": self.labels(),
        })
    }

    fn host_endpoint(&mut self) -> Value {
        let mut endpoint = Map::new();
        if self.choices.percent(60) {
            endpoint.insert(
                "name".to_owned(),
                json!(self.choices.of(&["eth0", "eth1", "eth9", "", "not a name"])),
            );
        }
        let v4 = self.choices.some(2, &["172.17.0.2", "192.168.77.2", "172.17.0.9"]);
        endpoint.insert("expected_ipv4_addrs".to_owned(), json!(v4));
        endpoint
            .insert("expected_ipv6_addrs".to_owned(), json!(self.choices.some(1, &["fd17::2", "fd77::2"])));
        endpoint.insert("labels".to_owned(), self.labels());
        endpoint.insert("profile_ids".to_owned(), self.profiles());
        Value::Object(endpoint)
    }

    fn policy(&mut self) -> Value {
        let mut policy = Map::new();
        if self.choices.percent(70) {
            let orders = [json!(0), json!(-5.5), json!(10), json!(10.0), json!(1e300), json!("10")];
            let last = if self.one_in(10) { 6 } else { 5 };
            policy.insert("order".to_owned(), orders[self.choices.below(last)].clone());
        }
        policy.insert("selector".to_owned(), json!(self.choices.of(&SELECTORS)));
        policy.insert("inbound_rules".to_owned(), self.rules(5));
        policy.insert("outbound_rules".to_owned(), self.rules(5));
        if self.one_in(6) {
            policy.insert(self.choices.of(&["untracked", "pre_dnat"]).to_owned(), json!(true));
        }
        let types =
            [json!(["ingress"]), json!(["Egress"]), json!(["ingress", "egress"]), json!([]), json!(["foo"])];
        if self.choices.percent(60) {
            policy.insert("types".to_owned(), types[self.choices.below(types.len())].clone());
        }
        Value::Object(policy)
    }

    fn rules(&mut self, most: usize) -> Value {
        Value::Array((0..self.choices.below(most + 1)).map(|_| self.rule()).collect())
    }

    fn port(&mut self) -> Value {
        let port = if self.one_in(3) { self.choices.of(&SOURCE_PORTS) } else { self.choices.of(&PORTS) };
        match self.choices.below(6) {
            0 => json!(port.to_string()),
            1 => json!(format!("{port}:65535")),
            2 => json!(format!("0:{port}")),
            3 => json!(format!("{}:{}", port.saturating_sub(1), port.saturating_add(1))),
            _ => json!(port),
        }
    }

    fn ports(&mut self) -> Value {
        if self.one_in(8) {
            // More than the fifteen that upstream's rules hold.
            let first = 70 + self.choices.below(20);
            return json!((0..40).map(|number| first + 2 * number).collect::<Vec<_>>());
        }
        let mut ports: Vec<Value> = (0..self.choices.below(4)).map(|_| self.port()).collect();
        if self.one_in(60) {
            ports.push(json!("90:80"));
        }
        json!(ports)
    }

    fn nets(&mut self) -> Value {
        if self.one_in(10) {
            // Many, some in others.
            let mut nets: Vec<String> = (0..300)
                .map(|number| format!("10.{}.{}.0/{}", number % 7, number, 20 + number % 5))
                .collect();
            nets.extend((0..40).map(|number| format!("fd65:{number:x}::/{}", 30 + number)));
            nets.extend(self.choices.some(2, &V4_NETS).into_iter().map(str::to_owned));
            return json!(nets);
        }
        let mut nets = self.choices.some(2, &V4_NETS);
        nets.extend(self.choices.some(2, &V6_NETS));
        if self.one_in(60) {
            nets.push(self.choices.of(&["10.0.0.0/33", "nowhere", ""]));
        }
        json!(nets)
    }

    fn rule(&mut self) -> Value {
        if self.one_in(40) {
            return self.odd_rule();
        }
        let mut rule = Map::new();
        let actions = ["allow", "allow", "allow", "deny", "log", "next-tier", ""];
        rule.insert("action".to_owned(), json!(self.choices.of(&actions)));
        if self.one_in(8) {
            rule.insert("ip_version".to_owned(), json!(self.choices.of(&[4, 6])));
        }
        let not = |chaos: &mut Self| if chaos.one_in(4) { "!" } else { "" };
        match self.choices.below(8) {
            0..3 => {
                let protocols = [json!("tcp"), json!("tcp"), json!("udp"), json!(6), json!("17")];
                rule.insert("protocol".to_owned(), protocols[self.choices.below(protocols.len())].clone());
                for side in ["src", "dst"] {
                    if self.one_in(if side == "src" { 6 } else { 2 }) {
                        let name = format!("{}{side}_ports", not(self));
                        rule.insert(name, self.ports());
                    }
                }
            }
            3 => {
                let protocols = [json!("icmp"), json!("icmpv6"), json!(1), json!(58)];
                let index = self.choices.below(4);
                rule.insert("protocol".to_owned(), protocols[index].clone());
                if self.one_in(2) {
                    let not = not(self);
                    rule.insert(format!("{not}icmp_type"), json!(self.choices.of(&[8, 13, 128, 0, 254])));
                    if self.one_in(2) {
                        rule.insert(format!("{not}icmp_code"), json!(self.choices.of(&[0, 1, 255])));
                    }
                }
            }
            4 => {
                let protocols =
                    [json!("tcp"), json!(17), json!("icmp"), json!("sctp"), json!(99), json!("icmpv6")];
                rule.insert("!protocol".to_owned(), protocols[self.choices.below(protocols.len())].clone());
            }
            5 => {
                let protocols = [json!("sctp"), json!(132), json!(99), json!(255), json!("udplite")];
                rule.insert("protocol".to_owned(), protocols[self.choices.below(protocols.len())].clone());
            }
            _ => {}
        }
        for side in ["src", "dst"] {
            if self.one_in(8) {
                rule.insert(format!("{}{side}_tag", not(self)), json!(self.choices.of(&TAGS)));
            }
            if self.one_in(6) {
                rule.insert(format!("{}{side}_selector", not(self)), json!(self.choices.of(&SELECTORS)));
            }
            if self.one_in(6) {
                let name = format!("{}{side}_nets", not(self));
                rule.insert(name, self.nets());
            }
            if self.one_in(12) {
                let net = if self.one_in(3) { self.choices.of(&V6_NETS) } else { self.choices.of(&V4_NETS) };
                rule.insert(format!("{}{side}_net", not(self)), json!(net));
            }
        }
        if self.one_in(20) {
            let prefixes = ["short", "with \"quotes\" and 'more'", "ünïcode\n", &"long".repeat(60)];
            rule.insert("log_prefix".to_owned(), json!(self.choices.of(&prefixes)));
        }
        Value::Object(rule)
    }

    /// A rule of `spec/policy.md` 1.3.
    fn odd_rule(&mut self) -> Value {
        let text = self.choices.of(&[
            r#"{"action":"allow","protocol":"icmp","icmp_code":0}"#,
            r#"{"action":"deny","protocol":"icmp","icmp_code":0}"#,
            r#"{"action":"next-tier","protocol":"icmp","!icmp_code":0}"#,
            r#"{"action":"deny","!icmp_code":1}"#,
            r#"{"protocol":"tcp","icmp_type":8}"#,
            r#"{"icmp_type":8}"#,
            r#"{"!icmp_type":8}"#,
            r#"{"icmp_type":255}"#,
            r#"{"protocol":6,"!protocol":"tcp"}"#,
            r#"{"protocol":"udp","!protocol":"tcp"}"#,
            r#"{"!dst_tag":"a b"}"#,
            r#"{"src_tag":"a b"}"#,
            r#"{"src_ports":[80]}"#,
            r#"{"!protocol":"udp","dst_ports":[80]}"#,
            r#"{"protocol":"sctp","dst_ports":[80]}"#,
            r#"{"src_selector":"a =="}"#,
            r#"{"action":"deny","!src_nets":["0.0.0.0/0","::/0"]}"#,
            r#"{"action":"deny","!src_net":"10.0.0.0/8"}"#,
            r#"{"!dst_nets":["10.65.0.0/16","0.0.0.0/0"]}"#,
            r#"{"action":"pass"}"#,
            r#"{"action":"Allow"}"#,
            r#"{"ip_version":5}"#,
            r#"{"protocol":0}"#,
            r#"{"protocol":256}"#,
            r#"{"protocol":"TCP"}"#,
            r#"{"action":"allow","nonsense":[1]}"#,
            "null",
            "[]",
        ]);
        serde_json::from_str(text).expect("JSON")
    }

    /// Packets for a world.
    pub(crate) fn probes(&mut self, world: &World, count: usize) -> Vec<String> {
        let mut probes = Vec::new();
        let mut spoofed = 0;
        while probes.len() < count {
            let (from, to) = (self.choices.of(&MACHINES), self.choices.of(&MACHINES));
            if from == to {
                continue;
            }
            let v6 = self.one_in(3);
            let mut at = String::new();
            if let Some(number) = to.strip_prefix('W')
                && !v6
                && self.one_in(6)
            {
                let external = format!("10.67.0.{number}");
                let number = number.parse().expect("a number");
                if is_routed(world, number, external.parse().expect("an address")) {
                    at = format!("@{external}");
                }
            }
            let port = self.choices.of(&PORTS);
            let kind = match self.choices.below(12) {
                0..5 => format!("tcp:{port}"),
                5..8 => format!("udp:{port}"),
                8 => "icmp".to_owned(),
                9 if v6 => format!("icmp type=128 code={}", self.choices.below(2)),
                9 => format!("icmp type={} code={}", self.choices.of(&[8, 13]), self.choices.below(2)),
                _ => {
                    let number = self.choices.of(&[99, 99, 253, 140, 141, 142]);
                    let (one, other) = (from.min(to), from.max(to));
                    if !self.used.insert((one, other, number)) {
                        continue;
                    }
                    format!("proto:{number}")
                }
            };
            let mut text = format!("{from}>{to}{at}{}", if v6 { " v6" } else { "" });
            text.push_str(&format!(" {kind}"));
            if (kind.starts_with("tcp") || kind.starts_with("udp")) && self.one_in(4) {
                let source = self.choices.of(&SOURCE_PORTS);
                if self.used.insert((from, "", source)) {
                    text.push_str(&format!(" sport={source}"));
                }
            }
            // The laboratory borrows sources for protocols with ports and for ICMP alone.
            if spoofed < 2 && at.is_empty() && !kind.starts_with("proto") && self.one_in(8) {
                let source = if v6 {
                    self.choices.of(&["fd65::10", "fd65::12", "fd77::9", "fd65:1::1"])
                } else {
                    self.choices.of(&["10.65.0.10", "10.65.0.12", "192.168.77.9", "10.65.1.1"])
                };
                if is_free(source, from, to) {
                    text.push_str(&format!(" src={source}"));
                    spoofed += 1;
                }
            }
            probes.push(text);
        }
        probes
    }
}

/// True when neither machine has the address: their own kernels would take the packet for one of theirs.
fn is_free(source: &str, from: &str, to: &str) -> bool {
    let owner = match source {
        "10.65.0.10" | "fd65::10" => "W0",
        "10.65.0.12" | "fd65::12" => "W2",
        "192.168.77.9" | "fd77::9" => "Y",
        _ => "",
    };
    from != owner && to != owner && from != "h1"
}

const MACHINES: [&str; 8] = ["h1", "W0", "W1", "W2", "X", "Y", "W0", "W1"];

/// Profiles: the name in records, and as keys have it.
const PROFILES: [(&str, &str); 6] = [
    ("p0", "p0"),
    ("k8s_ns.default", "k8s_ns.default"),
    ("a/b%c", "a%2fb%25c"),
    ("sp ace 'quoted\"", "sp ace 'quoted\""),
    ("Profil für alle", "Profil für alle"),
    (
        "long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-x",
        "long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-x",
    ),
];

/// Policies, as keys have them.
const POLICIES: [&str; 7] = [
    "pa",
    "pb",
    "a%2fb",
    "100%25",
    "sp ace; drop 'all' \"",
    "Größe",
    "long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-y",
];
