//! Valid resources of every kind, for property tests.

use margay_model::Resource;
use margay_model::v1::*;
use margay_net::{AsNumber, Cidr, Ip, Mac, Port, Protocol};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;

fn name() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9_./-]{1,12}"
}

fn host() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9_.-]{1,12}"
}

fn labels() -> impl Strategy<Value = std::collections::BTreeMap<String, String>> {
    btree_map(
        "[a-z0-9_./-]{1,8}",
        "([a-zA-Z0-9]([a-z0-9_.-]{0,6}[a-zA-Z0-9])?)?|true|null|1e3|0x1f|1_000",
        0..4,
    )
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["\\PC{0,90}", "[ \\n\\tab#:'\"-]{0,12}", Just("yes".to_owned()), Just("~".to_owned())]
}

fn v4() -> impl Strategy<Value = Ip> {
    any::<[u8; 4]>().prop_map(|octets| Ip::from(std::net::Ipv4Addr::from(octets)))
}

fn v6() -> impl Strategy<Value = Ip> {
    any::<[u16; 7]>().prop_map(|s| {
        Ip::from(std::net::Ipv6Addr::new(0xfd00 | (s[0] & 0xff), s[0], s[1], s[2], s[3], s[4], s[5], s[6]))
    })
}

fn ip() -> impl Strategy<Value = Ip> {
    prop_oneof![v4(), v6()]
}

fn network(v4_only: bool) -> BoxedStrategy<Cidr> {
    let of = |ip: Ip, length: u8| {
        Cidr::new(ip, length.min(ip.version().bits())).expect("a length in range").masked()
    };
    if v4_only {
        (v4(), 0..=32_u8).prop_map(move |(ip, length)| of(ip, length)).boxed()
    } else {
        (v6(), 0..=128_u8).prop_map(move |(ip, length)| of(ip, length)).boxed()
    }
}

fn selector() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        Just("all()".to_owned()),
        Just("role == \"web\" && !has(x)".to_owned()),
        Just("  a   in {'b', \"c\"}".to_owned())
    ]
}

fn port() -> impl Strategy<Value = Port> {
    (1..=u16::MAX, 1..=u16::MAX).prop_map(|(a, b)| Port::range(a.min(b), a.max(b)).expect("an ordered range"))
}

fn entity(v4_only: bool, ports: bool) -> impl Strategy<Value = EntityRule> {
    let list = move || vec(port(), 0..if ports { 3 } else { 1 });
    let nets = move || vec(network(v4_only), 0..3);
    let tag = || prop_oneof![Just(String::new()), host()];
    (tag(), nets(), selector(), list(), tag(), nets(), selector(), list()).prop_map(
        |(tag, nets, selector, ports, not_tag, not_nets, not_selector, not_ports)| EntityRule {
            tag,
            net: None,
            nets,
            selector,
            ports,
            not_tag,
            not_net: None,
            not_nets,
            not_selector,
            not_ports,
        },
    )
}

fn icmp() -> impl Strategy<Value = Option<ICMPFields>> {
    option::of((0..=254_i64, option::of(0..=255_i64)))
        .prop_map(|icmp| icmp.map(|(icmp_type, code)| ICMPFields { icmp_type: Some(icmp_type), code }))
}

fn rule() -> impl Strategy<Value = Rule> {
    let action = prop::sample::select(vec!["allow", "deny", "log", "pass"]);
    let without = prop::sample::select(vec!["icmp", "icmpv6", "sctp", "udplite", "1", "58", "255"]);
    let with = prop::sample::select(vec!["tcp", "udp", "6", "17"]);
    (action, any::<bool>(), any::<bool>(), without, with, icmp(), icmp()).prop_flat_map(
        |(action, v4_only, ports, without, with, icmp, not_icmp)| {
            let protocol = Protocol::from(if ports { with } else { without });
            (entity(v4_only, ports), entity(v4_only, ports)).prop_map(move |(source, destination)| Rule {
                action: action.to_owned(),
                ip_version: Some(if v4_only { 4 } else { 6 }),
                protocol: Some(protocol.clone()),
                icmp: icmp.clone(),
                not_protocol: None,
                not_icmp: not_icmp.clone(),
                source,
                destination,
            })
        },
    )
}

fn workload_endpoint() -> impl Strategy<Value = Resource> {
    let ids = (host(), name(), name(), name(), prop_oneof![Just(String::new()), host()], labels());
    let spec = (vec(v4(), 0..3), vec(v6(), 0..3), option::of(v4()), option::of(v6()), vec(name(), 0..3));
    let rest = ("[a-zA-Z0-9_.-]{1,15}", option::of(any::<[u8; 6]>()), any::<bool>());
    (ids, spec, rest).prop_map(|(ids, (v4s, v6s, gw4, gw6, profiles), (interface_name, mac, nat))| {
        let mut d = WorkloadEndpoint::default();
        let m = &mut d.metadata;
        (m.node, m.orchestrator, m.workload, m.name, m.active_instance_id, m.labels) = ids;
        let nats = v4s
            .iter()
            .take(usize::from(nat))
            .map(|ip| IPNAT { internal_ip: Some(*ip), external_ip: Some(*ip) });
        d.spec = WorkloadEndpointSpec {
            ip_nats: nats.collect(),
            ip_networks: v4s.into_iter().chain(v6s).map(Cidr::host).collect(),
            ipv4_gateway: gw4.map(|ip| Gateway(Some(ip))),
            ipv6_gateway: gw6.map(|ip| Gateway(Some(ip))),
            profiles,
            interface_name,
            mac: mac.map(Mac::from),
        };
        Resource::WorkloadEndpoint(Box::new(d))
    })
}

