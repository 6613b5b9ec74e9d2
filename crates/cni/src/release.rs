//! Releasing what the datastore holds of an interface, now or later (`spec/cni.md` 9).

use margay_client::{AnyStore, Secret};
use margay_model::{Filter, Kind, Resource};
use margay_net::{Cidr, IfName, IpVersion};
use margay_store::Datastore as _;
use margay_store::datastore::Listed;
use serde_json::{Map, Value, json};

use crate::addresses;
use crate::call::Call;
use crate::error::{Code, Failure, Result};
use crate::identity::Identity;
use crate::journal::Entry;
use crate::record::{Removed, remove};

/// Removes the endpoint, if it is the container's, and then gives back its addresses: nobody else can get them while the
/// endpoint still says that they are here.
///
/// # Errors
/// The datastore failed, or others never left a record alone.
pub(crate) async fn release(
    call: &mut Call<'_>,
    store: &AnyStore,
    identity: &Identity,
    entry: &Entry,
) -> Result<()> {
    let seen = store.get_record(&identity.key()).await?;
    let removed = remove(store, identity, seen).await?;
    call.faults.pass("del-unrecorded")?;
    if removed == Removed::Kept {
        call.log.info("the endpoint stays: it belongs to a newer container");
    }
    if !entry.release {
        return Ok(());
    }
    let mut released = addresses::release(store, &entry.handle(), &entry.ifname, &identity.node).await?;
    if removed == Removed::Gone {
        released.extend(addresses::release_legacy(store, &identity.workload.id()).await?);
    }
    let texts: Vec<String> = released.iter().map(ToString::to_string).collect();
    call.log.info(&format!("released addresses [{}]", texts.join(" ")));
    call.faults.pass("del-released")
}

/// Works off what earlier calls could not release; true when there was something of the call's own.
///
/// # Errors
/// What the call's own container still holds could not be released.
pub(crate) async fn replay(
    call: &mut Call<'_>,
    store: &AnyStore,
    datastore: &str,
    own: &Identity,
) -> Result<bool> {
    let pending = call.journal.find(&call.conf.name, &own.container, &own.ifname);
    let pending = pending.filter(|entry| entry.datastore == datastore);
    if let Some(entry) = &pending {
        work_off(call, store, entry).await?;
    }
    for (entry, _lock) in call.journal.claim_others(datastore, &own.container) {
        if let Err(failure) = work_off(call, store, &entry).await {
            // It stays in the journal; this call has work of its own.
            call.log.warning(&format!("releasing container {}: {}", entry.container, failure.msg));
            break;
        }
    }
    Ok(pending.is_some())
}

async fn work_off(call: &mut Call<'_>, store: &AnyStore, entry: &Entry) -> Result<()> {
    if let Some(identity) = entry.identity() {
        release(call, store, &identity, entry).await?;
    }
    call.journal.remove(entry);
    Ok(())
}

/// True when no endpoint of the node has that interface: nobody is left behind it. When in doubt, somebody is.
pub(crate) async fn is_abandoned(store: &AnyStore, node: &str, interface: &IfName) -> bool {
    if !interface.as_str().starts_with(crate::identity::INTERFACE_PREFIX) {
        return false;
    }
    let filter = Filter { node: Some(node.to_owned()), ..Filter::default() };
    let mut found = false;
    let mut visit = |listed: Listed| match listed {
        Listed::Resource(stored) => {
            if let Resource::WorkloadEndpoint(endpoint) = stored.resource {
                found |= endpoint.spec.interface_name == interface.as_str();
            }
        }
        // It may be the one.
        Listed::Skipped(_) => found = true,
    };
    let listed = store.list(Kind::WorkloadEndpoint, &filter, &mut visit).await;
    listed.is_ok() && !found
}

/// The word that stands for the range that the cluster gave a node, per version (`spec/cni.md` 8).
const POD_RANGE: [(&str, IpVersion, &str); 2] =
    [("usePodCidr", IpVersion::V4, "0.0.0.0/0"), ("usePodCidrIPv6", IpVersion::V6, "::/0")];

/// The configuration as the IPAM plugin gets it: for host-local with the node's own ranges in it. Releasing needs no
/// range, so the cluster is not asked.
pub(crate) fn document_for(call: &Call<'_>, identity: &Identity, releasing: bool) -> Result<Secret<String>> {
    let conf = &call.conf;
    let mut words = Vec::new();
    if conf.ipam.kind == "host-local" {
        // Only words that stand where a range belongs count.
        let document = conf.document_with(|_| {});
        let document: Value = serde_json::from_str(document.expose()).unwrap_or_default();
        collect_words(&document["ipam"], &mut words);
    }
    if words.is_empty() {
        return Ok(conf.document_with(|_| {}));
    }
    let node = if conf.kubernetes.node_name.is_empty() { &identity.node } else { &conf.kubernetes.node_name };
    let ranges = if releasing { Vec::new() } else { call.cluster.pod_ranges(node)? };
    let range = |word: &str| -> Option<Result<Value>> {
        let (name, version, dummy) =
            POD_RANGE.into_iter().find(|(name, ..)| name.eq_ignore_ascii_case(word))?;
        if releasing {
            return Some(Ok(json!(dummy)));
        }
        let found = ranges.iter().find(|range: &&Cidr| range.version() == version);
        Some(
            found
                .map(|range| json!(range.to_string()))
                .ok_or_else(|| no_range(node, name, ranges.is_empty())),
        )
    };
    for word in &words {
        if let Some(Err(failure)) = range(word) {
            return Err(failure);
        }
    }
    Ok(conf.document_with(|document| {
        if let Some(ipam) = document.get_mut("ipam") {
            replace_words(ipam, &|word| range(word).and_then(Result::ok));
        }
    }))
}

fn no_range(node: &str, word: &str, none_at_all: bool) -> Failure {
    let msg = if none_at_all {
        format!("No podCidr for node {node}")
    } else {
        format!(
            "{word} found but there is no {} CIDR configured",
            if word.ends_with("v6") { "IPv6" } else { "IPv4" }
        )
    };
    Failure::new(Code::CONFIG, msg)
}

/// The words at `subnet`, of the plugin itself and of each of its ranges.
fn subnets(ipam: &Value) -> impl Iterator<Item = &Value> {
    let nested = ipam["ranges"].as_array().into_iter().flatten().filter_map(Value::as_array).flatten();
    std::iter::once(&ipam["subnet"]).chain(nested.map(|range| &range["subnet"]))
}

fn collect_words(ipam: &Value, words: &mut Vec<String>) {
    for word in subnets(ipam).filter_map(Value::as_str) {
        if POD_RANGE.iter().any(|(name, ..)| name.eq_ignore_ascii_case(word)) {
            words.push(word.to_owned());
        }
    }
}

fn replace_words(ipam: &mut Value, range: &dyn Fn(&str) -> Option<Value>) {
    let replace = |object: &mut Map<String, Value>| {
        if let Some(new) = object.get("subnet").and_then(Value::as_str).and_then(range) {
            object.insert("subnet".to_owned(), new);
        }
    };
    let Some(object) = ipam.as_object_mut() else { return };
    replace(object);
    let sets = object.get_mut("ranges").and_then(Value::as_array_mut).into_iter().flatten();
    for range in sets.filter_map(Value::as_array_mut).flatten().filter_map(Value::as_object_mut) {
        replace(range);
    }
}
