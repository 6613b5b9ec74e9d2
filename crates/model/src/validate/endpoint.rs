//! Checks of workload and host endpoints (`spec/api-v1.md` 4.1, 4.2).

use margay_net::IpVersion;

use super::{Checker, Fault, Scope, go_list, go_pointer};
use crate::decode::Segment;
use crate::pattern::Pattern;
use crate::v1::{Gateway, HostEndpoint, IPNAT, WorkloadEndpoint, WorkloadEndpointSpec};

pub(super) fn workload(checker: &mut Checker, document: &WorkloadEndpoint, scope: Scope) {
    checker.within(Segment::Field("metadata"), |c| {
        let metadata = &document.metadata;
        c.pattern("name", &metadata.name, Pattern::NamespacedName);
        c.pattern("workload", &metadata.workload, Pattern::NamespacedName);
        c.pattern("orchestrator", &metadata.orchestrator, Pattern::NamespacedName);
        c.pattern("node", &metadata.node, Pattern::Name);
        c.pattern("activeInstanceID", &metadata.active_instance_id, Pattern::Name);
        c.labels(&metadata.labels);
    });
    if scope == Scope::All {
        checker.within(Segment::Field("spec"), |c| workload_spec(c, &document.spec));
    }
}

fn workload_spec(c: &mut Checker, spec: &WorkloadEndpointSpec) {
    c.within(Segment::Field("ipNATs"), |c| {
        for (index, nat) in spec.ip_nats.iter().enumerate() {
            c.within(Segment::Index(index), |c| nat_versions(c, nat));
        }
    });
    c.patterns("profiles", &spec.profiles, Pattern::NamespacedName);
    c.required_pattern("interfaceName", "interfaceName", &spec.interface_name, Pattern::Interface);
    networks(c, spec);
    gateway(c, "ipv4Gateway", spec.ipv4_gateway, IpVersion::V4);
    gateway(c, "ipv6Gateway", spec.ipv6_gateway, IpVersion::V6);
    nats_within(c, spec);
}

fn networks(c: &mut Checker, spec: &WorkloadEndpointSpec) {
    let Some((index, wide)) = spec.ip_networks.iter().enumerate().find(|(_, network)| !network.is_single())
    else {
        return;
    };
    let (value, message) = (go_list(&spec.ip_networks), format!("{wide} is more than one address"));
    let hint = Some(format!("write the endpoint's own address: {}", wide.address()));
    c.within(Segment::Field("ipNetworks"), |c| {
        let reason = Some("IP network contains multiple addresses");
        c.within(Segment::Index(index), |c| {
            c.report(Fault { name: "IPNetworks", value, reason, message, hint })
        });
    });
}

fn gateway(c: &mut Checker, field: &'static str, gateway: Option<Gateway>, version: IpVersion) {
    let Some(Gateway(address)) = gateway else { return };
    if address.is_some_and(|address| address.version() == version) {
        return;
    }
    let number = version.number();
    let message = address.map_or_else(
        || "the gateway is empty".to_owned(),
        |address| format!("{address} is not an IPv{number} address"),
    );
    let name = format!("IPv{number}Gateway");
    let reason = format!("invalid IPv{number} gateway address specified");
    c.within(Segment::Field(field), |c| {
        let value = go_pointer(address.as_ref());
        c.report(Fault { name: &name, value, reason: Some(&reason), message, hint: None });
    });
}

fn nats_within(c: &mut Checker, spec: &WorkloadEndpointSpec) {
    let inside = |nat: &IPNAT| {
        nat.internal_ip.is_some_and(|ip| spec.ip_networks.iter().any(|network| network.contains_ip(ip)))
    };
    let Some((index, nat)) = spec.ip_nats.iter().enumerate().find(|(_, nat)| !inside(nat)) else { return };
    let message = format!("internalIP {} is not one of ipNetworks", go_pointer(nat.internal_ip.as_ref()));
    let shown: Vec<String> = spec.ip_nats.iter().map(nat_text).collect();
    let (value, reason) = (go_list(&shown), Some("NAT is not in the endpoint networks"));
    c.within(Segment::Field("ipNATs"), |c| {
        c.within(Segment::Index(index), |c| {
            c.report(Fault { name: "IPNATs", value, reason, message, hint: None });
        });
    });
}

/// A NAT in Go's `%v`.
pub fn nat_text(nat: &IPNAT) -> String {
    format!("{}<>{}", go_pointer(nat.internal_ip.as_ref()), go_pointer(nat.external_ip.as_ref()))
}

fn nat_versions(c: &mut Checker, nat: &IPNAT) {
    let version = |ip: Option<margay_net::Ip>| ip.map_or(0, |ip| ip.version().number());
    if version(nat.internal_ip) == version(nat.external_ip) {
        return;
    }
    let message = "internalIP and externalIP are of different IP versions".to_owned();
    c.within(Segment::Field("externalIP"), |c| {
        let value = go_pointer(nat.external_ip.as_ref());
        c.report(Fault {
            name: "ExternalIP",
            value,
            reason: Some("mismatched IP versions"),
            message,
            hint: None,
        });
    });
}

pub(super) fn host(checker: &mut Checker, document: &HostEndpoint, scope: Scope) {
    checker.within(Segment::Field("metadata"), |c| {
        c.pattern("name", &document.metadata.name, Pattern::NamespacedName);
        c.pattern("node", &document.metadata.node, Pattern::Name);
        c.labels(&document.metadata.labels);
    });
    if scope == Scope::Metadata {
        return;
    }
    let spec = &document.spec;
    checker.within(Segment::Field("spec"), |c| {
        c.pattern("interfaceName", &spec.interface_name, Pattern::Interface);
        c.patterns("profiles", &spec.profiles, Pattern::NamespacedName);
        if spec.interface_name.is_empty() && spec.expected_ips.is_empty() {
            c.within(Segment::Field("interfaceName"), |c| {
                c.report(Fault {
                    name: "InterfaceName",
                    value: String::new(),
                    reason: Some("no interface or expected IPs have been specified"),
                    message: "neither interfaceName nor expectedIPs is given".to_owned(),
                    hint: Some("name the host's interface, or an address it has".to_owned()),
                });
            });
        }
    });
}
