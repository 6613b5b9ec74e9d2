//! GC: takes off everything of this network on this node that the runtime does not list (`spec/cni.md` 13).

use std::time::{Duration, SystemTime};

use margay_client::AnyStore;
use margay_ipam::TIMESTAMP;
use margay_ipam::block::Attribute;
use margay_kernel::Rtnetlink as _;
use margay_model::v1::WorkloadEndpoint;
use margay_model::{Filter, Key, Kind, Resource};
use margay_net::{Cidr, Ip};
use margay_store::Datastore as _;
use margay_store::datastore::{Listed, Record, RecordSet};
use margay_wiring::{Detach, Host as _};

use crate::addresses::IFNAME;
use crate::call::{Call, Ipam, chain, check_ready, runtime};
use crate::error::{Code, Failure, Result};
use crate::identity::{Identity, Workload, node_name};
use crate::request::{ContainerId, Verb};
use crate::{record, wire};

/// Younger assignments may belong to an ADD that runs right now.
const YOUNG: Duration = Duration::from_secs(60);

/// The interfaces in use.
struct Valid(Vec<(String, String)>);

/// Takes off what is not listed, going on after failures.
pub(crate) fn gc(call: &mut Call<'_>) -> Result<()> {
    let mut failures: Vec<Failure> = Vec::new();
    let log = &mut call.log;
    let node = node_name(&call.conf, &mut |text| log.warning(text))?;
    if let Some(listed) = call.conf.valid_attachments.clone() {
        let valid = Valid(listed);
        failures.extend(remove_links(call, &valid));
        let settings = call.settings()?;
        let store = call.open(&settings)?;
        let of_datastore = runtime()?.block_on(async {
            check_ready(&store).await?;
            remove_records(call, &store, &node, &valid).await
        });
        failures.extend(of_datastore.err());
    }
    failures.extend(call_delegate(call).err());
    let mut failures = failures.into_iter();
    let Some(first) = failures.next() else { return Ok(()) };
    Err(failures.fold(first, |first, next| first.with_details(next.msg)))
}

fn call_delegate(call: &mut Call<'_>) -> Result<()> {
    let Ipam::Other(delegate) = call.ipam()? else { return Ok(()) };
    let (arguments, document) = (call.arguments.clone(), call.conf.document_with(|_| {}));
    call.delegate(&delegate, Verb::Gc, &arguments, &document).map(|_| ())
}

// === impl Valid ===

impl Valid {
    fn has(&self, container: &str, ifname: &str) -> bool {
        self.0.iter().any(|(c, i)| c == container && i == ifname)
    }

    fn has_container(&self, container: &str) -> bool {
        self.0.iter().any(|(c, _)| c == container)
    }
}

/// Removes the interfaces of this network, known by their alias.
fn remove_links(call: &mut Call<'_>, valid: &Valid) -> Vec<Failure> {
    let mut host = match wire::open_host() {
        Ok(host) => host,
        Err(failure) => return vec![failure],
    };
    let links = match host.network().links() {
        Ok(links) => links,
        Err(error) => return vec![Failure::new(Code::KERNEL, chain(&error))],
    };
    let mut failures = Vec::new();
    for link in links {
        let Some(alias) = link.alias else { continue };
        let network = call.conf.name.clone();
        let Some(owner) = wire::parse_owner(&alias, &network) else { continue };
        let (Ok(_), Ok(ifname)) = (ContainerId::parse(owner.container), owner.ifname.parse()) else {
            continue;
        };
        if !valid.has(owner.container, owner.ifname) {
            let end =
                Detach { workload: None, workload_name: ifname, host_name: link.name, owner: alias.clone() };
            failures.extend(wire::detach(call, &mut host, &end).err());
        }
    }
    failures
}

/// Removes endpoints and gives addresses back.
async fn remove_records(call: &mut Call<'_>, store: &AnyStore, node: &str, valid: &Valid) -> Result<()> {
    let handles = handles(store, &call.conf.name).await?;
    let (stale, alive): (Vec<_>, Vec<_>) = endpoints(store)
        .await?
        .into_iter()
        .partition(|endpoint| is_stale(call, endpoint, node, &handles, valid));
    let mut failed = Ok(());
    for endpoint in &stale {
        if let Some(identity) = identity_of(endpoint) {
            let removed = async {
                let seen = store.get_record(&identity.key()).await?;
                record::remove(store, &identity, seen).await
            };
            failed = failed.and(removed.await.map(|_| ()));
        }
    }
    if call.conf.ipam.is_calico() {
        let claims = claims(store, node).await?;
        let in_use: Vec<Ip> =
            alive.iter().flat_map(|e| e.spec.ip_networks.iter().map(|net| net.address())).collect();
        for (handle, container) in &handles {
            let now = (call.now)();
            let wanted = |held: &Attribute| is_releasable(held, node, container, valid, now);
            failed = failed.and(give_back(store, handle, &claims, &in_use, &wanted).await);
        }
    }
    failed
}

