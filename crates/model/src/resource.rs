//! One resource of any kind, what identifies it, and what a list may be narrowed by.

use margay_net::{Cidr, Ip};
use margay_text::value::{GoStruct, GoValue, Value};

use crate::key::Key;
use crate::kind::Kind;
use crate::record::{FieldValue, Record};
use crate::v1::{BgpPeer, Document, HostEndpoint, IpPool, Node, Policy, Profile, WorkloadEndpoint};

/// A resource of any kind.
#[derive(Debug, Clone, PartialEq)]
pub enum Resource {
    /// A workload endpoint.
    WorkloadEndpoint(Box<WorkloadEndpoint>),
    /// A host endpoint.
    HostEndpoint(Box<HostEndpoint>),
    /// A profile.
    Profile(Box<Profile>),
    /// A policy.
    Policy(Box<Policy>),
    /// An IP pool.
    IpPool(Box<IpPool>),
    /// A node.
    Node(Box<Node>),
    /// A BGP peer.
    BgpPeer(Box<BgpPeer>),
}

/// The complete identifiers of one resource (`spec/api-v1.md` 7.1).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Identity {
    /// Node, orchestrator, workload, name.
    WorkloadEndpoint {
        /// Host.
        node: String,
        /// Orchestrator.
        orchestrator: String,
        /// Workload.
        workload: String,
        /// Endpoint.
        name: String,
    },
    /// Node, name.
    HostEndpoint {
        /// Host.
        node: String,
        /// Endpoint.
        name: String,
    },
    /// Name.
    Profile(String),
    /// Name.
    Policy(String),
    /// The range as given: host bits, if any, count.
    IpPool(Cidr),
    /// Name.
    Node(String),
    /// The node, none for a global peer, and the address.
    BgpPeer {
        /// Host; none = global.
        node: Option<String>,
        /// Address.
        peer: Ip,
    },
}

/// A list's kind and the identifiers that entries must have; unset = any. Filters are exact.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// The host.
    pub node: Option<String>,
    /// Workload endpoints: the orchestrator.
    pub orchestrator: Option<String>,
    /// Workload endpoints: the workload.
    pub workload: Option<String>,
    /// The name, of kinds that have one.
    pub name: Option<String>,
    /// Pools: the range.
    pub cidr: Option<Cidr>,
    /// BGP peers: `global` or `node`.
    pub scope: Option<String>,
    /// BGP peers: the address.
    pub peer: Option<Ip>,
}

