//! Resources for tests: valid, and with something in every part.

use margay_model::Resource;
use margay_model::v1::{
    BgpPeer, HostEndpoint, IpPool, Node, NodeBGPSpec, OrchRef, Policy, Profile, Rule, Subnet,
    WorkloadEndpoint,
};

/// A resource of each kind.
#[must_use]
pub fn one_of_each() -> Vec<Resource> {
    vec![
        workload("node", "orchestrator", "a/workload", "endpoint"),
        host("node-2", "endpoint"),
        profile("profile"),
        policy("policy"),
        pool("10.0.0.0/16"),
        node("node-3"),
        peer(Some("node-4"), "10.0.0.1"),
    ]
}

/// The same resources by identity, with something else in them.
#[must_use]
pub fn others() -> Vec<Resource> {
    one_of_each()
        .into_iter()
        .map(|mut resource| {
            match &mut resource {
                Resource::WorkloadEndpoint(d) => d.spec.interface_name = "cali9".to_owned(),
                Resource::HostEndpoint(d) => d.spec.interface_name = "eth9".to_owned(),
                Resource::Profile(d) => d.metadata.tags = vec!["nine".to_owned()],
                Resource::Policy(d) => d.spec.order = Some(9.5),
                Resource::IpPool(d) => d.spec.disabled = true,
                Resource::Node(d) => d.spec.orch_refs.clear(),
                Resource::BgpPeer(d) => d.spec.as_number = "65009".parse().unwrap(),
            }
            resource
        })
        .collect()
}

/// A workload endpoint.
#[must_use]
pub fn workload(node: &str, orchestrator: &str, workload: &str, name: &str) -> Resource {
    let mut d = WorkloadEndpoint::default();
    node.clone_into(&mut d.metadata.node);
    orchestrator.clone_into(&mut d.metadata.orchestrator);
    workload.clone_into(&mut d.metadata.workload);
    name.clone_into(&mut d.metadata.name);
    d.metadata.labels.insert("app".to_owned(), "frontend".to_owned());
    d.spec.interface_name = "cali0".to_owned();
    d.spec.ip_networks = vec!["fd00::5/128".parse().unwrap(), "192.168.0.5/32".parse().unwrap()];
    d.spec.mac = Some("CA-FE-1D-52-BB-E9".parse().unwrap());
    d.spec.profiles = vec!["profile".to_owned()];
    Resource::WorkloadEndpoint(Box::new(d))
}

/// A host endpoint.
#[must_use]
pub fn host(node: &str, name: &str) -> Resource {
    let mut d = HostEndpoint::default();
    node.clone_into(&mut d.metadata.node);
    name.clone_into(&mut d.metadata.name);
    d.spec.interface_name = "eth0".to_owned();
    d.spec.expected_ips = vec!["10.0.0.1".parse().unwrap()];
    Resource::HostEndpoint(Box::new(d))
}

/// A profile with all three parts.
#[must_use]
pub fn profile(name: &str) -> Resource {
    let mut d = Profile::default();
    name.clone_into(&mut d.metadata.name);
    d.metadata.tags = vec!["tag".to_owned()];
    d.metadata.labels.insert("a".to_owned(), "b".to_owned());
    d.spec.ingress = vec![Rule { action: "allow".to_owned(), ..Rule::default() }];
    Resource::Profile(Box::new(d))
}

/// A policy.
#[must_use]
pub fn policy(name: &str) -> Resource {
    let mut d = Policy::default();
    name.clone_into(&mut d.metadata.name);
    d.spec.order = Some(100.0);
    d.spec.selector = "app == 'frontend'".to_owned();
    d.spec.egress = vec![Rule { action: "pass".to_owned(), ..Rule::default() }];
    Resource::Policy(Box::new(d))
}

/// A pool without IP-in-IP.
#[must_use]
pub fn pool(cidr: &str) -> Resource {
    let mut d = IpPool::default();
    d.metadata.cidr = Some(cidr.parse().unwrap());
    d.spec.nat_outgoing = true;
    Resource::IpPool(Box::new(d))
}

/// A node with both addresses.
#[must_use]
pub fn node(name: &str) -> Resource {
    let mut d = Node::default();
    name.clone_into(&mut d.metadata.name);
    d.spec.bgp = Some(NodeBGPSpec {
        as_number: Some("64512".parse().unwrap()),
        ipv4_address: Some(Subnet(Some("10.1.2.3/16".parse().unwrap()))),
        ipv6_address: Some(Subnet(Some("fd00::3/64".parse().unwrap()))),
    });
    d.spec.orch_refs = vec![OrchRef { node_name: format!("{name}.local"), orchestrator: "k8s".to_owned() }];
    Resource::Node(Box::new(d))
}

/// A BGP peer of a node or of all.
#[must_use]
pub fn peer(node: Option<&str>, address: &str) -> Resource {
    let mut d = BgpPeer::default();
    d.metadata.scope = if node.is_some() { "node" } else { "global" }.to_owned();
    d.metadata.node = node.unwrap_or_default().to_owned();
    d.metadata.peer_ip = Some(address.parse().unwrap());
    d.spec.as_number = "64567".parse().unwrap();
    Resource::BgpPeer(Box::new(d))
}
