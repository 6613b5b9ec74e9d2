//! Stored values: the bytes of the datastore reference, and what others put there.

use margay_model::codec::{NodeParts, decode, decode_node, decode_profile, encode};
use margay_model::document::load;
use margay_model::validate::Scope;
use margay_model::{Key, Resource};

fn one(yaml: &str) -> Resource {
    let mut loaded = load(yaml.as_bytes(), Scope::All).expect("a valid document");
    loaded.remove(0).resource
}

fn endpoint() -> Resource {
    one(
        "{apiVersion: v1, kind: workloadEndpoint, metadata: {node: n, orchestrator: k8s, workload: w, name: eth0}, \
         spec: {interfaceName: calix}}",
    )
}

#[test]
fn the_smallest_endpoint_has_the_recorded_bytes() {
    let expected = r#"{"state":"active","name":"calix","active_instance_id":"","mac":null,"profile_ids":null,"ipv4_nets":[],"ipv6_nets":[]}"#;
    assert_eq!(encode(&endpoint(), None).as_deref(), Some(expected));
}

#[test]
fn fields_of_others_and_the_state_survive_a_rewrite() {
    let previous = r#"{"state":"inactive","name":"old","fqdn":"vm.example","ipv4_subnet_ids":["a<b"]}"#;
    let value = encode(&endpoint(), Some(previous)).unwrap();
    assert!(value.starts_with(r#"{"state":"inactive","name":"calix""#), "{value}");
    assert!(value.ends_with(r#""fqdn":"vm.example","ipv4_subnet_ids":["a\u003cb"]}"#), "{value}");
}

#[test]
fn integers_of_others_keep_all_their_digits() {
    let foreign = r#""serial":18446744073709551615,"offset":-9223372036854775808}"#;
    let value = encode(&endpoint(), Some(&format!("{{{foreign}"))).unwrap();
    assert!(value.ends_with(foreign), "{value}");
}

#[test]
fn a_log_prefix_survives_with_its_rule_only() {
    let policy = one(
        "{apiVersion: v1, kind: policy, metadata: {name: p}, spec: {ingress: [{action: log}, {action: deny}]}}",
    );
    let previous = r#"{"selector":"","inbound_rules":[{"action":"log","log_prefix":"here"},{"action":"allow","log_prefix":"gone"}]}"#;
    let value = encode(&policy, Some(previous)).unwrap();
    assert!(value.contains(r#"[{"action":"log","log_prefix":"here"},{"action":"deny"}]"#), "{value}");
}

#[test]
fn names_count_in_any_letter_case_and_unknown_ones_not_at_all() {
    let key = endpoint().identity().unwrap().key();
    let value = r#"{"STATE":"active","Name":"calix","mac":null,"zzz":{"a":1},"name":"calix"}"#;
    assert_eq!(decode(&key, value).unwrap(), Some(endpoint()));
}

#[test]
fn what_cannot_be_understood_is_an_error_and_not_half_a_resource() {
    let key = endpoint().identity().unwrap().key();
    for value in ["", "{", "[]", "7", r#"{"mac":""}"#, r#"{"ipv4_nets":["x"]}"#, r#"{"labels":[]}"#] {
        assert!(decode(&key, value).is_err(), "{value}");
    }
    let peer = Key::BgpPeer { node: None, peer: "10.0.0.1".parse().unwrap() };
    for value in [r#"{"ip":"10.0.0.1","as_num":64512}"#, r#"{"ip":"10.0.0.1","as_num":"1.10"}"#] {
        assert!(decode(&peer, value).is_err(), "{value}");
    }
}

#[test]
fn a_peer_without_an_address_is_read_as_one_however_that_is_written() {
    let peer = Key::BgpPeer { node: None, peer: "10.0.0.1".parse().unwrap() };
    let read = |value| decode(&peer, value).unwrap().unwrap();
    let without = read(r#"{"as_num":"64512"}"#);
    assert_eq!(read(r#"{"ip":"","as_num":"64512"}"#), without);
    assert_eq!(read(&encode(&without, None).unwrap()), without);
}

#[test]
fn a_policy_from_before_types_decides_both_directions() {
    let key = Key::Policy { name: "p".into() };
    let types = |value: &str| match decode(&key, value).unwrap() {
        Some(Resource::Policy(policy)) => policy.spec.types,
        other => panic!("{other:?}"),
    };
    assert_eq!(types(r#"{"selector":""}"#), ["ingress", "egress"]);
    assert_eq!(types(r#"{"selector":"","pre_dnat":true}"#), ["ingress"]);
}

#[test]
fn the_single_net_of_old_rules_is_read_behind_the_list() {
    let rules = r#"{"inbound_rules":[{"src_net":"10.0.0.0/8","src_nets":["11.0.0.0/8"],"protocol":"6","dst_ports":["80",443,"1:2"]}]}"#;
    let profile = decode_profile("p", None, None, Some(rules)).unwrap();
    let rule = &profile.spec.ingress[0];
    assert_eq!(rule.action, "allow");
    assert_eq!(rule.protocol, Some(margay_net::Protocol::Number(6)));
    assert_eq!(
        rule.source.nets.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["11.0.0.0/8", "10.0.0.0/8"]
    );
    assert_eq!(
        rule.destination.ports.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["80", "443", "1:2"]
    );
}

#[test]
fn a_node_has_bgp_only_with_an_address() {
    let parts =
        NodeParts { as_num: Some("64512".into()), ip_addr_v4: Some(String::new()), ..NodeParts::default() };
    assert_eq!(decode_node("n", &parts).unwrap().spec.bgp, None);
    let parts = NodeParts { ip_addr_v4: Some("10.0.0.1".into()), ..parts };
    let bgp = decode_node("n", &parts).unwrap().spec.bgp.unwrap();
    assert_eq!(bgp.ipv4_address.unwrap().to_string(), "10.0.0.1/32");
}
