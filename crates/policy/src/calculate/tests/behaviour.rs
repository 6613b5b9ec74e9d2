//! Single steps, each with what it must and must not report.

use std::collections::BTreeMap;

use margay_intent::{Action, Members, SetChange, SetId, State};

use super::super::*;
use crate::compile::set_id;

const W0: &str = "/calico/v1/host/h1/workload/k8s/w0/endpoint/eth0";
const W1: &str = "/calico/v1/host/h1/workload/k8s/w1/endpoint/eth0";
const FAR: &str = "/calico/v1/host/far/workload/k8s/w9/endpoint/eth0";
const GATEWAY: &str = "/calico/v1/host/h1/endpoint/gateway";
const POLICY: &str = "/calico/v1/policy/tier/default/policy/p";

/// A calculator in sync with some records, and what it has reported.
fn with(records: &[(&str, &str)]) -> (Calculator, State) {
    with_options(records, Options::default())
}

fn with_options(records: &[(&str, &str)], options: Options) -> (Calculator, State) {
    let mut calculator = Calculator::new("h1".into(), options);
    for (key, value) in records {
        calculator.update(key, Some(value));
    }
    calculator.in_sync();
    let mut state = State::default();
    state.apply(calculator.take_changes());
    (calculator, state)
}

/// What one update changes.
fn step(calculator: &mut Calculator, key: &str, value: Option<&str>) -> Changes {
    calculator.update(key, value);
    calculator.take_changes()
}

