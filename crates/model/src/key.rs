//! Datastore keys: what each names, its path, and its spelling in error texts (`spec/datastore-etcdv2.md` 2 to 4).

use std::fmt;

use margay_net::{Cidr, Ip, IpVersion};

/// A key of the v1 data model.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// `true` once the datastore is set up.
    Ready,
    /// A Felix parameter, of one host or of all.
    FelixConfig {
        /// The host; none = all.
        node: Option<String>,
        /// The parameter, case as written.
        name: String,
    },
    /// A BGP parameter, of one host or of all.
    BgpConfig {
        /// The host; none = all.
        node: Option<String>,
        /// The stored name: `as_num`.
        name: String,
    },
    /// `{}`: the node exists.
    NodeMetadata {
        /// The host.
        node: String,
    },
    /// The node's IPv4 BGP address, for Felix.
    NodeBirdIp {
        /// The host.
        node: String,
    },
    /// The node's names in orchestrators.
    OrchRefs {
        /// The host.
        node: String,
    },
    /// A host endpoint.
    HostEndpoint {
        /// The host.
        node: String,
        /// The endpoint.
        name: String,
    },
    /// A workload endpoint.
    WorkloadEndpoint {
        /// The host.
        node: String,
        /// The orchestrator.
        orchestrator: String,
        /// The workload.
        workload: String,
        /// The endpoint.
        name: String,
    },
    /// A policy of the tier `default`.
    Policy {
        /// The policy.
        name: String,
    },
    /// A profile: the directory of its three parts.
    Profile {
        /// The profile.
        name: String,
    },
    /// One part of a profile.
    ProfilePart {
        /// The profile.
        name: String,
        /// Which.
        part: ProfilePart,
    },
    /// An IP pool.
    IpPool {
        /// The range.
        cidr: Cidr,
    },
    /// A BGP peer, of one host or of all.
    BgpPeer {
        /// The host; none = all.
        node: Option<String>,
        /// The address.
        peer: Ip,
    },
    /// The IPAM settings.
    IpamConfig,
    /// An IPAM block.
    IpamBlock {
        /// The block's range.
        cidr: Cidr,
    },
    /// A host's claim on a block.
    IpamAffinity {
        /// The host.
        node: String,
        /// The block's range.
        cidr: Cidr,
    },
    /// An IPAM handle.
    IpamHandle {
        /// Its id.
        id: String,
    },
    /// A workload endpoint's status, written by Felix.
    WorkloadStatus {
        /// The host.
        node: String,
        /// The orchestrator.
        orchestrator: String,
        /// The workload.
        workload: String,
        /// The endpoint.
        name: String,
    },
    /// A host endpoint's status, written by Felix.
    HostEndpointStatus {
        /// The host.
        node: String,
        /// The endpoint.
        name: String,
    },
    /// Felix's own status, with a TTL.
    FelixStatus {
        /// The host.
        node: String,
    },
    /// Felix's own status, kept.
    FelixLastStatus {
        /// The host.
        node: String,
    },
}

/// The three keys of a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProfilePart {
    /// Tags: the part whose existence counts.
    Tags,
    /// Labels.
    Labels,
    /// Rules.
    Rules,
}

/// The directories that lists start from.
pub mod directory {
    /// Everything of Calico.
    pub const ROOT: &str = "/calico";
    /// Hosts: endpoints and Felix parameters.
    pub const HOSTS: &str = "/calico/v1/host";
    /// Global Felix parameters.
    pub const FELIX_CONFIG: &str = "/calico/v1/config";
    /// Policies.
    pub const POLICIES: &str = "/calico/v1/policy/tier/default/policy";
    /// All tiers.
    pub const TIERS: &str = "/calico/v1/policy/tier";
    /// Profiles.
    pub const PROFILES: &str = "/calico/v1/policy/profile";
    /// Pools of both versions.
    pub const POOLS: &str = "/calico/v1/ipam";
    /// Global BGP parameters and peers.
    pub const BGP_GLOBAL: &str = "/calico/bgp/v1/global";
    /// BGP parameters and peers of hosts.
    pub const BGP_HOSTS: &str = "/calico/bgp/v1/host";
    /// IPAM blocks of both versions.
    pub const IPAM_BLOCKS: &str = "/calico/ipam/v2/assignment";
    /// IPAM claims of hosts.
    pub const IPAM_HOSTS: &str = "/calico/ipam/v2/host";
    /// IPAM handles.
    pub const IPAM_HANDLES: &str = "/calico/ipam/v2/handle";
}

