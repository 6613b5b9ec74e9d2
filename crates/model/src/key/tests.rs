//! Keys against the catalogue of `spec/datastore-etcdv2.md` 4.

use proptest::prelude::*;

use super::{Key, ProfilePart, escape, unescape};

#[test]
fn keys_have_the_paths_of_the_catalogue() {
    let node = || "rack1".to_owned();
    let rows: Vec<(Key, &str)> = vec![
        (Key::Ready, "/calico/v1/Ready"),
        (Key::FelixConfig { node: None, name: "a/b".into() }, "/calico/v1/config/a/b"),
        (Key::FelixConfig { node: Some(node()), name: "X".into() }, "/calico/v1/host/rack1/config/X"),
        (Key::BgpConfig { node: None, name: "as_num".into() }, "/calico/bgp/v1/global/as_num"),
        (
            Key::BgpConfig { node: Some(node()), name: "loglevel".into() },
            "/calico/bgp/v1/host/rack1/loglevel",
        ),
        (Key::NodeMetadata { node: node() }, "/calico/v1/host/rack1/metadata"),
        (
            Key::WorkloadEndpoint {
                node: node(),
                orchestrator: "k8s".into(),
                workload: "a/b%c".into(),
                name: "eth0".into(),
            },
            "/calico/v1/host/rack1/workload/k8s/a%2fb%25c/endpoint/eth0",
        ),
        (Key::Policy { name: "a/b".into() }, "/calico/v1/policy/tier/default/policy/a%2fb"),
        (
            Key::ProfilePart { name: "web".into(), part: ProfilePart::Tags },
            "/calico/v1/policy/profile/web/tags",
        ),
        (Key::IpPool { cidr: "10.0.0.0/16".parse().unwrap() }, "/calico/v1/ipam/v4/pool/10.0.0.0-16"),
        (
            Key::IpPool { cidr: "fd80:24e2:f998:72d6::/64".parse().unwrap() },
            "/calico/v1/ipam/v6/pool/fd80:24e2:f998:72d6::-64",
        ),
        (
            Key::BgpPeer { node: None, peer: "fd00::2".parse().unwrap() },
            "/calico/bgp/v1/global/peer_v6/fd00::2",
        ),
        (
            Key::IpamAffinity { node: node(), cidr: "10.0.0.0/26".parse().unwrap() },
            "/calico/ipam/v2/host/rack1/ipv4/block/10.0.0.0-26",
        ),
        (Key::IpamHandle { id: "net.abc".into() }, "/calico/ipam/v2/handle/net.abc"),
        (Key::FelixStatus { node: node() }, "/calico/felix/v1/host/rack1/status"),
    ];
    for (key, path) in rows {
        assert_eq!(key.path(), path);
        assert_eq!(Key::parse(path).as_ref(), Some(&key), "{path}");
    }
}

#[test]
fn other_tiers_and_foreign_keys_are_not_ours() {
    for path in [
        "/calico/v1/policy/tier/foo/policy/p",
        "/calico/v1/policy/tier/default/metadata",
        "/calico/bgp/v1/global/custom_filters/v4/x",
        "/calico/v1/ipam/v4/pool/not-a-cidr",
        "/calico/dhcp/v1/subnet/x",
        "/other",
        "/calico",
        "",
    ] {
        assert_eq!(Key::parse(path), None, "{path}");
    }
}

proptest! {
    #[test]
    fn escaping_can_be_undone(name in "\\PC{0,40}") {
        prop_assert!(!escape(&name).contains('/'));
        prop_assert_eq!(unescape(&escape(&name)), name);
    }

    #[test]
    fn workload_endpoint_paths_can_be_parsed(
        node in "[a-z.-]{1,9}", orchestrator in "\\PC{1,9}", workload in "\\PC{1,9}", name in "\\PC{1,9}"
    ) {
        let key = Key::WorkloadEndpoint { node, orchestrator, workload, name };
        prop_assert_eq!(Key::parse(&key.path()), Some(key));
    }
}

#[test]
fn policies_of_every_tier_are_told_apart() {
    let of = super::policy_of_any_tier;
    assert_eq!(of("/calico/v1/policy/tier/default/policy/a%2fb"), Some(("default", "a/b".to_owned())));
    assert_eq!(of("/calico/v1/policy/tier/k8s/policy/a"), Some(("k8s", "a".to_owned())));
    for other in [
        "/calico/v1/policy/tier/k8s/metadata",
        "/calico/v1/policy/tier/k8s/policy/",
        "/calico/v1/policy/tier//policy/a",
        "/calico/v1/policy/tier/a/b/policy/c",
        "/calico/v1/policy/tier/a/policy/b/c",
        "/calico/v1/policy/profile/a/rules",
    ] {
        assert_eq!(of(other), None, "{other}");
    }
}
