//! Giving addresses and claims back, always by compare-and-swap (`spec/ipam.md` 6.2, 7.2, 8.4, 11).
//!
//! The block is the authority and is written first; handles and affinities follow it. A crash in between leaves a handle
//! that counts too much or an affinity without a block, which harm nobody and go with the next release. An address is
//! released from whoever held it when we first looked, never from a later holder.

use std::collections::BTreeMap;

use margay_model::{Filter, Key, Kind, Resource};
use margay_net::{Cidr, Ip};
use margay_store::datastore::{self, Datastore, Listed, Record, RecordSet};
use margay_store::kv::Precondition;

use crate::assign::Owner;
use crate::block::{Attribute, Block};
use crate::claim;
use crate::hold::{Keeper, Seen};
use crate::retry::Retry;
use crate::show::{Holder, holders};
use crate::stored::{self, Held, Written};
use crate::{Error, Result};

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
    for Holder { held, addresses } in holders(store, addresses).await? {
        released.extend(release_in_block(store, held, &addresses, |_| true).await?);
    }
    Ok(released)
}

/// Releases those of the addresses that belong to the owner, note for note: what a request that failed had got.
pub(crate) async fn take_back<D: Datastore>(store: &D, addresses: &[Ip], owner: &Owner) -> Result<Vec<Ip>> {
    let attribute = owner.attribute();
    let mut released = Vec::new();
    for Holder { held, addresses } in holders(store, addresses).await? {
        released.extend(release_in_block(store, held, &addresses, |held| *held == attribute).await?);
    }
    Ok(released)
}

/// Releases what a request got, as if it had never asked: only what still belongs to the same owner, note for note.
///
/// # Errors
/// As [`release_address`].
pub async fn unassign<D: Datastore>(store: &D, addresses: &[Ip], owner: &Owner) -> Result<Vec<Ip>> {
    take_back(store, addresses, owner).await
}

/// Releases addresses of one block whose attribute is wanted, and then what the block's handles say of it.
pub(crate) async fn release_in_block<D: Datastore>(
    store: &D,
    mut held: Held,
    addresses: &[Ip],
    wanted: impl Fn(&Attribute) -> bool,
) -> Result<Vec<Ip>> {
    let theirs = |block: &Block| -> BTreeMap<Ip, Attribute> {
        let of = |ip: &Ip| block.attribute(*ip).filter(|held| wanted(held)).map(|held| (*ip, held.clone()));
        addresses.iter().filter_map(of).collect()
    };
    let first = theirs(&held.block);
    let mut retry = Retry::of(&["release", &held.block.cidr().to_string()]);
    loop {
        // The holder that we saw first, and nobody who got the address meanwhile.
        let now: Vec<Ip> =
            addresses.iter().copied().filter(|ip| same_holder(&held.block, *ip, first.get(ip))).collect();
        let mut block = held.block.clone();
        let released = block.release(&now);
        if released.is_empty() {
            return Ok(Vec::new());
        }
        let written = held.replace(store, &block).await?;
        if written != Written::Raced {
            let handles = released.iter().filter_map(|(ip, _)| first.get(ip)?.handle.as_deref());
            follow(store, handles, &block, written).await?;
            return Ok(released.into_iter().map(|(ip, _)| ip).collect());
        }
        retry.wait(&held.key()).await?;
        let Some(now) = stored::block(store, held.block.cidr()).await? else { return Ok(Vec::new()) };
        held = now;
    }
}

fn same_holder(block: &Block, ip: Ip, first: Option<&Attribute>) -> bool {
    first.is_some() && block.attribute(ip) == first
}

/// Makes handles say what a block just written holds for them.
async fn follow<D: Datastore>(
    store: &D,
    handles: impl Iterator<Item = &str>,
    block: &Block,
    written: Written,
) -> Result<()> {
    let mut handles: Vec<&str> = handles.collect();
    handles.sort_unstable();
    handles.dedup();
    for id in handles {
        // Under other ids no handle can stand: the id is somebody's mistake, and the address is free all the same.
        if let Some(mut keeper) = Keeper::new(id) {
            keeper.settle(store, block.cidr(), seen(block, id, written)).await?;
        }
    }
    Ok(())
}