/// Handles of the network with the container each names.
async fn handles(store: &AnyStore, network: &str) -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    let prefix = format!("{network}.");
    let mut visit = |record: Record| {
        if let Key::IpamHandle { id } = record.key
            && let Some(container) = id.strip_prefix(&prefix).filter(|c| ContainerId::parse(c).is_ok())
        {
            found.push((id.clone(), container.to_owned()));
        }
    };
    store.list_records(&RecordSet::IpamHandles, &mut visit).await?;
    Ok(found)
}

async fn endpoints(store: &AnyStore) -> Result<Vec<WorkloadEndpoint>> {
    let mut found = Vec::new();
    let mut visit = |listed: Listed| {
        if let Listed::Resource(stored) = listed
            && let Resource::WorkloadEndpoint(endpoint) = stored.resource
        {
            found.push(*endpoint);
        }
    };
    store.list(Kind::WorkloadEndpoint, &Filter::default(), &mut visit).await?;
    Ok(found)
}

async fn claims(store: &AnyStore, node: &str) -> Result<Vec<Cidr>> {
    let mut found = Vec::new();
    let mut visit = |record: Record| {
        if let Key::IpamAffinity { cidr, .. } = record.key {
            found.push(cidr);
        }
    };
    let set = RecordSet::IpamAffinities { node: Some(node.to_owned()), version: None };
    store.list_records(&set, &mut visit).await?;
    Ok(found)
}

/// An endpoint of this network on this node that nobody lists: by the profile that the plugin gave it, or by addresses
/// that its container holds.
fn is_stale(
    call: &Call<'_>,
    endpoint: &WorkloadEndpoint,
    node: &str,
    handles: &[(String, String)],
    valid: &Valid,
) -> bool {
    let Some(identity) = identity_of(endpoint).filter(|identity| identity.node == node) else { return false };
    let container = identity.container.as_str();
    let of_network = endpoint.spec.profiles.contains(&call.conf.name)
        || handles.iter().any(|(_, of_handle)| of_handle == container);
    of_network && !valid.has(container, identity.ifname.as_str())
}

/// Who an endpoint of ours is of; none for those of other orchestrators.
fn identity_of(endpoint: &WorkloadEndpoint) -> Option<Identity> {
    let metadata = &endpoint.metadata;
    let (workload, container) = match metadata.orchestrator.as_str() {
        "cni" => {
            let container = ContainerId::parse(&metadata.workload).ok()?;
            (Workload::Container(container.clone()), container)
        }
        "k8s" => {
            let container = ContainerId::parse(&metadata.active_instance_id).ok()?;
            // Namespaces have no dots, names of pods may.
            let (namespace, name) = metadata.workload.split_once('.')?;
            (Workload::Pod { namespace: namespace.to_owned(), name: name.to_owned() }, container)
        }
        _ => return None,
    };
    Some(Identity { node: metadata.node.clone(), workload, container, ifname: metadata.name.parse().ok()? })
}

/// An assignment of this node to an interface that nobody lists. Tunnels, services and machines are never touched.
fn is_releasable(held: &Attribute, node: &str, container: &str, valid: &Valid, now: SystemTime) -> bool {
    if ["type", "service", "vmi-name", "vm-uid"].iter().any(|note| held.note(note).is_some()) {
        return false;
    }
    if held.note("node").is_some_and(|of| of != node) {
        return false;
    }
    let listed = match held.note(IFNAME) {
        Some(ifname) => valid.has(container, ifname),
        None => valid.has_container(container),
    };
    !listed && !is_young(held.note(TIMESTAMP), now)
}

/// True for a time of the last minute, as Go prints it. What cannot be read is old.
fn is_young(written: Option<&str>, now: SystemTime) -> bool {
    let time = written.and_then(|text| {
        let text = text.split(" +0000").next()?.replacen(' ', "T", 1);
        format!("{text}Z").parse::<jiff::Timestamp>().ok()
    });
    let now = jiff::Timestamp::try_from(now).unwrap_or_default();
    time.is_some_and(|time| now.as_second().saturating_sub(time.as_second()) < YOUNG.as_secs().cast_signed())
}

/// Gives back what a handle holds. What says nothing of its node counts as this node's only inside its own blocks, and
/// only when no endpoint anywhere has the address.
async fn give_back(
    store: &AnyStore,
    handle: &str,
    claims: &[Cidr],
    in_use: &[Ip],
    wanted: &(impl Fn(&Attribute) -> bool + Sync),
) -> Result<()> {
    let failure = |error: margay_ipam::Error| crate::addresses::failure(error.into());
    let held = margay_ipam::addresses_of_handle(store, handle).await.map_err(failure)?.unwrap_or_default();
    let foreign = |ip: &Ip, held: &Attribute| {
        held.note("node").is_none() && (!claims.iter().any(|c| c.contains_ip(*ip)) || in_use.contains(ip))
    };
    if held.iter().any(|(ip, attribute)| foreign(ip, attribute)) {
        return Ok(());
    }
    margay_ipam::release_by_handle(store, handle, wanted).await.map(|_| ()).map_err(failure)
}
