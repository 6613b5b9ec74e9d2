//! Random policy worlds: datastore keys and values from a vocabulary so small that everything meets everything.
//!
//! The same seed gives the same world. [`change`] makes one key's new value, [`world`] a whole datastore. Most records
//! are in order; with [`Spice::Broken`] some are damaged in ways that readers must survive.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// The host for which worlds are made; another one is [`OTHER_HOST`].
pub const HOST: &str = "h1";
/// The host whose endpoints are only members of sets.
pub const OTHER_HOST: &str = "far";

/// A source of choices that depends on its seed alone.
#[derive(Debug, Clone)]
pub struct Choices(u64);

/// What kind of records a world has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spice {
    /// Only records that upstream takes, and means as we do.
    Valid,
    /// Now and then one that is broken, or odd.
    Broken,
}

// === impl Choices ===

impl Choices {
    /// Choices for one seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x2545_f491_4f6c_dd1d | 1)
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let wide = (u128::from(self.0) * end.max(1) as u128) >> 64;
        usize::try_from(wide).expect("below a usize")
    }

    /// True in so many of a hundred cases.
    pub fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of some things.
    pub fn of<T: Copy>(&mut self, things: &[T]) -> T {
        things[self.below(things.len())]
    }

    /// Up to `most` of some things, in any order; one may come twice.
    pub fn some<T: Copy>(&mut self, most: usize, things: &[T]) -> Vec<T> {
        (0..self.below(most + 1)).map(|_| self.of(things)).collect()
    }
}

const LABELS: [&str; 4] = ["a", "b", "role", "t1"];
const VALUES: [&str; 3] = ["x", "y", ""];
const TAGS: [&str; 3] = ["t1", "t2", "a"];
const PROFILES: [&str; 4] = ["p0", "p1", "p2", "missing"];
const POLICIES: [&str; 5] = ["pa", "pb", "pc", "pd", "a%2fb"];
const SELECTORS: [&str; 16] = [
    "",
    "all()",
    "a == 'x'",
    "a != 'x'",
    "has(b)",
    "!has(b)",
    "role in {'x', 'y'}",
    "role not in {'x'}",
    "a == 'x' && b == 'y'",
    "a == 'x' || role == 'y'",
    "has(t1)",
    "t1 == ''",
    "!(a == 'y' || has(role))",
    "has(a) && !(role == 'x')",
    "(has(t2) || a == '') && b != 'x'",
    "a in {'x'} && has(role)",
];
const V4_NETS: [&str; 6] =
    ["10.65.0.10/32", "10.65.0.0/24", "172.17.0.0/24", "0.0.0.0/0", "128.0.0.0/1", "10.0.0.9/32"];
const V6_NETS: [&str; 4] = ["fd65::10/128", "fd65::/64", "fd17::/64", "::/0"];
const PORTS: [&str; 6] = ["80", "443", "\"80:90\"", "\"1024:65535\"", "8080", "\"443\""];

/// A whole datastore of up to so many keys.
pub fn world(choices: &mut Choices, keys: usize, spice: Spice) -> BTreeMap<String, String> {
    let mut world = BTreeMap::new();
    for _ in 0..keys {
        let (key, value) = change(choices, spice);
        world.insert(key, value.unwrap_or_else(|| "{}".to_owned()));
    }
    if spice == Spice::Valid {
        world.retain(|_, value| value != "{}" || choices.percent(50));
    }
    world
}

/// A key and its new value; none = it is deleted.
pub fn change(choices: &mut Choices, spice: Spice) -> (String, Option<String>) {
    let key = key(choices);
    if choices.percent(20) {
        return (key, None);
    }
    let value = match key.rsplit('/').next() {
        Some("rules") => profile_rules(choices),
        Some("tags") => json!(choices.some(2, &TAGS)),
        Some("labels") => labels(choices),
        Some("bird_ip") => return (key, Some(choices.of(&["172.17.0.2", "172.17.0.3", ""]).to_owned())),
        _ if key.contains("/workload/") => workload(choices),
        _ if key.contains("/endpoint/") => host_endpoint(choices),
        _ if key.contains("/pool/") => json!({"cidr": "10.65.0.0/16", "masquerade": choices.percent(50)}),
        _ => policy(choices),
    };
    let value = if spice == Spice::Broken && choices.percent(15) {
        damaged(choices, value)
    } else {
        value.to_string()
    };
    (key, Some(value))
}

