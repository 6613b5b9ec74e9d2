//! GC: takes off everything of this network on this node that the runtime does not list (`spec/cni.md` 13).

use margay_client::AnyStore;
use margay_ipam::Garbage;
use margay_kernel::Rtnetlink as _;
use margay_model::v1::WorkloadEndpoint;
use margay_model::{Filter, Key, Kind, Resource};
use margay_store::Datastore as _;
use margay_store::datastore::{Listed, Record, RecordSet};
use margay_wiring::{Detach, Host as _};

use crate::call::{Call, Ipam, chain, check_ready, runtime};
use crate::error::{Code, Failure, Result};
use crate::identity::{Identity, Workload, node_name};
use crate::request::{ContainerId, Verb};
use crate::{record, wire};

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
    let mut stale = endpoints(store, node).await?;
    stale.retain(|endpoint| is_stale(call, endpoint, &handles, valid));
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
        let is_valid = |container: &str, ifname: Option<&str>| match ifname {
            Some(ifname) => valid.has(container, ifname),
            None => valid.has_container(container),
        };
        let network = call.conf.name.clone();
        let garbage = Garbage { host: node, network: &network, is_valid: &is_valid, now: (call.now)() };
        let of_ipam = |error: margay_ipam::Error| crate::addresses::failure(error.into());
        let collected = margay_ipam::collect(store, &garbage).await.map_err(of_ipam)?;
        for (ip, handle) in &collected.released {
            call.log.info(&format!("released {ip} of {handle}"));
        }
        failed = failed.and(collected.failed.into_iter().next().map_or(Ok(()), |error| Err(of_ipam(error))));
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

async fn endpoints(store: &AnyStore, node: &str) -> Result<Vec<WorkloadEndpoint>> {
    let mut found = Vec::new();
    let mut visit = |listed: Listed| {
        if let Listed::Resource(stored) = listed
            && let Resource::WorkloadEndpoint(endpoint) = stored.resource
        {
            found.push(*endpoint);
        }
    };
    let filter = Filter { node: Some(node.to_owned()), ..Filter::default() };
    store.list(Kind::WorkloadEndpoint, &filter, &mut visit).await?;
    Ok(found)
}

/// An endpoint of this network that nobody lists: by the profile that the plugin gave it, or by addresses
/// that its container holds.
fn is_stale(
    call: &Call<'_>,
    endpoint: &WorkloadEndpoint,
    handles: &[(String, String)],
    valid: &Valid,
) -> bool {
    let Some(identity) = identity_of(endpoint) else { return false };
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
