//! The v1 resources: one struct per kind and its field tables (`spec/api-v1.md` 4, 5).
//!
//! Declaration order is the order of JSON output and of validation. Names in quotes are the document's and Go's.

mod api_config;
mod bgp_peer;
mod host_endpoint;
mod ip_pool;
mod node;
mod policy;
mod profile;
mod rule;
mod workload_endpoint;

pub use api_config::{ApiConfigError, CalicoAPIConfig, CalicoAPIConfigMetadata, CalicoAPIConfigSpec};
pub use bgp_peer::{BGPPeerMetadata, BGPPeerSpec, BgpPeer};
pub use host_endpoint::{HostEndpoint, HostEndpointMetadata, HostEndpointSpec};
pub use ip_pool::{IPIPConfiguration, IPPoolMetadata, IPPoolSpec, IpPool};
pub use node::{Node, NodeBGPSpec, NodeMetadata, NodeSpec, OrchRef, Subnet};
pub use policy::{Policy, PolicyMetadata, PolicySpec};
pub use profile::{Profile, ProfileMetadata, ProfileSpec};
pub use rule::{EntityRule, ICMPFields, Rule};
pub use workload_endpoint::{
    Gateway, IPNAT, WorkloadEndpoint, WorkloadEndpointMetadata, WorkloadEndpointSpec,
};

use crate::kind::Kind;
use crate::record::Record;

/// A resource of one kind: metadata and spec behind a common head.
pub trait Document: Default {
    /// Its kind.
    const KIND: Kind;
    /// Identifiers, labels, tags, annotations.
    type Metadata: Record + crate::record::FieldValue;
    /// What is wanted.
    type Spec: Record + crate::record::FieldValue;
    /// The metadata.
    fn metadata(&self) -> &Self::Metadata;
    /// The spec.
    fn spec(&self) -> &Self::Spec;
    /// Puts one together.
    fn from_parts(metadata: Self::Metadata, spec: Self::Spec) -> Self;
}

/// Declares a resource struct.
macro_rules! document {
    ($(#[doc = $doc:literal])* $name:ident, $metadata:ident, $spec:ident) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, PartialEq, Default)]
        pub struct $name {
            /// Identifiers, labels, tags, annotations.
            pub metadata: $metadata,
            /// What is wanted.
            pub spec: $spec,
        }

        impl $crate::v1::Document for $name {
            const KIND: $crate::kind::Kind = $crate::kind::Kind::$name;
            type Metadata = $metadata;
            type Spec = $spec;
            fn metadata(&self) -> &Self::Metadata {
                &self.metadata
            }
            fn spec(&self) -> &Self::Spec {
                &self.spec
            }
            fn from_parts(metadata: Self::Metadata, spec: Self::Spec) -> Self {
                Self { metadata, spec }
            }
        }
    };
}
use document;
