//! Where the lists of resources and records start, and which keys belong to them (`spec/datastore-etcdv2.md` 7).

use margay_model::key::{directory as d, escape};
use margay_model::{Filter, Identity, Key, Kind};
use margay_net::IpVersion;

use crate::datastore::RecordSet;

/// The keys to list, in order: the longest that the identifiers determine, taken in key order.
pub(super) fn of_kind(kind: Kind, filter: &Filter) -> Vec<String> {
    let name = filter.name.as_deref();
    let below = |directory: &str, name: Option<&str>| match name {
        Some(name) => format!("{directory}/{}", escape(name)),
        None => directory.to_owned(),
    };
    match kind {
        Kind::WorkloadEndpoint => vec![workload_root(filter)],
        Kind::HostEndpoint => match &filter.node {
            Some(node) => vec![below(&format!("{}/{node}/endpoint", d::HOSTS), name)],
            None => vec![d::HOSTS.to_owned()],
        },
        Kind::Policy => vec![below(d::POLICIES, name)],
        Kind::Profile => vec![below(d::PROFILES, name)],
        Kind::IpPool => match filter.cidr {
            Some(cidr) => vec![Key::IpPool { cidr }.path()],
            None => vec![d::POOLS.to_owned()],
        },
        Kind::BgpPeer => peer_roots(filter),
        // Nodes are directories, not values: `node` lists them.
        Kind::Node => Vec::new(),
    }
}

fn workload_root(filter: &Filter) -> String {
    let Some(node) = &filter.node else { return d::HOSTS.to_owned() };
    let mut root = format!("{}/{node}/workload", d::HOSTS);
    let Some(orchestrator) = &filter.orchestrator else { return root };
    root = format!("{root}/{}", escape(orchestrator));
    let Some(workload) = &filter.workload else { return root };
    root = format!("{root}/{}/endpoint", escape(workload));
    let Some(name) = &filter.name else { return root };
    format!("{root}/{}", escape(name))
}

/// Global peers before those of nodes. No scope means both, or the node's when there is a node.
fn peer_roots(filter: &Filter) -> Vec<String> {
    let global = || match filter.peer {
        Some(peer) => Key::BgpPeer { node: None, peer }.path(),
        None => d::BGP_GLOBAL.to_owned(),
    };
    let of_nodes = || match (&filter.node, filter.peer) {
        (Some(node), Some(peer)) => Key::BgpPeer { node: Some(node.clone()), peer }.path(),
        (Some(node), None) => format!("{}/{node}", d::BGP_HOSTS),
        (None, _) => d::BGP_HOSTS.to_owned(),
    };
    match (filter.scope.as_deref(), &filter.node) {
        (Some("global"), _) => vec![global()],
        (None, None) => vec![global(), of_nodes()],
        (None, Some(_)) | (Some(_), _) => vec![of_nodes()],
    }
}

/// What a list of `kind` with the filter makes of a key: the resource it is or is a part of.
pub(super) fn identity(kind: Kind, filter: &Filter, key: &Key) -> Option<Identity> {
    let identity = match (kind, key.clone()) {
        (Kind::WorkloadEndpoint, Key::WorkloadEndpoint { node, orchestrator, workload, name }) => {
            Identity::WorkloadEndpoint { node, orchestrator, workload, name }
        }
        (Kind::HostEndpoint, Key::HostEndpoint { node, name }) => Identity::HostEndpoint { node, name },
        (Kind::Policy, Key::Policy { name }) => Identity::Policy(name),
        (Kind::Profile, Key::ProfilePart { name, .. }) => Identity::Profile(name),
        (Kind::IpPool, Key::IpPool { cidr }) => Identity::IpPool(cidr),
        (Kind::BgpPeer, Key::BgpPeer { node, peer }) => Identity::BgpPeer { node, peer },
        _ => return None,
    };
    admits(filter, &identity).then_some(identity)
}

fn admits(filter: &Filter, identity: &Identity) -> bool {
    let same = |wanted: &Option<String>, found: &String| wanted.as_ref().is_none_or(|wanted| wanted == found);
    match identity {
        Identity::WorkloadEndpoint { node, orchestrator, workload, name } => {
            same(&filter.node, node)
                && same(&filter.orchestrator, orchestrator)
                && same(&filter.workload, workload)
                && same(&filter.name, name)
        }
        Identity::HostEndpoint { node, name } => same(&filter.node, node) && same(&filter.name, name),
        Identity::Profile(name) | Identity::Policy(name) | Identity::Node(name) => same(&filter.name, name),
        Identity::IpPool(cidr) => filter.cidr.is_none_or(|wanted| wanted == *cidr),
        Identity::BgpPeer { node, peer } => {
            filter.peer.is_none_or(|wanted| wanted == *peer)
                && node.as_ref().is_none_or(|node| same(&filter.node, node))
        }
    }
}

/// The directory to list for a set of records.
pub(super) fn of_records(set: &RecordSet) -> String {
    let version = |directory: &str, version: &Option<IpVersion>, tail: &str| match version {
        Some(version) => format!("{directory}/ipv{}{tail}", version.number()),
        None => directory.to_owned(),
    };
    match set {
        RecordSet::FelixConfig { node: None } => d::FELIX_CONFIG.to_owned(),
        RecordSet::FelixConfig { node: Some(node) } => format!("{}/{node}/config", d::HOSTS),
        RecordSet::BgpConfig { node: None } => d::BGP_GLOBAL.to_owned(),
        RecordSet::BgpConfig { node: Some(node) } => format!("{}/{node}", d::BGP_HOSTS),
        RecordSet::Pools => d::POOLS.to_owned(),
        RecordSet::IpamBlocks(of) => version(d::IPAM_BLOCKS, of, ""),
        RecordSet::IpamAffinities { node: None, .. } => d::IPAM_HOSTS.to_owned(),
        RecordSet::IpamAffinities { node: Some(node), version: of } => {
            version(&format!("{}/{node}", d::IPAM_HOSTS), of, "/block")
        }
        RecordSet::IpamHandles => d::IPAM_HANDLES.to_owned(),
    }
}

#[cfg(test)]
mod tests;