fn workload(labels: &str, addresses: &str) -> String {
    format!(r#"{{"state":"active","name":"cali0","labels":{{{labels}}},"ipv4_nets":[{addresses}]}}"#)
}

/// Rules that name one set.
fn policy(selector: &str, peer: &str) -> String {
    format!(
        r#"{{"selector":"{selector}","inbound_rules":[{{"src_selector":"{peer}"}}],"types":["ingress"]}}"#
    )
}

fn set(selector: &str) -> SetId {
    set_id(&selector.parse().expect("a selector"))
}

fn members(addresses: &[&str]) -> Members {
    addresses.iter().map(|address| address.parse().expect("an address")).collect()
}

fn w(name: &str) -> WorkloadId {
    WorkloadId { orchestrator: "k8s".into(), workload: name.into(), endpoint: "eth0".into() }
}

fn named(name: &str, tier: &str) -> PolicyId {
    PolicyId { name: name.into(), tier: tier.into() }
}

/// The policies that decide about traffic to a workload.
fn ingress(state: &State, name: &str) -> Vec<String> {
    let tiers = &state.workloads[&w(name)].ingress.tiers;
    tiers.iter().flat_map(|tier| &tier.policies).map(ToString::to_string).collect()
}

#[test]
fn nothing_is_reported_before_the_datastore_has_been_read() {
    let mut calculator = Calculator::new("h1".into(), Options::default());
    calculator.update(W0, Some(&workload("", "")));
    assert!(calculator.take_changes().is_empty());
    calculator.in_sync();
    assert!(calculator.take_changes().workloads.contains_key(&w("w0")));
}

#[test]
fn an_address_stays_in_a_set_until_its_last_endpoint_goes() {
    let (mut calculator, state) = with(&[
        (W0, &workload(r#""b":"b""#, r#""10.0.0.1","10.0.0.2""#)),
        (FAR, &workload(r#""b":"b""#, r#""10.0.0.2","10.0.0.3""#)),
        (POLICY, &policy("all()", "b == 'b'")),
    ]);
    let b = set("b == 'b'");
    assert_eq!(state.sets[&b], members(&["10.0.0.1", "10.0.0.2", "10.0.0.3"]));
    let moved = step(&mut calculator, W0, Some(&workload(r#""b":"b""#, r#""11.0.0.1""#)));
    let change = SetChange::Update { added: members(&["11.0.0.1"]), removed: members(&["10.0.0.1"]) };
    assert_eq!(moved.sets, BTreeMap::from([(b.clone(), change)]));
    let gone = step(&mut calculator, FAR, None);
    let change = SetChange::Update { added: members(&[]), removed: members(&["10.0.0.2", "10.0.0.3"]) };
    assert_eq!(gone.sets, BTreeMap::from([(b, change)]));
}

#[test]
fn a_network_counts_by_its_address_in_sets_and_as_a_network_in_routes() {
    let (_, state) =
        with(&[(W0, &workload(r#""b":"b""#, r#""10.1.0.5/24""#)), (POLICY, &policy("all()", "b == 'b'"))]);
    assert_eq!(state.sets[&set("b == 'b'")], members(&["10.1.0.5"]));
    assert_eq!(state.workloads[&w("w0")].nets, ["10.1.0.0/24".parse().expect("a network")]);
}

#[test]
fn a_set_is_there_while_a_rule_of_this_host_uses_it() {
    let far_only = policy("a == 'far'", "b == 'b'");
    let (mut calculator, state) =
        with(&[(W0, &workload(r#""a":"near""#, r#""10.0.0.1""#)), (POLICY, &far_only)]);
    assert_eq!((state.sets.len(), state.policies.len()), (0, 0));
    // A set in use without members is empty, which is something else than no set.
    let used = step(&mut calculator, W0, Some(&workload(r#""a":"far""#, "")));
    assert_eq!(used.sets, BTreeMap::from([(set("b == 'b'"), SetChange::Replace(members(&[])))]));
    let unused = step(&mut calculator, W0, None);
    assert_eq!(unused.sets, BTreeMap::from([(set("b == 'b'"), SetChange::Remove)]));
    assert_eq!(unused.policies, BTreeMap::from([(named("p", "default"), None)]));
}

#[test]
fn rules_of_a_direction_that_is_not_governed_bring_no_sets() {
    let value = r#"{"outbound_rules":[{"dst_tag":"t"}],"inbound_rules":[{}],"types":["ingress"]}"#;
    let (_, state) = with(&[(W0, &workload("", "")), (POLICY, value)]);
    assert!(state.sets.is_empty());
    assert_eq!(state.policies[&named("p", "default")].egress, []);
}

#[test]
fn endpoints_of_other_hosts_are_members_and_nothing_else() {
    let (_, state) = with(&[(FAR, &workload("", "")), (POLICY, "{}")]);
    assert_eq!(state, State::default());
}

#[test]
fn policies_stand_by_order_then_name_then_tier() {
    let path = |tier: &str, name: &str| format!("/calico/v1/policy/tier/{tier}/policy/{name}");
    let records = [
        (path("default", "none"), "{}"),
        (path("default", "late"), r#"{"order":1e9}"#),
        (path("default", "b"), r#"{"order":-1}"#),
        (path("default", "a"), r#"{"order":0}"#),
        (path("aaa", "a"), r#"{"order":-0.0}"#),
        (path("default", "A"), r#"{"order":0}"#),
    ];
    let mut all: Vec<(&str, &str)> = records.iter().map(|(key, value)| (key.as_str(), *value)).collect();
    let endpoint = workload("", "");
    all.insert(3, (W0, &endpoint));
    let (mut calculator, state) = with(&all);
    assert_eq!(ingress(&state, "w0"), ["b", "A", "aaa/a", "a", "late", "none"]);
    let tiers = calculator.tiers();
    assert_eq!(tiers, BTreeMap::from([("aaa".into(), 1), ("default".into(), 5)]));
    let moved = step(&mut calculator, &path("default", "b"), Some("{}"));
    assert_eq!(moved.workloads.len(), 1);
    assert!(moved.policies.is_empty(), "its rules are what they were");
}

#[test]
fn a_change_of_rules_reports_the_policy_alone() {
    let (mut calculator, _) = with(&[(W0, &workload("", "")), (POLICY, "{}")]);
    let changes = step(&mut calculator, POLICY, Some(r#"{"inbound_rules":[{"action":"deny"}]}"#));
    let only_policy = Changes { policies: changes.policies.clone(), ..Changes::default() };
    assert_eq!((changes.policies.len(), &changes), (1, &only_policy));
    assert!(
        step(&mut calculator, POLICY, Some(r#"{"inbound_rules":[{"action":"deny"}], "x":1}"#)).is_empty()
    );
}

#[test]
fn a_profile_counts_as_missing_until_it_has_rules() {
    let endpoint = r#"{"name":"cali0","profile_ids":["p","q"]}"#;
    let rules = "/calico/v1/policy/profile/p/rules";
    let (mut calculator, state) = with(&[(W0, endpoint), ("/calico/v1/policy/profile/q/rules", "{}")]);
    assert_eq!(state.workloads[&w("w0")].ingress.profiles, [ProfileId::from("p"), "q".into()]);
    assert_eq!(state.profiles.keys().collect::<Vec<_>>(), [&ProfileId::from("q")]);
    assert!(step(&mut calculator, rules, Some("broken")).is_empty());
    assert!(step(&mut calculator, rules, Some("{}")).profiles[&ProfileId::from("p")].is_some());
    assert_eq!(step(&mut calculator, rules, None).profiles, BTreeMap::from([("p".into(), None)]));
}

#[test]
fn tags_and_labels_of_a_profile_move_all_its_endpoints() {
    let of = |address: &str| format!(r#"{{"name":"cali0","profile_ids":["p"],"ipv4_nets":["{address}"]}}"#);
    let tags = "/calico/v1/policy/profile/p/tags";
    let (mut calculator, _) = with(&[
        (W0, &of("10.0.0.1")),
        (FAR, &of("10.0.0.9")),
        (POLICY, r#"{"selector":"!has(never)","inbound_rules":[{"src_tag":"t"}]}"#),
        ("/calico/v1/policy/tier/default/policy/q", r#"{"selector":"has(t)"}"#),
    ]);
    let tagged = step(&mut calculator, tags, Some(r#"["t"]"#));
    let added = SetChange::Update { added: members(&["10.0.0.1", "10.0.0.9"]), removed: members(&[]) };
    assert_eq!(tagged.sets, BTreeMap::from([(set("has(t)"), added)]));
    assert!(tagged.policies[&named("q", "default")].is_some());
    let untagged = step(&mut calculator, tags, None);
    assert_eq!(untagged.policies, BTreeMap::from([(named("q", "default"), None)]));
}

#[test]
fn early_lists_are_for_host_endpoints_alone() {
    let (_, state) = with(&[
        (W0, &workload("", "")),
        (GATEWAY, r#"{"name":"eth0"}"#),
        (POLICY, r#"{"untracked":true}"#),
        ("/calico/v1/policy/tier/default/policy/q", r#"{"pre_dnat":true}"#),
    ]);
    assert!(state.workloads[&w("w0")].ingress.is_empty() && state.workloads[&w("w0")].egress.is_empty());
    let endpoint = &state.host_endpoints[&HostEndpointId::from("gateway")];
    let lists = [
        &endpoint.ingress,
        &endpoint.egress,
        &endpoint.untracked_ingress,
        &endpoint.untracked_egress,
        &endpoint.pre_dnat,
    ];
    let first =
        |program: &margay_intent::Program| program.tiers.first().map(|tier| tier.policies[0].to_string());
    let p = || Some("p".to_owned());
    assert_eq!(lists.map(first), [None, None, p(), p(), Some("q".to_owned())]);
    assert_eq!(state.policies[&named("q", "default")].egress, []);
}

#[test]
fn a_broken_policy_denies_unless_told_to_do_as_upstream() {
    let broken = r#"{"order":1,"inbound_rules":[{"protocol":300}]}"#;
    let records = [(W0, workload("", "")), (POLICY, broken.to_owned())];
    let records = records.each_ref().map(|(key, value)| (*key, value.as_str()));
    let (calculator, state) = with(&records);
    let rules = &state.policies[&named("p", "default")].ingress;
    assert_eq!(rules.iter().map(|rule| rule.action).collect::<Vec<_>>(), [Action::Deny]);
    assert_eq!(calculator.quarantined_policies(), 1);
    let (calculator, state) = with_options(&records, Options { ignore_invalid_policies: true });
    assert!(state.policies.is_empty());
    assert_eq!(calculator.invalid_counts()[&Kind::Policy], 1);
}

#[test]
fn what_is_wrong_goes_with_the_record_that_it_was_wrong_with() {
    let (mut calculator, _) = with(&[(W0, "{}"), (W1, r#"{"name":"a","labels":{"a b":""}}"#), (POLICY, "7")]);
    let count = |calculator: &Calculator, kind| calculator.invalid_counts()[&kind];
    assert_eq!(calculator.invalid().count(), 3);
    // An odd label is told, but the record counts as it is.
    assert_eq!(count(&calculator, Kind::WorkloadEndpoint), 1);
    assert_eq!(count(&calculator, Kind::Policy), 1);
    step(&mut calculator, W0, None);
    step(&mut calculator, W1, Some(&workload("", "")));
    step(&mut calculator, POLICY, Some("{}"));
    assert_eq!(calculator.invalid().count(), 0);
    assert!(calculator.invalid_counts().values().all(|count| *count == 0));
}

#[test]
fn a_misspelt_key_does_not_touch_the_record_that_it_resembles() {
    let (good, bad) =
        ("/calico/v1/policy/tier/default/policy/a%25", "/calico/v1/policy/tier/default/policy/a%");
    let (mut calculator, _) = with(&[(W0, &workload("", "")), (good, "{}")]);
    assert!(step(&mut calculator, bad, Some(r#"{"inbound_rules":[{}]}"#)).is_empty());
    assert_eq!(calculator.invalid().count(), 1);
    assert!(step(&mut calculator, bad, None).is_empty());
    assert_eq!(calculator.invalid().count(), 0);
}

#[test]
fn one_range_is_one_pool_however_many_keys_write_it() {
    let (one, two) = ("/calico/v1/ipam/v4/pool/10.0.0.0-8", "/calico/v1/ipam/v4/pool/10.0.0.1-8");
    let range = "10.0.0.0/8".parse::<Cidr>().expect("a network");
    let (mut calculator, state) = with(&[(one, "{}")]);
    assert_eq!(state.pools, BTreeMap::from([(range, Pool { masquerade: false })]));
    let changes = step(&mut calculator, two, Some(r#"{"masquerade":true}"#));
    assert_eq!(changes.pools, BTreeMap::from([(range, Some(Pool { masquerade: true }))]));
    assert!(step(&mut calculator, one, None).is_empty());
    assert_eq!(step(&mut calculator, two, None).pools, BTreeMap::from([(range, None)]));
}

#[test]
fn back_and_forth_between_two_reports_is_no_change() {
    let (mut calculator, _) = with(&[
        (W0, &workload(r#""b":"b""#, r#""10.0.0.1""#)),
        (POLICY, &policy("has(b)", "b == 'b'")),
        ("/calico/v1/host/far/bird_ip", "10.0.0.9"),
    ]);
    for key in [W0, POLICY, "/calico/v1/host/far/bird_ip"] {
        calculator.update(key, None);
    }
    calculator.update("/calico/v1/host/far/bird_ip", Some("10.0.0.9"));
    calculator.update(POLICY, Some(&policy("has(b)", "b == 'b'")));
    calculator.update(W0, Some(&workload(r#""b":"b""#, r#""10.0.0.1""#)));
    assert_eq!(calculator.take_changes(), Changes::default());
}

#[test]
fn the_numbers_of_the_metrics_are_those_of_now() {
    let (calculator, _) = with(&[
        (W0, &workload(r#""b":"b""#, "")),
        (FAR, &workload("", "")),
        (GATEWAY, r#"{"name":"eth0"}"#),
        ("/calico/v1/host/third/bird_ip", "10.0.0.9"),
        (POLICY, r#"{"selector":"has(b)","inbound_rules":[{"src_tag":"t","src_selector":"b != 'b'"}]}"#),
        ("/calico/v1/policy/tier/default/policy/unused", r#"{"selector":"has(nothing)"}"#),
    ]);
    let expected = Statistics {
        active_local_endpoints: 2,
        active_local_policies: 1,
        active_local_selectors: 2,
        active_local_tags: 1,
        cluster_hosts: 3,
        cluster_workload_endpoints: 2,
        cluster_host_endpoints: 1,
    };
    assert_eq!(calculator.statistics(), expected);
}

#[test]
fn records_of_this_host_can_be_looked_at() {
    let (calculator, _) = with(&[
        (W0, &workload(r#""b":"b""#, "")),
        (FAR, &workload("", "")),
        (GATEWAY, r#"{"name":"eth0"}"#),
        (POLICY, r#"{"selector":"has(b)","untracked":true}"#),
        ("/calico/v1/policy/profile/q/rules", "{}"),
    ]);
    assert_eq!(calculator.workloads().map(|(id, _)| id.clone()).collect::<Vec<_>>(), [w("w0")]);
    assert_eq!(calculator.host_endpoints().count(), 1);
    // Selected, though an untracked policy does nothing to a workload.
    let selecting = calculator.policies_of_workload(&w("w0"));
    assert_eq!(selecting.iter().map(|(id, _)| id.to_string()).collect::<Vec<_>>(), ["p"]);
    assert!(calculator.policies_of_host_endpoint(&"gateway".into()).is_empty());
    assert!(calculator.policy(&named("p", "default")).is_some());
    assert_eq!(calculator.profile(&"q".into()), Some(&ProfileRules::default()));
    assert_eq!(calculator.host().as_str(), "h1");
}
