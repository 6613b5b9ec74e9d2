//! Giving addresses and blocks back, always by compare-and-swap (`spec/ipam.md` 6.2, 7.2, 11).
//!
//! The block is the authority and is written first; handles and affinities follow it. A crash in between leaves a handle
//! that counts too much or an affinity without a block, which harm nobody and go with the next release.

use std::collections::BTreeSet;

use margay_model::{Filter, Key, Kind, Resource};
use margay_net::{Cidr, Ip};
use margay_store::datastore::{self, Datastore, Listed, Record, RecordSet};
use margay_store::kv::{Precondition, check_key};

use crate::block::Block;
use crate::handle::{Handle, HandleError};
use crate::show::{Holder, holders, read};
use crate::{Error, Result};

/// How often a record that others keep changing is tried, as upstream does.
const ATTEMPTS: u32 = 100;

/// How often claims that come back are released again, as upstream does.
const ROUNDS: u32 = 3;

/// What releasing an address came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Released {
    /// It was assigned and is free now.
    Released,
    /// It was not assigned.
    NotAssigned,
}

/// Releases one address.
///
/// # Errors
/// The datastore failed, a record cannot be understood, or others never left the block alone.
pub async fn release_address<D: Datastore>(store: &D, ip: Ip) -> Result<Released> {
    let released = release_addresses(store, &[ip]).await?;
    Ok(if released.is_empty() { Released::NotAssigned } else { Released::Released })
}

/// Releases addresses; returns those that were assigned, block by block.
///
/// # Errors
/// As [`release_address`]; addresses in blocks before the one that failed stay released.
pub async fn release_addresses<D: Datastore>(store: &D, addresses: &[Ip]) -> Result<Vec<Ip>> {
    let mut released = Vec::new();
    for holder in holders(store, addresses).await? {
        released.extend(release_in_block(store, holder).await?);
    }
    Ok(released)
}

/// Releases addresses of one block, and then what the block's handles say of it.
async fn release_in_block<D: Datastore>(store: &D, holder: Holder) -> Result<Vec<Ip>> {
    let Holder { mut record, mut block, addresses } = holder;
    for _ in 0..ATTEMPTS {
        let released = block.release(&addresses);
        if released.is_empty() {
            return Ok(Vec::new());
        }
        if write_block(store, &record, &block).await? {
            let handles: BTreeSet<&str> =
                released.iter().filter_map(|(_, handle)| handle.as_deref()).collect();
            for handle in handles {
                update_handle(store, handle, &block).await?;
            }
            return Ok(released.into_iter().map(|(ip, _)| ip).collect());
        }
        let Some(now) = store.get_record(&record.key).await? else { return Ok(Vec::new()) };
        block = read(&now)?;
        record = now;
    }
    Err(Error::Contended { key: record.key.to_string(), attempts: ATTEMPTS })
}

/// Writes a block over the record it was read from; an empty one that nobody owns is removed. False on a conflict.
async fn write_block<D: Datastore>(store: &D, record: &Record, block: &Block) -> Result<bool> {
    let seen = Precondition::Revision(record.revision);
    let outcome = if block.is_empty() && block.affinity().is_none() {
        store.delete_record(&record.key, seen).await
    } else {
        store.put_record(&record.key, &block.encode(), seen).await.map(|_| ())
    };
    unless_raced(outcome)
}

