//! Reading files: streams, lists, list kinds, and the line that upstream prints for a fault.

use margay_model::document::load;
use margay_model::validate::Scope;

const W: &str = "apiVersion: v1\nkind: workloadEndpoint\nmetadata: {node: n, orchestrator: o, workload: w, name: e}\nspec: {interfaceName: cali1}\n";

fn upstream(source: &str) -> String {
    match load(source.as_bytes(), Scope::All) {
        Ok(loaded) => format!("{} loaded", loaded.len()),
        Err(refusal) => refusal.upstream,
    }
}

#[test]
fn blank_documents_count_for_nothing() {
    assert_eq!(upstream(&format!("---\n{W}---\n# nothing\n---\n{W}...\n--- \n")), "2 loaded");
    for source in ["", "\n\n", "# nothing", "[]", "---\n"] {
        assert_eq!(upstream(source), "0 loaded", "{source:?}");
    }
}

#[test]
fn text_glued_to_a_marker_goes_with_it() {
    for marker in ["---foo", "----", "---# x", "---é"] {
        assert_eq!(upstream(&format!("{W}{marker}\n{W}")), "2 loaded", "{marker}");
        assert_eq!(upstream(&format!("{W}{marker}")), "1 loaded", "{marker}");
    }
    // Nothing stands before the first line, inside a block it is text, and behind a blank the document goes on.
    assert!(upstream(&format!("---foo\n{W}")).starts_with("error parsing document: yaml: "));
    let block =
        "apiVersion: v1\nkind: policy\nmetadata:\n  name: p\n  annotations:\n    a: |\n     x\n     ---y\n";
    let resource = load(block.as_bytes(), Scope::All).unwrap().remove(0).resource;
    assert!(format!("{:?}", resource.value()).contains("x\\n---y\\n"));
    assert_eq!(upstream(&format!("{W}--- {{}}\n")), "Unknown resource type () and/or version ()");
    let refusal = load(format!("{W}---foo\n{W}x: 1\n").as_bytes(), Scope::All).unwrap_err();
    assert_eq!((refusal.faults[0].document, refusal.faults[0].span.line), (2, 10));
}

#[test]
fn heads_are_refused_as_upstream_refuses_them() {
    for (source, line) in [
        ("{}", "Unknown resource type () and/or version ()"),
        ("~", "Unknown resource type () and/or version ()"),
        ("{kind: Policy, apiVersion: v1}", "Unknown resource type (Policy) and/or version (v1)"),
        ("{kind: policy, apiVersion: 1.50}", "Unknown resource type (policy) and/or version (1.50)"),
        (
            "{kind: calicoApiConfig, apiVersion: v1}",
            "Unknown resource type (calicoApiConfig) and/or version (v1)",
        ),
        (
            "hello",
            "error parsing document: cannot parse string 'hello' into value of type []unversioned.TypeMetadata",
        ),
        (
            "[1]",
            "error parsing document: cannot parse number '1' into value of type unversioned.TypeMetadata",
        ),
        (
            "[a, 1]",
            "error parsing document: cannot parse number '1' into value of type unversioned.TypeMetadata",
        ),
        (
            "[[]]",
            "error parsing document: cannot parse array '[]' into value of type unversioned.TypeMetadata",
        ),
        (
            "{kind: policy, apiVersion: [1, a&b]}",
            "error parsing document: cannot parse object '{\"apiVersion\":[1,\"a\\u0026b\"],\"kind\":\"policy\"}' into value of type []unversioned.TypeMetadata",
        ),
    ] {
        assert_eq!(upstream(source), line, "{source}");
    }
}

#[test]
fn a_hard_fault_wins_over_a_soft_one_and_both_over_unknown_fields() {
    let policy = |spec: &str| {
        upstream(&format!("{{kind: policy, apiVersion: v1, metadata: {{name: p, bogus: 1}}, spec: {spec}}}"))
    };
    assert_eq!(
        policy("{order: x, types: 5}"),
        "error parsing document: cannot parse number '5' into field PolicySpec.types of type []api.PolicyType"
    );
    assert_eq!(
        policy("{order: x, doNotTrack: [1]}"),
        "error parsing document: cannot parse array '[1]' into field PolicySpec.doNotTrack of type bool"
    );
    assert_eq!(
        policy("{}"),
        "error parsing document: field in document is not recognized or is in the wrong location: bogus"
    );
    assert_eq!(
        policy("{ingress: [{action: allow, source: {nets: [x]}}], order: y}"),
        "error parsing document: invalid IP address: x"
    );
}

#[test]
fn a_type_error_behind_a_nested_map_names_its_last_field() {
    let source = "{kind: policy, apiVersion: v1, spec: {ingress: [{action: allow}, x]}}";
    assert_eq!(
        upstream(source),
        "error parsing document: cannot parse string 'x' into field Rule.action of type api.Rule"
    );
}

