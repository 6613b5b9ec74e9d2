//! Addresses from our own IPAM, asked in this process (`spec/ipam.md` 13, `spec/cni.md` 7.5): one connection to the
//! datastore serves the whole verb.

use std::collections::BTreeMap;
use std::time::SystemTime;

use margay_ipam::handle::Handle;
use margay_ipam::{AssignFailure, Owner, Request, TIMESTAMP, View};
use margay_model::Key;
use margay_net::{Cidr, Ip, IpVersion};
use margay_store::Datastore;
use margay_store::datastore::Error;
use margay_store::kv::Precondition;

use crate::config::NetConf;
use crate::error::{Code, Failure, Result};
use crate::identity::{Identity, Workload};

/// The note that tells apart the interfaces of one container.
pub(crate) const IFNAME: &str = "ifname";

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// These addresses; empty = whichever there are.
    pub(crate) asked: Vec<Ip>,
    /// Who gets them, from which pools, when it may be any.
    pub(crate) request: Request,
}

// === impl Wanted ===

impl Wanted {
    /// What the configuration asks for.
    ///
    /// # Errors
    /// A pool is none.
    pub(crate) fn new(conf: &NetConf, identity: &Identity, asked: Vec<Ip>, now: SystemTime) -> Result<Self> {
        let ipam = &conf.ipam;
        // An address in particular comes from whichever pool it is in. Else a mistake counts in either list.
        let pools = |texts: &[String], version| {
            if asked.is_empty() { pools(texts, version) } else { Ok(Vec::new()) }
        };
        let (v4_pools, v6_pools) =
            (pools(&ipam.ipv4_pools, IpVersion::V4)?, pools(&ipam.ipv6_pools, IpVersion::V6)?);
        Ok(Self {
            asked,
            request: Request {
                host: identity.node.clone(),
                v4: usize::from(ipam.assign_ipv4),
                v6: usize::from(ipam.assign_ipv6),
                v4_pools,
                v6_pools,
                owner: owner(conf, identity, now),
            },
        })
    }
}

/// Who holds the addresses of an interface. The moment makes two requests of one interface different.
#[must_use]
pub(crate) fn owner(conf: &NetConf, identity: &Identity, now: SystemTime) -> Owner {
    let mut notes = BTreeMap::from([
        ("node".to_owned(), identity.node.clone()),
        (IFNAME.to_owned(), identity.ifname.to_string()),
        (TIMESTAMP.to_owned(), margay_ipam::timestamp(now)),
    ]);
    if let Workload::Pod { namespace, name } = &identity.workload {
        notes.insert("namespace".to_owned(), namespace.clone());
        notes.insert("pod".to_owned(), name.clone());
    }
    Owner { handle: Some(conf.handle(&identity.container)), notes: Some(notes) }
}

/// Assigns what is wanted: all of it or nothing.
///
/// # Errors
/// Addresses are taken or used up, or the datastore failed.
pub(crate) async fn assign<D: Datastore>(
    store: &D,
    wanted: &Wanted,
    view: Option<View>,
) -> Result<Vec<Cidr>> {
    let Wanted { asked, request } = wanted;
    if !asked.is_empty() {
        return assign_asked(store, asked, request).await;
    }
    let assigned = match view {
        Some(view) => margay_ipam::auto_assign_seen(store, request, view).await,
        None => margay_ipam::auto_assign(store, request).await,
    }
    .map_err(failure)?;
    for (version, wanted, got) in [(4, request.v4, assigned.v4.len()), (6, request.v6, assigned.v6.len())] {
        if got < wanted {
            let all: Vec<Ip> = assigned.addresses().collect();
            let undone = give_back(store, &all, &request.owner).await;
            let msg =
                format!("Failed to request {wanted} IPv{version} addresses. IPAM allocated only {got}.");
            return Err(Failure::new(Code::NO_ADDRESS, msg)
                .with_details(assigned.notes.join("; "))
                .with_details(undone));
        }
    }
    Ok(assigned.addresses().map(Cidr::from).collect())
}

async fn assign_asked<D: Datastore>(store: &D, asked: &[Ip], request: &Request) -> Result<Vec<Cidr>> {
    for (index, ip) in asked.iter().enumerate() {
        if let Err(error) = margay_ipam::assign_ip(store, &request.host, *ip, &request.owner).await {
            let undone = give_back(store, &asked[..index], &request.owner).await;
            return Err(failure(error).with_details(undone));
        }
    }
    Ok(asked.iter().copied().map(Cidr::from).collect())
}

