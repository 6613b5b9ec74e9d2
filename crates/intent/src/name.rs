//! The names of things. Each is cheap to clone and ordered bytewise, as upstream orders them.

use std::fmt;
use std::sync::Arc;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub Arc<str>);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name! {
    /// A profile.
    ProfileId
}
name! {
    /// A host endpoint of this host.
    HostEndpointId
}
name! {
    /// A host, byte for byte as in the datastore.
    HostName
}
name! {
    /// A set of addresses: `s:` and 38 characters made from the selector (`spec/policy.md` 3).
    SetId
}

/// A policy. Policies of all tiers stand in one list (`spec/policy.md` 1.2).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyId {
    /// The name, first because it decides between equal orders.
    pub name: Arc<str>,
    /// The tier, `default` nearly always.
    pub tier: Arc<str>,
}

/// A workload endpoint of this host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkloadId {
    /// The orchestrator.
    pub orchestrator: Arc<str>,
    /// The workload.
    pub workload: Arc<str>,
    /// The endpoint.
    pub endpoint: Arc<str>,
}

// === impl PolicyId ===

impl fmt::Display for PolicyId {
    /// `name`, or `tier/name` when the tier is not `default`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.tier {
            "default" => f.write_str(&self.name),
            tier => write!(f, "{tier}/{}", self.name),
        }
    }
}

// === impl WorkloadId ===

impl fmt::Display for WorkloadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.orchestrator, self.workload, self.endpoint)
    }
}