#[test]
fn field_names_count_in_any_letter_case_and_once() {
    assert_eq!(upstream(&W.replace("interfaceName", "INTERFACENAME")), "1 loaded");
    assert_eq!(
        upstream(&W.replace("interfaceName: cali1", "interfaceName: cali1, InterfaceName: cali2")),
        "error parsing document: field in document is not recognized or is in the wrong location: InterfaceName"
    );
}

#[test]
fn items_of_a_list_kind_take_its_kind_and_no_other() {
    let list = |item: &str| {
        upstream(&format!(
            "{{kind: policyList, apiVersion: v1, metadata: {{}}, items: [{{metadata: {{name: a}}}}, {item}]}}"
        ))
    };
    assert_eq!(list("{kind: policy, apiVersion: v1, metadata: {name: b}}"), "2 loaded");
    assert_eq!(list("{kind: node, metadata: {name: b}}"), "item 2 of policyList has kind node");
    assert_eq!(list("~"), "item 2 of policyList has kind null");
    assert_eq!(
        upstream("{kind: policyList, apiVersion: v1, metadata: {a: 1}, items: []}"),
        "error parsing document: field in document is not recognized or is in the wrong location: a"
    );
}

#[test]
fn words_and_numbers_keep_their_characters_in_text_fields() {
    let source = "- {kind: policy, apiVersion: v1, metadata: {name: 007, annotations: {a: yes, b: 0x1F, c: 1.50, d: ~}}}";
    let loaded = load(source.as_bytes(), Scope::All).unwrap();
    let margay_model::Resource::Policy(policy) = &loaded[0].resource else { panic!("{loaded:?}") };
    assert_eq!(policy.metadata.name, "007");
    let annotations: Vec<_> = policy.metadata.annotations.values().map(String::as_str).collect();
    assert_eq!(annotations, ["yes", "0x1F", "1.50", ""]);
}

#[test]
fn specs_are_not_validated_where_only_names_count() {
    let source = "{kind: workloadEndpoint, apiVersion: v1, metadata: {node: n}, spec: {}}";
    assert_eq!(upstream(source), "error with field interfaceName = ''");
    assert_eq!(load(source.as_bytes(), Scope::Metadata).unwrap().len(), 1);
    let unknown = "{kind: workloadEndpoint, apiVersion: v1, spec: {bogus: 1}}";
    assert!(load(unknown.as_bytes(), Scope::Metadata).is_err());
}

#[test]
fn type_errors_name_the_named_go_types() {
    let policy = |types: &str| {
        upstream(&format!(
            "{{apiVersion: v1, kind: policy, metadata: {{name: p}}, spec: {{types: {types}}}}}"
        ))
    };
    let field = "error parsing document: cannot parse";
    assert_eq!(
        policy("x"),
        format!("{field} string 'x' into field PolicySpec.types of type []api.PolicyType")
    );
    assert_eq!(
        policy("[[]]"),
        format!("{field} array '[]' into field PolicySpec.types of type api.PolicyType")
    );
    assert_eq!(
        upstream("{apiVersion: v1, kind: bgpPeer, metadata: {peerIP: 1.1.1.1, scope: []}}"),
        format!("{field} array '[]' into field BGPPeerMetadata.scope of type scope.Scope")
    );
    assert_eq!(
        upstream("{apiVersion: v1, kind: ipPool, metadata: {cidr: 10.0.0.0/8}, spec: {ipip: {mode: {}}}}"),
        format!("{field} object '{{}}' into field IPIPConfiguration.mode of type ipip.Mode")
    );
    assert_eq!(
        upstream("{apiVersion: v1, kind: bgpPeer, metadata: {peerIP: 1.1.1.1, scope: global, node: []}}"),
        format!("{field} array '[]' into field BGPPeerMetadata.node of type string"),
        "a named type is that of its own field alone"
    );
}

#[test]
fn an_empty_bgp_address_of_a_node_is_an_address_of_no_version() {
    let node = |bgp: &str| {
        upstream(&format!("{{apiVersion: v1, kind: node, metadata: {{name: n}}, spec: {{bgp: {bgp}}}}}"))
    };
    let v4 = "BGP.IPv4Address = '<nil>' (invalid IPv4 address and subnet specified)";
    let v6 = "BGP.IPv6Address = '<nil>' (invalid IPv6 address and subnet specified)";
    assert_eq!(node("{ipv4Address: ''}"), format!("error with field {v4}"));
    assert_eq!(node("{ipv4Address: '', ipv6Address: 'fd00::1/64'}"), format!("error with field {v4}"));
    assert_eq!(node("{ipv4Address: 10.0.0.1, ipv6Address: ''}"), format!("error with field {v6}"));
    assert_eq!(
        node("{ipv4Address: '', ipv6Address: ''}"),
        format!("error with the following fields:\n-  {v4}\n-  {v6}\n")
    );
    assert_eq!(
        node("{ipv4Address: null}"),
        "error with field BGP.IPv4Address = '<nil>' (no BGP IP address and subnet specified)"
    );
}