/// The kind names a parser needs for BGP values that are no parameters.
const BGP_DIRECTORIES: [&str; 3] = ["peer_v4", "peer_v6", "custom_filters"];

/// Escapes a name for one component of a key: `%` then `/` (`spec/datastore-etcdv2.md` 3.1).
#[must_use]
pub fn escape(name: &str) -> String {
    name.replace('%', "%25").replace('/', "%2f")
}

/// Undoes [`escape`]; only the lower-case form is an escape.
#[must_use]
pub fn unescape(component: &str) -> String {
    component.replace("%2f", "/").replace("%25", "%")
}

// === impl Key ===

impl Key {
    /// The path in the datastore.
    #[must_use]
    pub fn path(&self) -> String {
        use directory as d;
        let bgp = |node: &Option<String>| match node {
            Some(node) => format!("{}/{node}", d::BGP_HOSTS),
            None => d::BGP_GLOBAL.to_owned(),
        };
        match self {
            Self::Ready => "/calico/v1/Ready".to_owned(),
            Self::FelixConfig { node: None, name } => format!("{}/{name}", d::FELIX_CONFIG),
            Self::FelixConfig { node: Some(node), name } => format!("{}/{node}/config/{name}", d::HOSTS),
            Self::BgpConfig { node, name } => format!("{}/{name}", bgp(node)),
            Self::NodeMetadata { node } => format!("{}/{node}/metadata", d::HOSTS),
            Self::NodeBirdIp { node } => format!("{}/{node}/bird_ip", d::HOSTS),
            Self::OrchRefs { node } => format!("{}/{node}/orchestrator_refs", d::HOSTS),
            Self::HostEndpoint { node, name } => format!("{}/{node}/endpoint/{}", d::HOSTS, escape(name)),
            Self::WorkloadEndpoint { node, orchestrator, workload, name } => {
                workload_path(d::HOSTS, node, orchestrator, workload, name)
            }
            Self::Policy { name } => format!("{}/{}", d::POLICIES, escape(name)),
            Self::Profile { name } => format!("{}/{}", d::PROFILES, escape(name)),
            Self::ProfilePart { name, part } => format!("{}/{}/{}", d::PROFILES, escape(name), part.word()),
            Self::IpPool { cidr } => {
                format!("{}/v{}/pool/{}", d::POOLS, cidr.version().number(), cidr.to_key())
            }
            Self::BgpPeer { node, peer } => format!("{}/peer_v{}/{peer}", bgp(node), peer.version().number()),
            Self::IpamConfig => "/calico/ipam/v2/config".to_owned(),
            Self::IpamBlock { cidr } => {
                format!("{}/ipv{}/block/{}", d::IPAM_BLOCKS, cidr.version().number(), cidr.to_key())
            }
            Self::IpamAffinity { node, cidr } => {
                format!("{}/{node}/ipv{}/block/{}", d::IPAM_HOSTS, cidr.version().number(), cidr.to_key())
            }
            Self::IpamHandle { id } => format!("{}/{id}", d::IPAM_HANDLES),
            Self::WorkloadStatus { node, orchestrator, workload, name } => {
                workload_path(FELIX_HOSTS, node, orchestrator, workload, name)
            }
            Self::HostEndpointStatus { node, name } => {
                format!("{FELIX_HOSTS}/{node}/endpoint/{}", escape(name))
            }
            Self::FelixStatus { node } => format!("{FELIX_HOSTS}/{node}/status"),
            Self::FelixLastStatus { node } => format!("{FELIX_HOSTS}/{node}/last_reported_status"),
        }
    }

