//! Assigning addresses: to whoever asks for any, or for one in particular (`spec/ipam.md` 8).
//!
//! A request looks once at the pools and at its host's claims. A warm one, whose host owns a block with room, then
//! reads that block while it writes the handle, and writes the block: three round trips, none of them more for a
//! larger cluster. Only when the host's own blocks are full are all blocks listed, once, and everything else is
//! decided from that list: lost keys are healed, the next free block claimed, addresses borrowed.

mod family;
mod take;

use std::collections::BTreeMap;

use margay_model::Key;
use margay_net::{Cidr, Ip, IpVersion};
use margay_store::datastore::{Datastore, Record, RecordSet};
use margay_store::kv::Revision;

use crate::block::{self, Attribute};
use crate::claim::{Claimed, claim};
use crate::hold::Keeper;
use crate::pool::{self, Pool};
use crate::release::take_back;
use crate::retry::Retry;
use crate::show::holder;
use crate::stored::Held;
use crate::walk::{block_of, block_prefix};
use crate::{Error, Result, config, pools};

use family::Family;
use take::Taker;

/// The note that makes an attribute one of its kind: the moment of the request (`spec/ipam.md` 9).
pub const TIMESTAMP: &str = "timestamp";

/// Who gets addresses.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Owner {
    /// The handle that the addresses can be released by.
    pub handle: Option<String>,
    /// What is noted with each address. Where [`TIMESTAMP`] is among the notes, a write whose answer got lost is
    /// recognised when it is read again; without, such a request fails although an address may have been assigned.
    pub notes: Option<BTreeMap<String, String>>,
}

/// A request for addresses, whichever they are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Request {
    /// The host that they are for.
    pub host: String,
    /// How many of IPv4.
    pub v4: usize,
    /// How many of IPv6.
    pub v6: usize,
    /// From these pools only; none = from any.
    pub v4_pools: Vec<Cidr>,
    /// From these pools only; none = from any.
    pub v6_pools: Vec<Cidr>,
    /// Who gets them.
    pub owner: Owner,
}

/// What a request got: fewer than it asked for where there are no more.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Assigned {
    /// IPv4 addresses.
    pub v4: Vec<Ip>,
    /// IPv6 addresses.
    pub v6: Vec<Ip>,
    /// How many compare-and-swaps were lost to others.
    pub conflicts: u32,
    /// Why there are not more, in words for people.
    pub notes: Vec<String>,
}