fn key(choices: &mut Choices) -> String {
    let host = choices.of(&[HOST, HOST, OTHER_HOST]);
    match choices.below(20) {
        0..7 => {
            let (workload, endpoint) =
                (choices.of(&["w0", "w1", "w2", "w3"]), choices.of(&["eth0", "eth0", "eth1"]));
            format!("/calico/v1/host/{host}/workload/k8s/{workload}/endpoint/{endpoint}")
        }
        7..9 => format!("/calico/v1/host/{host}/endpoint/{}", choices.of(&["e0", "e1"])),
        9..14 => {
            let tier = choices.of(&["default", "default", "default", "old"]);
            format!("/calico/v1/policy/tier/{tier}/policy/{}", choices.of(&POLICIES))
        }
        14..18 => {
            let part = choices.of(&["rules", "tags", "labels"]);
            format!("/calico/v1/policy/profile/{}/{part}", choices.of(&PROFILES[..3]))
        }
        18 => format!(
            "/calico/v1/ipam/v4/pool/{}",
            choices.of(&["10.65.0.0-16", "10.65.0.1-16", "10.66.0.0-16"])
        ),
        _ => format!("/calico/v1/host/{host}/bird_ip"),
    }
}

fn labels(choices: &mut Choices) -> Value {
    let labels = choices.some(3, &LABELS).into_iter();
    Value::Object(labels.map(|key| (key.to_owned(), json!(choices.of(&VALUES)))).collect())
}

fn profiles(choices: &mut Choices) -> Value {
    json!(choices.some(3, &PROFILES))
}

fn workload(choices: &mut Choices) -> Value {
    let v4: Vec<String> =
        (0..choices.below(3)).map(|_| format!("10.65.0.{}/32", 10 + choices.below(4))).collect();
    let v6: Vec<String> =
        (0..choices.below(2)).map(|_| format!("fd65::{}/128", 10 + choices.below(3))).collect();
    json!({
        "state": choices.of(&["active", "active", "active", "inactive"]),
        "name": format!("cali{}", choices.below(5)),
        "mac": choices.of(&[json!(null), json!("02:00:00:00:00:10")].each_ref()),
        "profile_ids": profiles(choices),
        "ipv4_nets": v4,
        "ipv6_nets": v6,
        "labels": labels(choices),
    })
}

fn host_endpoint(choices: &mut Choices) -> Value {
    let mut endpoint = Map::new();
    if choices.percent(70) {
        endpoint.insert("name".to_owned(), json!(choices.of(&["eth0", "eth1"])));
    }
    endpoint
        .insert("expected_ipv4_addrs".to_owned(), json!(choices.some(2, &["172.17.0.2", "192.168.77.2"])));
    endpoint.insert("labels".to_owned(), labels(choices));
    endpoint.insert("profile_ids".to_owned(), profiles(choices));
    Value::Object(endpoint)
}

fn policy(choices: &mut Choices) -> Value {
    let mut policy = Map::new();
    if choices.percent(80) {
        policy.insert("order".to_owned(), json!(choices.of(&[0.0, 1.0, 1.5, 10.0])));
    }
    policy.insert("selector".to_owned(), json!(choices.of(&SELECTORS)));
    policy.insert("inbound_rules".to_owned(), rules(choices));
    if choices.percent(15) {
        policy.insert(choices.of(&["untracked", "pre_dnat"]).to_owned(), json!(true));
    }
    if !policy.contains_key("pre_dnat") {
        policy.insert("outbound_rules".to_owned(), rules(choices));
        let types = [json!(["ingress"]), json!(["egress"]), json!(["ingress", "egress"]), json!([])];
        policy.insert("types".to_owned(), types[choices.below(4)].clone());
    }
    Value::Object(policy)
}

fn profile_rules(choices: &mut Choices) -> Value {
    json!({"inbound_rules": rules(choices), "outbound_rules": rules(choices)})
}

fn rules(choices: &mut Choices) -> Value {
    Value::Array((0..choices.below(4)).map(|_| rule(choices)).collect())
}

