//! Every file of examples/ loads to what it is meant to hold, or is refused at every fault it is meant to have.

use std::collections::BTreeSet;

use margay_model::document::load;
use margay_model::kind::Kind;
use margay_model::validate::Scope;

use crate::sources::files;

/// The files that can be applied, with what identifies each resource in them.
const VALID: &[(&str, &[&str])] = &[
    (
        "all.yaml",
        &[
            "IPPool(CIDR=192.168.0.0/16)",
            "Node(Name=rack1-host1)",
            "Node(Name=rack1-host2)",
            "BGPPeer(PeerIP=10.0.0.250, Scope=global, Node=)",
            "Profile(Name=profile1)",
            "Policy(Name=frontend)",
            "HostEndpoint(Node=rack1-host1, Name=uplink)",
            "WorkloadEndpoint(Node=rack1-host1, Orchestrator=k8s, Workload=default.frontend-5gs43, Name=eth0)",
            "WorkloadEndpoint(Node=rack1-host2, Orchestrator=k8s, Workload=default.frontend-8kd20, Name=eth0)",
        ],
    ),
    ("bgp-peer-global.yaml", &["BGPPeer(PeerIP=10.0.0.250, Scope=global, Node=)"]),
    ("bgp-peer-node.yaml", &["BGPPeer(PeerIP=fd00:1:2::1, Scope=node, Node=rack1-host1)"]),
    ("host-endpoint.yaml", &["HostEndpoint(Node=rack1-host1, Name=uplink)"]),
    ("ip-pool-v6.yaml", &["IPPool(CIDR=fd80:24e2:f998:72d6::/64)"]),
    ("ip-pool.yaml", &["IPPool(CIDR=192.168.0.0/16)"]),
    ("node.yaml", &["Node(Name=rack1-host1)"]),
    ("policy-host.yaml", &["Policy(Name=drop-known-bad)"]),
    ("policy.yaml", &["Policy(Name=allow-tcp-6379)"]),
    ("profile-list.json", &["Profile(Name=hosts)", "Profile(Name=databases)"]),
    ("profile.yaml", &["Profile(Name=profile1)"]),
    (
        "shop.yaml",
        &[
            "Profile(Name=shop)",
            "Policy(Name=api)",
            "Policy(Name=database)",
            "WorkloadEndpoint(Node=h1, Orchestrator=shop, Workload=frontend, Name=eth0)",
            "WorkloadEndpoint(Node=h1, Orchestrator=shop, Workload=api, Name=eth0)",
            "WorkloadEndpoint(Node=h1, Orchestrator=shop, Workload=database, Name=eth0)",
        ],
    ),
    (
        "workload-endpoint-dual.yaml",
        &[
            "WorkloadEndpoint(Node=rack2-host7, Orchestrator=openstack, Workload=openstack-instance-0000002a, \
           Name=tap7d1c0a52-1f)",
        ],
    ),
    (
        "workload-endpoint.yaml",
        &["WorkloadEndpoint(Node=rack1-host1, Orchestrator=k8s, Workload=default.frontend-5gs43, Name=eth0)"],
    ),
];

/// The files of `refused/`, with the line and path of every fault.
const REFUSED: &[(&str, &[&str])] = &[
    (
        "policy.yaml",
        &[
            "8 spec.selector",
            "10 spec.ingress[0].action",
            "11 spec.ingress[0].protocol",
            "14 spec.ingress[0].destination.ports",
            "18 spec.ingress[1].source.ports",
        ],
    ),
    ("several-documents.yaml", &["5 metadata.cidr", "8 kind", "13 apiVersion", "23 spec.bgp.ipv4Address"]),
    (
        "unknown-fields.yaml",
        &["5 metadata.cidr", "7 spec.natOutgoing", "9 spec.ipip.enabled", "10 spec.ipip.modes"],
    ),
    (
        "workload-endpoint.yaml",
        &[
            "9 metadata.node",
            "11 spec.interfaceName",
            "13 spec.ipNetworks[0]",
            "15 spec.ipNATs[0]",
            "17 spec.ipv4Gateway",
        ],
    ),
];

fn read(path: &str) -> Vec<u8> {
    std::fs::read(xtask::root().join("examples").join(path)).expect("an example")
}

#[test]
fn every_example_is_in_a_list() {
    let found: BTreeSet<String> = files()
        .into_iter()
        .filter_map(|(path, _)| path.strip_prefix("examples/").map(str::to_owned))
        // Network configurations are read by the plugin's own test.
        .filter(|path| path != "README.md" && !path.starts_with("cni/"))
        .collect();
    let valid = VALID.iter().map(|(name, _)| (*name).to_owned());
    let listed: BTreeSet<String> =
        valid.chain(REFUSED.iter().map(|(name, _)| format!("refused/{name}"))).collect();
    assert_eq!(found, listed);
}

#[test]
fn examples_hold_what_they_are_meant_to() {
    let mut kinds = BTreeSet::new();
    for (name, expected) in VALID {
        let loaded =
            load(&read(name), Scope::All).unwrap_or_else(|refusal| panic!("{name}: {:?}", refusal.faults));
        let found: Vec<String> = loaded.iter().map(|located| located.resource.printed_identity()).collect();
        assert_eq!(found, *expected, "{name}");
        kinds.extend(loaded.iter().map(|located| located.resource.kind()));
    }
    assert_eq!(kinds, BTreeSet::from(Kind::ALL), "every kind has an example");
}

#[test]
fn refused_examples_have_every_fault_they_are_meant_to() {
    for (name, expected) in REFUSED {
        let refusal = load(&read(&format!("refused/{name}")), Scope::All).expect_err(name);
        let found: BTreeSet<(usize, String)> =
            refusal.faults.iter().map(|fault| (fault.span.line as usize, fault.path.clone())).collect();
        let expected: BTreeSet<(usize, String)> = expected
            .iter()
            .map(|fault| fault.split_once(' ').expect("a line and a path"))
            .map(|(line, path)| (line.parse().expect("a line"), path.to_owned()))
            .collect();
        assert_eq!(found, expected, "{name}");
    }
}
