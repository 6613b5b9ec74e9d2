use margay_intent::{Action, IcmpMatch, PortRange};

use super::*;
use crate::record::{Record, read};

/// The rule as it stands in a policy.
fn record(rule: &str) -> Rule {
    let value = format!(r#"{{"inbound_rules":[{rule}]}}"#);
    match read("/calico/v1/policy/tier/default/policy/p", &value).and_then(|reading| reading.record) {
        Some(Record::Policy(policy)) => policy.ingress[0].clone(),
        other => panic!("{rule}: {other:?}"),
    }
}

fn compiled(text: &str) -> Option<intent::Rule> {
    rule(&record(text), &mut Sets::new())
}

fn plain(families: Families) -> intent::Rule {
    intent::Rule {
        index: 0,
        action: Action::Allow,
        families,
        protocol: ProtocolMatch::Any,
        source: intent::Peer::default(),
        destination: intent::Peer::default(),
        icmp: None,
        not_icmp: None,
        log_prefix: None,
    }
}

#[test]
fn families_follow_from_version_protocol_names_and_networks() {
    use Families::{Both, V4, V6};
    for (rule, families) in [
        ("{}", Some(Both)),
        (r#"{"ip_version":4}"#, Some(V4)),
        (r#"{"protocol":"icmp"}"#, Some(V4)),
        (r#"{"protocol":"icmpv6"}"#, Some(V6)),
        (r#"{"protocol":"icmp","ip_version":6}"#, Some(V6)),
        (r#"{"protocol":1}"#, Some(Both)),
        (r#"{"!protocol":"icmp"}"#, Some(Both)),
        (r#"{"src_nets":["10.0.0.0/8","fd00::/8"]}"#, Some(Both)),
        (r#"{"src_nets":["10.0.0.0/8"]}"#, Some(V4)),
        (r#"{"!src_nets":["10.0.0.0/8"]}"#, Some(V4)),
        (r#"{"!dst_net":"fd00::/8","src_nets":["10.0.0.0/8","fd00::/8"]}"#, Some(V6)),
        (r#"{"!dst_nets":["10.0.0.0/8","fd00::/8","::/0"]}"#, Some(V4)),
        (r#"{"!dst_nets":["0.0.0.0/0","::/0"]}"#, None),
        (r#"{"src_net":"10.0.0.0/8","dst_net":"fd00::/8"}"#, None),
        (r#"{"protocol":"icmp","src_net":"fd00::/8"}"#, None),
    ] {
        let found = compiled(rule).map(|rule| rule.families);
        assert_eq!(found, families, "{rule}");
        assert_eq!(never_matches(&record(rule)).is_none(), families.is_some(), "{rule}");
    }
}

#[test]
fn only_networks_of_families_that_exist_are_kept() {
    let rule =
        compiled(r#"{"ip_version":6,"src_nets":["10.0.0.0/8","fd00::1/8"]}"#).expect("it exists in IPv6");
    assert_eq!(rule.source.nets, ["fd00::/8".parse::<Cidr>().unwrap()]);
}

#[test]
fn icmp_implies_the_protocol_of_the_family() {
    let icmp = Some(IcmpMatch { kind: 8, code: None });
    assert_eq!(compiled(r#"{"icmp_type":8}"#), Some(intent::Rule { icmp, ..plain(Families::Both) }));
    for (rule, families) in [
        (r#"{"icmp_type":8,"protocol":1}"#, Some(Families::V4)),
        (r#"{"icmp_type":8,"protocol":58}"#, Some(Families::V6)),
        (r#"{"icmp_type":8,"!protocol":58}"#, Some(Families::V4)),
        (r#"{"icmp_type":8,"!protocol":17}"#, Some(Families::Both)),
        (r#"{"icmp_type":8,"protocol":"udp"}"#, None),
        (r#"{"!icmp_type":8,"protocol":"icmp","ip_version":6}"#, None),
    ] {
        assert_eq!(compiled(rule).map(|rule| rule.families), families, "{rule}");
    }
    let not = compiled(r#"{"!icmp_type":3,"!icmp_code":4,"!protocol":"udp"}"#).expect("it can match");
    assert_eq!(
        (not.protocol, not.not_icmp),
        (ProtocolMatch::Any, Some(IcmpMatch { kind: 3, code: Some(4) }))
    );
}

#[test]
fn the_positive_protocol_decides_unless_they_are_equal() {
    let of = |rule: &str| compiled(rule).map(|rule| rule.protocol);
    assert_eq!(of(r#"{"protocol":"tcp","!protocol":17}"#), Some(ProtocolMatch::Is(6)));
    assert_eq!(of(r#"{"!protocol":17}"#), Some(ProtocolMatch::IsNot(17)));
    assert_eq!(of(r#"{"protocol":"tcp","!protocol":6}"#), None);
}

#[test]
fn tags_and_selectors_of_a_side_are_sets() {
    let text = r#"{"src_tag":"t","src_selector":"a=='b'","!src_tag":"u","dst_selector":"all()","!dst_selector":"x != ''"}"#;
    let mut sets = Sets::new();
    let rule = rule(&record(text), &mut sets).expect("it can match");
    let id = |text: &str| set_id(&text.parse().unwrap());
    assert_eq!(rule.source.sets, [id("has(t)"), id("a == 'b'")]);
    assert_eq!(rule.source.not_sets, [id("has(u)")]);
    assert_eq!(rule.destination.sets, [id("all()")]);
    assert_eq!(rule.destination.not_sets, [id("x != ''")]);
    assert_eq!(sets.len(), 5);
    assert!(sets.iter().all(|(id, selector)| *id == set_id(selector)));
    assert!(id("all()").as_str().starts_with("s:") && id("all()").as_str().len() == 40);
}

#[test]
fn a_tag_and_a_selector_that_say_the_same_are_one_set() {
    let rule = compiled(r#"{"src_tag":"t","src_selector":"has(t)"}"#).expect("it can match");
    assert_eq!(rule.source.sets.len(), 1);
}

#[test]
fn ports_and_prefixes_are_taken_over() {
    let rule = compiled(r#"{"action":"log","protocol":"udp","!dst_ports":["1:2"],"log_prefix":"x"}"#)
        .expect("a rule");
    assert_eq!(rule.destination.not_ports, [PortRange { first: 1, last: 2 }]);
    assert_eq!((rule.action, rule.log_prefix.as_deref()), (Action::Log, Some("x")));
}

#[test]
fn rules_keep_their_numbers_when_others_are_left_out() {
    let value = r#"{"inbound_rules":[{"protocol":6,"!protocol":6},{"action":"deny"}]}"#;
    let Some(Record::ProfileRules(profile)) =
        read("/calico/v1/policy/profile/p/rules", value).and_then(|reading| reading.record)
    else {
        panic!("a profile")
    };
    let indexes: Vec<u32> = rules(&profile.ingress, &mut Sets::new()).iter().map(|rule| rule.index).collect();
    assert_eq!(indexes, [1]);
}
