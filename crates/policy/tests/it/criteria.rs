//! Criteria that probes cannot ask about: packets without ports or without an ICMP message.

use margay_policy::evaluate::{
    Asked, Check, Criterion, Icmp, Packet, Path, Records, Settings, Side, Verdict, World, protocol,
};

use crate::lab;

/// W0 lets in what one rule says.
fn world(rule: &str) -> World {
    let mut records = Records::default();
    let endpoint = r#"{"state":"active","name":"cali0","ipv4_nets":["10.65.0.10/32"],"labels":{}}"#;
    records.put("/calico/v1/host/h1/workload/lab/w0/endpoint/eth0", Some(endpoint));
    let policy = format!(r#"{{"inbound_rules":[{rule}],"types":["ingress"]}}"#);
    records.put("/calico/v1/policy/tier/default/policy/p", Some(&policy));
    assert!(records.invalid.is_empty(), "{:?}", records.invalid);
    lab::world(&records, Settings::default())
}

fn packet(number: u8) -> Packet {
    Packet::new(lab::ip("172.17.0.9"), lab::ip("10.65.0.10"), number)
}

/// The first criterion that kept the rule from matching; none when it matched.
fn kept(rule: &str, packet: &Packet) -> Option<Criterion> {
    let path = Path::Through { from: lab::interface("eth0"), to: lab::interface("cali0") };
    let evaluation = world(rule).evaluate(packet, &path);
    let step = &evaluation.steps[0];
    let missed = step.misses.first().map(|miss| miss.criterion);
    let expected = if missed.is_some() { Verdict::Drop } else { Verdict::Accept };
    assert_eq!(evaluation.verdict, expected);
    let last = &evaluation.steps.last().expect("a step").asked;
    assert_eq!(missed.is_some(), *last == Asked::Check(Check::EndOfTier));
    missed
}

#[test]
fn a_fragment_without_ports_satisfies_no_criterion_on_ports() {
    let fragment = packet(protocol::TCP);
    for (rule, side) in [
        (r#"{"protocol":"tcp","dst_ports":["1:65535"]}"#, Criterion::Ports(Side::Destination)),
        (r#"{"protocol":"tcp","!dst_ports":[80]}"#, Criterion::NotPorts(Side::Destination)),
        (r#"{"protocol":"tcp","src_ports":["1:65535"]}"#, Criterion::Ports(Side::Source)),
        (r#"{"protocol":"tcp","!src_ports":[80]}"#, Criterion::NotPorts(Side::Source)),
    ] {
        assert_eq!(kept(rule, &fragment), Some(side), "{rule}");
        let whole = fragment.with_ports(4000, 81);
        assert_eq!(kept(rule, &whole), None, "{rule}");
    }
    assert_eq!(kept(r#"{"protocol":"tcp"}"#, &fragment), None);
}

#[test]
fn a_fragment_without_a_message_satisfies_no_criterion_on_icmp() {
    let fragment = packet(protocol::ICMP);
    assert_eq!(kept(r#"{"protocol":"icmp","icmp_type":8}"#, &fragment), Some(Criterion::Icmp));
    assert_eq!(kept(r#"{"protocol":"icmp","!icmp_type":8}"#, &fragment), Some(Criterion::NotIcmp));
    assert_eq!(kept(r#"{"protocol":"icmp"}"#, &fragment), None);
}

#[test]
fn a_negated_type_with_a_code_is_the_pair_negated() {
    let rule = r#"{"protocol":"icmp","!icmp_type":3,"!icmp_code":1}"#;
    let with = |kind, code| Packet { icmp: Some(Icmp { kind, code }), ..packet(protocol::ICMP) };
    assert_eq!(kept(rule, &with(3, 1)), Some(Criterion::NotIcmp));
    assert_eq!(kept(rule, &with(3, 2)), None);
    assert_eq!(kept(rule, &with(8, 1)), None);
}

#[test]
fn the_first_criterion_that_fails_is_the_one_that_is_told() {
    let tcp = packet(protocol::TCP).with_ports(4000, 80);
    for (rule, criterion) in [
        (r#"{"ip_version":6}"#, Criterion::Family),
        (r#"{"protocol":"icmpv6"}"#, Criterion::Family),
        (r#"{"!src_nets":["fd00::/8"]}"#, Criterion::NetsOfOtherFamily),
        (r#"{"protocol":"udp","dst_ports":[1]}"#, Criterion::Protocol),
        (r#"{"!protocol":6}"#, Criterion::NotProtocol),
        (r#"{"src_nets":["10.0.0.0/8"],"dst_nets":["10.0.0.0/30"]}"#, Criterion::Nets(Side::Source)),
        (r#"{"!dst_nets":["10.65.0.0/24"]}"#, Criterion::NotNets(Side::Destination)),
        (r#"{"src_tag":"x"}"#, Criterion::Tag(Side::Source)),
        (r#"{"src_selector":"all()"}"#, Criterion::Selector(Side::Source)),
        (r#"{"!dst_selector":"all()"}"#, Criterion::NotSelector(Side::Destination)),
    ] {
        assert_eq!(kept(rule, &tcp), Some(criterion), "{rule}");
    }
    assert_eq!(kept(r#"{"!src_selector":"all()","!src_tag":"x","dst_selector":"all()"}"#, &tcp), None);
}

#[test]
fn a_protocol_by_name_is_that_protocol_alone() {
    let sctp = packet(132).with_ports(4000, 80);
    assert_eq!(kept(r#"{"protocol":"sctp"}"#, &sctp), None);
    assert_eq!(kept(r#"{"protocol":"tcp","dst_ports":[80]}"#, &sctp), Some(Criterion::Protocol));
    assert_eq!(kept(r#"{"protocol":"udplite"}"#, &packet(136)), None);
    assert_eq!(kept(r#"{"!protocol":"tcp"}"#, &sctp), None);
    // A number implies no family, a name of ICMP does.
    assert_eq!(kept(r#"{"protocol":58}"#, &packet(protocol::ICMPV6)), None);
    assert_eq!(kept(r#"{"protocol":"icmpv6"}"#, &packet(protocol::ICMPV6)), Some(Criterion::Family));
}