fn host_endpoint() -> impl Strategy<Value = Resource> {
    (host(), name(), labels(), "[a-zA-Z0-9_.-]{1,15}", vec(v4(), 0..3), vec(v6(), 0..3), vec(name(), 0..3))
        .prop_map(|(node, name, labels, interface_name, v4s, v6s, profiles)| {
            let metadata = HostEndpointMetadata { name, node, labels };
            let expected_ips = v4s.into_iter().chain(v6s).collect();
            let spec = HostEndpointSpec { interface_name, expected_ips, profiles };
            Resource::HostEndpoint(Box::new(HostEndpoint { metadata, spec }))
        })
}

fn profile() -> impl Strategy<Value = Resource> {
    (name(), vec(host(), 0..3), labels(), vec(rule(), 0..3), vec(rule(), 0..3)).prop_map(
        |(name, tags, labels, ingress, egress)| {
            let metadata = ProfileMetadata { name, tags, labels };
            Resource::Profile(Box::new(Profile { metadata, spec: ProfileSpec { ingress, egress } }))
        },
    )
}

fn policy() -> impl Strategy<Value = Resource> {
    let annotations = btree_map("[a-z0-9_./-]{1,8}", text(), 0..4);
    let order = option::of(prop_oneof![
        Just(0.0),
        Just(1e6),
        Just(-1e-8),
        Just(6_543_215.321),
        (-1e9..1e9_f64),
        (0..1000_i32).prop_map(f64::from)
    ]);
    (name(), annotations, order, vec(rule(), 0..3), vec(rule(), 0..3), selector(), 0..3_u8).prop_map(
        |(name, annotations, order, ingress, egress, selector, mode)| {
            let egress = if mode == 2 { Vec::new() } else { egress };
            let types = if mode == 2 { vec!["ingress".to_owned()] } else { vec!["egress".to_owned()] };
            let spec = PolicySpec {
                order,
                ingress,
                egress,
                selector,
                do_not_track: mode == 1,
                pre_dnat: mode == 2,
                types,
            };
            let metadata = PolicyMetadata { name, annotations };
            Resource::Policy(Box::new(Policy { metadata, spec }))
        },
    )
}

fn pool() -> impl Strategy<Value = Resource> {
    let mode = prop::sample::select(vec!["", "always", "cross-subnet"]);
    (any::<[u8; 2]>(), 8..=24_u8, any::<bool>(), mode, any::<bool>(), any::<bool>()).prop_map(
        |(octets, length, enabled, mode, nat_outgoing, disabled)| {
            let address = Ip::from(std::net::Ipv4Addr::new(10, octets[0], octets[1], 0));
            let mut d = IpPool::default();
            d.metadata.cidr = Cidr::new(address, length).map(Cidr::masked);
            let ipip =
                (enabled || !mode.is_empty()).then(|| IPIPConfiguration { enabled, mode: mode.to_owned() });
            d.spec = IPPoolSpec { ipip, nat_outgoing, disabled };
            Resource::IpPool(Box::new(d))
        },
    )
}

fn node() -> impl Strategy<Value = Resource> {
    let refs = vec((host(), host()), 0..3);
    (host(), option::of(any::<u32>()), option::of((v4(), 1..=32_u8)), option::of((v6(), 1..=128_u8)), refs)
        .prop_map(|(name, number, v4, v6, refs)| {
            let mut d = Node::default();
            d.metadata.name = name;
            if v4.is_some() || v6.is_some() {
                d.spec.bgp = Some(NodeBGPSpec {
                    as_number: number.map(AsNumber),
                    ipv4_address: v4.and_then(|(ip, length)| Cidr::new(ip, length)).map(Into::into),
                    ipv6_address: v6.and_then(|(ip, length)| Cidr::new(ip, length)).map(Into::into),
                });
            }
            d.spec.orch_refs = refs
                .into_iter()
                .map(|(node_name, orchestrator)| OrchRef { node_name, orchestrator })
                .collect();
            Resource::Node(Box::new(d))
        })
}

fn peer() -> impl Strategy<Value = Resource> {
    (option::of(host()), ip(), any::<u32>()).prop_map(|(node, peer, number)| {
        let mut d = BgpPeer::default();
        d.metadata.scope = if node.is_some() { "node" } else { "global" }.to_owned();
        d.metadata.node = node.unwrap_or_default();
        d.metadata.peer_ip = Some(peer);
        d.spec.as_number = AsNumber(number);
        Resource::BgpPeer(Box::new(d))
    })
}

/// A valid resource of any kind, as it reads back.
pub(crate) fn resource() -> impl Strategy<Value = Resource> {
    prop_oneof![workload_endpoint(), host_endpoint(), profile(), policy(), pool(), node(), peer()]
}
