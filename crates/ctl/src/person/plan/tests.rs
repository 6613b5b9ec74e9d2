//! What a plan finds by one of each kind is what is found by looking at every pair.

use std::collections::BTreeMap;

use super::*;
use crate::person::policy_explain::everybody;

/// A small generator of numbers.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn pick(&mut self, list: &[&'static str]) -> &'static str {
        list[usize::try_from(self.below(list.len() as u64)).unwrap()]
    }
}

fn rules(dice: &mut Dice) -> String {
    let rules: Vec<String> = (0..dice.below(3))
        .map(|_| {
            let action = dice.pick(&["allow", "deny", "next-tier"]);
            let what = dice.pick(&[
                "",
                r#","protocol":"tcp","dst_ports":[80]"#,
                r#","protocol":"udp","dst_ports":["53:60"]"#,
                r#","src_selector":"role == 'a'""#,
                r#","dst_selector":"role == 'b'""#,
                r#","src_nets":["10.0.0.0/30"]"#,
                r#","!dst_nets":["10.0.0.4/32"]"#,
                r#","protocol":"icmp""#,
                r#","src_tag":"t""#,
            ]);
            format!(r#"{{"action":"{action}"{what}}}"#)
        })
        .collect();
    format!("[{}]", rules.join(","))
}

/// One key and its value.
fn record(dice: &mut Dice) -> (String, String) {
    let number = dice.below(8);
    let (role, profile) = (dice.pick(&["a", "b", "c"]), dice.pick(&["p0", "p1"]));
    match dice.below(8) {
        0 => {
            let (selector, ingress, egress) =
                (dice.pick(&["", "role == 'a'", "role != 'b'", "has(host)"]), rules(dice), rules(dice));
            let flag = dice.pick(&["", "", r#","untracked":true"#]);
            let value = format!(
                r#"{{"selector":"{selector}","order":{number},"inbound_rules":{ingress},"outbound_rules":{egress}{flag}}}"#
            );
            (format!("policy/tier/default/policy/q{}", number % 3), value)
        }
        1 => {
            let (ingress, egress) = (rules(dice), rules(dice));
            let value = format!(r#"{{"inbound_rules":{ingress},"outbound_rules":{egress}}}"#);
            (format!("policy/profile/{profile}/rules"), value)
        }
        2 => (format!("policy/profile/{profile}/tags"), dice.pick(&["[]", r#"["t"]"#]).to_owned()),
        3 => {
            let value = r#"{"name":"eth0","expected_ipv4_addrs":["192.0.2.1"],"labels":{"host":"x"}}"#;
            ("host/n0/endpoint/front".to_owned(), value.to_owned())
        }
        _ => {
            let value = format!(
                r#"{{"state":"active","name":"cali{number}","profile_ids":["{profile}"],"ipv4_nets":["10.0.0.{number}/32"],"labels":{{"role":"{role}"}}}}"#
            );
            (format!("host/n{}/workload/k8s/w{number}/endpoint/eth0", number % 2), value)
        }
    }
}

fn put(values: &mut BTreeMap<String, String>, dice: &mut Dice) {
    let (path, value) = record(dice);
    values.insert(format!("/calico/v1/{path}"), value);
}

/// How many pairs change, by traffic, looking at every pair.
fn naive(before: &Facts, after: &Facts) -> BTreeMap<(Traffic, bool), usize> {
    let old: Vec<End> = everybody(&before.records);
    let mut ends: Vec<End> = everybody(&after.records);
    ends.retain(|end| old.iter().any(|old| old.name == end.name));
    ends.push(End {
        party: Party::Outside,
        name: "outside".to_owned(),
        addresses: vec![OUTSIDER[0].parse().unwrap()],
    });
    let (mut then, mut now) = (Judge::new(before), Judge::new(after));
    let mut changed = BTreeMap::new();
    for from in &ends {
        for to in ends.iter().filter(|to| to.name != from.name) {
            let mut all = usual_traffic(&before.records, &after.records);
            all.extend(traffic_of(from, &mut then, &mut now));
            all.extend(traffic_of(to, &mut then, &mut now));
            for traffic in all {
                let (Ok(was), Ok(is)) = (then.ask(from, to, traffic), now.ask(from, to, traffic)) else {
                    continue;
                };
                if was.allowed != is.allowed {
                    *changed.entry((traffic, is.allowed)).or_insert(0) += 1;
                }
            }
        }
    }
    changed
}

#[test]
fn one_of_each_kind_speaks_for_all() {
    let mut changes = 0;
    for seed in 0..100 {
        let mut dice = Dice(seed);
        let mut values = BTreeMap::new();
        (0..25).for_each(|_| put(&mut values, &mut dice));
        let before = Facts::of(values.clone());
        (0..=dice.below(2)).for_each(|_| put(&mut values, &mut dice));
        let after = Facts::of(values);
        let mut found = BTreeMap::new();
        let plan = compare(&before, &after).unwrap();
        for change in &plan.changed {
            *found.entry((change.traffic, change.after.allowed)).or_insert(0) += change.pairs;
        }
        let expected = naive(&before, &after);
        assert_eq!(found, expected, "seed {seed}");
        assert_eq!(plan.looked_at, plan.all);
        changes += usize::from(!expected.is_empty());
    }
    assert!(changes > 20, "{changes} of 100 changes changed a verdict");
}
