//! Datastore values: resources to the JSON that stands under their keys, and back (`spec/datastore-etcdv2.md` 3, 5, 6).
//!
//! Writing takes the previous value, if there is one: fields that others put there, `state` of an endpoint and
//! `log_prefix` of a rule survive. Reading accepts any letter case of names and ignores what it does not know.
//! Networks are masked on the way in; what stands in the datastore is returned as it is.

mod endpoint;
mod network;
mod node;
mod policy;
mod stored;

use std::borrow::Cow;

use margay_text::json::write_json_compact;
use margay_text::value::Value;

use crate::key::{Key, ProfilePart};
use crate::resource::Resource;
use crate::v1::{BgpPeer, HostEndpoint, IpPool, Policy, Profile, WorkloadEndpoint};

pub use node::{NodeParts, decode_node, node_parts, orch_refs};
pub use policy::{decode_profile, encode_profile_part};
pub use stored::{AsText, MaybeText, StoredPort, StoredProtocol};

/// Why a stored value could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct StoredError(pub String);

/// The value of a resource that has one key; profiles and nodes have parts of their own.
///
/// `previous` is the value that stands there now.
#[must_use]
pub fn encode(resource: &Resource, previous: Option<&str>) -> Option<String> {
    let value = match resource {
        Resource::WorkloadEndpoint(d) => endpoint::encode_workload(d, previous),
        Resource::HostEndpoint(d) => endpoint::encode_host(d, previous),
        Resource::Policy(d) => policy::encode(d, previous),
        Resource::IpPool(d) => network::encode_pool(d, previous),
        Resource::BgpPeer(d) => network::encode_peer(d, previous),
        Resource::Profile(_) | Resource::Node(_) => return None,
    };
    Some(compact(&value))
}

/// The resource that stands under a key; `None` for keys that hold no resource of their own.
///
/// # Errors
/// What is wrong with the value.
pub fn decode(key: &Key, value: &str) -> Result<Option<Resource>, StoredError> {
    Ok(Some(match key {
        Key::WorkloadEndpoint { node, orchestrator, workload, name } => {
            let mut d: WorkloadEndpoint = endpoint::decode_workload(value)?;
            d.metadata.node.clone_from(node);
            d.metadata.orchestrator.clone_from(orchestrator);
            d.metadata.workload.clone_from(workload);
            d.metadata.name.clone_from(name);
            Resource::WorkloadEndpoint(Box::new(d))
        }
        Key::HostEndpoint { node, name } => {
            let mut d: HostEndpoint = endpoint::decode_host(value)?;
            d.metadata.node.clone_from(node);
            d.metadata.name.clone_from(name);
            Resource::HostEndpoint(Box::new(d))
        }
        Key::Policy { name } => {
            let mut d: Policy = policy::decode(value)?;
            d.metadata.name.clone_from(name);
            Resource::Policy(Box::new(d))
        }
        Key::IpPool { .. } => Resource::IpPool(Box::<IpPool>::new(network::decode_pool(value)?)),
        Key::BgpPeer { node, .. } => {
            let d: BgpPeer = network::decode_peer(value, node.as_deref())?;
            Resource::BgpPeer(Box::new(d))
        }
        _ => return Ok(None),
    }))
}

/// True for keys under which a resource of its own stands.
#[must_use]
pub fn holds_resource(key: &Key) -> bool {
    matches!(
        key,
        Key::WorkloadEndpoint { .. }
            | Key::HostEndpoint { .. }
            | Key::Policy { .. }
            | Key::IpPool { .. }
            | Key::BgpPeer { .. }
    )
}

/// Fills in what every write fills in: the directions of a policy (`spec/api-v1.md` 4.4).
pub fn fill_defaults(resource: &mut Resource) {
    if let Resource::Policy(policy) = resource {
        let spec = &mut policy.spec;
        if spec.types.is_empty() {
            let types: &[&str] = match (spec.ingress.is_empty(), spec.egress.is_empty()) {
                (true, false) => &["egress"],
                (false, false) => &["ingress", "egress"],
                (_, true) => &["ingress"],
            };
            spec.types = types.iter().map(|word| (*word).to_owned()).collect();
        }
    }
}

