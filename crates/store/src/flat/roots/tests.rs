//! Roots by identifiers, as tables.

use margay_model::{Filter, Kind};
use margay_net::IpVersion;

use super::{of_kind, of_records};
use crate::datastore::RecordSet;

fn text(value: &str) -> Option<String> {
    (!value.is_empty()).then(|| value.to_owned())
}

#[test]
fn a_list_of_endpoints_starts_where_the_identifiers_end() {
    let cases = [
        (["", "", "", ""], "/calico/v1/host"),
        (["", "k8s", "w", "e"], "/calico/v1/host"),
        (["n", "", "", ""], "/calico/v1/host/n/workload"),
        (["n", "", "w", "e"], "/calico/v1/host/n/workload"),
        (["n", "k/8", "", "e"], "/calico/v1/host/n/workload/k%2f8"),
        (["n", "k", "a/b%", ""], "/calico/v1/host/n/workload/k/a%2fb%25/endpoint"),
        (["n", "k", "w", "e/0"], "/calico/v1/host/n/workload/k/w/endpoint/e%2f0"),
    ];
    for ([node, orchestrator, workload, name], root) in cases {
        let filter = Filter {
            node: text(node),
            orchestrator: text(orchestrator),
            workload: text(workload),
            name: text(name),
            ..Filter::default()
        };
        assert_eq!(of_kind(Kind::WorkloadEndpoint, &filter), [root]);
    }
    for (node, name, root) in [
        ("", "", "/calico/v1/host"),
        ("", "e", "/calico/v1/host"),
        ("n", "", "/calico/v1/host/n/endpoint"),
        ("n", "a/b", "/calico/v1/host/n/endpoint/a%2fb"),
    ] {
        let filter = Filter { node: text(node), name: text(name), ..Filter::default() };
        assert_eq!(of_kind(Kind::HostEndpoint, &filter), [root]);
    }
}

#[test]
fn a_list_of_named_kinds_starts_at_the_name() {
    for (kind, name, root) in [
        (Kind::Policy, "", "/calico/v1/policy/tier/default/policy"),
        (Kind::Policy, "a/b", "/calico/v1/policy/tier/default/policy/a%2fb"),
        (Kind::Profile, "", "/calico/v1/policy/profile"),
        (Kind::Profile, "a%", "/calico/v1/policy/profile/a%25"),
    ] {
        assert_eq!(of_kind(kind, &Filter { name: text(name), ..Filter::default() }), [root]);
    }
    assert_eq!(of_kind(Kind::IpPool, &Filter::default()), ["/calico/v1/ipam"]);
    let filter = Filter { cidr: "10.0.0.0/8".parse().ok(), ..Filter::default() };
    assert_eq!(of_kind(Kind::IpPool, &filter), ["/calico/v1/ipam/v4/pool/10.0.0.0-8"]);
}

#[test]
fn a_list_of_peers_starts_by_scope_and_node() {
    let (global, nodes) = ("/calico/bgp/v1/global", "/calico/bgp/v1/host");
    let cases: [(&str, &str, &str, &[&str]); 7] = [
        ("", "", "", &[global, nodes]),
        ("", "", "fd00::1", &["/calico/bgp/v1/global/peer_v6/fd00::1", nodes]),
        ("", "n", "", &["/calico/bgp/v1/host/n"]),
        ("global", "", "", &[global]),
        ("global", "", "10.0.0.1", &["/calico/bgp/v1/global/peer_v4/10.0.0.1"]),
        ("node", "", "10.0.0.1", &[nodes]),
        ("node", "n", "10.0.0.1", &["/calico/bgp/v1/host/n/peer_v4/10.0.0.1"]),
    ];
    for (scope, node, peer, roots) in cases {
        let filter =
            Filter { scope: text(scope), node: text(node), peer: peer.parse().ok(), ..Filter::default() };
        assert_eq!(of_kind(Kind::BgpPeer, &filter), roots, "{filter:?}");
    }
}

#[test]
fn records_are_listed_from_the_narrowest_directory() {
    let node = || Some("n".to_owned());
    for (set, root) in [
        (RecordSet::FelixConfig { node: None }, "/calico/v1/config"),
        (RecordSet::FelixConfig { node: node() }, "/calico/v1/host/n/config"),
        (RecordSet::BgpConfig { node: None }, "/calico/bgp/v1/global"),
        (RecordSet::BgpConfig { node: node() }, "/calico/bgp/v1/host/n"),
        (RecordSet::Pools, "/calico/v1/ipam"),
        (RecordSet::IpamBlocks(None), "/calico/ipam/v2/assignment"),
        (RecordSet::IpamBlocks(Some(IpVersion::V6)), "/calico/ipam/v2/assignment/ipv6"),
        (RecordSet::IpamAffinities { node: None, version: Some(IpVersion::V4) }, "/calico/ipam/v2/host"),
        (RecordSet::IpamAffinities { node: node(), version: None }, "/calico/ipam/v2/host/n"),
        (
            RecordSet::IpamAffinities { node: node(), version: Some(IpVersion::V4) },
            "/calico/ipam/v2/host/n/ipv4/block",
        ),
        (RecordSet::IpamHandles, "/calico/ipam/v2/handle"),
    ] {
        assert_eq!(of_records(&set), root, "{set:?}");
    }
}