/// The identifier that is missing, in upstream's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("insufficient identifiers, missing '{0}'")]
pub struct MissingIdentifier(pub &'static str);

/// Runs an expression for whichever kind a resource is.
macro_rules! each {
    ($resource:expr, $document:ident => $body:expr) => {
        match $resource {
            Resource::WorkloadEndpoint($document) => $body,
            Resource::HostEndpoint($document) => $body,
            Resource::Profile($document) => $body,
            Resource::Policy($document) => $body,
            Resource::IpPool($document) => $body,
            Resource::Node($document) => $body,
            Resource::BgpPeer($document) => $body,
        }
    };
}

// === impl Resource ===

impl Resource {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::WorkloadEndpoint(_) => Kind::WorkloadEndpoint,
            Self::HostEndpoint(_) => Kind::HostEndpoint,
            Self::Profile(_) => Kind::Profile,
            Self::Policy(_) => Kind::Policy,
            Self::IpPool(_) => Kind::IpPool,
            Self::Node(_) => Kind::Node,
            Self::BgpPeer(_) => Kind::BgpPeer,
        }
    }

    /// What the JSON and YAML writers take: kind, apiVersion, metadata, spec.
    #[must_use]
    pub fn value(&self) -> Value<'_> {
        let (metadata, spec) = each!(self, d => (d.metadata().value(), d.spec().value()));
        Value::Map(vec![
            ("kind".into(), Value::Text(self.kind().word().into())),
            ("apiVersion".into(), Value::Text("v1".into())),
            ("metadata".into(), metadata),
            ("spec".into(), spec),
        ])
    }

    /// What a Go template sees.
    #[must_use]
    pub fn go_value(&self) -> GoValue {
        let (metadata, spec) = each!(self, d => (d.metadata().go_struct(), d.spec().go_struct()));
        GoValue::Struct(GoStruct {
            // The elements of a list have the interface's type in upstream's errors.
            type_name: "unversioned.Resource",
            fields: vec![
                ("Kind", GoValue::Text(self.kind().word().to_owned())),
                ("APIVersion", GoValue::Text("v1".to_owned())),
                ("Metadata", GoValue::Struct(metadata)),
                ("Spec", GoValue::Struct(spec)),
            ],
            display: Some(self.printed_identity()),
        })
    }

    /// The identity as Go's `String()` prints it (`spec/api-v1.md` 1.2).
    #[must_use]
    pub fn printed_identity(&self) -> String {
        match self {
            Self::WorkloadEndpoint(d) => {
                let m = &d.metadata;
                let instance = if m.active_instance_id.is_empty() {
                    String::new()
                } else {
                    format!(", ActiveInstanceID={}", m.active_instance_id)
                };
                format!(
                    "WorkloadEndpoint(Node={}, Orchestrator={}, Workload={}, Name={}{instance})",
                    m.node, m.orchestrator, m.workload, m.name
                )
            }
            Self::HostEndpoint(d) => {
                format!("HostEndpoint(Node={}, Name={})", d.metadata.node, d.metadata.name)
            }
            Self::Profile(d) => format!("Profile(Name={})", d.metadata.name),
            Self::Policy(d) => format!("Policy(Name={})", d.metadata.name),
            Self::IpPool(d) => format!("IPPool(CIDR={})", shown(d.metadata.cidr.as_ref())),
            Self::Node(d) => format!("Node(Name={})", d.metadata.name),
            // COMPAT(bgp-peer-string): upstream tests the scope the wrong way round, so `Node=` is always there.
            Self::BgpPeer(d) => format!(
                "BGPPeer(PeerIP={}, Scope={}, Node={})",
                shown(d.metadata.peer_ip.as_ref()),
                d.metadata.scope,
                d.metadata.node
            ),
        }
    }

    /// The complete identity, or the first identifier that is missing (`spec/api-v1.md` 7.1).
    ///
    /// # Errors
    /// The missing identifier in upstream's word.
    pub fn identity(&self) -> Result<Identity, MissingIdentifier> {
        self.filter().identity(self.kind())
    }

    /// The identifiers that are set, as a filter for lists.
    #[must_use]
    pub fn filter(&self) -> Filter {
        match self {
            Self::WorkloadEndpoint(d) => Filter {
                node: set(&d.metadata.node),
                orchestrator: set(&d.metadata.orchestrator),
                workload: set(&d.metadata.workload),
                name: set(&d.metadata.name),
                ..Filter::default()
            },
            Self::HostEndpoint(d) => {
                Filter { node: set(&d.metadata.node), name: set(&d.metadata.name), ..Filter::default() }
            }
            Self::Profile(d) => Filter { name: set(&d.metadata.name), ..Filter::default() },
            Self::Policy(d) => Filter { name: set(&d.metadata.name), ..Filter::default() },
            Self::IpPool(d) => Filter { cidr: d.metadata.cidr, ..Filter::default() },
            Self::Node(d) => Filter { name: set(&d.metadata.name), ..Filter::default() },
            Self::BgpPeer(d) => Filter {
                scope: set(&d.metadata.scope),
                node: set(&d.metadata.node),
                peer: d.metadata.peer_ip,
                ..Filter::default()
            },
        }
    }
}

