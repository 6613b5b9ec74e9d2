//! The node (`spec/api-v1.md` 4.6).

use std::fmt;

use margay_net::{AsNumber, Cidr};

use crate::record::record;
use crate::v1::document;

document! {
    /// A host.
    Node, NodeMetadata, NodeSpec
}

record! {
    /// What names a node.
    NodeMetadata = "api.NodeMetadata" {
        /// The host's name; no `/`.
        name: String = "name" "Name";
    }
}

record! {
    /// How a node takes part in BGP, and what others call it.
    NodeSpec = "api.NodeSpec" {
        /// BGP settings; absent = the node only enforces policy.
        bgp: Option<NodeBGPSpec> = "bgp" "BGP";
        /// The node in its orchestrators.
        orch_refs: Vec<OrchRef> = "orchRefs" "OrchRefs";
    }
}

/// An address with its subnet: `None` is an empty text in the document, which validation refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subnet(pub Option<Cidr>);

// === impl Subnet ===

impl From<Cidr> for Subnet {
    fn from(cidr: Cidr) -> Self {
        Self(Some(cidr))
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(cidr) => cidr.fmt(f),
            None => f.pad("<nil>"),
        }
    }
}

record! {
    /// BGP settings of a node. At least one address is needed.
    NodeBGPSpec = "api.NodeBGPSpec" {
        /// Its AS number; absent = the global one.
        as_number: Option<AsNumber> = "asNumber" "ASNumber";
        /// Its IPv4 address and subnet.
        ipv4_address: Option<Subnet> = "ipv4Address" "IPv4Address";
        /// Its IPv6 address and subnet.
        ipv6_address: Option<Subnet> = "ipv6Address" "IPv6Address";
    }
}

record! {
    /// A node's name in an orchestrator.
    OrchRef = "api.OrchRef" {
        /// What the orchestrator calls the node.
        node_name: String = "nodeName" "NodeName";
        /// The orchestrator: `k8s`, …
        orchestrator: String = "orchestrator" "Orchestrator" keep;
    }
}
