//! The workload endpoint (`spec/api-v1.md` 4.1).

use std::collections::BTreeMap;

use margay_net::{Cidr, Ip, Mac};

use crate::record::record;
use crate::v1::document;

document! {
    /// The interface that joins a container or VM to its host.
    WorkloadEndpoint, WorkloadEndpointMetadata, WorkloadEndpointSpec
}

/// A gateway: `None` is an empty text in the document, which validation refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gateway(pub Option<Ip>);

record! {
    /// What names a workload endpoint, and its labels.
    WorkloadEndpointMetadata = "api.WorkloadEndpointMetadata" {
        /// The endpoint within its workload, often the container's interface. `create` fills in a random UUID when empty.
        name: String = "name" "Name";
        /// The container, pod or VM. Kubernetes: `NAMESPACE.POD`.
        workload: String = "workload" "Workload";
        /// Who made it: `k8s`, `cni`, `libnetwork`, `openstack`, …
        orchestrator: String = "orchestrator" "Orchestrator";
        /// The host it runs on; no `/`.
        node: String = "node" "Node";
        /// The instance behind it, no identifier: the CNI plugin keeps the container id here.
        active_instance_id: String = "activeInstanceID" "ActiveInstanceID";
        /// What selectors match.
        labels: BTreeMap<String, String> = "labels" "Labels";
    }
}

record! {
    /// Addresses, profiles and interface of a workload endpoint.
    WorkloadEndpointSpec = "api.WorkloadEndpointSpec" {
        /// Its addresses, each a single one (/32 or /128). Read back: IPv4 first.
        ip_networks: Vec<Cidr> = "ipNetworks" "IPNetworks";
        /// 1:1 NAT of addresses outside to addresses of this endpoint.
        ip_nats: Vec<IPNAT> = "ipNATs" "IPNATs";
        /// The IPv4 gateway that the workload uses.
        ipv4_gateway: Option<Gateway> = "ipv4Gateway" "IPv4Gateway";
        /// The IPv6 gateway that the workload uses.
        ipv6_gateway: Option<Gateway> = "ipv6Gateway" "IPv6Gateway";
        /// The profiles whose rules, tags and labels apply, in order of evaluation.
        profiles: Vec<String> = "profiles" "Profiles";
        /// The interface on the host, at most 15 characters. Required.
        interface_name: String = "interfaceName" "InterfaceName";
        /// The MAC address of the workload's interface.
        mac: Option<Mac> = "mac" "MAC";
    }
}

record! {
    /// One 1:1 NAT.
    IPNAT = "api.IPNAT" display crate::validate::nat_text {
        /// The address inside: one of `ipNetworks`.
        internal_ip: Option<Ip> = "internalIP" "InternalIP" keep;
        /// The address outside, of the same version.
        external_ip: Option<Ip> = "externalIP" "ExternalIP" keep;
    }
}