/// A rule as upstream takes it.
pub fn rule(choices: &mut Choices) -> Value {
    let mut rule = Map::new();
    let mut put = |name: String, value: Value| drop(rule.insert(name, value));
    put("action".to_owned(), json!(choices.of(&["allow", "allow", "deny", "log", "next-tier"])));
    if choices.percent(15) {
        put("ip_version".to_owned(), json!(choices.of(&[4, 6])));
    }
    let not = |choices: &mut Choices| if choices.percent(30) { "!" } else { "" };
    match choices.below(6) {
        0 | 1 => {
            put(
                "protocol".to_owned(),
                choices.of(&[json!("tcp"), json!("udp"), json!(6)].each_ref()).clone(),
            );
            for side in ["src", "dst"] {
                if choices.percent(40) {
                    let ports = choices.some(3, &PORTS).join(",");
                    let ports: Value = serde_json::from_str(&format!("[{ports}]")).expect("a list of ports");
                    put(format!("{}{side}_ports", not(choices)), ports);
                }
            }
        }
        2 => {
            let (protocol, kind) = choices.of(&[("icmp", 8), ("icmpv6", 128), ("icmp", 3)]);
            put("protocol".to_owned(), json!(protocol));
            if choices.percent(60) {
                let not = not(choices);
                put(format!("{not}icmp_type"), json!(kind));
                if choices.percent(40) {
                    put(format!("{not}icmp_code"), json!(choices.below(2)));
                }
            }
        }
        3 => put("!protocol".to_owned(), json!(choices.of(&["tcp", "udp", "icmp", "sctp"]))),
        _ => {}
    }
    for side in ["src", "dst"] {
        if choices.percent(20) {
            put(format!("{}{side}_tag", not(choices)), json!(choices.of(&TAGS)));
        }
        if choices.percent(30) {
            put(format!("{}{side}_selector", not(choices)), json!(choices.of(&SELECTORS)));
        }
        if choices.percent(20) {
            let mut nets = choices.some(2, &V4_NETS);
            nets.extend(choices.some(1, &V6_NETS));
            put(format!("{}{side}_nets", not(choices)), json!(nets));
        }
    }
    Value::Object(rule)
}

/// A record with something wrong in it.
fn damaged(choices: &mut Choices, value: Value) -> String {
    let text = value.to_string();
    let Value::Object(mut object) = value else { return "7".to_owned() };
    let names: Vec<String> = object.keys().cloned().collect();
    match choices.below(6) {
        0 => text[..choices.below(text.len())].to_owned(),
        1 => "null".to_owned(),
        2 | 3 if !names.is_empty() => {
            object.insert(names[choices.below(names.len())].clone(), json!({"no": ["such", 1]}));
            Value::Object(object).to_string()
        }
        4 => {
            let odd = choices.of(&[
                r#"{"action":"allow","icmp_code":1}"#,
                r#"{"action":"deny","!icmp_code":1}"#,
                r#"{"protocol":"tcp","icmp_type":8}"#,
                r#"{"icmp_type":8}"#,
                r#"{"protocol":6,"!protocol":"tcp"}"#,
                r#"{"!dst_tag":"a b"}"#,
                r#"{"src_ports":[80]}"#,
                r#"{"src_selector":"a =="}"#,
                r#"{"!src_nets":["0.0.0.0/0","::/0"]}"#,
            ]);
            let odd: Value = serde_json::from_str(odd).expect("a rule");
            object.insert("inbound_rules".to_owned(), json!([odd, {"action": "deny"}]));
            Value::Object(object).to_string()
        }
        _ => {
            object.insert("selector".to_owned(), json!("a == "));
            object.insert("name".to_owned(), json!("not a name"));
            Value::Object(object).to_string()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_world_every_time_and_others_differ() {
        let of = |seed| world(&mut Choices::new(seed), 40, Spice::Broken);
        assert_eq!(of(1), of(1));
        let distinct: std::collections::BTreeSet<_> = (0..50).map(of).collect();
        assert_eq!(distinct.len(), 50);
    }

    #[test]
    fn valid_worlds_hold_json_alone() {
        for seed in 0..100 {
            for (key, value) in world(&mut Choices::new(seed), 40, Spice::Valid) {
                let json = serde_json::from_str::<Value>(&value).is_ok();
                assert!(json || key.ends_with("/bird_ip"), "{key}: {value}");
            }
        }
    }
}