fn unless_raced(outcome: datastore::Result<()>) -> Result<bool> {
    match outcome {
        Ok(()) => Ok(true),
        Err(datastore::Error::Conflict { .. } | datastore::Error::DoesNotExist { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Sets what a handle says of a block just written to what the block says; a handle without blocks is removed.
async fn update_handle<D: Datastore>(store: &D, id: &str, written: &Block) -> Result<()> {
    let key = Key::IpamHandle { id: id.to_owned() };
    if check_key(&key.path()).is_err() {
        // No handle can stand there: the id is somebody's mistake, and the address is free all the same.
        return Ok(());
    }
    let cidr = written.cidr();
    let mut count = written.held_by(id);
    for _ in 0..ATTEMPTS {
        // COMPAT(ipam-handles): a missing handle has nothing to say; upstream ends the process here.
        let Some(record) = store.get_record(&key).await? else { return Ok(()) };
        let bad = |error: HandleError| Error::BadRecord { key: key.to_string(), reason: error.to_string() };
        let mut handle = Handle::decode(&record.value).map_err(bad)?;
        // Counted anew: upstream takes 1 off, however many addresses of the handle were released.
        if !handle.correct(cidr, count) {
            return Ok(());
        }
        let seen = Precondition::Revision(record.revision);
        let outcome = if handle.is_empty() {
            store.delete_record(&key, seen).await
        } else {
            store.put_record(&key, &handle.encode(), seen).await.map(|_| ())
        };
        if unless_raced(outcome)? {
            return Ok(());
        }
        // Whoever changed the handle is about to change the block, or has done so.
        count = match store.get_record(&Key::IpamBlock { cidr }).await? {
            Some(record) => read(&record)?.held_by(id),
            None => 0,
        };
    }
    Err(Error::Contended { key: key.to_string(), attempts: ATTEMPTS })
}

/// Releases the addresses of all workload endpoints of a node; returns those that were assigned.
///
/// # Errors
/// As [`release_address`].
pub async fn release_node_addresses<D: Datastore>(store: &D, node: &str) -> Result<Vec<Ip>> {
    let filter = Filter { node: Some(node.to_owned()), ..Filter::default() };
    let mut addresses = Vec::new();
    let mut visit = |listed: Listed| {
        if let Listed::Resource(stored) = listed
            && let Resource::WorkloadEndpoint(endpoint) = stored.resource
        {
            addresses.extend(endpoint.spec.ip_networks.iter().filter(|n| n.is_single()).map(|n| n.address()));
        }
    };
    store.list(Kind::WorkloadEndpoint, &filter, &mut visit).await?;
    release_addresses(store, &addresses).await
}

/// Releases a host's claims on blocks and forgets the host; returns the blocks that were released.
///
/// # Errors
/// As [`release_address`]; claims before the one that failed stay released, and the host is remembered.
pub async fn release_host_affinities<D: Datastore>(store: &D, node: &str) -> Result<Vec<Cidr>> {
    let set = RecordSet::IpamAffinities { node: Some(node.to_owned()), version: None };
    let released = release_affinities(store, &set, |_| true).await?;
    store.remove_ipam_host(node).await?;
    Ok(released)
}

/// Releases all hosts' claims on blocks within a pool; returns the blocks that were released.
///
/// # Errors
/// As [`release_address`]; claims before the one that failed stay released.
pub async fn release_pool_affinities<D: Datastore>(store: &D, pool: Cidr) -> Result<Vec<Cidr>> {
    let set = RecordSet::IpamAffinities { node: None, version: Some(pool.version()) };
    release_affinities(store, &set, |cidr| pool.contains(cidr)).await
}

/// Releases the claims of a set that are wanted, and those that come back meanwhile.
async fn release_affinities<D: Datastore>(
    store: &D,
    set: &RecordSet,
    wanted: impl Fn(Cidr) -> bool + Sync,
) -> Result<Vec<Cidr>> {
    let mut released = Vec::new();
    let mut again = None;
    for _ in 0..ROUNDS {
        again = None;
        for claim in claims(store, set, &wanted).await? {
            release_affinity(store, &claim.node, claim.cidr).await?;
            let seen = Precondition::Revision(claim.record.revision);
            // The revision was read before the block was given up: a claim with another one is a new claim.
            match store.delete_record(&claim.record.key, seen).await {
                Ok(()) => released.push(claim.cidr),
                Err(datastore::Error::DoesNotExist { .. }) => {}
                Err(datastore::Error::Conflict { .. }) => again = Some(claim.record.key),
                Err(error) => return Err(error.into()),
            }
        }
        if again.is_none() {
            break;
        }
    }
    match again {
        Some(key) => Err(Error::Contended { key: key.to_string(), attempts: ROUNDS }),
        None => Ok(released),
    }
}

/// A host's claim on a block.
struct Claim {
    node: String,
    cidr: Cidr,
    record: Record,
}

async fn claims<D: Datastore>(
    store: &D,
    set: &RecordSet,
    wanted: impl Fn(Cidr) -> bool + Sync,
) -> Result<Vec<Claim>> {
    let mut claims = Vec::new();
    let mut visit = |record: Record| {
        if let Key::IpamAffinity { node, cidr } = &record.key
            && wanted(*cidr)
        {
            claims.push(Claim { node: node.clone(), cidr: *cidr, record });
        }
    };
    store.list_records(set, &mut visit).await?;
    Ok(claims)
}

/// Takes a block from its host: an empty one goes, one in use stays without owner. A block of another host stays.
async fn release_affinity<D: Datastore>(store: &D, node: &str, cidr: Cidr) -> Result<()> {
    let key = Key::IpamBlock { cidr };
    for _ in 0..ATTEMPTS {
        let Some(record) = store.get_record(&key).await? else { return Ok(()) };
        let mut block = read(&record)?;
        if !block.is_owned_by(node) {
            return Ok(());
        }
        block.clear_affinity();
        // By revision: upstream removes an empty block without looking whether it still is empty.
        if write_block(store, &record, &block).await? {
            return Ok(());
        }
    }
    Err(Error::Contended { key: key.to_string(), attempts: ATTEMPTS })
}