/// The resource as it will read back after a write: defaults filled in, networks masked and in stored order.
///
/// `previous` is what stands there now, as for [`encode`].
#[must_use]
pub fn as_stored(resource: &Resource) -> Resource {
    let mut resource = resource.clone();
    fill_defaults(&mut resource);
    match &resource {
        Resource::Profile(profile) => {
            let parts = ProfilePart::ALL.map(|part| encode_profile_part(profile, part, None));
            let [tags, labels, rules] = parts.each_ref().map(|text| Some(text.as_str()));
            decode_profile(&profile.metadata.name, tags, labels, rules)
                .map_or(resource.clone(), |profile: Profile| Resource::Profile(Box::new(profile)))
        }
        Resource::Node(node) => {
            let parts = NodeParts::of(node);
            decode_node(&node.metadata.name, &parts)
                .map_or(resource.clone(), |node| Resource::Node(Box::new(node)))
        }
        other => {
            let stored = other.identity().ok().zip(encode(other, None));
            stored
                .and_then(|(identity, value)| decode(&identity.key(), &value).ok().flatten())
                .unwrap_or_else(|| resource.clone())
        }
    }
}

fn compact(value: &Value<'_>) -> String {
    let mut out = String::with_capacity(256);
    write_json_compact(&mut out, value);
    out
}

/// The members of a stored object under construction.
struct Members<'a>(Vec<(Cow<'a, str>, Value<'a>)>);

impl<'a> Members<'a> {
    fn new() -> Self {
        Self(Vec::with_capacity(12))
    }

    fn put(&mut self, name: &'static str, value: Value<'a>) {
        self.0.push((Cow::Borrowed(name), value));
    }

    /// Puts a member unless its list, map or text is empty.
    fn put_set(&mut self, name: &'static str, value: Value<'a>) {
        let empty = match &value {
            Value::Null | Value::Bool(false) => true,
            Value::Text(text) => text.is_empty(),
            Value::List(items) => items.is_empty(),
            Value::Map(members) => members.is_empty(),
            Value::Bool(true) | Value::Int(_) | Value::Float(_) => false,
        };
        if !empty {
            self.put(name, value);
        }
    }

    /// Adds the members of a previous value that the data model does not know.
    fn keep_unknown(mut self, previous: Option<&str>, known: &[&str]) -> Value<'a> {
        let previous = previous.and_then(|text| serde_json::from_str::<serde_json::Value>(text).ok());
        if let Some(serde_json::Value::Object(object)) = previous {
            self.keep_unknown_of(&object, known);
        }
        Value::Map(self.0)
    }

    fn keep_unknown_of(&mut self, object: &serde_json::Map<String, serde_json::Value>, known: &[&str]) {
        for (name, value) in object {
            if !known.iter().any(|known| crate::record::fold_eq(known, name)) {
                self.0.push((Cow::Owned(name.clone()), foreign(value)));
            }
        }
    }
}

/// A value of somebody else's, as it will be written again.
fn foreign(value: &serde_json::Value) -> Value<'static> {
    match value {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(value) => Value::Bool(*value),
        serde_json::Value::Number(number) => {
            number.as_i128().map_or_else(|| Value::Float(number.as_f64().unwrap_or_default()), Value::Int)
        }
        serde_json::Value::String(text) => Value::Text(Cow::Owned(text.clone())),
        serde_json::Value::Array(items) => Value::List(items.iter().map(foreign).collect()),
        serde_json::Value::Object(members) => {
            Value::Map(members.iter().map(|(k, v)| (Cow::Owned(k.clone()), foreign(v))).collect())
        }
    }
}

fn texts<T: ToString>(list: impl IntoIterator<Item = T>) -> Value<'static> {
    Value::List(list.into_iter().map(|item| Value::Text(Cow::Owned(item.to_string()))).collect())
}

fn borrowed(list: &[String]) -> Value<'_> {
    Value::List(list.iter().map(|item| Value::Text(Cow::Borrowed(item))).collect())
}

fn map(map: &std::collections::BTreeMap<String, String>) -> Value<'_> {
    Value::Map(map.iter().map(|(k, v)| (Cow::Borrowed(k.as_str()), Value::Text(Cow::Borrowed(v)))).collect())
}