    /// The key at a path; none for paths that are not of the data model, or of a tier other than `default`.
    #[must_use]
    pub fn parse(path: &str) -> Option<Self> {
        let rest = path.strip_prefix("/calico/")?;
        let mut parts = rest.split('/');
        let (area, version) = (parts.next()?, parts.next()?);
        let parts: Vec<&str> = parts.collect();
        match (area, version) {
            ("v1", "Ready") if parts.is_empty() => Some(Self::Ready),
            ("v1", "config") if !parts.is_empty() => {
                Some(Self::FelixConfig { node: None, name: parts.join("/") })
            }
            ("v1", "host") => parse_host(&parts),
            ("v1", "policy") => parse_policy(&parts),
            ("v1", "ipam") => match parts.as_slice() {
                [_, "pool", cidr] => Cidr::from_key(cidr).ok().map(|cidr| Self::IpPool { cidr }),
                _ => None,
            },
            ("bgp", "v1") => parse_bgp(&parts),
            ("ipam", "v2") => parse_ipam(&parts),
            ("felix", "v1") => parse_felix(&parts),
            _ => None,
        }
    }

    /// The directories that are removed when this key was the last below them (`spec/datastore-etcdv2.md` 8).
    #[must_use]
    pub fn prunable_parents(&self) -> Vec<String> {
        match self {
            Self::WorkloadEndpoint { .. } | Self::WorkloadStatus { .. } => {
                let path = self.path();
                let endpoint = path.rsplit_once('/').map_or("", |(parent, _)| parent);
                let workload = endpoint.rsplit_once('/').map_or("", |(parent, _)| parent);
                vec![endpoint.to_owned(), workload.to_owned()]
            }
            _ => Vec::new(),
        }
    }
}

const FELIX_HOSTS: &str = "/calico/felix/v1/host";

fn workload_path(root: &str, node: &str, orchestrator: &str, workload: &str, name: &str) -> String {
    format!("{root}/{node}/workload/{}/{}/endpoint/{}", escape(orchestrator), escape(workload), escape(name))
}

fn parse_host(parts: &[&str]) -> Option<Key> {
    let (node, rest) = parts.split_first()?;
    let node = (*node).to_owned();
    match rest {
        ["metadata"] => Some(Key::NodeMetadata { node }),
        ["bird_ip"] => Some(Key::NodeBirdIp { node }),
        ["orchestrator_refs"] => Some(Key::OrchRefs { node }),
        ["endpoint", name] => Some(Key::HostEndpoint { node, name: unescape(name) }),
        ["config", name @ ..] if !name.is_empty() => {
            Some(Key::FelixConfig { node: Some(node), name: name.join("/") })
        }
        ["workload", orchestrator, workload, "endpoint", name] => Some(Key::WorkloadEndpoint {
            node,
            orchestrator: unescape(orchestrator),
            workload: unescape(workload),
            name: unescape(name),
        }),
        _ => None,
    }
}

fn parse_policy(parts: &[&str]) -> Option<Key> {
    match parts {
        // COMPAT(tiers): upstream takes a policy of any tier for one of `default`.
        ["tier", "default", "policy", name] => Some(Key::Policy { name: unescape(name) }),
        ["profile", name, part] => {
            Some(Key::ProfilePart { name: unescape(name), part: ProfilePart::from_word(part)? })
        }
        _ => None,
    }
}

/// Tier and name of a policy of whatever tier; none for paths of other kinds (`spec/policy.md` 1.2).
#[must_use]
pub fn policy_of_any_tier(path: &str) -> Option<(&str, String)> {
    let (tier, name) = path.strip_prefix(directory::TIERS)?.strip_prefix('/')?.split_once("/policy/")?;
    let whole = |component: &str| !component.is_empty() && !component.contains('/');
    (whole(tier) && whole(name)).then(|| (tier, unescape(name)))
}

fn parse_bgp(parts: &[&str]) -> Option<Key> {
    let (node, rest) = match parts {
        ["global", rest @ ..] => (None, rest),
        ["host", node, rest @ ..] => (Some((*node).to_owned()), rest),
        _ => return None,
    };
    match rest {
        [directory, peer] if directory.starts_with("peer_v") => {
            peer.parse().ok().map(|peer| Key::BgpPeer { node, peer })
        }
        [first, ..] if !BGP_DIRECTORIES.contains(first) => {
            Some(Key::BgpConfig { node, name: rest.join("/") })
        }
        _ => None,
    }
}

