use super::*;

const WORKLOAD: &str = "/calico/v1/host/h1/workload/k8s/ns.pod/endpoint/eth0";
const HOST: &str = "/calico/v1/host/h1/endpoint/eth0";
const POLICY: &str = "/calico/v1/policy/tier/default/policy/p";
const RULES: &str = "/calico/v1/policy/profile/p/rules";
const TAGS: &str = "/calico/v1/policy/profile/p/tags";
const LABELS: &str = "/calico/v1/policy/profile/p/labels";

fn reading(path: &str, value: &str) -> Reading {
    read(path, value).unwrap_or_else(|| panic!("{path} is no key of a record"))
}

/// The record and what follows from its faults.
fn effects(path: &str, value: &str) -> (Option<Record>, Vec<Effect>) {
    let reading = reading(path, value);
    (reading.record, reading.quarantine.iter().map(|quarantine| quarantine.effect).collect())
}

fn good(path: &str, value: &str) -> Record {
    match effects(path, value) {
        (Some(record), faults) if faults.is_empty() => record,
        other => panic!("{value}: {other:?}"),
    }
}

fn messages(path: &str, value: &str) -> Vec<String> {
    reading(path, value).quarantine.into_iter().map(|quarantine| quarantine.message).collect()
}

fn policy(value: &str) -> Policy {
    match effects(POLICY, value).0 {
        Some(Record::Policy(policy)) => policy,
        other => panic!("{value}: {other:?}"),
    }
}

/// A rule inside a policy that is otherwise in order.
fn with_rule(rule: &str) -> String {
    format!(
        r#"{{"order":5,"selector":"a == 'b'","inbound_rules":[{{"action":"deny"}},{rule}],"types":["ingress"]}}"#
    )
}

fn the_rule(rule: &str) -> Rule {
    policy(&with_rule(rule)).ingress.last().cloned().expect("two rules")
}

#[test]
fn keys_name_records_of_every_tier_and_host() {
    let policy =
        |name: &str, tier: &str| Some(RecordKey::Policy(PolicyId { name: name.into(), tier: tier.into() }));
    let parse = RecordKey::parse;
    assert_eq!(parse(POLICY), policy("p", "default"));
    assert_eq!(
        parse("/calico/v1/policy/tier/k8s-network-policy/policy/a%2fb"),
        policy("a/b", "k8s-network-policy")
    );
    assert_eq!(parse(RULES), Some(RecordKey::ProfileRules("p".into())));
    assert_eq!(parse(TAGS), Some(RecordKey::ProfileTags("p".into())));
    assert_eq!(parse(LABELS), Some(RecordKey::ProfileLabels("p".into())));
    assert_eq!(parse(HOST), Some(RecordKey::HostEndpoint { host: "h1".into(), id: "eth0".into() }));
    assert_eq!(parse("/calico/v1/host/h1/bird_ip"), Some(RecordKey::HostIp("h1".into())));
    let pool = "10.0.0.0/8".parse().map(RecordKey::Pool).ok();
    assert_eq!(parse("/calico/v1/ipam/v4/pool/10.0.0.0-8"), pool);
    for other in ["/calico/v1/Ready", "/calico/v1/config/a", "/calico/v1/host/h1/metadata", "", "/", "calico"]
    {
        assert_eq!(parse(other), None, "{other}");
    }
}

#[test]
fn a_second_spelling_of_a_name_counts_for_nothing() {
    for path in [
        "/calico/v1/policy/tier/default/policy/a%",
        "/calico/v1/policy/profile/a%2F/tags",
        "/calico/v1/host/h1/workload/k8s/a%b/endpoint/eth0",
    ] {
        assert_eq!(effects(path, "{}"), (None, vec![Effect::Ignored]), "{path}");
    }
    assert!(matches!(good("/calico/v1/policy/tier/default/policy/a%25%2f", "{}"), Record::Policy(_)));
}