fn set(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn shown<T: std::fmt::Display>(value: Option<&T>) -> String {
    value.map_or_else(|| "<nil>".to_owned(), ToString::to_string)
}

// === impl Filter ===

impl Filter {
    /// The one resource of `kind` that the filter names.
    ///
    /// # Errors
    /// The first identifier that is missing, in upstream's word and order.
    pub fn identity(&self, kind: Kind) -> Result<Identity, MissingIdentifier> {
        let need = |value: &Option<String>, word| value.clone().ok_or(MissingIdentifier(word));
        Ok(match kind {
            Kind::WorkloadEndpoint => Identity::WorkloadEndpoint {
                node: need(&self.node, "node")?,
                orchestrator: need(&self.orchestrator, "orchestrator")?,
                workload: need(&self.workload, "workload")?,
                name: need(&self.name, "name")?,
            },
            Kind::HostEndpoint => {
                Identity::HostEndpoint { node: need(&self.node, "node")?, name: need(&self.name, "name")? }
            }
            Kind::Profile => Identity::Profile(need(&self.name, "name")?),
            Kind::Policy => Identity::Policy(need(&self.name, "name")?),
            Kind::Node => Identity::Node(need(&self.name, "name")?),
            Kind::IpPool => Identity::IpPool(self.cidr.ok_or(MissingIdentifier("cidr"))?),
            Kind::BgpPeer => {
                let peer = self.peer.ok_or(MissingIdentifier("peerIP"))?;
                match self.scope.as_deref() {
                    Some("global") => Identity::BgpPeer { node: None, peer },
                    // COMPAT(bgp-peer-scope): without a scope upstream says that the node is missing.
                    None => return Err(MissingIdentifier("node")),
                    Some(_) => Identity::BgpPeer { node: Some(need(&self.node, "node")?), peer },
                }
            }
        })
    }

    /// True when the resource has every identifier that is set here.
    #[must_use]
    pub fn admits(&self, resource: &Resource) -> bool {
        let of = resource.filter();
        let same = |wanted: &Option<String>, found: &Option<String>| wanted.is_none() || wanted == found;
        same(&self.node, &of.node)
            && same(&self.orchestrator, &of.orchestrator)
            && same(&self.workload, &of.workload)
            && same(&self.name, &of.name)
            && same(&self.scope, &of.scope)
            && (self.cidr.is_none() || self.cidr == of.cidr)
            && (self.peer.is_none() || self.peer == of.peer)
    }
}

// === impl Identity ===

impl Identity {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::WorkloadEndpoint { .. } => Kind::WorkloadEndpoint,
            Self::HostEndpoint { .. } => Kind::HostEndpoint,
            Self::Profile(_) => Kind::Profile,
            Self::Policy(_) => Kind::Policy,
            Self::IpPool(_) => Kind::IpPool,
            Self::Node(_) => Kind::Node,
            Self::BgpPeer { .. } => Kind::BgpPeer,
        }
    }

    /// The datastore key that names it; of a profile the directory, of a node its metadata.
    #[must_use]
    pub fn key(&self) -> Key {
        match self.clone() {
            Self::WorkloadEndpoint { node, orchestrator, workload, name } => {
                Key::WorkloadEndpoint { node, orchestrator, workload, name }
            }
            Self::HostEndpoint { node, name } => Key::HostEndpoint { node, name },
            Self::Profile(name) => Key::Profile { name },
            Self::Policy(name) => Key::Policy { name },
            Self::IpPool(cidr) => Key::IpPool { cidr },
            Self::Node(name) => Key::NodeMetadata { node: name },
            Self::BgpPeer { node, peer } => Key::BgpPeer { node, peer },
        }
    }
}

impl std::fmt::Display for Identity {
    /// The spelling of error texts (`spec/api-v1.md` 7.2).
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.key().fmt(f)
    }
}

impl Filter {
    /// A resource of `kind` that holds the identifiers of this filter and nothing else.
    #[must_use]
    pub fn skeleton(&self, kind: Kind) -> Resource {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        match kind {
            Kind::WorkloadEndpoint => {
                let mut d = WorkloadEndpoint::default();
                d.metadata.node = text(&self.node);
                d.metadata.orchestrator = text(&self.orchestrator);
                d.metadata.workload = text(&self.workload);
                d.metadata.name = text(&self.name);
                Resource::WorkloadEndpoint(Box::new(d))
            }
            Kind::HostEndpoint => {
                let mut d = HostEndpoint::default();
                d.metadata.node = text(&self.node);
                d.metadata.name = text(&self.name);
                Resource::HostEndpoint(Box::new(d))
            }
            Kind::Profile => {
                let mut d = Profile::default();
                d.metadata.name = text(&self.name);
                Resource::Profile(Box::new(d))
            }
            Kind::Policy => {
                let mut d = Policy::default();
                d.metadata.name = text(&self.name);
                Resource::Policy(Box::new(d))
            }
            Kind::IpPool => {
                let mut d = IpPool::default();
                d.metadata.cidr = self.cidr;
                Resource::IpPool(Box::new(d))
            }
            Kind::Node => {
                let mut d = Node::default();
                d.metadata.name = text(&self.name);
                Resource::Node(Box::new(d))
            }
            Kind::BgpPeer => {
                let mut d = BgpPeer::default();
                d.metadata.scope = text(&self.scope);
                d.metadata.node = text(&self.node);
                d.metadata.peer_ip = self.peer;
                Resource::BgpPeer(Box::new(d))
            }
        }
    }
}

/// Policies whose names begin so belong to Kubernetes NetworkPolicy and cannot be written here.
pub const RESERVED_POLICIES: &str = "knp.default.";

/// The field tables of a kind's metadata and spec.
#[must_use]
pub fn schemas(kind: Kind) -> [&'static crate::record::RecordSchema; 2] {
    fn of<D: Document>() -> [&'static crate::record::RecordSchema; 2] {
        [<D::Metadata as Record>::SCHEMA, <D::Spec as Record>::SCHEMA]
    }
    match kind {
        Kind::WorkloadEndpoint => of::<WorkloadEndpoint>(),
        Kind::HostEndpoint => of::<HostEndpoint>(),
        Kind::Profile => of::<Profile>(),
        Kind::Policy => of::<Policy>(),
        Kind::IpPool => of::<IpPool>(),
        Kind::Node => of::<Node>(),
        Kind::BgpPeer => of::<BgpPeer>(),
    }
}