fn parse_ipam(parts: &[&str]) -> Option<Key> {
    match parts {
        ["config"] => Some(Key::IpamConfig),
        ["assignment", _, "block", cidr] => Cidr::from_key(cidr).ok().map(|cidr| Key::IpamBlock { cidr }),
        ["host", node, _, "block", cidr] => {
            Cidr::from_key(cidr).ok().map(|cidr| Key::IpamAffinity { node: (*node).to_owned(), cidr })
        }
        ["handle", id] => Some(Key::IpamHandle { id: (*id).to_owned() }),
        _ => None,
    }
}

fn parse_felix(parts: &[&str]) -> Option<Key> {
    let ["host", node, rest @ ..] = parts else { return None };
    let node = (*node).to_owned();
    match rest {
        ["status"] => Some(Key::FelixStatus { node }),
        ["last_reported_status"] => Some(Key::FelixLastStatus { node }),
        ["endpoint", name] => Some(Key::HostEndpointStatus { node, name: unescape(name) }),
        ["workload", orchestrator, workload, "endpoint", name] => Some(Key::WorkloadStatus {
            node,
            orchestrator: unescape(orchestrator),
            workload: unescape(workload),
            name: unescape(name),
        }),
        _ => None,
    }
}

impl fmt::Display for Key {
    /// The spelling of error texts (`spec/datastore-etcdv2.md` 2).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready => write!(f, "ReadyFlagKey()"),
            Self::FelixConfig { node: None, name } => write!(f, "GlobalFelixConfig(name={name})"),
            Self::FelixConfig { node: Some(node), name } => write!(f, "HostConfig(node={node},name={name})"),
            Self::BgpConfig { node: None, name } => write!(f, "GlobalBGPConfig(name={name})"),
            Self::BgpConfig { node: Some(node), name } => {
                write!(f, "HostBGPConfig(node={node}; name={name})")
            }
            Self::NodeMetadata { node } | Self::NodeBirdIp { node } => write!(f, "Node(name={node})"),
            Self::OrchRefs { node } => write!(f, "OrchRefs(nodename={node})"),
            Self::HostEndpoint { node, name } => write!(f, "HostEndpoint(node={node}, name={name})"),
            Self::WorkloadEndpoint { node, orchestrator, workload, name } => write!(
                f,
                "WorkloadEndpoint(node={node}, orchestrator={orchestrator}, workload={workload}, name={name})"
            ),
            Self::Policy { name } => write!(f, "Policy(name={name})"),
            // COMPAT(profile-errors): upstream names the storage part, `ProfileTags(name=…)`.
            Self::Profile { name } | Self::ProfilePart { name, .. } => write!(f, "Profile(name={name})"),
            Self::IpPool { cidr } => write!(f, "IPPool(cidr={cidr})"),
            Self::BgpPeer { node: None, peer } => write!(f, "BGPPeer(global, ip={peer})"),
            Self::BgpPeer { node: Some(node), peer } => write!(f, "BGPPeer(node={node}, ip={peer})"),
            Self::IpamConfig => write!(f, "IPAMConfigKey()"),
            Self::IpamBlock { cidr } => write!(f, "BlockKey(cidr={cidr})"),
            Self::IpamAffinity { node, cidr } => write!(f, "BlockAffinityKey(cidr={cidr}, host={node})"),
            Self::IpamHandle { id } => write!(f, "IPAMHandleKey(id={id})"),
            Self::WorkloadStatus { node, orchestrator, workload, name } => write!(
                f,
                "WorkloadEndpointStatus(hostname={node}, orchestrator={orchestrator}, workload={workload}, name={name})"
            ),
            Self::HostEndpointStatus { node, name } => {
                write!(f, "HostEndpointStatus(hostname={node}, name={name})")
            }
            Self::FelixStatus { node } | Self::FelixLastStatus { node } => {
                write!(f, "StatusReport(hostname={node})")
            }
        }
    }
}

// === impl ProfilePart ===

impl ProfilePart {
    /// The parts in the order in which they are written.
    pub const ALL: [Self; 3] = [Self::Tags, Self::Labels, Self::Rules];

    /// The last component of its key.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Tags => "tags",
            Self::Labels => "labels",
            Self::Rules => "rules",
        }
    }

    fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|part| part.word() == word)
    }
}

/// The version directories of pools, in list order.
pub const VERSIONS: [IpVersion; 2] = [IpVersion::V4, IpVersion::V6];

#[cfg(test)]
mod tests;
