//! Which keys a resource has, and what stands under each: the seam to `margay_model::codec`.

use std::collections::BTreeMap;

use margay_model::codec::{self, NodeParts};
use margay_model::key::{ProfilePart, directory as d};
use margay_model::{Identity, Key, Resource};

use super::node::NodeValues;
use crate::datastore::{Listed, Skipped, Stored, Write};
use crate::kv::{Precondition, Put, Revision};

/// What stands under the key that makes a node exist.
pub(super) const NODE_METADATA: &str = "{}";

/// The path of a record that cannot be understood, and why.
pub(super) type Bad = (String, String);

/// The keys of a resource in the order of writing. The first decides whether it exists.
pub(super) fn keys(identity: &Identity) -> Vec<Key> {
    match identity {
        Identity::Profile(name) => {
            ProfilePart::ALL.map(|part| Key::ProfilePart { name: name.clone(), part }).to_vec()
        }
        _ => vec![identity.key()],
    }
}

/// True when the key's value may have fields that others put there. Tags and labels are replaced as a whole.
pub(super) fn has_unknown_fields(key: &Key) -> bool {
    !matches!(key, Key::ProfilePart { part: ProfilePart::Tags | ProfilePart::Labels, .. })
}

/// The keys whose values a write has to read first.
pub(super) fn read_first(how: Write, identity: &Identity) -> Vec<Key> {
    match how {
        Write::Create => Vec::new(),
        Write::Update | Write::Apply => keys(identity).into_iter().filter(has_unknown_fields).collect(),
    }
}

/// The directory whose list has the key together with those like it.
pub(super) fn directory(key: &Key) -> String {
    match key {
        Key::WorkloadEndpoint { node, .. } => format!("{}/{node}/workload", d::HOSTS),
        Key::ProfilePart { .. } => d::PROFILES.to_owned(),
        _ => {
            let path = key.path();
            path.rsplit_once('/').map_or_else(|| path.clone(), |(parent, _)| parent.to_owned())
        }
    }
}

/// The value of one key of a resource, with what others put into `previous`. None for a key it does not have.
pub(super) fn encode(resource: &Resource, key: &Key, previous: Option<&str>) -> Option<String> {
    match (resource, key) {
        (Resource::Profile(profile), Key::ProfilePart { part, .. }) => {
            Some(codec::encode_profile_part(profile, *part, previous))
        }
        (Resource::Policy(policy), _) if policy.spec.types.is_empty() => {
            let mut filled = resource.clone();
            codec::fill_defaults(&mut filled);
            codec::encode(&filled, previous)
        }
        _ => codec::encode(resource, previous),
    }
}

/// What else a write does: a pool with IP-in-IP switches it on for the cluster, and nothing switches it off again.
pub(super) fn side_effect(resource: &Resource) -> Option<Put> {
    let Resource::IpPool(pool) = resource else { return None };
    let enabled = pool.spec.ipip.as_ref().is_some_and(|ipip| ipip.enabled);
    let key = Key::FelixConfig { node: None, name: "IpInIpEnabled".to_owned() };
    enabled.then(|| Put { key: key.path(), value: "true".to_owned(), when: Precondition::None })
}

/// The resource under its only key.
pub(super) fn single(identity: &Identity, value: &str) -> Result<Resource, Bad> {
    let key = identity.key();
    match codec::decode(&key, value) {
        Ok(Some(resource)) => Ok(resource),
        Ok(None) => Err((key.path(), "no resource stands under this key".to_owned())),
        Err(error) => Err((key.path(), error.0)),
    }
}

/// A profile from the parts that exist.
pub(super) fn profile(name: &str, values: &BTreeMap<ProfilePart, String>) -> Result<Resource, Bad> {
    let part = |part| values.get(&part).map(String::as_str);
    let [tags, labels, rules] = ProfilePart::ALL.map(part);
    let key = Key::Profile { name: name.to_owned() };
    codec::decode_profile(name, tags, labels, rules)
        .map(|profile| Resource::Profile(Box::new(profile)))
        .map_err(|error| (key.path(), error.0))
}

/// The node that a key has a part of, besides the metadata.
pub(super) fn part_of_node(key: &Key) -> Option<&str> {
    match key {
        Key::OrchRefs { node } => Some(node),
        Key::BgpConfig { node: Some(node), name } => {
            let parts = ["ip_addr_v4", "ip_addr_v6", "as_num", "network_v4", "network_v6"];
            parts.contains(&name.as_str()).then_some(node)
        }
        _ => None,
    }
}

/// A node from the parts that exist.
pub(super) fn node(name: &str, mut values: NodeValues) -> Result<Resource, Bad> {
    let mut bgp =
        |word: &str| values.remove(&Key::BgpConfig { node: Some(name.to_owned()), name: word.to_owned() });
    let parts = NodeParts {
        ip_addr_v4: bgp("ip_addr_v4"),
        ip_addr_v6: bgp("ip_addr_v6"),
        as_num: bgp("as_num"),
        network_v4: bgp("network_v4"),
        network_v6: bgp("network_v6"),
        orch_refs: values.remove(&Key::OrchRefs { node: name.to_owned() }),
        bird_ip: None,
    };
    let key = Key::NodeMetadata { node: name.to_owned() };
    codec::decode_node(name, &parts)
        .map(|node| Resource::Node(Box::new(node)))
        .map_err(|error| (key.path(), error.0))
}

/// What a list says of a record.
pub(super) fn listed(decoded: Result<Resource, Bad>, revision: Option<Revision>) -> Listed {
    match decoded {
        Ok(resource) => Listed::Resource(Stored { resource, revision }),
        Err((path, reason)) => Listed::Skipped(Skipped { path, reason }),
    }
}
