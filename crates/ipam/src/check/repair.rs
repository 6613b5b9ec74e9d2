//! Putting right what a check found: each repair looks again, and compares before it writes.

use std::collections::BTreeMap;

use margay_net::{Cidr, Ip};
use margay_store::datastore::Datastore;

use super::Finding;
use crate::Result;
use crate::assign::{AssignFailure, Owner, assign_ip};
use crate::claim::{drop_stray, heal};
use crate::hold::{Keeper, Seen};
use crate::release::release_in_block;
use crate::stored;

/// Puts one thing right; false when it was right by now, or a person has to decide.
///
/// # Errors
/// The datastore failed, or the address of an endpoint cannot be assigned to it.
pub async fn repair<D: Datastore>(store: &D, finding: &Finding) -> Result<bool, AssignFailure> {
    match finding {
        Finding::Leaked { ip, block, handle, .. } => {
            Ok(release(store, *ip, *block, handle.as_deref()).await?)
        }
        Finding::Unassigned { ip, endpoint } => {
            let notes: BTreeMap<String, String> =
                [("node", endpoint.node.clone()), ("note", format!("found in use by {endpoint}"))]
                    .map(|(name, note)| (name.to_owned(), note))
                    .into();
            let owner = Owner { handle: None, notes: Some(notes) };
            match assign_ip(store, &endpoint.node, *ip, &owner).await {
                Ok(()) => Ok(true),
                Err(AssignFailure::Block(crate::block::AssignError::Taken)) => Ok(false),
                Err(error) => Err(error),
            }
        }
        Finding::StrayClaim { host, block, .. } => Ok(drop_stray(store, *block, host).await?),
        Finding::LostClaim { host, block } => Ok(put_claim(store, host, *block).await?),
        Finding::StrayEntry { handle, block, .. } | Finding::LostEntry { handle, block, .. } => {
            Ok(recount(store, handle, *block).await?)
        }
        Finding::Shared { .. } | Finding::Overlap { .. } | Finding::Unreadable { .. } => Ok(false),
    }
}

async fn release<D: Datastore>(store: &D, ip: Ip, block: Cidr, handle: Option<&str>) -> Result<bool> {
    let Some(held) = stored::block(store, block).await? else { return Ok(false) };
    let of = |attribute: &crate::block::Attribute| attribute.handle.as_deref() == handle;
    Ok(!release_in_block(store, held, &[ip], of).await?.is_empty())
}

async fn put_claim<D: Datastore>(store: &D, host: &str, block: Cidr) -> Result<bool> {
    match stored::block(store, block).await? {
        Some(held) if held.block.is_owned_by(host) => heal(store, block, host).await,
        Some(_) | None => Ok(false),
    }
}

async fn recount<D: Datastore>(store: &D, id: &str, block: Cidr) -> Result<bool> {
    let Some(mut keeper) = Keeper::new(id) else { return Ok(false) };
    if let Some(held) = stored::block(store, block).await? {
        let count = held.block.held_by(id);
        if count > 0 {
            keeper.read(store).await?;
            keeper.hold(store, block, count, None).await?;
        }
    }
    keeper.settle(store, block, Seen::Nothing).await.map(|()| true)
}