#[test]
fn a_workload_endpoint_is_read_whole() {
    let value = r#"{"state":"active","name":"cali1","active_instance_id":"","mac":"02-00-00-00-00-01",
        "profile_ids":["b","a","b"],"ipv4_nets":["10.0.0.1/32","10.1.0.5/24"],"ipv6_nets":["fd00::1"],
        "ipv4_nat":[{"int_ip":"10.0.0.1","ext_ip":"1.2.3.4"}],"labels":{"b":"2","a":"1","a":"3"},"fqdn":7}"#;
    let net = |text: &str| text.parse::<Cidr>().unwrap();
    let expected = Workload {
        active: true,
        interface: "cali1".parse().unwrap(),
        mac: "02:00:00:00:00:01".parse().ok(),
        profiles: [ProfileId::from("b"), "a".into()].into(),
        nets: [net("10.0.0.1/32"), net("10.1.0.5/24"), net("fd00::1/128")].into(),
        nats: [Nat { external: "1.2.3.4".parse().unwrap(), internal: "10.0.0.1".parse().unwrap() }].into(),
        labels: [("a".into(), "3".into()), ("b".into(), "2".into())].into(),
    };
    assert_eq!(good(WORKLOAD, value), Record::Workload(expected));
}

#[test]
fn names_count_in_any_letter_case_and_the_last_of_several_counts() {
    let Record::Workload(read) =
        good(WORKLOAD, r#"{"name":"a","NAME":"b","State":"active","ipv4_nets":null}"#)
    else {
        panic!("a workload endpoint")
    };
    assert_eq!((read.interface.as_str(), read.active), ("b", true));
}

#[test]
fn only_the_exact_word_makes_a_workload_active() {
    for (state, active) in [("active", true), ("Active", false), ("inactive", false), ("", false)] {
        let Record::Workload(read) = good(WORKLOAD, &format!(r#"{{"name":"a","state":"{state}"}}"#)) else {
            panic!("a workload endpoint")
        };
        assert_eq!(read.active, active, "{state}");
    }
}

#[test]
fn a_workload_endpoint_with_a_fault_is_as_if_it_were_not_there() {
    for (value, message) in [
        ("", "EOF while parsing a value"),
        ("null", "the value is null"),
        ("[]", "not a JSON object"),
        ("{} {}", "trailing characters"),
        ("{}", "name: the endpoint has no interface"),
        (r#"{"name":"a/b"}"#, r#"name: invalid interface name: "a/b""#),
        (r#"{"name":"a","mac":""}"#, "mac: address : invalid MAC address"),
        (r#"{"name":"a","ipv4_nets":["10.0.0.0/33"]}"#, "ipv4_nets: invalid IP address: 10.0.0.0/33"),
        (r#"{"name":"a","labels":{"a":1}}"#, "labels: invalid type: integer `1`, expected text"),
        (
            r#"{"name":"a","profile_ids":"a"}"#,
            r#"profile_ids: invalid type: string "a", expected a sequence"#,
        ),
        (r#"{"name":"a","ipv4_gateway":"x"}"#, "ipv4_gateway: invalid IP address: x"),
    ] {
        assert_eq!(effects(WORKLOAD, value), (None, vec![Effect::Ignored]), "{value}");
        assert_eq!(messages(WORKLOAD, value), [message], "{value}");
    }
}

#[test]
fn a_workload_endpoint_may_have_odd_labels() {
    let (record, effects) = effects(WORKLOAD, r#"{"name":"a","labels":{"a b":"-"}}"#);
    assert_eq!(effects, [Effect::Accepted]);
    assert!(matches!(record, Some(Record::Workload(read)) if &*read.labels[0].0 == "a b"));
}

#[test]
fn foreign_addresses_are_no_nats() {
    for nat in [
        r#"{"int_ip":"10.0.0.2","ext_ip":"1.1.1.1"}"#,
        r#"{"int_ip":"10.0.0.1","ext_ip":"fd00::1"}"#,
        r#"{"int_ip":"10.0.0.1","ext_ip":""}"#,
        r#"{"int_ip":"10.0.0.1"}"#,
        "null",
    ] {
        let value = format!(r#"{{"name":"a","ipv4_nets":["10.0.0.1/32"],"ipv4_nat":[{nat}]}}"#);
        let (record, effects) = effects(WORKLOAD, &value);
        assert_eq!(effects, [Effect::NatLeftOut], "{nat}");
        assert!(matches!(record, Some(Record::Workload(read)) if read.nats.is_empty()), "{nat}");
    }
}

#[test]
fn a_host_endpoint_is_read_whole() {
    let value = r#"{"name":"eth0","expected_ipv4_addrs":["10.0.0.1",""],"expected_ipv6_addrs":["fd00::1"],
        "labels":{"a":"b"},"profile_ids":["p"]}"#;
    let expected = HostEndpoint {
        interface: "eth0".parse().ok(),
        addresses: ["10.0.0.1".parse().unwrap(), "fd00::1".parse().unwrap()].into(),
        profiles: [ProfileId::from("p")].into(),
        labels: [("a".into(), "b".into())].into(),
    };
    assert_eq!(good(HOST, value), Record::HostEndpoint(expected));
    assert!(matches!(good(HOST, "{}"), Record::HostEndpoint(read) if read.interface.is_none()));
}

#[test]
fn a_broken_host_endpoint_stays_as_far_as_its_interface_is_known() {
    for (value, interface, addresses) in [
        (r#"{"name":"eth0","labels":{"a b":"c"},"profile_ids":["p"]}"#, Some("eth0"), 0),
        (r#"{"name":"eth0","labels":7}"#, Some("eth0"), 0),
        (r#"{"name":"eth0","profile_ids":["a b"],"labels":{"a":"b"}}"#, Some("eth0"), 0),
        (r#"{"name":"eth0","expected_ipv4_addrs":["x","10.0.0.1",7]}"#, Some("eth0"), 1),
        (r#"{"name":"*","expected_ipv6_addrs":["fd00::1"]}"#, None, 1),
        (r#"{"name":7,"expected_ipv4_addrs":["10.0.0.1"]}"#, None, 1),
        (r#"{"name":"br+lan","profile_ids":["p"]}"#, Some("br+lan"), 0),
    ] {
        let (record, effects) = effects(HOST, value);
        assert!(
            !effects.is_empty() && effects.iter().all(|effect| *effect == Effect::Bare),
            "{value}: {effects:?}"
        );
        let Some(Record::HostEndpoint(read)) = record else { panic!("{value}") };
        assert_eq!(read.interface.map(|name| name.to_string()).as_deref(), interface, "{value}");
        assert_eq!(read.addresses.len(), addresses, "{value}");
        assert!(read.labels.is_empty() && read.profiles.is_empty(), "{value}");
    }
    for value in ["", "null", "7", "{", r#"{"name":"a b"}"#, r#"{"name":"*"}"#, r#"{"labels":{"a b":""}}"#] {
        let (record, effects) = effects(HOST, value);
        assert_eq!((record, effects[0]), (None, Effect::Ignored), "{value}");
    }
}

#[test]
fn a_policy_is_read_whole() {
    let value = r#"{"order":100.5,"selector":"role == 'db'","types":["Ingress","foo"],"annotations":{"a":"b"},
        "inbound_rules":[{"action":"next-tier","protocol":"tcp","src_tag":"t","!dst_net":"10.0.0.7/8",
        "dst_ports":[80,"8000:8080","7"],"log_prefix":"x"}],"outbound_rules":[{}]}"#;
    let port = |first, last| PortRange { first, last };
    let rule = Rule {
        action: Action::Pass,
        protocol: Some(RuleProtocol { number: 6, named: true }),
        source: Peer { tag: Some("t".into()), ..Peer::default() },
        destination: Peer {
            not_nets: ["10.0.0.0/8".parse().unwrap()].into(),
            ports: [port(80, 80), port(8000, 8080), port(7, 7)].into(),
            ..Peer::default()
        },
        log_prefix: Some("x".into()),
        ..Rule::deny_all()
    };
    let expected = Policy {
        order: 100.5,
        selector: "role == 'db'".parse().unwrap(),
        list: List::Normal,
        governs_ingress: true,
        governs_egress: false,
        ingress: [rule].into(),
        egress: [Rule { action: Action::Allow, ..Rule::deny_all() }].into(),
    };
    assert_eq!(good(POLICY, value), Record::Policy(expected));
}

#[test]
fn types_and_flags_say_where_a_policy_governs() {
    for (value, list, ingress, egress) in [
        ("{}", List::Normal, true, true),
        (r#"{"types":[]}"#, List::Normal, true, true),
        (r#"{"types":["foo"]}"#, List::Normal, false, false),
        (r#"{"types":["EGRESS",null]}"#, List::Normal, false, true),
        (r#"{"untracked":true,"pre_dnat":true}"#, List::Untracked, true, true),
        (r#"{"pre_dnat":true}"#, List::PreDnat, true, false),
        (r#"{"pre_dnat":true,"types":["egress"]}"#, List::PreDnat, false, false),
    ] {
        let policy = policy(value);
        assert_eq!(
            (policy.list, policy.governs_ingress, policy.governs_egress),
            (list, ingress, egress),
            "{value}"
        );
        assert!(policy.order.is_infinite() && policy.order > 0.0, "{value}");
    }
}

#[test]
fn a_policy_without_a_readable_selector_governs_nothing() {
    for value in [
        "",
        "null",
        "[]",
        "x",
        r#"{"selector":"a =="}"#,
        r#"{"selector":7,"inbound_rules":[]}"#,
        r#"{"selector":"a""#,
    ] {
        assert_eq!(effects(POLICY, value), (None, vec![Effect::Ignored]), "{value}");
    }
}

#[test]
fn a_broken_policy_denies_in_its_directions_at_its_place() {
    let deny = || -> Box<[Rule]> { [Rule::deny_all()].into() };
    let of = |order, list, governs_ingress, governs_egress| Policy {
        order,
        selector: "a == 'b'".parse().unwrap(),
        list,
        governs_ingress,
        governs_egress,
        ingress: deny(),
        egress: deny(),
    };
    let (first, normal) = (f64::NEG_INFINITY, List::Normal);
    for (fields, expected) in [
        (r#""order":7,"types":["egress"],"inbound_rules":[{"protocol":300}]"#, of(7.0, normal, false, true)),
        (r#""order":7,"types":"ingress""#, of(7.0, normal, true, true)),
        (r#""order":7,"types":["ingress"],"annotations":{"a":1}"#, of(7.0, normal, true, false)),
        (r#""order":"7","types":["ingress"]"#, of(first, normal, true, false)),
        (r#""order":1e999"#, of(first, normal, true, true)),
        (r#""order":7,"inbound_rules":{}"#, of(7.0, normal, true, true)),
        (r#""order":7,"untracked":true,"outbound_rules":[null]"#, of(7.0, List::Untracked, true, true)),
        (r#""order":7,"untracked":"yes""#, of(7.0, normal, true, true)),
    ] {
        let value = format!(r#"{{"selector":"a == 'b'",{fields}}}"#);
        let found = effects(POLICY, &value);
        assert_eq!(found, (Some(Record::Policy(expected)), vec![Effect::DeniesAll]), "{value}");
    }
}

#[test]
fn a_rule_that_upstream_refuses_breaks_its_policy() {
    for (rule, message) in [
        ("7", "inbound_rules[1]: not a JSON object"),
        (
            r#"{"action":"pass"}"#,
            "inbound_rules[1]: action: 'pass' is not one of allow, deny, log, next-tier",
        ),
        (r#"{"ip_version":5}"#, "inbound_rules[1]: ip_version: 5 is neither 4 nor 6"),
        (r#"{"protocol":"TCP"}"#, "inbound_rules[1]: protocol: 'TCP' is no protocol"),
        (r#"{"!protocol":0}"#, "inbound_rules[1]: !protocol: 0 is no protocol"),
        (r#"{"icmp_type":255}"#, "inbound_rules[1]: icmp_type: 255 is not from 0 to 254"),
        (r#"{"!icmp_code":256}"#, "inbound_rules[1]: !icmp_code: 256 is not from 0 to 255"),
        (r#"{"src_net":"10.0.0.0/33"}"#, "inbound_rules[1]: src_net: invalid IP address: 10.0.0.0/33"),
        (r#"{"dst_ports":[80]}"#, "inbound_rules[1]: dst_ports: ports need the protocol tcp or udp"),
        (
            r#"{"!protocol":"tcp","!src_ports":[80]}"#,
            "inbound_rules[1]: !src_ports: ports need the protocol tcp or udp",
        ),
        (
            r#"{"protocol":"tcp","src_ports":["9:8"]}"#,
            "inbound_rules[1]: src_ports: minimum port number (9) is greater than maximum port number (8) in port range",
        ),
        (
            r#"{"!dst_tag":"a b"}"#,
            "inbound_rules[1]: !dst_tag: 'a b' is no tag: 1 to 128 of a-z A-Z 0-9 _ . -",
        ),
    ] {
        let value = with_rule(rule);
        assert_eq!(messages(POLICY, &value), [message], "{rule}");
        assert_eq!(effects(POLICY, &value).1, [Effect::DeniesAll], "{rule}");
        assert_eq!(*policy(&value).ingress, [Rule::deny_all()], "{rule}");
    }
    let message = messages(POLICY, &with_rule(r#"{"src_selector":"a =="}"#));
    assert!(message[0].starts_with("inbound_rules[1]: src_selector: "), "{message:?}");
}

#[test]
fn a_lone_icmp_code_closes_its_own_rule_only() {
    for (action, rules, effect) in [
        ("allow", 1, Effect::RuleLeftOut),
        ("next-tier", 1, Effect::RuleLeftOut),
        ("deny", 2, Effect::WithoutCode),
        ("log", 2, Effect::WithoutCode),
    ] {
        for code in [r#""icmp_code":3"#, r#""!icmp_code":3"#, r#""icmp_type":8,"!icmp_code":3"#] {
            let value = with_rule(&format!(r#"{{"action":"{action}","protocol":"icmp",{code}}}"#));
            assert_eq!(effects(POLICY, &value).1, [effect], "{value}");
            let policy = policy(&value);
            assert_eq!(policy.ingress.len(), rules, "{value}");
            assert!(
                policy.ingress[1..].iter().all(|rule| rule.index == 1 && rule.not_icmp.is_none()),
                "{value}"
            );
        }
    }
}

#[test]
fn rules_that_match_no_packet_stay_and_are_reported() {
    for rule in [
        r#"{"protocol":"tcp","!protocol":6}"#,
        r#"{"ip_version":4,"!src_net":"0.0.0.0/0"}"#,
        r#"{"!src_nets":["10.0.0.0/8","0.0.0.0/0"],"dst_net":"10.0.0.0/8"}"#,
        r#"{"protocol":"udp","icmp_type":8}"#,
        r#"{"ip_version":6,"src_net":"10.0.0.0/8"}"#,
        r#"{"src_net":"10.0.0.0/8","dst_net":"fd00::/8"}"#,
    ] {
        assert_eq!(effects(POLICY, &with_rule(rule)).1, [Effect::NeverMatches], "{rule}");
        assert_eq!(policy(&with_rule(rule)).ingress.len(), 2, "{rule}");
    }
}

#[test]
fn protocols_remember_whether_they_were_names() {
    for (text, number, named) in [("\"icmpv6\"", 58, true), ("\"58\"", 58, false), ("132", 132, false)] {
        let protocol = Some(RuleProtocol { number, named });
        assert_eq!(the_rule(&format!(r#"{{"protocol":{text}}}"#)).protocol, protocol, "{text}");
    }
}

#[test]
fn profiles_have_three_parts_that_fail_alone() {
    let Record::ProfileRules(rules) = good(RULES, r#"{"inbound_rules":[{"action":"deny"}]}"#) else {
        panic!("rules")
    };
    assert_eq!((rules.ingress.len(), rules.egress.len()), (1, 0));
    assert_eq!(good(RULES, "null"), Record::ProfileRules(ProfileRules::default()));
    for value in ["", "[]", r#"{"inbound_rules":[{"action":"x"}]}"#, r#"{"outbound_rules":7}"#] {
        assert_eq!(effects(RULES, value), (None, vec![Effect::ProfileDenies]), "{value}");
    }
    assert_eq!(good(TAGS, r#"["b","a","b"]"#), Record::ProfileTags(["a".into(), "b".into()].into()));
    assert_eq!(good(TAGS, "null"), Record::ProfileTags(Box::default()));
    assert_eq!(good(LABELS, r#"{"a":"b"}"#), Record::ProfileLabels([("a".into(), "b".into())].into()));
    for (path, value) in [(TAGS, "{}"), (TAGS, "[1]"), (LABELS, "[]"), (LABELS, r#"{"a":{}}"#)] {
        assert_eq!(effects(path, value), (None, vec![Effect::Ignored]), "{value}");
    }
}

#[test]
fn pools_and_host_addresses() {
    let pool = "/calico/v1/ipam/v4/pool/10.0.0.0-8";
    assert_eq!(
        good(pool, r#"{"cidr":"10.0.0.0/8","masquerade":true}"#),
        Record::Pool(Pool { masquerade: true })
    );
    assert_eq!(good(pool, "{}"), Record::Pool(Pool { masquerade: false }));
    assert_eq!(effects(pool, r#"{"masquerade":1}"#), (None, vec![Effect::Ignored]));
    let host = "/calico/v1/host/h/bird_ip";
    assert_eq!(good(host, "10.0.0.1"), Record::HostIp(Ipv4Addr::new(10, 0, 0, 1)));
    assert_eq!(effects(host, ""), (None, vec![]));
    assert_eq!(effects(host, "fd00::1"), (None, vec![Effect::Ignored]));
    assert_eq!(effects(host, "x"), (None, vec![Effect::Ignored]));
}

#[test]
fn a_quarantine_tells_people_where_what_and_so_what() {
    let text = reading(POLICY, r#"{"order":"x"}"#).quarantine[0].to_string();
    let expected = "/calico/v1/policy/tier/default/policy/p: order: invalid type: string \"x\", expected f64: \
        the policy denies everything in its directions";
    assert_eq!(text, expected);
}
