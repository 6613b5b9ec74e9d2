//! Checks of pools, nodes and BGP peers (`spec/api-v1.md` 4.5 to 4.7).

use margay_net::{Cidr, IpVersion};

use super::{Checker, Fault, Scope, go_pointer};
use crate::decode::Segment;
use crate::pattern::Pattern;
use crate::v1::{BGPPeerMetadata, IPPoolSpec, IpPool, Node, NodeBGPSpec, Subnet};

pub(super) fn pool(checker: &mut Checker, document: &IpPool, scope: Scope) {
    if scope == Scope::Metadata {
        return;
    }
    let spec = &document.spec;
    if let Some(ipip) = &spec.ipip {
        checker.within(Segment::Field("spec"), |c| {
            c.within(Segment::Field("ipip"), |c| {
                c.one_of("mode", "mode", &ipip.mode, &["always", "cross-subnet", ""])
            });
        });
    }
    if let Some(cidr) = document.metadata.cidr {
        pool_range(checker, cidr, spec);
    }
}

fn pool_range(checker: &mut Checker, cidr: Cidr, spec: &IPPoolSpec) {
    let v4 = cidr.version() == IpVersion::V4;
    if !v4 && spec.ipip.as_ref().is_some_and(|ipip| ipip.enabled) {
        checker.within(Segment::Field("spec"), |c| {
            c.within(Segment::Field("ipip"), |c| {
                c.within(Segment::Field("enabled"), |c| {
                    let reason = "IPIP is not supported on an IPv6 IP pool";
                    c.report(fault("IPIP.Enabled", "true".to_owned(), reason, None));
                });
            });
        });
    }
    checker.within(Segment::Field("metadata"), |c| {
        c.within(Segment::Field("cidr"), |c| {
            let mut refuse = |reason, hint| c.report(fault("CIDR", cidr.to_string(), reason, hint));
            if !spec.disabled && cidr.host_bits() < 6 {
                refuse(
                    if v4 {
                        "IP pool size is too small (min /26) for use with Calico IPAM"
                    } else {
                        "IP pool size is too small (min /122) for use with Calico IPAM"
                    },
                    Some("set spec.disabled to true if no addresses are to be assigned from it".to_owned()),
                );
            }
            if !cidr.is_masked() {
                refuse("IP pool CIDR is not strictly masked", Some(format!("write {}", cidr.masked())));
            }
            let (local, reason) = if v4 {
                ("169.254.0.0/16", "IP pool range overlaps with IPv4 Link Local range 169.254.0.0/16")
            } else {
                ("fe80::/10", "IP pool range overlaps with IPv6 Link Local range fe80::/10")
            };
            if cidr.overlaps(local.parse().expect("a constant network")) {
                refuse(reason, None);
            }
        });
    });
}

pub(super) fn node(checker: &mut Checker, document: &Node, scope: Scope) {
    checker.within(Segment::Field("metadata"), |c| c.pattern("name", &document.metadata.name, Pattern::Name));
    if let (Scope::All, Some(bgp)) = (scope, &document.spec.bgp) {
        checker.within(Segment::Field("spec"), |c| c.within(Segment::Field("bgp"), |c| node_bgp(c, bgp)));
    }
}

fn node_bgp(c: &mut Checker, bgp: &NodeBGPSpec) {
    if bgp.ipv4_address.is_none() && bgp.ipv6_address.is_none() {
        c.within(Segment::Field("ipv4Address"), |c| {
            let reason = "no BGP IP address and subnet specified";
            let hint =
                Some("give ipv4Address or ipv6Address, or leave out bgp for a node without BGP".to_owned());
            c.report(fault("BGP.IPv4Address", "<nil>".to_owned(), reason, hint));
        });
    }
    for (field, name, address, version, reason) in [
        (
            "ipv4Address",
            "BGP.IPv4Address",
            bgp.ipv4_address,
            IpVersion::V4,
            "invalid IPv4 address and subnet specified",
        ),
        (
            "ipv6Address",
            "BGP.IPv6Address",
            bgp.ipv6_address,
            IpVersion::V6,
            "invalid IPv6 address and subnet specified",
        ),
    ] {
        if address.is_some_and(|Subnet(cidr)| cidr.is_none_or(|cidr| cidr.version() != version)) {
            c.within(Segment::Field(field), |c| {
                c.report(fault(name, go_pointer(address.as_ref()), reason, None))
            });
        }
    }
}

pub(super) fn peer(checker: &mut Checker, metadata: &BGPPeerMetadata) {
    checker.within(Segment::Field("metadata"), |c| {
        if !metadata.scope.is_empty() {
            c.one_of("scope", "scope", &metadata.scope, &["global", "node"]);
        }
        c.pattern("node", &metadata.node, Pattern::Name);
        if metadata.scope == "global" && !metadata.node.is_empty() {
            c.within(Segment::Field("node"), |c| {
                let reason = "no BGP Peer node name should be specified when scope is global";
                let hint = Some("leave out node, or set scope to node".to_owned());
                c.report(fault("Metadata.Node", metadata.node.clone(), reason, hint));
            });
        }
    });
}

/// A fault whose message is upstream's reason.
fn fault<'a>(name: &'a str, value: String, reason: &'a str, hint: Option<String>) -> Fault<'a> {
    Fault { name, value, reason: Some(reason), message: reason.to_owned(), hint }
}