fn seen(block: &Block, id: &str, written: Written) -> Seen {
    match written {
        Written::At(revision) => Seen::Count(block.held_by(id), revision),
        Written::Removed | Written::Raced => Seen::Nothing,
    }
}

/// Releases what a handle holds, lowest address first, where `wanted` says so; what it holds besides stays. None when
/// there is no such handle.
///
/// # Errors
/// As [`release_address`], of the first block that failed; the others are released all the same.
pub async fn release_by_handle<D: Datastore>(
    store: &D,
    id: &str,
    wanted: impl Fn(&Attribute) -> bool + Sync,
) -> Result<Option<Vec<Ip>>> {
    let Some(mut keeper) = Keeper::new(id) else { return Ok(None) };
    let Some(handle) = keeper.read(store).await? else { return Ok(None) };
    let blocks = handle.blocks();
    if blocks.is_empty() {
        keeper.remove_empty(store).await?;
    }
    let mut released = Vec::new();
    let mut failed = None;
    for cidr in blocks {
        match release_held(store, &mut keeper, cidr, &wanted).await {
            Ok(addresses) => released.extend(addresses),
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    failed.map_or(Ok(Some(released)), Err)
}

/// Releases what a handle holds in one block.
async fn release_held<D: Datastore>(
    store: &D,
    keeper: &mut Keeper,
    cidr: Cidr,
    wanted: &(impl Fn(&Attribute) -> bool + Sync),
) -> Result<Vec<Ip>> {
    let mut retry = Retry::of(&[keeper.id(), "release"]);
    loop {
        let Some(held) = stored::block(store, cidr).await? else {
            keeper.settle(store, cidr, Seen::Nothing).await?;
            return Ok(Vec::new());
        };
        let addresses = held.block.held(keeper.id(), wanted);
        if addresses.is_empty() {
            // Upstream leaves the entry of a block that holds nothing for the handle, for ever.
            keeper.settle(store, cidr, Seen::Nothing).await?;
            return Ok(Vec::new());
        }
        let mut block = held.block.clone();
        block.release(&addresses);
        let written = held.replace(store, &block).await?;
        if written != Written::Raced {
            keeper.settle(store, cidr, seen(&block, keeper.id(), written)).await?;
            return Ok(addresses);
        }
        retry.wait(&held.key()).await?;
    }
}

/// Releases what a handle holds in the blocks of a host, whatever its record says: for a handle whose record is lost.
/// A block that cannot be understood is passed over: nobody knows whether it holds anything of the handle.
///
/// # Errors
/// As [`release_address`].
pub async fn release_by_scan<D: Datastore>(
    store: &D,
    id: &str,
    host: &str,
    wanted: impl Fn(&Attribute) -> bool + Sync,
) -> Result<Vec<Ip>> {
    let set = RecordSet::IpamAffinities { node: Some(host.to_owned()), version: None };
    let mut released = Vec::new();
    for claim in claims(store, &set, |_| true).await? {
        let held = match stored::block(store, claim.cidr).await {
            Ok(Some(held)) => held,
            Ok(None) | Err(Error::BadRecord { .. }) => continue,
            Err(error) => return Err(error),
        };
        let addresses = held.block.held(id, &wanted);
        if !addresses.is_empty() {
            released.extend(release_in_block(store, held, &addresses, |held| held.is_of(id)).await?);
        }
    }
    Ok(released)
}

/// The addresses of a handle, block by block; none when there is no such handle.
///
/// # Errors
/// The datastore failed, or a record cannot be understood.
pub async fn addresses_of_handle<D: Datastore>(store: &D, id: &str) -> Result<Option<Vec<(Ip, Attribute)>>> {
    let Some(mut keeper) = Keeper::new(id) else { return Ok(None) };
    let Some(handle) = keeper.read(store).await? else { return Ok(None) };
    let mut found = Vec::new();
    for cidr in handle.blocks() {
        let Some(held) = stored::block(store, cidr).await? else { continue };
        let of = held.block.assigned().filter(|(_, attribute)| attribute.is_of(id));
        found.extend(of.map(|(ip, attribute)| (ip, attribute.clone())));
    }
    Ok(Some(found))
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
            claim::release(store, &claim.node, claim.cidr).await?;
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
