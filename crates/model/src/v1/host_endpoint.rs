//! The host endpoint (`spec/api-v1.md` 4.2).

use std::collections::BTreeMap;

use margay_net::Ip;

use crate::record::record;
use crate::v1::document;

document! {
    /// An interface of the host itself.
    HostEndpoint, HostEndpointMetadata, HostEndpointSpec
}

record! {
    /// What names a host endpoint, and its labels.
    HostEndpointMetadata = "api.HostEndpointMetadata" {
        /// The endpoint within its host.
        name: String = "name" "Name";
        /// The host; no `/`.
        node: String = "node" "Node";
        /// What selectors match.
        labels: BTreeMap<String, String> = "labels" "Labels";
    }
}

record! {
    /// Which interface a host endpoint is, and its profiles.
    HostEndpointSpec = "api.HostEndpointSpec" {
        /// The interface. This or an expected address is needed.
        interface_name: String = "interfaceName" "InterfaceName";
        /// Addresses by which the interface is found. Read back: IPv4 first.
        expected_ips: Vec<Ip> = "expectedIPs" "ExpectedIPs";
        /// The profiles that apply, in order of evaluation.
        profiles: Vec<String> = "profiles" "Profiles";
    }
}