/// Releases what a failed request got; the answer is empty, or says why it stays.
async fn give_back<D: Datastore>(store: &D, addresses: &[Ip], owner: &Owner) -> String {
    if addresses.is_empty() {
        return String::new();
    }
    match margay_ipam::unassign(store, addresses, owner).await {
        Ok(_) => String::new(),
        Err(error) => format!("releasing addresses again: {error}"),
    }
}

/// Releases everything that one request got, also what it never learned of.
///
/// # Errors
/// The datastore failed.
pub(crate) async fn take_back<D: Datastore>(store: &D, owner: &Owner) -> Result<()> {
    let Some(handle) = &owner.handle else { return Ok(()) };
    let released = margay_ipam::release_by_handle(store, handle, |held| held.secondary == owner.notes).await;
    released.map(|_| ()).map_err(release_failure)
}

/// Releases what an interface holds on a node. Addresses without a note of their interface belong to any.
///
/// # Errors
/// The datastore failed.
pub(crate) async fn release<D: Datastore>(
    store: &D,
    handle: &str,
    ifname: &str,
    node: &str,
) -> Result<Vec<Ip>> {
    let of_interface =
        |held: &margay_ipam::block::Attribute| held.note(IFNAME).is_none_or(|note| note == ifname);
    let released = match margay_ipam::release_by_handle(store, handle, of_interface).await {
        Ok(Some(released)) => Ok(released),
        // COMPAT(ipam-lost-handle): upstream takes a missing handle for "released already", and the address is lost.
        Ok(None) => margay_ipam::release_by_scan(store, handle, node, of_interface).await,
        // One that cannot be understood would fail every DEL from now on.
        Err(margay_ipam::Error::BadRecord { .. }) => {
            forget(store, handle).await?;
            margay_ipam::release_by_scan(store, handle, node, of_interface).await
        }
        Err(error) => Err(error),
    };
    released.map_err(release_failure)
}

/// Removes a handle that cannot be understood: what it names is found without it.
async fn forget<D: Datastore>(store: &D, handle: &str) -> Result<()> {
    let key = Key::IpamHandle { id: handle.to_owned() };
    let Some(record) = store.get_record(&key).await? else { return Ok(()) };
    if Handle::decode(&record.value).is_ok() {
        return Ok(());
    }
    match store.delete_record(&key, Precondition::Revision(record.revision)).await {
        Ok(()) | Err(Error::Conflict { .. } | Error::DoesNotExist { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Releases what old versions assigned under the workload's own identifier.
///
/// COMPAT(cni-legacy-handle): upstream releases whatever stands there, also when a newer container has it.
///
/// # Errors
/// The datastore failed.
pub(crate) async fn release_legacy<D: Datastore>(store: &D, workload: &str) -> Result<Vec<Ip>> {
    let released = margay_ipam::release_by_handle(store, workload, |held| held.note(IFNAME).is_none()).await;
    released.map(Option::unwrap_or_default).map_err(release_failure)
}

/// Reads pools as the configuration names them.
///
/// # Errors
/// One is no network, or of the other version.
pub(crate) fn pools(texts: &[String], version: IpVersion) -> Result<Vec<Cidr>> {
    let refuse = |msg: String| Failure::new(Code::CONFIG, msg);
    texts
        .iter()
        .map(|text| {
            let pool = Cidr::parse_strict(text)
                .map_err(|error| refuse(format!("error parsing pool \"{text}\": {error}")))?;
            if pool.version() != version {
                return Err(refuse(format!(
                    "\"{}\" isn't a IPv{} address",
                    pool.address(),
                    version.number()
                )));
            }
            Ok(pool.masked())
        })
        .collect()
}

/// An IPAM error as a runtime reads it.
#[must_use]
pub(crate) fn failure(error: AssignFailure) -> Failure {
    let code = match &error {
        AssignFailure::Ipam(error) => return release_failure(error.clone()),
        AssignFailure::NoPools => Code::NO_ADDRESS,
        AssignFailure::UnknownPool(_)
        | AssignFailure::WrongFamily { .. }
        | AssignFailure::NotInPool(_)
        | AssignFailure::TooSmall(_)
        | AssignFailure::NotInPools(_)
        | AssignFailure::BadName { .. } => Code::CONFIG,
        AssignFailure::Block(_) => Code::GENERIC,
    };
    Failure::new(code, error.to_string().trim_end())
}

fn release_failure(error: margay_ipam::Error) -> Failure {
    match error {
        margay_ipam::Error::Store(error) => error.into(),
        margay_ipam::Error::Contended { .. } => Failure::new(Code::TRY_LATER, error.to_string()),
        margay_ipam::Error::BadRecord { .. } => Failure::new(Code::GENERIC, error.to_string()),
    }
}