/// Why nothing was assigned.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AssignFailure {
    /// The datastore failed, a record cannot be understood, or others never left one alone.
    #[error(transparent)]
    Ipam(#[from] Error),
    /// The block has the address not, or not for this host.
    #[error(transparent)]
    Block(#[from] block::AssignError),
    /// No enabled pool is left to choose from.
    #[error("No configured Calico pools")]
    NoPools,
    /// A requested pool is none.
    #[error("The given pool ({0}) does not exist")]
    UnknownPool(Cidr),
    /// IPv6 pools were requested for IPv4 addresses, or the reverse.
    #[error("provided IPv{wanted} IPPools list contains one or more IPv{found} IPPools")]
    WrongFamily {
        /// Of the addresses.
        wanted: u8,
        /// Of the pools.
        found: u8,
    },
    /// No enabled pool holds the address that was asked for.
    // COMPAT(ipam-not-in-pool): the line break is part of upstream's text.
    #[error("The provided IP address is not in a configured pool\n")]
    NotInPool(Ip),
    /// A range to claim is smaller than a block.
    #[error("The requested CIDR ({0}) is smaller than the minimum.")]
    TooSmall(Cidr),
    /// A range to claim lies in no pool.
    #[error("The requested CIDR ({0}) is not within any configured pools.")]
    NotInPools(Cidr),
    /// A name that cannot stand in a key.
    #[error("{what} {name:?} cannot be part of a datastore key")]
    BadName {
        /// What it names.
        what: &'static str,
        /// The name.
        name: String,
    },
}

/// What a request needs to know before it can begin, read in one go.
#[derive(Debug, Clone)]
pub struct View {
    pools: Vec<Pool>,
    /// The host's claims, in key order.
    claims: Vec<(Cidr, Revision)>,
}

// === impl Owner ===

impl Owner {
    pub(crate) fn attribute(&self) -> Attribute {
        Attribute::new(self.handle.clone(), self.notes.clone())
    }

    fn keeper(&self) -> Result<Option<Keeper>, AssignFailure> {
        let Some(id) = &self.handle else { return Ok(None) };
        match Keeper::new(id) {
            Some(keeper) => Ok(Some(keeper)),
            None => Err(AssignFailure::BadName { what: "the handle", name: id.clone() }),
        }
    }
}

// === impl Assigned ===

impl Assigned {
    /// All addresses, IPv4 first.
    pub fn addresses(&self) -> impl Iterator<Item = Ip> {
        self.v4.iter().chain(&self.v6).copied()
    }
}

// === impl View ===

impl View {
    /// The pools as they were read.
    #[must_use]
    pub fn pools(&self) -> &[Pool] {
        &self.pools
    }

    fn claims(&self, version: IpVersion) -> impl Iterator<Item = (Cidr, Revision)> {
        self.claims.iter().copied().filter(move |(cidr, _)| cidr.version() == version)
    }
}

/// Reads what a request needs to know. A caller that reads more at that moment waits for both at once, with `join!`.
///
/// # Errors
/// The datastore failed, or the host's name is none.
pub async fn look<D: Datastore>(store: &D, request: &Request) -> Result<View, AssignFailure> {
    check_host(&request.host)?;
    let version = match (request.v4, request.v6) {
        (_, 0) => Some(IpVersion::V4),
        (0, _) => Some(IpVersion::V6),
        (_, _) => None,
    };
    let set = RecordSet::IpamAffinities { node: Some(request.host.clone()), version };
    let mut claims = Vec::new();
    let mut visit = |record: Record| {
        if let Key::IpamAffinity { cidr, .. } = record.key {
            claims.push((cidr, record.revision));
        }
    };
    let (pools, listed) = tokio::join!(pools(store), store.list_records(&set, &mut visit));
    listed.map_err(Error::from)?;
    Ok(View { pools: pools?, claims })
}

/// Assigns addresses to a request; fewer than it asks for where there are no more.
///
/// # Errors
/// Pools are missing or not what they should be, or the datastore failed. What was assigned before is released again,
/// as far as the datastore lets us.
pub async fn auto_assign<D: Datastore>(store: &D, request: &Request) -> Result<Assigned, AssignFailure> {
    let view = look(store, request).await?;
    auto_assign_seen(store, request, view).await
}

/// As [`auto_assign`], with what [`look`] has read.
///
/// # Errors
/// As [`auto_assign`].
pub async fn auto_assign_seen<D: Datastore>(
    store: &D,
    request: &Request,
    view: View,
) -> Result<Assigned, AssignFailure> {
    check_families(request)?;
    let mut taker = Taker::new(store, &request.host, &request.owner)?;
    let mut assigned = Assigned::default();
    for version in [IpVersion::V4, IpVersion::V6] {
        let (count, requested) = match version {
            IpVersion::V4 => (request.v4, &request.v4_pools),
            IpVersion::V6 => (request.v6, &request.v6_pools),
        };
        if count == 0 {
            continue;
        }
        let mut family = Family::new(&view, version, requested, &request.host);
        let outcome = family.assign(&mut taker, count).await;
        let (got, notes) = family.into_outcome();
        assigned.notes.extend(notes);
        match version {
            IpVersion::V4 => assigned.v4 = got,
            IpVersion::V6 => assigned.v6 = got,
        }
        if let Err(error) = outcome {
            // COMPAT(ipam-partial): upstream keeps the addresses of one family when the other fails; nobody knows them.
            let lost: Vec<Ip> = assigned.addresses().collect();
            // The error that stopped us says more than one of tidying up; a DEL by handle tidies as well.
            let _ = take_back(store, &lost, &request.owner).await;
            return Err(error);
        }
    }
    assigned.conflicts = taker.conflicts;
    Ok(assigned)
}

/// Assigns one address in particular.
///
/// # Errors
/// It is taken, in no enabled pool or in a block that serves another host only, or the datastore failed.
pub async fn assign_ip<D: Datastore>(
    store: &D,
    host: &str,
    ip: Ip,
    owner: &Owner,
) -> Result<(), AssignFailure> {
    check_host(host)?;
    let (pools, held) = tokio::join!(pools(store), holder(store, ip));
    if !pool::serve(&pools?, ip) {
        return Err(AssignFailure::NotInPool(ip));
    }
    let mut held = held?;
    let mut taker = Taker::new(store, host, owner)?;
    let mut retry = Retry::of(&[host, "assign"]);
    loop {
        let found = match held.take() {
            Some(held) => held,
            None => {
                let strict = config::config(store).await?.strict_affinity;
                match claim(store, block_of(ip), host, strict).await? {
                    Claimed::Ours(held) => *held,
                    // Somebody else's by now: an address of it may be named all the same.
                    Claimed::Others(_) => match holder(store, ip).await? {
                        Some(held) => held,
                        None => {
                            retry.wait(&Key::IpamBlock { cidr: block_of(ip) }).await?;
                            continue;
                        }
                    },
                }
            }
        };
        check_size(&found)?;
        if taker.take_one(found, ip).await? {
            return Ok(());
        }
        // The block went away between two attempts.
        retry.wait(&Key::IpamBlock { cidr: block_of(ip) }).await?;
    }
}

/// Makes sure that an address belongs to an owner: assigns it, unless the owner's handle has it already. True when it was
/// assigned now. For addresses that are in use whatever the datastore says: tunnels, workloads that outlived it.
///
/// # Errors
/// As [`assign_ip`].
pub async fn reassert_ip<D: Datastore>(
    store: &D,
    host: &str,
    ip: Ip,
    owner: &Owner,
) -> Result<bool, AssignFailure> {
    match assign_ip(store, host, ip, owner).await {
        Ok(()) => Ok(true),
        Err(AssignFailure::Block(block::AssignError::Taken)) => {
            let held = holder(store, ip).await?;
            let attribute = held.as_ref().and_then(|held| held.block.attribute(ip));
            match attribute.is_some_and(|attribute| attribute.handle == owner.handle) {
                true => Ok(false),
                false => Err(block::AssignError::Taken.into()),
            }
        }
        Err(error) => Err(error),
    }
}

/// Refuses blocks that version 1 cannot hold: its programs end when they meet an ordinal above 63.
fn check_size(held: &Held) -> Result<()> {
    let cidr = held.block.cidr();
    if cidr.prefix() == block_prefix(cidr.version()) {
        return Ok(());
    }
    let reason = format!("{} addresses; version 1 assigns from blocks of 64", held.block.size());
    Err(Error::BadRecord { key: held.key().to_string(), reason })
}

fn check_host(host: &str) -> Result<(), AssignFailure> {
    match host.is_empty() || host.contains('/') || host == "." || host == ".." {
        true => Err(AssignFailure::BadName { what: "the host", name: host.to_owned() }),
        false => Ok(()),
    }
}

fn check_families(request: &Request) -> Result<(), AssignFailure> {
    for (version, pools) in [(IpVersion::V4, &request.v4_pools), (IpVersion::V6, &request.v6_pools)] {
        if let Some(wrong) = pools.iter().find(|pool| pool.version() != version) {
            return Err(AssignFailure::WrongFamily {
                wanted: version.number(),
                found: wrong.version().number(),
            });
        }
    }
    Ok(())
}
