//! A host's claim on a block: the block says whose it is, the key under the host follows it (`spec/ipam.md` 6).
//!
//! Upstream writes the key first and ignores the outcome. BGP daemons advertise what stands there, so a key without
//! its block swallows the traffic of somebody else's. Here the block is written first; a crash in between leaves a
//! block without key, which its host finds when it next lists blocks.

use margay_model::Key;
use margay_net::Cidr;
use margay_store::datastore::{self, Datastore, Record};
use margay_store::kv::Precondition;

use crate::assign::AssignFailure;
use crate::block::{Block, BlockError};
use crate::retry::Retry;
use crate::stored::{self, Held, Written, unless_raced};
use crate::walk::{Walk, block_prefix};
use crate::{Error, Result, pool};

/// The value of an affinity key.
const CLAIMED: &str = "{}";

/// What claiming a block came to.
#[derive(Debug, Clone)]
pub(crate) enum Claimed {
    /// It is the host's, as it stands.
    Ours(Box<Held>),
    /// Somebody else has it, as it stands.
    Others(Record),
}

/// Makes a block the host's, if nobody has it.
pub(crate) async fn claim<D: Datastore>(store: &D, cidr: Cidr, host: &str, strict: bool) -> Result<Claimed> {
    let key = Key::IpamBlock { cidr };
    let bad = |error: BlockError| Error::BadRecord { key: key.to_string(), reason: error.to_string() };
    let block = Block::new(cidr, Some(format!("host:{host}")), strict).map_err(bad)?;
    let mut retry = Retry::of(&[host, "claim"]);
    loop {
        match store.put_record(&key, &block.encode(), Precondition::Absent).await {
            Ok(revision) => {
                // Also over a key that stands there: whoever is giving the block up then sees that it was claimed again.
                store.put_record(&affinity(host, cidr), CLAIMED, Precondition::None).await?;
                return Ok(Claimed::Ours(Box::new(Held { block, revision })));
            }
            Err(datastore::Error::AlreadyExists { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let Some(record) = store.get_record(&key).await? else {
            retry.wait(&key).await?;
            continue;
        };
        let held = Held::read(&record)?;
        return Ok(match held.block.is_owned_by(host) {
            // Another process of this host was faster.
            true => Claimed::Ours(Box::new(held)),
            false => Claimed::Others(record),
        });
    }
}

/// Puts the key of a claim back when it is lost; false when the block is not the host's any more.
pub(crate) async fn heal<D: Datastore>(store: &D, cidr: Cidr, host: &str) -> Result<bool> {
    let key = affinity(host, cidr);
    match store.put_record(&key, CLAIMED, Precondition::Absent).await {
        Err(datastore::Error::AlreadyExists { .. }) => return Ok(true),
        Err(error) => return Err(error.into()),
        Ok(_) => {}
    }
    // Given up while we wrote, the block would leave a claim on nothing behind.
    match stored::block(store, cidr).await? {
        Some(held) if held.block.is_owned_by(host) => Ok(true),
        Some(_) | None => drop_stray(store, cidr, host).await.map(|_| false),
    }
}

/// Removes a claim on a block that is not the host's; false when it is, or there is no such claim.
pub(crate) async fn drop_stray<D: Datastore>(store: &D, cidr: Cidr, host: &str) -> Result<bool> {
    let key = affinity(host, cidr);
    // The claim first: should its block be claimed after we looked at it, the claim is written anew.
    let Some(record) = store.get_record(&key).await? else { return Ok(false) };
    if stored::block(store, cidr).await?.is_some_and(|held| held.block.is_owned_by(host)) {
        return Ok(false);
    }
    unless_raced(store.delete_record(&key, Precondition::Revision(record.revision)).await)
}

/// The key of a host's claim.
pub(crate) fn affinity(host: &str, cidr: Cidr) -> Key {
    Key::IpamAffinity { node: host.to_owned(), cidr }
}

/// Takes a block from its host: an empty one goes, one in use stays without owner. A block of another host stays.
pub(crate) async fn release<D: Datastore>(store: &D, host: &str, cidr: Cidr) -> Result<()> {
    let mut retry = Retry::of(&[host, "release"]);
    loop {
        let Some(held) = stored::block(store, cidr).await? else { return Ok(()) };
        if !held.block.is_owned_by(host) {
            return Ok(());
        }
        let mut block = held.block.clone();
        block.clear_affinity();
        // COMPAT(ipam-empty-block): by revision: upstream removes an empty block without looking whether it still is.
        if held.replace(store, &block).await? != Written::Raced {
            return Ok(());
        }
        retry.wait(&held.key()).await?;
    }
}

/// The blocks that a claim got and those that it did not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Claims {
    /// Now the host's.
    pub claimed: Vec<Cidr>,
    /// Somebody else's.
    pub failed: Vec<Cidr>,
}

/// Claims every block within a range for a host.
///
/// # Errors
/// The range is smaller than a block or within no pool, or the datastore failed.
pub async fn claim_affinity<D: Datastore>(
    store: &D,
    range: Cidr,
    host: &str,
) -> Result<Claims, AssignFailure> {
    let range = range.masked();
    if range.prefix() > block_prefix(range.version()) {
        return Err(AssignFailure::TooSmall(range));
    }
    let within = |pool: &pool::Pool| pool.enabled && pool.cidr.contains(range);
    if !pool::pools(store).await?.iter().any(within) {
        return Err(AssignFailure::NotInPools(range));
    }
    let strict = crate::config::config(store).await?.strict_affinity;
    let mut claims = Claims::default();
    for cidr in Walk::new(range, host).blocks() {
        match claim(store, cidr, host, strict).await? {
            Claimed::Ours(_) => claims.claimed.push(cidr),
            Claimed::Others(_) => claims.failed.push(cidr),
        }
    }
    claims.claimed.sort();
    claims.failed.sort();
    Ok(claims)
}
