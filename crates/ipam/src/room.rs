//! Whether a host could get an address now, without taking one.

use margay_net::{Cidr, IpVersion};
use margay_store::datastore::{Datastore, Record, RecordSet};

use crate::Result;
use crate::assign::AssignFailure;
use crate::pool;
use crate::stored::Held;
use crate::walk::{Walk, block_prefix};

/// True when a version has an address for the host: in its pools, or in those requested, a block is unclaimed or has
/// one free that the host may have.
///
/// # Errors
/// There is no such pool, or the datastore failed.
pub async fn has_room<D: Datastore>(
    store: &D,
    host: &str,
    version: IpVersion,
    requested: &[Cidr],
) -> Result<bool, AssignFailure> {
    let pools = pool::pools(store).await?;
    pool::check(&pools, version, requested)?;
    let config = crate::config::config(store).await?;
    let mut blocks = Vec::new();
    let mut visit = |record: Record| blocks.extend(Held::read(&record).ok().map(|held| held.block));
    store
        .list_records(&RecordSet::IpamBlocks(Some(version)), &mut visit)
        .await
        .map_err(crate::Error::from)?;
    let allowed = pool::allowed(&pools, version, requested);
    let within = |cidr: Cidr| allowed.iter().any(|pool| pool.contains(cidr));
    let free = |block: &crate::block::Block| {
        let owned = block.is_owned_by(host);
        block.free() > 0 && (owned || (!config.strict_affinity && block.check_strict(host).is_ok()))
    };
    if blocks
        .iter()
        .any(|block| block.cidr().prefix() == block_prefix(version) && within(block.cidr()) && free(block))
    {
        return Ok(true);
    }
    let is_taken = |cidr: &Cidr| blocks.iter().any(|block| block.cidr().overlaps(*cidr));
    let unclaimed =
        || allowed.iter().any(|pool| Walk::new(*pool, host).blocks().any(|cidr| !is_taken(&cidr)));
    Ok(config.auto_allocate_blocks && unclaimed())
}
